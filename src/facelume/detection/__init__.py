"""Finding faces in photos: one protocol, our own locator, adapters for two optional libraries."""

from facelume.detection.locator import NetworkLocator
from facelume.detection.mediapipe_tasks import MediaPipeLocator
from facelume.detection.protocol import CandidateLocator, FaceLocator, detection_of_landmarks
from facelume.detection.shadows import lift_shadows
from facelume.detection.yunet import YuNetLocator

__all__ = [
    "CandidateLocator",
    "FaceLocator",
    "MediaPipeLocator",
    "NetworkLocator",
    "YuNetLocator",
    "detection_of_landmarks",
    "lift_shadows",
]
