"""What is measured about a result: fidelity, landmarks, albedo and tone; pure functions on arrays."""

from facelume.metrics.albedo import absolute_error, albedo_distance, scale_free_error, scale_free_gain
from facelume.metrics.image import ImageFidelity, image_fidelity, psnr_db
from facelume.metrics.landmarks import normalised_mean_error
from facelume.metrics.skin_colour import TONE_AXES, SkinColour, is_grey, skin_colour
from facelume.metrics.spread import between_spread, within_spread
from facelume.metrics.tie_break import TieBreak, tie_break

__all__ = [
    "TONE_AXES",
    "ImageFidelity",
    "SkinColour",
    "TieBreak",
    "absolute_error",
    "albedo_distance",
    "between_spread",
    "image_fidelity",
    "is_grey",
    "normalised_mean_error",
    "psnr_db",
    "scale_free_error",
    "scale_free_gain",
    "skin_colour",
    "tie_break",
    "within_spread",
]
