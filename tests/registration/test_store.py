import logging
import os
import shutil

import numpy as np
import pytest
import torch

from facelume.errors import AssetError, UsageError
from facelume.registration import registered_face_model, store


@pytest.fixture
def copy(flame, tmp_path):
    """A folder of its own with the official files and the registration."""
    return shutil.copytree(flame[0], tmp_path / "flame2020")


@pytest.fixture
def no_registering(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("registered again")

    monkeypatch.setattr(store, "register", refuse)


def test_a_model_is_registered_once(flame, copy, no_registering):
    kept = registered_face_model("flame2020", copy)
    first = flame[2]
    assert (kept.name, kept.asset_sha256, kept.licence) == (first.name, first.asset_sha256, first.licence)
    assert kept.from_open == first.from_open == ("teeth and inner mouth", "albedo")
    assert kept.expression_names == first.expression_names
    assert torch.equal(kept.expression_limits, first.expression_limits)
    identity, expression = torch.randn(first.num_identity), torch.rand(first.num_expression)
    apart = (kept.shape(identity, expression) - first.shape(identity, expression)).norm(dim=1)
    assert float(apart.max()) < 2e-5


def test_colours_are_kept_too(bfm, no_registering):
    folder, _, first = bfm
    kept = registered_face_model("bfm2019", folder)
    coefficients = torch.randn(first.num_albedo)
    torch.testing.assert_close(
        kept.albedo_map(coefficients), first.albedo_map(coefficients), atol=1e-3, rtol=0
    )


def test_changed_files_are_registered_anew(copy, no_registering):
    with np.load(copy / "generic_model.npz") as archive:
        arrays = dict(archive)
    np.savez(copy / "generic_model.npz", **(arrays | {"v_template": arrays["v_template"] * 1.01}))
    with pytest.raises(AssertionError, match="registered again"):
        registered_face_model("flame2020", copy)


def test_a_damaged_registration_is_an_asset_error(copy):
    (copy / store.STORE_NAME).write_bytes(b"half")
    with pytest.raises(AssetError, match=r"is damaged .* delete it"):
        registered_face_model("flame2020", copy)


def test_where_nothing_can_be_kept_the_model_still_serves(copy, flame, monkeypatch, caplog):
    (copy / store.STORE_NAME).unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    class Made:
        model = flame[2]

    monkeypatch.setattr(store, "register", lambda *_, **__: Made)
    monkeypatch.setattr(store, "save_arrays", full)
    with caplog.at_level(logging.WARNING):
        assert registered_face_model("flame2020", copy) is flame[2]
    assert "is not kept" in caplog.text
    assert sorted(os.listdir(copy)) == ["generic_model.npz", "head_template.obj"]


def test_the_open_model_is_itself(open_head):
    assert registered_face_model("open") is open_head


def test_unknown_and_absent_models(tmp_path):
    with pytest.raises(UsageError, match="no face model named 'nobody'"):
        registered_face_model("nobody")
    with pytest.raises(AssetError, match=r"lacks generic_model.pkl or generic_model.npz"):
        registered_face_model("flame2020", tmp_path)
