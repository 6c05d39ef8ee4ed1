"""Files behind URLs, by fsspec: their file systems, their bytes in parts, and what can go wrong. The one file that knows fsspec."""

from __future__ import annotations

import asyncio
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from fastmlp.images.content import PASSING, ImageError, RetryError
from fastmlp.images.sources.urls import name_within, without_secrets

AHEAD = 1 << 20  # bytes that are read at a time, at least, where somebody goes through a file
PARTS_TOGETHER = 1024  # small parts
WHY_LENGTH = 300
PASSING_STATUS = (408, 425, 429)  # of the answers of servers that find fault with a request; another one may go well
OWN_FAULT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, TypeError, NotImplementedError)
VERSIONS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


def file_system(url: str) -> tuple[Any, str]:
    """The file system that a URL leads to, and the path there. fsspec keeps each, and knows threads and forked processes apart.

    An ImageError if there is none, or if what it takes is not installed.
    """
    told = without_secrets(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ImageError(f"{told} is a URL, which fsspec reads: pip install 'fastmlp[cloud]'") from None
    try:
        found, path = url_to_fs(url)
        return found, path
    except ImportError as error:
        raise ImageError(f"{told} cannot be read: {_why(error)}") from error
    except Exception as error:  # of whatever kind a file system makes
        raise url_error(told, error) from error


def url_error(name: str, error: BaseException, what: str = "read") -> ImageError:
    """The error for what cannot be read, be that its own fault or not."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, FileNotFoundError) and (cause := _hidden_cause(error)) is not None:
        error = cause
    return (RetryError if _is_passing(error) else ImageError)(f"{name} cannot be {what}: {_why(error)}")


def is_missing(error: BaseException) -> bool:
    """Whether an error of a file system says that nothing is there."""
    return isinstance(error, FileNotFoundError) and _hidden_cause(error) is None


def _hidden_cause(error: BaseException) -> BaseException | None:
    """What has made a server seem to have no such file: that it could not be asked, or gave another answer."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError) or _status(cause) in (404, 410):
        return None
    return cause if isinstance(cause, OSError | asyncio.TimeoutError) or _status(cause) is not None else None


def _status(error: BaseException) -> int | None:
    """That of an HTTP answer."""
    status = getattr(error, "status", getattr(error, "code", None))
    return status if isinstance(status, int) else None


def _is_passing(error: BaseException) -> bool:
    """Whether another try may go well: what nobody knows is laid to the network."""
    status = _status(error)
    if status is not None and 400 <= status < 500:
        return status in PASSING_STATUS
    return (isinstance(error, OSError) and error.errno in PASSING) or not isinstance(error, OWN_FAULT)


def _why(error: BaseException) -> str:
    """What an error says, in one line, without secrets."""
    if isinstance(error, asyncio.TimeoutError | TimeoutError) and not str(error):
        return "it took too long"
    if isinstance(error, FileNotFoundError) and not error.strerror:  # as fsspec's own: it says the path
        return "No such file or directory"
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    text = without_secrets(text)
    return text if len(text) <= WHY_LENGTH else text[:WHY_LENGTH] + "..."


def fetch(found: Any, paths: Sequence[str], ends: Sequence[int | None], starts: Sequence[int] | None = None) -> list[Any]:
    """Parts of files of one file system, at once if it can: from 0 or their starts up to their ends, or if None to the last byte.

    bytes for each, fewer where the file ends; or an error of whatever kind.
    """
    begins = [None if end is None else 0 for end in ends] if starts is None else list(starts)
    try:
        parts = found.cat_ranges(list(paths), begins, list(ends), on_error="return")  # by cat, "*" in a name would mean others
    except Exception as error:
        return [error] * len(paths)
    return [_part(*each) for each in zip(parts, begins, ends, strict=True)]


def _part(part: Any, begin: int | None, end: int | None) -> Any:
    """What came, if it is no more than was asked for, as from a server that knows of no parts."""
    if isinstance(part, BaseException) or end is None or len(part) <= end - (begin or 0):
        return part
    return NotImplementedError("its server does not give parts of files") if begin else part[:end]


class RemoteFile:
    """A file behind a URL, to be read at places by one thread, as an io.FileIO is. Some parts of it may be held."""

    def __init__(self, url: str, name: str | None = None) -> None:
        """That of a URL, or of a file in the folder that a URL names."""
        self.name = without_secrets(url) if name is None else name_within(url, name)
        self._found, path = file_system(url)
        self.path = path if name is None else path_within(path, name)
        try:
            self._found.invalidate_cache(self.path)
            about = self._found.info(self.path)
        except Exception as error:
            raise url_error(self.name, error) from error
        if about.get("type") == "directory":
            raise ImageError(f"{self.name} is not a regular file")
        if not isinstance(about.get("size"), int):
            raise ImageError(f"{self.name} cannot be read: how many bytes it has is not told")
        self.size: int = about["size"]
        tag = next((str(about[key]) for key in VERSIONS if about.get(key) is not None), "")
        self.version = self.size, zlib.crc32(tag.encode(errors="replace"))
        self._at = 0
        self._held: list[tuple[int, bytes]] = []  # each with where it begins, in order
        self._ahead = (0, b"")

    def hold(self, starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
        """Fetch parts, and hold them instead of older ones; b"" for what cannot be had: to read it tells why."""
        parts = fetch(self._found, [self.path] * len(starts), ends, starts)
        found = [b"" if isinstance(part, BaseException) else part for part in parts]
        self._held = list(zip(starts, found, strict=True))
        return found

    def parts(self, starts: Sequence[int], length: int) -> Iterator[bytes]:
        """The bytes from each of some places on, many fetched together; an ImageError if they cannot be had."""
        for first in range(0, len(starts), PARTS_TOGETHER):
            some = starts[first : first + PARTS_TOGETHER]
            ends = [min(start + length, self.size) for start in some]
            for part in fetch(self._found, [self.path] * len(some), ends, some):
                if isinstance(part, BaseException):
                    raise url_error(self.name, part) from part
                yield part

    def begin(self, data: bytes) -> None:
        """Hold the first bytes, which have been fetched."""
        self._held = [(0, data)]

    def seek(self, at: int, whence: int = os.SEEK_SET) -> int:
        self._at = at + (self.size if whence == os.SEEK_END else 0)
        return self._at

    def read(self, count: int) -> bytes:
        """So many bytes from where it stands, or all up to the end; an ImageError if they cannot be had."""
        parts, end = [], min(self._at + count, self.size)
        while self._at < end:
            row = bisect_right(self._held, self._at, key=itemgetter(0)) - 1
            begin, part = self._held[row] if row >= 0 else self._ahead
            if not begin <= self._at < begin + len(part):
                begin, part = self._ahead
            if not begin <= self._at < begin + len(part):
                begin, part = self._ahead = self._at, next(self.parts([self._at], max(end - self._at, AHEAD)))
            if not part:  # it has become shorter
                break
            parts.append(part[self._at - begin : end - begin])
            self._at += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, out: Any) -> int:
        data = self.read(len(out))
        out[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._held, self._ahead = [], (0, b"")


def path_within(path: str, name: str) -> str:
    """The path of a file in a folder, "" for that of all, as a file system takes it."""
    return f"{path.rstrip('/')}/{name}" if path else name
