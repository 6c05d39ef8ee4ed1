"""The compiled PNG reader against Pillow, on files of every kind, whole and damaged.

What the compiled reader gives, Pillow must give too, pixel for pixel; what it leaves to Pillow costs time, but is never wrong.
The tests try some thousand files. As many more as you like, and the PNG files of any folders, are tried by

    PYTHONPATH=tests python tests/kernels/images/test_differential.py 200000 [folder ...] [--seed 1]

It counts the answers, keeps every file on which the two differ, and exits with 1 if there was one.
"""

import argparse
import collections
import itertools
import os
import random
import subprocess
import sys
import tempfile
import traceback
import zlib
from pathlib import Path

import numba
import numpy as np
import pytest
from mutations import COVERED, files, ihdr, joined, mended, palette_chunks, picture_lines, valid_files
from pngs import SIGNATURE

from fastmlp.images import pillow, reading

FILES, VALID_FILES = (300, 60) if numba.config.DISABLE_JIT else (8000, 1500)
MAX_PIXELS = 2**22  # so that no memory is taken for most forged sizes
READ, LEFT, REFUSED, DIFFERENT = OUTCOMES = "read by both", "left to Pillow", "refused by Pillow", "different"


def outcome(data):
    """What comes of a file, as gray levels and as colours."""
    gray, coloured = outcome_in(data, False), outcome_in(data, True)
    return gray if gray == coloured else DIFFERENT


def outcome_in(data, colour):
    fast = reading.read_compiled(data, colour=colour)
    try:
        levels = pillow.read_image(data, max_pixels=MAX_PIXELS, colour=colour)
    except pillow.ImageError:
        return REFUSED if fast is None else DIFFERENT
    if fast is None:
        return LEFT
    return READ if fast.dtype == levels.dtype and np.array_equal(fast, levels) else DIFFERENT


def outcomes(some_files):
    """How often each outcome came, and where the two differed."""
    found = [outcome(data) for data in some_files]
    return collections.Counter(found), [number for number, what in enumerate(found) if what == DIFFERENT]


def small(some_files):
    """Interpreted, a kernel takes some microseconds for every byte of a picture."""
    if not numba.config.DISABLE_JIT:
        return some_files
    return (data for data in some_files if int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) <= 300)


def sample(colour_type, depth):
    """A function from a zlib stream to a file of 6 x 5 pixels, and the filtered lines that the stream should hold."""
    rng = random.Random(f"{colour_type} {depth}")
    before = palette_chunks(rng, depth) if colour_type == 3 else ()
    entries = len(before[0][1]) // 3 if before else None
    lines = picture_lines(rng, 6, 5, colour_type, depth, entries)
    return lambda stream: joined([(b"IHDR", ihdr(6, 5, depth, colour_type)), *before, (b"IDAT", stream), (b"IEND", b"")]), lines


# -- The two readers ---------------------------------------------------------------------------------------------------


@pytest.mark.versions
@pytest.mark.kernels
def test_the_two_readers_agree_on_files_whole_and_damaged():
    counts, different = outcomes(itertools.islice(small(files(0, 10**9)), FILES))
    assert not different
    assert counts[READ] > FILES / 10  # so that there is something to agree on
    assert counts[REFUSED] > FILES / 10


@pytest.mark.kernels
def test_whole_files_of_the_covered_kinds_are_never_left_to_pillow():
    counts, _ = outcomes(itertools.islice(small(valid_files(0, 10**9)), VALID_FILES))
    assert counts == {READ: VALID_FILES}


@pytest.mark.kernels
@pytest.mark.parametrize(("colour_type", "depth"), COVERED)
def test_cut_at_any_byte_under_right_checksums(colour_type, depth):
    file_of, lines = sample(colour_type, depth)
    stream = zlib.compress(lines)
    assert outcome(file_of(stream)) == READ
    step = 7 if numba.config.DISABLE_JIT else 1
    for end in range(0, len(stream), step):
        assert outcome(file_of(stream[:end])) != DIFFERENT, end
    whole = len(file_of(stream)) - 12  # from there on only the end is missing
    for end in range(0, len(file_of(stream)), step):
        assert outcome(file_of(stream)[:end]) == (REFUSED if end < whole else LEFT), end


@pytest.mark.kernels
@pytest.mark.parametrize("level", [0, 6])
def test_any_bit_of_a_stream_flipped_under_right_checksums(level):
    file_of, lines = sample(2, 8)
    stream = zlib.compress(lines, level)
    for bit in range(0, 8 * len(stream), 37 if numba.config.DISABLE_JIT else 1):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        assert outcome(file_of(bytes(flipped))) != DIFFERENT, bit
        assert outcome(file_of(mended(bytes(flipped)))) != DIFFERENT, bit


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="interpreted, every index is checked anyway")
def test_no_index_is_out_of_bounds():
    environment = {"NUMBA_BOUNDSCHECK": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, "1000", "--seed", "2"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- What the files are ------------------------------------------------------------------------------------------------


def streams(some_files):
    """The contents of the header, and the zlib stream, of each file that has one."""
    for data in some_files:
        chunks, place = [], len(SIGNATURE)
        while place + 8 <= len(data):
            end = place + 8 + int.from_bytes(data[place : place + 4])
            chunks.append((data[place + 4 : place + 8], data[place + 8 : end]))
            place = end + 4
        stream = b"".join(body for kind, body in chunks if kind == b"IDAT")
        if stream:
            yield chunks[0][1], stream


def test_every_kind_every_filter_and_every_block_is_among_the_whole_files():
    kinds, filters, blocks, sides = set(), set(), set(), set()
    for head, stream in streams(valid_files(0, 1500)):
        kinds.add((head[9], head[8]))
        blocks.add(stream[2] >> 1 & 3)
        sides |= {int.from_bytes(head[:4]), int.from_bytes(head[4:8])}
        filters.add(zlib.decompress(stream)[0])
    assert kinds == set(COVERED)
    assert filters == set(range(5))
    assert blocks == set(range(3))
    assert sides == set(range(1, 71))


def test_every_refusal_that_zlib_knows_is_among_the_damaged_files():
    messages = set()
    for _, stream in streams(files(0, 8000)):
        try:
            zlib.decompressobj().decompress(stream, 1 << 16)
        except zlib.error as error:
            messages.add(str(error).rpartition(": ")[2])
    assert messages >= {
        "incorrect header check",
        "unknown compression method",
        "invalid window size",
        "invalid block type",
        "invalid stored block lengths",
        "too many length or distance symbols",
        "invalid code lengths set",
        "invalid bit length repeat",
        "invalid code -- missing end-of-block",
        "invalid literal/lengths set",
        "invalid distances set",
        "invalid literal/length code",
        "invalid distance code",
        "invalid distance too far back",
        "incorrect data check",
    }


def test_the_same_seed_gives_the_same_files():
    assert list(files(3, 200)) == list(files(3, 200))
    assert list(files(3, 200)) != list(files(4, 200))


# -- The full run ------------------------------------------------------------------------------------------------------


def test_the_full_run_keeps_a_file_that_is_read_wrongly(tmp_path, monkeypatch, capsys):
    [data] = valid_files(0, 1)
    (tmp_path / "a.PNG").write_bytes(data)
    wrong = pillow.read_image(data) ^ 1
    monkeypatch.setattr(reading, "read_compiled", lambda given, colour: wrong if given == data and not colour else None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(["0"]) == 0
    assert run(["50", str(tmp_path)]) == 1
    assert "1 different" in capsys.readouterr().out
    assert [path.read_bytes() for path in tmp_path.glob("*/*.png")] == [data]


def run(arguments=None):
    parser = argparse.ArgumentParser(description="Compare the compiled PNG reader with Pillow.")
    parser.add_argument("count", type=int, help="how many files to make")
    parser.add_argument("folders", nargs="*", type=Path, help="whose PNG files are tried as well, with those of folders within")
    parser.add_argument("--seed", type=int, default=0, help="of the files made (default: %(default)s)")
    options = parser.parse_args(arguments)

    made = ((f"seed {options.seed}, file {number}", data) for number, data in enumerate(files(options.seed, options.count)))
    paths = (path for folder in options.folders for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".png")
    counts, kept = collections.Counter(), None
    for name, data in itertools.chain(made, ((str(path), path.read_bytes()) for path in paths)):
        try:
            what = outcome(data)
        except Exception:
            traceback.print_exc()
            what = DIFFERENT
        counts[what] += 1
        if what == DIFFERENT:
            kept = kept or Path(tempfile.mkdtemp(prefix="disagreements-"))
            path = kept / f"{counts[DIFFERENT]}.png"
            path.write_bytes(data)
            print(f"{name}: kept as {path}", file=sys.stderr)
    print(f"{counts.total()} files: {', '.join(f'{counts[what]} {what}' for what in OUTCOMES)}")
    return 1 if counts[DIFFERENT] else 0


if __name__ == "__main__":
    sys.exit(run())
