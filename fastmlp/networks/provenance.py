"""What a model was made with: a record of JSON values that stays with it, is saved with it, and that `fastmlp info` shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from fastmlp import __version__
from fastmlp.kernels import compile

PLAIN = {type(None), bool, int, float, str}  # types of JSON's own values
LONGEST = 32  # values of an option that are kept; of more, only how many there were


def made_with(rows: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a training on so many rows, with those options that decide on the result."""
    return {
        "rows": rows,
        "options": {name: value if type(value) in PLAIN else _plain(value) for name, value in options.items()},
        "versions": dict(_versions()),
    }


def made_with_of_member(record: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one of many that were trained at once, from the record of all and the seed and options of its own."""
    if not record:
        return {}
    seed, options = _plain(own["seed"]), {name: _plain(value) for name, value in own.items() if name != "seed"}
    return {"seed": seed, **record, "options": {**record.get("options", {}), **options}}


@cache
def _versions() -> dict[str, str]:
    return {"fastmlp": __version__, "numpy": np.__version__, "numba": compile.VERSION}


def _plain(value: Any) -> Any:
    """A value as JSON can say it, exactly or in a word."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and len(value) <= LONGEST:
        return {str(_plain(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple) and len(value) <= LONGEST:
        return [_plain(part) for part in value]
    shape = getattr(value, "shape", None) or ((len(value),) if hasattr(value, "__len__") else ())
    return f"{type(value).__name__} {'x'.join(map(str, shape))}".strip()
