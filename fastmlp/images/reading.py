"""From files to rows of features, chunk by chunk: by the compiled reader, and what that refuses by Pillow.

The two give the same pixels, bit for bit. The compiled reader knows the common kinds of PNG, and has nothing to say of a file in
which anything at all is wrong; then Pillow's answer, pixels or error, is the answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.pillow import (
    MAX_PIXELS,
    SIGNATURE,
    ImageError,
    NoPNGError,
    RetryError,
    decode,
    most_bytes,
    read_file,
    read_image,
)
from fastmlp.images.sources import archives
from fastmlp.images.sources.chunk import Chunk
from fastmlp.images.sources.source import Chunks, Source
from fastmlp.kernels.compile import is_compiled
from fastmlp.kernels.images import files, png
from fastmlp.threads import InThreads, Stop, thread_count

FILES_BY_PILLOW = 1000  # files of a source that Pillow has read before compiled code is loaded from its cache
FIRST_STEP = 64  # files of the first call
STEP_SECONDS = 0.1  # of each later one, about: Ctrl-C waits for its end
# What read_files is given in place of a folder, and in place of memory.
NO_FOLDER = files.InFolder(-1, np.empty(0, np.uint8), np.empty(0, np.int64))
NO_MEMORY = files.InMemory(np.empty(0, np.uint8), np.empty((0, 4), np.int64))


class FeatureRows(NamedTuple):
    """What came of the files of a chunk, or of a source."""

    paths: list[str]
    features: NDArray[np.float64]
    """(n, size), NaN where there is an error."""
    errors: list[str | None]
    others: list[str]
    """Files that are no PNG, and have no row."""
    skipped: int
    """How much was no file at all."""
    retry: list[int]
    """Which rows have an error that is no fault of the file, so that another try may go well."""


def read_chunk(chunk: Chunk, extractor: str, strict: bool, max_pixels: int, stop: Stop | None = None) -> FeatureRows:
    """The features of a chunk of files. What is no PNG is an error if strict, and if the caller named each file.

    Once `stop` is set nobody wants to know any more, and a CancelledError ends it soon.
    """
    features = np.full((chunk.length, EXTRACTORS[extractor].size), np.nan)
    outcomes = np.full(chunk.length, files.REFUSED, np.uint8)
    if chunk.known >= FILES_BY_PILLOW or is_compiled(files.read_files):
        _read_compiled(features, outcomes, chunk, extractor, max_pixels, stop)
    paths = chunk.paths()
    errors: list[str | None] = [None] * chunk.length
    retry = np.zeros(chunk.length, bool)
    for failure in chunk.failed:
        errors[failure.row], retry[failure.row] = failure.why, failure.retry
        outcomes[failure.row] = files.REFUSED
    strict = strict or not chunk.place
    read = _reader(chunk, paths, max_pixels)
    for index in np.flatnonzero(outcomes != files.READ).tolist():
        _end_if(stop)
        if errors[index] is None and (strict or outcomes[index] != files.NO_PNG):
            try:
                features[index] = extract([read(index)], extractor)[0]
            except ImageError as error:
                errors[index], retry[index] = str(error), isinstance(error, RetryError)
                outcomes[index] = files.NO_PNG if isinstance(error, NoPNGError) else files.REFUSED
            else:
                outcomes[index] = files.READ
    others = [] if strict else np.flatnonzero(outcomes == files.NO_PNG).tolist()
    left = np.delete(np.arange(chunk.length), others)
    again = np.flatnonzero(retry[left]).tolist()
    if not others:
        return FeatureRows(paths, features, errors, [], chunk.skipped, again)
    return FeatureRows(
        [paths[k] for k in left], features[left], [errors[k] for k in left], [paths[k] for k in others], chunk.skipped, again
    )


def read_chunks(source: Source, extractor: str, threads: int | None = None) -> Iterator[FeatureRows]:
    """The features of a source, chunk by chunk."""
    checks.one_of("extractor", extractor, EXTRACTORS)
    read = partial(read_chunk, extractor=extractor, strict=False, max_pixels=MAX_PIXELS)
    return InThreads(read, Chunks(source), thread_count(threads))


def read_source(source: Source, extractor: str, threads: int | None = None) -> FeatureRows:
    """The features of a source, in one."""
    parts = list(read_chunks(source, extractor, threads))
    size = EXTRACTORS[extractor].size
    return FeatureRows(
        [path for part in parts for path in part.paths],
        np.concatenate([np.empty((0, size)), *(part.features for part in parts)]),
        [error for part in parts for error in part.errors],
        [path for part in parts for path in part.others],
        sum(part.skipped for part in parts),
        in_one([(len(part.paths), part.retry) for part in parts]),
    )


def in_one(parts: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    """The rows that parts name, each of so many rows of which it names some, counted from the first part on."""
    firsts = accumulate((length for length, _ in parts), initial=0)
    return [first + row for first, (_, rows) in zip(firsts, parts, strict=False) for row in rows]


def _reader(chunk: Chunk, paths: list[str], max_pixels: int) -> Callable[[int], NDArray[np.uint8]]:
    """A function that lets Pillow read one of the chunk's files."""
    if chunk.members is None:
        return lambda index: read_image(os.path.join(chunk.place, paths[index]), max_pixels)
    data, members = archives.mapped(chunk.place), chunk.members

    def content(index: int, name: str, count: int | None = None) -> bytes:
        try:
            return archives.read_member(data, members[index], name, count)
        except ValueError as error:
            raise ImageError(str(error)) from error

    def read(index: int) -> NDArray[np.uint8]:
        name, size, most = f"{chunk.place}: {paths[index]}", members[index, 3], most_bytes(max_pixels)
        beginning = content(index, name, len(SIGNATURE))
        if beginning == SIGNATURE and size > most:
            raise ImageError(f"{name} has {size} bytes; at most {most} are read")
        return decode(name, content(index, name) if beginning == SIGNATURE else beginning, max_pixels)

    return read


def reader(source: str) -> Callable[[str], bytes]:
    """A function that gives the contents of files by their paths in a folder or an archive; where that is "", by paths as given."""
    if not source or os.path.isdir(source):
        return lambda path: read_file(os.path.join(source, path), most_bytes(MAX_PIXELS))
    data = archives.mapped(source)
    members = archives.members(source, data=data)
    names = b"\0" + members.names.tobytes()

    def read(path: str) -> bytes:
        before = names.find(b"\0" + os.fsencode(path) + b"\0")
        if before < 0:
            raise ImageError(f"{source} holds no {path}")
        return archives.read_member(data, members.places[names.count(0, 0, before)], path)

    return read


def _read_compiled(
    features: NDArray[np.float64],
    outcomes: NDArray[np.uint8],
    chunk: Chunk,
    extractor: str,
    max_pixels: int,
    stop: Stop | None,
) -> None:
    """Fills the rows of features that the compiled reader knows, and the outcomes."""
    code, scratch = EXTRACTORS[extractor].code, files.file_scratch()
    max_pixels = min(max_pixels, png.PIXELS)  # any integer becomes one that compiled code takes
    if chunk.members is not None:
        archive = files.InMemory(archives.mapped(chunk.place), chunk.members)
        for first, last in _spans(chunk.length, stop):
            files.read_files(features, outcomes, scratch, NO_FOLDER, archive, first, last, code, max_pixels)
    elif files.POSSIBLE:
        names = np.frombuffer(bytearray(chunk.names), np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(names == 0)[:-1] + 1])
        try:
            folder = os.open(chunk.place or ".", files.FOLDER_FLAGS)
        except OSError:
            return  # each file will tell
        named = files.InFolder(folder, names, starts)
        try:
            for first, last in _spans(chunk.length, stop):
                files.read_files(features, outcomes, scratch, named, NO_MEMORY, first, last, code, max_pixels)
        finally:
            os.close(folder)
    else:
        paths = [os.path.join(chunk.place, path) for path in chunk.paths()]
        for first, last in _spans(chunk.length, stop, most=256):  # as they are all in memory at a time
            rows, results = features[first:last], outcomes[first:last]
            files.read_files(rows, results, scratch, NO_FOLDER, _contents(paths[first:last]), 0, last - first, code, max_pixels)


def _contents(paths: list[str]) -> files.InMemory:
    """The contents of files, and their places there; of one that is too large or cannot be read, a place to be refused."""
    data, places = bytearray(), np.zeros((len(paths), 4), np.int64)
    for place, path in zip(places, paths, strict=True):
        place[0] = len(data)
        try:
            data += read_file(path, png.FILE_BYTES)
        except ImageError:
            place[2] = -1
        place[1] = place[3] = len(data) - place[0]
    return files.InMemory(np.frombuffer(data, np.uint8), places)


def read_compiled(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | None:
    """The gray levels (H, W) that the compiled reader makes of a file's contents; None where it leaves the answer to Pillow."""
    features, outcomes, scratch = np.empty((1, EXTRACTORS["ink"].size)), np.empty(1, np.uint8), files.file_scratch()
    content = files.InMemory(np.frombuffer(bytearray(data), np.uint8), np.array([[0, len(data), 0, len(data)]]))
    files.read_files(features, outcomes, scratch, NO_FOLDER, content, 0, 1, EXTRACTORS["ink"].code, min(max_pixels, png.PIXELS))
    if outcomes[0] != files.READ:
        return None
    height, width = scratch.shape
    return scratch.png.gray[: height * width].reshape(height, width)


def _spans(count: int, stop: Stop | None, most: int = sys.maxsize) -> Iterator[tuple[int, int]]:
    """(first, last) of a few of so many files at a time, and of more the faster the caller is done with them."""
    first, step = 0, FIRST_STEP
    while first < count:
        _end_if(stop)
        last = min(first + min(step, most), count)
        began = time.perf_counter()
        yield first, last
        step = max(1, int(step * min(100.0, STEP_SECONDS / max(time.perf_counter() - began, 1e-9))))
        first = last


def _end_if(stop: Stop | None) -> None:
    if stop is not None and stop.is_set():
        raise CancelledError
