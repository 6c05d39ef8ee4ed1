"""Rows of features of the files of a chunk, or of a source: put together, and thinned out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.copies import Augmentation
from fastmlp.images.extractors import Extractor
from fastmlp.images.own_extractor import OwnExtractor
from fastmlp.images.sources.chunk import LARGEST_CHUNK, Chunk
from fastmlp.images.sources.urls import name_within, without_secrets


class FeatureRows(NamedTuple):
    """What came of the files of a chunk, or of a source."""

    paths: list[str]
    features: NDArray[np.float64]
    """(n, size), NaN where there is an error."""
    errors: list[str | None]
    others: list[str]
    """Files that are no images of the formats wanted, and have no row."""
    skipped: int
    """How much was no file at all."""
    retry: list[int]
    """Which rows have an error that is no fault of the file, so that another try may go well."""
    copies: NDArray[np.float64] | None = None
    """(n, copies, size), of the copies of each, where some are asked for."""


def full_name(chunk: Chunk, path: str) -> str:
    """What messages call a file of a chunk."""
    if chunk.members is not None:
        return f"{without_secrets(chunk.place)}: {path}"
    return name_within(chunk.place, path) if chunk.remote and chunk.place else os.path.join(chunk.place, path)


def parts_in_one(parts: Sequence[FeatureRows], features: NDArray[np.float64], copies: NDArray[np.float64] | None) -> FeatureRows:
    """Parts in one, with the features of all."""
    return FeatureRows(
        [path for part in parts for path in part.paths],
        features,
        [error for part in parts for error in part.errors],
        [path for part in parts for path in part.others],
        sum(part.skipped for part in parts),
        in_one([(len(part.paths), part.retry) for part in parts]),
        copies,
    )


def copies_in_one(
    parts: Sequence[NDArray[np.float64] | None], features: NDArray[np.float64], augmentation: Augmentation | None
) -> NDArray[np.float64] | None:
    """The features of copies (n, copies, size) in one, of parts that are empty where none of their images could be read."""
    if augmentation is None:
        return None
    each = (augmentation.copies, features.shape[1])
    known = [part if part.size else np.full((len(part), *each), np.nan) for part in parts if part is not None]
    return np.concatenate([np.empty((0, *each)), *known])


def put_rows(
    part: FeatureRows, features: NDArray[np.float64], first: int, chosen: Extractor | OwnExtractor, chunk: Chunk
) -> NDArray[np.float64]:
    """The features (n, size) of all with those of a part in its rows, from the first on."""
    rows = slice(first, first + len(part.paths))
    if part.features.shape[1] == features.shape[1]:
        features[rows] = part.features
    elif isinstance(chosen, OwnExtractor):
        if part.features.shape[1]:  # or none of its images could be read
            return chosen.put(features, rows, part.features, full_name(chunk, part.paths[part.errors.index(None)]))
        features[rows] = np.nan
    return features


def only_rows(features: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[Any]:
    """The rows that are kept, in the memory of all, whose own rows are lost: there may be none for a copy."""
    if kept.all():
        return features
    rows = np.flatnonzero(kept)
    for first in range(0, len(rows), LARGEST_CHUNK):
        part = rows[first : first + LARGEST_CHUNK]
        features[first : first + len(part)] = features[part]
    return features[: len(rows)]


def in_one(parts: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    """The rows that parts name, each of so many rows of which it names some, counted from the first part on."""
    firsts = accumulate((length for length, _ in parts), initial=0)
    return [first + row for first, (_, rows) in zip(firsts, parts, strict=False) for row in rows]
