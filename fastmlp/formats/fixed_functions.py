"""Activations in whole numbers: tables with linear interpolation, and what C computes with them, to the bit, in NumPy.

A number z "with b bits" is the whole number z 2^b. Arrays are of int64, and hold what int32 does in C: the text of each function is
in `fixed_source.py`, under the same name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.activations import TABLE as ACTIVATION_ROWS

Whole = NDArray[np.int64]

MOST = (1 << 31) - 1  # of int32; nothing is less than -MOST
MOST_SHORT = (1 << 15) - 1
STEP_BITS, PART_BITS = 6, 15  # an activation has 2^6 steps in a unit of z, and 2^15 places in a step
TABLE_BITS = 16  # of what tables hold
POWER_STEPS = 256  # of the tables of 2^f and log2(1 + f), for f from 0 to 1
SUM_BITS = 24  # of probabilities, and of the powers that softmax sums
BITS = 26  # of z, the most for a table: it is from -32 to 32
FEWEST_BITS = 16  # of z, the fewest for softmax
POWER_BITS = 25  # of z for exp
SLOPE = 42949673  # 0.01 with 32 bits

FUNCTIONS: dict[str, Any] = {row.name: row.function for row in ACTIVATION_ROWS}


def reach(activation: str) -> int:
    """The |z| from which on a table has one value."""
    return 8 if activation in ("tanh", "gelu", "gelu_tanh") else 16


def function_values(activation: str, z: NDArray[Any]) -> NDArray[Any]:
    """f(z), of z in float64; of softmax for each row."""
    if activation == "softmax":
        powers = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.asarray(FUNCTIONS[activation](z)[0])


def table_of(name: str) -> NDArray[np.uint16] | None:
    """What is interpolated, of 16 bits: for exp2 2^f - 1, for log2 log2(1 + f); for an activation what it is away from the function
    without a table that it comes to, at |z|; for others nothing."""
    if name in ("exp2", "log2"):
        f = np.arange(POWER_STEPS + 1) / POWER_STEPS
        values = np.exp2(f) - 1 if name == "exp2" else np.log2(1 + f)
    elif name in ("sigmoid", "tanh", "softplus", "gelu", "gelu_tanh", "silu", "elu"):
        u = np.arange((reach(name) << STEP_BITS) + 1) / (1 << STEP_BITS)
        above = function_values(name, u)
        values = {"sigmoid": above - 0.5, "tanh": above, "elu": -np.expm1(-u)}.get(name, abs(above - u))
    else:
        return None
    return np.minimum(np.rint(values * (1 << TABLE_BITS)), (1 << 16) - 1).astype(np.uint16)


def moved(value: Whole, places: Any) -> Whole:
    """value 2^-places, rounded, half upwards, and within MOST."""
    right, left = np.maximum(places, 0), np.maximum(-np.asarray(places), 0)
    half = np.where(right > 0, np.left_shift(np.int64(1), np.maximum(right - 1, 0)), 0)
    down = np.right_shift(value + half, right)
    limit = np.right_shift(np.int64(MOST), left)
    up = np.where(abs(value) > limit, np.sign(value) * MOST, np.clip(value, -limit, limit) * np.left_shift(np.int64(1), left))
    return np.asarray(np.clip(np.where(right > 0, down, up), -MOST, MOST))


def as_short(value: Whole, places: Any) -> Whole:
    """The same within int16."""
    return np.clip(moved(value, places), -MOST_SHORT, MOST_SHORT)


def between(table: NDArray[np.uint16], place: Whole) -> Whole:
    """The values of a table at places that count 2^-15 steps."""
    step, rest = np.minimum(place >> PART_BITS, len(table) - 2), place & ((1 << PART_BITS) - 1)
    wide = table.astype(np.int64)
    value = (wide[step] * ((1 << PART_BITS) - rest) + wide[step + 1] * rest + (1 << (PART_BITS - 1))) >> PART_BITS
    return np.where(place >> PART_BITS >= len(table) - 1, wide[-1], value)


def at(name: str, z: Whole, bits: int) -> Whole:
    """What the table of an activation has for |z|."""
    table = table_of(name)
    assert table is not None
    u, fine = abs(z), STEP_BITS + PART_BITS
    far = (u >> bits) >= reach(name)
    place = u >> (bits - fine) if bits > fine else np.where(far, 0, u) << (fine - bits)
    return between(table, np.where(far, reach(name) << fine, place))


def hidden_values(name: str, z: Whole, bits: int) -> Whole:
    """f(z), of 16 bits if f is sigmoid or tanh, else of as many as z."""
    if name == "identity":
        return z
    if name == "relu":
        return np.maximum(z, 0)
    if name == "leaky_relu":
        return np.where(z < 0, -((-np.minimum(z, 0) * SLOPE + (1 << 31)) >> 32), z)
    g = at(name, z, bits)
    if name in ("sigmoid", "tanh"):
        return (name == "sigmoid") * (1 << (TABLE_BITS - 1)) + np.where(z < 0, -g, g)
    g = moved(g, TABLE_BITS - bits)
    if name == "elu":
        return np.where(z < 0, -g, z)
    return np.maximum(z, 0) + (g if name == "softplus" else -g)


def power(d: Whole, bits: int) -> Whole:
    """2^-d with 24 bits, for d from 0 with so many bits."""
    table, mask, fine = table_of("exp2"), (1 << bits) - 1, PART_BITS + 8
    assert table is not None
    far = (d >> bits) >= 31
    d = np.where(far, 0, d)
    f, n = -d & mask, (d + mask) >> bits
    m = ((1 << TABLE_BITS) + between(table, f >> (bits - fine) if bits > fine else f << (fine - bits))) << (SUM_BITS - TABLE_BITS)
    return np.where(far, 0, (m + np.where(n > 0, 1 << np.maximum(n - 1, 0), 0)) >> n)


def softmax_values(z: Whole, bits: int) -> Whole:
    """2^z / sum 2^z of each row, with 24 bits."""
    table = table_of("log2")
    assert table is not None
    d = np.minimum(z.max(axis=1, keepdims=True) - z, 1 << 31)
    total = power(d, bits).sum(axis=1, keepdims=True)
    n = np.zeros_like(total)
    while (large := total >> n >= 1 << (SUM_BITS + 1)).any():
        n += large
    logarithm = (n << TABLE_BITS) + between(table, ((total >> n) - (1 << SUM_BITS)) >> 1)
    return power(d + (logarithm << (bits - TABLE_BITS)), bits)


def exp_values(z: Whole) -> Whole:
    """2^z of z with 25 bits."""
    table = table_of("exp2")
    assert table is not None
    m = (1 << TABLE_BITS) + between(table, (z & ((1 << POWER_BITS) - 1)) >> (POWER_BITS - PART_BITS - 8))
    places = TABLE_BITS - (z >> POWER_BITS)
    return np.where(places > 40, 0, np.where(places < -30, MOST, moved(m, np.clip(places, -30, 40))))
