"""PNG files to gray pixels, and back: the one room that knows Pillow.

Pillow gets to see the chunks that hold the picture and nothing else of a file, after their lengths and checksums were
found right, and the picture whole. So texts, profiles, and the further frames of an animation cost nothing and can do no
harm, damage to them does not lose the picture, and no setting of the calling program lets half a picture pass for one.
"""

from __future__ import annotations

import errno
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

from fastmlp import checks
from fastmlp.writing import StrPath

MAX_PIXELS = 64 * 2**20
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
GRAY, TRUECOLOUR, PALETTE = 0, 2, 3  # colour types
CHANNELS = {GRAY: 1, TRUECOLOUR: 3, PALETTE: 1, 4: 2, 6: 4}
WHOLE, ADAM7 = [(0, 0, 1, 1)], [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
PASSING = {errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}  # no fault of a file
PIECE = 1 << 14  # bytes of a stream that are inflated at a time, to a thousand times as many at most


class ImageError(ValueError):
    """A file, or bytes, that cannot be read as a PNG image; the message is a sentence that names it."""


class NoPNGError(ImageError):
    """A file, or bytes, that do not begin as a PNG image does; or something that is no file."""


class RetryError(ImageError):
    """A file that could not be read as memory, descriptors or its disk failed: another try may go well."""


def not_read(name: str, error: Exception) -> ImageError:
    """The error for a file that cannot be read, be that its own fault or not."""
    if isinstance(error, MemoryError):
        return RetryError(f"{name} cannot be read: there is not enough memory")
    kind = RetryError if isinstance(error, OSError) and error.errno in PASSING else ImageError
    return kind(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")


@checks.takes_options()
def read_image(source: StrPath | bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a PNG image as gray levels.

    Colours become luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded as Pillow does. What is transparent, be it
    by an alpha channel, by the alpha of palette entries, or as the one transparent colour of an image, is first
    composited on white. Of 16-bit samples the high byte counts. Of an animation it is the picture that a viewer without
    animation shows. Gamma and colour profiles are left aside. Damage beside the picture, to a text or at the end of the
    file, does not lose it; damage within the picture is an error, whatever `PIL.ImageFile.LOAD_TRUNCATED_IMAGES` says.

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
    name = os.fsdecode(checks.path("source", source))
    return decode(name, read_file(name, most_bytes(max_pixels)), max_pixels)


def most_bytes(max_pixels: int) -> int:
    """The bytes of the largest file that is read: a pixel has 8 at most; the rest is for texts and profiles."""
    return 8 * max_pixels + 2**24


def decode(name: str, data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """read_image for the contents of a file of that name."""
    picture = _picture(name, data, max_pixels)
    try:
        return _gray_levels(picture)
    except EOFError as error:
        raise ImageError(f"{name} is damaged: {error}" if picture.has_end else f"{name} is truncated") from error
    except MemoryError as error:
        raise not_read(name, error) from error
    except Exception as error:  # of damaged data Pillow makes an OSError, SyntaxError, ValueError, and others
        raise ImageError(f"{name} is damaged: {error}") from error


def as_png(gray: NDArray[np.uint8]) -> bytes:
    """A PNG file of gray levels (H, W)."""
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "PNG", optimize=True)
    return file.getvalue()


def read_file(path: str, max_bytes: int) -> bytes:
    """The contents of a regular file; of one that is no PNG, the beginning."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):  # to open a device might do something
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # should it be a FIFO by now
            with open(os.open(path, flags), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode):
                    return _read_open(path, file, status.st_size, max_bytes)
    except ImageError:
        raise
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a name that no file can have
        raise not_read(path, error) from error
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
    head: bytes  # a PNG file up to its picture: the header, and the palette with its alphas
    stream: bytes  # the contents of the IDAT chunks
    has_end: bool  # whether there was an IEND chunk
    colour_type: int
    depth: int  # bits per sample
    interlaced: bool
    transparent: bytes  # the one transparent colour, as the tRNS chunk of an image without a palette holds it


def _picture(name: str, data: bytes, max_pixels: int) -> _Picture:
    if not data.startswith(SIGNATURE):
        raise NoPNGError(f"{name} is not a PNG file" if data else f"{name} is empty")
    chunks = _chunks(name, data)
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != 25:
        raise ImageError(f"{name} is damaged: it does not begin with a PNG header")
    width, height, depth, colour_type, interlaced = struct.unpack_from(">IIBBxxB", header, 8)
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; at most {max_pixels} are read")

    head: list[bytes | memoryview] = [SIGNATURE, header]
    stream: list[memoryview] = []
    transparent = b""
    for kind, chunk in chunks:
        if kind == b"IDAT":
            stream.append(chunk[8:-4])
        elif kind == b"tRNS" and colour_type in (GRAY, TRUECOLOUR):
            transparent = bytes(chunk[8:-4])  # not for Pillow, which would compare it with samples scaled to 8 bits
        elif kind == b"tRNS" or (kind == b"PLTE" and not stream):
            head.append(chunk)
    head.append(b"\0\0\0\0IDAT")
    return _Picture(b"".join(head), b"".join(stream), kind == b"IEND", colour_type, depth, interlaced > 0, transparent)


def _chunks(name: str, data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The type and all bytes of each chunk that is right: length (4), type (4), contents, checksum (4).

    They end with IEND, or once the picture has begun where the file does. What is damaged beside the picture is passed over.
    """
    view, start, kind, has_begun = memoryview(data), len(SIGNATURE), b"", False
    while kind != b"IEND":
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        chunk = view[start : start + 12 + length]
        if len(chunk) < 12 + length:
            if kind in PICTURE_CHUNKS or not has_begun:
                raise ImageError(f"{name} is truncated")
            return
        if zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:]):
            yield kind, chunk
        elif (
            kind in PICTURE_CHUNKS or _hides_a_part(chunk) or not (has_begun or kind[0] & 32)
        ):  # a small first letter: to be missed
            raise ImageError(f"{name} is damaged: a checksum is wrong")
        has_begun = has_begun or kind == b"IDAT"
        start += len(chunk)


def _hides_a_part(chunk: memoryview) -> bool:
    """Whether a chunk with a wrong checksum may be one of the picture of damaged type, or end behind one by a damaged length."""
    contents, checksum = bytes(chunk[8:-4]), int.from_bytes(chunk[-4:])
    return any(kind in contents or zlib.crc32(contents, zlib.crc32(kind)) == checksum for kind in PICTURE_CHUNKS)


def _gray_levels(picture: _Picture) -> NDArray[np.uint8]:
    head = PngImageFile(io.BytesIO(picture.head))  # Image.open would warn of what max_pixels allows
    if picture.colour_type == PALETTE and head.palette is None:
        raise ValueError("it has no palette")
    image = _decoded(picture, head, str(head.tile[0][3]))
    image.palette, image.info = head.palette, head.info
    if image.mode in ("P", "LA", "RGBA"):
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        image = page
    deep = image.mode.startswith("I")  # 16-bit gray, which Pillow would clip: all but the darkest would become white
    levels = (np.asarray(image) >> 8).astype(np.uint8) if deep else np.array(image.convert("L"))
    if picture.transparent:
        levels[_is_transparent(picture, head, image)] = 255
    return levels


def _decoded(picture: _Picture, head: Image.Image, raw_mode: str) -> Image.Image:
    """The samples as Pillow unpacks them; not by its `load`, which lets damage pass where the calling program has told it to."""
    width, height = head.size
    try:
        image = Image.frombytes(head.mode, head.size, picture.stream, "zip", raw_mode, picture.interlaced)
    except ValueError:
        _check_length(picture, width, height)  # which may know more
        raise
    # A stream that ends between two lines is a picture to Pillow, and black from there on.
    if picture.interlaced or not np.asarray(image)[-1].any():
        _check_length(picture, width, height)
    return image


def _check_length(picture: _Picture, width: int, height: int) -> None:
    """EOFError unless all lines are there."""
    bits = CHANNELS[picture.colour_type] * picture.depth
    passes = [(-((x - width) // dx), -((y - height) // dy)) for y, x, dy, dx in (ADAM7 if picture.interlaced else WHOLE)]
    size = sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in passes if columns > 0)
    inflater, count = zlib.decompressobj(), 0
    for at in range(0, len(picture.stream), PIECE):
        count += len(inflater.decompress(picture.stream[at : at + PIECE]))
        if count >= size:
            return
    raise EOFError(f"its picture is truncated, {count} of {size} bytes are there")


def _is_transparent(picture: _Picture, head: Image.Image, image: Image.Image) -> NDArray[np.bool_]:
    """Where a picture of gray or colours has its transparent colour (H, W)."""
    samples = np.asarray(image.convert("L") if image.mode == "1" else image).reshape(*image.size[::-1], -1)
    colour = np.frombuffer(picture.transparent, ">u2", count=samples.shape[2])
    if picture.depth < 16:
        largest = 2**picture.depth - 1
        is_equal = samples == (colour & largest) * (255 // largest)  # scaled to 8 bits as the samples are
    elif picture.colour_type == GRAY:
        is_equal = samples == colour
    else:  # of colours Pillow keeps the high bytes; read with the low byte first, it takes the others for these
        is_equal = (samples == colour >> 8) & (np.asarray(_decoded(picture, head, "RGB;16L")) == colour & 255)
    return is_equal.all(axis=2)
