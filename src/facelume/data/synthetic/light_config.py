"""Configuration of the lights of synthetic faces: kinds of light, lamps, what fills their shadows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Mixture, Range


@dataclass(frozen=True)
class FillConfig(Distributions):
    """The soft light of a room or the sky about lamps.

    Attributes:
        tint_sigma: Spread of the logarithm of its red over green; blue goes the other way.
        slope_mean: Mean of its SH coefficients of band 1 (up, to the viewer, to +X) over band 0.
        slope_sigma: Spread of them.
        slope_tint_sigma: Spread of the logarithm of their red over green.
    """

    tint_sigma: float = 0.2
    slope_mean: tuple[float, float, float] = (0.2, 0.1, 0.0)
    slope_sigma: float = 0.25
    slope_tint_sigma: float = 0.1


@dataclass(frozen=True)
class StudioConfig(Distributions):
    """One to a few lamps that stand in front, over a fill that is seldom dark: portraits.

    Attributes:
        num_lamps_weights: Probability of one lamp, two, three ...
        azimuth_sigma_rad: Spread of a lamp's azimuth about straight ahead.
        elevation_mean_rad: Mean height of the lamps.
        elevation_sigma_rad: Spread of their height.
        rim_fraction: Share of the second and further lamps that stand behind the head.
        rim_azimuth_range_rad: Azimuth of those, to either side.
        second_strength_range: Strength of the second and further lamps; the first has 1.
        lamp_tint_sigma: Spread of the logarithm of a lamp's red over green; blue goes the other way.
        softness_choices_m: Radius of a lamp's penumbra on the face.
        fill_log_mean: Mean of the logarithm of the fill's radiance (1 gives as much irradiance as a lamp of
            strength 1 gives a surface that faces it).
        fill_log_sigma: Spread of it.
        behind_log_range: Logarithm of the radiance of what is behind the head, over that of a white surface
            which faces the viewer.
    """

    num_lamps_weights: tuple[float, ...] = (0.55, 0.3, 0.15)
    azimuth_sigma_rad: float = 0.9
    elevation_mean_rad: float = 0.55
    elevation_sigma_rad: float = 0.4
    rim_fraction: float = 0.5
    rim_azimuth_range_rad: Range = (1.4, 2.6)
    second_strength_range: Range = (0.15, 1.2)
    lamp_tint_sigma: float = 0.2
    softness_choices_m: tuple[float, ...] = (0.0008, 0.002, 0.005, 0.009)
    fill_log_mean: float = -0.9
    fill_log_sigma: float = 0.8
    behind_log_range: Range = (-2.5, 0.3)


@dataclass(frozen=True)
class LampConfig(Distributions):
    """Lamps of one kind of hard or large light.

    Attributes:
        num_lamps_range: How many.
        azimuth_range_rad: Where they stand, to either side: 0 is at the viewer, pi behind the head.
        elevation_range_rad: Height, -pi/2 (from below) to pi/2.
        extent_range_rad: Angular radius of a lamp as the face sees it; large ones have soft shadows.
        tint_sigma: Spread of the logarithm of a lamp's red over green; blue goes the other way.
        saturation_range: Share of one pure hue in a lamp's colour: 0 is white, 1 lacks two of the colours.
        strength_range: Strength of each lamp.
        fill_log_range: Logarithm of the fill's radiance (1 gives as much irradiance as a lamp of strength 1
            gives a surface that faces it).
        behind_log_range: Logarithm of the radiance of what is behind the head, over that of a white surface
            which faces the viewer.
    """

    num_lamps_range: CountRange
    azimuth_range_rad: Range
    elevation_range_rad: Range
    extent_range_rad: Range
    tint_sigma: float
    saturation_range: Range
    strength_range: Range
    fill_log_range: Range
    behind_log_range: Range


def _lamps(
    azimuth: Range, elevation: Range, extent: Range, tint: float, fill: Range, behind: Range
) -> LampConfig:
    """One lamp of about white light."""
    return LampConfig((1, 1), azimuth, elevation, extent, tint, (0.0, 0.1), (0.7, 1.4), fill, behind)


@dataclass(frozen=True)
class LightKinds(Mixture):
    """What shines on a head.

    Attributes:
        environment: An environment map, where maps are given; else the studio.
        studio: Portrait lamps over a fill.
        sun: The sun over the light of the sky.
        lamp: One hard lamp from any side, also from below and behind.
        window: One large light from a side.
        flash: A small light beside the camera.
        stage: Lamps of saturated colours.
        backlight: Lamps behind the head, the front dim.
    """

    environment: float = 0.44
    studio: float = 0.2
    sun: float = 0.06
    lamp: float = 0.1
    window: float = 0.06
    flash: float = 0.05
    stage: float = 0.04
    backlight: float = 0.05


@dataclass(frozen=True)
class LightConfig(Distributions):
    """What shines on a head.

    Attributes:
        kinds: Shares of the kinds of light.
        tilt_sigma_rad: Spread of the tilt of an environment map, about each of two axes; suns stay up.
        sun_softness_choices_m: Radius of the penumbra of a patch that outshines the rest of its map.
        studio: Portrait lamps.
        sun: The sun.
        lamp: One hard lamp.
        window: A window.
        flash: A flash.
        stage: Stage lights.
        backlight: Light from behind.
        fill: What fills the shadows of all of them but maps.
    """

    kinds: LightKinds = field(default_factory=LightKinds)
    tilt_sigma_rad: float = 0.17
    sun_softness_choices_m: tuple[float, ...] = (0.0006, 0.0015, 0.004)
    studio: StudioConfig = field(default_factory=StudioConfig)
    sun: LampConfig = field(
        default_factory=lambda: _lamps(
            (0.0, math.pi), (0.15, 1.35), (0.005, 0.02), 0.12, (-2.3, -0.7), (-1.5, 0.7)
        )
    )
    lamp: LampConfig = field(
        default_factory=lambda: _lamps(
            (0.0, math.pi), (-1.0, 1.3), (0.01, 0.15), 0.25, (-4.0, -1.5), (-3.0, 0.0)
        )
    )
    window: LampConfig = field(
        default_factory=lambda: _lamps((0.3, 1.7), (-0.1, 0.6), (0.25, 0.6), 0.15, (-2.5, -0.7), (-2.0, 0.5))
    )
    flash: LampConfig = field(
        default_factory=lambda: _lamps(
            (0.0, 0.15), (-0.05, 0.2), (0.005, 0.05), 0.08, (-3.5, -1.2), (-3.5, -0.5)
        )
    )
    stage: LampConfig = field(
        default_factory=lambda: LampConfig(
            num_lamps_range=(1, 3),
            azimuth_range_rad=(0.0, math.pi),
            elevation_range_rad=(0.0, 1.2),
            extent_range_rad=(0.01, 0.1),
            tint_sigma=0.2,
            saturation_range=(0.3, 0.95),
            strength_range=(0.3, 1.5),
            fill_log_range=(-3.5, -1.5),
            behind_log_range=(-4.0, -0.5),
        )
    )
    backlight: LampConfig = field(
        default_factory=lambda: LampConfig(
            num_lamps_range=(1, 2),
            azimuth_range_rad=(2.0, math.pi),
            elevation_range_rad=(-0.1, 0.9),
            extent_range_rad=(0.01, 0.2),
            tint_sigma=0.2,
            saturation_range=(0.0, 0.1),
            strength_range=(0.3, 1.0),
            fill_log_range=(-2.2, -0.6),
            behind_log_range=(-0.5, 2.0),
        )
    )
    fill: FillConfig = field(default_factory=FillConfig)
