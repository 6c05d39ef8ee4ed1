"""Where images are, as chunks of names: folders, archives and lists of files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from fastmlp import checks, interrupts
from fastmlp.images.content import ImageError
from fastmlp.images.image_formats import ALL, wanted
from fastmlp.images.sources import archives
from fastmlp.images.sources.archive_reading import Version, open_archive
from fastmlp.images.sources.chunk import LARGEST_CHUNK, Chunk, Failure, chunk_sizes, names_that_fit
from fastmlp.images.sources.remote import RemoteWalk, is_remote_folder
from fastmlp.images.sources.urls import is_url, without_secrets
from fastmlp.images.sources.walk import Walk, walked_chunks
from fastmlp.literals import FormatName
from fastmlp.writing import StrPath

Source = StrPath | Iterable[StrPath]

KINDS_TOLD = 5  # of the files of a source without images


class Chunks(Iterator[Chunk]):
    """The chunks of a source, in the order of the names' bytes, or of the list.

    Parameters
    ----------
    source : path or URL of a folder, of a tar or zip archive, or of one file; or an iterable of paths and URLs of files
        Of a folder all files are listed, in all its folders; what begins with a dot is left out.
    ordered : bool
        If not, the names come as the system or the archive lists them.
    strict : bool
        Whether what is no regular file is a failure; else, and behind a URL, it is skipped.
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
        If the folder cannot be listed; if the archive is damaged, or compressed as a whole; an ImageError if a URL cannot be read.
    """

    def __init__(
        self,
        source: Source,
        *,
        ordered: bool = True,
        strict: bool = False,
        follow_symlinks: bool = False,
        size: int = LARGEST_CHUNK,
    ) -> None:
        self._total: int | None = None
        self._walk: Walk | RemoteWalk | None = None
        self.within = False
        self._chunks: Generator[Chunk]
        if not isinstance(source, str | bytes | os.PathLike | Iterable):
            raise TypeError(f"source must be a path, or an iterable of paths; got {checks.shown(source)}")
        if not isinstance(source, str | bytes | os.PathLike):
            self._total = len(source) if isinstance(source, Sized) else None
            self._chunks = _given(source, size)
            return
        path = path_of(source)
        if not (remote := is_url(path)) and not os.path.lexists(path):
            raise FileNotFoundError(f"{path} does not exist")
        if remote and is_remote_folder(path):
            self._walk = RemoteWalk(path, ordered, follow_symlinks, size)
            self.within = True
            self._chunks = self._walk.chunks()
        elif os.path.isdir(path):
            self._walk = Walk(path, ordered, strict, follow_symlinks, size)
            os.scandir(path).close()  # an error comes at once
            self.within = True
            self._chunks = walked_chunks(self._walk)
        elif archives.kind(path) if remote else is_collection(path):
            with open_archive(path) as archive:
                version, members = archive.version, archives.members(archive, ordered)
            self.within = True
            self._total = len(members.starts)
            self._chunks = _archived(path, version, members, size, remote)
        else:
            compression = None
            with suppress(OSError, ImageError):  # which is told when it is read
                compression = archives.compression(path)
            if compression is not None:
                raise ValueError(f"{without_secrets(path)} is compressed by {compression}; decompress it first")
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
    """Whether a path or a URL is that of a folder or an archive."""
    try:
        is_folder = is_remote_folder(path) if is_url(path) else os.path.isdir(path)
        return is_folder or archives.kind(path) is not None
    except (OSError, ImageError):
        return False


def nothing_in(source: Any, formats: Sequence[FormatName] = ALL) -> ValueError:
    """The error for a folder or an archive without images, which tells what there is."""
    what = f"{without_secrets(os.fspath(source))} holds no {'image file' if len(formats) == len(ALL) else wanted(formats)}"
    kinds: Counter[str] = Counter()
    with suppress(OSError, ValueError, TypeError):  # which has been told, or is not what is asked
        for chunk in Chunks(source, ordered=False):
            kinds.update(os.path.splitext(name)[1].lower() for name in chunk.paths())
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {kind or 'without an ending'}" for kind, count in ordered[:KINDS_TOLD]]
    if others := sum(count for _, count in ordered[KINDS_TOLD:]):
        shown.append(f"{others} others")
    return ValueError(f"{what}; it holds {', '.join(shown)}" if shown else what)


def path_of(source: Any) -> str:
    """A path as text; a TypeError for bytes, and for what is no path."""
    path = checks.path("a path", source)
    if not isinstance(path, str):
        raise TypeError(f"a path must be a str or an os.PathLike of str; got {checks.shown(path)}")
    return path


def _given(paths: Iterable[StrPath], size: int) -> Generator[Chunk]:
    iterator, known = iter(paths), len(paths) if isinstance(paths, Sized) else 0
    listed = 0
    for most in chunk_sizes(size):
        with interrupts.raised_at_once():
            names = [path_of(path) for path in islice(iterator, most)]
        if not names:
            return
        listed += len(names)
        failed = tuple(
            Failure(k, told, f"{told!r} cannot be the name of a file")
            for k, told in enumerate(map(without_secrets, names))
            if not can_name_a_file(names[k])
        )
        for failure in failed:
            names[failure.row] = ""
        first, some_remote = 0, any("://" in name for name in names)
        while first < len(names):
            last = first + names_that_fit(_in_bytes(names[first:]), len(names) - first)
            remote = some_remote and is_url(names[first])
            if some_remote:
                last = next((k for k in range(first, last) if is_url(names[k]) != remote), last)
            own = tuple(failure._replace(row=failure.row - first) for failure in failed if first <= failure.row < last)
            known = max(known, listed)
            yield Chunk("", _in_bytes(names[first:last]), last - first, failed=own, known=known, remote=remote)
            first = last


def _in_bytes(names: list[str]) -> bytes:
    return os.fsencode("\0".join(names) + "\0")


def can_name_a_file(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _archived(path: str, version: Version, members: archives.Members, size: int, remote: bool) -> Generator[Chunk]:
    known, first = len(members.starts), 0
    starts = np.append(members.starts, members.names.size)
    for most in chunk_sizes(size):  # one at least, as something may have been skipped
        last = min(first + most, known)
        last = first + names_that_fit(members.names[starts[first] : starts[last]].tobytes(), last - first)
        names = members.names[starts[first] : starts[last]].tobytes()
        skipped = 0 if first else members.skipped
        yield Chunk(path, names, last - first, members.places[first:last], version, skipped=skipped, known=known, remote=remote)
        first = last
        if first == known:
            return
