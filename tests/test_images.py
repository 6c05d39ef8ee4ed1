"""Reading PNG files of every kind, and refusing what is none."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from pngs import (
    KINDS,
    SIGNATURE,
    chunk,
    gray_of,
    gray_png,
    header,
    packed_lines,
    png,
    random_samples,
    to_8_bits,
)

from fastmlp.images import ImageError, read_image

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)
WHITE = np.full((16, 16), 255, np.uint8)
END = chunk(b"IEND")


def palette_for(depth):
    return np.random.default_rng(depth).integers(0, 256, (2**depth, 3))


def expected_gray(samples, colour_type, depth):
    """What reading must give, without any one transparent colour and for an opaque palette."""
    if colour_type == 3:
        return gray_of(palette_for(depth)[samples[..., 0]])
    samples = to_8_bits(samples, depth)
    alpha = samples[..., -1] if colour_type in (4, 6) else 255
    colours = samples[..., :3] if colour_type in (2, 6) else samples[..., [0, 0, 0]]
    return gray_of(colours, alpha)


# -- Every kind of PNG -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
def test_every_colour_type_and_depth(colour_type, depth, interlaced):
    samples = random_samples(colour_type, depth)
    palette = palette_for(depth) if colour_type == 3 else None
    gray = read_image(png(samples, colour_type, depth, interlaced=interlaced, palette=palette))
    assert gray.dtype == np.uint8
    assert np.array_equal(gray, expected_gray(samples, colour_type, depth))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_alpha_is_composited_on_white(depth):
    samples, palette = random_samples(3, depth), palette_for(depth)
    alphas = np.random.default_rng(0).integers(0, 256, 2**depth)
    alphas[-1] = 255
    file = png(samples, 3, depth, palette=palette, transparent=alphas[:-1].astype(np.uint8).tobytes())
    index = samples[..., 0]
    assert np.array_equal(read_image(file), gray_of(palette[index], alphas[index]))


@pytest.mark.parametrize(("colour_type", "depth"), [kind for kind in KINDS if kind[0] in (0, 2)])
def test_the_one_transparent_colour_becomes_white(colour_type, depth):
    samples = random_samples(colour_type, depth)
    colour = samples[4, 5]
    gray = read_image(png(samples, colour_type, depth, transparent=colour.astype(">u2").tobytes()))
    opaque = (to_8_bits(samples, depth) != to_8_bits(colour, depth)).any(axis=-1)
    assert not opaque[4, 5]
    assert opaque.any()
    assert np.array_equal(gray, np.where(opaque, expected_gray(samples, colour_type, depth), 255))


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
        ("text.png", b"hello", "is not a PNG file"),
        ("photo.png", b"\xff\xd8\xff\xe0" + bytes(100), "is not a PNG file"),
        ("signature.png", SIGNATURE, "is truncated"),
        ("headless.png", SIGNATURE + END, "is damaged: it does not begin with a PNG header"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name) == f"{tmp_path / name} {reason}"


def test_bytes_are_refused_without_a_name():
    assert refusal(b"hello") == "the image is not a PNG file"


def test_missing_files_and_impossible_names_are_refused(tmp_path):
    assert refusal(tmp_path / "none.png") == f"{tmp_path / 'none.png'} cannot be read: No such file or directory"
    assert "null byte" in refusal("a\0b.png")
    assert "cannot be read" in refusal("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_a_folder_and_a_pipe_are_refused_at_once(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is not a regular file"
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(tmp_path / "pipe.png") == f"{tmp_path / 'pipe.png'} is not a regular file"
    assert refusal("/dev/zero") == "/dev/zero is not a regular file"


@pytest.mark.parametrize("length", range(8, len(gray_png(WHITE))))
def test_truncated_at_any_byte(length):
    assert refusal(gray_png(WHITE)[:length]) == "the image is truncated"


def test_any_flipped_bit_is_noticed():
    file = png(random_samples(3, 2), 3, 2, palette=palette_for(2), transparent=b"\0\x80")
    for bit in range(8 * len(file)):
        flipped = bytearray(file)
        flipped[bit // 8] ^= 1 << bit % 8
        refusal(bytes(flipped))


def test_more_pixels_than_allowed_are_refused_before_any_is_read():
    huge = SIGNATURE + header(100_000, 100_000) + END
    assert refusal(huge) == "the image has 100000 x 100000 pixels; at most 67108864 are read"
    assert refusal(gray_png(GRADIENT), max_pixels=255) == "the image has 16 x 16 pixels; at most 255 are read"
    assert read_image(gray_png(GRADIENT), max_pixels=256).shape == (16, 16)


def test_max_pixels_replaces_the_limit_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings(action="error"):
        assert read_image(gray_png(GRADIENT)).shape == (16, 16)


def test_a_file_larger_than_any_such_picture_is_refused_unread(tmp_path):
    with open(tmp_path / "sparse.png", "wb") as file:
        file.write(SIGNATURE)
        file.truncate(2**40)
    assert "has 1099511627776 bytes; at most" in refusal(tmp_path / "sparse.png")


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
