"""What is measured about a result: fidelity, landmark error, albedo error; pure functions on arrays."""

from facelume.metrics.albedo import scale_free_error, scale_free_gain
from facelume.metrics.image import ImageFidelity, image_fidelity
from facelume.metrics.landmarks import normalised_mean_error

__all__ = [
    "ImageFidelity",
    "image_fidelity",
    "normalised_mean_error",
    "scale_free_error",
    "scale_free_gain",
]
