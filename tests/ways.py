"""The ways in which a chunk of files is read: by Pillow, by compiled code, without system calls of its own, and by turns."""

import numpy as np
import pytest

from fastmlp.images import reading
from fastmlp.images.reading import read_chunk
from fastmlp.kernels.images import files

MAX_PIXELS = 1100 * 1100


def by_pillow(patch):
    patch.setattr(reading, "FILES_BY_PILLOW", 10**9)
    patch.setattr(reading, "is_compiled", lambda kernel: False)


def by_compiled_code(patch):
    patch.setattr(reading, "FILES_BY_PILLOW", 0)


def without_system_calls(patch):
    patch.setattr(reading, "FILES_BY_PILLOW", 0)
    patch.setattr(files, "POSSIBLE", False)


def in_turns(patch):
    """As on the first call of a process: some by Pillow, until compiled code is at hand."""
    patch.setattr(reading, "FILES_BY_PILLOW", 2)


WAYS = [by_pillow, by_compiled_code, without_system_calls, in_turns]


def rows_of(way, chunks, extractor="ink", strict=False, max_pixels=MAX_PIXELS):
    with pytest.MonkeyPatch.context() as patch:
        way(patch)
        return [read_chunk(chunk, extractor, strict, max_pixels) for chunk in chunks]


def as_bytes(rows):
    return [row._replace(features=row.features.tobytes()) for row in rows]


def the_same_by_all_ways(chunks, extractor="ink", strict=False, max_pixels=MAX_PIXELS):
    results = [rows_of(way, chunks, extractor, strict, max_pixels) for way in WAYS]
    for rows in results:
        assert as_bytes(rows) == as_bytes(results[0])
    return results[0]


def page(height, width, seed=0):
    return np.random.default_rng([height, width, seed]).integers(0, 256, (height, width)).astype(np.uint8)
