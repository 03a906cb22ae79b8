"""What a new run takes away of a former one, and what it never touches."""

from pathlib import Path

import numpy as np
import pytest

from facelume.io.photo import Photo
from facelume.io.result_folder import SCHEMA_VERSION, write_manifest
from facelume.pipeline import face_folders, remove_stale_faces

_PHOTO = Photo(np.zeros((4, 4, 3), np.uint8), path="album/pair.png", sha256="a" * 64)


def _result(folder: Path, *, path: str = "album/pair.png", sha256: str = "a" * 64, face_index: int) -> None:
    folder.mkdir()
    source = {"path": path, "sha256": sha256, "face_index": face_index}
    write_manifest(folder, {"schema_version": SCHEMA_VERSION, "input": source})


def test_faces_of_a_photo_are_numbered_from_the_second(tmp_path: Path) -> None:
    assert [path.name for path in face_folders(tmp_path / "pair", 3)] == ["pair", "pair_1", "pair_2"]


def test_further_faces_of_a_former_run_go(tmp_path: Path) -> None:
    for index in range(5):
        _result(face_folders(tmp_path / "pair", 5)[index], face_index=index)
    _result(tmp_path / "pair_12", sha256="b" * 64, face_index=12)  # of the same file before it was edited
    removed = remove_stale_faces(tmp_path / "pair", _PHOTO, 2)
    assert {path.name for path in removed} == {"pair_2", "pair_3", "pair_4", "pair_12"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair", "pair_1"]


@pytest.mark.parametrize("name", ["pair_x", "pair_3_1", "pair2", "repair_3", "[pair]_3"])
def test_folders_with_other_names_stay(tmp_path: Path, name: str) -> None:
    _result(tmp_path / name, face_index=3)
    assert remove_stale_faces(tmp_path / "pair", _PHOTO, 1) == []
    assert (tmp_path / name).is_dir()


def test_results_of_other_photos_and_other_folders_stay(tmp_path: Path) -> None:
    _result(tmp_path / "pair_3", path="album/pair_3.png", sha256="c" * 64, face_index=3)
    _result(tmp_path / "pair_4", face_index=0)  # largest face of its photo
    (tmp_path / "pair_5").mkdir()
    (tmp_path / "pair_5" / "novel.txt").write_text("chapter one")
    (tmp_path / "pair_6").write_text("a file")
    assert remove_stale_faces(tmp_path / "pair", _PHOTO, 1) == []
    assert {path.name for path in tmp_path.iterdir()} == {"pair_3", "pair_4", "pair_5", "pair_6"}
