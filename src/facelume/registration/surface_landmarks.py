"""Where the dense landmarks lie on the surface of a head that nobody has marked.

The head is drawn as plain skin from several sides, the prior network reads the landmarks off each picture
and off its mirror image, and the surface under them is kept. Nothing is random: one head gives one answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facelume.camera import (
    CROP_CAMERA,
    CROP_FACE_DEPTH_M,
    CROP_FACE_SIZE_PX,
    CROP_SIZE_PX,
    cam_from_pose,
    transform_points,
)
from facelume.errors import AssetError
from facelume.geometry import mesh_box, rotation_from_rotvec, rotvec_from_rotation
from facelume.geometry.face_mesh import NUM_LANDMARKS, NUM_MESH_POINTS
from facelume.networks.prior import PriorNetwork
from facelume.raster import GeometryBuffers, geometry_buffers
from facelume.reflectance import srgb_from_linear
from facelume.types import Topology

# Yaw and pitch of the pictures.
_VIEWS_RAD = ((0.0, 0.0), (0.35, 0.0), (-0.35, 0.0), (0.7, 0.0), (-0.7, 0.0), (0.0, 0.25), (0.0, -0.25))
_NUM_CENTRINGS = 2
# A landmark counts where the surface under it faces the viewer by at least this cosine.
_LEAST_COSINE = 0.35
# Doubt of the network (median expected error, fraction of the face's size) from which it sees no face.
_ABSURD_SIGMA = 0.025
_LEAST_LANDMARKS = 300
_SKIN_LINEAR = (0.55, 0.34, 0.25)
_BACKDROP_SRGB = 0.35
_LAMP_LIGHT_FRAME = (0.2, 0.5, 0.8)
_FILL = 0.25


@dataclass(frozen=True, eq=False)
class SurfaceLandmarks:
    """Dense landmarks of one head.

    Attributes:
        points: Positions on its surface, its axes, metres; 0 where not found.
        is_found: Which were seen; never the irises.
        spread: Distance between what the pictures say of a landmark, root mean square, metres.
    """

    points: Float[np.ndarray, "478 3"]
    is_found: Bool[np.ndarray, " 478"]
    spread: Float[np.ndarray, " 478"]


def find_landmarks(
    topology: Topology, vertices: Float[Tensor, "V 3"], network: PriorNetwork, mirrored: np.ndarray
) -> SurfaceLandmarks:
    """The dense landmarks of a head that looks along +Z, 5 cm and more before its origin.

    Args:
        topology: Its triangles.
        vertices: Positions, model axes, metres.
        network: Reads landmarks off pictures.
        mirrored: The landmark that takes a landmark's place in a mirrored picture
            (:attr:`~facelume.fitting.LandmarkBasis.mirrored`).

    Raises:
        AssetError: The network sees no face.
    """
    total, weight, square = np.zeros((NUM_LANDMARKS, 3)), np.zeros(NUM_LANDMARKS), np.zeros(NUM_LANDMARKS)
    for yaw, pitch in _VIEWS_RAD:
        points, share = _look(topology, vertices, network, mirrored, _turn(yaw, pitch))
        total += share[:, None] * points
        square += share * (points**2).sum(axis=1)
        weight += share
    is_found = weight > 0
    is_found[NUM_MESH_POINTS:] = False
    if is_found.sum() < _LEAST_LANDMARKS:
        raise AssetError(
            f"only {is_found.sum()} of the {NUM_MESH_POINTS} landmarks were found on the mean of the face "
            f"model: are its axes x to the subject's left, y up, z out of the face, its unit the metre?"
        )
    mean = total / np.maximum(weight, 1e-30)[:, None]
    variance = square / np.maximum(weight, 1e-30) - (mean**2).sum(axis=1)
    points = np.where(is_found[:, None], mean, 0.0)
    return SurfaceLandmarks(points, is_found, np.sqrt(variance.clip(0)) * is_found)


def _turn(yaw_rad: float, pitch_rad: float) -> Float[Tensor, " 3"]:
    turns = [
        rotation_from_rotvec(torch.tensor(axis)) for axis in ([pitch_rad, 0.0, 0.0], [0.0, yaw_rad, 0.0])
    ]
    return rotvec_from_rotation(turns[0] @ turns[1])


def _look(
    topology: Topology,
    vertices: Float[Tensor, "V 3"],
    network: PriorNetwork,
    mirrored: np.ndarray,
    rotvec: Float[Tensor, " 3"],
) -> tuple[Float[np.ndarray, "478 3"], Float[np.ndarray, " 478"]]:
    """Landmarks read off one picture: points of the surface, and how much each counts."""
    place = torch.tensor([0.0, 0.0, CROP_FACE_DEPTH_M])
    for _ in range(_NUM_CENTRINGS):
        buffers, _ = _see(topology, vertices, rotvec, place)
        points_px, _ = _read(buffers, network, mirrored)
        place = _centred(place, points_px)
    buffers, cam_from_model = _see(topology, vertices, rotvec, place)
    points_px, sigma_px = _read(buffers, network, mirrored)
    doubt = float(sigma_px[:NUM_MESH_POINTS].median()) / CROP_FACE_SIZE_PX
    if doubt > _ABSURD_SIGMA:
        return np.zeros((NUM_LANDMARKS, 3)), np.zeros(NUM_LANDMARKS)
    column, row = points_px.long().clamp(0, CROP_SIZE_PX - 1).unbind(-1)
    face = buffers.pix_to_face[0, row, column]
    cosine = buffers.normal_light[0, 2, row, column]
    is_seen = (
        (face >= 0) & (cosine > _LEAST_COSINE) & (points_px >= 0).all(-1) & (points_px < CROP_SIZE_PX).all(-1)
    )
    points = _under(topology, transform_points(cam_from_model, vertices), face.clamp(min=0), points_px)
    in_model = transform_points(torch.linalg.inv(cam_from_model), points)
    share = is_seen * (cosine.clamp(min=0) / sigma_px).square()
    return in_model.double().numpy(), (share * torch.isfinite(in_model).all(-1)).double().numpy()


def _see(
    topology: Topology,
    vertices: Float[Tensor, "V 3"],
    rotvec: Float[Tensor, " 3"],
    place: Float[Tensor, " 3"],
) -> tuple[GeometryBuffers, Float[Tensor, "4 4"]]:
    cam_from_model = cam_from_pose(torch.cat([rotvec, place]))
    return geometry_buffers(topology, vertices[None], cam_from_model[None], CROP_CAMERA), cam_from_model


def _read(
    buffers: GeometryBuffers, network: PriorNetwork, mirrored: np.ndarray
) -> tuple[Float[Tensor, "478 2"], Float[Tensor, " 478"]]:
    """What the network reads off a picture of plain skin, mean of the picture and its mirror image."""
    lamp = torch.nn.functional.normalize(torch.tensor(_LAMP_LIGHT_FRAME), dim=0)
    light = torch.einsum("bdhw,d->bhw", buffers.normal_light, lamp).clamp(min=0) * (1 - _FILL) + _FILL
    skin = srgb_from_linear(light[:, None] * torch.tensor(_SKIN_LINEAR)[:, None, None]).clamp(0, 1)
    picture = torch.where(buffers.mask[:, None], skin, torch.tensor(_BACKDROP_SRGB))
    read = network(torch.cat([picture, picture.flip(-1)]))
    order = torch.from_numpy(mirrored)
    turned = read.landmarks_px[1, order] * torch.tensor([-1.0, 1.0]) + torch.tensor(
        [float(CROP_SIZE_PX), 0.0]
    )
    sigma = (read.landmark_sigma_px[0] + read.landmark_sigma_px[1, order]) / 2
    return (read.landmarks_px[0] + turned) / 2, sigma


def _centred(place: Float[Tensor, " 3"], points_px: Float[Tensor, "478 2"]) -> Float[Tensor, " 3"]:
    """Where the head has to be so that its landmarks fill the picture as those of a canonical crop."""
    left, top, right, bottom = mesh_box(points_px).tolist()
    size_px = math.sqrt((right - left) * (bottom - top))
    depth = float(place[2]) * size_px / CROP_FACE_SIZE_PX
    middle = torch.tensor([(left + right) / 2, (top + bottom) / 2]) - CROP_SIZE_PX / 2
    across = place[:2] - middle * float(place[2]) / CROP_CAMERA.focal_px
    return torch.cat([across * depth / float(place[2]), torch.tensor([depth])])


def _under(
    topology: Topology, vertices_cam: Float[Tensor, "V 3"], face: Tensor, points_px: Float[Tensor, "478 2"]
) -> Float[Tensor, "478 3"]:
    """Where the line of sight of each picture point meets the plane of its triangle, camera axes."""
    first, second, third = (vertices_cam[topology.faces[face, k]] for k in range(3))
    normal = torch.linalg.cross(second - first, third - first)
    ray = CROP_CAMERA.unproject(points_px, torch.ones_like(points_px[:, 0]))
    distance = (first * normal).sum(-1) / (ray * normal).sum(-1)
    return ray * distance[:, None]
