"""Configuration of synthetic faces: who is drawn, under which light, and through which camera."""

from __future__ import annotations

from dataclasses import dataclass, field

from facelume.data.distributions import CountRange, Distributions, Mixture, Range
from facelume.data.synthetic.camera_config import CameraConfig
from facelume.data.synthetic.cover_config import BackdropConfig, OccluderConfig
from facelume.data.synthetic.light_config import LightConfig
from facelume.data.synthetic.skin_config import SkinConfig
from facelume.errors import UsageError


@dataclass(frozen=True)
class ExpressionGroup(Distributions):
    """ARKit units that move together.

    Attributes:
        units: Their names; a unit that the face model lacks is passed over.
        fraction: Share of moved faces that show the group.
        largest: Largest weight of its units, (0, 1].
    """

    units: tuple[str, ...]
    fraction: float
    largest: float


FREQUENT_GROUPS = (
    ExpressionGroup(("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"), 0.4, 1.0),
    ExpressionGroup(("jawOpen",), 0.18, 0.7),
    ExpressionGroup(("eyeBlinkLeft", "eyeBlinkRight"), 0.18, 1.0),
    ExpressionGroup(("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0.18, 0.9),
    ExpressionGroup(("browDownLeft", "browDownRight"), 0.18, 0.9),
    ExpressionGroup(("eyeSquintLeft", "eyeSquintRight"), 0.18, 0.8),
    ExpressionGroup(
        ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight"), 0.18, 0.7
    ),
    ExpressionGroup(("mouthPucker",), 0.18, 0.8),
    ExpressionGroup(("mouthFrownLeft", "mouthFrownRight"), 0.18, 0.8),
)
"""Smile, open jaw, blink, raised and lowered brows, squint, bared teeth, pucker, frown."""


@dataclass(frozen=True)
class HeadConfig(Distributions):
    """Identity and expression.

    Attributes:
        identity_sigma: Spread of the identity coefficients, standard deviations of the face model.
        identity_limit: Largest size of one of them, standard deviations.
        neutral_fraction: Share of faces without any expression, eyes straight ahead.
        groups: Units that often move together.
        group_beta: Shape of a group's weight between 0 and its largest.
        unevenness_range: Factor on the weight of each unit of a group: faces are not quite even.
        num_single_range: Number of further units, each moved on its own.
        single_beta: Shape of such a unit's weight between 0 and 1.
        gaze_sigma: Spread of the look to the side and up, weight of the units of the eyes.
    """

    identity_sigma: float = 0.9
    identity_limit: float = 2.5
    neutral_fraction: float = 0.15
    groups: tuple[ExpressionGroup, ...] = FREQUENT_GROUPS
    group_beta: tuple[float, float] = (1.2, 1.6)
    unevenness_range: Range = (0.8, 1.0)
    num_single_range: CountRange = (0, 5)
    single_beta: tuple[float, float] = (1.0, 3.0)
    gaze_sigma: float = 0.35


@dataclass(frozen=True)
class PoseConfig(Distributions):
    """Turn of the head away from the camera, and its place in the crop.

    Attributes:
        frontal_fraction: Share of heads that look about ahead; the others look anywhere up to the limit.
        frontal_yaw_sigma_rad: Spread of the yaw of those that look about ahead.
        yaw_limit_rad: Largest yaw of the others (1.05 is 60 degrees).
        pitch_sigma_rad: Spread of the pitch.
        pitch_limit_rad: Largest pitch.
        upright_fraction: Share of heads that are held upright.
        upright_roll_sigma_rad: Spread of their roll.
        tilted_roll_sigma_rad: Spread of the roll of the others.
        roll_limit_rad: Largest roll.
        size_sigma: Spread of the logarithm of the face's size against the crop's 150 px.
        shift_sigma_px: Spread of the offset of the face from the centre of the crop, along each axis.
    """

    frontal_fraction: float = 0.6
    frontal_yaw_sigma_rad: float = 0.28
    yaw_limit_rad: float = 1.05
    pitch_sigma_rad: float = 0.17
    pitch_limit_rad: float = 0.5
    upright_fraction: float = 0.8
    upright_roll_sigma_rad: float = 0.1
    tilted_roll_sigma_rad: float = 0.3
    roll_limit_rad: float = 0.6
    size_sigma: float = 0.03
    shift_sigma_px: float = 2.0


@dataclass(frozen=True)
class ShineKinds(Mixture):
    """How much skin shines.

    Attributes:
        matte: Share of skins without a highlight.
        usual: Share of skins with a usual one.
        oily: Share of skins with a strong one.
    """

    matte: float = 0.1
    usual: float = 0.55
    oily: float = 0.35


@dataclass(frozen=True)
class MaterialConfig(Distributions):
    """How skin shines and lets light bleed.

    Attributes:
        shine: Shares of matte, usual and oily skins.
        usual_strength_range: Factor on the physical highlight of usual skin.
        oily_strength_range: The same of oily skin.
        roughness_range: GGX roughness, (0, 1].
        gloss_mean: Oiliness away from forehead and nose.
        t_zone_range: Oiliness that forehead and nose have beyond that.
        blotch_gloss: Unevenness of the oiliness: factor on smooth noise of standard deviation 0.4.
        gloss_range: Least and largest oiliness of a texel.
        bump_range: Strength of pores and fine wrinkles: factor on noise of standard deviation 0.28, whose
            steps from pixel to pixel bend the unit normals.
        bleed_range_px: Radius of the red light that bleeds under the skin, crop pixels.
    """

    shine: ShineKinds = field(default_factory=ShineKinds)
    usual_strength_range: Range = (0.3, 1.2)
    oily_strength_range: Range = (1.2, 3.0)
    roughness_range: Range = (0.22, 0.55)
    gloss_mean: float = 0.7
    t_zone_range: Range = (0.0, 1.2)
    blotch_gloss: float = 0.3
    gloss_range: Range = (0.1, 3.0)
    bump_range: Range = (0.0, 0.05)
    bleed_range_px: Range = (0.0, 2.0)


@dataclass(frozen=True)
class GroupConfig(Distributions):
    """How scenes, heads and skins are combined where many pictures are drawn.

    A head is drawn once and seen in several scenes, each of another pose, expression, light and camera; it is
    given several skins, and each of these people is photographed in all the scenes.

    Attributes:
        num_scenes: Scenes of each head: pictures of one person.
        num_skins: Skins of each head: people.
    """

    num_scenes: int = 2
    num_skins: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.num_scenes, self.num_skins) < 1:
            raise UsageError(
                f"GroupConfig.num_scenes and num_skins must be 1 or more, not {self.num_scenes} and "
                f"{self.num_skins}"
            )


@dataclass(frozen=True)
class SyntheticConfig:
    """What synthetic faces look like: everything that is drawn, and how often.

    A run file sets any of it; what it leaves out keeps the default.

    Attributes:
        head: Identity and expression.
        pose: Turn of the head and place in the crop.
        light: What shines on it.
        material: How the skin shines.
        skin: Its pattern (people of the albedo basis), its measured colour, and detail.
        occluders: Hair, strands, glasses and hands.
        backdrop: What is behind the head.
        camera: What takes the picture.
        group: How many pictures are drawn of one person, and how many people of one head.
        is_plain: Leave out every occluder and all flaws of the camera but its exposure: for measuring albedo.
    """

    head: HeadConfig = field(default_factory=HeadConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    light: LightConfig = field(default_factory=LightConfig)
    material: MaterialConfig = field(default_factory=MaterialConfig)
    skin: SkinConfig = field(default_factory=SkinConfig)
    occluders: OccluderConfig = field(default_factory=OccluderConfig)
    backdrop: BackdropConfig = field(default_factory=BackdropConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    is_plain: bool = False
