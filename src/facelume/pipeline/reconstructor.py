"""Photo in, reconstruction out: the only place that wires all stages."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import cattrs
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from facelume.camera import CROP_CAMERA, CROP_FACE_SIZE_PX, CROP_SIZE_PX
from facelume.choices import DeviceName, UvSize
from facelume.detection import FaceLocator, NetworkLocator
from facelume.errors import NoFaceError, UsageError
from facelume.face_model.sources import load_face_model
from facelume.fitting import LandmarkBasis, landmark_basis
from facelume.fitting.appearance import (
    Appearance,
    LinearAlbedo,
    fit_appearance,
    linear_albedo,
    refit_light,
)
from facelume.illumination import light_array
from facelume.io.photo import Photo, read_photo
from facelume.networks.prior import PriorConfig, PriorNetwork
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.pipeline.alignment import AlignedFace, AlignmentLimits, align_face, overlap
from facelume.pipeline.face_result import LIGHT_MAP_SIZE, FaceMaps, PhotoView
from facelume.pipeline.posed_face import PosedFace
from facelume.pipeline.previews import reduce_photo
from facelume.pipeline.reconstruction import Reconstruction
from facelume.raster import render
from facelume.refinement.light_map import (
    inner_mouth_gain,
    light_inner_mouth,
    settle_light,
)
from facelume.refinement.refine import RefinerInput, RefinerOutput, refine
from facelume.reflectance import linear_from_srgb
from facelume.types import MOUTH_PARTS, is_part
from facelume.uv import PosedTexels, TexelMap, UnwrapResult, pose_texels, resize_map, texel_map, unwrap
from facelume.weights import WeightRecord, build_and_load, find_record

PhotoSource = str | Path | Image.Image | np.ndarray | Photo
_UV_SIZES = get_args(UvSize)
_SAME_FACE_OVERLAP = 0.5
_FEW_TEXELS_SEEN = 0.15
FAINTEST_FACE = 0.4
"""Score of the locator below which nothing is tried; what is tried must still pass the alignment's check."""
_MUCH_CUT_OFF = 0.05
_Tensors = TypeVar("_Tensors", LandmarkBasis, LinearAlbedo)


@dataclass
class StageTimer:
    """Stopwatch of one reconstruction.

    Attributes:
        seconds: Time per stage, summed where a stage is entered again.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Books the time since the last lap on ``stage``."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


class Reconstructor:
    """Holds the networks and the face model; reconstructs any number of photos.

    Args:
        device: Where networks run; ``auto`` takes a GPU if there is one.
        uv_size: Texels along an edge of the albedo map: 256, 512, 1024 or 2048.
        face_model: Name of the face model, see ``facelume face-model``.
        weights: Folder of weights that comes before the package's.
        locator: Finds faces; default: the package's own.

    Raises:
        UsageError: An argument has no meaning, or there is no GPU where one is asked for.
        AssetError: Weights or face model are missing, damaged or do not belong together.
    """

    def __init__(
        self,
        *,
        device: DeviceName = "auto",
        uv_size: int = 256,
        face_model: str = "open",
        weights: str | Path | None = None,
        locator: FaceLocator | None = None,
    ) -> None:
        if uv_size not in _UV_SIZES:
            raise UsageError(f"uv_size must be one of {', '.join(map(str, _UV_SIZES))}, not {uv_size}")
        folder = None if weights is None else Path(weights)
        self.device = _choose_device(device)
        self.uv_size = uv_size
        model = load_face_model(face_model)
        self.model = model.to(self.device)
        self._records: dict[str, WeightRecord] = {}
        prior, self._records["prior"] = build_and_load(
            "prior", build_prior, face_model_sha256=model.asset_sha256, atlas_id=model.atlas_id, folder=folder
        )
        refiner, self._records["refiner"] = build_and_load(
            "refiner",
            build_refiner,
            face_model_sha256=model.asset_sha256,
            atlas_id=model.atlas_id,
            folder=folder,
        )
        self._prior, self._refiner = prior.to(self.device), refiner.to(self.device)
        if locator is None:
            self._records["locator"] = find_record("locator", folder)[0]
            locator = NetworkLocator.load(folder=folder, last_resort=FAINTEST_FACE)
        self._locator = locator
        self._limits = AlignmentLimits()
        self._texels: dict[int, TexelMap] = {}
        with torch.inference_mode():
            self._basis = _on_device(landmark_basis(model), self.device)
            self._linear_albedo = _on_device(linear_albedo(model), self.device)

    @property
    def weights(self) -> dict[str, str]:
        """Hash of each weight file in use, by id."""
        return {record.id: record.sha256 for record in self._records.values()}

    def reconstruct(self, photo: PhotoSource) -> Reconstruction:
        """Reconstructs the largest face of a photo.

        Args:
            photo: A file, a Pillow image or an sRGB array, see ``io.photo.read_photo``.

        Raises:
            NoFaceError: There is no face, or none that the model can explain.
            UnreadableInputError: The file cannot be read.
        """
        with torch.inference_mode():
            return next(iter(self._faces(photo, only_largest=True)))

    def reconstruct_all(self, photo: PhotoSource) -> list[Reconstruction]:
        """Reconstructs every face of a photo, largest first; errors as in :meth:`reconstruct`."""
        with torch.inference_mode():
            return list(self._faces(photo, only_largest=False))

    def _faces(self, source: PhotoSource, *, only_largest: bool) -> Iterator[Reconstruction]:
        timer = StageTimer()
        photo = source if isinstance(source, Photo) else read_photo(source)
        timer.lap("read")
        faces = self._align_faces(photo, timer, only_largest=only_largest)
        backdrop = reduce_photo(photo.srgb)
        timer.lap("read")
        shared = dict(timer.seconds)
        for index, face in enumerate(faces):
            own = StageTimer(dict(shared))
            view = PhotoView(
                path=photo.path,
                sha256=photo.sha256,
                size_px=(photo.width_px, photo.height_px),
                backdrop_srgb=backdrop,
                input_crop=np.rint(face.crop_srgb * 255).astype(np.uint8),
                face_index=index,
                num_faces=None if only_largest else len(faces),
            )
            yield self._complete(photo, face, view, own)

    def _align_faces(self, photo: Photo, timer: StageTimer, *, only_largest: bool) -> list[AlignedFace]:
        name = photo.path or "the picture"
        detections = self._locator.locate(photo.srgb)
        timer.lap("locate")
        if not detections:
            raise NoFaceError(f"{name}: no face found; use a photo where a face is larger or clearer")
        faces: list[AlignedFace] = []
        refusal = ""
        for detection in detections:
            try:
                face = align_face(
                    photo.srgb,
                    detection,
                    self._prior,
                    self._basis,
                    self._limits,
                    with_coefficients=self._prior_knows_model,
                    on_stage=timer.lap,
                )
            except NoFaceError as error:
                refusal = refusal or str(error)
                continue
            if all(overlap(face, other) < _SAME_FACE_OVERLAP for other in faces):
                faces.append(face)
            if only_largest:
                break
        if not faces:
            raise NoFaceError(f"{name}: {refusal}")
        return faces

    @property
    def _prior_knows_model(self) -> bool:
        return self._records["prior"].face_model_sha256 is not None

    def _complete(
        self, photo: Photo, face: AlignedFace, view: PhotoView, timer: StageTimer
    ) -> Reconstruction:
        """Everything after alignment: decode, unwrap, light, refinement, maps."""
        fit, prior = face.fit, face.prior
        posed = PosedFace(
            self.model, fit.identity[0], fit.expression[0], torch.cat([fit.rotvec[0], fit.translation[0]])
        )
        buffers = posed.crop_buffers
        timer.lap("decode")
        parsing = torch.sigmoid(
            torch.nn.functional.interpolate(
                prior.parsing_logits, size=(CROP_SIZE_PX, CROP_SIZE_PX), mode="bilinear"
            )
        )[:, 0]
        texels = self._pose(posed, self.uv_size)
        unwrapped = unwrap(photo.srgb, face.crop, texels, buffers, CROP_CAMERA, _shrink(parsing))
        timer.lap("unwrap")
        start = Appearance(prior.albedo, prior.sh_radiance) if self._prior_knows_model else None
        appearance = fit_appearance(
            self._linear_albedo, unwrapped.texture, unwrapped.visibility, texels.normal_light, start=start
        )
        prior_albedo = self.model.albedo_map(appearance.albedo, size=LIGHT_MAP_SIZE)
        coarse = appearance.light
        timer.lap("light")
        normals = resize_map(texels.normal_light, LIGHT_MAP_SIZE)
        refined = refine(
            self._refiner,
            RefinerInput(unwrapped.texture, unwrapped.visibility, normals, prior_albedo, coarse),
        )
        lit = resize_map(refined.albedo, refined.light.shape[-1]) * refined.shading
        light = settle_light(refined.light, lit, unwrapped.texture, unwrapped.visibility)
        coarse = refit_light(
            self._linear_albedo,
            refined.albedo,
            unwrapped.texture,
            unwrapped.visibility,
            texels.normal_light,
            coarse,
        )
        shown = is_part(buffers.part[0], MOUTH_PARTS) & (parsing[0] > 0.5)
        crop_linear = linear_from_srgb(torch.from_numpy(face.crop_srgb)).to(light).permute(2, 0, 1)
        gain = inner_mouth_gain(render(buffers, refined.albedo, coarse)[0], crop_linear, shown)
        refined = replace(refined, light=light_inner_mouth(light, coarse, texels.part, gain))
        timer.lap("refine")
        maps = _public_maps(refined, prior_albedo, unwrapped, self.uv_size)
        timer.lap("maps")
        return Reconstruction(
            posed=posed,
            maps=maps,
            light_coarse=coarse[0].numpy(force=True).astype(np.float32),
            albedo_coeffs=appearance.albedo[0].numpy(force=True),
            crop=face.crop,
            parsing=parsing[0].numpy(force=True),
            photo=view,
            weights=self.weights,
            timings_s=timer.seconds,
            warnings=tuple(_warnings(face, self._limits, unwrapped, _cut_off(posed, face, view))),
        )

    def _pose(self, posed: PosedFace, size: int) -> PosedTexels:
        if size not in self._texels:
            self._texels[size] = texel_map(self.model.topology, size)
        topology = self.model.topology
        return pose_texels(self._texels[size], topology, posed.vertices[None], posed.cam_from_model[None])


def build_prior(config: Mapping[str, Any]) -> PriorNetwork:
    """The prior network of a weight record's configuration; unknown names are refused with ValueError."""
    return PriorNetwork(_structure(config, PriorConfig))


def build_refiner(config: Mapping[str, Any]) -> Refiner:
    """The refiner of a weight record's configuration; unknown names are refused with ValueError."""
    return Refiner(_structure(config, RefinerConfig))


def _shrink(parsing: Float[Tensor, "1 H W"]) -> Float[Tensor, "1 H W"]:
    """The mask drawn in by one pixel: hair and glasses at its border do not get into the texture."""
    return -torch.nn.functional.max_pool2d(-parsing[:, None], 3, 1, 1)[:, 0]


def _on_device(record: _Tensors, device: torch.device) -> _Tensors:
    """The same frozen record of tensors on another device."""
    return replace(record, **{f.name: getattr(record, f.name).to(device) for f in fields(record)})


def _structure(config: Mapping[str, Any], kind: type) -> Any:
    try:
        return cattrs.Converter(forbid_extra_keys=True).structure(dict(config), kind)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from error


def _choose_device(name: str) -> torch.device:
    if name not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA GPU here; use device 'cpu' or 'auto'", arguments=("device",))
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _public_maps(
    refined: RefinerOutput, prior_albedo: Float[Tensor, "1 3 p p"], unwrapped: UnwrapResult, size: int
) -> FaceMaps:
    def image(tensor: Float[Tensor, "1 3 s s"]) -> Float[np.ndarray, "s s 3"]:
        return np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy(force=True).astype(np.float32))

    return FaceMaps(
        albedo=image(resize_map(refined.albedo, size).clamp(0, 1)),
        albedo_prior=image(resize_map(prior_albedo, size).clamp(0, 1)),
        texture=image(unwrapped.texture),
        visibility=unwrapped.visibility[0].numpy(force=True).astype(np.float32),
        confidence=resize_map(refined.confidence, size)[0, 0]
        .clamp(0, 1)
        .numpy(force=True)
        .astype(np.float32),
        illumination=light_array(resize_map(refined.light, LIGHT_MAP_SIZE)[0]),
    )


def _cut_off(posed: PosedFace, face: AlignedFace, view: PhotoView) -> float:
    """Share of the face front that lies beyond the photo's border."""
    front = posed.face_front()
    return float((front & ~face.crop.pixels_inside(*view.size_px)).sum() / max(front.sum(), 1))


def _warnings(
    face: AlignedFace, limits: AlignmentLimits, unwrapped: UnwrapResult, cut_off: float
) -> list[str]:
    found = []
    if face.residual > limits.doubtful_residual:
        found.append(f"the mesh follows the landmarks only to {face.residual:.1%} of the face's size")
    if face.sigma > limits.doubtful_sigma:
        found.append(f"the landmarks are uncertain: about {face.sigma:.1%} of the face's size")
    if face.turn_rad > limits.doubtful_turn_rad:
        found.append(f"the head is turned by {math.degrees(face.turn_rad):.0f}°; its far side is completed")
    if cut_off > _MUCH_CUT_OFF:
        found.append(f"the photo's border cuts off {cut_off:.0%} of the face; that part is guessed")
    if float(unwrapped.visibility.mean()) < _FEW_TEXELS_SEEN:
        found.append("the photo shows little of the face; most of the albedo is completed")
    if face.crop.scale < 0.5:
        size_px = CROP_FACE_SIZE_PX * face.crop.scale
        found.append(f"the face is only {size_px:.0f} px large; the albedo will lack detail")
    return found
