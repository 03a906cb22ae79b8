"""Configuration of the locator's scenes: how many faces of which size, on what, covered and spoilt how often.

Sizes of faces are roots of width times height of the box of the mesh points, in pixels of the scene; they are
drawn so that each doubling is as likely as the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Mixture, Range
from facelume.errors import UsageError


@dataclass(frozen=True)
class SceneKinds(Mixture):
    """What a scene is made of.

    Attributes:
        background: Share of pictures without faces.
        close_up: Share of photos that fill the scene with one large face.
        whole_photo: Share of photos over the whole scene, the face smaller.
        pasted: Share of backgrounds with photos pasted onto them.
    """

    background: float = 0.1
    close_up: float = 0.07
    whole_photo: float = 0.28
    pasted: float = 0.55


@dataclass(frozen=True)
class PlacementConfig(Distributions):
    """Turn and width of a photo in the scene; half of the photos are mirrored.

    Attributes:
        usual_fraction: Share of tilts that are drawn about upright; the others are drawn evenly to the limit.
        tilt_sigma_rad: Spread of the tilts about upright.
        tilt_limit_rad: Largest tilt.
        tilted_fraction: Share of whole photos that are tilted at all; pasted ones always are.
        narrowed_fraction: Share of photos whose width is changed, as of a head that is turned away.
        narrowed_range: Factor on the width of those.
    """

    usual_fraction: float = 0.8
    tilt_sigma_rad: float = 0.3
    tilt_limit_rad: float = 0.9
    tilted_fraction: float = 0.5
    narrowed_fraction: float = 0.3
    narrowed_range: Range = (0.7, 1.08)


@dataclass(frozen=True)
class EdgeConfig(Distributions):
    """Outline of a pasted photo.

    Attributes:
        whole_fraction: Share of photos that are pasted whole, with hard edges.
        feathered_fraction: Share of the others that are whole with soft edges; the rest is cut to an oval.
        feather_range: Width of soft edges over the photo's shorter side.
        oval_range: Radius of the oval over that of the face.
        oval_edge_range: Width of the oval's soft edge over its radius.
    """

    whole_fraction: float = 0.35
    feathered_fraction: float = 0.5
    feather_range: Range = (0.02, 0.12)
    oval_range: Range = (1.15, 1.7)
    oval_edge_range: Range = (0.03, 0.25)


@dataclass(frozen=True)
class ErasureKinds(Mixture):
    """What takes the place of an erased face.

    Attributes:
        blurred: Share of faces that are blurred away.
        shuffled: Share of faces whose parts change places.
        replaced: Share of faces with a picture without a face in their place.
    """

    blurred: float = 0.35
    shuffled: float = 0.3
    replaced: float = 0.35


@dataclass(frozen=True)
class ErasureConfig(Distributions):
    """Photos whose face is erased: what surrounds faces is no face.

    Attributes:
        kept_fraction: Share of pasted photos that keep their face.
        whole_fraction: Share of whole photos (close-ups included) whose face is erased.
        kinds: What takes its place.
        num_cells_range: Parts of a shuffled face along each side.
    """

    kept_fraction: float = 0.62
    whole_fraction: float = 0.2
    kinds: ErasureKinds = field(default_factory=ErasureKinds)
    num_cells_range: CountRange = (3, 5)


@dataclass(frozen=True)
class CoverKinds(Mixture):
    """What covers a face.

    Attributes:
        rectangle: Share of faces with a rectangle over a part of them.
        glasses: Share of faces with dark glasses.
        cloth: Share of faces with a cloth from the nose down.
        nothing: Share of faces that are not covered.
    """

    rectangle: float = 0.12
    glasses: float = 0.05
    cloth: float = 0.03
    nothing: float = 0.8


@dataclass(frozen=True)
class CoverConfig(Distributions):
    """Things over a part of a face.

    Attributes:
        kinds: How often which.
        rectangle_range: Sides of the rectangle over those of the face.
        noisy_fraction: Share of rectangles of noise; the others have one colour.
        lens_height_range: Half the height of the glasses over the distance from eyes to mouth.
        lens_width_range: Half the width of a lens over half the distance of the eyes.
    """

    kinds: CoverKinds = field(default_factory=CoverKinds)
    rectangle_range: Range = (0.1, 0.35)
    noisy_fraction: float = 0.3
    lens_height_range: Range = (0.2, 0.4)
    lens_width_range: Range = (0.6, 0.9)


@dataclass(frozen=True)
class BackgroundKinds(Mixture):
    """Pictures without faces.

    Attributes:
        window: Share of windows of real pictures.
        thumbnail: Share of whole real pictures, small.
        noise: Share of noise of several grains.
        shapes: Share of discs, rings, ovals and bars on a gradient.
        shapes_with_ovals: Share of those under ovals cut from real pictures.
        window_with_ovals: Share of windows of real pictures under such ovals.
    """

    window: float = 0.55
    thumbnail: float = 0.15
    noise: float = 0.12
    shapes: float = 0.04
    shapes_with_ovals: float = 0.04
    window_with_ovals: float = 0.1


@dataclass(frozen=True)
class BackgroundConfig(Distributions):
    """Pictures without faces, and where real ones come from.

    Attributes:
        kinds: How often which.
        pictures_per_strip: How often pictures of folders are drawn against strips beside the faces of photos.
        environments_per_strip: How often environment maps are drawn against those strips.
        least_window_px: Least side of a window, pixels of the real picture.
        turned_fraction: Share of windows that are mirrored, turned by quarters or both.
        least_thumbnail_px: Least of the longer sides of a thumbnail.
        num_grains_range: Number of grains of noise, of the seven from half of the scene to 1/128 of it.
        smooth_fraction: Share of grains without hard edges.
        grain_range: Strength of a grain against the others.
        contrast_range: Contrast of the noise.
        num_shapes_range: Number of shapes.
        least_shape_px: Least radius of a shape; the largest is a third of the scene.
        round_fraction: Share of shapes that are round; the others are rectangles.
        ring_fraction: Share of shapes with a hole.
        num_ovals_range: Number of ovals cut from real pictures.
        least_oval_px: Least half width of an oval; the largest is a third of the scene.
        oval_aspect_range: Height of an oval over its width.
        oval_edge_range: Width of an oval's soft edge over its radius.
    """

    kinds: BackgroundKinds = field(default_factory=BackgroundKinds)
    pictures_per_strip: float = 0.5
    environments_per_strip: float = 0.25
    least_window_px: float = 48.0
    turned_fraction: float = 0.4
    least_thumbnail_px: float = 24.0
    num_grains_range: CountRange = (1, 4)
    smooth_fraction: float = 0.8
    grain_range: Range = (0.3, 1.0)
    contrast_range: Range = (1.0, 4.0)
    num_shapes_range: CountRange = (3, 15)
    least_shape_px: float = 2.0
    round_fraction: float = 0.7
    ring_fraction: float = 0.3
    num_ovals_range: CountRange = (1, 5)
    least_oval_px: float = 6.0
    oval_aspect_range: Range = (0.8, 1.5)
    oval_edge_range: Range = (0.03, 0.25)


@dataclass(frozen=True)
class FlawConfig(Distributions):
    """Light, colour and quality of the finished scene, on sRGB-encoded values from 0 to 1.

    Attributes:
        brightness_sigma: Spread of the logarithm of a gain on all colours.
        tint_sigma: Spread of the logarithm of a gain on each colour.
        gamma_sigma: Spread of the logarithm of the exponent of the tone curve.
        contrast_sigma: Spread of the logarithm of the contrast about 0.5.
        offset_sigma: Spread of what is added.
        grey_fraction: Share of grey scenes.
        blur_fraction: Share of blurred scenes.
        blur_range_px: Sigma of their Gaussian.
        coarse_fraction: Share of scenes of lower resolution.
        coarse_range: Factor by which it is lower.
        noise_fraction: Share of noisy scenes.
        noise_range: Standard deviation of the noise, in 1/255.
        jpeg_fraction: Share of compressed scenes.
        jpeg_quality_range: Quality of the JPEG, 1 to 95.
    """

    brightness_sigma: float = 0.22
    tint_sigma: float = 0.07
    gamma_sigma: float = 0.3
    contrast_sigma: float = 0.2
    offset_sigma: float = 0.06
    grey_fraction: float = 0.15
    blur_fraction: float = 0.2
    blur_range_px: Range = (0.4, 1.5)
    coarse_fraction: float = 0.1
    coarse_range: Range = (1.2, 2.2)
    noise_fraction: float = 0.25
    noise_range: Range = (2.0, 16.0)
    jpeg_fraction: float = 0.3
    jpeg_quality_range: CountRange = (25, 89)


@dataclass(frozen=True)
class SceneConfig(Distributions):
    """What the locator's scenes look like; a run file sets any of it.

    Attributes:
        kinds: What scenes are made of.
        close_up_range_px: Size of the face of a close-up.
        whole_range_px: Size of the face of another whole photo.
        num_pasted_range: Photos that are pasted onto a background.
        extra_fraction: Share of whole photos (without close-ups) onto which photos are pasted, too.
        num_extra_range: How many.
        pasted_range_px: Size of the faces of one or two pasted photos.
        crowd_range_px: Size of the faces of three or more.
        placement: Turn and width of the photos.
        edges: Outlines of pasted photos.
        erasures: Photos whose face is erased.
        covers: What covers faces.
        backgrounds: Pictures without faces.
        flaws: Light, colour and quality of the finished scene.
    """

    kinds: SceneKinds = field(default_factory=SceneKinds)
    close_up_range_px: Range = (120.0, 300.0)
    whole_range_px: Range = (12.0, 120.0)
    num_pasted_range: CountRange = (1, 7)
    extra_fraction: float = 0.2
    num_extra_range: CountRange = (1, 2)
    pasted_range_px: Range = (10.0, 130.0)
    crowd_range_px: Range = (10.0, 70.0)
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    edges: EdgeConfig = field(default_factory=EdgeConfig)
    erasures: ErasureConfig = field(default_factory=ErasureConfig)
    covers: CoverConfig = field(default_factory=CoverConfig)
    backgrounds: BackgroundConfig = field(default_factory=BackgroundConfig)
    flaws: FlawConfig = field(default_factory=FlawConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("close_up_range_px", "whole_range_px", "pasted_range_px", "crowd_range_px"):
            if getattr(self, name)[0] <= 0:
                raise UsageError(f"SceneConfig.{name} must start above 0 px, not at {getattr(self, name)[0]}")
