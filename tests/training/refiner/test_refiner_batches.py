from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from facelume.errors import UsageError
from facelume.illumination import irradiance_image, irradiance_map
from facelume.refinement.refine import RefinerInput
from facelume.training.refiner.batches import FaceDraw, RefinerBatch, to_batch
from facelume.training.refiner.config import FaceAugmentConfig
from facelume.training.refiner.prepared import (
    COARSE_MAP_SIZE,
    MAP_KINDS,
    PreparedFace,
    PreparedFaces,
    encoded_maps,
)
from facelume.uv import resize_map


@pytest.fixture
def random_faces(face_of):
    """Grey faces under a side light, prepared as if by the real preparation; two of each person."""

    def build(count: int, size: int = 32, *, has_truth: bool = True, seed: int = 0) -> list[PreparedFace]:
        rng = np.random.default_rng(seed)

        def colours() -> np.ndarray:
            return rng.integers(90, 160, size=(3, size, size)).astype(np.uint8)

        light = np.zeros((9, 3), dtype=np.float32)
        light[0], light[3] = 3.0, 0.8
        shadow = np.linspace(0.3, 1.0, 8)  # the subject's right side is in shadow
        light_map = (light.reshape(27, 1, 1) * shadow).repeat(8, axis=1).astype(np.float16)
        faces = []
        for number in range(count):
            normals = rng.normal(size=(3, size, size))
            normals /= np.linalg.norm(normals, axis=0)
            maps = {
                "normals_light": (normals * 127).round().astype(np.int8),
                "prior_albedo": colours(),
                "coarse_light": light,
                "coarse_map": light_map,
                "exposure": rng.uniform(0.3, 2.0, 3).astype(np.float32),
            }
            truth = colours() * np.uint8(has_truth)
            shading = rng.uniform(0.5, 2.0, (3, size, size)).astype(np.float16)
            faces.append(
                face_of(
                    colours(),
                    truth,
                    maps=maps,
                    has_truth=has_truth,
                    person=number // 2 + 1000 * seed,
                    truth_shading=shading,
                )
            )
        return faces

    return build


def test_shards_come_back_as_they_were_saved(tmp_path, random_faces):
    faces = random_faces(3)
    PreparedFaces.save(tmp_path / "a.prepared", faces, {"map_size": 32})
    loaded = PreparedFaces(tmp_path / "a.prepared", {"map_size": 32})
    assert len(loaded) == 3
    assert loaded.person.tolist() == [0, 0, 1]
    assert loaded.has_truth.all()
    for name, values in faces[2].maps.items():
        np.testing.assert_array_equal(loaded[2].maps[name], values)
    np.testing.assert_array_equal(loaded[1].truth, faces[1].truth)
    np.testing.assert_allclose(loaded[1].truth_shading, faces[1].truth_shading, rtol=0.01)
    assert loaded[0].image_srgb.shape == (224, 224, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.prepared"]


def test_a_shard_made_from_something_else_is_refused_with_the_difference(tmp_path, random_faces):
    PreparedFaces.save(tmp_path / "a.prepared", random_faces(1), {"map_size": 32, "seed": [0, 1]})
    with pytest.raises(UsageError, match=r"map_size 32, now 64\).*delete them"):
        PreparedFaces(tmp_path / "a.prepared", {"map_size": 64, "seed": (0, 1)})


def test_a_damaged_shard_is_refused(tmp_path):
    (tmp_path / "a.prepared").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UsageError, match="damaged"):
        PreparedFaces(tmp_path / "a.prepared", {})


def test_every_map_of_the_refinement_has_a_kind_and_comes_back(shard_of, face_of):
    names = [field.name for field in fields(RefinerInput)]
    assert sorted(MAP_KINDS) == sorted(names)
    rng = np.random.default_rng(0)
    normals = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(1, 3, 16, 16))), dim=1)
    given = RefinerInput(
        texture=torch.from_numpy(rng.random((1, 3, 16, 16))).float(),
        visibility=torch.from_numpy(rng.random((1, 16, 16))).float(),
        normals_light=normals.float(),
        prior_albedo=torch.from_numpy(rng.random((1, 3, 16, 16))).float(),
        coarse_light=torch.from_numpy(rng.normal(size=(1, 9, 3))).float(),
        coarse_map=torch.from_numpy(rng.normal(size=(1, 27, COARSE_MAP_SIZE, COARSE_MAP_SIZE))).float(),
        exposure=torch.from_numpy(rng.uniform(0.1, 3.0, size=(1, 3))).float(),
    )
    grey = np.full((3, 16, 16), 128)
    shard = shard_of([face_of(grey, grey, maps=encoded_maps(given))])
    found = to_batch([(shard, 0)]).maps
    for name in names:
        torch.testing.assert_close(getattr(found, name), getattr(given, name), atol=0.01, rtol=0)


STRONG = FaceAugmentConfig(tone_sigma=0.3, tone_hue_sigma=0.1)


def shading_of(batch: RefinerBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the coarse light everywhere, and of what its shadows leave."""
    maps, normals = batch.maps, batch.maps.normals_light
    return irradiance_image(maps.coarse_light, normals), irradiance_map(
        resize_map(maps.coarse_map, 32), normals
    )


def test_mirrored_maps_shade_like_the_mirrored_face(shard_of, random_faces):
    faces = shard_of(random_faces(8))
    plain = to_batch([(faces, row) for row in range(8)])
    augmented = to_batch([(faces, row) for row in range(8)], STRONG, np.random.default_rng(0))
    mirrored = []
    for row in range(8):
        is_mirrored = torch.equal(augmented.maps.texture[row], plain.maps.texture[row].flip(-1))
        mirrored.append(is_mirrored)
        light_gain = (augmented.maps.exposure / plain.maps.exposure)[row][:, None, None]
        for new, old in zip(shading_of(augmented), shading_of(plain), strict=True):
            expected = (old[row].flip(-1) if is_mirrored else old[row]) * light_gain
            torch.testing.assert_close(new[row], expected, atol=2e-3, rtol=2e-3)
        true_light = plain.truth_shading[row].flip(-1) if is_mirrored else plain.truth_shading[row]
        torch.testing.assert_close(
            augmented.truth_shading[row], true_light * light_gain, atol=1e-5, rtol=1e-5
        )
    assert 0 < sum(mirrored) < 8
    # Two pictures of one person are asked for one albedo.
    assert mirrored[::2] == mirrored[1::2]


def test_another_tone_under_another_light_is_the_same_photo(shard_of, random_faces):
    faces = shard_of(random_faces(4))
    plain = to_batch([(faces, row) for row in range(4)])
    settings = replace(STRONG, mirror_fraction=0.0)
    augmented = to_batch([(faces, row) for row in range(4)], settings, np.random.default_rng(3))
    tone = plain.maps.exposure / augmented.maps.exposure
    assert 0.1 < float(torch.log(tone).std()) < 0.6
    assert torch.equal(augmented.maps.texture, plain.maps.texture)
    factor = tone[..., None, None]
    torch.testing.assert_close(augmented.maps.prior_albedo, (plain.maps.prior_albedo * factor).clamp(0, 1))
    torch.testing.assert_close(augmented.truth, (plain.truth * factor).clamp(0, 1))
    for new, old in zip(shading_of(augmented), shading_of(plain), strict=True):
        torch.testing.assert_close(new * factor, old, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(augmented.truth_shading * factor, plain.truth_shading)
    for name in ("truth_highlight", "image_srgb"):
        assert torch.equal(getattr(augmented, name), getattr(plain, name)), name


def test_batches_hold_the_asked_share_of_synthetic_faces(shard_of, random_faces):
    shards = [shard_of(random_faces(5)), shard_of(random_faces(50, has_truth=False))]
    faces, rng = FaceDraw(shards, 0.7), np.random.default_rng(0)
    shares = [sum(bool(s.has_truth[row]) for s, row in faces.draw(10, rng)) for _ in range(100)]
    assert np.mean(shares) == pytest.approx(7.0, abs=0.5)
    as_they_come = FaceDraw(shards, None)
    shares = [sum(bool(s.has_truth[row]) for s, row in as_they_come.draw(11, rng)) for _ in range(100)]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.4)


def test_faces_of_one_kind_are_drawn_whatever_the_share(shard_of, random_faces):
    faces = FaceDraw([shard_of(random_faces(5, has_truth=False))], 0.7)
    assert len(faces) == 5
    assert len(faces.draw(8, np.random.default_rng(0))) == 8


def test_pairs_are_two_pictures_of_one_person_wherever_they_lie(shard_of, random_faces):
    every = random_faces(12)
    shards = [shard_of(every[::2]), shard_of(every[1::2]), shard_of(random_faces(3, has_truth=False, seed=1))]
    faces, rng = FaceDraw(shards, 1.0, pair_share=1.0), np.random.default_rng(0)
    for _ in range(20):
        drawn = faces.draw(6, rng)
        people = [int(shard.person[row]) for shard, row in drawn]
        assert people[::2] == people[1::2]
        assert all(len({drawn[k], drawn[k + 1]}) == 2 for k in (0, 2, 4))
    loose = FaceDraw(shards, 1.0, pair_share=0.0)
    pairs = [[int(s.person[r]) for s, r in loose.draw(2, rng)] for _ in range(200)]
    assert np.mean([first == second for first, second in pairs]) < 0.4
    # A person with one picture is drawn alone.
    assert len(FaceDraw([shard_of(random_faces(1))], None, pair_share=1.0).draw(3, rng)) == 3
