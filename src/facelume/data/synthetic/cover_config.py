"""Configuration of what is in front of synthetic faces and behind them: hair, glasses, hands, backdrops."""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Mixture, Range
from facelume.errors import UsageError


@dataclass(frozen=True)
class HairConfig(Distributions):
    """Hair on the scalp; its colour is the person's (:class:`HairColourConfig`).

    Attributes:
        thickness_range_m: How far it stands off the scalp.
    """

    thickness_range_m: Range = (0.003, 0.03)


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
        skin_fraction: Share that has the colour of the person's skin; the others have any colour.
        other_colour_range: Linear value of each colour of the others.
    """

    place_sigma: float = 0.45
    turn_sigma_rad: float = 0.4
    radius_range: Range = (0.1, 0.25)
    num_fingers_range: CountRange = (0, 4)
    finger_range: Range = (1.5, 2.6)
    skin_fraction: float = 0.7
    other_colour_range: Range = (0.02, 0.7)


@dataclass(frozen=True)
class ClothesConfig(Distributions):
    """Shoulders below the head; lengths are in units of forehead to chin.

    Attributes:
        drop_range: Height of the collar below the chin.
        slope_range: How far the shoulders fall over their width.
        collar_range: Half the width of the collar.
        reflectance_log_range: Logarithm of the linear value of the cloth.
        colour_sigma: Spread of the logarithm of each colour of it.
        fold_range: Contrast of its folds.
    """

    drop_range: Range = (0.0, 0.18)
    slope_range: Range = (0.05, 0.4)
    collar_range: Range = (0.3, 0.5)
    reflectance_log_range: Range = (-4.0, -0.2)
    colour_sigma: float = 0.4
    fold_range: Range = (0.0, 0.5)


@dataclass(frozen=True)
class OccluderConfig(Distributions):
    """What covers a face, and how often.

    Attributes:
        hair_fraction: Share of heads with hair on the scalp.
        strand_fraction: Share with strands over the face.
        glasses_fraction: Share with glasses.
        hand_fraction: Share with a hand or another thing in front of the face.
        clothes_fraction: Share of heads with shoulders; the others end at the neck.
        hair: The hair.
        strands: The strands.
        glasses: The glasses.
        hand: The hands.
        clothes: The shoulders.
    """

    hair_fraction: float = 0.75
    strand_fraction: float = 0.2
    glasses_fraction: float = 0.15
    hand_fraction: float = 0.1
    clothes_fraction: float = 0.85
    hair: HairConfig = field(default_factory=HairConfig)
    strands: StrandsConfig = field(default_factory=StrandsConfig)
    glasses: GlassesConfig = field(default_factory=GlassesConfig)
    hand: HandConfig = field(default_factory=HandConfig)
    clothes: ClothesConfig = field(default_factory=ClothesConfig)


@dataclass(frozen=True)
class BackdropKinds(Mixture):
    """What is behind a head.

    Attributes:
        surroundings: The environment map that lights it, where one does; else a piece of any.
        piece: A blurred piece of any environment map, where maps are given; else a wall.
        wall: A gradient with noise.
    """

    surroundings: float = 0.5
    piece: float = 0.25
    wall: float = 0.25


@dataclass(frozen=True)
class BackdropConfig(Distributions):
    """What is behind a head.

    Attributes:
        kinds: Shares of surroundings, pieces and walls.
        zoom_range: How much wider than the crop the view of the surroundings is.
        window_range_px: Side of a piece of an environment map, map pixels.
        brightness_range: Linear value of the bright parts (80th percentile) of a piece, against a white
            surface under the light of the place.
        slope_sigma: Spread of the slope of a wall's gradient along each axis.
        grain_range_px: Size of the noise on a wall (sigma of a Gaussian), crop pixels.
        noise_range: Strength of the noise.
    """

    kinds: BackdropKinds = field(default_factory=BackdropKinds)
    zoom_range: Range = (1.0, 4.0)
    window_range_px: CountRange = (32, 96)
    brightness_range: Range = (0.1, 0.8)
    slope_sigma: float = 1.0
    grain_range_px: Range = (1.0, 15.0)
    noise_range: Range = (0.0, 6.0)
