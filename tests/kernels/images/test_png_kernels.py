"""The parts of the compiled PNG reader: checksums, inflate, filters; each against zlib, or the words of the specification."""

import random
import zlib

import numba
import numpy as np
import pytest
from pngs import CHANNELS, KINDS, SIGNATURE, chunk, gray_of, header, on_white, packed_lines, png, random_samples, to_8_bits

from benchmarks import reference
from fastmlp.images.content import ImageError
from fastmlp.images.extractors import extract
from fastmlp.images.pillow import read_image
from fastmlp.images.reading import read_compiled
from fastmlp.kernels.compile import jit
from fastmlp.kernels.images import checksums, inflate
from fastmlp.kernels.images import png as kernels

COMPILED = not numba.config.DISABLE_JIT
STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]
COVERED = [(colour_type, depth) for colour_type, depth in KINDS if depth < 16]

pytestmark = [pytest.mark.kernels, pytest.mark.versions]


@jit
def inflated(out, limit, codes, data, stop):
    return inflate.inflate(out, limit, codes, data, stop)


@jit
def adler32s(out, data, sizes):
    for k in range(sizes.shape[0]):
        high, low = checksums.adler32(data, sizes[k])
        out[k] = high << 16 | low


@jit
def crc32s(out, data, starts, stops):
    for k in range(starts.shape[0]):
        out[k] = checksums.crc32(data, starts[k], stops[k])


@jit
def paeths(out, left, above, corner):
    for k in range(out.shape[0]):
        out[k] = kernels._paeth(np.int64(left[k]), np.int64(above[k]), np.int64(corner[k]))


@jit
def undone(lines, height, line, step):
    return kernels._undo_filters(lines, height, line, step)


def octets(data):
    return np.frombuffer(bytearray(data), np.uint8)


# -- Checksums ---------------------------------------------------------------------------------------------------------


SIZES = np.arange(5001) if COMPILED else np.array([*range(20), 4095, 4096, 4097, 5000])


@pytest.mark.parametrize("fill", ["noise", "255", "0"])
def test_adler32_is_that_of_zlib(fill):
    data = {"noise": np.random.default_rng(0).bytes(5000), "255": b"\xff" * 5000, "0": bytes(5000)}[fill]
    out = np.empty(len(SIZES), np.int64)
    adler32s(out, octets(data), SIZES)
    assert out.tolist() == [zlib.adler32(data[:size]) for size in SIZES]


def test_crc32_is_that_of_zlib_from_anywhere_to_anywhere():
    data = np.random.default_rng(1).bytes(5000)
    starts = np.random.default_rng(2).integers(0, SIZES + 1)
    out = np.empty(len(SIZES), np.int64)
    crc32s(out, octets(data), starts, SIZES)
    assert out.tolist() == [zlib.crc32(data[start:stop]) for start, stop in zip(starts, SIZES, strict=True)]


def test_checksums_of_a_large_picture():
    data = b"\xff" * (1_000_003 if COMPILED else 10_003)
    out, size = np.empty(1, np.int64), np.array([len(data)])
    adler32s(out, octets(data), size)
    assert out[0] == zlib.adler32(data)
    crc32s(out, octets(data), 0 * size, size)
    assert out[0] == zlib.crc32(data)


# -- inflate -----------------------------------------------------------------------------------------------------------


GUARD = 77


def inflated_bytes(stream, limit, behind=b""):
    """What comes of a zlib stream with other bytes behind it; None if it is refused. Nothing is written beyond the slack."""
    out = np.full(limit + inflate.SLACK + 100, GUARD, np.uint8)
    right = inflated(out, limit, inflate.codes(), octets(stream + behind), len(stream))
    assert (out[limit + inflate.SLACK :] == GUARD).all()
    return out[:limit].tobytes() if right else None


def content(kind, size, seed):
    """Bytes to compress: some that repeat soon, some late, some never."""
    rng = np.random.default_rng([size, seed])
    if kind == "noise":
        return rng.bytes(size)
    if kind == "zeros":
        return bytes(size)
    if kind == "few values":
        return rng.integers(0, 3, size).astype(np.uint8).tobytes()
    if kind == "skewed":  # so that there are codes longer than a table's bits
        return np.minimum(rng.geometric(0.08, size) - 1, 255).astype(np.uint8).tobytes()
    period = rng.bytes(int(rng.integers(1, 20)))
    return (period * (size // len(period) + 1))[:size]


KINDS_OF_CONTENT = ["noise", "zeros", "few values", "skewed", "periods"]
LENGTHS = [0, 1, 2, 3, 7, 8, 9, 100, 257, 258, 259, 1000, 32768, 40_000, 70_000] if COMPILED else [0, 1, 9, 259, 600]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS_OF_CONTENT)
def test_inflate_undoes_what_zlib_does(kind, strategy):
    for seed, size in enumerate(LENGTHS):
        data = content(kind, size, seed)
        for level in (0, 1, 6, 9) if COMPILED else (seed % 10,):
            for bits in (9, 12, 15) if COMPILED else (9 + seed,):
                compressor = zlib.compressobj(level, zlib.DEFLATED, bits, 1 + (seed + level) % 9, strategy)
                stream = compressor.compress(data) + compressor.flush()
                assert inflated_bytes(stream, size, behind=stream[: seed % 9]) == data


def test_a_stream_of_many_blocks_of_all_kinds():
    rng, compressor = random.Random(0), zlib.compressobj(6, zlib.DEFLATED, 15, 1)
    data = stream = b""
    for number in range(60 if COMPILED else 12):
        part = content(rng.choice(KINDS_OF_CONTENT), rng.randrange(400 if COMPILED else 60), number)
        data += part
        stream += compressor.compress(part)
        stream += compressor.flush(rng.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK, zlib.Z_NO_FLUSH]))
    stream += compressor.flush()
    assert inflated_bytes(stream, len(data)) == data


def test_matches_of_every_length_and_short_distance():
    distances = range(1, 20) if COMPILED else (1, 2, 3, 5, 7, 8, 9)
    for distance in distances:
        for length in (*range(3, 40), 257, 258) if COMPILED else (3, 4, 9, 20):
            data = bytes(range(1, distance + 1)) * (length // distance + 2)
            data = data[: distance + length]
            compressor = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_FIXED)
            assert inflated_bytes(compressor.compress(data) + compressor.flush(), len(data)) == data


def test_a_stream_is_refused_unless_it_fills_just_what_it_must():
    data = content("skewed", 500, 0)
    stream = zlib.compress(data)
    for limit in (0, 1, 499, 501, 600):
        assert inflated_bytes(stream, limit) is None
    assert inflated_bytes(stream + b"\0", 500) is None
    assert inflated_bytes(stream, 500) == data


def test_a_stream_cut_off_anywhere_is_refused():
    for level in (0, 1, 9):
        stream = zlib.compress(content("skewed", 300, 1), level)
        for stop in range(0, len(stream), 1 if COMPILED else 9):
            assert inflated_bytes(stream[:stop], 300) is None


def test_a_changed_stream_gives_the_same_bytes_or_is_refused():
    rng, data = np.random.default_rng(0), content("skewed", 200, 2)
    streams = [zlib.compress(data, level) for level in (0, 1, 9)] + [zlib.compressobj(9, 8, 15, 9, zlib.Z_FIXED)]
    compressor = streams.pop()
    streams.append(compressor.compress(data) + compressor.flush())
    for number in range(4000 if COMPILED else 40):
        stream = bytearray(streams[number % len(streams)])
        for _ in range(rng.integers(1, 4)):
            stream[rng.integers(len(stream))] ^= 1 << rng.integers(8)
        try:
            expected = zlib.decompress(stream)
        except zlib.error:
            expected = None
        found = inflated_bytes(bytes(stream), 200)
        assert found is None or found == expected


def bits_of(*fields):
    """Bytes of numbers (value, bits), the lowest bit first."""
    number, at = 0, 0
    for value, count in fields:
        number |= value << at
        at += count
    return number.to_bytes((at + 7) // 8, "little")


def stream_of(*fields, data=b""):
    return b"\x78\x9c" + bits_of(*fields) + zlib.adler32(data).to_bytes(4, "big")


def reversed_bits(value, count):
    return int(f"{value:0{count}b}"[::-1], 2)


A, END = (reversed_bits(0x30 + ord("a"), 8), 8), (0, 7)  # in the code that the format fixes
MATCH_3 = (reversed_bits(1, 7), 7)


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        (((1, 1), (1, 2), A, END), b"a"),
        (((1, 1), (1, 2), A, MATCH_3, (0, 5), END), b"aaaa"),
        (((0, 1), (1, 2), A, END, (1, 1), (1, 2), MATCH_3, (0, 5), END), b"aaaa"),  # from the block before
    ],
)
def test_streams_written_by_hand(fields, data):
    assert zlib.decompress(stream_of(*fields, data=data)) == data
    assert inflated_bytes(stream_of(*fields, data=data), len(data)) == data


@pytest.mark.parametrize(
    "fields",
    [
        ((1, 1), (3, 2), (0, 40)),  # there is no block of kind 3
        ((1, 1), (1, 2), MATCH_3, (0, 5), END),  # a distance before the start
        ((1, 1), (1, 2), A, MATCH_3, (reversed_bits(1, 5), 5), END),  # the same, by one
        ((1, 1), (1, 2), A, MATCH_3, (reversed_bits(30, 5), 5), END),  # there are no distances 30 and 31
        ((1, 1), (1, 2), (reversed_bits(0b11000110, 8), 8), (0, 5), END),  # there are no lengths 286 and 287
        ((1, 1), (1, 2), A),  # without an end
        ((1, 1), (2, 2), (30, 5), (0, 5), (0, 4), (0, 60)),  # 287 literals and lengths
        ((1, 1), (2, 2), (0, 5), (31, 5), (0, 4), (0, 60)),  # 32 distances
        ((1, 1), (2, 2), (0, 5), (0, 5), (0, 4), (0, 80)),  # a code for lengths without any word
        ((1, 1), (2, 2), (0, 5), (0, 5), (0, 4), *[(1, 3)] * 4, (0, 80)),  # four words of one bit
        ((1, 1), (2, 2), (0, 5), (0, 5), (0, 4), (1, 3), (1, 3), (0, 3), (0, 3), (0, 40)),  # repeats a length before the first
        ((1, 1), (0, 2), (0, 5), (5, 16), (5, 16), (0, 40)),  # a stored length that its complement denies
        ((1, 1), (0, 2), (0, 5), (99, 16), (0xFFFF - 99, 16), (0, 40)),  # more stored bytes than there are
    ],
)
@pytest.mark.parametrize("limit", [0, 1, 4, 1000])
def test_streams_that_break_the_format_are_refused(fields, limit):
    with pytest.raises(zlib.error):
        zlib.decompress(stream_of(*fields))
    assert inflated_bytes(stream_of(*fields), limit) is None


def test_random_bytes_behind_a_right_beginning_do_no_harm():
    rng = np.random.default_rng(3)
    for number in range(5000 if COMPILED else 60):
        stream = b"\x78\x9c" + bytes([rng.integers(256) & ~6 | 2 * (number % 3)]) + rng.bytes(int(rng.integers(5, 400)))
        limit = int(rng.integers(300))
        found = inflated_bytes(stream, limit)
        assert found is None or found == zlib.decompress(stream)


@pytest.mark.parametrize("first", range(0, 256, 8 if COMPILED else 64))
def test_headers_are_right_or_refused(first):
    body = zlib.compress(b"abc")[2:]
    for second in range(0, 256, 1 if COMPILED else 16):
        try:
            expected = zlib.decompress(bytes([first, second]) + body)
        except zlib.error:
            expected = None
        assert inflated_bytes(bytes([first, second]) + body, 3) == expected


# -- Filters -----------------------------------------------------------------------------------------------------------


def paeth_of_the_specification(left, above, corner):
    """Section 9.4 of the PNG specification."""
    estimate = left + above - corner
    distances = [abs(estimate - value) for value in (left, above, corner)]
    return (left, above, corner)[distances.index(min(distances))]


def test_paeth_is_that_of_the_specification():
    values = (*range(0, 256, 5), 1, 2, 127, 128, 254) if COMPILED else (0, 1, 2, 100, 127, 128, 254, 255)
    left, above, corner = (axis.reshape(-1) for axis in np.meshgrid(values, values, values, indexing="ij"))
    out = np.empty(left.size, np.int64)
    paeths(out, left, above, corner)
    estimate = left + above - corner
    distances = np.stack([abs(estimate - left), abs(estimate - above), abs(estimate - corner)])
    assert np.array_equal(out, np.choose(distances.argmin(axis=0), [left, above, corner]))
    assert all(out[k] == paeth_of_the_specification(int(left[k]), int(above[k]), int(corner[k])) for k in range(0, out.size, 997))


def unfiltered(filtered, kinds, step):
    """Section 9.2 of the PNG specification: lines (H, L) of bytes, the filter type of each, and the bytes of a pixel."""
    lines = np.zeros((len(filtered) + 1, filtered.shape[1] + step), np.int64)  # with a line and a pixel of zeros around
    for y, kind in enumerate(kinds, 1):
        for x in range(step, lines.shape[1]):
            left, above, corner = int(lines[y, x - step]), int(lines[y - 1, x]), int(lines[y - 1, x - step])
            guess = (0, left, above, (left + above) // 2, paeth_of_the_specification(left, above, corner))[kind]
            lines[y, x] = (filtered[y - 1, x - step] + guess) % 256
    return lines[1:, step:]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_filters_are_undone_as_the_specification_says(step):
    rng = np.random.default_rng(step)
    for line in (*range(step, 40), 100) if COMPILED else (step, 7, 8, 20):
        height = int(rng.integers(1, 12))
        kinds = rng.integers(0, 5, height)
        filtered = rng.integers(0, 256, (height, line))
        lines = np.full((height + 1) * (line + 1) + 16, GUARD, np.uint8)
        whole = lines[: (height + 1) * (line + 1)].reshape(height + 1, line + 1)
        whole[0], whole[1:, 0], whole[1:, 1:] = 0, kinds, filtered
        assert undone(lines, height, line, step)
        assert np.array_equal(whole[1:, 1:], unfiltered(filtered, kinds, step))
        assert (lines[(height + 1) * (line + 1) :] == GUARD).all()


@pytest.mark.parametrize("kind", [5, 6, 255])
def test_unknown_filters_are_refused(kind):
    for place in range(1, 4):
        lines = np.zeros(4 * 9 + 16, np.uint8)
        lines[9 * place] = kind
        assert not undone(lines, 3, 8, 1)


# -- Whole files -------------------------------------------------------------------------------------------------------


def filtered_png(samples, colour_type, depth, kind, level=6, palette=None):
    """A PNG file with one filter for all lines, or with filters in turn (kind 5), in several IDAT chunks."""
    height, width = samples.shape[:2]
    raw = np.frombuffer(packed_lines(samples, depth), np.uint8).reshape(height, -1)[:, 1:].astype(np.int64)
    step = max(1, CHANNELS[colour_type] * depth // 8)
    padded = np.pad(raw, ((1, 0), (step, 0)))
    left, above, corner = padded[1:, :-step], padded[:-1, step:], padded[:-1, :-step]
    estimate = left + above - corner
    nearest = np.stack([abs(estimate - left), abs(estimate - above), abs(estimate - corner)]).argmin(axis=0)
    guesses = [0 * raw, left, above, (left + above) // 2, np.choose(nearest, [left, above, corner])]
    kinds = np.arange(height) % 5 if kind == 5 else np.full(height, kind)
    lines = b"".join(bytes([k]) + ((raw[y] - guesses[k][y]) % 256).astype(np.uint8).tobytes() for y, k in enumerate(kinds))
    data = zlib.compress(lines, level)
    parts = [SIGNATURE, header(width, height, colour_type, depth)]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    third = len(data) // 3 + 1
    return b"".join([*parts, *(chunk(b"IDAT", data[k : k + third]) for k in range(0, len(data), third)), chunk(b"IEND")])


def colours(samples, colour_type, depth, palette):
    """The colours of samples on white (H, W, 3)."""
    if colour_type == 3:
        return palette[samples[..., 0]]
    samples = to_8_bits(samples, depth)
    alpha = samples[..., -1] if colour_type in (4, 6) else 255
    return on_white(samples[..., :3] if colour_type in (2, 6) else samples[..., [0, 0, 0]], alpha)


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize(("colour_type", "depth"), COVERED)
def test_every_colour_type_depth_and_filter_is_read_as_pillow_reads_it(colour_type, depth, kind):
    palette = np.random.default_rng(depth).integers(0, 256, (2**depth, 3)) if colour_type == 3 else None
    for height, width in [(1, 1), (7, 9), (20, 33), (64, 5)] if COMPILED else [(6, 7)]:
        samples = random_samples(colour_type, depth, height, width, seed=kind)
        file = filtered_png(samples, colour_type, depth, kind, level=kind + 3, palette=palette)
        expected = colours(samples, colour_type, depth, palette)
        for colour, levels in ((False, gray_of(expected)), (True, expected)):
            found = read_compiled(file, colour=colour)
            assert found is not None
            assert np.array_equal(found, read_image(file, colour=colour))
            assert np.array_equal(found, levels)


def test_what_it_does_not_cover_is_left_to_pillow():
    for interlaced, kinds in ((True, COVERED), (False, [kind for kind in KINDS if kind[1] == 16])):
        for colour_type, depth in kinds:
            palette = np.zeros((2**depth, 3)) if colour_type == 3 else None
            file = png(random_samples(colour_type, depth, 4, 4), colour_type, depth, palette=palette, interlaced=interlaced)
            assert read_image(file).shape == (4, 4)
            assert read_compiled(file) is None


def test_headers_of_huge_pictures_take_no_memory_and_no_time():
    for width, height in [(2**31 - 1, 2**31 - 1), (2**20, 2**20), (2**31, 1), (1, 2**32 - 1), (0, 5), (5, 0), (2**16, 2**16 + 1)]:
        file = SIGNATURE + header(width, height) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND")
        assert read_compiled(file, 10**30) is None
        with pytest.raises(ImageError):
            read_image(file)


# -- Features of odd widths --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extractor", ["ink", "pixels", "strokes", "gray", "colour"])
def test_features_of_every_width_equal_the_reference(extractor):
    """Pixels are looked at eight by eight: every width has an end of its own."""
    rng = np.random.default_rng(0)
    for width in range(1, 41) if COMPILED else (1, 7, 8, 9, 17):
        for height in (1, 2, 16, 17, int(rng.integers(1, 71))):
            image = rng.integers(200, 256, (height, width)).astype(np.uint8)
            image[rng.random(image.shape) < 0.05] = 0
            image[:, rng.integers(width)] = rng.integers(0, 255)
            images = [image, image[:, ::-1].copy()]
            assert np.array_equal(extract(images, extractor), [reference.EXTRACTORS[extractor](each) for each in images])
