"""The fields of a TIFF: those of its first page, and the orientation in EXIF, which is laid out alike.

Pillow gets to see a page that has the fields which make its picture, and no others: so what else a file says of it, and all further
pages, can neither do harm nor take time.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}  # of types, in bytes
SHORT, LONG, LONG8 = 3, 4, 16
INTEGERS = {1: "B", SHORT: "H", LONG: "I", 13: "I", LONG8: "Q", 18: "Q"}

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
SAMPLE_FORMAT, ORIENTATION = 339, 274
# Further ones: order of bits, rows of a strip, planes, options of fax, predictor, palette, sides of tiles, kinds of extra samples,
# tables of JPEG, and how YCbCr is meant.
SINGLE = (WIDTH, LENGTH, COMPRESSION, PHOTOMETRIC, SAMPLES, 266, 278, 284, 292, 293, 317, 322, 323)
OF_PICTURE = (*SINGLE, BITS, STRIP_OFFSETS, STRIP_COUNTS, 320, TILE_OFFSETS, TILE_COUNTS, 338, SAMPLE_FORMAT, 347, 530, 532)
MOST_FIELDS = 1 << 12


class BeyondError(Exception):
    """What is looked for lies beyond the bytes at hand: so many are needed."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class Field(NamedTuple):
    kind: int
    length: int  # how many values
    at: int  # the place of its value


class Fields(NamedTuple):
    """Those of the first page of a TIFF."""

    data: bytes
    order: str  # of bytes, as struct has it
    by_tag: dict[int, Field]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The whole numbers of a field; a BeyondError if they are not among the bytes at hand."""
        field = self.by_tag.get(tag)
        if field is None or field.kind not in INTEGERS:
            return default
        return struct.unpack(f"{self.order}{field.length}{INTEGERS[field.kind]}", self.value(field))

    def number(self, tag: int, default: int) -> int:
        return next(iter(self.numbers(tag)), default)

    def value(self, field: Field) -> bytes:
        return part_of(self.data, field.at, field.length * SIZES[field.kind])

    def alone(self) -> bytes:
        """A TIFF of this page, with the fields that make its picture."""
        entries, beside = [], bytearray()
        place = len(self.data) + 2 + 12 * len(OF_PICTURE) + 4
        for tag in sorted(self.by_tag.keys() & set(OF_PICTURE)):
            kind, count, _ = field = self.by_tag[tag]
            value = self.value(field)
            if kind in (LONG8, 18):
                numbers = self.numbers(tag)
                kind, value = LONG, struct.pack(f"{self.order}{count}I", *numbers)
            if tag in SINGLE:
                count, value = 1, value[: SIZES[kind]]
            if len(value) > 4:
                value, beside = struct.pack(f"{self.order}I", place + len(beside)), beside + value + b"\0" * (len(value) % 2)
            entries.append(struct.pack(f"{self.order}HHI", tag, kind, count) + value.ljust(4, b"\0"))
        directory = struct.pack(f"{self.order}H", len(entries)) + b"".join(entries).ljust(12 * len(OF_PICTURE) + 4, b"\0")
        mark = b"II*\0" if self.order == "<" else b"MM\0*"
        return mark + struct.pack(f"{self.order}I", len(self.data)) + self.data[8:] + directory + beside


def part_of(data: bytes, at: int, count: int) -> bytes:
    """So many bytes from a place on; a BeyondError if they are not at hand."""
    if at + count > len(data):
        raise BeyondError(at + count)
    return data[at : at + count]


def fields_of(data: bytes) -> Fields:
    """The fields of the first page; a ValueError if there are none, a BeyondError if more bytes are needed."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("it has no right header")
    (version,) = struct.unpack(f"{order}H", part_of(data, 2, 2))
    big = version == 43
    place, number, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    width = struct.calcsize(f"{order}{place}")
    (at,) = struct.unpack(f"{order}{place}", part_of(data, 8 if big else 4, width))
    first = at + struct.calcsize(f"{order}{number}")
    (count,) = struct.unpack(f"{order}{number}", part_of(data, at, first - at))
    if not 0 < count <= MOST_FIELDS:
        raise ValueError(f"its page has {count} fields")
    size, found = struct.calcsize(f"{order}{entry}") + width, dict[int, Field]()
    listing = part_of(data, first, count * size)
    for index in range(count):
        tag, kind, length = struct.unpack_from(f"{order}{entry}", listing, index * size)
        if kind in SIZES and tag not in found:
            at = first + (index + 1) * size - width
            if length * SIZES[kind] > width:
                (at,) = struct.unpack_from(f"{order}{place}", listing, at - first)
            found[tag] = Field(kind, length, at)
    return Fields(data, order, found)


def orientation_in(exif: bytes) -> int:
    """How a picture lies, 1 to 8, as EXIF tells; 1, upright, if it does not."""
    try:
        orientation = fields_of(exif.removeprefix(b"Exif\0\0")).number(ORIENTATION, 1)
    except (ValueError, BeyondError, struct.error):
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def upright(levels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The picture as it is to be seen; the orientation tells where its first row and its first column belong."""
    if orientation >= 5:  # left, right, right, left; and there the top, top, bottom, bottom
        levels, orientation = levels.swapaxes(0, 1), {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    rows = slice(None, None, -1 if orientation in (3, 4) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3) else 1)
    return np.ascontiguousarray(levels[rows, columns])
