"""Products of matrices whose elements are vectors: of each lane its own, in tiles that stay in registers.

Each sum is added in its order, whatever the sizes: a lane's result does not depend on the tile that it stands in.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.simd import load, store, zeros


class Grid(NamedTuple):
    """Vectors in a flat array: where the first is, and how far apart they are along two axes."""

    array: np.ndarray
    at: int
    down: int
    along: int


@jit_inline
def _four_by_four(z, p, down, along, a, q, a_down, a_along, b, r, b_down, b_along, depth, more):
    z00, z01, z02, z03, z10, z11, z12, z13 = zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z)
    z20, z21, z22, z23, z30, z31, z32, z33 = zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z), zeros(z)
    p1, p2, p3 = p + down, p + 2 * down, p + 3 * down
    if more:
        z00, z01, z02, z03 = load(z, p), load(z, p + along), load(z, p + 2 * along), load(z, p + 3 * along)
        z10, z11, z12, z13 = load(z, p1), load(z, p1 + along), load(z, p1 + 2 * along), load(z, p1 + 3 * along)
        z20, z21, z22, z23 = load(z, p2), load(z, p2 + along), load(z, p2 + 2 * along), load(z, p2 + 3 * along)
        z30, z31, z32, z33 = load(z, p3), load(z, p3 + along), load(z, p3 + 2 * along), load(z, p3 + 3 * along)
    for _ in range(depth):
        b0, b1, b2, b3 = load(b, r), load(b, r + b_along), load(b, r + 2 * b_along), load(b, r + 3 * b_along)
        x = load(a, q)
        z00 += x * b0
        z01 += x * b1
        z02 += x * b2
        z03 += x * b3
        x = load(a, q + a_down)
        z10 += x * b0
        z11 += x * b1
        z12 += x * b2
        z13 += x * b3
        x = load(a, q + 2 * a_down)
        z20 += x * b0
        z21 += x * b1
        z22 += x * b2
        z23 += x * b3
        x = load(a, q + 3 * a_down)
        z30 += x * b0
        z31 += x * b1
        z32 += x * b2
        z33 += x * b3
        q += a_along
        r += b_down
    _store_four(z, p, along, z00, z01, z02, z03)
    _store_four(z, p1, along, z10, z11, z12, z13)
    _store_four(z, p2, along, z20, z21, z22, z23)
    _store_four(z, p3, along, z30, z31, z32, z33)


@jit_inline
def _store_four(z, p, along, z0, z1, z2, z3):
    store(z, p, z0)
    store(z, p + along, z1)
    store(z, p + 2 * along, z2)
    store(z, p + 3 * along, z3)


@jit_inline
def _four_by_one(z, p, down, a, q, a_down, a_along, b, r, b_down, depth, more):
    z0, z1, z2, z3 = zeros(z), zeros(z), zeros(z), zeros(z)
    if more:
        z0, z1, z2, z3 = load(z, p), load(z, p + down), load(z, p + 2 * down), load(z, p + 3 * down)
    for _ in range(depth):
        x = load(b, r)
        z0 += load(a, q) * x
        z1 += load(a, q + a_down) * x
        z2 += load(a, q + 2 * a_down) * x
        z3 += load(a, q + 3 * a_down) * x
        q += a_along
        r += b_down
    _store_four(z, p, down, z0, z1, z2, z3)


@jit_inline
def _one_by_one(z, p, a, q, a_along, b, r, b_down, depth, more):
    value = zeros(z)
    if more:
        value = load(z, p)
    for _ in range(depth):
        value += load(a, q) * load(b, r)
        q += a_along
        r += b_down
    store(z, p, value)


@jit_part
def product(z, a, b, rows, columns, depth, more):
    """z = a @ b in each lane, added to what is there if more: a (rows, depth), b (depth, columns)."""
    for i in range(0, rows - 3, 4):
        p, q = z.at + i * z.down, a.at + i * a.down
        for j in range(0, columns - 3, 4):
            _four_by_four(z.array, p + j * z.along, z.down, z.along, a.array, q, a.down, a.along,
                          b.array, b.at + j * b.along, b.down, b.along, depth, more)  # fmt: skip
        for j in range(columns // 4 * 4, columns):
            _four_by_one(z.array, p + j * z.along, z.down, a.array, q, a.down, a.along,
                         b.array, b.at + j * b.along, b.down, depth, more)  # fmt: skip
    for i in range(rows // 4 * 4, rows):
        p, q = z.at + i * z.down, a.at + i * a.down
        for j in range(0, columns - 3, 4):
            _four_by_one(z.array, p + j * z.along, z.along, b.array, b.at + j * b.along, b.along, b.down,
                         a.array, q, a.along, depth, more)  # fmt: skip
        for j in range(columns // 4 * 4, columns):
            _one_by_one(z.array, p + j * z.along, a.array, q, a.along, b.array, b.at + j * b.along, b.down, depth, more)
