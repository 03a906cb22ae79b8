from dataclasses import fields

import numpy as np
import pytest
import torch

from facelume.errors import UsageError
from facelume.illumination import irradiance_image
from facelume.refinement.refine import RefinerInput
from facelume.training.refiner.batches import FaceDraw, to_batch
from facelume.training.refiner.config import FaceAugmentConfig
from facelume.training.refiner.prepared import MAP_KINDS, PreparedFace, PreparedFaces, encoded_maps


@pytest.fixture
def random_faces(face_of):
    """Grey faces under a side light, prepared as if by the real preparation; two of each person."""

    def build(count: int, size: int = 32, *, has_truth: bool = True, seed: int = 0) -> list[PreparedFace]:
        rng = np.random.default_rng(seed)

        def colours() -> np.ndarray:
            return rng.integers(90, 160, size=(3, size, size)).astype(np.uint8)

        light = np.zeros((9, 3), dtype=np.float32)
        light[0], light[3] = 3.0, 0.8
        faces = []
        for number in range(count):
            normals = rng.normal(size=(3, size, size))
            normals /= np.linalg.norm(normals, axis=0)
            maps = {
                "normals_light": (normals * 127).round().astype(np.int8),
                "prior_albedo": colours(),
                "coarse_light": light,
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
    )
    grey = np.full((3, 16, 16), 128)
    shard = shard_of([face_of(grey, grey, maps=encoded_maps(given))])
    found = to_batch([(shard, 0)]).maps
    for name in names:
        torch.testing.assert_close(getattr(found, name), getattr(given, name), atol=0.01, rtol=0)


def test_mirrored_maps_shade_like_the_mirrored_face(shard_of, random_faces):
    faces = shard_of(random_faces(8))
    plain = to_batch([(faces, row) for row in range(8)])
    augmented = to_batch([(faces, row) for row in range(8)], FaceAugmentConfig(), np.random.default_rng(0))
    shading = irradiance_image(plain.maps.coarse_light, plain.maps.normals_light)
    new_shading = irradiance_image(augmented.maps.coarse_light, augmented.maps.normals_light)
    mirrored = []
    for row in range(8):
        mirrored.append(torch.equal(augmented.truth[row], plain.truth[row].flip(-1)))
        expected, true_light = (
            values[row].flip(-1) if mirrored[-1] else values[row] for values in (shading, plain.truth_shading)
        )
        gain = (augmented.gain / plain.gain)[row][:, None, None]
        ratio = new_shading[row] / expected
        torch.testing.assert_close(ratio, gain.expand_as(ratio), atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(augmented.truth_shading[row], true_light * gain, atol=1e-5, rtol=1e-5)
    assert 0 < sum(mirrored) < 8
    # Two pictures of one person are asked for one albedo.
    assert mirrored[::2] == mirrored[1::2]


def test_gain_keeps_texture_over_light(shard_of, random_faces):
    faces = shard_of(random_faces(4))
    plain = to_batch([(faces, row) for row in range(4)])
    augmented = to_batch([(faces, row) for row in range(4)], FaceAugmentConfig(), np.random.default_rng(3))
    before = plain.maps.texture.mean(dim=(-1, -2)) / plain.maps.coarse_light[:, 0]
    after = augmented.maps.texture.mean(dim=(-1, -2)) / augmented.maps.coarse_light[:, 0]
    torch.testing.assert_close(after, before, rtol=0.02, atol=0)
    assert not torch.equal(augmented.gain, plain.gain)
    torch.testing.assert_close(augmented.skin_linear, plain.skin_linear)


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
