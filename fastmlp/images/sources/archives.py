"""Archives as sources of images: the members of a tar or zip file, listed without an object for each, and read in place.

An archive is mapped into memory. While it is in use it must not be shortened: what is read beyond its end would end the process.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.images.pillow import SIGNATURE
from fastmlp.kernels.images import archive
from fastmlp.kernels.images.names import chosen_names, keep_last, sorted_names, starts_of
from fastmlp.writing import StrPath

STEP = 1 << 14  # members listed by one call of a kernel: some milliseconds, so that Ctrl-C is heard soon
NAME_ROOM = 64  # bytes of a name, on the average, that are made room for

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
ZIP_BEGINNINGS = (b"PK\3\4", b"PK\5\6")  # a member, or an archive without any

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
END_RECORD = struct.Struct("<4s4H2LH")  # of the central directory: signature, disks, entries, size, offset, length of comment
END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
TAIL = END_RECORD.size + 2**16  # bytes at the end of a zip that hold the record, and a comment

DAMAGED_AT = {
    archive.BAD_HEADER: "there is no right header at byte {}",
    archive.BAD_NUMBER: "the header at byte {} has no right size",
    archive.BAD_RECORD: "the extended header at byte {} cannot be read",
    archive.BAD_ENTRY: "there is no right entry of its directory at byte {}",
    archive.BAD_PLACE: "the entry of its directory at byte {} leads to no member",
}


class Members(NamedTuple):
    """The n files in an archive; folders and hidden files are left out."""

    names: NDArray[np.uint8]
    """Their paths within the archive, one after another, each ended by NUL."""
    starts: NDArray[np.int64]
    """(n,) Where each path begins."""
    places: NDArray[np.int64]
    """(n, 4) Offset of the data in the archive, stored size, method (0: stored as it is, -1: encrypted, else of zip), full size."""
    skipped: int
    """Members that are no regular files: links, devices, sparse files."""


def kind(path: StrPath) -> str | None:
    """Whether a file is an archive, by its contents: "tar", "zip" or None. OSError if it cannot be read."""
    return _kind(*_both_ends(path))


def compression(path: StrPath) -> str | None:
    """What a file is compressed by, as a whole: "gzip", "bzip2", "xz", "zstd" or None. OSError if it cannot be read."""
    return _compression(_both_ends(path)[0])


def _both_ends(path: StrPath) -> tuple[bytes, bytes]:
    """The first bytes of a file, and the last ones where they may tell what it is."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO might mean to wait for ever
        return b"", b""
    with open(path, "rb") as file:
        beginning = file.read(archive.BLOCK)
        if beginning.startswith((SIGNATURE, *ZIP_BEGINNINGS)):  # a picture is one, whatever hides behind it
            return beginning, b""
        file.seek(-min(TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return beginning, file.read()


def _compression(beginning: bytes) -> str | None:
    return next((name for magic, name in COMPRESSED.items() if beginning.startswith(magic)), None)


def _kind(beginning: bytes, tail: bytes) -> str | None:
    if beginning.startswith(ZIP_BEGINNINGS):
        return "zip"
    if len(beginning) == archive.BLOCK and beginning[148:156].strip(b" \0").isdigit():  # where a tar has its checksum
        header = np.frombuffer(bytearray(beginning), np.uint8)
        if archive.header_is_right(header, 0):
            return "tar"
    if beginning.startswith(SIGNATURE) or _compression(beginning):
        return None
    return "zip" if _end_record(tail) >= 0 else None  # behind other bytes, as of a program that unpacks it


def _end_record(tail: bytes) -> int:
    """Where the record of the end of a zip's directory begins in the last bytes of a file; -1 without one."""
    place = tail.rfind(b"PK\5\6")
    while place >= 0:
        if len(tail) - place >= END_RECORD.size and place + END_RECORD.size + END_RECORD.unpack_from(tail, place)[-1] <= len(tail):
            return place
        place = tail.rfind(b"PK\5\6", 0, place)
    return place


def mapped(path: StrPath) -> NDArray[np.uint8]:
    """All bytes of a file, mapped into memory.

    The file must not be shortened as long as the array is in use, and the array must not be written to: either ends the process.
    (A private copy on write would be refused by the system where the file is larger than the memory.)
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return np.empty(0, np.uint8)
        return arrays.unlocked(np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8))


def members(path: StrPath, ordered: bool = True, data: NDArray[np.uint8] | None = None) -> Members:
    """List the files in a tar or zip archive.

    Leading "/" and "./" are taken off the paths. A part that begins with a dot, other than "." and "..", makes a member hidden. Of
    members with the same path the last one counts. Paths are bytes as they stand in the archive; but those of a zip that are not
    marked as UTF-8 are taken to be in code page 437, and become UTF-8.

    Parameters
    ----------
    path : path
    ordered : bool
        Whether to sort by path, as bytes; else the order is the archive's.
    data : (size,) uint8 array, optional
        The file as `mapped` gives it, if it is at hand.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no archive, truncated or damaged.
    """
    if data is None:
        data = mapped(path)
    found = _kind(data[: archive.BLOCK].tobytes(), data[max(0, data.size - TAIL) :].tobytes())
    if found == "tar":
        names, places = _walk(path, archive.walk_tar, data, 0)
    elif found == "zip":
        start, end, before = _directory(path, data)
        names, places = _walk(path, archive.walk_zip, data, start, end, before)
    else:
        raise ValueError(f"{os.fspath(path)} is neither a tar nor a zip archive")
    chosen, starts, skipped = _chosen(names, places, ordered)
    names = chosen_names(names, starts, chosen)
    return Members(names, starts_of(names), places[chosen], skipped)


def _walk(
    path: StrPath, walk: Callable[..., tuple[int, int, int, int]], data: NDArray[np.uint8], at: int, *limits: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The names and places of all members, in the archive's order."""
    places, names = np.empty((STEP, 4), np.int64), np.empty(NAME_ROOM * STEP, np.uint8)
    all_names, all_places = [], []
    why = archive.FULL
    while why == archive.FULL:
        count, used, at, why = walk(places, names, data, at, *limits)
        if count == 0:
            names = np.empty(2 * names.size, np.uint8)  # there may be one name that is longer than all the room
        all_names.append(names[:used].copy())
        all_places.append(places[:count].copy())
    if why == archive.TRUNCATED:
        raise ValueError(f"{os.fspath(path)} is truncated")
    if why != archive.END:
        raise ValueError(f"{os.fspath(path)} is damaged: {DAMAGED_AT[why].format(at)}")
    return np.concatenate(all_names), np.concatenate(all_places)


def _chosen(names: NDArray[np.uint8], places: NDArray[np.int64], ordered: bool) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    """Which members count, and in which order; where the names begin; how many were no files."""
    starts, order = sorted_names(names)
    last = order[: keep_last(order, names, starts)]
    if not ordered:
        last.sort()
    files = places[last, 2] != archive.NO_FILE
    return last[files], starts, last.size - int(np.count_nonzero(files))


def _directory(path: StrPath, data: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Where the central directory of a zip begins and ends, and by how many bytes its offsets are too small.

    It ends where the record of its end begins, which is followed by a comment. A zip may begin behind other bytes.
    """
    tail_start = max(0, data.size - TAIL)
    tail = data[tail_start:].tobytes()
    place = _end_record(tail)
    if place < 0:
        raise ValueError(f"{os.fspath(path)} is truncated or damaged: it has no end of a directory")
    _, disk, first_disk, _, _, size, offset, _ = END_RECORD.unpack_from(tail, place)
    end = tail_start + place
    if end >= LOCATOR_64.size + END_RECORD_64.size:
        locator, record = (
            parts.unpack_from(data[end - back : end].tobytes())
            for parts, back in ((LOCATOR_64, LOCATOR_64.size), (END_RECORD_64, LOCATOR_64.size + END_RECORD_64.size))
        )
        if locator[0] == b"PK\6\7" and record[0] == b"PK\6\6":
            disk, first_disk, size, offset = record[4], record[5], record[8], record[9]
            end -= LOCATOR_64.size + END_RECORD_64.size
    if disk or first_disk:
        raise ValueError(f"{os.fspath(path)} is damaged: it is one of several parts of an archive")
    if size > end or offset > end:
        raise ValueError(f"{os.fspath(path)} is damaged: its directory is not where its end says")
    return end - size, end, end - size - offset


def read_member(
    data: NDArray[np.uint8], place: Sequence[int] | NDArray[np.int64], name: str = "the member", count: int | None = None
) -> bytes:
    """Read one member, decompressed, or its first `count` bytes.

    No more is decompressed than the size that its place tells: a caller that has a limit compares it with `place[3]` before. The
    checksum of a zip's member is not looked at, as a PNG has its own.

    Parameters
    ----------
    data : (size,) uint8 array
        The archive, as `mapped` gives it.
    place : (4,) integers
        A row of `Members.places`.
    name : str
        What a message calls the member.
    count : int, optional
        How many bytes are read at most; by default all.

    Raises
    ------
    ValueError
        If the member is encrypted, compressed by an unknown method, or damaged.
    """
    offset, stored, method, size = (int(number) for number in place)
    if method == archive.ENCRYPTED:
        raise ValueError(f"{name} is encrypted")
    limit = size + 1  # one more would be too many
    if count is not None and count < size:
        size = limit = count
        stored = min(stored, count) if method == STORED else stored
    content = data[offset : offset + stored].tobytes()
    try:
        content = _decompressed(content, method, limit)
    except NotImplementedError:
        raise ValueError(f"{name} is compressed by method {method}, which is not read") from None
    except Exception as error:  # zlib, bz2 and lzma have errors of their own
        raise ValueError(f"{name} is damaged: {error}") from error
    if len(content) != size:
        raise ValueError(f"{name} is damaged: it must have {size} bytes, and has {'more' if len(content) > size else len(content)}")
    return content


def _decompressed(content: bytes, method: int, limit: int) -> bytes:
    if method == STORED:
        return content
    if method == DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, limit)
    if method == BZIP2:
        import bz2

        return bz2.BZ2Decompressor().decompress(content, limit)
    if method == LZMA:
        import lzma

        # A version (2), the length of the properties (2), which is 5, the properties, and the data: as a .lzma file it has the
        # properties, the size of what was compressed (8; unknown), and the data. A dictionary larger than that is not needed.
        dictionary = min(int.from_bytes(content[5:9], "little"), max(limit, 2**12))
        beginning = content[4:5] + dictionary.to_bytes(4, "little") + b"\xff" * 8
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(beginning + content[9:], limit)
    raise NotImplementedError
