"""PNG files written by hand, of every kind that the format knows, and the levels that reading them must give."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel, by colour type
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]  # (colour type, bit depth)
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind, body=b""):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, colour_type=0, depth=8, interlaced=False):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced))


def png(samples, colour_type=0, depth=8, *, interlaced=False, palette=None, transparent=None, extra=b""):
    """A PNG file of samples (H, W, channels), with `extra` chunks ahead of the picture."""
    height, width = samples.shape[:2]
    parts = [SIGNATURE, header(width, height, colour_type, depth, interlaced), extra]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    if transparent is not None:
        parts.append(chunk(b"tRNS", transparent))
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    lines = b"".join(packed_lines(part, depth) for part in passes if part.size)
    return b"".join([*parts, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND")])


def packed_lines(samples, depth):
    """The lines of a picture, unfiltered, as the format packs them: high bits first, each line from a whole byte."""
    lines = samples.reshape(len(samples), -1)
    if depth == 16:
        packed = lines.astype(">u2").view(np.uint8)
    else:
        bits = lines[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(len(lines), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + line.tobytes() for line in packed)


def random_samples(colour_type, depth, height=11, width=13, seed=0):
    rng = np.random.default_rng([colour_type, depth, seed])
    return rng.integers(0, 2**depth, (height, width, CHANNELS[colour_type]))


def to_8_bits(samples, depth):
    return samples >> 8 if depth == 16 else samples * (255 // (2**depth - 1))


def gray_of(colours, alpha=255):
    """Luma of red, green and blue (..., 3) on white, in the integers that Pillow uses."""
    return (on_white(colours, alpha) @ (19595, 38470, 7471) + 32768) >> 16


def on_white(colours, alpha=255):
    alpha = np.asarray(alpha)[..., np.newaxis]
    return (255 * (255 - alpha) + colours * alpha + 127) // 255


def gray_png(gray):
    """An 8-bit gray PNG of levels (H, W)."""
    return png(np.asarray(gray)[..., np.newaxis])
