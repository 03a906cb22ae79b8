import torch

from facelume.face_model import load_open_face_model
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.training.refiner.export import export_weights
from facelume.weights import build_and_load


def test_exported_weights_load_into_the_same_network(tmp_path):
    model = load_open_face_model()
    refiner = Refiner(RefinerConfig(width=4, map_size=32, head="residual", with_context=True, with_gate=True))
    export_weights(refiner, "refiner-test", {"albedo_error": 0.1}, model, has_photos=True, folder=tmp_path)
    loaded, record = build_and_load(
        "refiner",
        lambda config: Refiner(RefinerConfig(**config)),
        face_model_sha256=model.asset_sha256,
        atlas_id=model.atlas_id,
        folder=tmp_path,
    )
    assert loaded.config == refiner.config
    assert "non-commercial" in record.licence
    torch.testing.assert_close(
        loaded.encoder[0].weight.detach(), refiner.encoder[0].weight.detach(), atol=1e-3, rtol=1e-3
    )
