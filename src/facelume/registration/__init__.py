"""Any face model on the open model's head: one topology and one atlas for all networks."""

from facelume.registration.register import Registered, register
from facelume.registration.source_topology import SourceMesh, SourceTopology
from facelume.registration.store import load_original, registered_face_model

__all__ = ["Registered", "SourceMesh", "SourceTopology", "load_original", "register", "registered_face_model"]
