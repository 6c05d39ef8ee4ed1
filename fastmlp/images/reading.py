"""From files to rows of features, chunk by chunk: by the compiled reader, and what that refuses by Pillow.

The two give the same pixels, bit for bit. The compiled reader knows the common kinds of PNG, and has nothing to say of a file in
which anything at all is wrong; then Pillow's answer, pixels or error, is the answer. Files of other formats are Pillow's from the
beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.content import Content, ImageError, NoImageError, RetryError, content_of_file, end_if, not_read
from fastmlp.images.copies import Augmentation, features_of_copies
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.image_formats import ALL, HEAD, SUFFIXES, image_format_of
from fastmlp.images.pillow import MAX_PIXELS, decode, read_bytes
from fastmlp.images.sources.archive_reading import OpenArchive, open_archive
from fastmlp.images.sources.archives import members
from fastmlp.images.sources.chunk import SLOW, Chunk, Failure
from fastmlp.images.sources.source import Chunks, Source
from fastmlp.kernels.compile import is_compiled
from fastmlp.kernels.images import files, png
from fastmlp.literals import FormatName
from fastmlp.threads import InThreads, Stop, thread_count

FILES_BY_PILLOW = 1000  # files of a source that Pillow has read before compiled code is loaded from its cache
IN_MEMORY = 256  # files whose contents are in memory at a time, where compiled code cannot open them
# What read_files is given in place of a folder, of places, and of somebody who may stop it.
NO_BYTES = np.empty(0, np.uint8)
NO_FOLDER = files.InFolder(-1, NO_BYTES, np.empty(0, np.int64))
NO_PLACES = files.AtPlaces(-1, NO_BYTES, np.empty((0, 4), np.int64))
NEVER = np.zeros(1, np.uint8)


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


def read_chunk(
    chunk: Chunk,
    extractor: str,
    strict: bool,
    max_pixels: int,
    stop: Stop | None = None,
    formats: Sequence[FormatName] = ALL,
    augmentation: Augmentation | None = None,
) -> FeatureRows:
    """The features of a chunk of files. What is no image is an error if strict, and if the caller named each file.

    Once `stop` is set nobody wants to know any more, and a CancelledError ends it soon.
    """
    archive: OpenArchive | None = None
    if chunk.members is not None:
        try:
            archive = open_archive(chunk.place, chunk.version)
        except (OSError, ImageError, MemoryError) as error:
            reason = error if isinstance(error, ImageError) else not_read(chunk.place, error)
            failed = (Failure(row, path, str(reason), isinstance(reason, RetryError)) for row, path in enumerate(chunk.paths()))
            chunk = chunk._replace(failed=tuple(failed))
    with archive or nullcontext():
        opened = _OpenChunk(chunk, chunk.paths(), archive)
        return _read_open(opened, extractor, strict or not chunk.place, max_pixels, stop, formats, augmentation)


class _OpenChunk(NamedTuple):
    """A chunk whose files can be read."""

    chunk: Chunk
    paths: list[str]
    archive: OpenArchive | None  # that they are in

    def content(self, index: int) -> AbstractContextManager[Content]:
        place, path = self.chunk.place, self.paths[index]
        if self.archive is None or self.chunk.members is None:
            return content_of_file(os.path.join(place, path))
        return nullcontext(self.archive.content(self.chunk.members[index], f"{place}: {path}"))


def _read_open(
    opened: _OpenChunk,
    extractor: str,
    strict: bool,
    max_pixels: int,
    stop: Stop | None,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None,
) -> FeatureRows:
    chunk, paths, _ = opened
    features, copies = _empty_rows(chunk.length, extractor, augmentation)
    features[:] = np.nan
    outcomes = np.full(chunk.length, files.REFUSED, np.uint8)
    seem_slow = len(SLOW.findall(chunk.names)) == chunk.length  # compiled code would open them in vain
    if "png" in formats and not seem_slow and (chunk.known >= FILES_BY_PILLOW or is_compiled(files.read_files)):
        at_once = chunk.length if copies is None else 1
        for index, scratch in enumerate(_read_compiled(features, outcomes, opened, extractor, max_pixels, stop, at_once)):
            if augmentation is not None and copies is not None and outcomes[index] == files.READ:
                copies[index] = features_of_copies(_levels_in(scratch), extractor, augmentation, stop)
    errors: list[str | None] = [None] * chunk.length
    retry = np.zeros(chunk.length, bool)
    for failure in chunk.failed:
        errors[failure.row], retry[failure.row] = failure.why, failure.retry
        outcomes[failure.row] = files.REFUSED
    others = set() if strict else _others_among(np.flatnonzero(outcomes == files.NO_PNG).tolist(), opened, formats, stop)
    for index in np.flatnonzero(outcomes != files.READ).tolist():
        end_if(stop)
        if errors[index] is None and index not in others:
            try:
                with opened.content(index) as content:
                    image = decode(content, max_pixels, stop, formats)
                features[index] = extract([image], extractor)[0]
                if augmentation is not None and copies is not None:
                    copies[index] = features_of_copies(image, extractor, augmentation, stop)
            except ImageError as error:
                errors[index], retry[index] = str(error), isinstance(error, RetryError)
                if isinstance(error, NoImageError) and not strict:
                    others.add(index)
    left, passed = np.delete(np.arange(chunk.length), sorted(others)), [paths[k] for k in sorted(others)]
    again = np.flatnonzero(retry[left]).tolist()
    if not others:
        return FeatureRows(paths, features, errors, [], chunk.skipped, again, copies)
    of_left = None if copies is None else copies[left]
    return FeatureRows([paths[k] for k in left], features[left], [errors[k] for k in left], passed, chunk.skipped, again, of_left)


def _empty_rows(
    count: int, extractor: str, augmentation: Augmentation | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Features and those of copies of so many images, to be filled."""
    size = EXTRACTORS[extractor].size
    return np.empty((count, size)), None if augmentation is None else np.empty((count, augmentation.copies, size))


def read_chunks(
    source: Source, extractor: str, threads: int | None = None, formats: Sequence[FormatName] = ALL
) -> Iterator[FeatureRows]:
    """The features of a source, chunk by chunk."""
    checks.one_of("extractor", extractor, EXTRACTORS)
    read = partial(read_chunk, extractor=extractor, strict=False, max_pixels=MAX_PIXELS, formats=formats)
    return InThreads(read, Chunks(source), thread_count(threads))


def read_source(
    source: Source,
    extractor: str,
    threads: int | None = None,
    formats: Sequence[FormatName] = ALL,
    augmentation: Augmentation | None = None,
) -> FeatureRows:
    """The features of a source, in one."""
    checks.one_of("extractor", extractor, EXTRACTORS)
    workers = thread_count(threads)
    features, copies, parts = read_listed(list(Chunks(source)), extractor, workers, formats, augmentation)
    return FeatureRows(
        [path for part in parts for path in part.paths],
        features,
        [error for part in parts for error in part.errors],
        [path for part in parts for path in part.others],
        sum(part.skipped for part in parts),
        in_one([(len(part.paths), part.retry) for part in parts]),
        copies,
    )


def read_listed(
    chunks: Sequence[Chunk],
    extractor: str,
    threads: int | None,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, list[FeatureRows]]:
    """The features of all chunks in one array, and those of copies, if the machine has memory for them; and what came of each
    chunk."""
    count = sum(chunk.length for chunk in chunks)
    check_memory(count, extractor, augmentation)
    (features, copies), parts, first = _empty_rows(count, extractor, augmentation), [], 0
    read = partial(read_chunk, extractor=extractor, strict=False, max_pixels=MAX_PIXELS, formats=formats, augmentation=augmentation)
    for part in InThreads(read, (chunk._replace(known=count) for chunk in chunks), thread_count(threads)):
        last = first + len(part.paths)
        features[first:last] = part.features
        if copies is not None:
            copies[first:last] = part.copies
        parts.append(part._replace(features=features[first:last], copies=None))
        first = last
    return features[:first], None if copies is None else copies[:first], parts


def in_one(parts: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    """The rows that parts name, each of so many rows of which it names some, counted from the first part on."""
    firsts = accumulate((length for length, _ in parts), initial=0)
    return [first + row for first, (_, rows) in zip(firsts, parts, strict=False) for row in rows]


def reader(source: str) -> Callable[[str], bytes]:
    """A function that gives the contents of images by their paths in a folder or an archive; or as they are given, for ""."""
    if not source or os.path.isdir(source):
        return partial(_contents_of_file, source)
    with open_archive(source) as archive:
        version, (all_names, _, places, _) = archive.version, members(archive)
    names = b"\0" + all_names.tobytes()

    def read(path: str) -> bytes:
        before = names.find(b"\0" + os.fsencode(path) + b"\0")
        if before < 0:
            raise ImageError(f"{source} holds no {path}")
        with open_archive(source, version) as archive:
            return read_bytes(archive.content(places[names.count(0, 0, before)], path))

    return read


def _contents_of_file(folder: str, path: str) -> bytes:
    with content_of_file(os.path.join(folder, path)) as content:
        return read_bytes(content)


def _read_compiled(
    features: NDArray[np.float64],
    outcomes: NDArray[np.uint8],
    opened: _OpenChunk,
    extractor: str,
    max_pixels: int,
    stop: Stop | None,
    at_once: int,
) -> Iterator[files.FileScratch]:
    """Fills the rows of features that the compiled reader knows, and the outcomes, so many files at a time; each time with what the
    last of them has left."""
    chunk, _, archive = opened
    code, scratch, flag = EXTRACTORS[extractor].code, files.file_scratch(), NEVER if stop is None else stop.flag
    max_pixels = min(max_pixels, png.PIXELS)  # any integer becomes one that compiled code takes
    names = np.frombuffer(bytearray(chunk.names), np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(names == 0)[:-1] + 1])
    step = at_once if files.POSSIBLE else min(at_once, IN_MEMORY)
    with _folder_of(opened) as folder:
        for first in range(0, chunk.length, step):
            rows = slice(first, first + step)
            in_folder, at_places = NO_FOLDER, NO_PLACES
            if not files.POSSIBLE:
                at_places = _in_memory([_beginning(opened, index) for index in range(chunk.length)[rows]])
            elif chunk.members is not None and archive is not None:
                at_places = files.AtPlaces(archive.file.fileno(), NO_BYTES, chunk.members[rows])
            elif folder is not None:
                in_folder = files.InFolder(folder, names, starts[rows])
            else:
                return  # each file will tell
            files.read_files(features[rows], outcomes[rows], scratch, flag, in_folder, at_places, code, max_pixels)
            yield scratch


def check_memory(images: int, extractor: str, augmentation: Augmentation | None) -> None:
    """Rejects images whose features the machine has no memory for; those of copies are held twice when they are learned from."""
    rows, copies = 1, "" if augmentation is None else f", and of {augmentation.copies} copies of each,"
    if augmentation is not None:
        rows = 2 * (1 + augmentation.copies)
    size = EXTRACTORS[extractor].size * np.dtype(np.float64).itemsize
    checks.enough_memory(f"the features of {images} images{copies}", images * rows * size)


def _levels_in(scratch: files.FileScratch) -> NDArray[np.uint8]:
    """The gray levels (H, W) of the last image."""
    height, width = scratch.shape
    return scratch.png.gray[: height * width].reshape(height, width)


def _others_among(indices: list[int], opened: _OpenChunk, formats: Sequence[FormatName], stop: Stop | None) -> set[int]:
    """Which of some files, that are no PNGs, are no images of other formats either, as far as their first bytes can be had."""
    if not set(formats) - {"png"}:
        return set(indices)
    others = set[int]()
    with _folder_of(opened) as folder:
        for index in indices:
            end_if(stop)
            if f".{opened.paths[index].rpartition('.')[2].lower()}" in SUFFIXES:
                continue  # it may well be one: to look at all of it is little more
            try:
                if folder is None:
                    with opened.content(index) as content:
                        head = content.first(HEAD)
                else:
                    head = _head_of_file(opened.paths[index], folder)
            except (OSError, ValueError, MemoryError):
                continue
            if image_format_of(head) not in formats:
                others.add(index)
    return others


@contextmanager
def _folder_of(opened: _OpenChunk) -> Iterator[int | None]:
    """The folder that the files of a chunk are named from, open; None if they are in an archive, or if no folder can be opened."""
    try:
        folder = os.open(opened.chunk.place or ".", files.FOLDER_FLAGS) if files.POSSIBLE and opened.archive is None else None
    except OSError:
        folder = None
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def _head_of_file(name: str, folder: int) -> bytes:
    file = os.open(name, files.OPEN_FLAGS, dir_fd=folder)
    try:
        return os.pread(file, HEAD, 0)
    finally:
        os.close(file)


def _beginning(opened: _OpenChunk, index: int) -> bytes | None:
    """The contents of a file, as far as compiled code looks at them; None if they cannot be had."""
    try:
        with opened.content(index) as content:
            return content.first(png.FILE_BYTES)
    except (OSError, ValueError, MemoryError):
        return None


def _in_memory(contents: Sequence[bytes | None]) -> files.AtPlaces:
    """Files by their places in memory; of what is None, a place to be refused."""
    lengths = [len(content or b"") for content in contents]
    starts = accumulate(lengths[:-1], initial=0)
    methods = [-1 if content is None else 0 for content in contents]
    places = np.array(list(zip(starts, lengths, methods, lengths, strict=True)), np.int64).reshape(-1, 4)
    return files.AtPlaces(-1, np.frombuffer(bytearray().join(filter(None, contents)), np.uint8), places)


def read_compiled(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | None:
    """The gray levels (H, W) that the compiled reader makes of a file's contents; None where it leaves the answer to Pillow."""
    features, outcomes, scratch = np.empty((1, EXTRACTORS["ink"].size)), np.empty(1, np.uint8), files.file_scratch()
    code, pixels = EXTRACTORS["ink"].code, min(max_pixels, png.PIXELS)
    files.read_files(features, outcomes, scratch, NEVER, NO_FOLDER, _in_memory([data]), code, pixels)
    if outcomes[0] != files.READ:
        return None
    return _levels_in(scratch)
