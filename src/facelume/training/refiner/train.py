"""Training of the refinement network, self-supervised on photos and supervised on synthetic faces."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from facelume.camera import CROP_CAMERA, cam_from_pose, transform_points
from facelume.face_model import FaceModel, load_open_face_model
from facelume.geometry.face_mesh import FIVE_POINTS_WITH_IRISES
from facelume.losses import refinement
from facelume.networks.discriminator import PatchDiscriminator
from facelume.networks.recognition import MobileFaceNet, align_faces, load_mobilefacenet
from facelume.networks.refiner import Refiner
from facelume.raster import GeometryBuffers, geometry_buffers, render
from facelume.refinement.refine import RefinerOutput, refine
from facelume.reflectance import srgb_from_linear
from facelume.training.refiner.batches import PreparedFaces, RefinerBatch, batches, load_shards, to_batch
from facelume.training.refiner.config import RefinerTrainingConfig, read_config
from facelume.training.refiner.losses import LossWeights, loss_terms, render_in_atlas, render_in_crop
from facelume.training.refiner.prepare import prepare_all
from facelume.training.refiner.validation import measure
from facelume.uv import resize_map

_log = logging.getLogger(__name__)
_CHECKPOINT = "checkpoint.safetensors"


@dataclass
class _Run:
    """What changes while training."""

    network: Refiner
    average: Refiner
    optimiser: torch.optim.Adam
    discriminator: PatchDiscriminator | None
    discriminator_optimiser: torch.optim.Adam | None
    step: int = 0


def run(config_file: Path) -> Path:
    """Do everything a run file asks for: prepare the faces that are not prepared yet, then train.

    Raises:
        UsageError: The file is no refiner training configuration, or its data is missing.
    """
    config = read_config(config_file)
    model = load_open_face_model()
    prepare_all(config, model)
    return train(config, model)


def train(config: RefinerTrainingConfig, model: FaceModel) -> Path:
    """Train a refiner; continues from the checkpoint in ``config.output`` if there is one.

    Args:
        config: The run.
        model: Face model that the prepared faces were made with.

    Returns:
        The file with the trained weights (float32 safetensors, :class:`Refiner` state).

    Raises:
        UsageError: There are no prepared faces.
    """
    torch.set_num_threads(config.num_threads)
    torch.manual_seed(config.seed)
    config.output.mkdir(parents=True, exist_ok=True)
    run = _start(config)
    uv_mask = resize_map(model.uv_mask("face", 256)[None, None], config.network.map_size)
    recognition = load_mobilefacenet(config.recognition_weights) if config.recognition_weights else None
    shards = load_shards(config.data.train_folder)
    validation = list(load_shards(config.data.validation_folder).values())
    rng = np.random.default_rng([config.seed, run.step])
    generator = torch.Generator().manual_seed(config.seed + run.step)
    drawn = _draw(config, shards, rng)
    steps_per_epoch = max(1, sum(map(len, shards.values())) // config.optimiser.batch_size)
    num_steps = config.optimiser.num_steps or config.optimiser.num_epochs * steps_per_epoch
    started = last_save = time.monotonic()
    sums: dict[str, list[float]] = {}
    while run.step < num_steps:
        _set_learning_rate(run, config, num_steps, steps_per_epoch)
        weights = _weights_now(config, run.step, steps_per_epoch)
        is_mapped_only = config.space == "atlas" and weights.cross_perceptual == 0
        batch = to_batch(next(drawn), rng if config.is_augmented and is_mapped_only else None)
        terms = _train_step(run, batch, config, weights, (model, uv_mask, recognition, generator))
        for name, value in terms.items():
            sums.setdefault(name, []).append(value)
        run.step += 1
        now = time.monotonic()
        if now - last_save > config.checkpoint_s or run.step == num_steps:
            _save(run, config.output / _CHECKPOINT)
            report = {"step": run.step, "elapsed_s": round(now - started, 1)}
            report |= {f"loss/{name}": float(np.mean(values)) for name, values in sums.items()}
            report |= measure(run.average, validation, uv_mask)
            with (config.output / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(report) + "\n")
            _log.info("%s", report)
            sums = {}
            shards = load_shards(config.data.train_folder, shards)
            drawn = _draw(config, shards, rng)
            last_save = time.monotonic()
    weights_file = config.output / "refiner.safetensors"
    save_file({k: v.contiguous() for k, v in run.average.state_dict().items()}, weights_file)
    (config.output / "network.json").write_text(json.dumps(asdict(config.network)), encoding="utf-8")
    return weights_file


def _draw(
    config: RefinerTrainingConfig, shards: dict[str, PreparedFaces], rng: np.random.Generator
) -> Iterator[list[tuple[PreparedFaces, int]]]:
    return batches(list(shards.values()), config.optimiser.batch_size, rng, config.synthetic_share)


def _start(config: RefinerTrainingConfig) -> _Run:
    network, average = Refiner(config.network), Refiner(config.network)
    average.load_state_dict(network.state_dict())
    average.requires_grad_(requires_grad=False).eval()
    discriminator = PatchDiscriminator() if config.losses.adversarial > 0 else None
    rate = config.optimiser.learning_rate
    run = _Run(
        network=network,
        average=average,
        optimiser=torch.optim.Adam(network.parameters(), rate, betas=(0.9, 0.999)),
        discriminator=discriminator,
        discriminator_optimiser=torch.optim.Adam(discriminator.parameters(), rate) if discriminator else None,
    )
    path = config.output / _CHECKPOINT
    if path.exists():
        _restore(run, path)
        _log.info("continuing %s at step %d", path, run.step)
    return run


def _save(run: _Run, path: Path) -> None:
    """Write weights and Adam's moments, whole or not at all."""
    tensors = {f"network.{k}": v for k, v in run.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in run.average.state_dict().items()}
    if run.discriminator is not None:
        tensors |= {f"discriminator.{k}": v for k, v in run.discriminator.state_dict().items()}
    for name, optimiser in (("adam", run.optimiser), ("discriminator_adam", run.discriminator_optimiser)):
        if optimiser is not None:
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors["step"] = torch.tensor(run.step)
    partial = path.with_suffix(".partial")
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial)
    partial.replace(path)


def _restore(run: _Run, path: Path) -> None:
    tensors = load_file(path)

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    run.network.load_state_dict(part("network."))
    run.average.load_state_dict(part("average."))
    # A discriminator that was not part of the run so far starts afresh.
    if run.discriminator is not None and part("discriminator."):
        run.discriminator.load_state_dict(part("discriminator."))
    for name, optimiser in (("adam.", run.optimiser), ("discriminator_adam.", run.discriminator_optimiser)):
        if optimiser is not None and part(name):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in part(name).items():
                index, moment = key.split(".", 1)
                state.setdefault(int(index), {})[moment] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    run.step = int(tensors["step"])


def _set_learning_rate(
    run: _Run, config: RefinerTrainingConfig, num_steps: int, steps_per_epoch: int
) -> None:
    first, last = config.optimiser.learning_rate, config.optimiser.learning_rate_final
    if config.optimiser.decay == "epoch":
        rate = max(last, first * 0.98 ** (run.step // steps_per_epoch))
    else:
        rate = last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * run.step / num_steps))
        rate *= min(1.0, (run.step + 1) / 50)
    for optimiser in (run.optimiser, run.discriminator_optimiser):
        if optimiser is not None:
            for group in optimiser.param_groups:
                group["lr"] = rate


def _weights_now(config: RefinerTrainingConfig, step: int, steps_per_epoch: int) -> LossWeights:
    """Weights of this step: L1-to-prior ends with its epochs, costly terms come every few steps."""
    weights = config.losses
    if 0 <= config.optimiser.prior_l1_epochs <= step / steps_per_epoch:
        weights = replace(weights, prior_l1=0.0)
    if step % config.optimiser.costly_every != 0:
        weights = replace(weights, cross_perceptual=0.0, adversarial=0.0)
    return weights


def _train_step(
    run: _Run,
    batch: RefinerBatch,
    config: RefinerTrainingConfig,
    weights: LossWeights,
    scene: tuple[FaceModel, Float[Tensor, "1 1 s s"], MobileFaceNet | None, torch.Generator],
) -> dict[str, float]:
    """One update of the network and, with the adversarial term, of the discriminator; returns the terms."""
    model, uv_mask, recognition, generator = scene
    with torch.autocast("cpu", torch.bfloat16, enabled=config.optimiser.precision == "bfloat16"):
        output = refine(run.network, batch.maps, generator)
    buffers = None
    if config.space == "crop" or weights.cross_perceptual > 0:
        buffers = _buffers(model, batch)
    if config.space == "crop" and buffers is not None:
        renderings = render_in_crop(batch, output, buffers)
    else:
        renderings = render_in_atlas(batch, output, uv_mask)
    terms = loss_terms(batch, output, renderings, uv_mask, weights)
    if weights.cross_perceptual > 0 and recognition is not None and buffers is not None:
        terms["cross_perceptual"] = _cross_perceptual(batch, output, buffers, model, recognition)
    discriminator = run.discriminator if weights.adversarial > 0 else None
    if discriminator is not None:
        terms["adversarial"] = refinement.adversarial(discriminator(srgb_from_linear(output.albedo)))
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    if discriminator is not None and run.discriminator_optimiser is not None:
        run.discriminator_optimiser.zero_grad(set_to_none=True)
        real = discriminator(srgb_from_linear(resize_map(batch.maps.prior_albedo, output.albedo.shape[-1])))
        fake = discriminator(srgb_from_linear(output.albedo.detach()))
        terms["discriminator"] = refinement.discriminator_loss(real, fake)
        terms["discriminator"].backward()
        run.discriminator_optimiser.step()
    decay = min(config.optimiser.ema_decay, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for kept, new in zip(run.average.parameters(), run.network.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)
    return {name: float(term.detach()) for name, term in (terms | {"total": total}).items()}


def _buffers(model: FaceModel, batch: RefinerBatch) -> GeometryBuffers:
    vertices = model.shape(batch.identity, batch.expression)
    return geometry_buffers(model.topology, vertices, cam_from_pose(batch.pose), CROP_CAMERA)


def _cross_perceptual(
    batch: RefinerBatch,
    output: RefinerOutput,
    buffers: GeometryBuffers,
    model: FaceModel,
    recognition: MobileFaceNet,
) -> Float[Tensor, ""]:
    """Albedo, mesh, pose and mask of each face under the light of the next face of the batch."""
    points = model.landmarks(batch.identity, batch.expression)[:, list(FIVE_POINTS_WITH_IRISES)]
    points_px = CROP_CAMERA.project(transform_points(cam_from_pose(batch.pose), points))
    crossed = srgb_from_linear(render(buffers, output.albedo, output.light.roll(1, dims=0)))
    return refinement.cross_perceptual(
        crossed, batch.image_srgb, batch.face_mask, lambda image: recognition(align_faces(image, points_px))
    )
