"""From one gray image to another of its size that shows nearly the same: turned, scaled, slanted, shifted, thickened or thinned.

image and out hold height * width levels, row by row, and middle (height + 2) * (width + 2). A copy follows from the seed, a number
of the image and its own number alone. All of it is in whole numbers, but for the parts of the map, which are rounded once.
"""

import numpy as np

from fastmlp.kernels.compile import jit, jit_inline, jit_part, jit_rounded
from fastmlp.kernels.dropout import hashed
from fastmlp.kernels.images.bytes import item, set_byte
from fastmlp.kernels.images.features import ground_level
from fastmlp.kernels.simd import get, put

# The bounds, between which all values are equally likely; fastmlp/images/copies.py says what they mean.
HALF_TURN = 0.1316  # the tangent of half of the largest angle, which is 15 degrees: less teaches less
SCALE = 0.2  # of each axis, by how much a copy may be larger or smaller
SLANT = 0.2  # of a pixel for each row
SHIFT = 0.08  # of the height or width
THICKEN = 192  # of 256: how far a pixel may become like the one beside it that has the most ink, or the least
UNIT = 1 << 16  # parts of a pixel, and of what coordinates are multiplied by


@jit
def find_ground(histogram, image):
    """The most frequent level, the lightest of equals; histogram (256,) int64 is scratch."""
    return ground_level(histogram, image)


@jit_part
def _draw(key, number):
    """A number from -1 to below 1."""
    return np.float64((hashed(key, np.int64(number)) >> 11) & ((1 << 53) - 1)) / (1 << 52) - 1.0


@jit_rounded
def map_of(key, height, width):
    """Where the pixels of a copy lie in the image, in parts of a pixel: in row (a * u + b * v) / 2 + top and in column
    (c * u + d * v) / 2 + left, where u and v are how far a pixel's middle is below the copy's and to the right of it, doubled."""
    tangent = HALF_TURN * _draw(key, 0)
    cosine, sine = (1.0 - tangent * tangent) / (1.0 + tangent * tangent), 2.0 * tangent / (1.0 + tangent * tangent)
    tall, wide = 1.0 / (1.0 + SCALE * _draw(key, 1)), 1.0 / (1.0 + SCALE * _draw(key, 2))
    slant = SLANT * _draw(key, 3)
    top = 0.5 * height - 0.5 + SHIFT * height * _draw(key, 4)
    left = 0.5 * width - 0.5 + SHIFT * width * _draw(key, 5)
    return (
        _whole((cosine - sine * slant) * tall),
        _whole(-sine * wide),
        _whole((sine + cosine * slant) * tall),
        _whole(cosine * wide),
        _whole(top),
        _whole(left),
    )


@jit_rounded
def _whole(value):
    return np.int64(np.floor(UNIT * value + 0.5))


@jit_part
def _level(image, ground, height, width, y, x):
    """The level there; beyond the image its ground, or with a ground below 0 the level of the nearest pixel."""
    if ground >= 0 and (y < 0 or y >= height or x < 0 or x >= width):
        return ground
    return item(image, min(max(y, 0), height - 1) * width + min(max(x, 0), width - 1))


@jit_inline
def _between(upper_left, upper_right, lower_left, lower_right, down, across):
    """The level between four, so many 256ths of the way."""
    upper, lower = (upper_left << 8) + across * (upper_right - upper_left), (lower_left << 8) + across * (lower_right - lower_left)
    return ((upper << 8) + down * (lower - upper) + (1 << 15)) >> 16


@jit_part
def _sample_row(middle, image, ground, where, y, height, width):
    """A row of the copy, each level between those of the nearest four pixels; middle has a border, which repeats the outermost."""
    a, b, c, d, top, left = where
    row = (y + 1) * (width + 2) + 1
    u = 2 * y + 1 - height
    down, across = a * u + b * (1 - width) + 2 * top, c * u + d * (1 - width) + 2 * left  # twice that
    for x in range(width):
        i, j, lower, right = down >> 17, across >> 17, down >> 9 & 255, across >> 9 & 255
        if 0 <= i < height - 1 and 0 <= j < width - 1:
            n = i * width + j
            level = _between(item(image, n), item(image, n + 1), item(image, n + width), item(image, n + width + 1), lower, right)
        else:
            level = _between(
                _level(image, ground, height, width, i, j),
                _level(image, ground, height, width, i, j + 1),
                _level(image, ground, height, width, i + 1, j),
                _level(image, ground, height, width, i + 1, j + 1),
                lower,
                right,
            )
        set_byte(middle, row + x, level)
        down += 2 * b
        across += 2 * d
    set_byte(middle, row - 1, item(middle, row))
    set_byte(middle, row + width, item(middle, row + width - 1))


@jit_inline
def _level_at(levels, n):
    return np.int32(get(levels, n))


@jit_part
def _more_or_less(out, middle, n, ground, thicker, width):
    """A row of the copy, whose pixels become more like those beside them that have the most ink, or for thicker < 0 the least."""
    share, sign, stride = abs(thicker), np.int32(1) if thicker > 0 else np.int32(-1), width + 2
    above, here, left, right, below = middle[n - stride :], middle[n:], middle[n - 1 :], middle[n + 1 :], middle[n + stride :]
    for x in range(width):
        own = _level_at(here, x)
        most, far = own, sign * abs(own - ground)  # of equals the first
        for levels in (above, left, right, below):
            level = _level_at(levels, x)
            distance = sign * abs(level - ground)
            most, far = level if distance > far else most, max(distance, far)
        put(out, x, np.uint8(own + ((share * (most - own) + np.int32(128)) >> np.int32(8))))


@jit
def distort(out, middle, image, ground, seed, image_number, copy, height, width, first, last):
    """Rows first to last - 1 of a copy of an image. Without a ground, that is with one below 0, nothing is thickened."""
    key = hashed(hashed(seed, image_number), copy)
    where = map_of(key, height, width)
    for y in range(max(first - 1, 0), min(last + 1, height)):
        _sample_row(middle, image, ground, where, y, height, width)
    stride, below = width + 2, (height + 1) * (width + 2)
    if first == 0:
        for n in range(stride):
            middle[n] = middle[stride + n]
    if last == height:
        for n in range(stride):
            middle[below + n] = middle[below - stride + n]
    thicker = np.int32(np.floor((THICKEN + 0.5) * _draw(key, 6) + 0.5)) if ground >= 0 else np.int32(0)
    for y in range(first, last):
        _more_or_less(out[y * width :], middle, (y + 1) * stride + 1, np.int32(ground), thicker, width)
