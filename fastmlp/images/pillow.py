"""Files <-> pixels, by Pillow: what a file begins with tells its format, and that who decodes it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import CancelledError

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastmlp import checks
from fastmlp.images.content import Content, ImageError, NoImageError, content_of_bytes, content_of_file, not_read
from fastmlp.images.image_formats import ALL, HEAD, chosen_formats, image_format_of, is_cut_off, wanted
from fastmlp.images.picture_decoders import DECODERS, Decoder
from fastmlp.images.picture_headers import PictureHeader
from fastmlp.images.png_pictures import bytes_of_png, decode_png
from fastmlp.images.tiff_fields import BeyondError, upright
from fastmlp.literals import FormatName
from fastmlp.threads import Stop
from fastmlp.writing import StrPath

MAX_PIXELS = 64 * 2**20
FIRST = 1 << 16  # bytes that are read first
BYTES_PER_PIXEL = 8  # of a file, at most: as far as a header is looked for


@checks.takes_options()
def read_image(
    source: StrPath | bytes,
    max_pixels: int = MAX_PIXELS,
    *,
    formats: str | Sequence[str] | None = None,
    reduced: bool = False,
    colour: bool = False,
) -> NDArray[np.uint8]:
    """Read an image as gray levels, or as colours.

    For gray levels colours become luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded as Pillow does; of a JPEG it is the
    luma that it stores. What is transparent, be it by an alpha channel, by the alpha of palette entries, or as the one
    transparent colour of an image, is first composited on white. Of 16-bit samples the high byte counts. Of an animation it is
    the picture that a viewer without animation shows, of a TIFF the first page. How a JPEG, PNG, TIFF or WebP is to be turned, as
    EXIF tells, is obeyed. Gamma and colour profiles are left aside. Damage beside the picture of a PNG, to a text or at the end
    of the file, does not lose it; damage within the picture is an error, and a part of a picture is none, whatever
    `PIL.ImageFile.LOAD_TRUNCATED_IMAGES` says.

    Parameters
    ----------
    source : path or bytes
        A regular file, or the contents of one. The contents tell what it is, not the name.
    max_pixels : int
        An image of more pixels is refused before memory is taken for them. The default is 2**26.
    formats : str or list of str, optional
        Which are read, of png, jpeg, bmp, gif, webp, tiff and ppm (with pgm and pbm); by default all.
    reduced : bool
        Whether a JPEG is decoded with half its sides where the shorter one has 480 pixels, with a quarter from 2000 on, and with an
        eighth from 4000 on. It takes less time, and is what classifiers see.
    colour : bool
        Whether red, green and blue are wanted; they are equal where the image is gray.

    Returns
    -------
    (H, W) or, for colours, (H, W, 3) uint8 array
        From 0, black, to 255, white.

    Raises
    ------
    ImageError
        If the file is missing, not a regular file, no such image, too large, truncated or damaged.
    """
    chosen, channels = chosen_formats(formats), 3 if colour else 1
    if isinstance(source, bytes):
        return decode(content_of_bytes("the image", source), max_pixels, None, chosen, reduced, channels)
    with content_of_file(os.fsdecode(checks.path("source", source))) as content:
        return decode(content, max_pixels, None, chosen, reduced, channels)


def decode(
    content: Content,
    max_pixels: int = MAX_PIXELS,
    stop: Stop | None = None,
    formats: Sequence[FormatName] = ALL,
    reduced: bool = True,
    channels: int = 1,
) -> NDArray[np.uint8]:
    """read_image for the bytes of a file, with JPEGs reduced; a CancelledError ends it soon once `stop` is set.

    It gives gray levels (H, W), or for 3 channels colours (H, W, 3).
    """
    found, data = _wanted_format(content, formats)
    if found == "png":
        return decode_png(content, max_pixels, stop, channels)
    name, decoder = content.name, DECODERS[found]
    try:
        data, header = _begun(content, data, decoder, max_pixels)
        levels, orientation = decoder.decode(data, header, reduced, stop, channels)
        return upright(levels, orientation)
    except (ImageError, CancelledError):
        raise
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is None:  # as Pillow's are
            raise _damaged(name, error) from error
        raise not_read(name, error) from error
    except EOFError as error:
        if content.size > len(data):
            size = f"{header.width} x {header.height} pixels"
            raise ImageError(f"{name} has {content.size} bytes; of a picture of {size} at most {len(data)} are read") from error
        raise ImageError(f"{name} is truncated") from error
    except Exception as error:  # of damaged data Pillow makes many kinds
        raise _damaged(name, error) from error


def read_bytes(content: Content) -> bytes:
    """The bytes of an image, as far as `decode` looks at them."""
    found, data = _wanted_format(content, ALL)
    if found == "png":
        return bytes_of_png(content, MAX_PIXELS)
    try:
        return _begun(content, data, DECODERS[found], MAX_PIXELS)[0]
    except (ImageError, OSError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(content.name, error) from error


def as_png(gray: NDArray[np.uint8]) -> bytes:
    """A PNG file of gray levels (H, W)."""
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "PNG", optimize=True)
    return file.getvalue()


def _wanted_format(content: Content, formats: Sequence[FormatName]) -> tuple[FormatName, bytes]:
    """The format of a file, and its first bytes; a NoImageError if nobody wants such files."""
    try:
        data = content.first(min(content.size, FIRST))
    except (OSError, MemoryError) as error:
        raise not_read(content.name, error) from error
    found = image_format_of(data[:HEAD])
    if found is None and is_cut_off(content.name, data, formats):
        raise ImageError(f"{content.name} is truncated")
    if found is None or found not in formats:
        raise NoImageError(f"{content.name} is no {wanted(formats)}" if data else f"{content.name} is empty")
    return found, data


def _begun(content: Content, data: bytes, decoder: Decoder, max_pixels: int) -> tuple[bytes, PictureHeader]:
    """What is read of a file, and what its header says; an ImageError if its picture may not be read."""
    name, size = content.name, content.size
    while True:
        try:
            header = decoder.header(data)
            break
        except BeyondError as error:
            if error.needed > BYTES_PER_PIXEL * max_pixels + content.beside:
                raise ImageError(f"{name} has its picture up to byte {error.needed}: that is too far to be read") from error
            if error.needed <= size:
                data = content.first(min(size, max(error.needed, 2 * len(data))))
            if len(data) < error.needed:
                raise ImageError(f"{name} is truncated") from error
    width, height = header.width, header.height
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; at most {max_pixels} are read")
    if width <= 0 or height <= 0:
        raise ImageError(f"{name} is damaged: its header says {width} x {height} pixels")
    most = min(size, header.most + content.beside)
    return (data if len(data) >= most else content.first(most)), header


def _damaged(name: str, error: Exception) -> ImageError:
    return ImageError(f"{name} is damaged, or of a kind that is not read: {error}")
