"""The bytes of one file, on a disk, in an archive or at hand: read no further than somebody wants to see; and what can go wrong."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, Protocol

from fastmlp.threads import Stop

BESIDE = 1 << 24  # bytes of a file that are read beside those of its picture: texts, profiles, the next pictures of an animation
PASSING = {errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}  # no fault of a file


class ImageError(ValueError):
    """A file, or bytes, that cannot be read as an image; the message is a sentence that names it."""


class NoImageError(ImageError):
    """A file, or bytes, that do not begin as an image does that somebody wants to be read; or something that is no file."""


class RetryError(ImageError):
    """A file that could not be read as memory, descriptors or its disk failed: another try may go well."""


def not_read(name: str, error: Exception) -> ImageError:
    """The error for a file that cannot be read, be that its own fault or not."""
    if isinstance(error, MemoryError):
        return RetryError(f"{name} cannot be read: there is not enough memory")
    kind = RetryError if isinstance(error, OSError) and error.errno in PASSING else ImageError
    return kind(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")


class Readable(Protocol):
    """A file that is open."""

    def seek(self, at: int, whence: int = ..., /) -> int: ...

    def read(self, count: int, /) -> bytes: ...


class Content(NamedTuple):
    """The bytes of a file."""

    name: str
    """What messages call it."""
    size: int
    """How many they are, as the file system or the archive says."""
    first: Callable[[int], bytes]
    """The first so many of them; fewer only where they end. An ImageError, an OSError or a MemoryError if they cannot be read."""
    beside: int = BESIDE
    """How many are read, at most, beside those of its picture."""


def content_of_bytes(name: str, data: bytes) -> Content:
    return Content(name, len(data), lambda count: data[:count])


def opened(path: str, base: str = "") -> io.FileIO:
    """A regular file, opened to be read; a NoImageError for anything else, of which no device is opened, and no pipe waited for.

    A path may be relative to another folder than that of the process, which messages do not tell.
    """
    place = os.path.join(base, path)
    if stat.S_ISREG(os.stat(place).st_mode):  # to open a device might do something
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # should it be a FIFO by now
        file = os.open(place, flags)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return io.FileIO(file)
        os.close(file)
    raise NoImageError(f"{path} is not a regular file")


@contextmanager
def content_of_file(path: str, base: str = "") -> Iterator[Content]:
    """That of a regular file, which is open within it; an ImageError if it cannot be."""
    try:
        file = opened(path, base)
    except ImageError:
        raise
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a name that no file can have
        raise not_read(path, error) from error
    with file:
        yield Content(path, os.fstat(file.fileno()).st_size, partial(read_at, file, 0))


def read_at(file: Readable, at: int, count: int) -> bytes:
    """So many bytes from a place on, or all there are. Who shares the file with another thread must not call it."""
    file.seek(at)
    data = file.read(count)
    while len(data) < count and (more := file.read(count - len(data))):  # the system reads some 2 GB at a time at most
        data += more
    return data


def end_if(stop: Stop | None) -> None:
    """A CancelledError if nobody waits for the work any more."""
    if stop is not None and stop.is_set():
        raise CancelledError
