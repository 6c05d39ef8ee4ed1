"""The bytes of a PNG file to gray levels, or those of colours, for the common kinds of image (PNG specification, third edition).

It reads images of 8 bits a sample, and gray ones and palettes of 1, 2 and 4 bits, that are not interlaced and fit its scratch,
from files where all is in order: every checksum, and just the bytes that there must be. All else it refuses, and Pillow has to
say what it is.
"""

from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit_flat, jit_inline, jit_part
from fastmlp.kernels.images import inflate
from fastmlp.kernels.images.bytes import big_endian, copy, eight, item, set_byte, set_eight
from fastmlp.kernels.images.checksums import crc32
from fastmlp.kernels.simd import put

FILE_BYTES = 1 << 20  # of a file: from some 500 x 500 pixels on, Pillow is about as fast
PIXELS = 1 << 20
RAW_BYTES = 1 << 22  # of its lines

SIGNATURE = (0x89504E47, 0x0D0A1A0A)
IHDR, PLTE, TRNS, IDAT, IEND = 0x49484452, 0x504C5445, 0x74524E53, 0x49444154, 0x49454E44
EXIF = 0x65584966  # may tell that the picture is to be turned
GRAY, TRUECOLOUR, PALETTE, GRAY_ALPHA, TRUECOLOUR_ALPHA = 0, 2, 3, 4, 6
NONE, SUB, UP, AVERAGE, PAETH = range(5)
SMALLEST = 8 + 25 + 13 + 12  # signature, header, an IDAT chunk, end


class PngScratch(NamedTuple):
    """What reading an image needs; all are uint8 but the last."""

    file: Any  # its bytes, where they are not in memory
    stream: Any  # the contents of the IDAT chunks
    lines: Any  # the picture, uncompressed: a line of zeros, then each line behind its filter type
    gray: Any  # the result: H * W levels; or three planes of them, the red, the green, and the blue ones
    levels: Any  # the level of each palette entry, or of each sample of few bits
    codes: Any  # int32, see inflate.py


def png_scratch():
    return PngScratch(
        np.empty(FILE_BYTES, np.uint8),
        np.empty(FILE_BYTES, np.uint8),
        np.empty(RAW_BYTES + inflate.SLACK, np.uint8),
        np.empty(3 * PIXELS, np.uint8),
        np.empty(256, np.uint8),
        inflate.codes(),
    )


@jit_part
def is_png(data, start, stop):
    return stop - start >= 8 and (big_endian(data, start), big_endian(data, start + 4)) == SIGNATURE


class Picture(NamedTuple):
    """What the chunks of a file say."""

    height: Any  # 0: refused
    width: Any
    channels: Any
    depth: Any
    colour_type: Any
    size: Any  # of the stream
    palette: Any  # its place in the file
    entries: Any
    alphas: Any  # their place
    n_alphas: Any


@jit_flat
def read_png(scratch, data, start, stop, max_pixels, planes):
    """Fills scratch.gray from the file data[start:stop] whose signature was found right: (height, width), height 0 if refused.

    planes is 1 for gray levels, or 3 for colours, of which a gray picture has three equal ones.

    Whatever the bytes are, only places within the arrays are touched.
    """
    picture = _take_apart(scratch.stream, data, start, stop, max_pixels)
    height, line, lines = picture.height, _bytes_of_line(picture), scratch.lines
    if height > 0:
        for k in range(line + 1):
            put(lines, k, np.uint8(0))
        size = height * (line + 1)
        right = inflate.inflate(lines[line + 1 :], size, scratch.codes, scratch.stream, picture.size)
        right = right and _undo_filters(lines, height, line, max(1, picture.channels * picture.depth // 8))
        if planes == 3 and picture.colour_type & TRUECOLOUR:
            right = right and _to_colours(scratch.gray, scratch.levels, lines, data, picture, line)
        else:
            right = right and _to_gray(scratch.gray, scratch.levels, lines, data, picture, line)
            for k in range(1, planes):
                copy(scratch.gray, k * height * picture.width, scratch.gray, 0, height * picture.width)
        height *= right
    return height, picture.width


@jit_inline
def _bytes_of_line(picture):
    return (picture.width * picture.channels * picture.depth + 7) // 8


@jit_part
def _refused():
    zero = np.int64(0)
    return Picture(zero, zero, zero, zero, zero, zero, zero, zero, zero, zero)


@jit_part
def _header(data, start):
    """The picture as the header says; refused if it is none that is read here."""
    zero = np.int64(0)
    width, height = big_endian(data, start + 16), big_endian(data, start + 20)
    depth, colour_type = item(data, start + 24), item(data, start + 25)
    methods = item(data, start + 26) | item(data, start + 27) | item(data, start + 28)  # of compression, filter, interlace
    channels = zero
    if depth == 8 or (colour_type in (GRAY, PALETTE) and depth in (1, 2, 4)):
        if colour_type in (GRAY, PALETTE):
            channels = np.int64(1)
        elif colour_type == GRAY_ALPHA:
            channels = np.int64(2)
        elif colour_type == TRUECOLOUR:
            channels = np.int64(3)
        elif colour_type == TRUECOLOUR_ALPHA:
            channels = np.int64(4)
    if methods != 0 or channels == 0 or not 0 < width <= PIXELS or not 0 < height <= PIXELS:
        return _refused()
    return Picture(height, width, channels, depth, colour_type, zero, zero, zero, zero, zero)


@jit_part
def _take_apart(stream, data, start, stop, max_pixels):
    """The picture that a file's chunks describe, its compressed lines in `stream`, if all chunks are right."""
    if stop - start < SMALLEST or big_endian(data, start + 8) != 13 or big_endian(data, start + 12) != IHDR:
        return _refused()
    picture = _header(data, start)
    height, width, channels, depth, colour_type = picture[:5]
    lines = (height + 1) * (_bytes_of_line(picture) + 1)
    if height == 0 or height * width > min(max_pixels, PIXELS) or lines > RAW_BYTES:
        return _refused()

    at, kind, length = start + 8, np.int64(0), np.int64(0)
    size, idat_end = np.int64(0), np.int64(0)  # of the stream; of the last chunk of it
    palette, entries, alphas, n_alphas = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    while kind != IEND:
        if at + 12 > stop:
            return _refused()
        length, kind = big_endian(data, at), big_endian(data, at + 4)
        body, end = at + 8, at + 8 + length
        if end + 4 > stop or crc32(data, at + 4, end) != big_endian(data, end):
            return _refused()
        if kind == IDAT:
            if length == 0 or (size > 0 and at != idat_end) or size + length > FILE_BYTES:
                return _refused()
            copy(stream, size, data, body, length)
            size += length
            idat_end = end + 4
        elif kind == PLTE:
            if entries > 0 or size > 0 or length == 0 or length % 3 or colour_type in (GRAY, GRAY_ALPHA):
                return _refused()
            palette, entries = body, length // 3
            if entries > 256 or (colour_type == PALETTE and entries > 1 << depth):
                return _refused()
        elif kind == TRNS:
            if colour_type != PALETTE or n_alphas > 0 or size > 0 or not 0 < length <= entries:
                return _refused()
            alphas, n_alphas = body, length
        elif kind == IHDR:
            if at != start + 8:
                return _refused()
        elif kind == EXIF or (kind != IEND and not kind >> 29 & 1):  # a small first letter: may be passed over
            return _refused()
        at = end + 4
    if length > 0 or size == 0 or (colour_type == PALETTE and entries == 0):
        return _refused()
    return Picture(height, width, channels, depth, colour_type, size, palette, entries, alphas, n_alphas)


@jit_part
def _to_gray(gray, levels, lines, data, picture, line):
    """Whether all samples have a level, and that of each pixel."""
    height, width, channels, depth, colour_type = picture[:5]
    if channels > 1:
        if channels == 2:
            _gray_of_samples(gray, lines, height, width, 2)
        elif channels == 3:
            _gray_of_samples(gray, lines, height, width, 3)
        else:
            _gray_of_samples(gray, lines, height, width, 4)
        return True
    entries = picture.entries
    if colour_type == PALETTE:
        _palette_levels(levels, data, picture.palette, entries, picture.alphas, picture.n_alphas)
    else:
        entries = np.int64(1) << depth
        for value in range(entries):
            set_byte(levels, value, value * 255 // (entries - 1))
    return _gray_of_indices(gray, levels, entries, lines, height, width, line, depth)


@jit_part
def _to_colours(planes, levels, lines, data, picture, line):
    """Whether all samples have a colour, and the levels of red, green and blue, a plane of each."""
    height, width, pixels, right = picture.height, picture.width, picture.height * picture.width, True
    if picture.channels == 3:
        _colours_of_samples(planes, lines, height, width, 3)
    elif picture.channels == 4:
        _colours_of_samples(planes, lines, height, width, 4)
    else:
        for k in range(3):
            for n in range(picture.entries):
                alpha = item(data, picture.alphas + n) if n < picture.n_alphas else 255
                set_byte(levels, n, _on_white(item(data, picture.palette + 3 * n + k), alpha))
            plane = planes[k * pixels :]
            right = right and _gray_of_indices(plane, levels, picture.entries, lines, height, width, line, picture.depth)
    return right


@jit_inline
def _paeth(left, above, corner):
    """Whichever is nearest to left + above - corner, in this order of preference (section 9.4).

    left + above - corner is nearest to the larger of left and above where it is beyond them, and to the smaller one where it is
    below them; where that is decided by 3 * corner - left - above, no branch is needed (Fabian Giesen, for stb_image).
    """
    low, high, bound = min(left, above), max(left, above), 3 * corner - left - above
    other = low if high <= bound else corner
    return high if bound <= low else other


@jit_inline
def _add_bytes(x, y):
    """Eight sums of eight bits each: the low seven bits are added, the highest by itself."""
    return (x & 0x7F7F7F7F7F7F7F7F) + (y & 0x7F7F7F7F7F7F7F7F) ^ (x ^ y) & ~0x7F7F7F7F7F7F7F7F


@jit_part
def _undo_filters(lines, height, line, step):
    """Adds to each byte what its line's filter predicts from the byte `step` to the left, the one above, and the one left of that
    (section 9.2); whether all filters are known."""
    for y in range(1, height + 1):
        at = y * (line + 1) + 1
        above = at - line - 1
        kind = item(lines, at - 1)
        if kind == SUB:
            for k in range(step, line):
                set_byte(lines, at + k, item(lines, at + k) + item(lines, at + k - step))
        elif kind == UP:
            whole = line // 8 * 8
            for k in range(0, whole, 8):
                set_eight(lines, at + k, _add_bytes(eight(lines, at + k), eight(lines, above + k)))
            for k in range(whole, line):
                set_byte(lines, at + k, item(lines, at + k) + item(lines, above + k))
        elif kind == AVERAGE:
            for k in range(min(step, line)):
                set_byte(lines, at + k, item(lines, at + k) + (item(lines, above + k) >> 1))
            for k in range(step, line):
                set_byte(lines, at + k, item(lines, at + k) + (item(lines, at + k - step) + item(lines, above + k) >> 1))
        elif kind == PAETH:
            for k in range(min(step, line)):
                set_byte(lines, at + k, item(lines, at + k) + item(lines, above + k))
            for k in range(step, line):
                guess = _paeth(item(lines, at + k - step), item(lines, above + k), item(lines, above + k - step))
                set_byte(lines, at + k, item(lines, at + k) + guess)
        elif kind != NONE:
            return False
    return True


@jit_inline
def _luma(red, green, blue):
    """0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in Pillow's integers."""
    return 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16


@jit_inline
def _on_white(level, alpha):
    """(level * alpha + 255 * (255 - alpha)) / 255, rounded, in Pillow's integers."""
    mixed = level * alpha + 255 * (255 - alpha) + 128
    return (mixed >> 8) + mixed >> 8


@jit_part
def _palette_levels(levels, data, palette, entries, alphas, n_alphas):
    for k in range(entries):
        red, green, blue = item(data, palette + 3 * k), item(data, palette + 3 * k + 1), item(data, palette + 3 * k + 2)
        alpha = item(data, alphas + k) if k < n_alphas else 255
        set_byte(levels, k, _luma(_on_white(red, alpha), _on_white(green, alpha), _on_white(blue, alpha)))


@jit_part
def _gray_of_indices(gray, levels, entries, lines, height, width, line, depth):
    """The levels of samples of 1 to 8 bits, packed from the high bits on; whether all of them have one."""
    largest, mask = np.int64(0), (1 << depth) - 1
    for y in range(height):
        at, to = (y + 1) * (line + 1) + 1, y * width
        for x in range(width):
            bit = x * depth
            value = item(lines, at + (bit >> 3)) >> (8 - depth - (bit & 7)) & mask
            largest = max(largest, value)
            set_byte(gray, to + x, item(levels, value))
    return largest < entries


@jit_part
def _gray_of_samples(gray, lines, height, width, channels):
    """The levels of pixels of several samples; it is compiled for each number of channels."""
    for y in range(height):
        at, to, x = (y + 1) * (width * channels + 1) + 1, y * width, np.int64(0)
        while x < width:
            stop = min(x + 8, width)
            if stop == x + 8 and _all_white(lines, at + channels * x, channels):  # half the time, in drawings on white
                set_eight(gray, to + x, np.int64(-1))
            else:
                for n in range(x, stop):
                    set_byte(gray, to + n, _gray_of(lines, at + channels * n, channels))
            x = stop


@jit_part
def _colours_of_samples(planes, lines, height, width, channels):
    """The red, green and blue levels of pixels of a colour, or of a colour and alpha."""
    pixels = height * width
    for y in range(height):
        at, to = (y + 1) * (width * channels + 1) + 1, y * width
        for k in range(3):
            for x in range(width):
                level = item(lines, at + channels * x + k)
                if channels == 4:
                    level = _on_white(level, item(lines, at + channels * x + 3))
                set_byte(planes, k * pixels + to + x, level)


@jit_inline
def _all_white(lines, at, channels):
    """Whether eight pixels are white, and opaque."""
    together = np.int64(-1)
    for k in range(channels):
        together &= eight(lines, at + 8 * k)
    return together == -1


@jit_inline
def _gray_of(lines, at, channels):
    """The level of a pixel of gray and alpha, of a colour, or of a colour and alpha."""
    if channels == 2:
        return _on_white(item(lines, at), item(lines, at + 1))
    red, green, blue = item(lines, at), item(lines, at + 1), item(lines, at + 2)
    if channels == 3:
        return _luma(red, green, blue)
    alpha = item(lines, at + 3)
    return _luma(_on_white(red, alpha), _on_white(green, alpha), _on_white(blue, alpha))
