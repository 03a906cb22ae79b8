"""What tells the tone of a skin apart from its light: colours beside the skin's own."""

import pytest
import torch

from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting.tone_cues import (
    BANDS,
    CUE_MAP_SIZE,
    CUE_PICTURE_SIZE,
    NUM_CUES,
    ToneCues,
    ToneRegions,
    bare_skin_above_lips,
    join_picture,
    read_tone_cues,
    split_picture,
    spread_of_hues,
    tone_regions,
)
from facelume.reflectance import hue
from facelume.types import EYE_PARTS, FacePart, is_part
from facelume.uv import interpolate_texels, texel_map

PAIRED = {"eye", "brow", "beside_eye"}
ORDER = [(name, side) for name in BANDS for side in range(2 if name in PAIRED else 1)]
SIZE = CUE_MAP_SIZE


@pytest.fixture(scope="module")
def model(device) -> FaceModel:
    return load_open_face_model().to(device)


def masks(model: FaceModel) -> list[torch.Tensor]:
    return [model.uv_mask(name, SIZE) for name in ("face", "eyes", "brows", "lips")]


@pytest.fixture(scope="module")
def regions(model) -> ToneRegions:
    part = texel_map(model.topology, SIZE).part
    return tone_regions(*masks(model), is_part(part, EYE_PARTS))


@pytest.fixture(scope="module")
def photo(model, device) -> torch.Tensor:
    """Two faces of the open model under uneven light, nothing brighter than 0.45."""
    draw = torch.Generator().manual_seed(0)
    albedo = model.albedo_map(torch.randn(2, model.num_albedo, generator=draw).to(device), SIZE)
    grain = 0.2 * torch.randn(2, 3, SIZE, SIZE, generator=draw).to(device)
    across = torch.linspace(0.4, 0.8, SIZE, device=device)
    return (albedo * across * torch.exp(grain)).clamp(0.002, 0.45)


def everywhere(photo: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(photo[:, 0])


def parts_of(
    values: torch.Tensor,
) -> tuple[dict[tuple[str, int], torch.Tensor], dict[tuple[str, int], torch.Tensor]]:
    """Log colours (b, bands, 3) and state (b, 2: clipped share, known) of each region of the cues."""
    counts = [3 * BANDS[name] for name, _ in ORDER]
    *logs, states, _ = values.split([*counts, 2 * len(ORDER), 2], dim=1)
    return (
        {key: part.unflatten(1, (-1, 3)) for key, part in zip(ORDER, logs, strict=True)},
        dict(zip(ORDER, states.unflatten(1, (-1, 2)).unbind(dim=1), strict=True)),
    )


@pytest.mark.parametrize("gain", [(0.3, 0.3, 0.3), (2.0, 2.0, 2.0), (1.4, 1.0, 0.5), (0.6, 0.9, 1.3)])
def test_cues_change_neither_with_exposure_nor_with_tint_but_for_the_two_that_say_it(
    photo, regions, gain, device
):
    colour = torch.tensor(gain, device=device)
    plain = read_tone_cues(photo, everywhere(photo), regions)
    changed = read_tone_cues(photo * colour[:, None, None], everywhere(photo), regions)
    torch.testing.assert_close(changed.values[:, :-2], plain.values[:, :-2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(changed.values[:, -2:], hue(changed.skin))
    torch.testing.assert_close(
        changed.values[:, -2:] - plain.values[:, -2:], hue(colour[None]).expand(2, -1), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(changed.picture, plain.picture, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(changed.skin, plain.skin * colour, atol=1e-6, rtol=1e-5)


def test_the_picture_shows_the_atlas_relative_to_the_skin_and_what_is_hidden_or_clipped(
    photo, regions, device
):
    visibility = everywhere(photo)
    visibility[:, :, : SIZE // 4] = 0.0
    shown = photo.clone()
    shown[:, :, : SIZE // 4] = 1.0
    shown[:, 0, -SIZE // 4 :, -SIZE // 4 :] = 1.0
    hidden = shown.clone()
    hidden[..., : SIZE // 4] = 0.9
    cues = read_tone_cues(hidden, visibility, regions)
    colours, states = split_picture(cues.picture)
    side = CUE_PICTURE_SIZE // 4
    assert float(cues.picture[..., :side].abs().max()) == 0.0
    block = SIZE // CUE_PICTURE_SIZE
    blocks = shown.unflatten(-1, (-1, block)).unflatten(-3, (-1, block)).mean(dim=(-1, -3))
    expected = blocks / cues.skin[..., None, None]
    torch.testing.assert_close(colours[..., side:], expected[..., side:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(states[:, 0, :, side:], torch.ones_like(states[:, 0, :, side:]))
    assert bool((states[:, 1, -side:, -side:] == 1).all())
    assert float(states[:, 1, side:-side, side:].max()) == 0.0
    torch.testing.assert_close(join_picture(colours, states), cues.picture, atol=1e-5, rtol=1e-4)


def test_two_people_give_different_cues(photo, regions):
    values = read_tone_cues(photo, everywhere(photo), regions).values
    assert values.shape == (2, NUM_CUES)
    assert float((values[0] - values[1]).abs().mean()) > 0.02


def test_the_reference_is_the_middle_of_the_skin(photo, regions):
    cues = read_tone_cues(photo, everywhere(photo), regions)
    skin = photo.flatten(2)[..., regions.skin]
    torch.testing.assert_close(cues.skin, skin.median(dim=-1).values, rtol=0.1, atol=0.0)
    bands, _ = parts_of(cues.values)
    middle = bands["skin", 0][:, BANDS["skin"] // 2 - 1 : BANDS["skin"] // 2 + 1].exp() - 0.08
    torch.testing.assert_close(middle.mean(dim=1), torch.ones_like(cues.skin), rtol=1e-4, atol=0.0)


def painted(regions: ToneRegions, *, device) -> tuple[torch.Tensor, dict[tuple[str, int], torch.Tensor]]:
    """A face whose regions have known colours relative to the skin's; left is the brighter side."""
    skin = torch.tensor([0.2, 0.15, 0.1], device=device)
    relative = {
        "skin": (1.0, 1.0, 1.0),
        "lips": (0.8, 0.5, 0.6),
        "beside_lips": (0.9, 0.9, 0.9),
        "eye": (1.2, 1.5, 2.0),
        "brow": (0.2, 0.25, 0.3),
        "beside_eye": (0.7, 0.75, 0.8),
    }
    flat = skin[:, None].repeat(1, SIZE * SIZE)
    expected = {}
    for name, colour in relative.items():
        colour = torch.tensor(colour, device=device)
        sides = getattr(regions, name)
        for number, texels in enumerate(sides if name in PAIRED else (sides,)):
            on_side = colour * (1.1 if number == 1 else 1.0)  # the subject's left side comes second
            flat[:, texels] = (skin * on_side)[:, None]
            expected[name, 1 - number if name in PAIRED else 0] = on_side
    return flat.reshape(1, 3, SIZE, SIZE), expected


def test_every_region_is_read_relative_to_the_skin_the_brighter_side_first(regions, device):
    texture, expected = painted(regions, device=device)
    bands, states = parts_of(read_tone_cues(texture, everywhere(texture), regions).values)
    for key, colour in expected.items():
        # What lies beside eyes and lips is skin too, so that its darkest bands are not of one colour.
        read = bands[key][:, 3:6] if key[0] == "skin" else bands[key]
        torch.testing.assert_close(read, torch.log(colour + 0.08).expand_as(read), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(states[key], torch.tensor([[0.0, 1.0]], device=device))


def test_bands_hold_equal_numbers_from_dark_to_bright(regions, device):
    """Lips that go from black to three times the skin: the means of six equal steps."""
    texture, _ = painted(regions, device=device)
    count, num_bands = len(regions.lips), BANDS["lips"]
    ramp = torch.linspace(0, 3, count, device=device)[torch.randperm(count)]
    texture.flatten(2)[:, :, regions.lips] = ramp * torch.tensor([0.2, 0.15, 0.1], device=device)[:, None]
    bands, _ = parts_of(read_tone_cues(texture, everywhere(texture), regions).values)
    expected = torch.tensor([3 * (k + 0.5) / num_bands for k in range(num_bands)], device=device)
    found = bands["lips", 0].exp()[0] - 0.08
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3), atol=5e-3, rtol=0)


def test_hidden_texels_are_not_read(photo, regions, device):
    visibility = everywhere(photo)
    hidden = torch.rand(visibility.shape, generator=torch.Generator().manual_seed(1)).to(device) < 0.4
    visibility[hidden] = 0.1
    spoiled = torch.where(hidden[:, None], 0.9, photo)
    first, second = (read_tone_cues(shown, visibility, regions) for shown in (photo, spoiled))
    assert torch.equal(first.values, second.values)
    assert torch.equal(first.skin, second.skin)


def hidden_at(photo: torch.Tensor, texels: torch.Tensor) -> torch.Tensor:
    visibility = everywhere(photo)
    visibility.flatten(1)[:, texels] = 0.0
    return visibility


def test_a_region_that_is_hidden_is_flagged_and_says_nothing(photo, regions):
    plain_bands, _ = parts_of(read_tone_cues(photo, everywhere(photo), regions).values)
    bands, states = parts_of(read_tone_cues(photo, hidden_at(photo, regions.lips), regions).values)
    assert float(bands["lips", 0].abs().max()) == float(states["lips", 0].abs().max()) == 0.0
    for key in ORDER:
        if key[0] != "lips":
            assert torch.equal(bands[key], plain_bands[key])
            assert bool((states[key][:, 1] == 1).all())


def test_of_a_pair_the_side_that_is_seen_comes_first(photo, regions):
    for side in (0, 1):
        bands, states = parts_of(read_tone_cues(photo, hidden_at(photo, regions.eye[side]), regions).values)
        assert bool((states["eye", 0][:, 1] == 1).all())
        assert float(states["eye", 1].abs().max()) == float(bands["eye", 1].abs().max()) == 0.0


def test_where_no_skin_is_seen_nothing_is_known(photo, regions):
    cues = read_tone_cues(photo, hidden_at(photo, regions.skin), regions)
    assert float(cues.skin.abs().max()) == float(cues.values.abs().max()) == 0.0
    assert float(cues.picture.abs().max()) == 0.0


def test_black_photos_give_finite_cues(photo, regions):
    cues = read_tone_cues(torch.zeros_like(photo), everywhere(photo), regions)
    assert bool(torch.isfinite(cues.values).all() & torch.isfinite(cues.picture).all())


def test_clipped_texels_are_counted(photo, regions, device):
    shown = photo.clone()
    some = regions.lips[: len(regions.lips) // 4]
    shown.flatten(2)[:, 0, some] = 1.0
    _, states = parts_of(read_tone_cues(shown, everywhere(shown), regions).values)
    torch.testing.assert_close(
        states["lips", 0][:, 0], torch.full((2,), 0.25, device=device), atol=2e-3, rtol=0
    )
    assert float(states["skin", 0][:, 0].max()) == 0.0


@pytest.mark.parametrize("factor", [2, 4])
def test_larger_textures_give_the_same_cues(photo, regions, factor):
    visibility = hidden_at(photo, regions.eye[0])
    small = read_tone_cues(photo, visibility, regions)
    large = read_tone_cues(
        photo.repeat_interleave(factor, -1).repeat_interleave(factor, -2),
        visibility.repeat_interleave(factor, -1).repeat_interleave(factor, -2),
        regions,
    )
    torch.testing.assert_close(large.values, small.values, atol=1e-4, rtol=1e-4)


def test_in_a_larger_texture_hidden_texels_do_not_bleed_into_seen_ones(photo, regions):
    """Every other texel is white glare that nobody sees."""
    large = photo.repeat_interleave(2, -1)
    visibility = torch.ones_like(large[:, 0])
    visibility[..., 1::2] = 0.0
    large = torch.where(visibility[:, None] > 0, large, 1.0).repeat_interleave(2, -2)
    cues = read_tone_cues(large, visibility.repeat_interleave(2, -2), regions)
    expected = read_tone_cues(photo, everywhere(photo), regions)
    torch.testing.assert_close(cues.values, expected.values, atol=1e-4, rtol=1e-4)


def test_the_mirrored_face_gives_the_same_cues(photo, regions):
    plain = read_tone_cues(photo, everywhere(photo), regions)
    mirrored = read_tone_cues(photo.flip(-1), everywhere(photo), regions)
    # The regions of the two sides differ by a few texels on chart borders.
    torch.testing.assert_close(mirrored.values, plain.values, atol=0.03, rtol=0)


def test_cues_of_a_batch_are_those_of_each_face(photo, regions):
    together = read_tone_cues(photo, everywhere(photo), regions)
    for row in range(2):
        alone: ToneCues = read_tone_cues(photo[row : row + 1], everywhere(photo)[row : row + 1], regions)
        torch.testing.assert_close(together.values[row : row + 1], alone.values)


def test_a_photo_without_colour_has_one_hue_whatever_it_is_toned_with(photo, device):
    grey = photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    sepia = grey * torch.tensor([1.2, 1.0, 0.7], device=device)[:, None, None]
    visibility = everywhere(photo)
    assert float(spread_of_hues(grey, visibility).max()) < 1e-5
    assert float(spread_of_hues(sepia, visibility).max()) < 1e-5
    assert float(spread_of_hues(photo, visibility).min()) > 0.05
    # What is hidden does not count.
    half = visibility.clone()
    half[..., : SIZE // 2] = 0.0
    mixed = grey.clone()
    mixed[..., : SIZE // 2] = photo[..., : SIZE // 2]
    assert float(spread_of_hues(mixed, half).max()) < 1e-5


def test_regions_lie_where_their_names_say_on_the_mean_face(model, regions, device):
    texels = texel_map(model.topology, SIZE)
    position = interpolate_texels(texels, model.mean_shape[None])[0].flatten(1)
    part = texels.part.flatten()
    pairs = (regions.eye, regions.brow, regions.beside_eye)
    eye, brow, beside = ([position[:, side] for side in pair] for pair in pairs)
    lips, skin = position[:, regions.lips], position[:, regions.skin]
    for right, left in (eye, brow, beside):
        assert float(right[0].max()) < 0 < float(left[0].min())  # +X is the subject's left
    assert bool(is_part(part[torch.cat(regions.eye)], EYE_PARTS).all())
    for number in (0, 1):
        height = eye[number][1].mean()
        assert 0.01 < float(brow[number][1].mean() - height) < 0.04
        distance = (beside[number] - eye[number].mean(dim=1, keepdim=True)).norm(dim=0)
        assert float(distance.max()) < 0.04
    assert bool((part[regions.skin] == FacePart.SKIN).all())
    assert float(lips[1].max()) < float(skin[1].min())
    assert float(skin[1].max()) > float(torch.cat(brow, dim=1)[1].max())
    names = {name: getattr(regions, name) for name in BANDS}
    flat = {name: torch.cat(value) if isinstance(value, tuple) else value for name, value in names.items()}
    for name in ("lips", "brow", "eye"):
        assert not bool(torch.isin(flat["skin"], flat[name]).any()), name
    assert not bool(torch.isin(flat["beside_lips"], flat["lips"]).any())
    assert not bool(torch.isin(flat["beside_eye"], flat["eye"]).any())


def test_bare_skin_ends_above_the_lips(model):
    face, eyes, brows, lips = masks(model)
    bare = bare_skin_above_lips(face, eyes, brows, lips)
    rows = (lips > 0.5).any(dim=1).nonzero()[:, 0]
    assert not bool(bare[int(rows.min()) - 1 :].any())
    assert float((bare & (face > 0.9)).sum() / bare.sum()) == 1.0
    assert 0.3 < float(bare.sum() / (face > 0.9).sum()) < 0.8
    for other in (eyes, brows, lips):
        assert float(other[bare].max()) < 0.1


def test_every_cue_is_used_by_some_region():
    assert sum(3 * BANDS[name] + 2 for name, _ in ORDER) + 2 == NUM_CUES
