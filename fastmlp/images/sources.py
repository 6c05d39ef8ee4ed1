"""Where images are, as chunks of names: folders, archives and lists of files.

A chunk is a plain value that can be sent elsewhere. It holds its names as bytes, one after another, each ended by a zero
byte: the compiled reader takes them as they are, and a million of them are no million objects. A folder is listed by
`os.scandir`, which says of each entry what it is; no file is asked for its status, but where a link stands for one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import suppress
from itertools import chain, count, islice, repeat, takewhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import checks
from fastmlp.images import archives
from fastmlp.kernels.images.names import chosen_names, sorted_names
from fastmlp.writing import StrPath

Source = StrPath | Iterable[StrPath]
Chosen = Callable[[list[str]], NDArray[np.bool_]]  # says which of some paths are meant: paths -> (n,)

FIRST = 64  # names of the first chunk; each further one has twice as many, so that threads share what takes long,
CHUNK = 4096  # up to this, some 10 ms of work with small images
FEW = 1 << 15  # bytes of names that Python sorts: nothing need be compiled for them
SLASH = ord("/")


class Chunk(NamedTuple):
    """Some files of a source."""

    place: str
    """The folder that the names are relative to, or the archive that they are in; "" for paths as they were given."""
    names: bytes
    """Each ended by a zero byte, as the system writes them."""
    length: int
    members: NDArray[np.int64] | None = None
    """(length, 4) where the members of an archive are: see archives.Members."""
    failed: tuple[tuple[int, str, str], ...] = ()
    """What cannot be read, as was found while listing: its place among the names, its name, and why."""
    skipped: int = 0
    """How many things there were beside them that are no regular files."""
    known: int = 0
    """How many files the source is known to have, at least."""

    def paths(self) -> list[str]:
        """The names as text, with "/" between folders."""
        names = os.fsdecode(self.names).split("\0")[:-1]
        for index, name, _ in self.failed:
            names[index] = name
        return names

    def without(self, done: ArrayLike) -> Chunk:
        """The chunk without some of its names."""
        left = np.flatnonzero(np.logical_not(done)).tolist()
        names = self.names.split(b"\0")
        places = {old: new for new, old in enumerate(left)}
        return self._replace(
            names=b"".join(names[k] + b"\0" for k in left),
            length=len(left),
            members=None if self.members is None else self.members[left],
            failed=tuple((places[k], name, why) for k, name, why in self.failed if k in places),
        )


class Chunks(Iterator[Chunk]):
    """The chunks of a source, in the order of the names' bytes, or of the list.

    Parameters
    ----------
    source : path of a folder, of a tar or zip archive, or of one file; or an iterable of paths of files
        Of a folder all files are listed, in all its folders; what begins with a dot is left out.
    ordered : bool
        If not, the names come as the system or the archive lists them.
    strict : bool
        Whether what is no regular file is a failure; else it is skipped.
    follow_symlinks : bool
        Whether links to folders are followed; not those that lead to a folder that they lie in.
    size : int
        Names in a chunk, at most; the first ones are smaller.

    Attributes
    ----------
    total : int or None
        How many files there are, once that is known.
    within : bool
        Whether the names are those within a folder or an archive.

    Raises
    ------
    FileNotFoundError
        If the source is a path and nothing is there.
    OSError, ValueError
        If the folder cannot be listed; if the archive is damaged, or compressed as a whole.
    """

    def __init__(
        self, source: Source, *, ordered: bool = True, strict: bool = False, follow_symlinks: bool = False, size: int = CHUNK
    ) -> None:
        self._total: int | None = None
        self._walk: _Walk | None = None
        self.within = False
        self._chunks: Generator[Chunk]
        if not isinstance(source, str | bytes | os.PathLike | Iterable):
            raise TypeError(f"source must be a path, or an iterable of paths; got {checks.shown(source)}")
        if not isinstance(source, str | bytes | os.PathLike):
            self._total = len(source) if isinstance(source, Sized) else None
            self._chunks = _given(source, size)
            return
        path = path_of(source)
        if not os.path.lexists(path):
            raise FileNotFoundError(f"{path} does not exist")
        if os.path.isdir(path):
            self._walk = _Walk(path, ordered, strict, follow_symlinks, size)
            os.scandir(path).close()  # an error comes at once
            self.within = True
            self._chunks = _joined(self._walk)
        elif is_collection(path):
            members = archives.members(path, ordered)
            self.within = True
            self._total = len(members.starts)
            self._chunks = _archived(path, members, size)
        else:
            with suppress(OSError):  # which is told when it is read
                if compression := archives.compression(path):
                    raise ValueError(f"{path} is compressed by {compression}; decompress it first")
            self._total = 1
            self._chunks = _given([path], size)

    @property
    def total(self) -> int | None:
        return self._walk.total if self._walk else self._total

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        self._chunks.close()


def is_collection(path: str) -> bool:
    """Whether a path is that of a folder or an archive."""
    try:
        return os.path.isdir(path) or archives.kind(path) is not None
    except OSError:
        return False


def nothing_in(source: Any) -> ValueError:
    return ValueError(f"{os.fspath(source)} holds no PNG file")


def path_of(source: Any) -> str:
    path = checks.path("a path", source)
    if not isinstance(path, str):
        raise TypeError(f"a path must be a str or an os.PathLike of str; got {checks.shown(path)}")
    return path


def _sizes(size: int) -> Iterator[int]:
    """The sizes of chunks."""
    return chain(takewhile(lambda small: small < size, (FIRST << k for k in count())), repeat(size))


def _given(paths: Iterable[StrPath], size: int) -> Generator[Chunk]:
    iterator, known = iter(paths), len(paths) if isinstance(paths, Sized) else 0
    listed = 0
    for most in _sizes(size):
        names = [path_of(path) for path in islice(iterator, most)]
        if not names:
            return
        listed += len(names)
        failed = tuple(
            (k, name, f"{name!r} cannot be the name of a file") for k, name in enumerate(names) if not _is_possible(name)
        )
        for k, _, _ in failed:
            names[k] = ""
        yield Chunk("", os.fsencode("\0".join(names) + "\0"), len(names), failed=failed, known=max(known, listed))


def _is_possible(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _archived(path: str, members: archives.Members, size: int) -> Generator[Chunk]:
    known, first = len(members.starts), 0
    starts = np.append(members.starts, members.names.size)
    for most in _sizes(size):  # one at least, as something may have been skipped
        last = min(first + most, known)
        names = members.names[starts[first] : starts[last]].tobytes()
        yield Chunk(path, names, last - first, members.places[first:last], skipped=0 if first else members.skipped, known=known)
        first = last
        if first == known:
            return


class _Folder(NamedTuple):
    """A folder that is to be walked."""

    name: bytes  # from the root on, and ended by "/" but for the root's own
    above: tuple[tuple[int, int], ...] = ()  # device and number of the folders that it lies in, where links are followed


class _Walk:
    """The files of a folder and of all folders in it, as parts: chunks of one folder each.

    In a listing the names of folders end with "/", and so they sort as their files do: those of "a" between "a-b" and "ab".
    """

    def __init__(self, root: str, ordered: bool, strict: bool, follow_symlinks: bool, size: int) -> None:
        self.root, self.ordered, self.strict, self.follow = root, ordered, strict, follow_symlinks
        self.sizes = _sizes(size)
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
            listings = self._listings(path, odd)
            for names in [b"".join(listings)] if self.ordered else listings:
                listing = _Listing(_sorted(names))
                if self.ordered and not folder.name and not listing.folders:
                    self.total = listing.length
                at = 0
                for stop in (*listing.folders, listing.length):
                    while at < stop:
                        last = min(at + self.size, stop)
                        yield self._part(_within(folder.name, listing.names(at, last)), last - at)
                        at = last
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
            yield self._failure(folder.name, f"{path} cannot be listed: {error.strerror}")
        yield from later

    def _listings(self, path: str, odd: dict[bytes, str]) -> Iterator[bytes]:
        """What a folder holds, some at a time: names, each ended by a zero byte."""
        with os.scandir(path) as entries:
            entry: os.DirEntry[str] | None
            while True:
                names, entry = [], None
                for entry in islice(entries, CHUNK if self.ordered else self.size):
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

    def _failure(self, name: bytes, why: str) -> Chunk:
        """A part of one name, which ends with "/": whoever tries to read it all the same opens no device."""
        return self._part(name + b"\0", 1)._replace(failed=((0, os.fsdecode(name), why),))


def _joined(walk: _Walk) -> Generator[Chunk]:
    """The parts of a walk, as many in a chunk as fit."""
    before, waiting = 0, _Waiting()
    for part in walk.parts():
        if waiting.length and waiting.length + part.length > walk.size:
            yield waiting.chunk(walk.root, max(before + waiting.length + part.length, walk.total or 0))
            before, waiting, walk.size = before + waiting.length, _Waiting(), next(walk.sizes)
        waiting.add(part)
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
        self.failed: list[tuple[int, str, str]] = []
        self.length = self.skipped = 0

    def add(self, part: Chunk) -> None:
        self.names.append(part.names)
        self.failed += [(self.length + index, name, why) for index, name, why in part.failed]
        self.length += part.length
        self.skipped += part.skipped

    def chunk(self, root: str, known: int) -> Chunk:
        names = b"".join(self.names)
        return Chunk(root, names, self.length, failed=tuple(self.failed), skipped=self.skipped, known=known)


class _Listing:
    """The sorted names of a folder, in places from 0 on."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        octets = np.frombuffer(blob, np.uint8)
        self.edges = np.concatenate([[0], np.flatnonzero(octets == 0) + 1])
        self.length = len(self.edges) - 1
        self.folders = np.flatnonzero(octets[self.edges[1:] - 2] == SLASH).tolist()

    def names(self, first: int, last: int) -> bytes:
        return self.blob[self.edges[first] : self.edges[last]]


def _sorted(names: bytes) -> bytes:
    if len(names) < FEW:
        return b"".join(name + b"\0" for name in sorted(names.split(b"\0")[:-1]))
    blob = np.frombuffer(bytearray(names), np.uint8)
    return chosen_names(blob, *sorted_names(blob)).tobytes()


def _within(folder: bytes, names: bytes) -> bytes:
    """Names with that of their folder in front of each."""
    return folder + names[:-1].replace(b"\0", b"\0" + folder) + b"\0" if folder else names
