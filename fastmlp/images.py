"""PNG files to gray pixels: the one room that knows Pillow.

Pillow gets to see the chunks that hold the picture and nothing else of a file, after their lengths and checksums were
found right. So texts, profiles, and the further frames of an animation cost nothing and can do no harm.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

StrPath = str | os.PathLike[str]

MAX_PIXELS = 64 * 2**20
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_CHUNKS = (b"PLTE", b"tRNS", b"IDAT", b"IEND")
GRAY, TRUECOLOUR, PALETTE = 0, 2, 3  # colour types


class ImageError(ValueError):
    """A file, or bytes, that cannot be read as a PNG image; the message is a sentence that names it."""


class NoPNGError(ImageError):
    """A file, or bytes, that do not begin as a PNG image does; or something that is no file."""


def read_image(source: StrPath | bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a PNG image as gray levels.

    Colours become luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded as Pillow does. What is transparent, be it
    by an alpha channel, by the alpha of palette entries, or as the one transparent colour of an image, is first
    composited on white. Of 16-bit samples the high byte counts. Of an animation it is the picture that a viewer without
    animation shows. Gamma and colour profiles are left aside.

    Parameters
    ----------
    source : path or bytes
        A regular file, or the contents of one. The contents tell whether it is a PNG, not the name.
    max_pixels : int
        An image of more pixels is refused before memory is taken for them. The default is 2**26.

    Returns
    -------
    (H, W) uint8 array
        From 0, black, to 255, white.

    Raises
    ------
    ImageError
        If the file is missing, not a regular file, not a PNG, too large, truncated or damaged.
    """
    if isinstance(source, bytes):
        return decode("the image", source, max_pixels)
    name = os.fspath(source)
    return decode(name, read_file(name, most_bytes(max_pixels)), max_pixels)


def most_bytes(max_pixels: int) -> int:
    """The bytes of the largest file that is read: a pixel has 8 at most; the rest is for texts and profiles."""
    return 8 * max_pixels + 2**24


def decode(name: str, data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """read_image for the contents of a file of that name."""
    picture = _picture(name, data, max_pixels)
    try:
        return _gray_levels(picture)
    except Exception as error:  # of damaged data Pillow makes an OSError, SyntaxError, ValueError, and others
        raise ImageError(f"{name} is damaged: {error}") from error


def read_file(path: str, max_bytes: int) -> bytes:
    """The contents of a regular file; of one that is no PNG, the beginning."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):  # to open a device might do something
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # should it be a FIFO by now
            with open(os.open(path, flags), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode):
                    return _read_open(path, file, status.st_size, max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    raise NoPNGError(f"{path} is not a regular file")


def _read_open(path: str, file: io.FileIO, size: int, max_bytes: int) -> bytes:
    beginning = file.read(len(SIGNATURE))
    if beginning != SIGNATURE:
        return beginning
    if size > max_bytes:
        raise ImageError(f"{path} has {size} bytes; at most {max_bytes} are read")
    parts = [beginning]
    while size > 0 and (part := file.read(min(size, max_bytes))):  # a file that grows has an end all the same
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Picture(NamedTuple):
    png: bytes  # the chunks that hold the picture, as a PNG file
    colour_type: int
    depth: int  # bits per sample
    transparent: bytes  # the one transparent colour, as the tRNS chunk of an image without a palette holds it


def _picture(name: str, data: bytes, max_pixels: int) -> _Picture:
    if not data.startswith(SIGNATURE):
        raise NoPNGError(f"{name} is not a PNG file" if data else f"{name} is empty")
    chunks = _chunks(name, data)
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != 25:
        raise ImageError(f"{name} is damaged: it does not begin with a PNG header")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", header, 8)
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; at most {max_pixels} are read")

    kept: list[bytes | memoryview] = [SIGNATURE, header]
    transparent = b""
    for kind, chunk in chunks:
        if kind == b"tRNS" and colour_type in (GRAY, TRUECOLOUR):
            transparent = bytes(chunk[8:-4])  # not for Pillow, which would compare it with samples scaled to 8 bits
        elif kind in PICTURE_CHUNKS:
            kept.append(chunk)
    return _Picture(b"".join(kept), colour_type, depth, transparent)


def _chunks(name: str, data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The type and all bytes of each chunk, up to IEND: length (4), type (4), contents, checksum (4)."""
    view, start, kind = memoryview(data), len(SIGNATURE), b""
    while kind != b"IEND":
        try:
            length, kind = struct.unpack_from(">I4s", data, start)
            end = start + 12 + length
            (checksum,) = struct.unpack_from(">I", data, end - 4)
        except struct.error:
            raise ImageError(f"{name} is truncated") from None
        if zlib.crc32(view[start + 4 : end - 4]) != checksum:
            raise ImageError(f"{name} is damaged: a checksum is wrong")
        yield kind, view[start:end]
        start = end


def _gray_levels(picture: _Picture) -> NDArray[np.uint8]:
    image: Image.Image = PngImageFile(io.BytesIO(picture.png))  # Image.open would warn of what max_pixels allows
    if picture.colour_type == PALETTE and image.palette is None:
        raise ValueError("it has no palette")
    if image.mode in ("P", "LA", "RGBA"):
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        image = page
    deep = image.mode.startswith("I")  # 16-bit gray, which Pillow would clip: all but the darkest would become white
    levels = (np.asarray(image) >> 8).astype(np.uint8) if deep else np.array(image.convert("L"))
    if picture.transparent:
        samples = np.asarray(image) if picture.colour_type == TRUECOLOUR else levels[..., np.newaxis]
        levels[(samples == _transparent_samples(picture)).all(axis=-1)] = 255
    return levels


def _transparent_samples(picture: _Picture) -> NDArray[np.integer]:
    """The transparent colour, scaled to 8 bits as the samples are: (1,) of gray or (3,) of red, green and blue."""
    colour = np.frombuffer(picture.transparent, ">u2", count=3 if picture.colour_type == TRUECOLOUR else 1)
    if picture.depth == 16:
        return colour >> 8
    largest = 2**picture.depth - 1
    return (colour & largest) * (255 // largest)
