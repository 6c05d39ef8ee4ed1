"""Which thumbnails show nearly the same: what is compressed anew, brighter, scaled or moved, but not what is drawn anew.

The bits of an average hash alone would not do: of 5000 digits by many hands, 0.02 % of all pairs have the same 64 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.thumbnails import area_means

SIDE = 8
NEAR = 0.06  # one in some million pairs of such digits is as near, and 9 of 10 digits made JPEG of quality 60 are


def appearance(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far the 8 x 8 parts of a picture (H, W) are from its ground, in a square around what stands out, as a unit vector (64,).

    Of a picture with nothing in it all are 0.
    """
    ground = np.median(gray)
    levels = gray - ground
    far = np.abs(levels)
    if not far.any():
        return np.zeros(SIDE * SIDE)
    stands_out = 2 * far > far.max()
    (top, bottom), (left, right) = (np.flatnonzero(stands_out.any(axis=axis))[[0, -1]] for axis in (1, 0))
    drawn = levels[top : bottom + 1, left : right + 1]
    side = max(drawn.shape)
    square = np.zeros((side, side))  # or a line across and a line down would look the same
    square[: drawn.shape[0], : drawn.shape[1]] = drawn
    means = area_means(square, SIDE, SIDE).ravel()
    return means / np.linalg.norm(means)


def are_alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two pictures, by their appearances, are nearly the same."""
    return float(np.linalg.norm(one - other)) <= NEAR
