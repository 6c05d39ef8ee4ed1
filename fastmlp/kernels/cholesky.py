"""Systems of linear equations with a symmetric positive matrix: U^T U = A, in blocks of rows, by the products of the networks.

Of A (P, P) only what stands on the diagonal or right of it is read. Rows are `width` >= P numbers apart, whole vectors; columns
past P go along, and there a right side becomes U^-T times itself.
"""

import numpy as np

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.product import NONE, Grid, by_numbers
from fastmlp.kernels.simd import lanes_of

BLOCK = np.int64(32)  # rows that are taken off the rest at once
PANEL = np.int64(6)  # rows of the rest, whose left end is at a vector


@jit_part
def add_outer_products(a, width, columns, first, rows, down, factors, left, depth, begins):
    """Adds to rows `first`, ... of A, as far as they are right of the diagonal, factors^T left: both have so many rows, which are
    `down` apart. A begins at zero if it begins with these. So many columns are meant."""
    along, one = lanes_of(a), np.int64(1)
    start = first // along * along
    z = Grid(a, first * width + start, width, along)
    begun = Grid(a, NONE, np.int64(0), along) if begins else z
    x, y = Grid(factors.array, factors.at + first, one, down), Grid(left.array, left.at + start, down, along)
    by_numbers(z, x, y, rows, (columns - start + along - 1) // along, depth, begun, a, NONE)


@jit_part
def factorize(a, width, columns, size, taken):
    """A becomes U; whether it is positive enough. taken has room for BLOCK rows."""
    for first in range(0, size, BLOCK):
        last = min(first + BLOCK, size)
        for i in range(first, last):
            row = a[i * width + i : i * width + columns]
            for k in range(first, i):
                other, factor = a[k * width + i : k * width + columns], a[k * width + i]
                for j in range(row.shape[0]):
                    row[j] -= factor * other[j]
            if not row[0] > 0:
                return False
            inverse = 1 / np.sqrt(row[0])
            for j in range(row.shape[0]):
                row[j] *= inverse
        for i in range(first, last):
            for j in range(last, columns):
                taken[(i - first) * width + j] = -a[i * width + j]
        for i in range(last, size, PANEL):
            factors, rows = Grid(taken, np.int64(0), width, np.int64(1)), Grid(a, first * width, width, np.int64(1))
            add_outer_products(a, width, columns, i, min(PANEL, size - i), width, factors, rows, last - first, False)
    return True


@jit_part
def solve_upper(x, u, width, size, column):
    """x = -U^-1 times a column of U's rows."""
    for i in range(size - 1, -1, -1):
        s = -u[i * width + column]
        row = u[i * width : i * width + size]
        for j in range(i + 1, size):
            s -= row[j] * x[j]
        x[i] = s / row[i]
