"""The result of the pipeline for one face, ready to render, relight and save."""

from __future__ import annotations

from pathlib import Path

from facelume.pipeline.face_result import FaceResult
from facelume.pipeline.result_files import save_result


class Reconstruction(FaceResult):
    """One face with its maps, mesh, camera and renderings, see :class:`FaceResult`; can save itself."""

    def save(self, directory: str | Path, *, meshes: bool = True, overwrite: bool = True) -> Path:
        """Writes the result folder; it appears whole or not at all.

        Args:
            directory: The folder to write (not its parent).
            meshes: Also write GLB, OBJ and PLY, overlay and preview.
            overwrite: Replace an existing result; a folder that holds anything else is never replaced.

        Returns:
            The folder.

        Raises:
            UsageError: The folder exists and may not be replaced, or cannot be written.
        """
        return save_result(self, Path(directory), meshes=meshes, overwrite=overwrite)
