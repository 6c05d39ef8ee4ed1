"""The names of all files in a folder, and in the folders in it, in order, as chunks.

A folder is listed by `os.scandir`, which says of each entry what it is; no file is asked for its status, but where a link stands
for one. One of many names is listed by compiled code, where the system has what that calls, and as long as there is nothing in it
but files and folders.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from fastmlp.images.content import PASSING
from fastmlp.images.sources.chunk import LONG_WORK, Chunk, Failure, chunk_sizes, ends_of_slow, names_that_fit
from fastmlp.interrupts import raise_noted
from fastmlp.kernels.images import entries
from fastmlp.kernels.images.names import chosen_names, places_ending, sorted_starts

LISTED_BY_PYTHON = 512  # entries at a time; a folder of more is one of many names
SORTED_BY_PYTHON = 1 << 15  # bytes of names at most; nothing need be compiled for them
SLASH = ord("/")


class _Folder(NamedTuple):
    """A folder that is to be walked."""

    name: bytes  # from the root on, and ended by "/" but for the root's own
    above: tuple[tuple[int, int], ...] = ()  # device and number of the folders that it lies in, where links are followed


class Walk:
    """The files of a folder and of all folders in it, as parts: chunks of one folder each.

    In a listing the names of folders end with "/", and so they sort as their files do: those of "a" between "a-b" and "ab".
    """

    def __init__(self, root: str, ordered: bool, strict: bool, follow_symlinks: bool, size: int) -> None:
        self.root, self.ordered, self.strict, self.follow = root, ordered, strict, follow_symlinks
        self.sizes = chunk_sizes(size)
        self.size = next(self.sizes)  # of a chunk, and so of its parts
        self.total: int | None = None  # files, when that is known
        self.skipped = 0  # that no part has told yet

    def parts(self) -> Iterator[Chunk]:
        stack = [self._walk(_Folder(b""))]
        while stack:  # not by calls within calls: Python has a limit for these
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, _Folder):
                stack.append(self._walk(found))
            else:
                yield found
        yield self._part(b"", 0)

    def _walk(self, folder: _Folder) -> Iterator[Chunk | _Folder]:
        """The parts of a folder and the folders in it, in order; or some parts at a time, and the folders last."""
        path = os.path.join(self.root, os.fsdecode(folder.name))
        odd: dict[bytes, str] = {}
        later = []
        try:
            above = folder.above
            if self.follow:
                status = os.stat(path)
                if (status.st_dev, status.st_ino) in above:
                    return
                above += ((status.st_dev, status.st_ino),)
            for listing in self._sorted_listings(path, odd):
                if self.ordered and not folder.name and not listing.folders:
                    self.total = listing.length
                at = 0
                for stop in chain(listing.folders, (listing.length,)):
                    while at < stop:
                        count = min(self.size, stop - at)
                        names = listing.names(at, at + count)
                        fitting = names_that_fit(names, count)
                        if fitting < count:
                            names, count = listing.names(at, at + fitting), fitting
                        yield self._part(_within(folder.name, names), count)
                        at += count
                    at = stop + 1
                    if stop == listing.length:
                        break
                    name = listing.names(stop, at)[:-1]
                    if name in odd:
                        yield self._failure(folder.name + name, odd[name])
                    elif self.ordered:
                        yield _Folder(folder.name + name, above)
                    else:
                        later.append(_Folder(folder.name + name, above))
        except OSError as error:
            if not folder.name:
                raise
            yield self._failure(folder.name, f"{path} cannot be listed: {error.strerror}", error.errno in PASSING)
        yield from later

    def _sorted_listings(self, path: str, odd: dict[bytes, str]) -> Iterator[_FewNames | _ManyNames]:
        """One, or some at a time; of unsorted names none is kept, as they may be millions."""
        if self.ordered:
            yield _sorted(self._whole(path, odd))
        else:
            for names in self._listings(path, odd, self.size):
                yield _sorted(bytearray(names))

    def _whole(self, path: str, odd: dict[bytes, str]) -> bytearray:
        """What a folder holds: names, each ended by a zero byte."""
        listings = self._listings(path, odd, LISTED_BY_PYTHON)
        first, second = next(listings, b""), next(listings, b"")
        names = listed_compiled(path) if second else None
        if names is None:
            names = bytearray(first + second)
            for more in listings:
                names += more
        return names

    def _listings(self, path: str, odd: dict[bytes, str], size: int) -> Iterator[bytes]:
        """The same, so many entries at a time."""
        with os.scandir(path) as found:
            entry: os.DirEntry[str] | None
            while True:
                raise_noted()
                names, entry = [], None
                for entry in islice(found, size):
                    name = entry.name if entry.is_file(follow_symlinks=False) else self._other(entry, odd)
                    if name[:1] not in (".", ""):
                        names.append(name)
                if entry is None:
                    return
                if names:
                    yield os.fsencode("\0".join(names) + "\0")

    def _other(self, entry: os.DirEntry[str], odd: dict[bytes, str]) -> str:
        """The name of what is no file, with "/" at the end unless it is a link that may be one; "" to pass it over."""
        if entry.is_dir(follow_symlinks=False):
            return entry.name + "/"
        if entry.is_symlink():
            try:
                mode = entry.stat().st_mode
            except OSError:  # it leads nowhere, to itself, or to where nobody may look: that is found when it is read
                return entry.name
            if stat.S_ISDIR(mode):
                return entry.name + "/" if self.follow else ""
            if stat.S_ISREG(mode):
                return entry.name
        if entry.name.startswith("."):
            return ""
        if self.strict:
            odd[os.fsencode(entry.name + "/")] = f"{entry.path} is not a regular file"
            return entry.name + "/"
        self.skipped += 1
        return ""

    def _part(self, names: bytes, count: int) -> Chunk:
        skipped, self.skipped = self.skipped, 0
        return Chunk(self.root, names, count, skipped=skipped)

    def _failure(self, name: bytes, why: str, retry: bool = False) -> Chunk:
        """A part of one name, which ends with "/": whoever tries to read it all the same opens no device."""
        return self._part(name + b"\0", 1)._replace(failed=(Failure(0, os.fsdecode(name), why, retry),))


def walked_chunks(walk: Walk) -> Generator[Chunk]:
    """The parts of a walk, as many in a chunk as fit."""
    before, waiting = 0, _Waiting()
    for part in walk.parts():
        raise_noted()
        slow = len(ends_of_slow(part.names, part.length))
        if waiting.length and (waiting.length + part.length > walk.size or waiting.slow + slow > LONG_WORK):
            yield waiting.chunk(walk.root, max(before + waiting.length + part.length, walk.total or 0))
            before, waiting, walk.size = before + waiting.length, _Waiting(), next(walk.sizes)
        waiting.add(part, slow)
        if waiting.length >= walk.size:
            yield waiting.chunk(walk.root, max(before + waiting.length, walk.total or 0))
            before, waiting, walk.size = before + waiting.length, _Waiting(), next(walk.sizes)
    walk.total = before + waiting.length
    if waiting.length or waiting.skipped or not before:
        yield waiting.chunk(walk.root, walk.total)


class _Waiting:
    """Parts that become a chunk."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.failed: list[Failure] = []
        self.length = self.skipped = self.slow = 0

    def add(self, part: Chunk, slow: int) -> None:
        self.names.append(part.names)
        self.failed += [failure._replace(row=self.length + failure.row) for failure in part.failed]
        self.length += part.length
        self.skipped += part.skipped
        self.slow += slow

    def chunk(self, root: str, known: int) -> Chunk:
        names = b"".join(self.names)
        return Chunk(root, names, self.length, failed=tuple(self.failed), skipped=self.skipped, known=known)


class _FewNames:
    """The sorted names of a folder, in places from 0 on."""

    def __init__(self, listing: bytearray) -> None:
        self.sorted = sorted(bytes(listing).split(b"\0")[:-1])
        self.length = len(self.sorted)
        self.folders = [place for place, name in enumerate(self.sorted) if name.endswith(b"/")]

    def names(self, first: int, last: int) -> bytes:
        return b"".join(name + b"\0" for name in self.sorted[first:last])


class _ManyNames:
    """The same of millions: where they begin is sorted, and they are copied some at a time."""

    def __init__(self, listing: bytearray) -> None:
        self.blob = np.frombuffer(listing, np.uint8)
        self.starts = sorted_starts(self.blob, raise_noted)
        self.length = len(self.starts)
        self.folders = places_ending(self.blob, self.starts, SLASH, listing.count(b"/\0"), raise_noted).data

    def names(self, first: int, last: int) -> bytes:
        return chosen_names(self.blob, self.starts[first:last]).tobytes()


def _sorted(listing: bytearray) -> _FewNames | _ManyNames:
    return _FewNames(listing) if len(listing) < SORTED_BY_PYTHON else _ManyNames(listing)


def listed_compiled(path: str) -> bytearray | None:
    """The names of a folder's files and folders; None if that is not all there is in it, or if it cannot be listed so."""
    if not entries.POSSIBLE:
        return None
    try:
        folder = os.open(path, entries.FLAGS)
    except OSError:
        return None
    try:
        room, records = np.empty(entries.BLOCKS * entries.BLOCK, np.uint8), np.empty(entries.BLOCK, np.uint8)
        names, state = bytearray(), entries.MORE
        while state == entries.MORE:
            raise_noted()
            size, state = entries.list_entries(room, records, folder)
            names += room[:size].data  # which the system moves by its map, if at all: parts that are joined would be there twice
        return names if state == entries.END else None
    finally:
        os.close(folder)


def _within(folder: bytes, names: bytes) -> bytes:
    """Names with that of their folder in front of each."""
    return folder + names[:-1].replace(b"\0", b"\0" + folder) + b"\0" if folder else names
