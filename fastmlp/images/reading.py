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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.executors import Engine, threads_or_engine
from fastmlp.images.content import Content, ImageError, NoImageError, RetryError, content_of_file, end_if, not_read
from fastmlp.images.copies import Augmentation, check_memory, features_of_copies
from fastmlp.images.extractors import EXTRACTORS, Extractor, GivenExtractor, extract, extractor_of
from fastmlp.images.image_formats import ALL, HEAD, image_format_of, suffix_format
from fastmlp.images.own_extractor import OwnExtractor
from fastmlp.images.pillow import MAX_PIXELS, decode, read_bytes
from fastmlp.images.rows_of_features import FeatureRows, copies_in_one, full_name, parts_in_one, put_rows
from fastmlp.images.sharing_out import each_chunk
from fastmlp.images.sources.archive_reading import OpenArchive, open_archive
from fastmlp.images.sources.archives import members
from fastmlp.images.sources.chunk import SLOW, Chunk, Failure
from fastmlp.images.sources.fetching import Fetched, content_at, fetched
from fastmlp.images.sources.remote import is_remote_folder
from fastmlp.images.sources.remote_file import RemoteFile
from fastmlp.images.sources.source import Chunks, Source
from fastmlp.images.sources.urls import is_url, without_secrets
from fastmlp.kernels.compile import is_compiled
from fastmlp.kernels.images import files, png
from fastmlp.literals import FormatName
from fastmlp.threads import Stop

FILES_BY_PILLOW = 1000  # files of a source that Pillow has read before compiled code is loaded from its cache
IN_MEMORY = 256  # files whose contents are in memory at a time, where compiled code cannot open them
# What read_files is given in place of a folder, of places, and of somebody who may stop it.
NO_BYTES = np.empty(0, np.uint8)
NO_FOLDER = files.InFolder(-1, NO_BYTES, np.empty(0, np.int64))
NO_PLACES = files.AtPlaces(-1, NO_BYTES, np.empty((0, 4), np.int64))
NEVER = np.zeros(1, np.uint8)


def read_chunk(
    chunk: Chunk,
    extractor: GivenExtractor,
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
            archive = open_archive(chunk.place, chunk.version, chunk.base)
        except (OSError, ImageError, MemoryError) as error:
            reason = error if isinstance(error, ImageError) else not_read(chunk.place, error)
            failed = (Failure(row, path, str(reason), isinstance(reason, RetryError)) for row, path in enumerate(chunk.paths()))
            chunk = chunk._replace(failed=tuple(failed))
    with archive or nullcontext():
        strict = strict or not chunk.place
        if not chunk.remote:
            opened = _OpenChunk(chunk, chunk.paths(), archive)
            return _read_open(opened, extractor, strict, max_pixels, stop, formats, augmentation)
        chosen = extractor_of(extractor)
        features, parts, first = np.empty((chunk.length, chosen.size)), list[FeatureRows](), 0
        for some in fetched(chunk, archive):
            end_if(stop)
            opened = _OpenChunk(some.chunk, some.chunk.paths(), archive, some)
            parts.append(_read_open(opened, chosen, strict, max_pixels, stop, formats, augmentation))
            features = put_rows(parts[-1], features, first, chosen, chunk)
            first += len(parts[-1].paths)
        return parts_in_one(parts, features[:first], copies_in_one([part.copies for part in parts], features, augmentation))


class _OpenChunk(NamedTuple):
    """A chunk whose files can be read."""

    chunk: Chunk
    paths: list[str]
    archive: OpenArchive | None  # that they are in
    fetched: Fetched | None = None  # what is in memory of those behind a URL

    def content(self, index: int) -> AbstractContextManager[Content]:
        if self.fetched is not None:
            return nullcontext(self.fetched.content(index))
        name = full_name(self.chunk, self.paths[index])
        if self.archive is None or self.chunk.members is None:
            return content_of_file(name, self.chunk.base)
        return nullcontext(self.archive.content(self.chunk.members[index], name))


def _read_open(
    opened: _OpenChunk,
    extractor: GivenExtractor,
    strict: bool,
    max_pixels: int,
    stop: Stop | None,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None,
) -> FeatureRows:
    chunk, paths = opened.chunk, opened.paths
    chosen = extractor_of(extractor)
    features = np.full((chunk.length, chosen.size), np.nan)
    outcomes = np.full(chunk.length, files.REFUSED, np.uint8)
    seem_slow = len(SLOW.findall(chunk.names)) == chunk.length  # compiled code would open them in vain
    scratch = None  # where copies are made, or one's own extractor is given what the compiled reader makes of files
    copies: dict[int, NDArray[np.float64]] = {}
    if "png" in formats and not seem_slow and (chunk.known >= FILES_BY_PILLOW or is_compiled(files.read_files)):
        if isinstance(chosen, Extractor) and augmentation is None:
            _read_compiled(features, outcomes, opened, chosen, max_pixels, stop)
        elif chosen.channels == 1:
            scratch = files.file_scratch()
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
                seems_png = suffix_format(paths[index]) in (None, "png")  # else compiled code would read it in vain
                with opened.content(index) as content:
                    image = _levels_by_compiled(content, max_pixels, scratch) if scratch is not None and seems_png else None
                    image = decode(content, max_pixels, stop, formats, channels=chosen.channels) if image is None else image
            except ImageError as error:
                errors[index], retry[index] = str(error), isinstance(error, RetryError)
                if isinstance(error, NoImageError) and not strict:
                    others.add(index)
                continue
            if isinstance(chosen, OwnExtractor):  # whose errors are no damage of the file
                name = full_name(chunk, paths[index])
                features = chosen.put(features, index, chosen.vector(image, name), name)
            else:
                features[index] = extract([image], chosen)[0]
            if augmentation is not None:
                name = full_name(chunk, paths[index])
                copies[index] = features_of_copies(image, chosen, augmentation, features.shape[1], name, stop)
    left, passed = np.delete(np.arange(chunk.length), sorted(others)), [paths[k] for k in sorted(others)]
    again = np.flatnonzero(retry[left]).tolist()
    of_left = None
    if augmentation is not None:
        of_left = np.full((len(left), augmentation.copies, features.shape[1]), np.nan)
        for row, index in enumerate(left.tolist()):
            of_left[row] = copies.pop(index, np.nan)
    if not others:
        return FeatureRows(paths, features, errors, [], chunk.skipped, again, of_left)
    return FeatureRows([paths[k] for k in left], features[left], [errors[k] for k in left], passed, chunk.skipped, again, of_left)


def read_chunks(
    source: Source, extractor: GivenExtractor, threads: int | None = None, formats: Sequence[FormatName] = ALL, executor: Any = None
) -> Iterator[FeatureRows]:
    """The features of a source, chunk by chunk."""
    read = partial(read_chunk, extractor=extractor_of(extractor), strict=False, max_pixels=MAX_PIXELS, formats=formats)
    return each_chunk(read, Chunks(source), threads_or_engine(threads, executor))


def read_source(
    source: Source,
    extractor: GivenExtractor,
    threads: int | None = None,
    formats: Sequence[FormatName] = ALL,
    augmentation: Augmentation | None = None,
    executor: Any = None,
) -> FeatureRows:
    """The features of a source, in one."""
    chosen, workers = extractor_of(extractor), threads_or_engine(threads, executor)
    features, copies, parts = read_listed(list(Chunks(source)), chosen, workers, formats, augmentation)
    return parts_in_one(parts, features, copies)


def read_listed(
    chunks: Sequence[Chunk],
    extractor: GivenExtractor,
    workers: int | Engine,
    formats: Sequence[FormatName],
    augmentation: Augmentation | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, list[FeatureRows]]:
    """The features of all chunks in one array, which is told if the machine has no memory for it, as those of copies; and what came
    of each chunk."""
    count, chosen = sum(chunk.length for chunk in chunks), extractor_of(extractor)
    check_memory(count, chosen.size, augmentation)
    features, parts, first = np.empty((count, chosen.size)), [], 0
    copies: list[NDArray[np.float64] | None] = []
    read = partial(read_chunk, extractor=chosen, strict=False, max_pixels=MAX_PIXELS, formats=formats, augmentation=augmentation)
    rows = each_chunk(read, (chunk._replace(known=count) for chunk in chunks), workers)
    for chunk, part in zip(chunks, rows, strict=True):
        last, size = first + len(part.paths), features.shape[1]
        features = put_rows(part, features, first, chosen, chunk)
        if features.shape[1] != size:  # as a function has told by now
            check_memory(count, features.shape[1], augmentation)
        parts.append(part._replace(features=features[first:last], copies=None))
        copies.append(part.copies)
        first = last
    return features[:first], copies_in_one(copies, features, augmentation), parts


def reader(source: str) -> Callable[[str], bytes]:
    """A function that gives the contents of images by their paths in a folder or an archive; or as they are given, for ""."""
    if is_url(source) and is_remote_folder(source):
        return lambda path: read_bytes(content_at(Chunk(source, os.fsencode(f"{path}\0"), 1, remote=True)))
    if not source or os.path.isdir(source):
        return partial(_contents_of_file, source)
    with open_archive(source) as archive:
        version, (all_names, _, places, _) = archive.version, members(archive)
    names = b"\0" + all_names.tobytes()

    def read(path: str) -> bytes:
        before = names.find(b"\0" + os.fsencode(path) + b"\0")
        if before < 0:
            raise ImageError(f"{without_secrets(source)} holds no {path}")
        with open_archive(source, version) as archive:
            return read_bytes(archive.content(places[names.count(0, 0, before)], path))

    return read


def _contents_of_file(folder: str, path: str) -> bytes:
    if not folder and is_url(path):
        return read_bytes(content_at(Chunk("", os.fsencode(f"{path}\0"), 1, remote=True)))
    with content_of_file(os.path.join(folder, path)) as content:
        return read_bytes(content)


def _read_compiled(
    features: NDArray[np.float64],
    outcomes: NDArray[np.uint8],
    opened: _OpenChunk,
    extractor: Extractor,
    max_pixels: int,
    stop: Stop | None,
) -> None:
    """Fills the rows of features that the compiled reader knows, and the outcomes."""
    chunk, archive = opened.chunk, opened.archive
    code, scratch, flag = extractor.code, files.file_scratch(), NEVER if stop is None else stop.flag
    max_pixels = min(max_pixels, png.PIXELS)  # any integer becomes one that compiled code takes
    if opened.fetched is not None:
        here = files.AtPlaces(-1, opened.fetched.data, opened.fetched.places)
        files.read_files(features, outcomes, scratch, flag, NO_FOLDER, here, code, max_pixels)
    elif not files.POSSIBLE:
        for first in range(0, chunk.length, IN_MEMORY):
            rows = slice(first, first + IN_MEMORY)
            contents = _in_memory([_beginning(opened, index) for index in range(chunk.length)[rows]])
            files.read_files(features[rows], outcomes[rows], scratch, flag, NO_FOLDER, contents, code, max_pixels)
    elif archive is not None and not isinstance(archive.file, RemoteFile):
        places = files.AtPlaces(archive.file.fileno(), NO_BYTES, chunk.members)
        files.read_files(features, outcomes, scratch, flag, NO_FOLDER, places, code, max_pixels)
    else:
        names = np.frombuffer(bytearray(chunk.names), np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(names == 0)[:-1] + 1])
        with _folder_of(opened) as folder:
            if folder is not None:  # else each file will tell
                named = files.InFolder(folder, names, starts)
                files.read_files(features, outcomes, scratch, flag, named, NO_PLACES, code, max_pixels)


def _others_among(indices: list[int], opened: _OpenChunk, formats: Sequence[FormatName], stop: Stop | None) -> set[int]:
    """Which of some files, that are no PNGs, are no images of other formats either, as far as their first bytes can be had."""
    others, others_wanted = set[int](), set(formats) != {"png"}
    with _folder_of(opened) as folder:
        for index in indices:
            end_if(stop)
            if suffix_format(opened.paths[index]) in formats:
                continue  # it may well be one: to look at all of it is little more
            if not others_wanted:
                others.add(index)
                continue
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
    is_there = files.POSSIBLE and opened.archive is None and opened.fetched is None
    try:
        place = os.path.join(opened.chunk.base, opened.chunk.place)
        folder = os.open(place or ".", files.FOLDER_FLAGS) if is_there else None
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


def _levels_by_compiled(content: Content, max_pixels: int, scratch: files.FileScratch) -> NDArray[np.uint8] | None:
    """The same of a file, in memory of their own."""
    try:
        data = content.first(min(content.size, png.FILE_BYTES))
    except (OSError, MemoryError):
        return None
    levels = read_compiled(data, max_pixels, scratch)
    return None if levels is None else levels.copy()


def read_compiled(
    data: bytes, max_pixels: int = MAX_PIXELS, scratch: files.FileScratch | None = None, *, colour: bool = False
) -> NDArray[np.uint8] | None:
    """What read_image gives of a file's contents, gray levels in the scratch, by the compiled reader; None where it leaves the
    answer to Pillow."""
    extractor, scratch = EXTRACTORS["colour" if colour else "ink"], scratch or files.file_scratch()
    features, outcomes, pixels = np.empty((1, extractor.size)), np.empty(1, np.uint8), min(max_pixels, png.PIXELS)
    files.read_files(features, outcomes, scratch, NEVER, NO_FOLDER, _in_memory([data]), extractor.code, pixels)
    if outcomes[0] != files.READ:
        return None
    height, width = scratch.shape
    planes = scratch.png.gray[: extractor.channels * height * width].reshape(extractor.channels, height, width)
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2)) if colour else planes[0]
