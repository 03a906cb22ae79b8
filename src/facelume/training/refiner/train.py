"""Training of the refinement network, self-supervised on photos and supervised on synthetic faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from facelume.camera import CROP_CAMERA, cam_from_pose, transform_points
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.geometry.face_mesh import FIVE_POINTS_WITH_IRISES
from facelume.losses import refinement
from facelume.networks.builders import REFINER_BUILDERS, make_refiner
from facelume.networks.discriminator import PatchDiscriminator
from facelume.networks.recognition import MobileFaceNet, align_faces, load_mobilefacenet
from facelume.networks.refiner import Refiner
from facelume.networks.unet_refiner import UNetRefiner
from facelume.raster import GeometryBuffers, geometry_buffers, render
from facelume.refinement.refine import RefinerOutput, refine
from facelume.reflectance import srgb_from_linear
from facelume.training.config import run_document
from facelume.training.devices import start_fabric
from facelume.training.loop import StepReport, Trained, run_training
from facelume.training.objective import Objective, Step
from facelume.training.refiner.batches import FaceDraw, RefinerBatch, to_batch
from facelume.training.refiner.config import LossWeights, RefinerTrainingConfig
from facelume.training.refiner.losses import loss_terms, render_in_atlas, render_in_crop
from facelume.training.refiner.prepared import PreparedFaces
from facelume.training.refiner.shards import prepare_all
from facelume.training.refiner.validation import draw_faces, measure
from facelume.uv import resize_map
from facelume.weights import build_and_load


def train(config: RefinerTrainingConfig, *, on_step: Callable[[StepReport], None] | None = None) -> Trained:
    """Prepare the faces that are not prepared yet, then train, or go on from the checkpoint in the output.

    Args:
        config: The run.
        on_step: Called after each step.

    Raises:
        UsageError: There is nothing to learn from, or faces, start or checkpoint belong to another run.
        AssetError: The weights to start from are missing, damaged or of another face model.
    """
    fabric = start_fabric(config.loop)
    model = load_open_face_model()
    network = start_network(config, model)
    with fabric.rank_zero_first():
        training, validation = prepare_all(config, model)
    objective = RefinerObjective(config, model, training, validation)
    run = run_document(config)
    return run_training(
        network,
        objective,
        config.output,
        config.loop,
        fabric=fabric,
        run=run,
        on_step=on_step,
    )


def start_network(config: RefinerTrainingConfig, model: FaceModel) -> Refiner | UNetRefiner:
    """An untrained refiner, or the one of ``start_weights`` where the run file names some.

    Args:
        config: The run.
        model: Face model on whose atlas the refiner works.

    Raises:
        UsageError: The weights belong to another architecture than the run file's.
        AssetError: They are missing, damaged or of another face model.
    """
    network = make_refiner(config.network)
    if config.start_weights is None:
        return network
    start, record = build_and_load(config.start_weights, REFINER_BUILDERS, atlas_id=model.atlas_id)
    if start.config != config.network:
        raise UsageError(
            f"start_weights {config.start_weights}: {record.id} has another network than the run file's; "
            f"it has {run_document(start.config)}"
        )
    network.load_state_dict(start.state_dict())
    return network


class RefinerObjective(Objective):
    """Losses of prepared faces; the discriminator of the adversarial term learns beside the refiner.

    Args:
        config: The run.
        model: Face model that the faces were prepared with.
        training: Faces to learn from.
        validation: Faces to measure on.
    """

    def __init__(
        self,
        config: RefinerTrainingConfig,
        model: FaceModel,
        training: list[PreparedFaces],
        validation: list[PreparedFaces],
    ) -> None:
        self.config, self.model, self.validation = config, model, validation
        self.faces = FaceDraw(training, config.data.synthetic_share, config.data.pair_share)
        self.discriminator: nn.Module | None = None
        self._fake: Float[Tensor, "b 3 s s"] | None = None
        self._real: Float[Tensor, "b 3 s s"] | None = None

    def setup(self, fabric: Fabric) -> None:
        """Move model, masks and the second networks to the device."""
        super().setup(fabric)
        config = self.config
        self.model = self.model.to(fabric.device)
        self.uv_mask = resize_map(self.model.uv_mask("face", 256)[None, None], config.network.map_size)
        self.recognition: MobileFaceNet | None = None
        if config.losses.cross_perceptual > 0 and config.recognition_weights is not None:
            self.recognition = load_mobilefacenet(config.recognition_weights).to(fabric.device)
        if config.losses.adversarial > 0:
            discriminator = PatchDiscriminator()
            optimizer = torch.optim.Adam(discriminator.parameters(), config.loop.learning_rate)
            self.discriminator, self.optimizer = fabric.setup(discriminator, optimizer)

    @property
    def num_samples(self) -> int:
        """Faces to learn from."""
        return len(self.faces)

    def state_dict(self) -> dict[str, Any]:
        """Discriminator and its optimiser."""
        if self.discriminator is None:
            return {}
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the discriminator; one that was not part of the run so far starts afresh."""
        if self.discriminator is not None and state:
            self.discriminator.load_state_dict(state["discriminator"])
            self.optimizer.load_state_dict(state["optimizer"])

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Every term of this step, weighted."""
        config = self.config
        weights = weights_of_step(config, step)
        is_mapped_only = config.space == "atlas" and weights.cross_perceptual == 0
        rng = step.random.numpy
        items = self.faces.draw(step.batch_size, rng)
        augment = config.data.augment if is_mapped_only else None
        batch = to_batch(items, augment, rng, device=self.fabric.device)
        output = refine(network, batch.maps, step.random.torch)
        buffers = None if is_mapped_only else self._buffers(batch)
        if config.space == "crop" and buffers is not None:
            renderings = render_in_crop(batch, output, buffers)
        else:
            renderings = render_in_atlas(batch, output, self.uv_mask)
        terms = loss_terms(batch, output, renderings, self.uv_mask, weights)
        if weights.cross_perceptual > 0 and self.recognition is not None and buffers is not None:
            terms["cross_perceptual"] = self._cross_perceptual(batch, output, buffers, self.recognition)
        self._fake = None
        if weights.adversarial > 0 and self.discriminator is not None:
            fake = srgb_from_linear(output.albedo)
            terms["adversarial"] = refinement.adversarial(self.discriminator(fake))
            self._fake = fake.detach()
            self._real = srgb_from_linear(resize_map(batch.maps.prior_albedo, fake.shape[-1]))
        return {name: getattr(weights, name) * term for name, term in terms.items()}

    def after_step(self, step: Step) -> Mapping[str, Tensor]:
        """One update of the discriminator, in the steps that have the adversarial term."""
        if self._fake is None or self.discriminator is None:
            return {}
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.loop.learning_rate * step.rate_factor
        self.optimizer.zero_grad(set_to_none=True)
        loss = refinement.discriminator_loss(self.discriminator(self._real), self.discriminator(self._fake))
        self.fabric.backward(loss)
        self.optimizer.step()
        return {"discriminator": loss}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Fidelity and albedo errors on the validation faces, in the atlas."""
        return measure(network, self.validation, self.uv_mask)

    def pictures(self, network: nn.Module) -> Mapping[str, UInt8[np.ndarray, "_ _ 3"]]:
        """A few validation faces: photo, detailed and coarse rendering, albedo, truth or prior."""
        return {"faces": draw_faces(network, self.validation, self.uv_mask)}

    def _buffers(self, batch: RefinerBatch) -> GeometryBuffers:
        vertices = self.model.shape(batch.identity, batch.expression)
        return geometry_buffers(self.model.topology, vertices, cam_from_pose(batch.pose), CROP_CAMERA)

    def _cross_perceptual(
        self,
        batch: RefinerBatch,
        output: RefinerOutput,
        buffers: GeometryBuffers,
        recognition: MobileFaceNet,
    ) -> Float[Tensor, ""]:
        """Albedo, mesh, pose and mask of each face under the light of the next face of the batch."""
        points = self.model.landmarks(batch.identity, batch.expression)[:, list(FIVE_POINTS_WITH_IRISES)]
        points_px = CROP_CAMERA.project(transform_points(cam_from_pose(batch.pose), points))
        crossed = srgb_from_linear(render(buffers, output.albedo, output.light.roll(1, dims=0)))
        return refinement.cross_perceptual(
            crossed,
            batch.image_srgb,
            batch.face_mask,
            lambda image: recognition(align_faces(image, points_px)),
        )


def weights_of_step(config: RefinerTrainingConfig, step: Step) -> LossWeights:
    """Weights of one step: L1-to-prior ends with its epochs, costly terms come every few steps."""
    weights = config.losses
    if 0 <= config.prior_l1_epochs <= step.epoch:
        weights = replace(weights, prior_l1=0.0)
    if step.index % config.costly_every != 0:
        weights = replace(weights, cross_perceptual=0.0, adversarial=0.0)
    return weights
