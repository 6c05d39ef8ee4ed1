"""From a small picture of gray levels to the gray and the gradients of its cells: histograms of oriented gradients.

All numbers are integers of at most 24 bits, held as float32, of which vectors hold most: so the sums are exact in any order.

A pixel counts for the nearest two cells along each axis, by odd weights that add up to eight. First rows are added: a row of cells
is a line of planes, its gray and its shares of eight directions. A plane has two numbers too many at either end, and there is a
line too many before and behind the six: these belong to no cell.
"""

import math

import numpy as np

from fastmlp.kernels.compile import jit_inline, jit_part
from fastmlp.kernels.simd import lanes_of, load, load_eight, store
from fastmlp.kernels.trace import like, magnitude, traced, where

SIDE = 24  # pixels of the picture along each side
CELLS = 6  # along each side
PER_CELL = 9  # its gray, and eight directions
SIZE = CELLS * CELLS * PER_CELL
PLANE = SIDE + 4  # numbers
LINE = 256  # numbers, of which the last few belong to nothing
LINES = CELLS + 3  # the rows of cells, those that belong to none, and one that is read beyond the last
BORDERED = SIDE + 2  # levels along each side, a border included


@traced
def _directions(dx, dy):
    """A gradient as the sum of the next two of eight directions, (1, 0), (1, 1), (0, 1), ..., and nothing of the others."""

    def positive(x):
        return where(x > like(x, 0.0), x, like(x, 0.0))

    def both(x, y):
        return positive(where(x < y, x, y))

    beside, along = magnitude(dx), magnitude(dy)
    return (
        positive(dx - along),
        both(dx, dy),
        positive(dy - beside),
        both(-dx, dy),
        positive(-dx - along),
        both(-dx, -dy),
        positive(-dy - beside),
        both(dx, -dy),
    )


@jit_inline
def _add(shares, n, x, to_above, to_below):
    store(shares, n, load_eight(shares, n) + to_above * x)
    store(shares, n + LINE, load_eight(shares, n + LINE) + to_below * x)


@jit_part
def _add_rows(shares, levels):
    """The planes of each row of cells: those of its rows of pixels, by weights 1, 3, 5, 7, 7, 5, 3, 1."""
    shares[:] = np.float32(0)
    for y in range(SIDE):
        to_below = np.float32(1 + 2 * ((y + 2) & 3))
        to_above = np.float32(8) - to_below
        for x in range(0, SIDE, 8):
            at, n = BORDERED * y + x, LINE * ((y + 2) >> 2) + x + 2
            dx = load_eight(levels, at + BORDERED + 2) - load_eight(levels, at + BORDERED)
            dy = load_eight(levels, at + 2 * BORDERED + 1) - load_eight(levels, at + 1)
            a, b, c, d, e, f, g, h = _directions(dx, dy)
            _add(shares, n, load_eight(levels, at + BORDERED + 1), to_above, to_below)
            _add(shares, n + PLANE, a, to_above, to_below)
            _add(shares, n + 2 * PLANE, b, to_above, to_below)
            _add(shares, n + 3 * PLANE, c, to_above, to_below)
            _add(shares, n + 4 * PLANE, d, to_above, to_below)
            _add(shares, n + 5 * PLANE, e, to_above, to_below)
            _add(shares, n + 6 * PLANE, f, to_above, to_below)
            _add(shares, n + 7 * PLANE, g, to_above, to_below)
            _add(shares, n + 8 * PLANE, h, to_above, to_below)


@jit_part
def _add_columns(shares):
    """The same along the rows, of any eight numbers that follow each other: every fourth is a cell's."""
    for n in range(LINE, LINE * (CELLS + 1), lanes_of(shares)):
        outer = load(shares, n) + load(shares, n + 7)
        x = outer + np.float32(3) * (load(shares, n + 1) + load(shares, n + 6))
        x += np.float32(5) * (load(shares, n + 2) + load(shares, n + 5))
        store(shares, n, x + np.float32(7) * (load(shares, n + 3) + load(shares, n + 4)))


@jit_part
def cell_features(row, norms, histogram, shares, levels):
    """Of each cell its gray, a whole number, and the square roots of its gradients, relative to those around. row (324,).

    It gives the most gray of a cell, at least 1. levels (BORDERED^2,) float32, a border included; norms (324 or more,)
    float64, histogram (256,) int64 and shares (LINES * LINE,) float32 are scratch.
    """
    _add_rows(shares, levels)
    _add_columns(shares)
    strengths, total, most = histogram[:64], np.int64(0), np.int64(1)  # of a cell's gradients; those of 8 x 8 cells, with a border
    strengths[:] = 0
    n = 0
    for i in range(CELLS):
        for j in range(CELLS):
            at, strength = LINE * (i + 1) + 4 * j, np.int64(0)
            for k in range(PER_CELL):
                share = shares[at + k * PLANE]
                row[n + k] = share
                strength += np.int64(share)
            gray = np.int64(shares[at])
            most = max(most, gray)
            strengths[8 * i + j + 9] = strength - gray
            total += strength - gray
            n += PER_CELL
    n = 0
    for i in range(CELLS):
        for j in range(CELLS):
            around = np.int64(0)
            for y in range(i, i + 3):
                around += strengths[8 * y + j] + strengths[8 * y + j + 1] + strengths[8 * y + j + 2]
            norm = np.float64(max(8 * around + total, 1))
            for k in range(PER_CELL):
                norms[n + k] = norm
            n += PER_CELL
    for n in range(SIZE):
        row[n] = math.sqrt(8.0 * row[n] / norms[n])
    n = 0
    for i in range(CELLS):
        for j in range(CELLS):
            row[n] = np.float64(shares[LINE * (i + 1) + 4 * j])
            n += PER_CELL
    return most


@jit_part
def to_relative_grays(row, most):
    """Divides the gray of each cell by the most. row (324 or 972,)."""
    for n in range(0, row.shape[0], PER_CELL):
        row[n] /= np.float64(most)
