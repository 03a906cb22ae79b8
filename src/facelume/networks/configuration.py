"""From the JSON values of a weight record or run file to a network's config dataclass, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs

_Config = TypeVar("_Config")


def read_network_config(values: Mapping[str, Any], kind: type[_Config]) -> _Config:
    """Structure JSON values as a config dataclass.

    Args:
        values: Field name to value; absent fields keep their defaults.
        kind: The config dataclass of a network.

    Raises:
        ValueError: A name is unknown or a value has another type; the message names it.
    """
    try:
        return cattrs.Converter(forbid_extra_keys=True).structure(dict(values), kind)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from error
