"""Images made small, as HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.page import escaped
from fastmlp.images.pillow import as_png, read_image

THUMBNAIL_SIDE = 96  # pixels

Read = Callable[[str], bytes]


def picture(read: Read, path: str, alt: str) -> str:
    """The image at a path, of which `read` gives the bytes; where it cannot be read, why. Neither text may hold marks of HTML."""
    try:
        gray = read_image(read(path), reduced=True)
    except Exception as error:  # whatever reading raises: a page is more than one of its images
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f'<div class="gone"><span>{escaped(reason)}</span></div>'
    tiny = ' class="tiny"' if max(gray.shape) < THUMBNAIL_SIDE else ""
    return f'<img{tiny} alt="{alt}" src="data:image/png;base64,{b64encode(as_png(thumbnail(gray))).decode()}">'


def thumbnail(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray levels (H, W) made small enough, each one the mean over the area that it stands for."""
    levels: NDArray = gray
    if (side := max(gray.shape) // (2 * THUMBNAIL_SIDE)) > 1:  # first by whole blocks, as the product below is of floats
        rows, columns = (np.arange(0, size, side) for size in gray.shape)
        sums = np.add.reduceat(np.add.reduceat(gray, rows, axis=0, dtype=np.uint32), columns, axis=1)
        levels = sums / np.outer(np.diff(rows, append=gray.shape[0]), np.diff(columns, append=gray.shape[1]))
    shrink = max(gray.shape) / THUMBNAIL_SIDE
    if shrink <= 1:
        return gray
    down, across = (_means(max(1, round(size / shrink)), count) for size, count in zip(gray.shape, levels.shape, strict=True))
    return np.rint(down @ levels @ across.T).astype(np.uint8)


def _means(size: int, count: int) -> NDArray[np.float64]:
    """(size, count): row i holds how much of each of `count` values is in the i-th of `size` equal parts of their line."""
    edges = np.linspace(0, count, size + 1)
    value = np.arange(count)
    inside = np.minimum(edges[1:, np.newaxis], value + 1) - np.maximum(edges[:-1, np.newaxis], value)
    return np.maximum(inside, 0) * size / count
