"""Photo in, reconstruction out: the only place that wires all stages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from facelume.camera import CROP_FACE_SIZE_PX
from facelume.choices import DeviceName, TopologyName, UvSize
from facelume.detection import FaceLocator, NetworkLocator
from facelume.errors import NoFaceError, UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting import landmark_basis
from facelume.fitting.tone_cues import CLIPPED, spread_of_hues
from facelume.illumination import light_array
from facelume.io.photo import Photo, read_photo
from facelume.networks.builders import PRIOR_BUILDERS, REFINER_BUILDERS, TONE_BUILDERS
from facelume.pipeline.alignment import AlignedFace
from facelume.pipeline.face_result import LIGHT_MAP_SIZE, FaceMaps, PhotoView
from facelume.pipeline.finding import AlignmentLimits, FaceFinder
from facelume.pipeline.posed_face import PosedFace, pose_face
from facelume.pipeline.previews import reduce_photo
from facelume.pipeline.reconstruction import Reconstruction
from facelume.pipeline.timing import StageTimer
from facelume.refinement.inputs import (
    INPUT_MAP_SIZE,
    FaceInPhoto,
    PreparedInput,
    input_basis,
    prepare_input,
    unwrap_face,
)
from facelume.refinement.refine import RefinerInput, resize_input
from facelume.refinement.stage import RefinedFace, refine_face
from facelume.registration import SourceTopology, load_original, registered_face_model
from facelume.types import on_device
from facelume.uv import resize_map
from facelume.weights import WeightRecord, build_and_load, find_record

PhotoSource = str | Path | Image.Image | np.ndarray | Photo
_UV_SIZES = get_args(UvSize)
_TOPOLOGIES = get_args(TopologyName)
_FEW_TEXELS_SEEN = 0.15
_MUCH_CUT_OFF = 0.05
_NO_COLOUR = 0.03
_UNCERTAIN_TONE = 0.45
_MUCH_CLIPPED = 0.2


class Reconstructor:
    """Holds the networks and the face model; reconstructs any number of photos.

    Args:
        device: Where all networks and maps are computed; ``auto`` takes a GPU if there is one.
        uv_size: Texels along an edge of the albedo map: 256, 512, 1024 or 2048.
        face_model: Name of the face model, see ``facelume face-model``, or a folder with its files. All but
            ``open`` are laid on the open model's head, once
            (:func:`facelume.registration.registered_face_model`). Or a face model that has that head and
            atlas already, with an albedo of its own for example.
        topology: ``source`` gives each result the mesh and atlas of the face model's official files, too.
        weights: Folder of weights that comes before the package's.
        locator: Finds faces, on whatever device it was made for; default: the package's own, on ``device``.

    Raises:
        UsageError: An argument has no meaning, or there is no GPU where one is asked for.
        AssetError: Weights or face model are missing, damaged or do not belong together.
    """

    def __init__(
        self,
        *,
        device: DeviceName = "auto",
        uv_size: int = 256,
        face_model: str | FaceModel = "open",
        topology: TopologyName = "open",
        weights: str | Path | None = None,
        locator: FaceLocator | None = None,
    ) -> None:
        if uv_size not in _UV_SIZES:
            raise UsageError(f"uv_size must be one of {', '.join(map(str, _UV_SIZES))}, not {uv_size}")
        if topology not in _TOPOLOGIES:
            raise UsageError(f"topology must be one of {', '.join(_TOPOLOGIES)}, not {topology!r}")
        if topology == "source" and (face_model == "open" or isinstance(face_model, FaceModel)):
            raise UsageError(
                "this model has no other topology: name another face_model, or leave topology out",
                arguments=("topology", "face_model"),
            )
        folder = None if weights is None else Path(weights)
        self.device = _choose_device(device)
        self.uv_size = uv_size
        open_head = load_open_face_model()
        model = face_model if isinstance(face_model, FaceModel) else registered_face_model(face_model)
        self.topology = topology
        self._source: SourceTopology | None = None
        if topology == "source" and isinstance(face_model, str):
            self._source = SourceTopology(load_original(face_model), model)
        self._records: dict[str, WeightRecord] = {}
        prior, self._records["prior"] = build_and_load(
            "prior",
            PRIOR_BUILDERS,
            face_model_sha256=open_head.asset_sha256,
            atlas_id=model.atlas_id,
            folder=folder,
        )
        refiner, self._records["refiner"] = build_and_load(
            "refiner",
            REFINER_BUILDERS,
            face_model_sha256=open_head.asset_sha256,
            atlas_id=model.atlas_id,
            folder=folder,
        )
        tone, self._records["tone"] = build_and_load(
            "tone", TONE_BUILDERS, atlas_id=model.atlas_id, folder=folder
        )
        self._tone = tone.to(self.device)
        self._prior, self._refiner = prior.to(self.device), refiner.to(self.device)
        if locator is None:
            self._records["locator"] = find_record("locator", folder)[0]
            locator = NetworkLocator.load(folder=folder, device=self.device)
        self._locator = locator
        self._limits = AlignmentLimits()
        self._landmarks = on_device(landmark_basis(model), self.device)
        self._basis = input_basis(model, uv_size).to(self.device)

    @property
    def model(self) -> FaceModel:
        """The face model, on the device of the networks."""
        return self._basis.model

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
        with timer.stage("read"):
            photo = source if isinstance(source, Photo) else read_photo(source)
        faces = self._align_faces(photo, timer, only_largest=only_largest)
        with timer.stage("read"):
            backdrop = reduce_photo(photo.srgb)
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
        finder = FaceFinder(
            self._locator,
            self._prior,
            self._landmarks,
            with_coefficients=self._prior_knows_model,
            limits=self._limits,
        )
        try:
            return finder.find(photo.srgb, timer, only_largest=only_largest)
        except NoFaceError as error:
            raise NoFaceError(f"{photo.path or 'the picture'}: {error}") from None

    @property
    def _prior_knows_model(self) -> bool:
        return self._records["prior"].face_model_sha256 == self.model.asset_sha256

    def _complete(
        self, photo: Photo, face: AlignedFace, view: PhotoView, timer: StageTimer
    ) -> Reconstruction:
        """Everything after alignment: decode, unwrap, light, refine, maps."""
        fit, prior = face.fit, face.prior
        with timer.stage("decode"):
            posed = pose_face(self.model, fit)
            in_photo = FaceInPhoto(
                photo_srgb=photo.srgb,
                crop=face.crop,
                crop_srgb=face.crop_srgb,
                parsing=prior.parsing(),
                vertices=posed.vertices[None],
                cam_from_model=posed.cam_from_model[None],
                buffers=posed.crop_buffers,
            )
        with timer.stage("unwrap"):
            unwrapped = unwrap_face(in_photo, self._basis)
        with timer.stage("light"):
            prepared = prepare_input(unwrapped, self._basis, self._tone)
        with timer.stage("refine"):
            refined = refine_face(self._refiner, in_photo, prepared, self._basis)
        with timer.stage("maps"):
            maps = _public_maps(refined, prepared.maps, self.uv_size)
        source_mesh = None
        if self._source is not None:
            with timer.stage("source"):
                source_mesh = self._source.face(posed.identity, posed.expression, maps.albedo)
        return Reconstruction(
            posed=posed,
            maps=maps,
            light_coarse=refined.coarse_light[0].numpy(force=True).astype(np.float32),
            albedo_coeffs=prepared.appearance.albedo[0].numpy(force=True),
            crop=face.crop,
            parsing=in_photo.parsing[0].numpy(force=True),
            photo=view,
            weights=self.weights,
            timings_s=timer.seconds,
            source_mesh=source_mesh,
            warnings=tuple(
                _warnings(face, self._limits, maps.visibility, _cut_off(posed, face, view))
                + _warnings_of_colour(prepared)
            ),
        )


def _choose_device(name: str) -> torch.device:
    if name not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA GPU here; use device 'cpu' or 'auto'", arguments=("device",))
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _public_maps(refined: RefinedFace, maps: RefinerInput, size: int) -> FaceMaps:
    def image(tensor: Float[Tensor, "1 3 s s"]) -> Float[np.ndarray, "s s 3"]:
        return np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy(force=True).astype(np.float32))

    return FaceMaps(
        albedo=image(resize_map(refined.albedo, size).clamp(0, 1)),
        albedo_prior=image(resize_map(maps.prior_albedo, size).clamp(0, 1)),
        texture=image(maps.texture),
        visibility=maps.visibility[0].numpy(force=True).astype(np.float32),
        confidence=resize_map(refined.confidence, size)[0, 0]
        .clamp(0, 1)
        .numpy(force=True)
        .astype(np.float32),
        illumination=light_array(resize_map(refined.light, LIGHT_MAP_SIZE)[0]),
        illumination_coarse=light_array(refined.coarse_map[0]),
    )


def _cut_off(posed: PosedFace, face: AlignedFace, view: PhotoView) -> float:
    """Share of the face front that lies beyond the photo's border."""
    front = posed.face_front()
    return float((front & ~face.crop.pixels_inside(*view.size_px)).sum() / max(front.sum(), 1))


def _warnings(
    face: AlignedFace, limits: AlignmentLimits, visibility: Float[np.ndarray, "S S"], cut_off: float
) -> list[str]:
    found = []
    if face.residual > limits.doubtful_residual:
        found.append(f"the mesh follows the landmarks only to {face.residual:.1%} of the face's size")
    if face.sigma > limits.doubtful_sigma:
        found.append(f"the landmarks are uncertain: about {face.sigma:.1%} of the face's size")
    if face.is_lifted:
        found.append("the face is hard to see: its landmarks were read with the shadows lifted")
    if face.turn_rad > limits.doubtful_turn_rad:
        found.append(f"the head is turned by {math.degrees(face.turn_rad):.0f}°; its far side is completed")
    if cut_off > _MUCH_CUT_OFF:
        found.append(f"the photo's border cuts off {cut_off:.0%} of the face; that part is guessed")
    if float(visibility.mean()) < _FEW_TEXELS_SEEN:
        found.append("the photo shows little of the face; most of the albedo is completed")
    if face.crop.scale < 0.5:
        size_px = CROP_FACE_SIZE_PX * face.crop.scale
        found.append(f"the face is only {size_px:.0f} px large; the albedo will lack detail")
    return found


def _warnings_of_colour(prepared: PreparedInput) -> list[str]:
    found = []
    maps = resize_input(prepared.maps, INPUT_MAP_SIZE)
    if float(spread_of_hues(maps.texture, maps.visibility)) < _NO_COLOUR:
        found.append("the photo is black and white; the skin has the usual hue of its lightness")
    if float(prepared.tone.sigma) > _UNCERTAIN_TONE:
        factor = math.exp(float(prepared.tone.sigma))
        found.append(f"how light the skin is, is uncertain: by a factor of {factor:.1f} either way")
    clipped = (maps.texture.amax(dim=1) >= CLIPPED).to(maps.visibility) * maps.visibility
    share = float(clipped.sum() / maps.visibility.sum().clamp(min=1e-6))
    if share > _MUCH_CLIPPED:
        found.append(f"{share:.0%} of the face is over-exposed; its detail is completed")
    return found
