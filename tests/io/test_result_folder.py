from pathlib import Path

import numpy as np
import pytest

from facelume.errors import UnreadableInputError, UsageError
from facelume.io.arrays import save_arrays, shorten_mantissa
from facelume.io.contact_sheet import compose_contact_sheet
from facelume.io.picture import decode_srgb, encode_srgb, load_png, quantise, save_png
from facelume.io.result_folder import SCHEMA_VERSION, publish, read_manifest, write_manifest


def _fill(text: str):
    def fill(folder: Path) -> None:
        write_manifest(folder, {"schema_version": SCHEMA_VERSION, "note": text})

    return fill


def test_publish_and_replace(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "face"
    publish(target, _fill("one"))
    assert read_manifest(target)["note"] == "one"
    with pytest.raises(UsageError, match="overwrite=True"):
        publish(target, _fill("two"))
    publish(target, _fill("two"), overwrite=True)
    assert read_manifest(target)["note"] == "two"
    assert [p.name for p in target.parent.iterdir()] == ["face"]


def test_failure_leaves_the_old_result_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "face"
    publish(target, _fill("one"))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        publish(target, fail, overwrite=True)
    assert read_manifest(target)["note"] == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["face"]


def test_foreign_folders_are_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "photos"
    target.mkdir()
    publish(target, _fill("empty folders may be filled"))
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "novel.txt").write_text("chapter one")
    with pytest.raises(UsageError, match="not a facelume result"):
        publish(foreign, _fill("x"), overwrite=True)
    assert (foreign / "novel.txt").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        publish(tmp_path / "file", _fill("x"), overwrite=True)
    with pytest.raises(UsageError, match="cannot be written"):
        publish(tmp_path / "file" / "below", _fill("x"))


def test_manifest_refuses_nan_and_other_schemas(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, {"schema_version": 1, "value": float("nan")})
    with pytest.raises(UnreadableInputError, match="not a result"):
        read_manifest(tmp_path)
    write_manifest(tmp_path, {"schema_version": 99})
    with pytest.raises(UnreadableInputError, match="schema_version 99"):
        read_manifest(tmp_path)


def test_srgb_round_trip_and_known_values(tmp_path: Path) -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode_srgb(decode_srgb(every)), every)
    assert encode_srgb(np.array([0.2140, 2.0, -1.0])).tolist() == [127, 255, 0]
    assert quantise(np.array([0.5, 1.2])).tolist() == [128, 255]
    picture = np.zeros((5, 7, 4), np.uint8)
    picture[2, 3] = [1, 2, 3, 4]
    save_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(load_png(tmp_path / "a.png", "RGBA"), picture)
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(UnreadableInputError, match=r"a\.png"):
        load_png(tmp_path / "a.png")


def test_contact_sheet_places_tiles_in_reading_order() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    tiles = [(f"tile {i}", np.full((50, 100, 3), c, np.uint8)) for i, c in enumerate(colours)]
    sheet = compose_contact_sheet(tiles, num_columns=2, tile_px=80)
    assert sheet.shape == (2 * (80 + 26 + 8) + 8, 2 * 88 + 8, 3)
    centres = [(48, 48), (48, 136), (162, 48)]
    assert [tuple(sheet[y, x]) for y, x in centres] == colours


def test_arrays_round_trip(tmp_path: Path) -> None:
    arrays = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b": np.array([1.5])}
    save_arrays(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert set(content.files) == {"a", "b"}
        for name, values in arrays.items():
            assert content[name].dtype == values.dtype
            np.testing.assert_array_equal(content[name], values)
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32) * 100
    short = shorten_mantissa(values)
    assert short.dtype == np.float32
    assert 0 < np.abs(short / values - 1).max() < 1.3e-4
    np.testing.assert_array_equal(shorten_mantissa(np.array([0.0, 1.0, -2.0])), [0.0, 1.0, -2.0])
