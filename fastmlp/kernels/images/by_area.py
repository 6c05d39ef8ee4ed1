"""Rows of pixels, laid on SIDE x SIDE cells: how much of their weight lies in each cell, by area.

A pixel is `unit` long and wide, a cell `side` long or wide; both are whole, and so is where pixels begin: so the sums are exact.
"""

import numpy as np

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.images.bytes import item
from fastmlp.kernels.images.gradients import SIDE
from fastmlp.kernels.simd import lanes_of, load, store


@jit_part
def add_row(line, weights, first, last, x0, unit, side):
    """The weight of a row of pixels by the cells that they lie in; the first pixel begins x0 behind the first cell. line (24,)."""
    line[:] = 0
    j = max(x0, 0) // side
    border, inside = (j + 1) * side, np.int64(0)  # where a cell ends, and what lies in it
    for n in range(first, last):
        weight, start, stop = item(weights, n), max(x0, 0), x0 + unit
        while border < stop and j < SIDE:
            line[j] = inside + weight * (border - start)
            start, inside = border, np.int64(0)
            j += 1
            border += side
        inside += weight * max(stop - start, 0)
        x0 = stop
    if j < SIDE:
        line[j] = inside


@jit_part
def add_line(picture, line, down, y0, unit, side):
    """Adds such a row to the rows of cells that it lies in, of which `down` is the first; it begins y0 below the first of all."""
    while down * side < y0 + unit:
        tall = np.float64(min(y0 + unit, (down + 1) * side) - max(y0, down * side))
        for n in range(SIDE * down, SIDE * (down + 1), lanes_of(picture)):
            store(picture, n, load(picture, n) + tall * load(line, n - SIDE * down))
        down += 1
