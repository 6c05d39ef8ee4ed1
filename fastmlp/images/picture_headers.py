"""What files say of their pictures before these are decoded: how large they are, and what else their decoders have to know.

Each function takes the first bytes of a file and gives a PictureHeader. It raises a BeyondError where it needs more of them, and a
ValueError where something is wrong.
"""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

from fastmlp.images.tiff_fields import (
    BITS,
    COMPRESSION,
    LENGTH,
    ORIENTATION,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_OFFSETS,
    WIDTH,
    BeyondError,
    fields_of,
    orientation_in,
    part_of,
)

FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG: headers of frames
ALONE = {1, *range(0xD0, 0xD9)}  # those without contents
SCAN, END, APP1 = 0xDA, 0xD9, 0xE1
STEPS = 1 << 20  # parts of a file that are passed over, at most
MOST_SAMPLES = 6  # of a pixel
OLD_JPEG = 6  # a compression of TIFF


class PictureHeader(NamedTuple):
    """What a file says of its picture."""

    width: int
    height: int
    most: int
    """How many bytes of the file hold it, at most, and what goes before it."""
    orientation: int = 1
    """1 to 8, as EXIF has it."""
    details: Any = None
    """What the decoder has to know."""


def jpeg_header(data: bytes) -> PictureHeader:
    """Its details: how many channels there are."""
    at, frame, exif = 2, b"", b""
    for _ in range(STEPS):
        at = data.find(b"\xff", at)
        marker = part_of(data, at if at >= 0 else len(data), 2)[1]
        if marker in (0, 0xFF):  # no marker, or one that has something before it
            at += 1
        elif marker in ALONE:
            at += 2
        elif marker == END:
            break
        else:
            length = int.from_bytes(part_of(data, at + 2, 2))
            if marker in FRAMES and not frame:
                frame = part_of(data, at + 4, 6)
            elif marker == APP1 and not exif and data.startswith(b"Exif\0\0", at + 4):
                exif = part_of(data, at + 4, length - 2)
            elif marker == SCAN:
                break
            at += 2 + length
    if not frame:
        raise ValueError("it has no header of a frame")
    depth, height, width, channels = struct.unpack(">BHHB", frame)
    if depth != 8 or channels not in (1, 3, 4):
        raise ValueError(f"it has {channels} channels of {depth} bits, which are not read")
    return PictureHeader(width, height, 2 * channels * width * height, orientation_in(exif), channels)


class GifFrame(NamedTuple):
    """The first frame of a GIF."""

    extents: tuple[int, int, int, int]
    palette: bytes
    transparent: int | None
    interlaced: bool
    bits: int
    at: int  # where its picture begins


def gif_header(data: bytes) -> PictureHeader:
    """Its details: a GifFrame."""
    width, height, flags = struct.unpack_from("<HHB", part_of(data, 0, 13), 6)
    palette, at = _gif_palette(data, 13, flags)
    transparent = None
    for _ in range(STEPS):
        kind = part_of(data, at, 1)
        if kind == b",":
            break
        if kind != b"!":
            raise ValueError("it holds no picture")
        if part_of(data, at + 1, 2) == b"\xf9\4":  # control of the frame that follows
            control = part_of(data, at + 3, 4)
            transparent = control[3] if control[0] & 1 else None
        at += 2
        while length := part_of(data, at, 1)[0]:
            at += 1 + length
        at += 1
    left, top, columns, rows, flags = struct.unpack("<4HB", part_of(data, at + 1, 9))
    own, at = _gif_palette(data, at + 10, flags)
    bits = part_of(data, at, 1)[0]
    extents = (left, top, left + columns, top + rows)
    frame = GifFrame(extents, own or palette, transparent, bool(flags & 64), bits, at + 1)
    width, height = max(width, extents[2]), max(height, extents[3])
    return PictureHeader(width, height, at + 4 * columns * rows, details=frame)


def _gif_palette(data: bytes, at: int, flags: int) -> tuple[bytes, int]:
    """The palette that flags tell of, and where it ends."""
    size = 3 << (flags & 7) + 1 if flags & 128 else 0
    return part_of(data, at, size), at + size


def webp_header(data: bytes) -> PictureHeader:
    head = part_of(data, 0, 30)
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[k : k + 3], "little") + 1 for k in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (number & 0x3FFF for number in struct.unpack_from("<HH", head, 26))
    return PictureHeader(width, height, 5 * width * height)


def bmp_header(data: bytes) -> PictureHeader:
    head = part_of(data, 0, 14 + part_of(data, 14, 1)[0])
    if head[14] == 12:
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    return PictureHeader(width, abs(height), 4 * max(0, width) * abs(height))


def ppm_header(data: bytes) -> PictureHeader:
    """Its details: the image as Pillow has it."""
    from PIL.PpmImagePlugin import PpmImageFile  # loaded where there is one

    image = PpmImageFile(io.BytesIO(data[: 1 << 16]))
    return PictureHeader(*image.size, 18 * image.width * image.height, details=image)  # as text, a sample takes six bytes


def tiff_header(data: bytes) -> PictureHeader:
    """Its details: the fields of the first page."""
    page = fields_of(data)
    width, height, samples = page.number(WIDTH, 0), page.number(LENGTH, 0), page.number(SAMPLES, 1)
    bits, formats = page.numbers(BITS, (1,)), page.numbers(SAMPLE_FORMAT, (1,))
    if samples > MOST_SAMPLES or max(bits) > 16 or max(formats) > 1 or page.number(COMPRESSION, 1) == OLD_JPEG:
        raise ValueError(f"it has {samples} samples of {max(bits)} bits, of a kind that is not read")
    orientation = page.number(ORIENTATION, 1)
    most = len(data)
    for offsets, counts in ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS)):
        ends = map(sum, zip(page.numbers(offsets), page.numbers(counts), strict=False))
        most = max(most, *ends, 0)
    if most > len(data) and width * height:
        raise BeyondError(most)
    return PictureHeader(width, height, most, orientation if 1 <= orientation <= 8 else 1, page)
