"""Light as order-2 spherical harmonics: basis, irradiance, rotation, maps, fitting, interchange."""

from facelume.illumination.environment import (
    directions_of_environment_map,
    environment_map_from_sh,
    load_environment_map,
    sh_from_environment_map,
    solid_angles,
)
from facelume.illumination.fit import fit_sh_radiance
from facelume.illumination.interchange import deca_from_sh, deep3d_from_sh, sh_from_deca, sh_from_deep3d
from facelume.illumination.irradiance import (
    irradiance,
    irradiance_basis,
    irradiance_image,
    irradiance_map,
)
from facelume.illumination.lamps import (
    NUM_LAMPS,
    LampFitConfig,
    LampView,
    fit_lamps,
    lamp_directions,
    lamp_transport,
    light_map_from_lamps,
    sh_from_lamps,
)
from facelume.illumination.light import (
    FRONT_SHADING,
    Light,
    LightPreset,
    front_shading,
    light_array,
    light_presets,
    light_tensor,
    load_light,
    resolve_light,
    turn_light,
    unit_light,
    with_front_shading,
)
from facelume.illumination.rotation import (
    mirror_sh,
    roll_rotation,
    rotate_sh,
    sh_rotation_matrix,
    yaw_rotation,
)
from facelume.illumination.sh import NUM_SH, sh_basis

__all__ = [
    "FRONT_SHADING",
    "NUM_LAMPS",
    "NUM_SH",
    "LampFitConfig",
    "LampView",
    "Light",
    "LightPreset",
    "deca_from_sh",
    "deep3d_from_sh",
    "directions_of_environment_map",
    "environment_map_from_sh",
    "fit_lamps",
    "fit_sh_radiance",
    "front_shading",
    "irradiance",
    "irradiance_basis",
    "irradiance_image",
    "irradiance_map",
    "lamp_directions",
    "lamp_transport",
    "light_array",
    "light_map_from_lamps",
    "light_presets",
    "light_tensor",
    "load_environment_map",
    "load_light",
    "mirror_sh",
    "resolve_light",
    "roll_rotation",
    "rotate_sh",
    "sh_basis",
    "sh_from_deca",
    "sh_from_deep3d",
    "sh_from_environment_map",
    "sh_from_lamps",
    "sh_rotation_matrix",
    "solid_angles",
    "turn_light",
    "unit_light",
    "with_front_shading",
    "yaw_rotation",
]
