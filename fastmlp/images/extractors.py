"""Pixels to feature vectors: the extractors, by name.

All extractors but ``gray`` and ``colour`` start alike. The *ground* of an image is its most frequent gray level, the lightest
one where several are equally frequent. A pixel is *ink* where its level differs from the ground by 64 or more, that is, by
more than a quarter of the full range of 255. So dark on light, light on dark, and paper that is not quite white all work.

``ink``: 3 values
    An image of H rows and W columns is laid on a grid of 16 x 16 cells. Cell (i, j) holds the pixel rows from
    ``top = i*H // 16`` up to, not including, ``max(top + 1, (i+1)*H // 16)``, and the columns from
    ``left = j*W // 16`` up to, not including, ``max(left + 1, (j+1)*W // 16)``. A cell is ink where any of its pixels
    is, which keeps the thinnest stroke. Each axis goes by itself: an image that is not square is stretched, and one of
    fewer than 16 rows or columns has them repeated.

    Then strokes are worn down to lines one cell wide, so that neither the pen nor the size of the page matters, and a
    drawing by a pen of one pixel on 16 x 16 is its own grid. A cell is spare where its ink neighbours, of eight, are two
    at least, and follow each other on the way round it: the drawing hangs together without it, and it does not end a
    stroke. All spare cells go at once that have no ink above; then those that have none below, to the right, to the left,
    above again, and so on, until no cell is spare. What is filled becomes a line, too, or a dot.

    - feature 1 = cells left / 256
    - feature 2 = cells left with i and j in 6..9 (the central 4 x 4 block) / 16
    - feature 3 = cells left with i or j in 0..2 or 13..15 (the ring three cells wide along the borders) / 156

``pixels``: 256 values between 0 and 1
    The picture of the ink alone, wherever it stands on the page, however large, with whatever pen, on whichever ground.
    Let rows [t, b) and columns [l, r) be the smallest box around all ink pixels, and s = max(b - t, r - l). A grid of
    16 x 16 square cells of side s/14 shares its centre with the box, so that the longer side of the drawing fills 14
    cells, and a margin of one cell remains on either side. Cell (i, j) spans the rows from ``(t + b)/2 + (i - 8)*s/14``
    to ``(t + b)/2 + (i - 7)*s/14`` and the columns from ``(l + r)/2 + (j - 8)*s/14`` to ``(l + r)/2 + (j - 7)*s/14``,
    where the pixel (y, x) is the unit square [y, y + 1) x [x, x + 1).

    - D[i, j] = sum over the ink pixels of |level - ground| * (area of the pixel that lies in cell (i, j))
    - value 16*i + j = D[i, j] / max(D); all values are 0 for an image without ink

    All lengths times 14 are integers, so D * 196 is an exact integer sum, and each value is rounded once.

``strokes``: 324 values between 0 and 1
    Where the strokes of a drawing run, and in which direction: histograms of oriented gradients (Dalal and Triggs 2005),
    with a coarse picture. Let the box of h rows and w columns be as above, y and x count its rows and columns from 0, and
    the weight of a pixel be |level - ground| where that is 32 or more, so that the soft rims of ink count; else 0. The
    drawing is set upright: with the covariance c of x and y, and the variance v of y, both by weight, and v + 1/12, as a
    pixel is 1 tall, the *slant* is 192 * max(-1, min(c / (v + 1/12), 1)), rounded to an integer, in steps of 1/256, which
    is three quarters of what it leans, three quarters of a pixel for each row at most.

    All lengths are now in twentieths of a pixel, rounded down to integers. What is at height u below the top of the box is
    shifted to the right by ``slant * (10*h - u) // 256``, a row of pixels by the shift of its middle, 20*y + 10. Shifted
    ink reaches from l to r. A grid of 24 x 24 square cells has the side s = max(h, ceil((r - l) / 20)), so that the longer
    side of the drawing fills 20 cells. Its middle is the centroid of the weights: down (my), and across the centroid
    before the shift, moved by the shift at my; or as near to it as the grid still holds all of the h rows, and l to r.

    - D[i, j] = sum of weight * (area of the shifted pixel that lies in cell (i, j)); L[i, j] = floor(255 * D / max(D))
    - the gradient in (i, j) is dx = L[i, j+1] - L[i, j-1], dy = L[i+1, j] - L[i-1, j], where L is 0 outside of the grid
    - it is the sum of the next two of eight directions, (dx, dy) = a * (1, 0) + b * (1, 1), and so on round to (1, -1);
      in each cell a and b are the shares of those two directions, and 0 is that of the six others
    - there are 6 x 6 blocks; cells 4*k - 2 to 4*k + 5 of a row or column count for block k by 1, 3, 5, 7, 7, 5, 3, 1, of
      which those outside of the grid are left out. G[k, l] is the sum of L, and E[k, l, d] that of the shares of direction
      d, by the product of both weights; S[k, l] is the sum of E[k, l, d] over d, N[k, l] that of S over the up to 3 x 3
      blocks around (k, l), T that of all S
    - value 9*(6*k + l) = G[k, l] / max(G); value 9*(6*k + l) + 1 + d = sqrt(8 * E[k, l, d] / (8 * N[k, l] + T)),
      for d = 0 to 7: (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), where y grows downwards; all
      values are 0 for an image without ink

    Every sum is an exact integer, and only divisions and roots are rounded.

``gray``: 324 values between 0 and 1
    A photograph or a texture, that is, the whole page with no ground: what is light is not what is dark. An image of H rows
    and W columns is laid on a grid of 24 x 24 cells, each H/24 of a pixel's length tall and W/24 wide: one that is not
    square is stretched, as its borders are what all pages have in common.

    - D[i, j] = sum of level * (area of the pixel that lies in cell (i, j)), and L[i, j] = floor(64 * D / (area of a cell)),
      the mean level in steps of 1/64
    - all else is as in ``strokes``, but that L outside of the grid is that of the nearest cell, where gradients are taken,
      so that borders have none of their own; G and E leave these cells out. G of a black page is 0, and so are its values

    D * 576 is an exact integer sum, and so is every sum after it.

``colour``: 972 values between 0 and 1
    As ``gray``, for each of red, green and blue: 324 values of the one, then of the next. Only G is divided by its maximum over
    all three, so that they tell of the colour of a page, and not of the strength of its light. An image of gray levels has three
    equal colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks
from fastmlp.images.own_extractor import OwnExtractor, function_name
from fastmlp.kernels.images.features import COLOUR, GRAY, INK, PIXELS, STROKES, feature_scratch, ink_features, pixel_features
from fastmlp.kernels.images.gray import gray_features
from fastmlp.kernels.images.strokes import stroke_features
from fastmlp.literals import AnyExtractor, ExtractorName


@dataclass(frozen=True)
class Extractor:
    """A named way from an image to `size` numbers; fastmlp/kernels/images/features.py says what the kernel's arguments are."""

    name: str
    size: int
    code: int
    kernel: Callable[..., None]
    channels: int = 1
    """How many levels of a pixel it sees: its gray, or its red, green and blue."""
    ground: bool = True
    """Whether it tells what is drawn from what it is drawn on."""

    def __reduce__(self) -> tuple[Any, ...]:
        return extractor_of, (self.name,)  # compiled code is never sent

    @property
    def columns(self) -> list[str]:
        """The names of the features, as they head a CSV file."""
        return feature_columns(self.size)


EXTRACTORS = {
    "ink": Extractor("ink", 3, INK, ink_features),
    "pixels": Extractor("pixels", 256, PIXELS, pixel_features),
    "strokes": Extractor("strokes", 324, STROKES, stroke_features),
    "gray": Extractor("gray", 324, GRAY, gray_features, ground=False),
    "colour": Extractor("colour", 972, COLOUR, gray_features, channels=3, ground=False),
}
DEFAULT_EXTRACTOR: ExtractorName = "strokes"  # to classify by
GivenExtractor = AnyExtractor | Extractor | OwnExtractor


def extractor_of(given: Any) -> Extractor | OwnExtractor:
    """The extractor of that name, or a function as one; a ValueError for anything else."""
    if isinstance(given, Extractor | OwnExtractor):
        return given
    return OwnExtractor(given) if callable(given) else EXTRACTORS[checks.one_of("extractor", given, EXTRACTORS)]


def feature_columns(size: int) -> list[str]:
    """The names of so many features."""
    return [f"feature{number}" for number in range(1, size + 1)]


def images_of(extractor: Extractor | OwnExtractor) -> str:
    """What arrays of images it takes."""
    return "(H, W) of uint8 gray levels" if extractor.channels == 1 else "(H, W, 3) of uint8 colours, or (H, W) of gray levels"


def of_size(given: AnyExtractor, size: int) -> GivenExtractor:
    """The same, but a function is to give so many numbers of each image."""
    return OwnExtractor(given, size) if callable(given) else given


def extractor_name(given: AnyExtractor) -> str:
    """What it is called: a function by its module and its name in there."""
    return given if isinstance(given, str) else function_name(given)


def extract(images: Iterable[NDArray[np.uint8]], extractor: GivenExtractor = "ink", name: str = "images") -> NDArray[np.float64]:
    """Extract the features of images.

    Parameters
    ----------
    images : iterable of (H, W) uint8 arrays, and for "colour" also of (H, W, 3)
        Gray levels, or those of red, green and blue, from 0 to 255. The sizes may differ.
    extractor : {"ink", "pixels", "strokes", "gray", "colour"} or function
        What to extract; the text at the head of this file defines them. A function is given a copy of each image.
    name : str
        What the images are called in messages.

    Returns
    -------
    (n, size) float64 array
        One row for each image; size is 3 for "ink", 256 for "pixels", 324 for "strokes" and "gray", and 972 for "colour".

    Raises
    ------
    ValueError
        If an image is no such array, or is empty, or no extractor has that name; if a function gives
        something else than a vector of finite numbers, or not as many as of the first image.
    """
    chosen = extractor_of(extractor)
    checked = [_planes(f"{name}[{index}]", image, chosen) for index, image in enumerate(images)]
    if isinstance(chosen, OwnExtractor):
        return chosen.features([image[0] for image in checked], name)
    features = np.empty((len(checked), chosen.size))
    scratch = feature_scratch(max((image[0].size for image in checked), default=0))
    for row, image in zip(features, checked, strict=True):
        chosen.kernel(row, scratch, image.reshape(-1), *image.shape[1:])
    return features


def _planes(name: str, value: Any, extractor: Extractor | OwnExtractor) -> NDArray[np.uint8]:
    """The image as (channels, H, W), in the one kind of array that the kernels are compiled for."""
    image = np.asarray(value)
    is_gray, is_coloured = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or image.size == 0 or not (is_gray or (is_coloured and extractor.channels == 3)):
        hint = "; extractor='colour' takes colours" if is_coloured and extractor.channels == 1 else ""
        raise ValueError(f"{name} must be an array {images_of(extractor)}; got {image.dtype} {image.shape}{hint}")
    planes = np.moveaxis(image, 2, 0) if is_coloured else image[np.newaxis]
    planes = planes if len(planes) == extractor.channels else planes.repeat(extractor.channels, axis=0)
    return arrays.unlocked(np.ascontiguousarray(planes))
