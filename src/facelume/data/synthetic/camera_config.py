"""Configuration of the cameras of synthetic faces: metering, white balance, rendering, flaws."""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Range


@dataclass(frozen=True)
class ExposureConfig(Distributions):
    """What the meter makes of a scene.

    Attributes:
        face_fraction: Share of pictures that are metered on the face; the others on the whole picture.
        face_median: Median of the mean luminance that a metered face of mid skin gets, linear.
        face_sigma: Spread of the logarithm of it.
        follow_range: How far it follows the skin: 0 makes all faces equally bright, 1 keeps their tones.
        picture_median: Median of the mean luminance that a metered picture gets, linear.
        picture_sigma: Spread of the logarithm of it: what lies outside the crop counts as well.
        over_fraction: Share of pictures that are exposed too much.
        over_log_range: Logarithm of how much.
        brightness_range: Least and largest mean luminance of a face that is not exposed too much, linear; 1
            is white.
    """

    face_fraction: float = 0.5
    face_median: float = 0.26
    face_sigma: float = 0.45
    follow_range: Range = (0.0, 0.7)
    picture_median: float = 0.18
    picture_sigma: float = 0.35
    over_fraction: float = 0.08
    over_log_range: Range = (0.2, 0.9)
    brightness_range: Range = (0.02, 0.55)


@dataclass(frozen=True)
class BalanceConfig(Distributions):
    """White balance.

    Attributes:
        removed_range: Share of the light's cast that is balanced away (exponent on it), 1 = all.
        tint_sigma: Spread of the logarithm of the gain of each colour beyond that.
        poor_fraction: Share of pictures of poor balance.
        poor_removed_range: ``removed_range`` of those.
        poor_tint_sigma: ``tint_sigma`` of those.
        limit: Largest logarithm of the gain of a colour against green.
    """

    removed_range: Range = (0.6, 1.0)
    tint_sigma: float = 0.05
    poor_fraction: float = 0.3
    poor_removed_range: Range = (0.1, 0.9)
    poor_tint_sigma: float = 0.2
    limit: float = 0.9


@dataclass(frozen=True)
class RenderingConfig(Distributions):
    """From linear light to the picture that people like: contrast, highlights, colour.

    Attributes:
        plain_fraction: Share of pictures that are sRGB and nothing else.
        contrast_range: Exponent on linear light about middle grey.
        shoulder_range: Linear value from which highlights are compressed instead of clipped, (0, 1].
        lift_range: Encoded value of black.
        saturation_range: Distance of colours from grey against the scene.
        gamma_sigma: Spread of the logarithm of the exponent on the encoded value.
        grey_fraction: Share of pictures in black and white.
        toned_fraction: Share of those that are toned: sepia, blue.
        toning_sigma: Spread of the logarithm of the toning of each colour.
    """

    plain_fraction: float = 0.15
    contrast_range: Range = (0.9, 1.4)
    shoulder_range: Range = (0.25, 0.9)
    lift_range: Range = (0.0, 0.06)
    saturation_range: Range = (0.8, 1.4)
    gamma_sigma: float = 0.06
    grey_fraction: float = 0.05
    toned_fraction: float = 0.25
    toning_sigma: float = 0.08


@dataclass(frozen=True)
class CameraConfig(Distributions):
    """Exposure, white balance, rendering and flaws of the camera.

    Attributes:
        exposure: The meter.
        balance: White balance.
        rendering: Contrast and colour.
        poor_fraction: Share of poor pictures: more blur, and less than the crop's resolution.
        blur_range_px: Radius of the lens blur (sigma of a Gaussian), crop pixels.
        poor_blur_range_px: What a poor picture adds to it.
        poor_detail_range: Resolution of a poor picture as a share of the crop's, (0, 1].
        shot_noise_range: Standard deviation of the noise at linear value 1.
        read_noise_range: Standard deviation of the noise at linear value 0.
        jpeg_quality_range: Quality of the JPEG, 1 to 95.
    """

    exposure: ExposureConfig = field(default_factory=ExposureConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    rendering: RenderingConfig = field(default_factory=RenderingConfig)
    poor_fraction: float = 0.3
    blur_range_px: Range = (0.35, 0.6)
    poor_blur_range_px: Range = (0.0, 1.0)
    poor_detail_range: Range = (0.4, 1.0)
    shot_noise_range: Range = (0.0, 0.03)
    read_noise_range: Range = (0.0, 0.008)
    jpeg_quality_range: CountRange = (35, 95)
