import dataclasses

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, cam_from_pose, transform_points
from facelume.data.synthetic import (
    SyntheticConfig,
    SyntheticFaces,
    drawn_with,
    generate,
    load_environment_maps,
    occluders,
    read_shard,
    shard_paths,
)
from facelume.data.synthetic.config import GroupConfig, HeadConfig, PoseConfig
from facelume.data.synthetic.cover_config import ClothesConfig, GlassesConfig, HandConfig, StrandsConfig
from facelume.data.synthetic.head import place_in_crop, random_expression, random_rotvec
from facelume.data.synthetic.light import SceneLight
from facelume.data.synthetic.shade import Screen, SkinMaterial, shade_head
from facelume.data.synthetic.shards import write_shard
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.raster import geometry_buffers
from facelume.reflectance import linear_from_srgb
from facelume.types import FacePart

GREY = torch.full((3, 256, 256), 0.3)
MATTE = SkinMaterial(0.0, 0.4, torch.ones(1, 1, 8, 8), 0.0, torch.zeros(1, 1, 8, 8))


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(
        load_open_face_model(), [], SyntheticConfig(pose=PoseConfig(size_sigma=0.0, shift_sigma_px=0.0))
    )


@pytest.fixture(scope="module")
def face(faces):
    return faces.draw(np.random.default_rng(3), GREY)


def test_a_face_fills_the_canonical_crop(face):
    points = face.landmarks_px[:468]
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, 112.0, atol=0.3)
    assert np.sqrt(np.prod(high - low)) == pytest.approx(150.0, abs=0.5)


def test_landmark_labels_are_the_projected_model(face):
    model = load_open_face_model()
    points = model.landmarks(torch.from_numpy(face.identity), torch.from_numpy(face.expression))
    matrix = cam_from_pose(torch.from_numpy(face.pose))
    expected = CROP_CAMERA.project(transform_points(matrix, points))
    np.testing.assert_allclose(face.landmarks_px, expected.numpy(), atol=1e-2)


def test_pictures_repeat_with_the_seed_and_differ_between_seeds(faces, face):
    again = faces.draw(np.random.default_rng(3), GREY)
    np.testing.assert_array_equal(again.image_srgb, face.image_srgb)
    other = faces.draw(np.random.default_rng(4), GREY)
    assert np.abs(other.image_srgb.astype(float) - face.image_srgb).mean() > 5


def test_one_scene_serves_two_skins(faces):
    scene = faces.scenes.draw(np.random.default_rng(5))
    dark = faces.photograph(scene, np.random.default_rng(0), 0.3 * GREY)
    light = faces.photograph(scene, np.random.default_rng(0), GREY)
    np.testing.assert_array_equal(dark.parsing, light.parsing)
    np.testing.assert_array_equal(dark.pose, light.pose)
    np.testing.assert_allclose(light.skin_linear, 0.3, rtol=1e-5)
    np.testing.assert_allclose(dark.light_sh / dark.gain, light.light_sh / light.gain, rtol=1e-4)


def test_hair_and_hands_are_the_persons(faces):
    rng = np.random.default_rng(0)
    scenes = [faces.scenes.draw(rng) for _ in range(6)]
    scene = max(scenes, key=lambda scene: scene.overlay_hair.sum())
    fair, black = (dataclasses.replace(faces.skins.wear(GREY), hair=np.full(3, v)) for v in (0.4, 0.01))
    is_hair = (scene.overlay_hair.min(-1) > 1e-3) & (scene.overlay.max(-1) == 0)
    assert is_hair.mean() > 0.02
    pictures = [
        faces.photograph(scene, np.random.default_rng(0), skin).image_srgb[is_hair].mean()
        for skin in (fair, black)
    ]
    assert pictures[0] > 1.3 * pictures[1]


def test_shards_come_back(tmp_path, face):
    write_shard(tmp_path / "a.faces", [face, face], {"face_model": "abc"})
    shard = read_shard(tmp_path / "a.faces", "abc")
    np.testing.assert_array_equal(shard["image_srgb"][1], face.image_srgb)
    np.testing.assert_array_equal(shard["albedo_srgb"][0], face.albedo_srgb)
    np.testing.assert_array_equal(shard["parsing"][0], face.parsing)
    assert shard["light_sh"].shape == (2, 9, 3)
    lit = face.shading > 1e-3 * face.shading.max()
    np.testing.assert_allclose(shard["shading"][0][lit], face.shading[lit], rtol=0.03)
    assert list(read_shard(tmp_path / "a.faces", "abc", ["pose"])) == ["pose"]
    with pytest.raises(UsageError, match='face_model "abc", now "def"'):
        read_shard(tmp_path / "a.faces", "def")


def test_a_person_is_photographed_in_every_scene_and_a_scene_serves_every_person():
    config = SyntheticConfig(group=GroupConfig(num_scenes=3, num_skins=2))
    faces = SyntheticFaces(load_open_face_model(), [], config).draw_group(np.random.default_rng(0), 40)
    assert [face.person for face in faces] == [40, 40, 40, 41, 41, 41]
    assert len({face.identity.tobytes() for face in faces}) == 1
    for name, count in (
        ("albedo_srgb", 2),
        ("skin_linear", 2),
        ("pose", 3),
        ("shading", 3),
        ("picture_file", 6),
    ):
        assert len({getattr(face, name).tobytes() for face in faces}) == count, name
    np.testing.assert_array_equal(faces[0].landmarks_px, faces[3].landmarks_px)
    np.testing.assert_array_equal(faces[0].albedo_srgb, faces[2].albedo_srgb)


def test_people_of_a_folder_have_numbers_of_their_own_and_share_what_they_can(tmp_path, faces):
    generate(faces, tmp_path, num_shards=2, shard_size=6)
    shards = [read_shard(path, faces.model.asset_sha256, ["person"]) for path in shard_paths(tmp_path)]
    people = [set(shard["person"].tolist()) for shard in shards]
    assert [len(numbers) for numbers in people] == [3, 3]
    assert not people[0] & people[1]
    alone = SyntheticFaces(faces.model, [], dataclasses.replace(faces.config, group=GroupConfig(1, 1)))
    generate(alone, tmp_path / "alone", num_shards=1, shard_size=6)
    sizes = [path.stat().st_size for path in (*shard_paths(tmp_path), *shard_paths(tmp_path / "alone"))]
    assert max(sizes[:2]) < 0.8 * sizes[2]


def test_several_processes_can_fill_one_folder(tmp_path, faces):
    plain = SyntheticFaces(faces.model, [], SyntheticConfig(is_plain=True))
    generate(plain, tmp_path / "one", num_shards=2, shard_size=1)
    generate(plain, tmp_path / "two", num_shards=1, first_shard=1, shard_size=1)
    one, two = (shard_paths(tmp_path / name)[-1] for name in ("one", "two"))
    assert one.name == two.name == "000_00001.faces"
    assert one.read_bytes() == two.read_bytes()


def test_true_light_and_albedo_make_the_picture(faces):
    """Where nothing covers the face: albedo times shading plus highlight, exposed."""
    plain = SyntheticFaces(faces.model, [], SyntheticConfig(is_plain=True))
    rng = np.random.default_rng(7)
    scene = plain.scenes.draw(rng)
    face = plain.photograph(scene, rng, GREY)
    is_bare = scene.is_skin
    made = (0.3 * face.shading.astype(np.float32) + face.highlight) * face.gain
    shown = linear_from_srgb(torch.from_numpy(face.image_srgb / 255.0)).numpy()
    np.testing.assert_allclose(shown[is_bare], made.clip(0, 1)[is_bare], atol=0.01)


def test_shards_of_another_configuration_are_not_taken_for_those_asked_for(tmp_path, faces):
    plain = SyntheticFaces(faces.model, [], SyntheticConfig(is_plain=True))
    generate(plain, tmp_path, num_shards=1, shard_size=1)
    first = tmp_path / "000_00000.faces"
    before = first.stat()
    generate(plain, tmp_path, num_shards=2, shard_size=1)
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert [stamp["config"]["is_plain"] for stamp in drawn_with(tmp_path)] == [True]
    with pytest.raises(UsageError, match=r"config\.is_plain true, now false"):
        generate(faces, tmp_path, num_shards=1, shard_size=1)
    lit = SyntheticFaces(faces.model, [np.ones((16, 32, 3), np.float32)], SyntheticConfig(is_plain=True))
    with pytest.raises(UsageError, match="environment_maps"):
        generate(lit, tmp_path, num_shards=1, shard_size=1)
    with pytest.raises(UsageError, match="faces 1, now 2"):
        generate(plain, tmp_path, num_shards=1, shard_size=2)
    first.write_bytes(b"cut off")
    with pytest.raises(UsageError, match="damaged"):
        generate(plain, tmp_path, num_shards=1, shard_size=1)


def frontal_buffers():
    model = load_open_face_model()
    vertices = model.mean_shape
    landmarks = model.landmarks(torch.zeros(model.num_identity), torch.zeros(model.num_expression))
    translation = place_in_crop(landmarks, torch.zeros(3))
    matrix = cam_from_pose(torch.cat([torch.zeros(3), translation]))
    buffers = geometry_buffers(model.topology, vertices[None], matrix[None], CROP_CAMERA)
    in_light_axes = transform_points(matrix, vertices) * torch.tensor([1.0, -1.0, -1.0])
    return buffers, (in_light_axes, model.topology.faces)


def lamp(direction: list[float]) -> SceneLight:
    unit = torch.nn.functional.normalize(torch.tensor([direction]), dim=-1)
    return SceneLight(unit, torch.ones(1, 3), torch.tensor([0.001]), torch.zeros(9, 3))


def test_a_lamp_from_above_casts_a_shadow_that_lambert_alone_does_not():
    buffers, casters = frontal_buffers()
    light = lamp([0.0, 1.0, 0.35])
    shaded = shade_head(buffers, casters, torch.ones(224, 224), light, MATTE)
    cosine = (buffers.normal_light[0] * light.directions[0][:, None, None]).sum(0).clamp_min(0) / torch.pi
    is_lit = buffers.face_mask[0] & (cosine > 0.05)
    in_shadow = is_lit & (shaded.shading[1] < 0.2 * cosine)
    in_light = is_lit & (shaded.shading[1] > 0.8 * cosine)
    assert float(in_shadow.sum() / is_lit.sum()) > 0.02
    assert float(in_light.sum() / is_lit.sum()) > 0.5
    assert float((shaded.shading[1] - cosine)[is_lit].max()) < 0.02


def test_a_strand_takes_the_light_from_the_skin_beside_it():
    buffers, casters = frontal_buffers()
    columns = np.mgrid[:224, :224][1]
    strand = (np.abs(columns - 112) < 3).astype(np.float32)
    direction = [0.5, 0.0, 0.9]
    plain = shade_head(buffers, casters, torch.ones(224, 224), lamp(direction), MATTE)
    behind = shade_head(
        buffers, casters, torch.ones(224, 224), lamp(direction), MATTE, [Screen(strand, 0.01)]
    )
    taken = (plain.shading - behind.shading)[1].numpy()[60:90]
    # The lamp stands to +X: the shadow falls to the left by the distance times the slope, about 6 pixels.
    centre = (taken * columns[60:90]).sum() / taken.sum()
    assert centre == pytest.approx(112 - 0.01 * 0.5 / 0.9 * 1015 / 1.05, abs=2.0)
    assert taken.max() > 0.5 * float(plain.shading[1].max())
    from_below = shade_head(
        buffers, casters, torch.ones(224, 224), lamp([0.0, -1.0, 0.0]), MATTE, [Screen(strand, 0.01)]
    )
    unscreened = shade_head(buffers, casters, torch.ones(224, 224), lamp([0.0, -1.0, 0.0]), MATTE)
    torch.testing.assert_close(from_below.shading, unscreened.shading)


def test_oily_skin_shines_and_matte_skin_does_not():
    buffers, casters = frontal_buffers()
    skin = buffers.face_mask[0] & (buffers.part[0] == 0)
    oily = dataclasses.replace(MATTE, specular_strength=2.0)
    dull = shade_head(buffers, casters, torch.ones(224, 224), lamp([0.2, 0.5, 1.0]), MATTE)
    shiny = shade_head(buffers, casters, torch.ones(224, 224), lamp([0.2, 0.5, 1.0]), oily)
    assert float(dull.highlight[:, skin].max()) == 0.0
    assert float(shiny.highlight[:, skin].max()) > 0.05
    torch.testing.assert_close(shiny.shading, dull.shading)


def test_teeth_and_tongue_of_an_open_mouth_see_some_of_the_light_around_the_head():
    model = load_open_face_model()
    expression = torch.zeros(model.num_expression)
    expression[model.expression_names.index("jawOpen")] = 0.8
    vertices = model.shape(torch.zeros(model.num_identity), expression)
    translation = place_in_crop(model.landmarks(torch.zeros(model.num_identity), expression), torch.zeros(3))
    matrix = cam_from_pose(torch.cat([torch.zeros(3), translation]))
    buffers = geometry_buffers(model.topology, vertices[None], matrix[None], CROP_CAMERA)
    casters = (transform_points(matrix, vertices) * torch.tensor([1.0, -1.0, -1.0]), model.topology.faces)
    sky = torch.zeros(9, 3)
    sky[0] = 2 * np.sqrt(np.pi)
    light = SceneLight(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0), sky)
    shaded = shade_head(buffers, casters, torch.zeros(224, 224), light, MATTE)
    is_tongue = buffers.part[0] == FacePart.TONGUE
    assert is_tongue.sum() > 20
    assert float(shaded.shading[:, is_tongue].min()) == pytest.approx(0.3, abs=0.02)
    assert float(shaded.shading[:, buffers.part[0] == FacePart.SKIN].max()) == 0.0


def test_expressions_stay_in_range_and_poses_within_the_stated_yaw():
    rng = np.random.default_rng(0)
    names = load_open_face_model().expression_names
    expressions = np.stack([random_expression(names, HeadConfig(), rng) for _ in range(100)])
    assert expressions.min() >= 0.0
    assert expressions.max() <= 1.0
    assert 0.02 < (expressions > 0.05).mean() < 0.5
    turns = torch.stack([random_rotvec(PoseConfig(), rng) for _ in range(200)]).norm(dim=-1)
    assert 0.7 < float(turns.max()) < 1.6


@pytest.mark.parametrize("kind", ["strands", "glasses", "hand", "clothes"])
def test_occluders_cover_part_of_the_picture_and_are_excluded(face, kind):
    points = face.landmarks_px.astype(float)
    covered, light = [], np.array([0.9, 0.8, 0.7])
    for seed in range(5):
        rng = np.random.default_rng(seed)
        if kind == "strands":
            layer = occluders.hair_strands(points, 224, light, StrandsConfig(), rng)
        elif kind == "glasses":
            layer = occluders.glasses(points, 224, light, GlassesConfig(), rng)
        elif kind == "clothes":
            layer = occluders.clothes(points, 224, light, ClothesConfig(), rng)
        else:
            layer = occluders.hand(points, 224, light, HandConfig(), rng)
        assert layer.colour_linear.min() >= 0.0
        assert 0.0 <= layer.alpha.min() <= layer.alpha.max() <= 1.0
        assert (layer.excluded >= layer.alpha - 1e-5).all()
        covered.append(layer.excluded.mean())
    # A hand may miss the picture, not every time.
    assert 0.01 < max(covered) < 0.7


def test_missing_maps_are_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no environment maps"):
        load_environment_maps(tmp_path / "none.npz")


def test_held_out_maps_stay_out_of_training(tmp_path):
    maps = {name: np.ones((16, 32, 3), np.float16) for name in ("city", "bridge", "park")}
    np.savez(tmp_path / "maps.npz", **maps)
    assert list(load_environment_maps(tmp_path / "maps.npz")) == ["bridge"]
    assert sorted(load_environment_maps(tmp_path / "maps.npz", held_out=True)) == ["city", "park"]
    np.savez(tmp_path / "more.npz", dancing_hall=np.ones((16, 32, 3), np.float16))
    both = load_environment_maps([tmp_path / "maps.npz", tmp_path / "more.npz"])
    assert sorted(both) == ["bridge", "dancing_hall"]
