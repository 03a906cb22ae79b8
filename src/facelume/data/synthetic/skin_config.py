"""Configuration of synthetic skins: people of the albedo basis, pigment beyond it, marks, hair and make-up.

Lengths on the skin are in texels of an atlas of 256. A strength is an absorbance (of melanin or blood, in
green), a coverage is in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Mixture, Range


@dataclass(frozen=True)
class ToneConfig(Distributions):
    """Uneven tone: smooth noise of four grains all over the skin.

    Attributes:
        pore_range: Strength of the finest, in melanin.
        pore_size_range: Its grain, texels.
        fleck_range: Strength of the second, in melanin.
        fleck_size_range: Its grain, texels.
        blotch_range: Strength of the coarsest, in melanin.
        blotch_size_range: Its grain, texels.
        redness_range: Strength of the one in blood.
        redness_size_range: Its grain, texels.
    """

    pore_range: Range = (0.01, 0.05)
    pore_size_range: Range = (0.5, 1.0)
    fleck_range: Range = (0.0, 0.06)
    fleck_size_range: Range = (2.0, 5.0)
    blotch_range: Range = (0.0, 0.10)
    blotch_size_range: Range = (8.0, 20.0)
    redness_range: Range = (0.0, 0.08)
    redness_size_range: Range = (3.0, 14.0)


@dataclass(frozen=True)
class SpotConfig(Distributions):
    """Spots of one kind.

    Attributes:
        strength_range: Absorbance of the darkest.
        num_range: How many.
        radius_range: Texels.
    """

    strength_range: Range
    num_range: CountRange
    radius_range: Range


@dataclass(frozen=True)
class MarkConfig(Distributions):
    """Freckles, moles, spots, flushed cheeks, dark lids.

    Attributes:
        freckle_fraction: Share of skins with freckles.
        freckles: The freckles, on cheeks and nose.
        moles: Moles, on every skin that has any by their number.
        spot_fraction: Share of skins with brown and red spots.
        brown_spots: The brown ones, in melanin.
        red_spots: The red ones, in blood.
        flush_fraction: Share of skins with flushed cheeks.
        flush_range: Strength of the flush, in blood.
        flush_nose_range: Strength of the flush on the nose against the cheeks.
        lid_fraction: Share of skins with dark lids.
        lid_range: Strength of the dark lids, in melanin.
    """

    freckle_fraction: float = 0.3
    freckles: SpotConfig = field(default_factory=lambda: SpotConfig((0.15, 0.6), (30, 349), (0.4, 1.1)))
    moles: SpotConfig = field(default_factory=lambda: SpotConfig((0.7, 2.0), (0, 6), (0.5, 1.8)))
    spot_fraction: float = 0.4
    brown_spots: SpotConfig = field(default_factory=lambda: SpotConfig((0.1, 0.4), (1, 11), (1.5, 6.0)))
    red_spots: SpotConfig = field(default_factory=lambda: SpotConfig((0.1, 0.5), (0, 13), (0.8, 3.0)))
    flush_fraction: float = 0.5
    flush_range: Range = (0.05, 0.35)
    flush_nose_range: Range = (0.0, 1.2)
    lid_fraction: float = 0.4
    lid_range: Range = (0.05, 0.35)


@dataclass(frozen=True)
class WrinkleConfig(Distributions):
    """Dark lines in the skin.

    Attributes:
        fraction: Share of skins with wrinkles.
        num_forehead_range: Number of lines on the forehead.
        forehead_range: Their height, 0 at the brows, 1 at the hairline.
        nasolabial_fraction: Share of wrinkled skins with folds from nose to mouth.
        num_under_eye_range: Number of lines under each eye.
        under_eye_range: Their distance below the lower lid's fold, texels.
        num_crow_range: Number of lines beside each eye.
        crow_length_range: Their length, in units of eye corner to temple.
        crow_drop_range: How far their outer end drops, texels.
        strength_range: Absorbance in melanin.
        width_range: Texels.
        blur_range: Texels (sigma of a Gaussian).
    """

    fraction: float = 0.5
    num_forehead_range: CountRange = (0, 4)
    forehead_range: Range = (0.05, 0.75)
    nasolabial_fraction: float = 0.6
    num_under_eye_range: CountRange = (0, 2)
    under_eye_range: Range = (-1.0, 5.0)
    num_crow_range: CountRange = (0, 3)
    crow_length_range: Range = (0.35, 0.7)
    crow_drop_range: Range = (-9.0, 9.0)
    strength_range: Range = (0.04, 0.25)
    width_range: Range = (0.5, 1.4)
    blur_range: Range = (0.5, 1.2)


@dataclass(frozen=True)
class HairColourConfig(Distributions):
    """Colour of a person's hair and beard; brows have their own.

    Attributes:
        grey_fraction: Share of grey hair.
        grey_range: Linear value of grey hair, [0, 1].
        melanin_beta: Shape of the melanin of other hair, from 0 (blond) to 1 (black), of people of the
            lightest skin; the darker the skin, the nearer to black.
        dyed_fraction: Share of hair of any melanin whatever the skin.
        colour_sigma: Spread of the logarithm of each colour of it.
        beard_sigma: Spread of the logarithm of the brightness of a beard against the hair.
    """

    grey_fraction: float = 0.12
    grey_range: Range = (0.15, 0.5)
    melanin_beta: tuple[float, float] = (2.0, 1.2)
    dyed_fraction: float = 0.08
    colour_sigma: float = 0.1
    beard_sigma: float = 0.2


@dataclass(frozen=True)
class BrowConfig(Distributions):
    """Single hairs drawn over the brows.

    Attributes:
        fraction: Share of skins with them.
        num_range: How many.
        rise_range: How steeply they rise outwards, tangent.
        length_range: Length of the longest, texels.
        coverage_range: Coverage of a hair.
    """

    fraction: float = 0.5
    num_range: CountRange = (60, 319)
    rise_range: Range = (0.2, 1.0)
    length_range: Range = (3.0, 7.0)
    coverage_range: Range = (0.3, 0.9)


@dataclass(frozen=True)
class BeardConfig(Distributions):
    """Stubble or a short beard.

    Attributes:
        zone_fraction: Probability that moustache, chin and jaw each have hair; all three where none has.
        zone_range: Density of the hair in a zone against the others.
        shadow_range: Coverage of the even shadow of shaved hair.
        stubble_range: Share of texels with a hair.
        hair_range: Coverage of a hair.
        blur_range: Sigma of the Gaussian over the hairs, texels.
        stubble_gain_range: Factor on their coverage after the blur.
        full_fraction: Share of beards that are longer: streaks of hair over the stubble.
        full_range: Coverage of the streaks.
    """

    zone_fraction: float = 0.7
    zone_range: Range = (0.6, 1.0)
    shadow_range: Range = (0.05, 0.45)
    stubble_range: Range = (0.05, 0.5)
    hair_range: Range = (0.2, 1.0)
    blur_range: Range = (0.35, 0.6)
    stubble_gain_range: Range = (0.5, 1.3)
    full_fraction: float = 0.3
    full_range: Range = (0.5, 1.0)


@dataclass(frozen=True)
class MakeUpConfig(Distributions):
    """Foundation, lipstick, eye shadow, liner and blush.

    Attributes:
        foundation_fraction: Share of made-up faces with foundation.
        foundation_range: How far it evens the skin, [0, 1].
        lipstick_fraction: Share with lipstick.
        lipstick_red_range: Its linear red.
        lipstick_paleness_range: Its green over its red.
        lipstick_blue_range: Its blue over its green (blue stays below 0.6 of red).
        lipstick_coverage_range: Its coverage.
        shadow_fraction: Share with eye shadow.
        shadow_brightness_range: Linear value of its brightest possible colour.
        shadow_colour_range: Each colour over that.
        shadow_coverage_range: Its coverage.
        liner_fraction: Share with a dark line around the eyes.
        liner_coverage_range: Its coverage.
        blush_fraction: Share with blush.
        blush_range: Its strength, in blood.
    """

    foundation_fraction: float = 0.4
    foundation_range: Range = (0.2, 0.7)
    lipstick_fraction: float = 0.7
    lipstick_red_range: Range = (0.12, 0.55)
    lipstick_paleness_range: Range = (0.06, 0.5)
    lipstick_blue_range: Range = (0.8, 1.6)
    lipstick_coverage_range: Range = (0.2, 0.8)
    shadow_fraction: float = 0.5
    shadow_brightness_range: Range = (0.02, 0.35)
    shadow_colour_range: Range = (0.4, 1.0)
    shadow_coverage_range: Range = (0.15, 0.7)
    liner_fraction: float = 0.5
    liner_coverage_range: Range = (0.3, 0.9)
    blush_fraction: float = 0.5
    blush_range: Range = (0.05, 0.4)


@dataclass(frozen=True)
class Adornments(Mixture):
    """What a face wears besides its brows; nobody wears a beard and make-up.

    Attributes:
        beard: Share of faces with stubble or a beard.
        make_up: Share of faces with make-up.
        nothing: Share of faces with neither.
    """

    beard: float = 0.35
    make_up: float = 0.35
    nothing: float = 0.3


@dataclass(frozen=True)
class SkinDetailConfig(Distributions):
    """Detail on the skin that no albedo basis holds.

    Attributes:
        tone: Uneven tone.
        marks: Freckles, moles, spots, flush, dark lids.
        wrinkles: Wrinkles.
        brows: Hairs of the brows.
        adornments: Shares of beards and make-up.
        beard: The beards.
        make_up: The make-up.
    """

    tone: ToneConfig = field(default_factory=ToneConfig)
    marks: MarkConfig = field(default_factory=MarkConfig)
    wrinkles: WrinkleConfig = field(default_factory=WrinkleConfig)
    brows: BrowConfig = field(default_factory=BrowConfig)
    adornments: Adornments = field(default_factory=Adornments)
    beard: BeardConfig = field(default_factory=BeardConfig)
    make_up: MakeUpConfig = field(default_factory=MakeUpConfig)


@dataclass(frozen=True)
class ToneClasses(Mixture):
    """Shares of the ITA classes (Chardon 1991, Del Bino and Bernerd 2013) among the people.

    Attributes:
        dark: ITA up to -30 degrees.
        brown: To 10 degrees.
        tan: To 28 degrees.
        intermediate: To 41 degrees.
        light: To 55 degrees.
        very_light: Above.
    """

    dark: float = 1 / 6
    brown: float = 1 / 6
    tan: float = 1 / 6
    intermediate: float = 1 / 6
    light: float = 1 / 6
    very_light: float = 1 / 6


@dataclass(frozen=True)
class SkinColourConfig(Distributions):
    """Mean colour of a person's skin: drawn from measured skin, whatever the albedo basis holds.

    Attributes:
        measured_fraction: Share of skins that are moved to a measured colour; the others keep what the
            mixture of people gave them.
        classes: Shares of the ITA classes among the moved ones.
        hue_limit: Largest distance of a hue from the mean hue of its luminance, standard deviations.
    """

    measured_fraction: float = 1.0
    classes: ToneClasses = field(default_factory=ToneClasses)
    hue_limit: float = 2.5


@dataclass(frozen=True)
class SkinConfig(Distributions):
    """A person's skin: pattern, colour and detail.

    Attributes:
        num_mixed: How many of the people behind the albedo basis are mixed into a new skin.
        mixing_concentration: Of the Dirichlet distribution of their shares: small is mostly one, large all.
        likeness_sigma: How near in tone the mixed people are to the new skin, spread in log luminance; far
            ones are drawn less.
        own_range: Spread of what a new skin has of its own, standard deviations of the basis.
        mixed_limit: Largest size of a coefficient of a mixed skin, standard deviations.
        free_sigma: Spread of the coefficients where the face model knows no people, standard deviations.
        free_limit: Largest size of one of them, standard deviations.
        colour: Mean colour of the skin.
        parts_fraction: Share of people whose lips, eyes, brows and teeth differ from their skin as those of
            real people do; the others keep those of the albedo basis.
        hair: Colour of the hair.
        has_detail: Whether skins wear the ``detail``.
        detail: Pores, marks, wrinkles, hair and make-up.
    """

    num_mixed: int = 3
    mixing_concentration: float = 0.6
    likeness_sigma: float = 0.5
    own_range: Range = (0.0, 0.35)
    mixed_limit: float = 6.0
    free_sigma: float = 0.9
    free_limit: float = 2.5
    colour: SkinColourConfig = field(default_factory=SkinColourConfig)
    parts_fraction: float = 1.0
    hair: HairColourConfig = field(default_factory=HairColourConfig)
    has_detail: bool = True
    detail: SkinDetailConfig = field(default_factory=SkinDetailConfig)
