"""The whole page of one image, gray or in three colours, as gradients; fastmlp/images/extractors.py says what the features are.

Lengths are in parts of a pixel, SIDE of them, so that a cell is as many tall and wide as the page has rows and columns.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.images.by_area import add_line, add_row
from fastmlp.kernels.images.gradients import BORDERED, SIDE, SIZE, cell_features, to_relative_grays

STEPS = 64  # of a level: the most of which 1024 of the lightest cells are a number of 24 bits


@jit_part
def reduce_page(picture, image, height, width):
    """The sum of the levels in each cell, by area. picture (600,); its last row is scratch."""
    line = picture[SIDE * SIDE :]
    picture[:] = 0
    i = 0  # the first row of cells that the pixels touch
    for y in range(height):
        y0 = SIDE * y
        while (i + 1) * height <= y0:
            i += 1
        add_row(line, image, y * width, (y + 1) * width, 0, SIDE, width)
        add_line(picture, line, i, y0, SIDE, height)


@jit_part
def to_means(levels, picture, area):
    """The mean level of each cell, in whole steps, with a border that repeats the outermost. levels (26 * 26,)."""
    for i in range(BORDERED):
        here = min(max(i - 1, 0), SIDE - 1) * SIDE
        for j in range(BORDERED):
            total = picture[here + min(max(j - 1, 0), SIDE - 1)]
            levels[i * BORDERED + j] = np.float32(np.int32(STEPS * total / area))  # exact, as area < 2^26


@jit
def gray_features(row, scratch, image, height, width):
    """Of 6 x 6 cells of the page, each one's gray and its gradients in eight directions, plane by plane.

    row (324,), or (972,) where the image is three planes, one after another; the grays of all are relative to the lightest.
    """
    pixels, lightest = height * width, np.int64(1)
    for k in range(row.shape[0] // SIZE):
        reduce_page(scratch.picture, image[k * pixels : (k + 1) * pixels], height, width)
        to_means(scratch.levels, scratch.picture, np.float64(pixels))
        plane = row[k * SIZE : (k + 1) * SIZE]
        lightest = max(lightest, cell_features(plane, scratch.picture, scratch.histogram, scratch.shares, scratch.levels))
    to_relative_grays(row, lightest)
