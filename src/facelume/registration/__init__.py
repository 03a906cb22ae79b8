"""Any face model on the open model's head: one topology and one atlas for all networks."""

from facelume.registration.register import Registered, register
from facelume.registration.store import registered_face_model

__all__ = ["Registered", "register", "registered_face_model"]
