"""Pictures of the formats other than PNG to gray levels or colours, by Pillow's decoders.

They are called one by one, and not by the `load` of Pillow's images: that lets half a picture pass where the calling program has
told it to, and refuses or warns of sizes as that program has set. Only the first picture of a file is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastmlp.images import picture_headers as headers
from fastmlp.images.content import end_if
from fastmlp.images.picture_headers import PictureHeader
from fastmlp.images.png_pictures import MODES, NO_MEMORY, levels_in_strips
from fastmlp.images.tiff_fields import BITS, PHOTOMETRIC, SAMPLES, orientation_in
from fastmlp.threads import Stop

# By how much the sides of a JPEG are divided, and from which length of the shorter one on. Black lines on white, 1 pixel wide on
# pages of 480 to 1000 and 2 wide on 2000, are then told as well as in the whole picture, which takes 1.4 to 2 times as long; by 8
# on 2000 they would be lost, and an eighth of the time saved.
DIVIDED = {8: 4000, 4: 2000, 2: 480}
MOST_SCANS = 200  # of a JPEG: each goes through the whole picture, however few bytes it has
FED = 1 << 20  # bytes that a decoder is given at a time

Decoded = tuple[NDArray[np.uint8], int]  # gray levels (H, W), or for 3 channels colours (H, W, 3), and how they lie


class Decoder(NamedTuple):
    """How the pictures of a format are read."""

    header: Callable[[bytes], PictureHeader]
    decode: Callable[[bytes, PictureHeader, bool, Stop | None, int], Decoded]


def jpeg_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    """The luma of a JPEG, which it stores, or its colours; only CMYK is converted. Its decoder makes 1, 4, 16 or 64 pixels one."""
    octets = np.frombuffer(data, np.uint8)
    if np.count_nonzero(octets[np.flatnonzero(octets == 0xDA) - 1] == 0xFF) > MOST_SCANS:  # data.count takes five times as long
        raise ValueError(f"it has more than {MOST_SCANS} scans")
    wanted = "L" if header.details == 1 else MODES[channels]
    mode, raw_mode = ("CMYK", "CMYK;I") if header.details == 4 else (wanted, wanted)
    scale = reduction(header.width, header.height) if reduced else 1
    image = Image.new(mode, (-(-header.width // scale), -(-header.height // scale)))
    _decode_tile(image, data, ("jpeg", (0, 0, *image.size), 0, (raw_mode, "")), stop, (scale, 0))
    return levels_in_strips(image, stop, channels), header.orientation


def reduction(width: int, height: int) -> int:
    """By how much the sides of a picture are divided, as its size alone tells."""
    return next((scale for scale, least in DIVIDED.items() if min(width, height) >= least), 1)


def gif_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    frame: headers.GifFrame = header.details
    image = Image.new("P", (header.width, header.height), frame.transparent or 0)
    image.putpalette(frame.palette or bytes(level for level in range(256) for _ in "RGB"))
    if frame.transparent is not None:
        image.info["transparency"] = frame.transparent
    if image.width and frame.extents[2] > frame.extents[0] and frame.extents[3] > frame.extents[1]:
        _decode_tile(image, data, ("gif", frame.extents, frame.at, (frame.bits, frame.interlaced, -1)), stop)
    return levels_in_strips(image, stop, channels), 1


def webp_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    from PIL import _webp

    try:
        decoder = _webp.WebPAnimDecoder(data)
        mode, frame = decoder.get_info()[-1], decoder.get_next()
        if frame is None:
            raise ValueError("its picture cannot be decoded")
    except Exception as error:
        if len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise EOFError from error
        raise
    image = Image.frombytes("RGBA" if mode == "RGBA" else "RGB", (header.width, header.height), frame[0], "raw", mode)
    return levels_in_strips(image, stop, channels), orientation_in(decoder.get_chunk("EXIF") or b"")


def bmp_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    from PIL.BmpImagePlugin import BmpImageFile

    image = BmpImageFile(io.BytesIO(data))
    return levels_in_strips(_decoded_tiles(image, data, stop), stop, channels), 1


def ppm_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    return levels_in_strips(_decoded_tiles(header.details, data, stop), stop, channels), 1


def tiff_levels(data: bytes, header: PictureHeader, reduced: bool, stop: Stop | None, channels: int) -> Decoded:
    from PIL.TiffImagePlugin import TiffImageFile

    page = header.details
    alone = page.alone()
    image = _decoded_tiles(TiffImageFile(io.BytesIO(alone)), alone, stop)
    bits, is_deep = page.number(BITS, 1), image.mode.startswith("I")
    if is_deep and bits < 16:
        image = image.point(lambda level: level * 2 ** (16 - bits))
    levels = levels_in_strips(image, stop, channels)
    if is_deep and page.number(PHOTOMETRIC, 1) == 0 and page.number(SAMPLES, 1) == 1:  # 0 is white, which Pillow leaves aside
        np.subtract(255, levels, levels)
    return levels, header.orientation


DECODERS = {
    "jpeg": Decoder(headers.jpeg_header, jpeg_levels),
    "bmp": Decoder(headers.bmp_header, bmp_levels),
    "gif": Decoder(headers.gif_header, gif_levels),
    "webp": Decoder(headers.webp_header, webp_levels),
    "tiff": Decoder(headers.tiff_header, tiff_levels),
    "ppm": Decoder(headers.ppm_header, ppm_levels),
}


class _Watched(io.BytesIO):
    """Bytes that Pillow's decoders in Python read; a CancelledError once nobody waits for the picture."""

    stop: Stop | None = None

    def read(self, count: int | None = -1) -> bytes:
        end_if(self.stop)
        return super().read(count)


def _decoded_tiles(image: Any, data: bytes, stop: Stop | None) -> Image.Image:
    """An image as Pillow has opened it, with its picture."""
    size = getattr(image, "_tile_size", image.size)
    image.im = Image.core.new(image.mode, size)  # or a TIFF would compare its size with what the calling program allows
    for tile in image.tile:
        _decode_tile(image, data, tile, stop, image.decoderconfig)
    Image.Image.load(image)  # its palette
    plain: Image.Image = image._new(image.im)
    plain.info.update(image.info)
    return plain


def _decode_tile(image: Image.Image, data: bytes, tile: Any, stop: Stop | None, extra: tuple[Any, ...] = ()) -> None:
    """Decodes a part of a picture; an EOFError if bytes are missing."""
    codec, extents, at, args = tile
    decoder = Image._getdecoder(image.mode, codec, args, extra)
    try:
        decoder.setimage(image.im, extents)
        if decoder.pulls_fd:
            file = _Watched(data)
            file.stop = stop
            file.seek(at)
            decoder.setfd(file)
            status = decoder.decode(b"")[1]
        elif codec == "libtiff":
            status = decoder.decode(data)[1]
        else:
            status = _fed(decoder, memoryview(data)[at:], stop)
    finally:
        decoder.cleanup()
    if status == NO_MEMORY:
        raise MemoryError
    if status < 0:
        raise ValueError("its picture cannot be decoded")


def _fed(decoder: Any, data: memoryview, stop: Stop | None) -> int:
    """What a decoder tells at its end; it is given as many bytes at a time as it needs to get on."""
    at, most = 0, FED
    while True:
        end_if(stop)
        count, status = decoder.decode(data[at : at + most])
        if count < 0:
            return int(status)
        if (at + most >= len(data) and count < len(data) - at) or at >= len(data):
            raise EOFError
        at, most = at + count, FED if count else 2 * most
