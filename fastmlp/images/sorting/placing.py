"""Files into their places: each by one step of the file system that is done or is not, and writes over nothing."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count

from fastmlp.images.sorting.sort_log import Identity

OPEN_FOLDERS = 128  # at a time
BLOCK = 1 << 20  # bytes of a file that are in memory at a time
RENAME_NOREPLACE = 1
NOT_KNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}  # to this file system
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Folders(dict[str, int]):
    """The folders within one, by their paths in it: open, so that what is in them is found by its name alone."""

    def __init__(self, root: str, makes: Callable[[str], None] | None = None) -> None:
        """What is missing is made if `makes` is there to be told so, before."""
        super().__init__()
        self.root, self._makes = root, makes

    def __missing__(self, folder: str) -> int:
        if len(self) >= OPEN_FOLDERS:
            self.close()
        path = os.path.join(self.root, folder) if folder else self.root
        try:
            opened = os.open(path, FOLDER)
        except FileNotFoundError:
            if self._makes is None:
                raise
            if folder:
                self[folder.rpartition("/")[0]]
            self._makes(folder)
            with suppress(FileExistsError):
                os.mkdir(path)
            opened = os.open(path, FOLDER)
        self[folder] = opened
        return opened

    def of(self, path: str) -> tuple[int, str]:
        """An open folder, and the name of a file there."""
        folder, _, name = path.rpartition("/")
        return self[folder], name

    def full(self, path: str) -> str:
        return os.path.join(self.root, path)

    def close(self) -> None:
        while self:
            os.close(self.popitem()[1])


def identity(status: os.stat_result) -> Identity:
    return Identity(status.st_ino, status.st_size, status.st_mtime_ns)


def other_names(name: str) -> Iterator[str]:
    """A name, and those that stand in for it, one after the other, where there is a file: a.png, a-2.png, a-3.png, ..."""
    yield name
    stem, suffix = os.path.splitext(name)
    for number in count(2):
        yield f"{stem}-{number}{suffix}"


def in_free_place(put: Callable[[str], None], target: str) -> str:
    """Puts a file where there is none: at the target, or else under the first of its other names."""
    folder, slash, name = target.rpartition("/")
    for free in other_names(name):
        try:
            put(free)
        except FileExistsError:
            continue
        return f"{folder}{slash}{free}"
    raise AssertionError


def find_placed(folders: Folders, target: str, is_it: Callable[[os.stat_result], bool]) -> str | None:
    """The target, or the other name of it, under which a file was put there."""
    try:
        folder, name = folders.of(target)
        for other in other_names(name):
            if is_it(os.stat(other, dir_fd=folder, follow_symlinks=False)):
                return target.removesuffix(name) + other
    except (FileNotFoundError, NotADirectoryError):
        pass
    return None


@cache
def _renameat2() -> Callable[..., int] | None:
    """The call of Linux that renames where nothing is; None where there is none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


def move_file(source: int, name: str, target: int, new: str) -> None:
    """Move a file from an open folder to another one; a FileExistsError if something is there."""
    if rename := _renameat2():
        if not rename(source, os.fsencode(name), target, os.fsencode(new), RENAME_NOREPLACE):
            return
        code = ctypes.get_errno()
        if code not in NOT_KNOWN:
            raise OSError(code, os.strerror(code), name)
    os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(name, dir_fd=source)


def remove(name: str, folder: int) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def copy_file(source: int, name: str, target: int, new: str, sure: bool) -> Identity:
    """Copy a file with its times and permissions to a name that nobody else uses.

    If `sure`, the copy outlives a loss of power, it was found to have the same bytes, and the source has not changed meanwhile.
    """
    incoming = os.open(name, FILE, dir_fd=source)
    try:
        before = os.fstat(incoming)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", name)
        with _new_file(target, new, 0o600) as outgoing:
            while block := os.read(incoming, BLOCK):
                _write(outgoing, block)
            shutil.copystat(incoming, outgoing)  # type: ignore[arg-type]  # open files will do
            if sure:
                os.fsync(outgoing)
                if not _same_bytes(incoming, outgoing) or identity(os.stat(name, dir_fd=source)) != identity(before):
                    raise OSError(errno.EIO, "it was changed while it was copied", name)
            return identity(os.fstat(outgoing))
    finally:
        os.close(incoming)


def write_new(data: bytes, target: int, new: str) -> Identity:
    """Write a file under a name that nobody else uses."""
    with _new_file(target, new, 0o666) as outgoing:
        _write(outgoing, data)
        return identity(os.fstat(outgoing))


@contextmanager
def _new_file(target: int, new: str, mode: int) -> Iterator[int]:
    """A file under a name that nobody else uses, open; after an error it is gone."""
    remove(new, target)
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode, dir_fd=target)
    try:
        yield file
    except BaseException:
        remove(new, target)
        raise
    finally:
        os.close(file)


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _same_bytes(one: int, other: int) -> bool:
    for file in one, other:
        os.lseek(file, 0, os.SEEK_SET)
    while True:
        block = os.read(one, BLOCK)
        copied = b""
        while len(copied) < len(block) and (part := os.read(other, len(block) - len(copied))):
            copied += part
        if block != copied:
            return False
        if not block:
            return not os.read(other, 1)


def same_files(source: int, name: str, target: int, new: str) -> bool:
    """Whether two files have the same bytes."""
    one = os.open(name, FILE, dir_fd=source)
    try:
        other = os.open(new, FILE, dir_fd=target)
        try:
            return _same_bytes(one, other)
        finally:
            os.close(other)
    finally:
        os.close(one)
