"""Synthetic faces with exact labels: heads, skins, light, camera and what covers a face."""

from facelume.data.synthetic.config import SyntheticConfig
from facelume.data.synthetic.faces import (
    SyntheticFaces,
    generate,
    load_environment_maps,
    read_shard,
    stack,
)
from facelume.data.synthetic.scene import SyntheticScene
from facelume.data.synthetic.skin_config import SkinConfig

__all__ = [
    "SkinConfig",
    "SyntheticConfig",
    "SyntheticFaces",
    "SyntheticScene",
    "generate",
    "load_environment_maps",
    "read_shard",
    "stack",
]
