"""Values that nobody expects, and places for them in what JSON can say."""

from typing import Any

import numpy as np

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e308, float("inf"), float("nan"), "", "x", "\0", "\ud800",
    "\udcff", "\x1b[31mred\x1b[0m", "a\nb", "é" * 70, "ink", "softmax", [], {}, [None], [[1]], {"a": 1}, [1] * 70, ["a"] * 70,
)  # fmt: skip


def at_random(rng: np.random.Generator, value: Any) -> tuple[Any, Any]:
    """A list or object somewhere within a header, and one of its keys."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[rng.integers(len(keys))]
        if key in ("format", "version", "kind") and rng.random() < 0.9:
            continue  # which is soon said
        if not isinstance(value[key], dict | list) or not value[key] or rng.random() < 0.2:
            return value, key
        value = value[key]
