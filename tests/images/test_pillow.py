"""Reading PNG files of every kind, and refusing what is none."""

import os
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile
from pngs import (
    ADAM7,
    KINDS,
    SIGNATURE,
    chunk,
    gray_of,
    gray_png,
    header,
    on_white,
    packed_lines,
    png,
    random_samples,
    to_8_bits,
)

from fastmlp.images.content import ImageError
from fastmlp.images.pillow import read_image

pytestmark = pytest.mark.versions

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)
WHITE = np.full((16, 16), 255, np.uint8)
END = chunk(b"IEND")


def palette_for(depth):
    return np.random.default_rng(depth).integers(0, 256, (2**depth, 3))


def expected_colours(samples, colour_type, depth):
    """What reading must give, without any one transparent colour and for an opaque palette (H, W, 3)."""
    if colour_type == 3:
        return palette_for(depth)[samples[..., 0]]
    samples = to_8_bits(samples, depth)
    alpha = samples[..., -1] if colour_type in (4, 6) else 255
    return on_white(samples[..., :3] if colour_type in (2, 6) else samples[..., [0, 0, 0]], alpha)


def expected_gray(samples, colour_type, depth):
    return gray_of(expected_colours(samples, colour_type, depth))


# -- Every kind of PNG -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
def test_every_colour_type_and_depth(colour_type, depth, interlaced):
    samples = random_samples(colour_type, depth)
    palette = palette_for(depth) if colour_type == 3 else None
    file = png(samples, colour_type, depth, interlaced=interlaced, palette=palette)
    gray, colours = read_image(file), read_image(file, colour=True)
    assert gray.dtype == colours.dtype == np.uint8
    assert np.array_equal(gray, expected_gray(samples, colour_type, depth))
    assert np.array_equal(colours, expected_colours(samples, colour_type, depth))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_alpha_is_composited_on_white(depth):
    samples, palette = random_samples(3, depth), palette_for(depth)
    alphas = np.random.default_rng(0).integers(0, 256, 2**depth)
    alphas[-1] = 255
    file = png(samples, 3, depth, palette=palette, transparent=alphas[:-1].astype(np.uint8).tobytes())
    index = samples[..., 0]
    assert np.array_equal(read_image(file), gray_of(palette[index], alphas[index]))
    assert np.array_equal(read_image(file, colour=True), on_white(palette[index], alphas[index]))


@pytest.mark.parametrize(("colour_type", "depth"), [kind for kind in KINDS if kind[0] in (0, 2)])
def test_the_one_transparent_colour_becomes_white(colour_type, depth):
    samples = random_samples(colour_type, depth)
    for colour in samples[:, 5]:
        file = png(samples, colour_type, depth, transparent=colour.astype(">u2").tobytes())
        opaque = (samples != colour).any(axis=-1)
        assert opaque.any()
        assert np.array_equal(read_image(file), np.where(opaque, expected_gray(samples, colour_type, depth), 255))
        expected = np.where(opaque[..., np.newaxis], expected_colours(samples, colour_type, depth), 255)
        assert np.array_equal(read_image(file, colour=True), expected)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("colour_type", [0, 2])
def test_of_16_bit_samples_the_whole_one_must_be_the_transparent_colour(colour_type, interlaced):
    channels = 1 + colour_type
    samples = np.full((9, 10, channels), 256)
    samples[2, 3, 0], samples[5, 7, -1], samples[8, 9] = 257, 255, 512  # beside it by the low byte alone, by both, by the high one
    file = png(samples, colour_type, 16, interlaced=interlaced, transparent=struct.pack(f">{channels}H", *[256] * channels))
    expected = np.full((9, 10), 255)
    for place in ((2, 3), (5, 7), (8, 9)):
        expected[place] = gray_of(to_8_bits(samples[place], 16)[[0, 0, 0] if colour_type == 0 else [0, 1, 2]])
    assert np.array_equal(read_image(file), expected)


def test_what_pillow_writes_is_read_as_pillow_converts_it(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(colours)
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(image.convert("L")))
    assert np.array_equal(read_image(str(tmp_path / "a.png")), read_image((tmp_path / "a.png").read_bytes()))


def test_the_result_can_be_written_to():
    gray = read_image(gray_png(GRADIENT))
    gray[0, 0] = 7
    assert gray.flags.c_contiguous
    assert gray[0, 0] == 7


def test_of_an_animation_the_default_picture_is_read():
    frame = struct.pack(">IIIIIHHBB", 0, 16, 16, 0, 0, 1, 10, 0, 0)
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", frame)
    later = chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(b"\0" * 17 * 16))
    file = png(GRADIENT[..., np.newaxis], extra=control)
    assert np.array_equal(read_image(file[: -len(END)] + later + END), GRADIENT)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_in_a_text_does_no_harm(kind):
    body = b"a\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + zlib.compress(bytes(50_000_000), 9)
    assert np.array_equal(read_image(png(GRADIENT[..., np.newaxis], extra=chunk(kind, body))), GRADIENT)


def test_what_follows_the_end_is_left_aside():
    assert np.array_equal(read_image(gray_png(GRADIENT) + b"more"), GRADIENT)


def test_a_second_header_is_left_aside():
    assert np.array_equal(read_image(png(GRADIENT[..., np.newaxis], extra=header(60_000, 60_000))), GRADIENT)


# -- What is refused ---------------------------------------------------------------------------------------------------


def refusal(source, **options):
    """The message with which a source is refused: one sentence, whatever went wrong."""
    with pytest.raises(ImageError) as caught:
        read_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_files_that_are_no_png_are_refused_by_name(tmp_path):
    for name, content, reason in [
        ("empty.png", b"", "is empty"),
        ("text.png", b"hello", "is no image file (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM)"),
        ("signature.png", SIGNATURE, "is truncated"),
        ("headless.png", SIGNATURE + END, "is damaged: it does not begin with a PNG header"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name) == f"{tmp_path / name} {reason}"


def test_bytes_are_refused_without_a_name():
    assert refusal(b"hello") == "the image is no image file (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM)"


def test_missing_files_and_impossible_names_are_refused(tmp_path):
    assert refusal(tmp_path / "none.png") == f"{tmp_path / 'none.png'} cannot be read: No such file or directory"
    assert "embedded null" in refusal("a\0b.png")  # byte, or character, as Python says it
    assert "cannot be read" in refusal("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_a_folder_and_a_pipe_are_refused_at_once(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is not a regular file"
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(tmp_path / "pipe.png") == f"{tmp_path / 'pipe.png'} is not a regular file"
    assert refusal("/dev/zero") == "/dev/zero is not a regular file"


@pytest.mark.parametrize("length", range(8, len(gray_png(WHITE)) - len(END)))
def test_truncated_at_any_byte_up_to_the_end_of_the_picture(length):
    assert refusal(gray_png(WHITE)[:length]) == "the image is truncated"


def test_truncated_between_two_parts_of_the_picture():
    stream = zlib.compress(packed_lines(GRADIENT[..., np.newaxis], 8))
    parts = [SIGNATURE + header(16, 16), chunk(b"IDAT", stream[:40]), chunk(b"IDAT", stream[40:])]
    assert np.array_equal(read_image(b"".join(parts)), GRADIENT)
    assert refusal(b"".join(parts[:2])) == "the image is truncated"
    assert refusal(b"".join(parts[:2]) + chunk(b"tEXt", b"a text")[:-1]) == "the image is truncated"


def damaged_pictures(lines, line):
    """Pairs of what is said of a picture, and the contents of its IDAT chunks; the last of the lines has `line` bytes."""
    stream, half = zlib.compress(lines), zlib.compress(lines[: len(lines) // 2 // line * line])
    whole_lines = [(half,), (half[:20], half[20:]), (zlib.compress(b""),)]
    parts_of_lines = [(zlib.compress(lines[:-1]),), (stream[: len(stream) // 2],), (b"",)]
    garbled, wrong_sum = stream[:50] + b"\xff" * 50 + stream[100:], stream[:-1] + bytes([stream[-1] ^ 1])
    no_filter = [b"\x09" + lines[1:], lines[:-line] + b"\x09" + lines[len(lines) - line + 1 :]]
    short, broken = whole_lines + parts_of_lines, [garbled, wrong_sum, *map(zlib.compress, no_filter)]
    return [("its picture is truncated", parts) for parts in short] + [("", (part,)) for part in broken]


@pytest.mark.parametrize("setting", [False, True])
@pytest.mark.parametrize(("colour_type", "depth", "interlaced"), [(0, 8, 0), (0, 16, 0), (2, 8, 1), (3, 4, 0), (6, 16, 1)])
def test_a_damaged_picture_is_refused_whatever_the_caller_has_told_pillow(monkeypatch, setting, colour_type, depth, interlaced):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", setting)
    samples = random_samples(colour_type, depth, 40, 48)
    palette = chunk(b"PLTE", palette_for(depth).astype(np.uint8).tobytes()) if colour_type == 3 else b""
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    lines, line = b"".join(packed_lines(part, depth) for part in passes), len(packed_lines(passes[-1][:1], depth))
    start = SIGNATURE + header(48, 40, colour_type, depth, interlaced) + palette
    assert np.array_equal(
        read_image(start + chunk(b"IDAT", zlib.compress(lines)) + END), expected_gray(samples, colour_type, depth)
    )
    for said, parts in damaged_pictures(lines, line):
        message = refusal(start + b"".join(chunk(b"IDAT", part) for part in parts) + END)
        assert message.startswith(f"the image is damaged: {said}")


# -- Damage beside the picture -----------------------------------------------------------------------------------------

BESIDE = [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"tIME", b"acTL", b"prIv"]


def spoilt(data, place=-1, bit=0):
    """A chunk, or a file, with a bit flipped."""
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("kind", BESIDE)
def test_a_wrong_checksum_beside_the_picture_does_not_lose_it(kind):
    picture, wrong = chunk(b"IDAT", zlib.compress(packed_lines(GRADIENT[..., np.newaxis], 8))), chunk(kind, b"some contents")
    for place in (-1, 8):  # in the checksum, and in the contents
        for parts in (
            [spoilt(wrong, place), picture, END],
            [picture, spoilt(wrong, place), END],
            [wrong, picture, wrong, spoilt(END)],
        ):
            assert np.array_equal(read_image(b"".join([SIGNATURE, header(16, 16), *parts])), GRADIENT)


@pytest.mark.parametrize("missing", range(1, len(END) + 1))
def test_a_missing_end_does_not_lose_the_picture(missing):
    assert np.array_equal(read_image(gray_png(GRADIENT)[:-missing]), GRADIENT)
    with_text = gray_png(GRADIENT)[: -len(END)] + chunk(b"tEXt", b"a text")
    assert np.array_equal(read_image(with_text[:-missing]), GRADIENT)


@pytest.mark.parametrize("name", [b"tEX\x18", b"t.xt", b"\0\0\0\0"])
def test_behind_a_name_that_no_chunk_can_have_nothing_is_read(name, tmp_path):
    """A transparent colour behind the picture counts for Pillow, but not there."""
    picture = gray_png(GRADIENT)[: -len(END)]
    transparent = chunk(b"tRNS", b"\0\3") + END
    (tmp_path / "x.png").write_bytes(picture + chunk(name, b"") + transparent)
    with Image.open(tmp_path / "x.png") as image:
        image.load()
        assert "transparency" not in image.info
    assert np.array_equal(read_image(tmp_path / "x.png"), GRADIENT)
    assert np.array_equal(read_image(picture + chunk(b"tEXt", b"") + transparent), np.where(GRADIENT == 3, 255, GRADIENT))


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_of_the_picture_is_an_error(kind):
    file = png(random_samples(3, 2), 3, 2, palette=palette_for(2), transparent=b"\0\x80")
    assert refusal(spoilt(file, places_of(file, kind)[-1])) == "the image is damaged: a checksum is wrong"


def test_any_flipped_bit_is_noticed_or_does_no_harm():
    texts = chunk(b"tEXt", b"Title\0none") + chunk(b"iCCP", bytes(20))
    file = png(random_samples(3, 2), 3, 2, palette=palette_for(2), transparent=b"\0\x80", extra=texts)
    file = file[: -len(END)] + chunk(b"eXIf", b"MM") + END
    right, harmless = read_image(file), set()
    for bit in range(8 * len(file)):
        try:
            assert np.array_equal(read_image(spoilt(file, bit // 8, bit % 8)), right)
        except ImageError:
            continue
        harmless.add(bit // 8)
    within = {place for kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") for place in places_of(file, kind)}
    assert not within & harmless
    assert len(harmless) > (len(file) - len(within)) / 2


def places_of(file, kind):
    """Where the bytes of a chunk are."""
    start = file.index(kind) - 4
    return range(start, start + 12 + int.from_bytes(file[start : start + 4]))


def test_a_damaged_length_or_type_does_not_make_a_part_of_the_picture_vanish():
    file = png(random_samples(3, 2), 3, 2, palette=palette_for(2), transparent=b"\0\x80", extra=chunk(b"tEXt", b"Title\0none"))
    text, alphas = file.index(b"tEXt"), file.index(b"tRNS")
    renamed = file[:alphas] + b"tRNs" + file[alphas + 4 :]
    over_alphas = file[: text - 4] + (alphas + 6 - text - 4).to_bytes(4, "big") + file[text:]
    for changed in (renamed, over_alphas):
        assert refusal(changed) == "the image is damaged: a checksum is wrong"


def test_more_pixels_than_allowed_are_refused_before_any_is_read():
    huge = SIGNATURE + header(100_000, 100_000) + END
    assert refusal(huge) == "the image has 100000 x 100000 pixels; at most 67108864 are read"
    assert refusal(gray_png(GRADIENT), max_pixels=255) == "the image has 16 x 16 pixels; at most 255 are read"
    assert read_image(gray_png(GRADIENT), max_pixels=256).shape == (16, 16)


def test_max_pixels_replaces_the_limit_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings(action="error"):
        assert read_image(gray_png(GRADIENT)).shape == (16, 16)


def sparse(path, *parts):
    with open(path, "wb") as file:
        file.write(b"".join([SIGNATURE, *parts]))
        file.truncate(2**40)
    return path


def test_of_a_file_no_more_is_read_than_its_picture_may_need(tmp_path):
    assert refusal(sparse(tmp_path / "x.png")).endswith("it does not begin with a PNG header")
    assert refusal(sparse(tmp_path / "x.png", header(60_000, 60_000))).endswith("60000 x 60000 pixels; at most 67108864 are read")
    text = struct.pack(">I", 2**31 - 1) + b"tEXt"
    assert refusal(sparse(tmp_path / "x.png", header(16, 16), text)).endswith(
        "has 1099511627776 bytes; of a picture of 16 x 16 pixels at most 16777522 are read"
    )
    picture = chunk(b"IDAT", zlib.compress(packed_lines(GRADIENT[..., np.newaxis], 8)))
    assert np.array_equal(read_image(sparse(tmp_path / "x.png", header(16, 16), picture, text)), GRADIENT)


def test_a_picture_is_cut_into_a_bounded_number_of_chunks_and_costs_no_memory_for_each():
    stream = zlib.compress(packed_lines(GRADIENT[..., np.newaxis], 8))
    single = b"".join(chunk(b"IDAT", stream[k : k + 1]) for k in range(len(stream)))
    assert np.array_equal(read_image(SIGNATURE + header(16, 16) + single + chunk(b"IDAT") * 3000 + END), GRADIENT)
    for one in (chunk(b"IDAT"), chunk(b"tEXt"), spoilt(chunk(b"tEXt")), chunk(b"PLTE", b"\0\0\0")):
        bomb = SIGNATURE + header(16, 16) + chunk(b"IDAT", stream) + one * 100_000
        tracemalloc.start()
        assert refusal(bomb) == "the image is damaged: it is cut into more than 4100 chunks"
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.stop()


def test_no_memory_is_taken_for_pixels_that_the_file_is_too_small_for():
    tracemalloc.start()
    assert "its picture is truncated, 33 bytes cannot hold 64008000" in refusal(
        SIGNATURE + header(8000, 8000) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + END
    )
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("rest", [zlib.compress(bytes(10**7)), bytes(10**7)])
def test_what_a_stream_goes_on_with_after_the_picture_is_left_aside(rest):
    lines = packed_lines(GRADIENT[..., np.newaxis], 8)
    for stream in (zlib.compress(lines) + rest, zlib.compress(lines + rest)):
        assert np.array_equal(read_image(SIGNATURE + header(16, 16) + chunk(b"IDAT", stream) + END), GRADIENT)


def damaged(head, *chunks):
    return b"".join([SIGNATURE, head, *chunks, END])


@pytest.mark.parametrize(
    "file",
    [
        damaged(header(4, 4)),
        damaged(header(4, 4), chunk(b"IDAT")),
        damaged(header(4, 4), chunk(b"IDAT", b"no deflate")),
        damaged(header(4, 4), chunk(b"IDAT", zlib.compress(bytes(19)))),  # 20 bytes are 4 lines
        damaged(header(4, 4), chunk(b"IDAT", zlib.compress(b"\x09" * 20))),  # there is no filter 9
        damaged(header(0, 4), chunk(b"IDAT", zlib.compress(b""))),
        damaged(header(4, 4, colour_type=5), chunk(b"IDAT", zlib.compress(bytes(20)))),
        damaged(header(4, 4, depth=3), chunk(b"IDAT", zlib.compress(bytes(20)))),
        damaged(header(4, 4, colour_type=3), chunk(b"IDAT", zlib.compress(bytes(20)))),  # without its palette
        damaged(header(4, 4), chunk(b"tRNS", b"\0"), chunk(b"IDAT", zlib.compress(bytes(20)))),
        damaged(chunk(b"IHDR", b"short"), chunk(b"IDAT", zlib.compress(bytes(20)))),
    ],
)
def test_damaged_within_whole_chunks(file):
    assert refusal(file).startswith("the image is damaged: ")


def test_mutations_under_right_checksums_are_read_or_refused():
    rng = np.random.default_rng(0)
    for number in range(2000):
        colour_type, depth = KINDS[number % len(KINDS)]
        picture = packed_lines(random_samples(colour_type, depth), depth)
        bodies = {
            b"IHDR": header(13, 11, colour_type, depth)[8:-4],
            b"PLTE": palette_for(2).astype(np.uint8).tobytes(),
            b"tRNS": bytes(6),
            b"IDAT": zlib.compress(picture),
        }
        kind = list(bodies)[rng.integers(4)]
        mutated = bytearray(bodies[kind])
        mutated[rng.integers(len(mutated))] = rng.integers(256)
        bodies[kind] = bytes(mutated)
        file = damaged(*(chunk(kind, body) for kind, body in bodies.items()))
        try:
            gray = read_image(file, max_pixels=10_000)
        except ImageError as error:
            assert str(error).startswith("the image ")
        else:
            assert gray.dtype == np.uint8
            assert gray.ndim == 2
