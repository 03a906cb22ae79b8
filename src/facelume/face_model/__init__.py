"""Face models: a linear head with atlas, landmarks and albedo behind one interface."""

from facelume.face_model.model import FaceModel, LinearShape, Symmetry
from facelume.face_model.open_model import load_open_face_model, read_open_face_model

__all__ = ["FaceModel", "LinearShape", "Symmetry", "load_open_face_model", "read_open_face_model"]
