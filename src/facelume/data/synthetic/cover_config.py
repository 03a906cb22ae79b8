"""Configuration of what is in front of synthetic faces and behind them: hair, glasses, hands, backdrops."""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Range
from facelume.errors import UsageError


@dataclass(frozen=True)
class HairConfig(Distributions):
    """Hair on the scalp, and the colour of all hair.

    Attributes:
        thickness_range_m: How far it stands off the scalp.
        grey_fraction: Share of grey hair.
        grey_range: Linear value of grey hair, [0, 1].
        melanin_beta: Shape of the melanin of other hair, from 0 (blond) to 1 (black).
        colour_sigma: Spread of the logarithm of each colour of it.
    """

    thickness_range_m: Range = (0.003, 0.03)
    grey_fraction: float = 0.12
    grey_range: Range = (0.15, 0.5)
    melanin_beta: tuple[float, float] = (2.0, 1.2)
    colour_sigma: float = 0.1


@dataclass(frozen=True)
class StrandsConfig(Distributions):
    """Strands that fall over the face, in locks; lengths are in units of forehead to chin.

    Attributes:
        num_locks_range: Number of locks.
        root_range: Place of a lock's root across the forehead, 0 = middle.
        reach_range: Length of a lock, 1 = down to the chin.
        drift_sigma: Spread of how far a lock falls to the side.
        num_strands_range: Number of strands in a lock.
        root_sigma: Spread of the roots of a lock's strands.
        bend_sigma: Spread of the drift of a lock's strands.
        reach_sigma: Spread of the length of a lock's strands.
        width_range_px: Width of a strand, pixels at twice the crop's resolution.
        curtain_fraction: Share of faces with strands that also have a curtain of hair along the cheeks.
        bare_side_fraction: Probability that a side of the face lacks the curtain.
        curtain_range: How far the curtain covers the cheek, in units of the face's width.
    """

    num_locks_range: CountRange = (1, 5)
    root_range: Range = (-0.5, 0.5)
    reach_range: Range = (0.15, 0.75)
    drift_sigma: float = 0.12
    num_strands_range: CountRange = (3, 29)
    root_sigma: float = 0.03
    bend_sigma: float = 0.03
    reach_sigma: float = 0.05
    width_range_px: CountRange = (1, 2)
    curtain_fraction: float = 0.4
    bare_side_fraction: float = 0.4
    curtain_range: Range = (-0.05, 0.18)


@dataclass(frozen=True)
class GlassesConfig(Distributions):
    """Glasses; lengths are in units of the distance of the eyes.

    Attributes:
        squareness_choices: Exponent of the rims' outline: 2 is an ellipse, 5 nearly a rectangle.
        half_width_range: Half the width of a lens.
        half_height_range: Half the height of a lens.
        rim_range_px: Width of the rims, pixels at twice the crop's resolution.
        tints: Opacity of clear, faintly tinted, dark and nearly black lenses, [0, 1].
        tint_weights: Probability of each of ``tints``.
        glare_range: Strength of the reflection on the lenses.
        frame_log_range: Logarithm of the frame's linear value.
        frame_sigma: Spread of the logarithm of each colour of it.
    """

    squareness_choices: tuple[float, ...] = (2.0, 2.8, 5.0)
    half_width_range: Range = (0.36, 0.46)
    half_height_range: Range = (0.22, 0.36)
    rim_range_px: CountRange = (2, 6)
    tints: tuple[float, ...] = (0.0, 0.05, 0.6, 0.9)
    tint_weights: tuple[float, ...] = (0.4, 0.3, 0.15, 0.15)
    glare_range: Range = (0.0, 0.8)
    frame_log_range: Range = (-4.5, -0.7)
    frame_sigma: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.tints) != len(self.tint_weights):
            raise UsageError(
                f"GlassesConfig.tint_weights must be as many as tints ({len(self.tints)}), "
                f"not {len(self.tint_weights)}"
            )


@dataclass(frozen=True)
class HandConfig(Distributions):
    """A hand, or another thing of that shape; lengths are in units of forehead to chin.

    Attributes:
        place_sigma: Spread of the palm about the chin, to the side; half as much up and down.
        turn_sigma_rad: Spread of its direction about the one to the bridge of the nose.
        radius_range: Radius of the palm.
        num_fingers_range: Number of fingers.
        finger_range: Reach of the fingers, in units of the palm's radius.
        skin_fraction: Share that has the colour of skin; the others have any colour.
        skin_brightness_range: Brightness of the skin against a light one.
        other_colour_range: Linear value of each colour of the others.
    """

    place_sigma: float = 0.45
    turn_sigma_rad: float = 0.4
    radius_range: Range = (0.1, 0.25)
    num_fingers_range: CountRange = (0, 4)
    finger_range: Range = (1.5, 2.6)
    skin_fraction: float = 0.7
    skin_brightness_range: Range = (0.1, 1.2)
    other_colour_range: Range = (0.02, 0.7)


@dataclass(frozen=True)
class OccluderConfig(Distributions):
    """What covers a face, and how often.

    Attributes:
        hair_fraction: Share of heads with hair on the scalp.
        strand_fraction: Share with strands over the face.
        glasses_fraction: Share with glasses.
        hand_fraction: Share with a hand or another thing in front of the face.
        hair: The hair.
        strands: The strands.
        glasses: The glasses.
        hand: The hands.
    """

    hair_fraction: float = 0.75
    strand_fraction: float = 0.2
    glasses_fraction: float = 0.15
    hand_fraction: float = 0.1
    hair: HairConfig = field(default_factory=HairConfig)
    strands: StrandsConfig = field(default_factory=StrandsConfig)
    glasses: GlassesConfig = field(default_factory=GlassesConfig)
    hand: HandConfig = field(default_factory=HandConfig)


@dataclass(frozen=True)
class BackdropConfig(Distributions):
    """What is behind a head: a blurred piece of an environment map, or a gradient with noise.

    Attributes:
        environment_fraction: Share of pieces of environment maps, where maps are given.
        window_range_px: Side of such a piece, map pixels.
        brightness_range: Linear value of its bright parts (80th percentile).
        slope_sigma: Spread of the gradient's slope along each axis.
        grain_range_px: Size of the noise on a gradient (sigma of a Gaussian), crop pixels.
        noise_range: Strength of the noise.
    """

    environment_fraction: float = 0.6
    window_range_px: CountRange = (32, 96)
    brightness_range: Range = (0.1, 0.8)
    slope_sigma: float = 1.0
    grain_range_px: Range = (1.0, 15.0)
    noise_range: Range = (0.0, 6.0)
