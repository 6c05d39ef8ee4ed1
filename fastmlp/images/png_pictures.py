"""PNG files to pixels, gray or in colours, by Pillow.

Pillow gets to see the chunks that hold the picture and nothing else of a file, after their lengths and checksums were
found right, and the picture whole. So texts, profiles, and the further frames of an animation cost nothing and can do no
harm, damage to them does not lose the picture, and no setting of the calling program lets half a picture pass for one.

The header is looked at before anything else is read. It tells how many bytes the lines of the picture are, and these bound how
much is read of the file, into how many chunks it may be cut, and the memory, which is taken only where the stream can fill it.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fastmlp.images.content import Content, ImageError, NoImageError, end_if, not_read
from fastmlp.images.tiff_fields import orientation_in, upright
from fastmlp.threads import Stop

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_START = b"\0\0\0\rIHDR"
HEAD = len(SIGNATURE) + 25  # bytes: the signature, and the header chunk
PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
GRAY, TRUECOLOUR, PALETTE = 0, 2, 3  # colour types
CHANNELS = {GRAY: 1, TRUECOLOUR: 3, PALETTE: 1, 4: 2, 6: 4}
DEPTHS = {GRAY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8)}  # the others have 8 and 16 bits
WHOLE, ADAM7 = [(0, 0, 1, 1)], [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
NAME = re.compile(rb"\w{4}")  # of a chunk, for Pillow
FEW_CHUNKS = 1 << 12  # of a file, and one more for each 64 bytes of lines
DEFLATED = 1032  # bytes that one byte of a deflate stream stands for, at most
PIECE = 1 << 14  # bytes of a stream that are inflated at a time, to a thousand times as many at most
STRIP = 1 << 20  # pixels that are converted at a time
MODES = {1: "L", 3: "RGB"}  # of Pillow's images, by channels
NO_MEMORY = -9  # as Pillow's decoders tell it


def decode_png(content: Content, max_pixels: int, stop: Stop | None = None, channels: int = 1) -> NDArray[np.uint8]:
    """The gray levels (H, W) of a PNG file, or for 3 channels its colours (H, W, 3), turned as its EXIF tells; a CancelledError
    ends it soon once `stop` is set."""
    name, has_end = content.name, False
    try:
        header = _header(content, max_pixels)
        most = header.most + content.beside
        data = content.first(min(most, content.size))
    except (OSError, MemoryError) as error:
        raise not_read(name, error) from error
    try:
        picture = _picture(header, data, stop)
        has_end = picture.has_end
        return upright(_levels(picture, stop, channels), orientation_in(picture.exif))
    except (ImageError, CancelledError):
        raise
    except MemoryError as error:
        raise not_read(name, error) from error
    except EOFError as error:
        if content.size > most:
            size = f"{header.width} x {header.height} pixels"
            raise ImageError(f"{name} has {content.size} bytes; of a picture of {size} at most {most} are read") from error
        raise ImageError(f"{name} is damaged: {error}" if has_end else f"{name} is truncated") from error
    except Exception as error:  # of damaged data Pillow makes an OSError, SyntaxError, ValueError, and others
        raise ImageError(f"{name} is damaged: {error}") from error


def bytes_of_png(content: Content, max_pixels: int) -> bytes:
    """The bytes of a PNG file, as far as `decode_png` looks at them."""
    return content.first(min(_header(content, max_pixels).most + content.beside, content.size))


class _Header(NamedTuple):
    width: int
    height: int
    depth: int  # bits per sample
    colour_type: int
    interlaced: bool

    @property
    def size(self) -> int:
        """Bytes of the lines of the picture, before they are compressed."""
        bits = CHANNELS[self.colour_type] * self.depth
        passes = [(-((x - self.width) // dx), -((y - self.height) // dy)) for y, x, dy, dx in (ADAM7 if self.interlaced else WHOLE)]
        return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in passes if columns > 0)

    @property
    def most(self) -> int:
        """Bytes of the picture in a file: no compressor makes more than an eighth more of the lines."""
        return self.size + self.size // 8


def _header(content: Content, max_pixels: int) -> _Header:
    """What the first bytes of a file say, if these are those of a PNG file whose picture may be read."""
    name, head = content.name, content.first(HEAD)
    if not head.startswith(SIGNATURE):
        raise NoImageError(f"{name} is no PNG file" if head else f"{name} is empty")
    start = head[len(SIGNATURE) :][: len(HEADER_START)]
    if start != HEADER_START[: len(start)]:
        raise ImageError(f"{name} is damaged: it does not begin with a PNG header")
    if len(head) < HEAD:
        raise ImageError(f"{name} is truncated")
    width, height, depth, colour_type, interlaced = struct.unpack_from(">IIBBxxB", head, len(SIGNATURE) + 8)
    if zlib.crc32(head[-21:-4]) != int.from_bytes(head[-4:]):
        raise ImageError(f"{name} is damaged: a checksum is wrong")
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; at most {max_pixels} are read")
    if width * height == 0 or colour_type not in CHANNELS or depth not in DEPTHS.get(colour_type, (8, 16)):
        kind = f"{width} x {height} pixels of colour type {colour_type} and depth {depth}"
        raise ImageError(f"{name} is damaged: its header says {kind}")
    return _Header(width, height, depth, colour_type, interlaced > 0)


class _Picture(NamedTuple):
    header: _Header
    head: bytes  # a PNG file up to its picture: the header, and the palette with its alphas
    stream: memoryview  # the contents of the IDAT chunks
    has_end: bool  # whether there was an IEND chunk
    transparent: bytes  # the one transparent colour, as the tRNS chunk of an image without a palette holds it
    exif: bytes  # of the last eXIf chunk, before the picture or behind it


def _picture(header: _Header, data: bytes, stop: Stop | None) -> _Picture:
    """The picture that the chunks of a file hold; an EOFError where one is missing."""
    kind, head, stream, transparent, exif = b"", bytearray(data[:HEAD]), bytearray(), b"", b""
    for kind, chunk in _chunks(data, FEW_CHUNKS + header.size // 64, stop):
        if kind == b"IDAT":
            stream += chunk[8:-4]
        elif kind == b"tRNS" and header.colour_type in (GRAY, TRUECOLOUR):
            transparent = bytes(chunk[8:-4])  # not for Pillow, which would compare it with samples scaled to 8 bits
        elif kind == b"eXIf":
            exif = bytes(chunk[8:-4])
        elif kind == b"tRNS" or (kind == b"PLTE" and not stream):
            head += chunk
    head += b"\0\0\0\0IDAT"
    return _Picture(header, bytes(head), memoryview(stream), kind == b"IEND", transparent, exif)


def _chunks(data: bytes, most: int, stop: Stop | None) -> Iterator[tuple[bytes, memoryview]]:
    """The type and all bytes of each chunk behind the header that is right: length (4), type (4), contents, checksum (4).

    They end with IEND, or once the picture has begun where the file does, or where something has no name that a chunk may have:
    behind that Pillow reads nothing. What is damaged beside the picture is passed over.
    More than `most` of them are an error.
    """
    view, start, kind, has_begun = memoryview(data), HEAD, b"", False
    for number in count():
        if kind == b"IEND":
            return
        if number == most:
            raise ValueError(f"it is cut into more than {most} chunks")
        if number % FEW_CHUNKS == 0:
            end_if(stop)
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        chunk = view[start : start + 12 + length]
        if len(chunk) < 12 + length:
            if kind in PICTURE_CHUNKS or not has_begun:
                raise EOFError
            return
        if zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:]):
            yield kind, chunk
        elif (
            kind in PICTURE_CHUNKS or _hides_a_part(chunk) or not (has_begun or kind[0] & 32)
        ):  # a small first letter: to be missed
            raise ValueError("a checksum is wrong")
        if has_begun and not NAME.match(kind):
            return
        has_begun = has_begun or kind == b"IDAT"
        start += len(chunk)


def _hides_a_part(chunk: memoryview) -> bool:
    """Whether a chunk with a wrong checksum may be one of the picture of damaged type, or end behind one by a damaged length."""
    contents, checksum = bytes(chunk[8:-4]), int.from_bytes(chunk[-4:])
    return any(kind in contents or zlib.crc32(contents, zlib.crc32(kind)) == checksum for kind in PICTURE_CHUNKS)


def _levels(picture: _Picture, stop: Stop | None, channels: int) -> NDArray[np.uint8]:
    """The gray levels (H, W), or the colours (H, W, 3), a strip of lines after the other."""
    (_, height, depth, colour_type, _), transparent = picture.header, picture.transparent
    if DEFLATED * len(picture.stream) < picture.header.size:
        raise EOFError(f"its picture is truncated, {len(picture.stream)} bytes cannot hold {picture.header.size}")
    head = PngImageFile(io.BytesIO(picture.head))  # Image.open would warn of what max_pixels allows
    if colour_type == PALETTE and head.palette is None:
        raise ValueError("it has no palette")
    image = _decoded(picture, head, str(head.tile[0][3]), stop)
    image.palette, image.info = head.palette, head.info
    # Of 16-bit colours Pillow keeps the high bytes; read with the low byte first, it takes the others for these.
    low_bytes = _decoded(picture, head, "RGB;16L", stop) if transparent and (colour_type, depth) == (TRUECOLOUR, 16) else None
    levels = levels_in_strips(image, stop, channels)
    if transparent:
        rows = _rows_of_strip(image)
        for top in range(0, height, rows):
            end_if(stop)
            strip = _strip(image, top, rows)
            levels[top : top + rows][_is_transparent(picture, strip, low_bytes and _strip(low_bytes, top, rows))] = 255
    return levels


def levels_in_strips(image: Image.Image, stop: Stop | None, channels: int) -> NDArray[np.uint8]:
    """The gray levels (H, W) of an image, or for 3 channels its colours (H, W, 3), on white; made strip by strip, so that what is
    between takes little memory."""
    if image.mode == MODES[channels]:
        return np.array(image)
    shape = (image.height, image.width, 3) if channels == 3 else (image.height, image.width)
    levels, rows = np.empty(shape, np.uint8), _rows_of_strip(image)
    for top in range(0, image.height, rows):
        end_if(stop)
        levels[top : top + rows] = _levels_of(_strip(image, top, rows), channels)
    return levels


def _rows_of_strip(image: Image.Image) -> int:
    return max(1, STRIP // max(1, image.width))


def _strip(image: Image.Image, top: int, rows: int) -> Image.Image:
    """Some lines of an image."""
    if rows >= image.height:
        return image
    return image._new(image.im.crop((0, top, image.width, min(top + rows, image.height))))  # Image.crop might warn of its size


def _levels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """The gray levels of an image, or its colours, on white."""
    if image.mode in ("P", "PA", "LA", "La", "RGBA"):
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        image = page
    if image.mode.startswith("I"):  # 16-bit gray, which Pillow would clip: all but the darkest would become white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert(MODES[channels]))


def _decoded(picture: _Picture, head: Image.Image, raw_mode: str, stop: Stop | None) -> Image.Image:
    """The samples as Pillow unpacks them; not by its `load`, which lets damage pass where the calling program has told it to."""
    image, at, status, wrong = Image.new(head.mode, head.size), 0, 0, 0
    decoder = Image._getdecoder(head.mode, "zip", (raw_mode, picture.header.interlaced))
    decoder.setimage(image.im, (0, 0, *head.size))
    while at < len(picture.stream) and status >= 0:  # below 0 it is at the end, or has found something wrong
        end_if(stop)
        status, wrong = decoder.decode(picture.stream[at : at + PIECE])
        at += status
    if wrong == NO_MEMORY:
        raise MemoryError
    # A stream that ends between two lines is a picture to Pillow, and black from there on.
    if status >= 0 or wrong or picture.header.interlaced or not np.asarray(_strip(image, image.height - 1, 1)).any():
        _check_length(picture, stop)
    if status >= 0 or wrong:
        raise ValueError("its picture cannot be decoded")
    return image


def _check_length(picture: _Picture, stop: Stop | None) -> None:
    """EOFError unless all lines are there."""
    inflater, size = zlib.decompressobj(), 0
    for at in range(0, len(picture.stream), PIECE):
        end_if(stop)
        size += len(inflater.decompress(picture.stream[at : at + PIECE]))
        if size >= picture.header.size:
            return
    raise EOFError(f"its picture is truncated, {size} of {picture.header.size} bytes are there")


def _is_transparent(picture: _Picture, image: Image.Image, low_bytes: Image.Image | None) -> NDArray[np.bool_]:
    """Where a picture of gray or colours has its transparent colour (H, W)."""
    samples = np.asarray(image.convert("L") if image.mode == "1" else image).reshape(*image.size[::-1], -1)
    colour = np.frombuffer(picture.transparent, ">u2", count=samples.shape[2])
    if low_bytes is not None:
        is_equal = (samples == colour >> 8) & (np.asarray(low_bytes) == colour & 255)
    elif picture.header.depth < 16:
        largest = 2**picture.header.depth - 1
        is_equal = samples == (colour & largest) * (255 // largest)  # scaled to 8 bits as the samples are
    else:
        is_equal = samples == colour
    return is_equal.all(axis=2)
