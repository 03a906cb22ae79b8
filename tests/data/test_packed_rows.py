"""Rows come back as they were written, alone and shared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from facelume.data.packed_rows import RowFile, write_rows
from facelume.errors import UsageError


def random_row(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "file": rng.integers(0, 256, rng.integers(1, 900)).astype(np.uint8),
        "planes": rng.integers(0, 256, (3, 32, 40)).astype(np.uint8),
        "directions": rng.integers(-128, 128, (32, 40, 3)).astype(np.int8),
        "grey": rng.integers(0, 256, (20, 31)).astype(np.uint8),
        "mask": rng.random((20, 30)) > 0.5,
        "vectors": rng.normal(size=(9, 3)).astype(np.float32),
        "number": np.asarray(seed),
    }


def same(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype, name
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_rows_come_back_in_any_order(tmp_path: Path) -> None:
    rows = [random_row(seed) for seed in range(4)]
    write_rows(tmp_path / "a.rows", rows, {"size": (1, 2)})
    file = RowFile(tmp_path / "a.rows")
    assert len(file) == 4
    assert file.fingerprint == {"size": [1, 2]}
    assert file.names == list(rows[0])
    for index in (3, 0, 2):
        same(file.row(index), rows[index])
    assert list(file.row(1, ["grey", "number"])) == ["grey", "number"]
    np.testing.assert_array_equal(file.column("vectors"), [row["vectors"] for row in rows])
    np.testing.assert_array_equal(file.column("mask"), [row["mask"] for row in rows])
    assert [path.name for path in tmp_path.iterdir()] == ["a.rows"]


def test_light_keeps_its_proportions_and_its_darkness(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    light = np.exp(rng.uniform(-4, 2, (24, 30, 3))).astype(np.float16)
    light[:5] = 0
    write_rows(tmp_path / "a.rows", [{"light": light}, {"light": 0 * light}], {})
    bright, dark = (RowFile(tmp_path / "a.rows").row(index)["light"] for index in range(2))
    np.testing.assert_array_equal(bright == 0, light == 0)
    # A step is 6 / 253 of a logarithm: half of it, and what float16 rounds.
    np.testing.assert_allclose(bright[5:].astype(float), light[5:].astype(float), rtol=0.014)
    assert not dark.any()


def test_equal_pictures_are_kept_once(tmp_path: Path) -> None:
    row = random_row(0)
    write_rows(tmp_path / "one.rows", [row], {})
    write_rows(tmp_path / "same.rows", [row] * 5, {})
    one, five = ((tmp_path / name).stat().st_size for name in ("one.rows", "same.rows"))
    # Five rows of small numbers and of places are what is left.
    assert five < 1.5 * one
    same(RowFile(tmp_path / "same.rows").row(4), row)


def test_files_of_something_else_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.rows"
    write_rows(path, [random_row(0)], {"size": 32})
    RowFile(path).require({"size": 32}, "faces")
    with pytest.raises(UsageError, match=r"faces were made with other settings \(size 32, now 64\)"):
        RowFile(path).require({"size": 64}, "faces")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="damaged; delete it"):
        RowFile(path)
