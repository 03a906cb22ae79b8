"""Move the landmarks of the model to where they are found on real neutral faces.

Landmarks read off a grey rendering without brows sit too low there: fits of neutral portraits then
raise the brows. The mean residual of such fits, with every expression held at zero, corrects the embedding;
mesh, atlas and bases stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from face_model_build.landmarks import (
    IBUG68_FROM_478,
    allowed_triangles,
    symmetric_embedding,
)
from face_model_build.masks import BROW_BLUR, RIGHT_BROW, _blur, _fill_polygon
from facelume.camera import CROP_CAMERA, cam_from_model, crop_from_landmarks, transform_points
from facelume.data.split import is_validation
from facelume.face_model.model import FaceModel
from facelume.face_model.open_model import read_open_face_model
from facelume.fitting import FitConfig, fit_landmarks, landmark_basis
from facelume.geometry import closest_on_triangles
from facelume.geometry.face_mesh import NUM_MESH_POINTS
from facelume.types import LandmarkEmbedding

NUM_ROUNDS = 3
SEARCH_RADIUS_M = 0.02
HELD = FitConfig(num_steps=8, identity_weight=12.0, expression_weight=1e7, expression_rest_weight=1e7)


def neutral_landmarks(london: Path) -> torch.Tensor:
    """Crop-frame landmarks (n, 478, 2) of the neutral portraits of the training people."""
    with np.load(london / "landmarks.npz", allow_pickle=False) as arrays:
        names, points = arrays["names"], arrays["points"][..., :2].astype(np.float32) / 16
    rows = []
    for name, landmarks in zip(names, points, strict=True):
        if "neutral" in str(name) and not is_validation("london", str(name)):
            rows.append(crop_from_landmarks(landmarks).to_crop(landmarks))
    return torch.from_numpy(np.stack(rows)).float()


def dense_embedding(model: FaceModel) -> LandmarkEmbedding:
    """The model's 478 landmarks; a model without them cannot be calibrated."""
    if model.landmarks478 is None:
        raise SystemExit(f"face model {model.name!r} has no 478 dense landmarks: build the open model first")
    return model.landmarks478


def mean_offset(model: FaceModel, landmarks_px: torch.Tensor) -> np.ndarray:
    """Mean displacement (478, 3), metres, model axes, parallel to the picture, from model to portrait."""
    fit = fit_landmarks(landmark_basis(model), landmarks_px, config=HELD)
    points = model.landmarks(fit.identity, fit.expression)
    matrix = cam_from_model(fit.rotvec, fit.translation)
    points_cam = transform_points(matrix, points)
    residual = landmarks_px - CROP_CAMERA.project(points_cam)
    sideways = residual * points_cam[..., 2:] / CROP_CAMERA.focal_px
    offset_cam = torch.cat([sideways, torch.zeros_like(sideways[..., :1])], dim=-1)
    offset = torch.einsum("bji,bnj->bni", matrix[:, :3, :3], offset_cam)
    return offset.median(dim=0).values.numpy()


def moved(model: FaceModel, offset: np.ndarray, mirror: np.ndarray) -> FaceModel:
    """The model with its landmarks moved, made symmetric, and put back on the part of the mesh they left."""
    offset = 0.5 * (offset + offset[mirror] * [-1, 1, 1])
    offset[NUM_MESH_POINTS:] = 0.0  # an iris point stays on the painted iris: gaze is an expression
    vertices, topology = model.mean_shape.numpy(), model.topology
    faces, part = topology.faces.numpy(), topology.face_part.numpy()
    old = dense_embedding(model)
    corners = vertices[faces[old.face_index.numpy()]]
    target = (corners * old.bary_coords.numpy()[..., None]).sum(1) + offset
    centres = vertices[faces].mean(1)
    face_index, bary = old.face_index.numpy().copy(), old.bary_coords.numpy().copy()
    opened = torch.zeros(model.num_expression)
    opened[model.expression_names.index("jawOpen")] = 1.0
    jaw = (model.shape(torch.zeros(model.num_identity), opened) - model.mean_shape).norm(dim=-1).numpy()
    allowed = allowed_triangles(faces, part, jaw)
    for i, point in enumerate(target):
        near = (np.linalg.norm(centres - point, axis=1) < SEARCH_RADIUS_M) & (part == part[face_index[i]])
        near &= allowed[i]
        near = np.flatnonzero(near)
        found, weights = closest_on_triangles(point[None], vertices[faces[near]])
        face_index[i], bary[i] = near[int(np.ravel(found)[0])], np.ravel(weights)[:3]
    partners = topology.mirror_vertices.numpy()
    face_index, bary = symmetric_embedding(face_index, bary, faces, partners, mirror)
    embedding = LandmarkEmbedding(torch.from_numpy(face_index), torch.from_numpy(bary.astype(np.float32)))
    return replace(model, landmarks478=embedding)


def calibrate(asset: Path, london: Path) -> None:
    """Rewrite landmarks and brow mask of the asset; prints how far the points moved."""
    with np.load(asset, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    model = read_open_face_model(asset.parent)
    landmarks_px, mirror = neutral_landmarks(london), arrays["landmarks478_mirror"].astype(int)
    before = model.landmarks(torch.zeros(80), torch.zeros(52)).numpy()
    for _ in range(NUM_ROUNDS):
        model = moved(model, mean_offset(model, landmarks_px), mirror)
    after = model.landmarks(torch.zeros(80), torch.zeros(52)).numpy()
    brow = list(RIGHT_BROW)
    shift = 1000 * (after - before)
    distance = np.linalg.norm(shift, axis=1).mean()
    print(f"points moved {distance:.2f} mm on average, brows {shift[brow, 1].mean():+.2f} mm upwards")
    embedding = dense_embedding(model)
    corner_uv = arrays["uvs"][arrays["uv_faces"].astype(int)][embedding.face_index.numpy()]
    marks_uv = (corner_uv * embedding.bary_coords.numpy()[..., None]).sum(1)
    right = _fill_polygon(marks_uv[brow])
    face, old_brows = arrays["uv_mask_face"] / 255.0, arrays["uv_mask_brows"] / 255.0
    brows = _blur(np.maximum(right, right[:, ::-1]), BROW_BLUR) * face
    brows = 0.5 * (brows + brows[:, ::-1])
    skin = np.clip(arrays["uv_mask_skin"] / 255.0 + old_brows * (face > 0) - brows, 0, 1)
    ibug = list(IBUG68_FROM_478)
    arrays |= {
        "landmarks478_face": embedding.face_index.numpy().astype(np.uint16),
        "landmarks478_bary": embedding.bary_coords.numpy().astype(np.float32),
        "landmarks68_face": embedding.face_index.numpy()[ibug].astype(np.uint16),
        "landmarks68_bary": embedding.bary_coords.numpy()[ibug].astype(np.float32),
        "uv_mask_brows": np.round(255 * brows).astype(np.uint8),
        "uv_mask_skin": np.round(255 * skin).astype(np.uint8),
    }
    np.savez_compressed(asset, **arrays)
