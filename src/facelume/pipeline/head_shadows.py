"""A posed head under lamps that it hides from itself: attached and cast shadows under a new light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from facelume.camera import LIGHT_FROM_CAM, PinholeCamera, transform_points
from facelume.illumination import Lamps, LampView, lamp_directions, light_map_from_lamps
from facelume.illumination.environment_lamps import LEAST_SPOT_SHARE, MAX_SPOTS
from facelume.raster import GeometryBuffers, directional_visibility, shading
from facelume.reflectance import luminance
from facelume.types import MOUTH_PARTS, Topology, is_part
from facelume.uv import PosedTexels, lamp_visibility, pose_texels, texel_map

NUM_SKY_LAMPS = 64
"""Directions whose visibility is kept per texel; light from between them is shared among the nearest."""
SKY_MAP_SIZE = 128
SUN_PENUMBRA_M = 0.0015
"""Radius of the penumbra of a spot: less shows the pixels of its depth picture."""
_MAX_DEPTH_PX = 1024


@dataclass(frozen=True, eq=False)
class HeadShadows:
    """What a head hides of the lamps around it.

    Which lamps of an even lattice each texel sees depends on the head alone: it is computed once, for every
    light and every turn of it. Light that goes from wall to wall is not followed; in an open mouth it is most
    of the light, so teeth, tongue and walls are shaded as the opening is: a surface that looks forward.

    Attributes:
        topology: Triangles and atlas.
        vertices: Positions with expression, model axes, metres.
        cam_from_model: Rigid matrix into camera axes.
    """

    topology: Topology
    vertices: Float[Tensor, "V 3"]
    cam_from_model: Float[Tensor, "4 4"]

    @cached_property
    def _sky_lamps(self) -> Float[Tensor, "L 3"]:
        """Directions of the lattice, model axes."""
        return lamp_directions(NUM_SKY_LAMPS).to(self.vertices)

    @cached_property
    def _sky_seen(self) -> Float[Tensor, "L s s"]:
        seen = lamp_visibility(self.topology, self.vertices, self._sky_lamps, SKY_MAP_SIZE)
        return seen.masked_fill(is_part(self._texels.part, MOUTH_PARTS), 1.0)

    @cached_property
    def _texels(self) -> PosedTexels:
        texels = texel_map(self.topology, SKY_MAP_SIZE)
        posed = pose_texels(texels, self.topology, self.vertices[None], self.cam_from_model[None])
        return replace(posed, normal_light=self._outwards(posed.normal_light, posed.part[None]))

    @cached_property
    def _light_from_model(self) -> Float[Tensor, "3 3"]:
        return self.vertices.new_tensor(LIGHT_FROM_CAM)[:, None] * self.cam_from_model[:3, :3]

    def _outwards(
        self, normal_light: Float[Tensor, "1 3 H W"], part: Shaped[Tensor, "1 H W"]
    ) -> Float[Tensor, "1 3 H W"]:
        """The normals, with those within the mouth turned to the front of the head."""
        forward = self._light_from_model[:, 2, None, None]
        return torch.where(is_part(part, MOUTH_PARTS)[:, None], forward, normal_light)

    def shading(
        self, buffers: GeometryBuffers, camera: PinholeCamera, lamps: Lamps
    ) -> Float[Tensor, "1 3 H W"]:
        """Irradiance over pi at each pixel of the face front, linear; 0 elsewhere.

        Args:
            buffers: Geometry of this head at the pixels of ``camera``.
            camera: A camera with the axes of ``cam_from_model``.
            lamps: The light. The strongest (spots of an environment map) get shadows exact at every pixel,
                the others what the texels see of the lattice.
        """
        directions, strengths = lamps.directions.to(self.vertices), lamps.strengths.to(self.vertices)
        share = luminance(strengths)
        share = share / share.sum().clamp(min=1e-12)
        strongest = torch.zeros_like(share, dtype=torch.bool)
        strongest[share.topk(min(MAX_SPOTS, len(share))).indices] = True
        suns, sky = Lamps(directions, strengths).split(strongest & (share >= LEAST_SPOT_SHARE))
        buffers = replace(buffers, normal_light=self._outwards(buffers.normal_light, buffers.part))
        received = shading(buffers, self._sky_light(sky)) * buffers.face_mask[:, None]
        return received + self._sun_shading(suns, buffers, camera)

    def _sky_light(self, sky: Lamps) -> Float[Tensor, "1 27 s s"]:
        """What each texel sees of many weak lamps."""
        lattice = self._sky_lamps @ self._light_from_model.T
        # Weights that fall to a third within 11 degrees (lamps are 25 apart): smooth as the light turns.
        weights = torch.softmax(NUM_SKY_LAMPS * (sky.directions @ lattice.T), dim=1)
        gathered = weights.T @ sky.strengths
        view = LampView(lattice[None], self._sky_seen)
        return light_map_from_lamps(gathered[None], view, self._texels.normal_light)

    def _sun_shading(
        self, suns: Lamps, buffers: GeometryBuffers, camera: PinholeCamera
    ) -> Float[Tensor, "1 3 H W"]:
        """Shading by a few strong lamps, whose shadows are looked up at each pixel of the face front."""
        flip = self.vertices.new_tensor(LIGHT_FROM_CAM)
        occluder = transform_points(self.cam_from_model, self.vertices) * flip
        row, column = torch.where(buffers.face_mask[0])
        centres_px = torch.stack([column, row], dim=-1).to(self.vertices) + 0.5
        points = camera.unproject(centres_px, buffers.depth[0, row, column]) * flip
        normals = buffers.normal_light[0, :, row, column].T
        in_mouth = is_part(buffers.part[0, row, column], MOUTH_PARTS)
        received = torch.zeros_like(points)
        for direction, strength in zip(suns.directions, suns.strengths, strict=True):
            cosine = (normals @ direction).clamp(min=0)
            seen = directional_visibility(
                occluder,
                self.topology.faces,
                points,
                normals,
                direction,
                softness_m=SUN_PENUMBRA_M,
                size_px=min(2 * camera.width_px, _MAX_DEPTH_PX),
            )
            received += (cosine * seen.masked_fill(in_mouth, 1.0))[:, None] * strength
        picture = torch.zeros_like(buffers.normal_light)
        picture[0, :, row, column] = received.T
        return picture
