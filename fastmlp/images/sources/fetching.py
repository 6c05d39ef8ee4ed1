"""The files of a chunk behind a URL, in memory: some at a time, fetched together as far as the file system can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.content import Content, ImageError, content_of_bytes, read_at
from fastmlp.images.sources.archive_reading import OpenArchive
from fastmlp.images.sources.chunk import Chunk
from fastmlp.images.sources.remote_file import RemoteFile, fetch, file_system, path_within, url_error
from fastmlp.images.sources.urls import name_within, without_secrets

TOGETHER = 1 << 26  # bytes that a thread has in memory of files that are fetched together
WHOLE = 1 << 23  # bytes of a file that are fetched before anything is known of it
UNKNOWN = 1 << 21  # and where it is not known how many it has
GAP, RUN = 1 << 15, 1 << 22  # bytes between members of an archive that are fetched as one, and of all that are, at most
REFUSED = -1  # a method by which nothing is compressed, see archives.Members


class Fetched(NamedTuple):
    """Some files of a chunk, in memory."""

    chunk: Chunk
    """Of these files."""
    data: NDArray[np.uint8]
    places: NDArray[np.int64]
    """(n, 4) where each is in the data, as those of Members; refused where it is not."""
    content: Callable[[int], Content]
    """That of each, which may be read as far as somebody wants to see; an ImageError if it cannot be."""


def fetched(chunk: Chunk, archive: OpenArchive | None) -> Iterator[Fetched]:
    """All files of a chunk, some at a time; those of an archive by that one. What has failed before is not fetched."""
    if chunk.members is not None:
        sizes = np.minimum(chunk.members[:, 1], WHOLE)
    else:
        own = np.full(chunk.length, -1, np.int64) if chunk.sizes is None else chunk.sizes
        sizes = np.where(own < 0, UNKNOWN, np.minimum(own, WHOLE))
    get = partial(_members, archive=archive) if chunk.members is not None else _files
    first, skipped = 0, chunk.skipped
    while True:
        last = first + max(1, int(np.searchsorted(np.cumsum(sizes[first:]), TOGETHER, "right")))
        rows = np.arange(chunk.length)
        is_all = first == 0 and last >= chunk.length
        part = chunk if is_all else chunk.without((rows < first) | (rows >= last))._replace(skipped=skipped)
        yield get(part)
        first, skipped = last, 0
        if first >= chunk.length:
            return


def content_at(chunk: Chunk, row: int = 0) -> Content:
    """That of one file of a folder behind a URL, or of one that is a URL; an ImageError if it cannot be read."""
    part = chunk.without(np.arange(chunk.length) != row)
    return _files(part).content(0)


def _files(chunk: Chunk) -> Fetched:
    """Files of a folder, or files that are URLs."""
    names = os.fsdecode(chunk.names).split("\0")[:-1]
    told = [name_within(chunk.place, name) if chunk.place else without_secrets(name) for name in names]
    sizes = [-1] * chunk.length if chunk.sizes is None else chunk.sizes.tolist()
    ends = [None if 0 <= size <= WHOLE else UNKNOWN if size < 0 else WHOLE for size in sizes]
    found: list[Any] = [None] * chunk.length
    for system, files in _by_system(chunk, names, found).items():
        parts = fetch(system, [path for _, path in files], [ends[row] for row, _ in files])
        for (row, _), part in zip(files, parts, strict=True):
            found[row] = url_error(told[row], part) if isinstance(part, BaseException) else part
    data, places = _in_one([part if isinstance(part, bytes) else b"" for part in found])
    places[[not isinstance(part, bytes) for part in found], 2] = REFUSED

    def content(row: int) -> Content:
        part, end = found[row], ends[row]
        if isinstance(part, ImageError):
            if end is not None and sizes[row] < 0 and _is_empty(chunk.place, names[row]):  # of which many servers give no part
                return content_of_bytes(told[row], b"")
            raise part
        if end is None or len(part) < end:
            return content_of_bytes(told[row], part)
        file = _file(chunk.place, names[row])  # which has more
        file.begin(part)
        return Content(told[row], file.size, partial(read_at, file, 0))

    return Fetched(chunk, data, places, content)


def _file(folder: str, name: str) -> RemoteFile:
    return RemoteFile(folder, name) if folder else RemoteFile(name)


def _is_empty(folder: str, name: str) -> bool:
    try:
        return _file(folder, name).size == 0
    except ImageError:
        return False


def _by_system(chunk: Chunk, names: Sequence[str], found: list[Any]) -> dict[Any, list[tuple[int, str]]]:
    """The rows and the paths of files, by the file system that has them; of others `found` gets an error."""
    systems: dict[Any, list[tuple[int, str]]] = {}
    rows = np.delete(np.arange(chunk.length), [failure.row for failure in chunk.failed]).tolist()
    if chunk.place:
        try:
            system, folder = file_system(chunk.place)
            systems[system] = [(row, path_within(folder, names[row])) for row in rows]
        except ImageError as error:
            found[:] = [error] * len(found)
        return systems
    for row in rows:
        try:
            system, path = file_system(names[row])
            systems.setdefault(system, []).append((row, path))
        except ImageError as error:
            found[row] = error
    return systems


def _members(chunk: Chunk, archive: OpenArchive | None) -> Fetched:
    """Members of an archive; of large ones, the beginnings."""
    assert chunk.members is not None
    places, name = chunk.members.copy(), without_secrets(chunk.place)
    if archive is None or not isinstance(archive.file, RemoteFile):  # it could not be opened, and all of them have failed
        places[:, 2] = REFUSED
        return Fetched(chunk, np.empty(0, np.uint8), places, _none)
    starts, ends = _runs(places[:, 0], places[:, 0] + np.minimum(places[:, 1], WHOLE))
    parts = archive.file.hold(starts, ends)
    data, runs = _in_one(parts)
    own = np.searchsorted(starts, places[:, 0], "right") - 1
    is_here = places[:, 0] + places[:, 1] <= np.array(starts, np.int64)[own] + runs[own, 1]
    places[~is_here, 2] = REFUSED  # it is read by itself, which may tell why it cannot be
    places[:, 0] += runs[own, 0] - np.array(starts, np.int64)[own]
    paths, members = chunk.paths(), chunk.members
    return Fetched(chunk, data, places, lambda row: archive.content(members[row], f"{name}: {paths[row]}"))


def _none(row: int) -> Content:
    raise ImageError("it could not be opened")


def _runs(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Parts of a file that hold all of some, which may be fetched at once: where each begins and ends, in order."""
    order = np.argsort(starts, kind="stable")
    begins, stops = list[int](), list[int]()
    for start, end in zip(starts[order].tolist(), ends[order].tolist(), strict=True):
        if stops and start <= stops[-1] + GAP and end - begins[-1] <= RUN:
            stops[-1] = max(stops[-1], end)
        else:
            begins.append(start)
            stops.append(end)
    return begins, stops


def _in_one(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Parts behind each other, and the place (n, 4) of each."""
    lengths = [len(part) for part in parts]
    places = np.zeros((len(parts), 4), np.int64)
    places[:, 0] = list(accumulate(lengths[:-1], initial=0))[: len(parts)]
    places[:, 1] = places[:, 3] = lengths
    return np.frombuffer(bytearray().join(parts), np.uint8), places
