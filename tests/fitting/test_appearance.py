"""What explains an unwrapped photo: lamps that the head hides, and what the albedo has beyond its tone."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from facelume.camera import cam_from_model
from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting import fit_light_and_albedo
from facelume.fitting.appearance import (
    Appearance,
    AppearanceConfig,
    LinearAlbedo,
    average_down,
    fit_appearance,
    refit_lamps,
    tone_of_basis,
)
from facelume.illumination import (
    NUM_LAMPS,
    LampView,
    fit_sh_radiance,
    irradiance_image,
    lamp_directions,
    lamp_transport,
)
from facelume.refinement.albedo_basis import linear_albedo
from facelume.uv import lamp_visibility, pose_texels, texel_map

SIZE = 64


@pytest.fixture(scope="module")
def model(device) -> FaceModel:
    return load_open_face_model().to(device)


@pytest.fixture(scope="module")
def basis(model) -> LinearAlbedo:
    return linear_albedo(model, size=SIZE)


@dataclass(frozen=True)
class Head:
    """The mean head seen from the front: normals, what it sees of the lamps, what the camera sees of it."""

    basis: LinearAlbedo
    normals: torch.Tensor
    lamps: LampView
    visibility: torch.Tensor

    @property
    def counted(self) -> torch.Tensor:
        """Texels that are fitted."""
        return (self.basis.mask * self.visibility[0]) > 0

    def shading(self, strengths: torch.Tensor) -> torch.Tensor:
        """Of every texel, cast shadows included."""
        normals = self.normals.flatten(2).transpose(1, 2)
        transport = lamp_transport(self.lamps.directions, self.lamps.seen.flatten(1), normals)
        return (transport @ strengths).transpose(1, 2).unflatten(2, (SIZE, SIZE))

    def lit_from(
        self, *towards: float, sky: float, colour: tuple[float, ...] = (1.0, 0.9, 0.8)
    ) -> torch.Tensor:
        """One hard lamp and a grey sky."""
        strengths = torch.full((1, NUM_LAMPS, 3), sky * 4 / NUM_LAMPS).to(self.normals)
        strengths[:, self.nearest(*towards)] = torch.tensor(colour).to(self.normals)
        return strengths

    def nearest(self, *towards: float) -> int:
        """The lamp that is nearest to a direction in the light frame."""
        return int((self.lamps.directions[0] @ self.normals.new_tensor(towards)).argmax())

    def fit(self, texture: torch.Tensor, tone: torch.Tensor, **config: float) -> Appearance:
        """Lamps and albedo of a photo of this head."""
        given = (self.basis, texture, self.visibility, self.normals, self.lamps, tone)
        return fit_appearance(*given, config=AppearanceConfig(**config))


@pytest.fixture(scope="module")
def head(model, basis, device) -> Head:
    matrix = cam_from_model(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.05]])).to(device)
    texels = pose_texels(texel_map(model.topology, SIZE), model.topology, model.mean_shape[None], matrix)
    directions = lamp_directions().to(device)  # of a frontal face, light axes are model axes
    seen = lamp_visibility(model.topology, model.mean_shape, directions, SIZE)
    faces_camera = ((texels.normal_light[:, 2] > 0.2) & (texels.part >= 0)).float()
    return Head(basis, texels.normal_light, LampView(directions[None], seen), faces_camera)


def albedo_of(basis: LinearAlbedo, coeffs: torch.Tensor) -> torch.Tensor:
    return (basis.mean + torch.einsum("ba,achw->bchw", coeffs, basis.rows)).clamp(0.01, 1.0)


def person(basis: LinearAlbedo, seed: int, *, device, sigma: float = 0.4) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return sigma * torch.randn(1, len(basis.rows), generator=draw).to(device)


def tone_of(basis: LinearAlbedo, albedo: torch.Tensor) -> torch.Tensor:
    """Log of the mean colour of the skin."""
    return torch.log(albedo[:, :, basis.tone_mask].mean(dim=-1))


def toned(basis: LinearAlbedo, fit: Appearance) -> torch.Tensor:
    """Albedo of a fit, to first order."""
    change = torch.einsum("ba,achw->bchw", fit.albedo, basis.rows)
    return (basis.mean + change) * fit.tone_gain[..., None, None]


def error(found: torch.Tensor, true: torch.Tensor, where: torch.Tensor) -> float:
    """Mean difference relative to the mean."""
    return float((found - true).abs()[0][:, where].mean() / true[0][:, where].mean())


def test_basis_is_first_order_exact_inside_the_range(model, basis, device):
    coeffs = person(basis, 0, sigma=0.3, device=device)
    expected = torch.nn.functional.avg_pool2d(model.albedo_map(coeffs, 4 * SIZE), 4)
    difference = (albedo_of(basis, coeffs) - expected).abs() * basis.mask
    assert float(difference.max()) < 0.01


def test_tone_of_the_basis_is_that_of_its_skin(basis, device):
    mean, rows = tone_of_basis(basis)
    coeffs = person(basis, 1, sigma=0.1, device=device)
    expected = albedo_of(basis, coeffs)[:, :, basis.tone_mask].mean(dim=-1)
    torch.testing.assert_close(mean + coeffs @ rows, expected, rtol=1e-4, atol=1e-5)
    assert 500 < int(basis.tone_mask.sum()) < int((basis.mask > 0).sum())
    assert bool((basis.mask[basis.tone_mask] > 0).all())


@pytest.mark.parametrize("tone", [(0.45, 0.28, 0.2), (0.25, 0.13, 0.07), (0.09, 0.045, 0.025)])
def test_the_skin_has_exactly_the_tone_that_is_asked_for(head, tone, device):
    """Whatever the photo shows: here a medium skin under an orange lamp."""
    texture = albedo_of(head.basis, person(head.basis, 0, device=device))
    texture = texture * head.shading(head.lit_from(0.6, 0.6, 0.6, sky=0.3, colour=(1.5, 0.9, 0.4)))
    wanted = torch.log(torch.tensor([tone], device=device))
    fit = head.fit(texture, wanted)
    torch.testing.assert_close(tone_of(head.basis, toned(head.basis, fit)), wanted, atol=1e-4, rtol=0)
    # What the skin has less of, the light has more of.
    explained = toned(head.basis, fit) * head.shading(fit.lamps)
    assert error(explained, texture, head.counted) < 0.12


def mean_in_tone(basis: LinearAlbedo, tone: torch.Tensor) -> torch.Tensor:
    """The mean face, as light or dark as the person."""
    return basis.mean * (tone - tone_of(basis, basis.mean[None])).exp()[..., None, None]


def test_known_albedo_is_recovered_better_than_by_the_mean_face(head, device):
    errors = []
    for seed, towards in enumerate([(0.9, 0.1, 0.4), (0.6, 0.6, 0.6), (-0.9, 0.0, 0.2)]):
        albedo = albedo_of(head.basis, person(head.basis, seed, device=device))
        tone = tone_of(head.basis, albedo)
        fit = head.fit(albedo * head.shading(head.lit_from(*towards, sky=0.2)), tone)
        found = (toned(head.basis, fit), mean_in_tone(head.basis, tone))
        errors.append([error(maps, albedo, head.counted) for maps in found])
    ours, of_the_mean = torch.tensor(errors).mean(dim=0)
    assert float(ours) < 0.85 * float(of_the_mean)


@pytest.mark.parametrize("towards", [(0.9, 0.1, 0.4), (0.6, 0.6, 0.6), (-0.9, 0.0, 0.2)])
def test_under_a_hard_lamp_albedo_and_light_are_told_apart_better_than_with_order_2(head, towards, device):
    """Both with the same prior of the albedo, and both until they have settled."""
    basis, counted = head.basis, head.counted
    albedo = albedo_of(basis, person(basis, 0, device=device))
    strengths = head.lit_from(*towards, sky=0.1)
    shading, tone = head.shading(strengths), tone_of(basis, albedo)
    fit = head.fit(albedo * shading, tone, coefficient_sigma=1.0, num_rounds=60)
    other = fit_light_and_albedo(
        basis.mean[:, counted].T[None],
        basis.rows[:, :, counted].permute(2, 1, 0)[None],
        (albedo * shading)[0][:, counted].T[None],
        head.normals[0][:, counted].T[None],
        torch.ones(1, int(counted.sum()), device=device),
    )
    order_2 = albedo_of(basis, other.albedo_coeffs)
    gain = (tone - tone_of(basis, order_2)).exp()[..., None, None]
    received = irradiance_image(other.sh_radiance, head.normals).clamp_min(0) / math.pi
    errors = [error(toned(basis, fit), albedo, counted), error(order_2 * gain, albedo, counted)]
    light_errors = [error(light, shading, counted) for light in (head.shading(fit.lamps), received / gain)]
    assert errors[0] < errors[1]
    assert light_errors[0] < 0.7 * light_errors[1]
    found, true = (
        (lamps.mean(dim=-1)[..., None] * head.lamps.directions).sum(dim=1) for lamps in (fit.lamps, strengths)
    )
    assert float(torch.nn.functional.cosine_similarity(found, true)) > 0.95


def test_the_shadow_that_the_head_casts_is_dark_in_the_light(head, device):
    """Even with the true albedo in hand, a light of order 2 lights the shadow of the brow and the nose."""
    basis, counted, lamp = head.basis, head.counted, head.nearest(0.6, 0.6, 0.6)
    albedo = albedo_of(basis, person(basis, 0, device=device))
    shading = head.shading(head.lit_from(0.6, 0.6, 0.6, sky=0.25))
    cosine = (head.normals[0] * head.lamps.directions[0, lamp][:, None, None]).sum(dim=0)
    in_shadow = counted & (head.lamps.seen[lamp] < 0.3) & (cosine > 0.2)
    assert int(in_shadow.sum()) > 15
    fit = head.fit(albedo * shading, tone_of(basis, albedo))
    rows = [maps[0][:, counted].T[None] for maps in (albedo, albedo * shading, head.normals)]
    order_2 = fit_sh_radiance(*rows, torch.ones(1, int(counted.sum()), device=device))
    received = irradiance_image(order_2, head.normals).clamp_min(0) / math.pi
    assert error(head.shading(fit.lamps), shading, in_shadow) < 0.5 * error(received, shading, in_shadow)


def test_a_shadow_that_no_head_casts_does_not_become_skin(head, device):
    """Of a hat, a hand or another person."""
    albedo = head.basis.mean[None]
    texture = albedo * head.shading(head.lit_from(0.3, 0.3, 0.9, sky=0.5))
    shaded = texture.clone()
    shaded[..., 20:30, 36:50] *= 0.3
    plain, fit = (head.fit(given, tone_of(head.basis, albedo)) for given in (texture, shaded))
    tone = (toned(head.basis, fit) / toned(head.basis, plain)).mean(dim=1)[0]
    inside, outside = tone[20:30, 36:50].mean(), tone[35:50, 20:44].mean()
    assert float(inside / outside) > 0.9


def test_highlights_do_not_become_light(head, device):
    albedo = head.basis.mean[None]
    texture = albedo * head.shading(head.lit_from(0.3, 0.3, 0.9, sky=0.3))
    shiny = texture.clone()
    shiny[..., 14:19, 30:35] += 0.8
    plain, fit = (head.fit(given, tone_of(head.basis, albedo)) for given in (texture, shiny))
    assert error(head.shading(fit.lamps), head.shading(plain.lamps), head.counted) < 0.05


def over_exposed(head: Head, *, device) -> tuple[torch.Tensor, torch.Tensor]:
    """True albedo, and a photo under white light, much of whose skin is clipped in red."""
    albedo = albedo_of(head.basis, person(head.basis, 2, device=device))
    strengths = head.lit_from(0.5, 0.3, 0.8, sky=1.0, colour=(3.5, 3.5, 3.5))
    return albedo, (albedo * head.shading(strengths)).clamp(max=1.0)


def test_clipped_colours_do_not_tint_the_light(head, device):
    albedo, photo = over_exposed(head, device=device)
    is_clipped = head.counted & (photo[0, 0] == 1.0) & (photo[0, 1] < 0.9)
    assert float(is_clipped.sum() / head.counted.sum()) > 0.2
    tone = tone_of(head.basis, albedo)
    hues = []
    for clipped in (0.93, 2.0):  # as it is, and as if nothing were known of clipping
        found = head.shading(head.fit(photo, tone, clipped=clipped).lamps)
        hues.append(float(torch.log(found[0, 0] / found[0, 1])[is_clipped].mean()))
    assert abs(hues[0]) < 0.5 * abs(hues[1])


@pytest.mark.parametrize("colour", [(0.5, 0.5, 0.5), (1.2, 0.9, 0.6)])
def test_a_photo_times_a_colour_has_the_same_albedo_and_lamps_times_that_colour(head, colour, device):
    albedo = albedo_of(head.basis, person(head.basis, 1, device=device))
    texture = 0.8 * albedo * head.shading(head.lit_from(0.6, 0.6, 0.6, sky=0.3))
    gain, tone = torch.tensor(colour, device=device), tone_of(head.basis, albedo)
    plain, coloured = head.fit(texture, tone), head.fit(texture * gain[:, None, None], tone)
    first, second = toned(head.basis, plain), toned(head.basis, coloured)
    assert error(second, first, head.counted) < 0.01
    expected = head.shading(plain.lamps) * gain[:, None, None]
    assert error(head.shading(coloured.lamps), expected, head.counted) < 0.015


def test_texels_that_are_not_seen_do_not_count(head, device):
    albedo = albedo_of(head.basis, person(head.basis, 1, device=device))
    texture = albedo * head.shading(head.lit_from(0.6, 0.6, 0.6, sky=0.3))
    hidden = replace(head, visibility=head.visibility.clone())
    hidden.visibility[..., 40:, :] = 0.0
    spoiled = texture.clone()
    spoiled[..., 40:, :] = 0.9
    first, second = (hidden.fit(given, tone_of(head.basis, albedo)) for given in (texture, spoiled))
    for name, value in vars(first).items():
        torch.testing.assert_close(getattr(second, name), value, msg=name)


def test_where_nothing_is_seen_the_mean_skin_has_the_tone_and_the_light_is_white(head, device):
    blind = replace(head, visibility=torch.zeros_like(head.visibility))
    wanted = torch.log(torch.tensor([[0.3, 0.17, 0.1]], device=device))
    fit = blind.fit(torch.rand(1, 3, SIZE, SIZE, device=device), wanted)
    torch.testing.assert_close(tone_of(head.basis, toned(head.basis, fit)), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(fit.lamps, torch.full_like(fit.lamps, 4 / NUM_LAMPS))


def test_a_batch_gives_what_each_face_gives_alone(head, device):
    albedos = torch.cat([albedo_of(head.basis, person(head.basis, seed, device=device)) for seed in (0, 1)])
    strengths = torch.cat([head.lit_from(0.6, 0.6, 0.6, sky=0.3), 3 * head.lit_from(-0.9, 0.0, 0.2, sky=0.1)])
    view = LampView(head.lamps.directions.expand(2, -1, -1), head.lamps.seen)
    both = replace(
        head,
        normals=head.normals.expand(2, -1, -1, -1),
        lamps=view,
        visibility=head.visibility.expand(2, -1, -1),
    )
    texture = albedos * both.shading(strengths)
    together = both.fit(texture, tone_of(head.basis, albedos))
    for row in range(2):
        alone = head.fit(texture[row : row + 1], tone_of(head.basis, albedos[row : row + 1]))
        for name, value in vars(alone).items():
            found = getattr(together, name)[row : row + 1]
            torch.testing.assert_close(found, value, atol=2e-3, rtol=2e-3, msg=name)


def test_coarse_texels_are_means_of_what_is_seen_in_them(device):
    texture = torch.rand(1, 3, 8, 8, device=device)
    visibility = torch.zeros(1, 8, 8, device=device)
    visibility[..., ::2] = 1.0
    normals = torch.zeros(1, 3, 8, 8, device=device)
    normals[:, 0, :, ::2], normals[:, 1, :, 1::2] = 1.0, 1.0
    seen, image, facing = average_down(texture, visibility, normals, 4)
    torch.testing.assert_close(seen, torch.full((1, 1, 4, 4), 0.5, device=device))
    torch.testing.assert_close(image, torch.nn.functional.avg_pool2d(texture, (2, 1))[..., ::2])
    torch.testing.assert_close(facing[:, :2], torch.full((1, 2, 4, 4), 0.5**0.5, device=device))


def test_lamps_are_found_again_once_the_albedo_is_known(head, device):
    """From a start that another albedo left: with pigment in it that the light was taken for."""
    albedo = albedo_of(head.basis, person(head.basis, 3, sigma=1.0, device=device))
    shading = head.shading(head.lit_from(0.6, 0.6, 0.6, sky=0.3))
    start = head.fit(albedo * shading, tone_of(head.basis, albedo)).lamps
    found = refit_lamps(
        head.basis, albedo, albedo * shading, head.visibility, head.normals, head.lamps, start
    )
    before, after = (error(head.shading(lamps), shading, head.counted) for lamps in (start, found))
    assert after < 0.6 * before
    assert after < 0.04


def test_refitted_lamps_know_what_is_clipped(head, device):
    albedo, photo = over_exposed(head, device=device)
    is_clipped = head.counted & (photo[0, 0] == 1.0) & (photo[0, 1] < 0.9)
    start = torch.full((1, NUM_LAMPS, 3), 8 / NUM_LAMPS, device=device)
    lamps = refit_lamps(head.basis, albedo, photo, head.visibility, head.normals, head.lamps, start)
    found = head.shading(lamps)
    assert abs(float(torch.log(found[0, 0] / found[0, 1])[is_clipped].mean())) < 0.06


def test_the_linear_albedo_is_where_its_model_is():
    # "meta" is a second device on any machine: an operation on tensors of two devices raises.
    model = load_open_face_model()
    masks = {name: mask.to("meta") for name, mask in model.uv_masks.items()}
    on_meta = replace(model, albedo=model.albedo.to("meta"), uv_masks=masks)
    assert {value.device.type for value in vars(linear_albedo(on_meta)).values()} == {"meta"}
