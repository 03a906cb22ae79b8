"""Photo to reconstruction, and a saved result to new pictures."""

from __future__ import annotations

from facelume.choices import DeviceName
from facelume.illumination import Light
from facelume.pipeline.existing import face_folders, finished_results, remove_stale_faces
from facelume.pipeline.face_result import FaceCamera, FaceMaps, FaceResult, PhotoView
from facelume.pipeline.posed_face import PosedFace
from facelume.pipeline.reconstruction import Reconstruction
from facelume.pipeline.reconstructor import PhotoSource, Reconstructor
from facelume.pipeline.saved_result import SavedResult, read_result, relight

__all__ = [
    "FaceCamera",
    "FaceMaps",
    "FaceResult",
    "Light",
    "PhotoSource",
    "PhotoView",
    "PosedFace",
    "Reconstruction",
    "Reconstructor",
    "SavedResult",
    "face_folders",
    "finished_results",
    "read_result",
    "reconstruct",
    "relight",
    "remove_stale_faces",
]


def reconstruct(
    photo: PhotoSource,
    *,
    device: DeviceName = "auto",
    uv_size: int = 256,
    face_model: str = "open",
) -> Reconstruction:
    """Reconstructs the largest face of one photo; for many photos keep a :class:`Reconstructor`.

    Args:
        photo: A file, a Pillow image or an sRGB array.
        device: Where networks run.
        uv_size: Texels along an edge of the albedo map: 256, 512, 1024 or 2048.
        face_model: Name of the face model.

    Raises:
        NoFaceError: There is no face, or none that the model can explain.
        UnreadableInputError: The file cannot be read.
        AssetError: Weights or face model are missing or damaged.
    """
    return Reconstructor(device=device, uv_size=uv_size, face_model=face_model).reconstruct(photo)
