"""The drawing of one gray image, upright and centred, as gradients; fastmlp/images/extractors.py says what the features are.

Lengths are in twentieths of a pixel, so that all borders of pixels and cells are integers. A row of pixels is shifted as a whole.
All sums are exact but those for the slant, which is rounded to a whole step: where ink is more than some 6 million pixels they may
be larger than 2^53, and are then rounded in the order of its rows.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part, jit_rounded
from fastmlp.kernels.images.by_area import add_line, add_row
from fastmlp.kernels.images.bytes import item
from fastmlp.kernels.images.features import CONTRAST, ground_level, ink_box, mark_ink
from fastmlp.kernels.images.gradients import BORDERED, SIDE, cell_features, to_relative_grays

UNIT = 20  # lengths of a pixel; and cells that the longer side of a drawing fills
FAINT = 32  # the least difference from the ground that counts within the drawing
SLANT = 192  # of 256: how much of the slant is taken out, and how much at most


@jit_part
def weigh(marks, image, ground, start, stop):
    """Marks pixels with their differences from the ground, where these are not less than FAINT."""
    level = np.uint8(ground)
    for n in range(start, stop):  # in numbers of eight bits, as in mark_ink
        more, less = np.uint8((image[n] - level) & 255), np.uint8((level - image[n]) & 255)
        weight = more if image[n] > level else less
        marks[n] = weight if weight >= np.uint8(FAINT) else np.uint8(0)


@jit_rounded
def slant_of(total, down, across, both, square):
    """How far a drawing leans, in steps of 1/256 pixel for each row: of its sums of weight, times y, x, x y and y^2.

    The covariance of x and y over the variance of y, in which a pixel is as tall as it is.
    """
    covariance = both / total - down / total * (across / total)
    variance = max(square / total - (down / total) * (down / total), 0.0) + 1 / 12
    return np.int64(np.floor(SLANT * min(max(covariance / variance, -1.0), 1.0) + 0.5))


@jit_part
def moments_of(marks, box, width):
    """The centroid of a drawing as it leans, down and across from the corner of its box, and its slant."""
    top, bottom, left, right = box
    total, down, across, both, square = np.int64(0), np.int64(0), np.int64(0), np.int64(0), 0.0
    for y in range(bottom - top):
        first = (top + y) * width + left
        here = marks[first : first + right - left]
        weight, moment = np.int64(0), np.int64(0)
        for x in range(right - left):
            weight += np.int64(here[x])
            moment += np.int64(here[x]) * x
        total += weight
        down += weight * y
        across += moment
        both += moment * y
        square += np.float64(weight * y * y)
    slant = slant_of(np.float64(total), np.float64(down), np.float64(across), np.float64(both), square)
    return _length(down, total), _length(across, total), slant


@jit_inline
def _length(moment, weight):
    """The mean of the middles of pixels; the product of UNIT and a large page's moment would be too large."""
    return UNIT * (moment // weight) + (UNIT * (moment % weight) + UNIT // 2 * weight) // weight


@jit_inline
def _shift(slant, height, at):
    """How far to the right what lies so far below the top of a drawing of so many rows is moved."""
    return slant * (UNIT // 2 * height - at) >> 8


@jit_part
def extent_of(marks, box, slant, width):
    """How far the ink reaches to the left and right once its rows are shifted."""
    top, bottom, left, right = box
    start, stop = UNIT * (right - left) + UNIT * (bottom - top), -UNIT * (bottom - top)
    for y in range(top, bottom):
        first, last = y * width + left, y * width + right
        while first < last and item(marks, first) < CONTRAST:
            first += 1
        if first == last:
            continue
        while item(marks, last - 1) < CONTRAST:
            last -= 1
        shift = _shift(slant, bottom - top, UNIT * (y - top) + UNIT // 2)
        start = min(start, UNIT * (first - y * width - left) + shift)
        stop = max(stop, UNIT * (last - y * width - left) + shift)
    return start, stop


@jit_part
def find_picture(picture, marks, box, width):
    """The weight that lies in each cell of the upright drawing. picture (600,); its last row is scratch."""
    top, bottom, left, right = box
    height, line = bottom - top, picture[SIDE * SIDE :]
    middle, centre, slant = moments_of(marks, box, width)
    start, stop = extent_of(marks, box, slant, width)
    side = max(height, (stop - start + UNIT - 1) // UNIT)
    grid_top = min(max(middle - SIDE // 2 * side, UNIT * height - SIDE * side), 0)
    grid_left = min(max(centre + _shift(slant, height, middle) - SIDE // 2 * side, stop - SIDE * side), start)
    picture[:] = 0
    i = 0  # the first row of cells that the pixels touch
    for y in range(height):
        y0 = UNIT * y - grid_top
        while (i + 1) * side <= y0:
            i += 1
        first = (top + y) * width + left
        add_row(line, marks, first, first + right - left, _shift(slant, height, UNIT * y + UNIT // 2) - grid_left, UNIT, side)
        add_line(picture, line, i, y0, UNIT, side)


@jit_part
def to_levels(levels, picture):
    """The cells as whole levels, the fullest one 255, with a border of zeros. levels (26 * 26,)."""
    fullest = 0.0
    for n in range(SIDE * SIDE):
        fullest = picture[n] if picture[n] > fullest else fullest
    for n in range(SIDE * SIDE):
        picture[n] = np.float64(np.int32(255.0 * picture[n] / fullest))
    levels[:] = 0
    for i in range(SIDE):
        for j in range(SIDE):
            levels[(i + 1) * BORDERED + j + 1] = np.float32(picture[i * SIDE + j])


@jit
def stroke_features(row, scratch, image, height, width):
    """Of 6 x 6 cells of the drawing, upright and centred, each one's gray and its gradients in eight directions. row (324,)."""
    histogram, marks = scratch.histogram, scratch.marks
    ground = ground_level(histogram, image)
    mark_ink(marks, image, ground)
    box = ink_box(marks, height, width)
    row[:] = 0
    if box[3] == 0:
        return
    weigh(marks, image, ground, box[0] * width, box[1] * width)
    find_picture(scratch.picture, marks, box, width)
    to_levels(scratch.levels, scratch.picture)
    most = cell_features(row, scratch.picture, histogram, scratch.shares, scratch.levels)
    to_relative_grays(row, most)
