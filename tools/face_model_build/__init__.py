"""Steps that build the open face model's assets; never imported by the package."""
