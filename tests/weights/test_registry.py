from pathlib import Path

import pytest
import torch
from torch import nn

from facelume.errors import AssetError, UsageError
from facelume.networks.builders import REFINER_BUILDERS
from facelume.weights import (
    FOLDER_VARIABLE,
    WeightRecord,
    architecture_of,
    build_and_load,
    find_record,
    list_records,
    load_weights,
    save_weights,
    verify_record,
)


class _Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)


def _record(**changes: object) -> WeightRecord:
    fields = {
        "id": "tiny-1",
        "kind": "tiny",
        "architecture": f"{_Net.__module__}._Net",
        "config": {"width": 4},
        "input": "3x8x8, sRGB in [0, 1]",
        "training_data": "none",
        "licence": "Apache-2.0",
        "metrics": {"loss": 0.5},
    }
    return WeightRecord(**(fields | changes))  # type: ignore[arg-type]


def test_round_trip_is_half_precision_and_strict(tmp_path: Path) -> None:
    net = _Net(4)
    net.norm.running_var.fill_(1e6)  # would overflow float16: vectors stay in single precision
    saved = save_weights(net.state_dict(), _record(), folder=tmp_path)
    loaded, record = build_and_load("tiny", {_Net: lambda config: _Net(**config)}, folder=tmp_path)
    assert record == saved
    assert len(record.sha256) == 64
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    torch.testing.assert_close(loaded.norm.running_var, net.norm.running_var, rtol=0, atol=0)
    torch.testing.assert_close(loaded.conv.weight, net.conv.weight.half().float(), rtol=0, atol=0)
    with pytest.raises(AssetError, match="do not fit"):
        build_and_load("tiny-1", {_Net: lambda _: _Net(5)}, folder=tmp_path)
    with pytest.raises(AssetError, match=r"belong to a .*_Net, but a torch\..*Conv2d is needed"):
        build_and_load("tiny-1", {nn.Conv2d: lambda _: nn.Conv2d(3, 4, 3)}, folder=tmp_path)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    saved = save_weights(_Net(4).state_dict(), _record(), folder=tmp_path)
    path = tmp_path / "files" / saved.file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(AssetError, match="damaged"):
        load_weights("tiny-1", folder=tmp_path)
    path.unlink()
    with pytest.raises(AssetError, match="cannot read"):
        load_weights("tiny-1", folder=tmp_path)
    with pytest.raises(AssetError, match="no weights named 'huge'"):
        load_weights("huge", folder=tmp_path)


def test_model_mismatch_raises(tmp_path: Path) -> None:
    save_weights(
        _Net(4).state_dict(), _record(face_model_sha256="a" * 64, atlas_id="atlas-1"), folder=tmp_path
    )

    def load(sha: str, atlas: str) -> None:
        build_and_load(
            "tiny",
            {_Net: lambda c: _Net(**c)},
            face_model_sha256=sha,
            atlas_id=atlas,
            folder=tmp_path,
        )

    load("a" * 64, "atlas-1")
    with pytest.raises(AssetError, match="another face model"):
        load("b" * 64, "atlas-1")
    with pytest.raises(AssetError, match="another texture atlas"):
        load("a" * 64, "atlas-2")


def test_environment_variable_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(_Net(4).state_dict(), _record(), folder=tmp_path)
    with pytest.raises(AssetError):
        find_record("tiny")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert find_record("tiny")[0].id == "tiny-1"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match=r"registry\.json is missing"):
        find_record("tiny")


def test_same_id_replaces_and_default_is_kept_on_request(tmp_path: Path) -> None:
    save_weights(_Net(4).state_dict(), _record(), folder=tmp_path)
    save_weights(_Net(4).state_dict(), _record(metrics={"loss": 0.25}), folder=tmp_path)
    save_weights(_Net(4).state_dict(), _record(id="tiny-2"), folder=tmp_path, make_default=False)
    record, _ = find_record("tiny", tmp_path)
    assert (record.id, record.metrics) == ("tiny-1", {"loss": 0.25})
    assert {r.id for r, _ in list_records(tmp_path)} >= {"tiny-1", "tiny-2"}


def test_unknown_registry_keys_and_nan_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not finite"):
        save_weights({"w": torch.full((2, 2), torch.nan)}, _record(), folder=tmp_path)
    (tmp_path / "registry.json").write_text(
        '{"schema_version": 1, "defaults": {}, "records": [], "extra": 1}'
    )
    with pytest.raises(AssetError, match="cannot be read"):
        list_records(tmp_path)


def test_weights_of_another_network_are_refused_by_their_architecture() -> None:
    with pytest.raises(
        AssetError, match=r"PriorNetwork, but a facelume\.networks\.refiner\.Refiner"
    ) as error:
        build_and_load("prior", REFINER_BUILDERS)
    assert "\n" not in str(error.value)


def test_the_builder_is_the_one_of_the_record_s_architecture(tmp_path: Path) -> None:
    class _Wide(_Net):
        pass

    builders = {_Net: lambda config: _Net(**config), _Wide: lambda config: _Wide(2 * config["width"])}
    for network, saved in ((_Net, _Net(4)), (_Wide, _Wide(8))):
        record = _record(id=network.__name__, architecture=architecture_of(network))
        save_weights(saved.state_dict(), record, folder=tmp_path)
        assert type(build_and_load(network.__name__, builders, folder=tmp_path)[0]) is network


@pytest.mark.parametrize("record_and_path", list_records(), ids=lambda pair: pair[0].id)
def test_packaged_weights_are_intact(record_and_path: tuple[WeightRecord, Path]) -> None:
    record, path = record_and_path
    verify_record(record, path)
    assert record.licence
    assert record.training_data
    assert record.input
