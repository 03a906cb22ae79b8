"""facelume: one photo of a face in; light-free albedo, per-texel light and a rigged mesh out."""
