"""Finding faces in photos: one protocol, our own locator, adapters for two optional libraries."""

from facelume.detection.locator import NetworkLocator
from facelume.detection.mediapipe_tasks import MediaPipeLocator
from facelume.detection.protocol import FaceLocator
from facelume.detection.yunet import YuNetLocator

__all__ = ["FaceLocator", "MediaPipeLocator", "NetworkLocator", "YuNetLocator"]
