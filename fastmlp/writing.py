"""Files that are written: beside their place, and moved there at the end; what may be written over; names for what is not whole."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import IO, Any, NamedTuple

from fastmlp import checks

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
        with open(path, "rb") as file:
            beginning = file.read(BEGINNING)
        if beginning and not re.match(kind.beginning, beginning, re.DOTALL):
            raise ValueError(f"{os.fspath(path)} cannot be written: it is there and is not {kind.name}")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{os.fspath(path)} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{os.fspath(path)} cannot be written: no permission to write in {folder}")


@contextmanager
def replacing(path: StrPath, kind: FileKind, mode: str = "wb", **how: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path`, as open() would, and move it there at the end; after a failure it is gone."""
    check_writable(path, kind)
    beside = os.path.join(os.path.dirname(os.path.realpath(path)), f".fastmlp-{secrets.token_hex(8)}")
    try:
        with open(beside, mode, **how) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            os.remove(beside)
        if isinstance(error, OSError) and error.filename == beside:
            error.filename = os.fspath(path)
        raise


def replace(beside: str, path: StrPath) -> None:
    """Move a file to where an older one may be, whose permissions it gets; a symbolic link stays one."""
    with suppress(FileNotFoundError):
        os.chmod(beside, stat.S_IMODE(os.stat(path).st_mode))
    os.replace(beside, os.path.realpath(path))


def unfinished(path: StrPath, number: int = 1) -> str:
    """What a file is called that may become the one at `path` when it is whole, in the same folder."""
    stem, suffix = os.path.splitext(os.path.realpath(path) if os.path.islink(path) else os.fspath(path))
    return f"{stem}.unfinished{f'-{number}' if number > 1 else ''}{suffix}"


def free_unfinished(path: StrPath) -> str:
    """Such a name that no file has yet."""
    return next(name for number in count(1) if not os.path.lexists(name := unfinished(path, number)))
