"""Pinhole camera, model pose, and the crop that every network sees, exactly invertible to the photo."""

from facelume.camera.crop import (
    CROP_CAMERA,
    CROP_FACE_DEPTH_M,
    CROP_FACE_SIZE_PX,
    CROP_SIZE_PX,
    CropTransform,
    crop_from_box,
    crop_from_landmarks,
)
from facelume.camera.pinhole import PinholeCamera
from facelume.camera.pose import (
    LIGHT_FROM_CAM,
    cam_from_model,
    cam_from_pose,
    pose_from_cam,
    transform_points,
)
from facelume.camera.sampling import sample_crop

__all__ = [
    "CROP_CAMERA",
    "CROP_FACE_DEPTH_M",
    "CROP_FACE_SIZE_PX",
    "CROP_SIZE_PX",
    "LIGHT_FROM_CAM",
    "CropTransform",
    "PinholeCamera",
    "cam_from_model",
    "cam_from_pose",
    "crop_from_box",
    "crop_from_landmarks",
    "pose_from_cam",
    "sample_crop",
    "transform_points",
]
