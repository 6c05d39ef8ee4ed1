"""An open archive, and the bytes of its members: read at their places, and decompressed no further than somebody wants to see.

It is read, not mapped into memory: that what was mapped is cut short by another program would end the process.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from functools import partial
from io import BytesIO, FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.content import BESIDE, Content, ImageError, RetryError, opened, read_at
from fastmlp.images.sources.remote_file import RemoteFile
from fastmlp.images.sources.urls import is_url
from fastmlp.kernels.images.archive import ENCRYPTED

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
STEP = 1 << 16  # bytes that are decompressed at a time
# Bytes of a compressed member that are read beside its picture, and how many more for each stored one.
FEW, GROWTH = 1 << 16, 64

Version = tuple[int, int]  # size and time of change of a file
Place = Sequence[int] | NDArray[np.int64]  # (4,), a row of Members.places


class OpenArchive:
    """An archive that is open to be read, by one thread at a time."""

    def __init__(self, name: str, file: FileIO | BytesIO | RemoteFile) -> None:
        self.name, self.file = name, file
        self.size = file.seek(0, os.SEEK_END)

    def __enter__(self) -> OpenArchive:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    @property
    def version(self) -> Version:
        """By which it is known that the file has changed."""
        if isinstance(self.file, RemoteFile):
            return self.file.version
        status = os.fstat(self.file.fileno())
        return status.st_size, status.st_mtime_ns

    def read(self, at: int, count: int) -> bytes:
        """So many bytes from a place on; a RetryError if they are not there any more."""
        data = read_at(self.file, at, count)
        if len(data) < count:
            raise self._cut_short()
        return data

    def read_into(self, out: NDArray[np.uint8], at: int) -> None:
        """Fills an array from a place on."""
        self.file.seek(at)
        filled = 0
        while filled < out.size:
            count = self.file.readinto(out.data[filled:])
            if not count:
                raise self._cut_short()
            filled += count

    def _cut_short(self) -> RetryError:
        return RetryError(f"{self.name} was cut short while it was read")

    def content(self, place: Place, name: str) -> Content:
        """That of a member."""
        _, stored, method, size = (int(number) for number in place)
        beside = BESIDE if method == STORED else min(BESIDE, FEW + GROWTH * stored)
        return Content(name, size, partial(read_member, self, place, name), beside)


def open_archive(path: str, version: Version | None = None, base: str = "") -> OpenArchive:
    """That at a path or a URL; a RetryError if it is no longer the file that had this version."""
    remote = RemoteFile(path) if is_url(path) else None
    archive = OpenArchive(remote.name, remote) if remote is not None else OpenArchive(path, opened(path, base))
    if version in (None, archive.version):
        return archive
    archive.file.close()
    raise RetryError(f"{archive.name} was changed after it was listed")


def read_member(archive: OpenArchive, place: Place, name: str = "the member", count: int | None = None) -> bytes:
    """The first `count` bytes of a member, decompressed, or all.

    No more is decompressed than the size that its place tells: a caller that has a limit gives a count. The checksum of a zip's
    member is not looked at, as a PNG has its own.

    Parameters
    ----------
    archive : OpenArchive
    place : (4,) integers
        A row of `Members.places`.
    name : str
        What a message calls the member.
    count : int, optional
        How many bytes are read at most; by default all.

    Raises
    ------
    OSError, RetryError
        If the archive cannot be read, or no longer.
    ImageError
        If the member is encrypted, compressed by an unknown method, or damaged.
    """
    offset, stored, method, size = (int(number) for number in place)
    if method == ENCRYPTED:
        raise ImageError(f"{name} is encrypted")
    most = size + 1 if count is None or count >= size else count  # one more would be too many
    content = archive.read(offset, min(stored, most)) if method == STORED else _decompressed(archive, place, name, most)
    expected = min(size, most)
    if len(content) != expected:
        found = "more" if len(content) > expected else len(content)
        raise ImageError(f"{name} is damaged: it must have {size} bytes, and has {found}")
    return content


def _decompressed(archive: OpenArchive, place: Place, name: str, most: int) -> bytes:
    """Up to so many bytes of a member."""
    at, stored, method, _ = (int(number) for number in place)
    end, data = at + stored, b""
    decompressor: Any
    if method == DEFLATED:
        decompressor = _Inflater()
    elif method == BZIP2:
        import bz2

        decompressor = bz2.BZ2Decompressor()
    elif method == LZMA:
        import lzma

        # A version (2), the length of the properties (2), which is 5, the properties, and the data: as a .lzma file it has the
        # properties, the size of what was compressed (8; unknown), and the data. A dictionary larger than that is not needed.
        head = archive.read(at, min(9, stored))
        at += len(head)
        dictionary = min(int.from_bytes(head[5:9], "little"), max(most, 2**12))
        data = head[4:5] + dictionary.to_bytes(4, "little") + b"\xff" * 8
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
    else:
        raise ImageError(f"{name} is compressed by method {method}, which is not read")
    content = bytearray()
    while len(content) < most and not decompressor.eof:
        if decompressor.needs_input and not data:
            data = archive.read(at, min(STEP, end - at))
            at += len(data)
        is_all = not data and decompressor.needs_input
        try:
            part = decompressor.decompress(data, most - len(content))
        except MemoryError:
            raise
        except Exception as error:  # zlib, bz2 and lzma have errors of their own
            raise ImageError(f"{name} is damaged: {error}") from error
        if is_all and not part:
            break
        content += part
        data = b""
    return bytes(content)


class _Inflater:
    """A decompressor of a deflate stream, as bz2 and lzma have them."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, most)
