"""Steps that build the open face model's asset; run by ``tools/build_face_model.py``, never imported by the package."""
