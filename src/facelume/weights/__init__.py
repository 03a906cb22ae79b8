"""Network weights as records: what each file is, where it comes from, and a check that it is intact."""

from facelume.weights.registry import (
    FOLDER_VARIABLE,
    Terms,
    WeightRecord,
    architecture_of,
    build_and_load,
    find_record,
    list_records,
    load_weights,
    require_same_model,
    save_weights,
    verify_record,
)

__all__ = [
    "FOLDER_VARIABLE",
    "Terms",
    "WeightRecord",
    "architecture_of",
    "build_and_load",
    "find_record",
    "list_records",
    "load_weights",
    "require_same_model",
    "save_weights",
    "verify_record",
]
