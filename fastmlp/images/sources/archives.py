"""Archives as sources of images: the members of a tar or zip file, listed without an object for each.

Of an archive some bytes are in memory at a time, a window that moves: on by its own length where headers are near each other, and
else from header to header.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.images.content import NoImageError
from fastmlp.images.image_formats import image_format_of
from fastmlp.images.sources.archive_reading import OpenArchive, open_archive
from fastmlp.images.sources.remote_file import RemoteFile
from fastmlp.kernels.images import archive, tar_headers, zip_headers
from fastmlp.kernels.images.names import chosen_names, keep_last, sorted_starts, starts_of
from fastmlp.writing import StrPath

STEP = 1 << 14  # members listed by one call of a kernel: some milliseconds, so that Ctrl-C is heard soon
NAME_ROOM = 1 << 20  # bytes of names, of a zip three for each of its own at most
SMALLEST_WINDOW, LARGE_WINDOW = 1 << 12, 1 << 18  # bytes
LARGEST_WINDOW = 1 << 24  # that a header may fill
LOCAL_HEADER = 30  # bytes of it, before names
SPARSE = 1 << 16  # bytes between headers, on the average, from which on those behind a URL are fetched each by itself

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
ZIP_BEGINNINGS = (b"PK\3\4", b"PK\5\6")  # a member, or an archive without any

END_RECORD = struct.Struct("<4s4H2LH")  # of the central directory: signature, disks, entries, size, offset, length of comment
END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
TAIL = END_RECORD.size + 2**16  # bytes at the end of a zip that hold the record, and a comment

DAMAGED_AT = {
    archive.BAD_HEADER: "there is no right header at byte {}",
    archive.BAD_NUMBER: "the header at byte {} has no right size",
    archive.BAD_RECORD: "the extended header at byte {} cannot be read",
    archive.BAD_ENTRY: "there is no right entry of its directory at byte {}",
    archive.BAD_PLACE: "what its directory says leads to no member, at byte {}",
    archive.OVERLAP: "the member at byte {} begins within another one",
    archive.BEYOND: "the header at byte {} has no end",
}


class Members(NamedTuple):
    """The n files in an archive; folders and hidden files are left out."""

    names: NDArray[np.uint8]
    """Their paths within the archive, one after another, each ended by NUL."""
    starts: NDArray[Any]
    """(n,) Where each path begins."""
    places: NDArray[np.int64]
    """(n, 4) Offset of the data in the archive, stored size, method (0: stored as it is, -1: encrypted, else of zip), full size."""
    skipped: int
    """Members that are no regular files: links, devices, sparse files."""


def kind(path: StrPath) -> str | None:
    """Whether a file is an archive, by its contents: "tar", "zip" or None. OSError if it cannot be read; of a URL an
    ImageError."""
    return _told(path, _kind)


def compression(path: StrPath) -> str | None:
    """What a file is compressed by, as a whole: "gzip", "bzip2", "xz", "zstd" or None. Errors as of `kind`."""
    return _told(path, lambda archive: _compression(_part(archive, 0, tar_headers.BLOCK)))


def _told(path: StrPath, tell: Callable[[OpenArchive], str | None]) -> str | None:
    """What is told of a file; None of what is no regular one."""
    try:
        archive = open_archive(os.fspath(path))
    except NoImageError:
        return None
    with archive:
        return tell(archive)


def _part(archive: OpenArchive, at: int, count: int) -> bytes:
    """So many bytes from a place on, fewer where the file ends; behind a URL no more than these are fetched, and they are held."""
    count = min(count, archive.size - at)
    if isinstance(archive.file, RemoteFile):
        archive.file.hold([at], [at + count])
    return archive.read(at, count)


def _tail(archive: OpenArchive) -> bytes:
    return _part(archive, max(0, archive.size - TAIL), TAIL)


def _compression(beginning: bytes) -> str | None:
    return next((name for magic, name in COMPRESSED.items() if beginning.startswith(magic)), None)


def _kind(archive: OpenArchive) -> str | None:
    beginning = _part(archive, 0, tar_headers.BLOCK)
    if beginning.startswith(ZIP_BEGINNINGS):
        return "zip"
    if len(beginning) == tar_headers.BLOCK and beginning[148:156].strip(b" \0").isdigit():  # where a tar has its checksum
        header = np.frombuffer(bytearray(beginning), np.uint8)
        if tar_headers.header_is_right(header, 0):
            return "tar"
    if image_format_of(beginning) or _compression(beginning):  # a picture is one, whatever hides behind it
        return None
    return "zip" if _end_record(_tail(archive)) >= 0 else None  # behind other bytes, as of a program that unpacks it


def _end_record(tail: bytes) -> int:
    """Where the record of the end of a zip's directory begins in the last bytes of a file; -1 without one."""
    place = tail.rfind(b"PK\5\6")
    while place >= 0:
        if len(tail) - place >= END_RECORD.size and place + END_RECORD.size + END_RECORD.unpack_from(tail, place)[-1] <= len(tail):
            return place
        place = tail.rfind(b"PK\5\6", 0, place)
    return place


def members(file: OpenArchive, ordered: bool = True) -> Members:
    """List the files in a tar or zip archive.

    Leading "/" and "./" are taken off the paths. A part that begins with a dot, other than "." and "..", makes a member hidden. Of
    members with the same path the last one counts. Paths are bytes as they stand in the archive; but those of a zip that are not
    marked as UTF-8 are taken to be in code page 437, and become UTF-8.

    Parameters
    ----------
    file : OpenArchive
    ordered : bool
        Whether to sort by path, as bytes; else the order is the archive's.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no archive, truncated or damaged; if members overlap, or their paths are longer than 65535 bytes.
    """
    found = _kind(file)
    if found == "tar":
        names, places = _walk(
            _Window(file, 0, file.size),
            lambda places, names, window: tar_headers.walk_tar(places, names, window.data, window.base, window.size),
        )
    elif found == "zip":
        start, end, before = _directory(file, _tail(file))
        names, places = _walk(
            _Window(file, start, end),
            lambda places, names, window: zip_headers.walk_zip(places, names, window.data, window.size, before, start),
        )
    else:
        raise ValueError(f"{file.name} is neither a tar nor a zip archive")
    starts, chosen, skipped = _chosen(names, places, ordered)
    names, places = chosen_names(names, starts), places[chosen]
    if found == "zip":
        _pass_local_headers(file, places, start)
    return Members(names, starts_of(names), places, skipped)


class _Window:
    """Some bytes of a file, `data`, from `base` on; of which there are `size` up to an end."""

    def __init__(self, file: OpenArchive, base: int, end: int) -> None:
        self._file, self._end, self._length = file, end, LARGE_WINDOW // 4
        self._room = np.empty(LARGE_WINDOW, np.uint8)
        self._move(base)

    def move(self, at: int) -> None:
        """To where a walk stopped, counted from where the window begins: a larger one if that is the same place."""
        if at == 0:
            if self._length >= LARGEST_WINDOW:
                raise self.damaged(archive.BEYOND, 0)
            self._length *= 4
        elif at > 4 * self._length:
            self._length = max(self._length // 2, SMALLEST_WINDOW)
        else:
            self._length = min(2 * self._length, LARGE_WINDOW)
        self._move(self.base + at)

    def _move(self, base: int) -> None:
        self.base, self.size = base, max(0, self._end - base)
        if self._length > self._room.size:
            self._room = np.empty(self._length, np.uint8)
        self.data = self._room[: min(self._length, self.size)]
        self._file.read_into(self.data, base)

    def damaged(self, why: int, at: int) -> ValueError:
        """The error for what a walk has found there."""
        return _damaged(self._file, why, self.base + at)


def _damaged(file: OpenArchive, why: int, at: int) -> ValueError:
    if why == archive.TRUNCATED:
        return ValueError(f"{file.name} is truncated")
    return ValueError(f"{file.name} is damaged: {DAMAGED_AT[why].format(at)}")


# places, names, window -> how many members, how many bytes of names, where it stopped, why
Walk = Callable[[NDArray[np.int64], NDArray[np.uint8], _Window], tuple[int, int, int, int]]


def _walk(window: _Window, walk: Walk) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The names and places of all members, in the archive's order."""
    places, names = np.empty((STEP, 4), np.int64), np.empty(NAME_ROOM, np.uint8)
    all_names, all_places = [], []
    why = archive.FULL
    while why != archive.END:
        count, used, at, why = walk(places, names, window)
        all_names.append(names[:used].copy())
        all_places.append(places[:count].copy())
        if why not in (archive.END, archive.FULL, archive.BEYOND):
            raise window.damaged(why, at)
        if why != archive.END:
            window.move(at)
    return np.concatenate(all_names), np.concatenate(all_places)


def _pass_local_headers(file: OpenArchive, places: NDArray[np.int64], start: int) -> None:
    """Sets the offsets of a zip's members to their data, behind their local headers; the directory is at `start`."""
    order = np.argsort(places[:, 0])
    first = int(places[order[0], 0]) if len(order) else 0
    before, done, why = 0, 0, archive.BEYOND
    if isinstance(file.file, RemoteFile) and start - first > SPARSE * len(order):
        offsets = places[order, 0].tolist()
        for k, header in enumerate(file.file.parts(offsets, LOCAL_HEADER)):
            one = order[k : k + 1], np.frombuffer(bytearray(header), np.uint8)
            _, before, at, why = zip_headers.pass_local_headers(places, *one, offsets[k], start, before)
            if why != archive.END:
                raise _damaged(file, why, offsets[k] + at)
        return
    window = _Window(file, first, start)
    while why == archive.BEYOND:
        count, before, at, why = zip_headers.pass_local_headers(places, order[done:], window.data, window.base, start, before)
        done += count
        if why == archive.BEYOND:
            window.move(at)
    if why != archive.END:
        raise window.damaged(why, at)


def _chosen(names: NDArray[np.uint8], places: NDArray[np.int64], ordered: bool) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    """Where the names of members that count begin, in their order; which members these are; how many were no files."""
    starts = sorted_starts(names)
    starts = starts[: keep_last(starts, names)]
    if not ordered:
        starts.sort()
    last = np.searchsorted(starts_of(names), starts)
    files = places[last, 2] != archive.NO_FILE
    return starts[files], last[files], last.size - int(np.count_nonzero(files))


def _directory(file: OpenArchive, tail: bytes) -> tuple[int, int, int]:
    """Where the central directory of a zip begins and ends, and by how many bytes its offsets are too small.

    It ends where the record of its end begins, which is followed by a comment. A zip may begin behind other bytes.
    """
    place = _end_record(tail)
    if place < 0:
        raise ValueError(f"{file.name} is truncated or damaged: it has no end of a directory")
    _, disk, first_disk, _, _, size, offset, _ = END_RECORD.unpack_from(tail, place)
    end = file.size - len(tail) + place
    if end >= LOCATOR_64.size + END_RECORD_64.size:
        locator, record = (
            parts.unpack(file.read(end - back, parts.size))
            for parts, back in ((LOCATOR_64, LOCATOR_64.size), (END_RECORD_64, LOCATOR_64.size + END_RECORD_64.size))
        )
        if locator[0] == b"PK\6\7" and record[0] == b"PK\6\6":
            disk, first_disk, size, offset = record[4], record[5], record[8], record[9]
            end -= LOCATOR_64.size + END_RECORD_64.size
    if disk or first_disk:
        raise ValueError(f"{file.name} is damaged: it is one of several parts of an archive")
    if size > end or offset > end:
        raise ValueError(f"{file.name} is damaged: its directory is not where its end says")
    return end - size, end, end - size - offset
