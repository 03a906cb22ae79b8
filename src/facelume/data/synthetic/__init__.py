"""Synthetic faces with exact labels: heads, skins, light, camera and what covers a face."""

from facelume.data.synthetic.config import SyntheticConfig
from facelume.data.synthetic.faces import SyntheticFace, SyntheticFaces, load_environment_maps, stack
from facelume.data.synthetic.light_config import LightConfig, LightKinds, StudioConfig
from facelume.data.synthetic.part_colours import (
    PART_STATISTICS,
    SKIN_SURFACE,
    PartStatistics,
    paint_parts,
    part_regions,
    sample_part_colours,
)
from facelume.data.synthetic.scene import SyntheticScene, SyntheticScenes
from facelume.data.synthetic.shards import (
    SHARD_FACES,
    draw_shard,
    drawn_with,
    generate,
    read_shard,
    shard_paths,
)
from facelume.data.synthetic.skin import SyntheticSkin, random_skin
from facelume.data.synthetic.skin_config import SkinConfig
from facelume.data.synthetic.skin_detail import MELANIN, procedural_detail
from facelume.data.synthetic.skin_tone import random_skin_colour

__all__ = [
    "MELANIN",
    "PART_STATISTICS",
    "SHARD_FACES",
    "SKIN_SURFACE",
    "LightConfig",
    "LightKinds",
    "PartStatistics",
    "SkinConfig",
    "StudioConfig",
    "SyntheticConfig",
    "SyntheticFace",
    "SyntheticFaces",
    "SyntheticScene",
    "SyntheticScenes",
    "SyntheticSkin",
    "draw_shard",
    "drawn_with",
    "generate",
    "load_environment_maps",
    "paint_parts",
    "part_regions",
    "procedural_detail",
    "random_skin",
    "random_skin_colour",
    "read_shard",
    "sample_part_colours",
    "shard_paths",
    "stack",
]
