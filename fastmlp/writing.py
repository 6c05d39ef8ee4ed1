"""Files that are written: beside their place, and moved there at the end; what may be written over; names for what is not whole."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import IO, Any, NamedTuple

from fastmlp import checks, interrupts

StrPath = str | os.PathLike[str]
BEGINNING = 1 << 10  # bytes by which a kind is known


class FileKind(NamedTuple):
    """A kind of file that is written, and may be written over: what one is called, how its name ends, what it begins with."""

    name: str
    suffixes: tuple[str, ...]
    beginning: bytes
    """A regular expression for its first bytes."""


def check_writable(path: StrPath, kind: FileKind) -> None:
    """Raise the OSError or ValueError that writing a file at `path` would end in, as far as can be told beforehand.

    What is there may be replaced if it is of the same kind, or empty.
    """
    folder = os.path.dirname(os.path.realpath(checks.path("path", path)))
    if os.path.exists(path):
        if not os.path.isfile(path):  # replacing a device would destroy it
            raise ValueError(f"{os.fspath(path)} cannot be written: it is there and is not a regular file")
        with naming(path), open(path, "rb") as file:
            beginning = file.read(BEGINNING)
        if beginning and not re.match(kind.beginning, beginning, re.DOTALL):
            raise ValueError(f"{os.fspath(path)} cannot be written: it is there and is not {kind.name}")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{os.fspath(path)} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{os.fspath(path)} cannot be written: no permission to write in {folder}")


@contextmanager
def replacing(path: StrPath, kind: FileKind, mode: str = "wb", **how: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path`, as open() would, and move it there at the end; after a failure it is gone. Ctrl-C waits."""
    check_writable(path, kind)
    beside = os.path.join(os.path.dirname(os.path.realpath(path)), f".fastmlp-{secrets.token_hex(8)}")
    with interrupts.noted():
        try:
            with naming(path, beside):
                with open(beside, mode, opener=opener_like(path), **how) as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.remove(beside)
            raise


@contextmanager
def naming(path: StrPath, *others: str | None) -> Iterator[None]:
    """Within it an OSError that names no file, or one of the others, names the one at `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, *others):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def opener_like(path: StrPath) -> Callable[[str, int], int]:
    """What open() is to open a new file with that may come to replace the one at `path`: before anything is in it, it gets the
    permissions of that one, and as far as possible its owner."""

    def opener(name: str, flags: int) -> int:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return os.open(name, flags, 0o666)
        descriptor = os.open(name, flags, 0o600)
        try:
            if (own := os.stat(name)).st_uid != status.st_uid or own.st_gid != status.st_gid:
                with suppress(PermissionError):
                    os.chown(name, status.st_uid, status.st_gid)
            with suppress(PermissionError):  # where files have no permissions
                os.chmod(name, stat.S_IMODE(status.st_mode))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    return opener


def replace(beside: str, path: StrPath) -> None:
    """Move a file to where an older one may be, and stay so after a loss of power; a symbolic link stays one."""
    place = os.path.realpath(path)
    os.replace(beside, place)
    try:
        folder = os.open(os.path.dirname(place), os.O_RDONLY)
    except PermissionError:  # it may be written but not read, or folders are never opened
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # folders of this kind are never synced
            raise
    finally:
        os.close(folder)


def unfinished(path: StrPath, number: int = 1) -> str:
    """What a file is called that may become the one at `path` when it is whole, in the same folder."""
    stem, suffix = os.path.splitext(os.path.realpath(path) if os.path.islink(path) else os.fspath(path))
    return f"{stem}.unfinished{f'-{number}' if number > 1 else ''}{suffix}"


def free_unfinished(path: StrPath) -> str:
    """Such a name that no file has yet."""
    return next(name for number in count(1) if not os.path.lexists(name := unfinished(path, number)))
