"""From one image to one row of features; fastmlp/images/extractors.py says what the features are.

image holds height * width levels, row by row, and for COLOUR as many of red, of green and of blue; scratch is a FeatureScratch
for as many pixels or more; row (size,) float64 is written in place. Whatever is summed is an integer below 2^53, so the sums are
exact in any order.

Pixels are marked 1 for ink and 0 for paper, all in one loop, as a loop over the few pixels of a line would not be vectorised; then
they are looked at eight by eight. Cells are bits, 64 in a number, which are four rows: the first cell is the lowest bit, the one
below it sixteen bits higher.
"""

from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part
from fastmlp.kernels.images.bytes import eight, item, set_eight
from fastmlp.kernels.images.gradients import BORDERED, LINE, LINES, SIDE

INK, PIXELS, STROKES, GRAY, COLOUR = range(5)  # the extractors' codes
GRID = 16  # cells along each side
CONTRAST = 64  # a pixel is ink where it differs from the ground by at least this
CENTRE = (6, 10)  # rows and columns of the central block, the end not included
INSIDE = (3, 13)  # rows and columns within the ring along the borders
CENTRE_CELLS = 16
RING_CELLS = 156
DRAWING = 14  # cells that the longer side of a drawing fills in pixel_features
WORDS = 4  # numbers that hold the cells
NOT_LAST, NOT_FIRST = 0x7FFF7FFF7FFF7FFF, ~0x0001000100010001  # of the columns
LAST_ROWS, LAST_ROW = 0xFFFFFFFFFFFF, 0xFFFF  # what a shift down by one row, or by three, leaves


def _square(start, stop):
    """The cells with row and column in [start, stop), a number for four rows."""
    columns = (1 << stop) - (1 << start)
    return tuple(sum(columns << GRID * (i % 4) for i in range(4 * k, 4 * k + 4) if start <= i < stop) for k in range(WORDS))


CENTRE_CELL_BITS, INSIDE_CELL_BITS = _square(*CENTRE), _square(*INSIDE)


class FeatureScratch(NamedTuple):
    """What extractors need beside the image."""

    histogram: Any  # (256,) int64
    marks: Any  # uint8: places for the pixels, and for a row, with some between that belong to nothing
    picture: Any  # (600,) float64: 24 x 24 cells of a drawing or page, and 24 that a row of pixels adds to them
    levels: Any  # (26 * 26,) float32: those cells as levels, with a border
    shares: Any  # (LINES * LINE,) float32, see gradients.py


def feature_scratch(pixels):
    return FeatureScratch(
        np.empty(256, np.int64),
        np.empty(2 * pixels + 32, np.uint8),
        np.empty(SIDE * (SIDE + 1)),
        np.empty(BORDERED * BORDERED, np.float32),
        np.empty(LINES * LINE, np.float32),
    )


@jit_part
def ground_level(histogram, image):
    """The most frequent level, the lightest of equals."""
    corner, count = image[0], 0
    for level in image:
        count += level == corner
    if (
        2 * count > image.shape[0]
    ):  # as in most drawings; a histogram takes five times as long, as each count waits for the one before
        return np.int64(corner)
    histogram[:] = 0
    for level in image:
        histogram[level] += 1
    ground = np.int64(255)
    for level in range(254, -1, -1):
        if histogram[level] > histogram[ground]:
            ground = np.int64(level)
    return ground


@jit_part
def mark_ink(marks, image, ground):
    """Marks the pixels that are ink: those whose level differs by CONTRAST or more."""
    darkest = max(ground - CONTRAST + 1, 0)  # of the levels that are paper
    more = min(ground + CONTRAST - 1, 255) - darkest
    for n in range(image.shape[0]):  # in numbers of eight bits, so that as many as possible are done at once
        marks[n] = np.uint8((image[n] - darkest) & 255) > np.uint8(more)


@jit_part
def join_rows(marks, to, top, bottom, width):
    """Marks from place `to` on are those of rows top to bottom - 1, one upon the other; up to seven more come behind them."""
    for x in range(0, width, 8):
        joined = np.int64(0)
        for y in range(top, bottom):
            joined |= eight(marks, y * width + x)
        set_eight(marks, to + x, joined)


@jit_part
def any_mark(marks, start, stop):
    """Whether any of these pixels is ink; up to seven places behind them are read, and do not count."""
    n = start
    while n + 8 < stop:
        if eight(marks, n) != 0:
            return True
        n += 8
    return eight(marks, n) << 8 * (n + 8 - stop) != 0


@jit_inline
def bits_of(marks, at):
    """Eight marks as the bits of a number."""
    bits = eight(marks, at)
    bits |= bits >> 7
    bits |= bits >> 14
    return (bits | bits >> 28) & 255


@jit_part
def find_cells(cells, marks, height, width):
    """The cells of the grid that have a pixel of ink, as numbers 1 to 4 of cells (6,) int64, between two without any."""
    cells[:] = 0
    if height == GRID and width == GRID:
        for k in range(WORDS):
            word = np.int64(0)
            for n in range(0, 64, 8):
                word |= bits_of(marks, 64 * k + n) << n
            cells[k + 1] = word
        return
    band = height * width + 8
    for i in range(GRID):
        top, row = i * height // GRID, np.int64(0)
        join_rows(marks, band, top, max(top + 1, (i + 1) * height // GRID), width)
        for j in range(GRID):
            left = j * width // GRID
            right = max(left + 1, (j + 1) * width // GRID)
            row |= np.int64(any_mark(marks, band + left, band + right)) << j
        cells[1 + (i >> 2)] |= row << GRID * (i & 3)


# Of each cell in a number, whether a neighbour is ink.


@jit_inline
def above(cells, k):
    return cells[k] << GRID | cells[k - 1] >> 3 * GRID & LAST_ROW


@jit_inline
def below(cells, k):
    return cells[k] >> GRID & LAST_ROWS | cells[k + 1] << 3 * GRID


@jit_inline
def left_of(row):
    return row << 1 & NOT_FIRST


@jit_inline
def right_of(row):
    return row >> 1 & NOT_LAST


@jit_part
def find_spare(spare, cells):
    """The cells that the drawing hangs together without, and that do not end a stroke; whether there are any. spare (6,).

    Going round such a cell, its ink neighbours are one run (Yokoi's connectivity number is 1), and they are two at least.
    """
    found = np.int64(0)
    for k in range(1, WORDS + 1):
        row, n, s = cells[k], above(cells, k), below(cells, k)
        e, ne, se = right_of(row), right_of(n), right_of(s)
        w, nw, sw = left_of(row), left_of(n), left_of(s)
        # A run begins where a direct neighbour is none, and one of the next two is.
        a, b, c, d = ~e & (ne | n), ~n & (nw | w), ~w & (sw | s), ~s & (se | e)
        one_run = (a ^ b ^ c ^ d) & ~(a & b | c & d)
        direct, diagonal = n | s | e | w, ne | nw | se | sw
        two = n & s | e & w | (n | s) & (e | w) | ne & nw | se & sw | (ne | nw) & (se | sw) | direct & diagonal
        spare[k] = row & one_run & two
        found |= spare[k]
    return found != 0


@jit_part
def thin(cells, spare):
    """Wears strokes down to lines one cell wide (Rosenfeld, A characterization of parallel thinning algorithms, 1975).

    Of the spare cells all that have none above go at once, then all that have none below, to the right, to the left, and so on.
    """
    side = 0
    while find_spare(spare, cells):
        for k in range(1, WORDS + 1):
            if side == 0:
                spare[k] &= ~above(cells, k)
            elif side == 1:
                spare[k] &= ~below(cells, k)
            else:
                spare[k] &= ~(right_of(cells[k]) if side == 2 else left_of(cells[k]))
        for k in range(1, WORDS + 1):
            cells[k] ^= spare[k]
        side = (side + 1) & 3


@jit_inline
def count_bits(word):
    """How many bits of a number are set."""
    word -= word >> 1 & 0x5555555555555555
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F
    word += word >> 8
    word += word >> 16
    return (word + (word >> 32)) & 127


@jit
def ink_features(row, scratch, image, height, width):
    """Shares of cells that a drawing's lines go through: of all, of the central block, of the ring by the borders. row (3,)."""
    histogram, marks = scratch.histogram, scratch.marks
    mark_ink(marks, image, ground_level(histogram, image))
    cells, spare = histogram[: WORDS + 2], histogram[WORDS + 2 : 2 * WORDS + 4]  # its counts have served
    find_cells(cells, marks, height, width)
    thin(cells, spare)
    total, centre, inside = np.int64(0), np.int64(0), np.int64(0)
    for k in range(WORDS):
        total += count_bits(cells[k + 1])
        centre += count_bits(cells[k + 1] & CENTRE_CELL_BITS[k])
        inside += count_bits(cells[k + 1] & INSIDE_CELL_BITS[k])
    row[0] = total / (GRID * GRID)
    row[1] = centre / CENTRE_CELLS
    row[2] = (total - inside) / RING_CELLS


@jit_part
def ink_box(marks, height, width):
    """Rows top..bottom and columns left..right, ends not included, that just hold all ink; right = 0 without any."""
    top, bottom, left, right, columns = 0, height, 0, width, height * width + 8
    join_rows(marks, columns, 0, height, width)
    while right > 0 and item(marks, columns + right - 1) == 0:
        right -= 1
    if right > 0:
        while item(marks, columns + left) == 0:
            left += 1
        while not any_mark(marks, top * width, (top + 1) * width):
            top += 1
        while not any_mark(marks, (bottom - 1) * width, bottom * width):
            bottom -= 1
    return top, bottom, left, right


@jit
def pixel_features(row, scratch, image, height, width):
    """The drawing on a grid of square cells: each cell's ink, relative to the fullest cell. row (256,)."""
    marks = scratch.marks
    ground = ground_level(scratch.histogram, image)
    mark_ink(marks, image, ground)
    top, bottom, left, right = ink_box(marks, height, width)
    row[:] = 0
    if right == 0:
        return

    # Lengths are in units of 1/14 pixel: a pixel is DRAWING units wide, a cell `side` units, all borders are integers.
    side = max(bottom - top, right - left)
    grid_top = DRAWING // 2 * (top + bottom) - GRID // 2 * side
    grid_left = DRAWING // 2 * (left + right) - GRID // 2 * side
    i = 0  # the first cell down that the pixel touches; it is led along, as divisions are slow
    for y in range(top, bottom):
        y0 = DRAWING * y - grid_top
        while (i + 1) * side <= y0:
            i += 1
        j = 0
        for x in range(left, right):
            x0 = DRAWING * x - grid_left
            while (j + 1) * side <= x0:
                j += 1
            if item(marks, y * width + x) == 0:
                continue
            ink = abs(item(image, y * width + x) - ground)
            down = i
            while down * side < y0 + DRAWING:
                tall = min(y0 + DRAWING, (down + 1) * side) - max(y0, down * side)
                across = j
                while across * side < x0 + DRAWING:
                    wide = min(x0 + DRAWING, (across + 1) * side) - max(x0, across * side)
                    row[down * GRID + across] += ink * tall * wide
                    across += 1
                down += 1

    fullest = 0.0
    for value in row:
        fullest = max(fullest, value)
    for cell in range(row.size):
        row[cell] /= fullest
