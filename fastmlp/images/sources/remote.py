"""The files of a folder behind a URL, and of those in it, in order, as chunks.

A folder is listed as a whole, as fsspec does it, and at file systems of the network some folders at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from fastmlp.images.content import ImageError, RetryError
from fastmlp.images.sources.chunk import Chunk, Failure, chunk_sizes, names_that_fit
from fastmlp.images.sources.remote_file import file_system, is_missing, url_error
from fastmlp.images.sources.urls import name_within, without_secrets
from fastmlp.interrupts import raise_noted, raised_at_once
from fastmlp.threads import InThreads, Stop

LISTED_AHEAD = 8  # folders that are listed at the same time


class _Entry(NamedTuple):
    """Something in a folder."""

    name: bytes  # its own, with "/" at the end of that of a folder; empty if it is neither a folder nor a file
    size: int  # -1 where it is not known
    path: str  # as the file system has it


class _Listing(NamedTuple):
    """What a folder holds but what is hidden."""

    entries: list[_Entry]
    skipped: int  # of what is neither a file nor a folder


Found = tuple[bytes, int, str, bool]  # name from the root on, size; "" or why it cannot be read, and whether another try may do


def is_remote_folder(url: str) -> bool:
    """Whether a URL is that of a folder; a FileNotFoundError if nothing is there, an ImageError if that cannot be known."""
    found, path = file_system(url)
    told = without_secrets(url)
    try:
        with raised_at_once():
            found.invalidate_cache()
            kind = found.info(path)["type"]
    except Exception as error:
        if is_missing(error):
            raise FileNotFoundError(f"{told} does not exist") from error
        raise url_error(told, error) from error
    return bool(kind == "directory" or path.endswith("/"))  # as of web pages that are lists


def is_in_memory_elsewhere(url: str) -> bool:
    """Whether a URL is of what one process has in its memory, and that is another one."""
    if not url.startswith("memory:"):
        return False
    found, path = file_system(url)
    return not found.exists(path)


class RemoteWalk:
    """The files of a folder behind a URL. In a listing the names of folders end with "/", so that they sort as their files do."""

    def __init__(self, url: str, ordered: bool, follow_symlinks: bool, size: int) -> None:
        self._url, self._ordered, self._follow, self._size = url, ordered, follow_symlinks, size
        self._system, path = file_system(url)
        first = self._listed((b"", path))
        if isinstance(first, ImageError):
            raise first  # at once
        self._skipped = first.skipped  # that no chunk has told yet
        self._files = self._walk(first.entries)
        self.total = None if any(_is_folder(entry) for entry in first.entries) else len(first.entries)  # files, when that is known

    def chunks(self) -> Generator[Chunk]:
        before, waiting = 0, list[Found]()
        for most in chunk_sizes(self._size):
            waiting += islice(self._files, max(0, most - len(waiting)))
            raise_noted()
            if len(waiting) < most:
                self.total = before + len(waiting)
            if not waiting and not self._skipped:
                return
            names = [name for name, *_ in waiting]
            count = names_that_fit(b"".join(name + b"\0" for name in names), len(names)) if names else 0
            yield self._chunk(waiting[:count], before + len(waiting))
            before, waiting = before + count, waiting[count:]

    def _chunk(self, files: Sequence[Found], known: int) -> Chunk:
        skipped, self._skipped = self._skipped, 0
        return Chunk(
            self._url,
            b"".join(name + b"\0" for name, *_ in files),
            len(files),
            failed=tuple(Failure(k, os.fsdecode(name), why, retry) for k, (name, _, why, retry) in enumerate(files) if why),
            skipped=skipped,
            known=max(known, self.total or 0),
            remote=True,
            sizes=np.array([size for _, size, *_ in files], np.int64),
        )

    def _walk(self, first: list[_Entry]) -> Iterator[Found]:
        stack = [self._level(b"", first)]
        while stack:  # not by calls within calls: Python has a limit for these
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, tuple):
                yield found
            else:
                stack.append(found)

    def _level(self, folder: bytes, entries: list[_Entry]) -> Iterator[Found | Iterator[Any]]:
        """The files of a folder, and where a folder in it comes, the same of that one."""
        folders = [(folder + entry.name, entry.path) for entry in entries if _is_folder(entry)]
        listings: Iterator[_Listing | ImageError]
        if getattr(self._system, "async_impl", False) and len(folders) > 1:
            listings = InThreads(self._listed, folders, min(len(folders), LISTED_AHEAD))
        else:
            listings = map(self._listed, folders)
        for entry in entries:
            if not _is_folder(entry):
                yield folder + entry.name, entry.size, "", False
                continue
            raise_noted()
            listing = next(listings)
            if isinstance(listing, ImageError):
                yield folder + entry.name, -1, str(listing), isinstance(listing, RetryError)
            else:
                self._skipped += listing.skipped
                yield self._level(folder + entry.name, listing.entries)

    def _listed(self, folder: tuple[bytes, str], stop: Stop | None = None) -> _Listing | ImageError:
        """That of a folder of such a name and at such a path; or why it cannot be listed."""
        name, path = folder
        try:
            with raised_at_once():
                found = self._system.ls(path, detail=True)
            self._system.invalidate_cache(path)  # or it would be kept, as large as it is
            entries = [entry for about in found if (entry := self._entry(path, about)) is not None]
        except Exception as error:
            told = name_within(self._url, os.fsdecode(name[:-1])) if name else without_secrets(self._url)
            return url_error(told, error, "listed")
        named = [entry for entry in entries if entry.name]
        if self._ordered:
            named.sort(key=itemgetter(0))
        return _Listing(named, len(entries) - len(named))

    def _entry(self, folder: str, about: dict[str, Any]) -> _Entry | None:
        """What a listing says of something; None if it is hidden, or not in that folder."""
        path, above = about["name"], folder.strip("/")
        own = path.strip("/")
        if above:
            if not own.startswith(f"{above}/"):  # as the folder itself, or where a web page leads to
                return None
            own = own[len(above) + 1 :]
        if not own or "/" in own or own.startswith("."):
            return None
        if about["type"] == "directory":
            return _Entry(os.fsencode(f"{own}/"), -1, path) if self._follow or not about.get("islink") else None
        if about["type"] not in ("file", "link") or "\0" in own:
            return _Entry(b"", -1, path)
        size = about.get("size")
        return _Entry(os.fsencode(own), size if isinstance(size, int) else -1, path)


def _is_folder(entry: _Entry) -> bool:
    return entry.name.endswith(b"/")
