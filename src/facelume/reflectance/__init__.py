"""Lambertian shading and colour: sRGB, luminance, skin tone."""

from facelume.reflectance.colour import cielab_from_linear, linear_from_srgb, luminance, srgb_from_linear
from facelume.reflectance.human_skin import HumanSkin, hue, human_skin
from facelume.reflectance.lambert import shade, shading_from_irradiance
from facelume.reflectance.skin_tone import ITA_CLASSES, ita_class, ita_degrees

__all__ = [
    "ITA_CLASSES",
    "HumanSkin",
    "cielab_from_linear",
    "hue",
    "human_skin",
    "ita_class",
    "ita_degrees",
    "linear_from_srgb",
    "luminance",
    "shade",
    "shading_from_irradiance",
    "srgb_from_linear",
]
