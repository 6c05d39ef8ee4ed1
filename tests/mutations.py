"""PNG files without end, from a seed: whole ones of every kind, and ones that were damaged in every way we could think of.

Files come in groups: a whole picture, some damaged copies of it, and a picture whose deflate stream was written bit by bit,
with or without a flaw. Damage is mostly done under right checksums (CRC-32, often Adler-32 too), so that what lies behind them is
reached. Scalars are drawn from `random.Random`, which takes a fifth of NumPy's time for one number.
"""

import functools
import itertools
import random
import struct
import zlib
from typing import NamedTuple

import numpy as np
from deflate import FLAWS, written
from pngs import ADAM7, CHANNELS, KINDS, SIGNATURE, chunk

COVERED = [kind for kind in KINDS if kind[1] <= 8]  # what the compiled reader must read, when not interlaced
LARGE = (32_800, 40_000)  # bytes of a picture in which a match can reach back as far as the format allows
DAMAGED_COPIES = 8  # in each group


class Picture(NamedTuple):
    header: bytes  # the contents of IHDR
    before: tuple  # the chunks between IHDR and IDAT, as pairs (type, contents)
    stream: bytes  # the zlib stream
    lines: bytes  # what the stream holds: filtered lines
    after: tuple = ()  # the chunks between IDAT and IEND


def files(seed, count):
    """Files of every kind, whole and damaged."""
    return itertools.islice(itertools.chain.from_iterable(group(seed, number) for number in itertools.count()), count)


def valid_files(seed, count):
    """Whole files, of the kinds that the compiled reader must read."""
    for number in range(count):
        rng = random.Random(f"valid {seed} {number}")
        yield joined(chunks_of(rng, ordinary_picture(rng), fewest=1))


def group(seed, number):
    rng = random.Random(f"{seed} {number}")
    picture = ordinary_picture(rng) if rng.random() < 0.6 else odd_picture(rng)
    chunks = chunks_of(rng, picture)
    file = joined(chunks)
    yield file
    for level in rng.choices(("stream", "chunks", "header", "bytes"), weights=(5, 3, 1, 1), k=DAMAGED_COPIES):
        if level == "stream":
            stream = rng.choice(STREAM_DAMAGES)(rng, picture)
            yield joined(chunks_of(rng, picture._replace(stream=stream)))
        elif level == "chunks":
            yield joined(rng.choice(CHUNK_DAMAGES)(rng, chunks))
        elif level == "header":
            yield joined([(b"IHDR", forged_header(rng, picture.header)), *chunks[1:]])
        else:
            yield rng.choice(FILE_DAMAGES)(rng, file)
    yield joined(chunks_of(rng, written_picture(rng)))


def joined(chunks):
    return b"".join([SIGNATURE, *(chunk(kind, body) for kind, body in chunks)])


def chunks_of(rng, picture, fewest=0):
    """The chunks of a file, as pairs (type, contents); the stream may be split anywhere, but for parts of fewer bytes."""
    stream, ends = picture.stream, [0]
    if rng.random() < 0.3:
        ends += sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randint(1, 5)))
    parts = [(b"IDAT", stream[start:end]) for start, end in itertools.pairwise([*ends, len(stream)]) if end - start >= fewest]
    return [(b"IHDR", picture.header), *picture.before, *parts, *picture.after, (b"IEND", b"")]


# -- Whole pictures ----------------------------------------------------------------------------------------------------

ANCILLARY = [
    (b"gAMA", struct.pack(">I", 45455)),
    (b"sRGB", b"\0"),
    (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
    (b"tIME", b"\7\xe8\1\1\0\0\0"),
    (b"tEXt", b"Comment\0a drawing"),
    (b"tEXt", b""),
    (b"zTXt", b"bomb\0\0" + zlib.compress(bytes(1 << 20), 9)),
    (b"iCCP", b"bomb\0\0" + zlib.compress(bytes(1 << 20), 9)),
    (b"acTL", struct.pack(">II", 1, 0)),
    (b"prIv", b"IDAT" * 20),
]


def ordinary_picture(rng):
    colour_type, depth = rng.choice(COVERED)
    width, height = side(rng), side(rng)
    before = palette_chunks(rng, depth) if colour_type == 3 else ()
    entries = len(before[0][1]) // 3 if before else None
    lines = picture_lines(rng, width, height, colour_type, depth, entries)
    before, after = (rng.choice(ANCILLARY), *before), ()
    if rng.random() < 0.3:
        before, after = (*before, rng.choice(ANCILLARY)), (rng.choice(ANCILLARY),)
    elif rng.random() < 0.7:
        before = before[1:]
    return Picture(ihdr(width, height, depth, colour_type), before, compressed(rng, lines), lines, after)


def odd_picture(rng):
    """A picture as the format allows it, or nearly so, which the compiled reader may leave to Pillow."""
    colour_type, depth = rng.choice(KINDS)
    interlaced = rng.random() < 0.2
    width, height = side(rng), side(rng)
    if not interlaced and rng.random() < 0.05:
        width = rng.randint(150, 256)
        height = rng.randint(*LARGE) * 8 // (width * CHANNELS[colour_type] * depth)
    before = ()
    if colour_type == 3 or (colour_type in (2, 6) and rng.random() < 0.3):
        before = palette_chunks(rng, depth)
    elif colour_type in (0, 2) and rng.random() < 0.7:
        bits = 16 if rng.random() < 0.1 else depth  # more than a sample has; those do not count
        colour = [rng.getrandbits(bits) for _ in range(CHANNELS[colour_type])]
        before = ((b"tRNS", struct.pack(f">{len(colour)}H", *colour)),)
    entries = len(before[0][1]) // 3 if colour_type == 3 and rng.random() < 0.5 else None  # None: indices beyond the palette
    lines = picture_lines(rng, width, height, colour_type, depth, entries, interlaced)
    return Picture(ihdr(width, height, depth, colour_type, interlaced), before, compressed(rng, lines), lines)


def side(rng):
    return 1 + int(70 * rng.random() ** 1.7)


def ihdr(width, height, depth, colour_type, interlaced=False):
    return struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)


def palette_chunks(rng, depth):
    """PLTE, and often tRNS of as many entries or fewer."""
    entries = rng.choice((1, 2, 2 ** min(depth, 8), rng.randint(1, 2 ** min(depth, 8))))
    palette = (b"PLTE", rng.randbytes(3 * entries))
    if rng.random() < 0.5:
        return (palette,)
    alphas = rng.randbytes(rng.randint(1, entries))
    if rng.random() < 0.3:
        alphas = bytes([255, 0])[: rng.randint(1, 2)] * entries  # Pillow treats one wholly transparent entry differently
        alphas = alphas[:entries]
    return palette, (b"tRNS", alphas)


def picture_lines(rng, width, height, colour_type, depth, entries=None, interlaced=False):
    """The filtered lines of a picture, of a whole one or of the seven passes of an interlaced one."""
    pixel_bits = CHANNELS[colour_type] * depth
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for y, x, dy, dx in ADAM7]
    parts = []
    for columns, rows in sizes:
        if columns > 0 and rows > 0:
            contents = contents_of(rng, rows, (columns * pixel_bits + 7) // 8)
            if entries is not None:
                contents = contents.translate(within_palette(depth, entries))
            lines = np.frombuffer(contents, np.uint8).reshape(rows, -1)
            parts.append(filtered(lines, filters_of(rng, rows), max(1, pixel_bits // 8)).tobytes())
    return b"".join(parts)


def contents_of(rng, rows, row_bytes):
    size = rows * row_bytes
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(size)
    if kind == 1:
        return rng.randbytes(1) * size
    if kind == 2:  # a gradient
        down, across = rng.randrange(256), rng.randrange(8)
        return ((np.arange(rows)[:, np.newaxis] * down + np.arange(row_bytes) * across) & 255).astype(np.uint8).tobytes()
    if kind == 3:  # noise of few values
        values = rng.randbytes(rng.randint(2, 9))
        return rng.randbytes(size).translate((values * 128)[:256])
    if kind == 4:  # long matches, from one line or from several lines back
        period = rng.randint(1, rows)
        return (rng.randbytes(row_bytes * period) * rows)[:size]
    page = np.full((rows, row_bytes), 255, np.uint8)  # a drawing
    for _ in range(3):
        row, column = rng.randrange(rows), rng.randrange(row_bytes)
        page[row : row + rng.randint(1, 9), column : column + rng.randint(1, 9)] = rng.randrange(256)
    return page.tobytes()


@functools.cache
def within_palette(depth, entries):
    """A table for bytes.translate that takes each of a byte's samples modulo the number of entries."""
    shifts = range(0, 8, depth)
    return bytes(sum((byte >> shift) % 2**depth % entries << shift for shift in shifts) for byte in range(256))


def filters_of(rng, rows):
    if rng.random() < 0.6:
        return np.full(rows, rng.randrange(5), np.uint8)
    return np.frombuffer(rng.randbytes(rows), np.uint8) % 5


def filtered(lines, filters, step):
    """What PNG's filters make of lines (H, B), each with its own; `step` is the number of bytes of a pixel."""
    rows, row_bytes = lines.shape
    padded = np.zeros((rows + 1, step + row_bytes), np.uint8)
    padded[1:, step:] = lines
    result = np.empty((rows, 1 + row_bytes), np.uint8)
    result[:, 0] = filters
    result[:, 1:] = lines
    for kind in set(filters.tolist()) - {0}:
        where = np.flatnonzero(filters == kind)
        left, up, corner = padded[where + 1, :row_bytes], padded[where, step:], padded[where, :row_bytes]
        result[where, 1:] -= predicted(kind, left, up, corner)
    return result


def predicted(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 2:
        return up
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    if kind == 3:
        return ((a + b) >> 1).astype(np.uint8)
    from_a, from_b, from_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((from_a <= from_b) & (from_a <= from_c), left, np.where(from_b <= from_c, up, corner))


STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FILTERED)
FLUSHES = (zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK)  # most leave an empty stored block


def compressed(rng, data):
    """A zlib stream, of one block or of many."""
    if rng.random() < 0.3:
        return zlib.compress(data, rng.choice((0, 1, 6, 9)))
    wbits, memory = rng.randint(9, 15), rng.randint(1, 9)
    packer = zlib.compressobj(rng.choice((0, 1, 6, 9)), zlib.DEFLATED, wbits, memory, rng.choice(STRATEGIES))
    parts, start = [], 0
    if rng.random() < 0.5:
        for end in sorted(rng.randrange(len(data)) for _ in range(rng.randint(1, 4))):
            parts += [packer.compress(data[start:end]), packer.flush(rng.choice(FLUSHES))]
            start = end
    return b"".join([*parts, packer.compress(data[start:]), packer.flush()])


def written_picture(rng):
    """A gray picture whose stream was written bit by bit."""
    flaw = rng.choice(list(FLAWS)) if rng.random() < 0.6 else None
    large = rng.random() < 0.03
    width, height = (255, rng.randint(129, 140)) if large else (rng.randint(1, 40), rng.randint(1, 12))
    size = (width + 1) * height
    wanted = size + {"too much data": 1, "too little data": -1}.get(flaw, 0) * rng.randint(1, width + 1)
    return Picture(ihdr(width, height, 8, 0), (), written(rng, wanted, flaw), b"")


# -- Damage to a stream ------------------------------------------------------------------------------------------------


def flipped(rng, data):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_byte(rng, data):
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice((b"\0", b"\xff", rng.randbytes(1))) + data[place + 1 :]


def cut(rng, data):
    return data[: rng.randrange(len(data) + 1)]


def shortened(rng, data):
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 1, 2, 4, 50)) :]


def lengthened(rng, data):
    place = rng.choice((len(data), rng.randrange(len(data) + 1)))
    return data[:place] + rng.randbytes(rng.choice((1, 2, 4, 50))) + data[place:]


def mended(stream):
    """The stream with the Adler-32 of what it holds now, where it can still be inflated; what comes after that is left out."""
    inflater = zlib.decompressobj(-15)
    try:
        held = inflater.decompress(stream[2:], 1 << 20)
    except zlib.error:
        return stream
    if not inflater.eof:
        return stream
    return stream[: len(stream) - len(inflater.unused_data)] + struct.pack(">I", zlib.adler32(held))


def stream_changed(change, rng, picture):
    return change(rng, picture.stream)


def stream_changed_and_mended(rng, picture):
    change = rng.choice((flipped, flipped, set_byte, shortened, lengthened))
    return mended(picture.stream[:2] + change(rng, picture.stream[2:]))


def stream_head_forged(rng, picture):
    """Another window size, method, or the flag of a dictionary; the check bits are often mended."""
    method, flags = picture.stream[:2]
    rest = picture.stream[2:]
    kind = rng.randrange(4)
    if kind == 0:
        method = rng.randrange(16) << 4 | 8
    elif kind == 1:
        method = rng.randrange(256)
    elif kind == 2:
        flags |= 32
        rest = rng.choice((b"", b"\0\0\0\1")) + rest
    if kind == 3 or rng.random() < 0.2:
        flags = rng.randrange(256)
    else:
        flags = flags & 0xE0
        flags += -(method << 8 | flags) % 31
    return bytes((method, flags)) + rest


def checksum_forged(rng, picture):
    stream = picture.stream
    return rng.choice((stream[:-4], stream[: -rng.randint(1, 3)], stream[:-4] + rng.randbytes(4), stream[:-1] + rng.randbytes(1)))


def followed(rng, picture):
    return picture.stream + rng.choice((b"\0", rng.randbytes(rng.randint(1, 9)), picture.stream))


def endless(rng, picture):
    return bomb(zlib.Z_DEFAULT_STRATEGY if rng.random() < 0.9 else zlib.Z_HUFFMAN_ONLY)


@functools.cache
def bomb(strategy):
    """The stream of a picture of 8 MB, of long matches or of single bytes."""
    packer = zlib.compressobj(strategy=strategy)
    return packer.compress(bytes(1 << 23)) + packer.flush()


def lines_changed(rng, picture):
    """A whole stream of the wrong lines: a filter that there is none, too few, too many, or other bytes."""
    lines = bytearray(picture.lines)
    kind = rng.randrange(4)
    row_bytes = len(lines) // int.from_bytes(picture.header[4:8])  # but for interlaced pictures, the bytes of a line
    if kind == 0:
        line = rng.randrange(len(lines) // row_bytes) * row_bytes
        lines[line] = rng.choice((5, 6, 255, rng.randrange(256)))
    elif kind == 1:
        lines = lines[: -rng.choice((1, row_bytes, rng.randint(1, len(lines))))]
    elif kind == 2:
        lines += rng.randbytes(rng.choice((1, row_bytes, 300)))
    else:
        lines = flipped(rng, lines)
    return zlib.compress(lines, rng.choice((0, 1, 6)))


STREAM_DAMAGES = [functools.partial(stream_changed, change) for change in (flipped, set_byte, cut, shortened, lengthened)]
STREAM_DAMAGES += [stream_changed_and_mended] * 4
STREAM_DAMAGES += [endless, stream_head_forged, checksum_forged, followed, lines_changed, lines_changed]


# -- Damage to the chunks, under right checksums -----------------------------------------------------------------------

KNOWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"IDAt", b"IDaT", b"iDAT", b"PLTe", b"ABCD", b"abcd", b"\0\0\0\0")


def place_of(rng, chunks):
    return rng.randrange(1, len(chunks))  # the header is damaged elsewhere


def chunk_changed(change, rng, chunks):
    place = rng.randrange(len(chunks)) if rng.random() < 0.1 else place_of(rng, chunks)
    kind, body = chunks[place]
    return [*chunks[:place], (kind, change(rng, body)), *chunks[place + 1 :]]


def chunk_renamed(rng, chunks):
    place = place_of(rng, chunks)
    return [*chunks[:place], (rng.choice(KNOWN), chunks[place][1]), *chunks[place + 1 :]]


def chunk_removed(rng, chunks):
    place = rng.randrange(len(chunks))
    return chunks[:place] + chunks[place + 1 :]


def chunk_moved(rng, chunks):
    """Somewhere else, or to several places."""
    place, copies = place_of(rng, chunks), rng.randint(1, 2)
    moved, rest = chunks[place], chunks[:place] + chunks[place + rng.randrange(2) :]
    for _ in range(copies):
        rest.insert(rng.randint(1, len(rest)), moved)
    return rest


def chunks_shuffled(rng, chunks):
    rest = chunks[1:]
    rng.shuffle(rest)
    return [chunks[0], *rest]


def chunk_inserted(rng, chunks):
    """A further header, palette, transparency, part of the picture or end, or a chunk that is not known."""
    kind = rng.choice(KNOWN)
    body = rng.choice((b"", rng.randbytes(rng.randint(0, 30)), rng.randbytes(3 * rng.randint(1, 256)), chunks[0][1]))
    place = rng.randint(1, len(chunks))
    return [*chunks[:place], (kind, body), *chunks[place:]]


def picture_interrupted(rng, chunks):
    """Something between two parts of the picture."""
    for place, (kind, body) in enumerate(chunks):
        if kind == b"IDAT":
            middle = rng.randrange(len(body) + 1)
            between = rng.choice((*ANCILLARY, (b"PLTE", rng.randbytes(9)), (b"tRNS", b"\0\0"), (b"IEND", b""), (b"IDAT", b"")))
            return [*chunks[:place], (kind, body[:middle]), between, (kind, body[middle:]), *chunks[place + 1 :]]
    return chunks


CHUNK_DAMAGES = [functools.partial(chunk_changed, change) for change in (flipped, set_byte, cut, shortened, lengthened)]
CHUNK_DAMAGES += [chunk_renamed, chunk_removed, chunk_moved, chunk_moved, chunks_shuffled, chunk_inserted, chunk_inserted]
CHUNK_DAMAGES += [picture_interrupted, picture_interrupted]


def forged_header(rng, header):
    width, height, depth, colour_type, compression, filters, interlaced = struct.unpack(">IIBBBBB", header)
    kind = rng.randrange(7)
    if kind == 0:
        width = forged_side(rng, width)
    elif kind == 1:
        height = forged_side(rng, height)
    elif kind == 2:
        depth = rng.choice((1, 2, 4, 8, 16, rng.randrange(256)))
    elif kind == 3:
        colour_type = rng.choice((*range(8), rng.randrange(256)))
    elif kind == 4:
        compression = rng.randint(1, 255)
    elif kind == 5:
        filters = rng.randint(1, 255)
    else:
        interlaced = rng.choice((1 - interlaced, 2, rng.randrange(256)))
    return struct.pack(">IIBBBBB", width, height, depth, colour_type, compression, filters, interlaced)


def forged_side(rng, side):
    return max(0, rng.choice((0, side - 1, side + 1, 2 * side, rng.randint(1, 80), 2**16, 2**31 - 1, 2**31, 2**32 - 1)))


# -- Damage to the file, checksums left as they were ----------------------------------------------------------------------


def length_forged(rng, data):
    """The length of a chunk, said to be another."""
    place = start = len(SIGNATURE)
    for _ in range(rng.randint(1, 5)):
        if place + 12 <= len(data):
            start = place
            place += 12 + int.from_bytes(data[place : place + 4])
    length = int.from_bytes(data[start : start + 4])
    length = rng.choice((0, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 12, rng.randrange(256), length ^ 1))
    return data[:start] + struct.pack(">I", length) + data[start + 4 :]


def end_lost(rng, data):
    """Some of the last chunk, or all of it and some of the one before."""
    return data[: -rng.randint(1, 16)]


FILE_DAMAGES = [flipped, set_byte, cut, shortened, lengthened, length_forged, end_lost]
