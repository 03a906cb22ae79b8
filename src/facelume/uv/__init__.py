"""The texture atlas: texels on the posed face, photo to atlas, filling and fine detail."""

from facelume.uv.detail import masked_low_pass, transfer_detail
from facelume.uv.fill import complete_field, fill_hidden, pull_push
from facelume.uv.lamp_visibility import lamp_visibility
from facelume.uv.resize import resize_map
from facelume.uv.texels import (
    PosedTexels,
    TexelMap,
    interpolate_texels,
    pose_texels,
    texel_map,
)
from facelume.uv.unwrap import (
    UnwrapResult,
    facing_cosine,
    fill_with_noise,
    texel_visibility,
    unwrap,
    unwrap_crop,
)

__all__ = [
    "PosedTexels",
    "TexelMap",
    "UnwrapResult",
    "complete_field",
    "facing_cosine",
    "fill_hidden",
    "fill_with_noise",
    "interpolate_texels",
    "lamp_visibility",
    "masked_low_pass",
    "pose_texels",
    "pull_push",
    "resize_map",
    "texel_map",
    "texel_visibility",
    "transfer_detail",
    "unwrap",
    "unwrap_crop",
]
