"""Synthetic faces: pictures of random heads of the face model with exact labels.

A picture shows what a Lambertian face under soft light cannot: cast shadows, highlights, light that bleeds
under the skin, hair, glasses, hands, a background and the flaws of a camera. Its labels (albedo, light,
coefficients, landmarks, parsing) are exact.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, UInt8
from PIL import Image
from torch import Tensor

from facelume.data.fingerprint import Fingerprint, plain
from facelume.data.synthetic.camera import decoded, exposure_gain, random_flaws, take_picture
from facelume.data.synthetic.config import SyntheticConfig
from facelume.data.synthetic.scene import SyntheticScene, SyntheticScenes
from facelume.data.synthetic.skin import SyntheticSkin, SyntheticSkins
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.raster import sample_map
from facelume.reflectance import srgb_from_linear

ALBEDO_SIZE = 256
HELD_OUT_MAPS = ("city", "park", "hall", "sunrise", "spruit_sunrise")
"""Environment maps that no training may use."""
_LARGEST_RADIANCE = 60000.0


@dataclass(frozen=True)
class SyntheticFace:
    """One picture and its labels.

    Attributes:
        picture_file: The crop as the file that the camera wrote, JPEG or PNG.
        parsing: M_parsing x 255: bare face, without hair, glasses, hands, ears and neck.
        albedo_srgb: True albedo in the atlas, sRGB-encoded.
        light_sh: SH radiance (order 2) of all light, light frame, after exposure and white balance.
        gain: Exposure and white balance: factor on each linear colour, before contrast and clipping.
        identity: In standard deviations.
        expression: ARKit weights.
        albedo: Coefficients of the face model's albedo that is nearest, hair and make-up left out.
        skin_linear: Mean colour of the bare skin, under hair and make-up, linear.
        pose: Rotation vector and translation (metres) in the crop camera.
        landmarks_px: The 478 points in crop pixels.
        shading: Irradiance / pi at each pixel before ``gain``, shadows included, linear; 0 off the head.
        highlight: Light reflected at the surface of the skin, likewise; neither knows what covers the face.
        person: Number of the person: pictures of one person show the same head and skin.
    """

    picture_file: UInt8[np.ndarray, " b"]
    parsing: UInt8[np.ndarray, "224 224"]
    albedo_srgb: UInt8[np.ndarray, "s s 3"]
    light_sh: Float[np.ndarray, "9 3"]
    gain: Float[np.ndarray, " 3"]
    identity: Float[np.ndarray, " I"]
    expression: Float[np.ndarray, " E"]
    albedo: Float[np.ndarray, " A"]
    skin_linear: Float[np.ndarray, " 3"]
    pose: Float[np.ndarray, " 6"]
    landmarks_px: Float[np.ndarray, "478 2"]
    shading: Float16[np.ndarray, "224 224 3"]
    highlight: Float16[np.ndarray, "224 224 3"]
    person: int = 0

    @property
    def image_srgb(self) -> UInt8[np.ndarray, "224 224 3"]:
        """The crop."""
        return decoded(self.picture_file)


def load_environment_maps(
    paths: Path | Sequence[Path], *, held_out: bool = False
) -> dict[str, Float[np.ndarray, "H W 3"]]:
    """Read the training (or the held-out) maps of one or several ``.npz`` of lat-long HDR maps.

    Raises:
        UsageError: There is no such file.
    """
    maps: dict[str, Float[np.ndarray, "H W 3"]] = {}
    for path in [paths] if isinstance(paths, Path) else paths:
        if not path.is_file():
            raise UsageError(
                f"no environment maps at {path}: point the configuration at the .npz with the maps"
            )
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in archive.files if (name in HELD_OUT_MAPS) == held_out]
            maps |= {name: np.minimum(archive[name].astype(np.float32), _LARGEST_RADIANCE) for name in names}
    return maps


class SyntheticFaces:
    """Draws pictures of one face model.

    Attributes:
        model: The face model.
        environment_maps: Lat-long maps of radiance.
        config: What they look like.
        fingerprint: What a picture depends on, the source of randomness apart.

    Args:
        model: The face model.
        environment_maps: Lat-long maps of radiance; none for studio lamps alone.
        config: What the pictures look like.
    """

    def __init__(
        self,
        model: FaceModel,
        environment_maps: Sequence[Float[np.ndarray, "H W 3"]],
        config: SyntheticConfig,
    ) -> None:
        self.model = model
        self.environment_maps = list(environment_maps)
        self.config = config
        self.fingerprint: Fingerprint = {
            "face_model": model.asset_sha256,
            "config": plain(asdict(config)),
            "environment_maps": _digest(environment_maps),
        }

    @cached_property
    def scenes(self) -> SyntheticScenes:
        """Draws the scenes; set up when the first is drawn."""
        return SyntheticScenes(self.model, self.environment_maps, self.config)

    @cached_property
    def skins(self) -> SyntheticSkins:
        """Draws the skins, likewise."""
        return SyntheticSkins(self.model, self.config.skin, ALBEDO_SIZE)

    def draw(
        self, rng: np.random.Generator, skin: SyntheticSkin | Float[Tensor, "3 s s"] | None = None
    ) -> SyntheticFace:
        """Draw one picture with its labels.

        Args:
            rng: Source of everything random.
            skin: See :meth:`photograph`.
        """
        return self.photograph(self.scenes.draw(rng), rng, skin)

    def photograph(
        self,
        scene: SyntheticScene,
        rng: np.random.Generator,
        skin: SyntheticSkin | Float[Tensor, "3 s s"] | None = None,
    ) -> SyntheticFace:
        """Give the head of a scene a skin and take its picture.

        Args:
            scene: The lit head.
            rng: Source of skin, exposure and camera.
            skin: The skin, or a linear albedo map (whose coefficients are then 0); a new one where not given.

        Raises:
            AssetError: The model has no example skins and none is given.
        """
        if skin is None:
            skin = self.skins.draw(rng)
        elif isinstance(skin, Tensor):
            skin = self.skins.wear(skin)
        picture = _lit_picture(scene, skin)
        light_colour, skin_linear = scene.light_sh[0].clip(1e-4), skin.colour.numpy()
        gain = exposure_gain(picture, scene.is_skin, light_colour, skin_linear, self.config.camera, rng)
        if self.config.is_plain:
            file = _plain_file(picture * gain)
        else:
            file = take_picture(picture * gain, random_flaws(self.config.camera, rng), rng)
        return SyntheticFace(
            picture_file=np.frombuffer(file, np.uint8),
            parsing=(scene.parsing * 255 + 0.5).astype(np.uint8),
            albedo_srgb=(srgb_from_linear(skin.albedo).movedim(0, -1) * 255 + 0.5).to(torch.uint8).numpy(),
            light_sh=(scene.light_sh * gain).astype(np.float32),
            gain=gain,
            identity=scene.identity.astype(np.float32),
            expression=scene.expression.astype(np.float32),
            albedo=skin.coeffs.numpy(),
            skin_linear=skin_linear.astype(np.float32),
            pose=scene.pose.astype(np.float32),
            landmarks_px=scene.landmarks_px.astype(np.float32),
            shading=_half(scene.shading),
            highlight=_half(scene.highlight),
        )

    def draw_group(self, rng: np.random.Generator, first_person: int = 0) -> list[SyntheticFace]:
        """Draw a head in several scenes, and photograph it in each of them with each of several skins.

        Args:
            rng: Source of everything random.
            first_person: Number of the first of its people.
        """
        group, identity = self.config.group, self.scenes.draw_identity(rng)
        scenes = [self.scenes.draw(rng, identity) for _ in range(group.num_scenes)]
        faces = []
        for person in range(first_person, first_person + group.num_skins):
            skin = self.skins.draw(rng)
            faces += [replace(self.photograph(scene, rng, skin), person=person) for scene in scenes]
        return faces


def stack(faces: Sequence[SyntheticFace]) -> dict[str, np.ndarray]:
    """Arrays by field, one row per picture, as :func:`facelume.data.synthetic.read_shard` gives them."""
    names = [f.name for f in fields(SyntheticFace) if f.name != "picture_file"]
    return {name: np.stack([getattr(face, name) for face in faces]) for name in (*names, "image_srgb")}


def _half(light: Float[np.ndarray, "h w 3"]) -> Float16[np.ndarray, "h w 3"]:
    return light.clip(0, np.finfo(np.float16).max).astype(np.float16)


def _lit_picture(scene: SyntheticScene, skin: SyntheticSkin) -> Float[np.ndarray, "224 224 3"]:
    """What the camera sees, linear, before exposure."""
    uv = torch.from_numpy(scene.uv.astype(np.float32))[None]
    albedo = sample_map(skin.albedo[None], uv)[0].movedim(0, -1).numpy()
    head = albedo * scene.shading + scene.highlight
    picture = np.where(scene.is_head[..., None], head, scene.behind)
    covers = scene.overlay + scene.overlay_hair * skin.hair + scene.overlay_skin * skin.colour.numpy()
    return picture * (1 - scene.overlay_alpha[..., None]) + covers


def _plain_file(image_linear: Float[np.ndarray, "H W 3"]) -> bytes:
    """A PNG of exposed linear light; values above 1 are clipped."""
    encoded = srgb_from_linear(torch.from_numpy(image_linear)).numpy()
    file = io.BytesIO()
    Image.fromarray((encoded * 255 + 0.5).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _digest(maps: Sequence[Float[np.ndarray, "H W 3"]]) -> str:
    digest = hashlib.sha256()
    for radiance in maps:
        digest.update(np.ascontiguousarray(radiance, np.float32).tobytes())
    return digest.hexdigest()
