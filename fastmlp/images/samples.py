"""Images as callers hold them, one by one: paths of files or gray levels, to rows of features."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.content import ImageError
from fastmlp.images.extractors import extract
from fastmlp.images.reading import read_source


def features_of(X: Any, extractor: str, *, threads: int | None = None, strict: bool = True) -> NDArray[np.float64]:
    """The features (n, size) of n images.

    X holds paths, (n,) or (n, 1), or gray levels (H, W) each. A file that cannot be read is an ImageError if strict, else a row
    of NaN.
    """
    images = X if isinstance(X, list | tuple) else np.asarray(X)
    if isinstance(images, np.ndarray):
        if images.ndim == 0:
            raise ValueError(f"X must hold paths of PNG files, or images (H, W) of uint8 gray levels; got {checks.shown(X)}")
        if images.ndim == 2 and images.shape[1] == 1 and images.dtype.kind in "OU":  # a column of a data frame
            images = images[:, 0]
    images = list(images)
    if not images or not isinstance(images[0], str | os.PathLike):
        return extract(images, extractor, "X")
    rows = read_source(images, extractor, threads)
    for error in filter(None, rows.errors if strict else ()):
        raise ImageError(error)
    return rows.features
