"""Copies of images that show nearly the same, to learn from where images are few: shifted, turned, scaled, thickened.

A copy of an image of H rows and W columns is as large as that. It is turned about its middle, by an angle whose half has a tangent
of at most 0.1316, that is by up to 15 degrees; made 0.8 to 1.2 times as tall and, by itself, as wide; slanted by up to a fifth of a
pixel for each row; and shifted by up to 0.08 * H rows and 0.08 * W columns. Each level lies between those of the nearest four
pixels. For extractors that see a ground, this is also what lies beyond the image, and each pixel becomes like the one beside it
that has the most ink, by up to 3/4 of the difference, or else like the one that has the least; for others the outermost pixels go
on. All values within the bounds are equally likely.

Which copies these are follows from the seed and the gray levels of the image alone, wherever that lies and in whatever company.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks
from fastmlp.images.content import end_if
from fastmlp.images.extractors import Extractor, extract
from fastmlp.images.own_extractor import OwnExtractor
from fastmlp.kernels.images import distort
from fastmlp.threads import Stop

AT_ONCE = 1 << 20  # pixels of copies that are held, or made in one call


class Augmentation(NamedTuple):
    """How many copies there are of each image, and the seed that they are made by."""

    copies: int
    seed: int


def augmentation(augment: Any, seed: int, data_seed: int | None) -> Augmentation | None:
    """The one that an option asks for, if it asks for any; networks that share their data share the copies, too."""
    copies = checks.whole_number("augment", augment)
    return Augmentation(copies, seed if data_seed is None else checks.seed("data_seed", data_seed)) if copies else None


def features_of_copies(
    image: NDArray[np.uint8],
    extractor: Extractor | OwnExtractor,
    augmentation: Augmentation,
    size: int,
    name: str = "the image",
    stop: Stop | None = None,
) -> NDArray[np.float64]:
    """Those of the copies of an image, of which there are so many as of itself: (copies, size)."""
    features, first = np.empty((augmentation.copies, size)), 0
    if isinstance(extractor, OwnExtractor):
        extractor = replace(extractor, size=size)
    held = max(1, AT_ONCE // image.size)
    some: list[NDArray[np.uint8]] = []
    for number, copy in enumerate(copies_of(image, extractor, augmentation), 1):
        some.append(copy)
        if len(some) == held or number == augmentation.copies:
            end_if(stop)
            features[first:number] = extract(some, extractor, f"copies of {name}")
            first, some = number, []
    return features


def check_memory(images: int, size: int, augmentation: Augmentation | None) -> None:
    """Rejects images whose features the machine has no memory for; those of copies are held twice when they are put together."""
    rows, copies = 1, ""
    if augmentation is not None:
        rows, copies = 2 * (1 + augmentation.copies), f", and of {augmentation.copies} copies of each,"
    checks.enough_memory(f"the features of {images} images{copies}", images * rows * size * np.dtype(np.float64).itemsize)


def copies_of(
    image: NDArray[np.uint8], extractor: Extractor | OwnExtractor, augmentation: Augmentation
) -> Iterator[NDArray[np.uint8]]:
    """The copies of an image, for an extractor."""
    height, width, *channels = image.shape
    planes = np.moveaxis(image, -1, 0) if channels else image[None].repeat(extractor.channels, axis=0)  # which are distorted alike
    levels = arrays.unlocked(np.ascontiguousarray(planes)).reshape(len(planes), -1)
    middle = np.empty((height + 2) * (width + 2), np.uint8)
    number, seed = zlib.crc32(levels.data), augmentation.seed - (augmentation.seed >> 63 << 64)  # as 64 bits with a sign
    ground = (
        distort.find_ground(np.empty(256, np.int64), levels[0]) if isinstance(extractor, Extractor) and extractor.ground else -1
    )
    rows = max(1, AT_ONCE // width)
    for copy in range(augmentation.copies):
        out = np.empty_like(levels)
        for plane, of_copy in zip(levels, out, strict=True):
            for top in range(0, height, rows):
                bottom = min(top + rows, height)
                distort.distort(of_copy, middle, plane, ground, seed, number, copy, height, width, top, bottom)
        copied = out.reshape(-1, height, width)
        yield copied[0] if len(copied) == 1 else np.moveaxis(copied, 0, -1)
