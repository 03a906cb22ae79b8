"""Synthetic faces with exact labels: heads, skins, light, camera and what covers a face."""

from facelume.data.synthetic.faces import SyntheticFaces, load_environment_maps, read_shard, stack

__all__ = ["SyntheticFaces", "load_environment_maps", "read_shard", "stack"]
