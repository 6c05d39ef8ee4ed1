"""Images as callers hold them, one by one: paths of files or pixels, to rows of features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.images.content import ImageError
from fastmlp.images.copies import Augmentation, check_memory, features_of_copies
from fastmlp.images.extractors import GivenExtractor, extract, extractor_of, images_of
from fastmlp.images.image_formats import ALL
from fastmlp.images.reading import read_source
from fastmlp.literals import FormatName
from fastmlp.writing import StrPath

Images = ArrayLike | Sequence[StrPath] | Sequence[NDArray[np.uint8]]  # or rows of features


class ImageRows(NamedTuple):
    """What came of n images."""

    features: NDArray[Any]
    """(n, size), NaN where there is an error."""
    errors: list[str | None]
    copies: NDArray[np.floating] | None = None
    """(n, copies, size), of the copies of each, where some are asked for."""


def features_of(
    X: Any, extractor: GivenExtractor, *, threads: int | None = None, strict: bool = True, formats: Sequence[FormatName] = ALL
) -> NDArray[np.float64]:
    """The features (n, size) of n images.

    X holds paths, (n,) or (n, 1), or gray levels (H, W) each, or colours (H, W, 3). A file that cannot be read is an ImageError
    if strict, else a row of NaN.
    """
    features, errors, _ = _rows_of(X, extractor, threads, formats)
    for error in filter(None, errors if strict else ()):
        raise ImageError(error)
    return features


def _rows_of(
    X: Any,
    extractor: GivenExtractor,
    threads: int | None,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None = None,
) -> ImageRows:
    """The features of n images, and why each file cannot be read, in which case its row is NaN."""
    images = X if isinstance(X, list | tuple) else np.asarray(X)
    if isinstance(images, np.ndarray):
        if images.ndim == 0:
            raise ValueError(f"X must hold paths of image files, or images (H, W) of uint8 gray levels; got {checks.shown(X)}")
        if images.ndim == 2 and images.shape[1] == 1 and images.dtype.kind in "OU":  # a column of a data frame
            images = images[:, 0]
    images = list(images)
    if not images or not isinstance(images[0], str | os.PathLike):
        chosen = extractor_of(extractor)
        features, copies = extract(images, chosen, "X"), None
        if augmentation is not None:
            size = features.shape[1]
            check_memory(len(images), size, augmentation)
            copies = np.empty((len(images), augmentation.copies, size))
            for row, image in enumerate(images):
                copies[row] = features_of_copies(np.asarray(image), chosen, augmentation, size, f"X[{row}]")
        return ImageRows(features, [None] * len(images), copies)
    rows = read_source(images, extractor, threads, formats, augmentation)
    return ImageRows(rows.features, rows.errors, rows.copies)


def feature_rows(
    X: Any, extractor: GivenExtractor, threads: int | None = None, formats: Sequence[FormatName] = ALL
) -> NDArray[np.floating]:
    """The same, but what is 2-D are numbers, (n, size): rows of features, which are given back."""
    features, errors, _ = rows_or_errors(X, extractor, threads, formats)
    for error in filter(None, errors):
        raise ImageError(error)
    return features


def rows_or_errors(
    X: Any,
    extractor: GivenExtractor,
    threads: int | None = None,
    formats: Sequence[FormatName] = ALL,
    augmentation: Augmentation | None = None,
) -> ImageRows:
    """The same; and why each file cannot be read, in which case its row is NaN."""
    if not holds_features(X):
        return _rows_of(X, extractor, threads, formats, augmentation)
    if augmentation is not None:
        raise ValueError("augment needs images to make copies of; X holds features")
    chosen = extractor_of(extractor)
    if chosen.size not in (0, np.shape(X)[1]):
        expected = f"paths of image files, images {images_of(chosen)}, or rows of {chosen.size} features for {chosen.name!r}"
        raise ValueError(f"X must hold {expected}; got an array {np.shape(X)}")
    rows = arrays.matrix("X", X)
    return ImageRows(rows, [None] * len(rows))


def holds_features(X: Any) -> bool:
    """Whether these are numbers, (n, size), and neither paths nor images."""
    dimensions = np.ndim(X[0]) + 1 if isinstance(X, list | tuple) and len(X) else getattr(X, "ndim", 1)
    return bool(dimensions == 2 and np.shape(X)[1] != 1)  # or it is a column of paths
