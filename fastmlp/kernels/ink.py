"""From one gray image to one row of features; fastmlp/features.py says what the features are.

image (H, W) uint8; histogram (256,) int64 is scratch; row (size,) float64 is written in place. Whatever is summed is an
integer below 2^53, so the sums are exact in any order.
"""

import numpy as np

from fastmlp.kernels.jit import jit, jit_part

GRID = 16  # cells along each side
CONTRAST = 64  # a pixel is ink where it differs from the ground by at least this
CENTRE = (6, 10)  # rows and columns of the central block, the end not included
INSIDE = (3, 13)  # rows and columns within the ring along the borders
CENTRE_CELLS = 16
RING_CELLS = 156
DRAWING = 14  # cells that the longer side of a drawing fills in pixel_features


@jit_part
def ground_level(histogram, image):
    """The most frequent level, the lightest of equals."""
    histogram[:] = 0
    for y in range(image.shape[0]):
        for level in image[y]:
            histogram[level] += 1
    ground = 255
    for level in range(254, -1, -1):
        if histogram[level] > histogram[ground]:
            ground = level
    return ground


@jit_part
def contrast(level, ground):
    """|level - ground| where that makes the pixel ink, else 0."""
    distance = abs(np.int64(level) - ground)  # a difference of two uint8 would wrap around
    return distance if distance >= CONTRAST else 0


@jit_part
def any_ink(image, ground, top, bottom, left, right):
    for y in range(top, bottom):
        for x in range(left, right):  # a slice of the row costs five times as much: most cells are a pixel or few
            if contrast(image[y, x], ground) > 0:
                return True
    return False


@jit
def ink_features(row, histogram, image):
    """Shares of ink cells: of all, of the central block, of the ring along the borders. row (3,)."""
    height, width = image.shape
    ground = ground_level(histogram, image)
    total, centre, inside = 0, 0, 0
    for i in range(GRID):
        top = i * height // GRID
        bottom = max(top + 1, (i + 1) * height // GRID)
        for j in range(GRID):
            left = j * width // GRID
            right = max(left + 1, (j + 1) * width // GRID)
            if any_ink(image, ground, top, bottom, left, right):
                total += 1
                centre += CENTRE[0] <= i < CENTRE[1] and CENTRE[0] <= j < CENTRE[1]
                inside += INSIDE[0] <= i < INSIDE[1] and INSIDE[0] <= j < INSIDE[1]
    row[0] = total / (GRID * GRID)
    row[1] = centre / CENTRE_CELLS
    row[2] = (total - inside) / RING_CELLS


@jit_part
def ink_box(image, ground):
    """Rows top..bottom and columns left..right, ends not included, that just hold all ink; right = 0 without any."""
    height, width = image.shape
    top, bottom, left, right = height, 0, width, 0
    for y in range(height):
        levels = image[y]
        for x in range(width):
            if contrast(levels[x], ground) > 0:
                top, bottom = min(top, y), y + 1
                left, right = min(left, x), max(right, x + 1)
    return top, bottom, left, right


@jit
def pixel_features(row, histogram, image):
    """The drawing on a grid of square cells: each cell's ink, relative to the fullest cell. row (256,)."""
    ground = ground_level(histogram, image)
    top, bottom, left, right = ink_box(image, ground)
    row[:] = 0
    if right == 0:
        return

    # Lengths are in units of 1/14 pixel: a pixel is DRAWING units wide, a cell `side` units, all borders are integers.
    side = max(bottom - top, right - left)
    grid_top = DRAWING // 2 * (top + bottom) - GRID // 2 * side
    grid_left = DRAWING // 2 * (left + right) - GRID // 2 * side
    for y in range(top, bottom):
        levels = image[y]
        y0 = DRAWING * y - grid_top
        for x in range(left, right):
            ink = contrast(levels[x], ground)
            if ink > 0:
                x0 = DRAWING * x - grid_left
                for i in range(y0 // side, (y0 + DRAWING - 1) // side + 1):
                    height = min(y0 + DRAWING, (i + 1) * side) - max(y0, i * side)
                    for j in range(x0 // side, (x0 + DRAWING - 1) // side + 1):
                        width = min(x0 + DRAWING, (j + 1) * side) - max(x0, j * side)
                        row[i * GRID + j] += ink * height * width

    fullest = 0.0
    for value in row:
        fullest = max(fullest, value)
    for cell in range(row.size):
        row[cell] /= fullest
