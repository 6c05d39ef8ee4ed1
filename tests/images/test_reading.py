"""Chunks of files to features: compiled code, Pillow, and the way without system calls all give the same rows."""

import os
import random
import signal
import subprocess
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import CancelledError
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from at_work import come_down_to, threads_at_work
from command_line import ROOT
from pngs import KINDS, SIGNATURE, chunk, gray_png, header, png, random_samples
from processes import PATIENCE, begun, line_of
from ways import MAX_PIXELS, WAYS, by_compiled_code, by_pillow, page, rows_of, the_same_by_all_ways

from fastmlp import classify_folder, train_folder
from fastmlp.images.content import ImageError
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.pillow import read_image
from fastmlp.images.reading import read_chunk
from fastmlp.images.rows_of_features import only_rows
from fastmlp.images.sources.archive_reading import open_archive, read_member
from fastmlp.images.sources.archives import members
from fastmlp.images.sources.chunk import LARGEST_CHUNK
from fastmlp.images.sources.source import Chunks
from fastmlp.kernels.images import png as kernels
from fastmlp.threads import Stop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are pipes, and folders to open from")


@pytest.fixture(autouse=True)
def one_chunk(monkeypatch):
    """The first chunk is as large as any."""
    monkeypatch.setattr("fastmlp.images.sources.chunk.SMALLEST_CHUNK", LARGEST_CHUNK)


def write_everything(folder):
    """Files of every kind that a folder of strangers may hold; those that become rows, by name, and whether they can be read."""
    rng = random.Random(0)
    pictures = {f"small-{k}.png": gray_png(page(1 + k % 20, 1 + k % 17, k)) for k in range(40)}
    for colour_type, depth in KINDS:
        palette = np.random.default_rng(depth).integers(0, 256, (2**depth, 3)) if colour_type == 3 else None
        for interlaced in (False, True):
            samples = random_samples(colour_type, depth)
            pictures[f"{colour_type}-{depth}-{interlaced}"] = png(
                samples, colour_type, depth, interlaced=interlaced, palette=palette
            )
    pictures["palette with alpha"] = png(random_samples(3, 2), 3, 2, palette=np.eye(4, 3) * 255, transparent=b"\0\x80")
    pictures["gray with one transparent"] = png(random_samples(0, 8), transparent=b"\0\x07")
    pictures["large file.png"] = gray_png(page(1050, 1050))
    pictures["trailing"] = gray_png(page(5, 5)) + b"more"
    pictures["without an end"] = gray_png(page(9, 9))[:-7]
    pictures["with a damaged text"] = png(page(9, 9)[..., np.newaxis], extra=chunk(b"tEXt", b"a text")[:-1] + b"!")
    pictures["one pixel"] = gray_png(page(1, 1))
    pictures["name\nwith\nlines.png"] = gray_png(page(9, 9))
    pictures[os.fsdecode(b"caf\xe9.png")] = gray_png(page(8, 9))
    damaged = {
        "truncated": gray_png(page(9, 9))[:-17],
        "signature": SIGNATURE,
        "too many pixels": gray_png(page(1100, 1101)),
        "huge": SIGNATURE + header(2**31 - 1, 2**31 - 1) + chunk(b"IEND"),
        "no header": SIGNATURE + chunk(b"IEND"),
    }
    for k in range(20):
        file = bytearray(pictures[f"small-{k}.png"])
        file[rng.randrange(8, len(file) - 12)] ^= 1 << rng.randrange(8)
        damaged[f"damaged-{k}"] = bytes(file)
    others = {"empty.png": b"", "text.png": b"some text", "seven": SIGNATURE[:7], "zeros": bytes(3_000_000), "n.txt": b"\n" * 99}
    assert len(pictures["large file.png"]) > kernels.FILE_BYTES
    for name, content in (pictures | damaged | others).items():
        (folder / name).write_bytes(content)
    return {**dict.fromkeys(pictures, True), **dict.fromkeys(damaged, False)}, sorted(others)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everything")
    return folder, *write_everything(folder)


# -- The same rows, whoever reads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_all_ways_give_the_same_rows_of_a_mixed_folder(everything, extractor):
    folder, names, others = everything
    (rows,) = the_same_by_all_ways(list(Chunks(folder)), extractor)
    assert rows.paths == sorted(names, key=os.fsencode)
    assert rows.others == others
    for path, features, error in zip(rows.paths, rows.features, rows.errors, strict=True):
        assert (error is None) == names[path]
        if error is None:
            image = read_image(folder / path, MAX_PIXELS, colour=extractor == "colour")
            assert np.array_equal(features, extract([image], extractor)[0])
        else:
            assert np.isnan(features).all()
            with pytest.raises(ImageError) as caught:
                read_image(folder / path, MAX_PIXELS)
            assert str(caught.value) == error


def test_if_strict_what_is_no_png_becomes_a_row_too(everything):
    folder, names, others = everything
    (rows,) = the_same_by_all_ways(list(Chunks(folder)), strict=True)
    assert rows.others == []
    assert rows.paths == sorted([*names, *others], key=os.fsencode)
    told = dict(zip(rows.paths, rows.errors, strict=True))
    assert told["text.png"] == f"{folder / 'text.png'} is no image file (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM)"
    assert told["empty.png"] == f"{folder / 'empty.png'} is empty"


def test_files_named_one_by_one_are_always_rows(everything):
    folder, names, others = everything
    paths = [str(folder / name) for name in [*others, *names, "nowhere.png"]] + ["", "a\0b", "x" * 5000, str(folder), "\ud800"]
    (rows,) = the_same_by_all_ways(list(Chunks(paths)))
    assert rows.paths == paths
    assert [error is None for error in rows.errors] == [names.get(os.path.basename(path), False) for path in paths]


def test_of_files_named_one_by_one_none_but_regular_ones_are_opened(tmp_path):
    (tmp_path / "right.png").write_bytes(gray_png(page(5, 5)))
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("right.png", tmp_path / "link.png")
    paths = [str(tmp_path / name) for name in ("right.png", "pipe.png", "link.png")] + ["/dev/zero", "/dev/null"]
    end = os.open(tmp_path / "pipe.png", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(end, gray_png(page(5, 5)))
        (rows,) = the_same_by_all_ways(list(Chunks(paths)))
        assert os.read(end, 10**4) == gray_png(page(5, 5))
    finally:
        os.close(end)
    assert rows.errors == [None if "ipe" not in path and "dev" not in path else f"{path} is not a regular file" for path in paths]


@pytest.mark.parametrize("stopped", [False, True])
def test_compiled_code_looks_at_no_further_file_once_it_is_to_stop(tmp_path, stopped):
    (tmp_path / "x.png").write_bytes(gray_png(page(5, 5)))
    (chunk,) = Chunks(tmp_path)
    stop = Stop()
    if stopped:
        stop.set()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CancelledError) if stopped else nullcontext():
        by_compiled_code(patch)
        assert read_chunk(chunk, "ink", False, 100, stop).errors == [None]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_of_any_size_give_the_same_rows(everything, size):
    folder, _, _ = everything
    (whole,) = rows_of(by_compiled_code, Chunks(folder), "pixels")
    parts = rows_of(by_compiled_code, Chunks(folder, size=size), "pixels")
    assert [path for part in parts for path in part.paths] == whole.paths
    assert np.concatenate([part.features for part in parts]).tobytes() == whole.features.tobytes()


@pytest.mark.parametrize("kind", ["tar", "stored", "deflated", "bzip2", "behind a program"])
def test_archives_give_the_rows_of_the_folder(everything, tmp_path, kind):
    folder, _, _ = everything
    methods = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}
    names = [name for name in os.listdir(folder) if kind == "tar" or name.isprintable()]
    if kind == "tar":
        with tarfile.open(tmp_path / "a", "w", encoding="utf-8", errors="surrogateescape") as tar:
            tar.add(folder, ".")
    else:
        with zipfile.ZipFile(tmp_path / "a", "w", methods.get(kind, zipfile.ZIP_STORED)) as archive:
            for name in names:
                archive.write(folder / name, name)
        if kind == "behind a program":
            (tmp_path / "a").write_bytes(b"#!/bin/sh\n" + (tmp_path / "a").read_bytes())
    (rows,) = the_same_by_all_ways(list(Chunks(tmp_path / "a")))
    (expected,) = rows_of(by_compiled_code, Chunks(folder))
    left = [index for index, path in enumerate(expected.paths) if path in names]
    assert rows.paths == [expected.paths[index] for index in left]
    assert rows.others == expected.others
    assert rows.features.tobytes() == expected.features[left].tobytes()
    assert rows.errors == [
        error and error.replace(f"{folder}/", f"{tmp_path / 'a'}: ") for error in (expected.errors[index] for index in left)
    ]


def test_encrypted_and_unknown_members_are_rows_that_fail(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("locked.png", "odd.png", "right.png"):
            archive.writestr(name, gray_png(page(5, 5)))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for name, field, value in ((b"locked.png", 8, 1), (b"odd.png", 10, 97)):
        entry = data.rindex(name) - 46
        data[entry + field] |= value
    (tmp_path / "a.zip").write_bytes(data)
    (rows,) = the_same_by_all_ways(list(Chunks(tmp_path / "a.zip")))
    assert rows.paths == ["locked.png", "odd.png", "right.png"]
    assert rows.errors == [
        f"{tmp_path / 'a.zip'}: locked.png is encrypted",
        f"{tmp_path / 'a.zip'}: odd.png is compressed by method 97, which is not read",
        None,
    ]


BOMBS = {
    "1 empty chunks": (header(8, 8) + chunk(b"IDAT") * 10**5, "is cut into more than 4097 chunks"),
    "2 more empty chunks": (header(800, 800) + chunk(b"IDAT") * 10**5, "is cut into more than 14108 chunks"),
    "3 no header": (bytes(3 * 10**6), "does not begin with a PNG header"),
    "4 pixels": (header(100_000, 100_000) + bytes(3 * 10**6), "has 100000 x 100000 pixels; at most 67108864 are read"),
    "5 text": (header(8, 8) + chunk(b"tEXt", bytes(3 * 10**6)), "of a picture of 8 x 8 pixels at most"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_of_a_member_no_more_is_decompressed_than_its_picture_may_need(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for name, (contents, _) in BOMBS.items():
            archive.writestr(f"{name}.png", SIGNATURE + contents)
        archive.writestr("bomb.txt", bytes(3 * 10**6))
    chunks = list(Chunks(tmp_path / "a.zip"))
    tracemalloc.start()
    (rows,) = rows_of(by_pillow, chunks, max_pixels=2**26)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    assert rows.others == ["bomb.txt"]
    for (name, (_, reason)), error in zip(BOMBS.items(), rows.errors, strict=True):
        assert error.startswith(f"{tmp_path / 'a.zip'}: {name}.png ")
        assert reason in error


def test_eight_bytes_of_a_member_cost_eight_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for name, method in (("compressed", zipfile.ZIP_BZIP2), ("stored", zipfile.ZIP_STORED)):
            archive.writestr(name, np.random.default_rng(0).bytes(3 * 10**6), method)
    with open_archive(str(tmp_path / "a.zip")) as archive:
        for place in members(archive).places:
            tracemalloc.start()
            assert len(read_member(archive, place, count=8)) == 8
            assert tracemalloc.get_traced_memory()[1] < 10**5  # bzip2 has blocks of 900 kB
            tracemalloc.stop()


def test_any_positive_limit_of_pixels_is_one(tmp_path):
    (tmp_path / "a.png").write_bytes(gray_png(page(10, 10)))
    for limit, error in [(1, "at most 1 are read"), (99, "at most 99 are read"), (100, None), (10**40, None)]:
        (rows,) = the_same_by_all_ways(list(Chunks(tmp_path)), max_pixels=limit)
        assert str(rows.errors[0]).endswith(error or "None")


def test_files_are_closed_whatever_they_are(everything):
    folder, _, _ = everything
    chunks = list(Chunks(folder))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for way in WAYS:
        rows_of(way, chunks)
        assert not before or len(os.listdir("/proc/self/fd")) == before


# -- The whole pipeline ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    for number in range(20):
        for label, levels in (("dark", (0, 100)), ("light", (150, 256))):
            (folder / label).mkdir(exist_ok=True)
            image = np.random.default_rng(number).integers(*levels, (16, 16)).astype(np.uint8)
            (folder / label / f"{number}.png").write_bytes(gray_png(image))
    return train_folder(folder, hidden=(3,), epochs=3, seed=0)


def same(verdicts, others):
    assert verdicts._replace(scores=None) == others._replace(scores=None)
    assert verdicts.scores.tobytes() == others.scores.tobytes()


def test_same_bits_by_any_way_thread_count_and_batch_size(everything, classifier, monkeypatch):
    folder, names, _ = everything
    expected = classify_folder(classifier, folder, 1)
    assert len(expected.paths) == len(names)
    for way in WAYS:
        with monkeypatch.context() as patch:
            way(patch)
            for threads in (1, 2, 3):
                for batch_size in (1, 10, 4096):
                    same(classify_folder(classifier, folder, threads, batch_size=batch_size), expected)
    unordered = classify_folder(classifier, folder, 3, batch_size=5, ordered=False)
    order = np.argsort([os.fsencode(path) for path in unordered.paths])
    assert [unordered.paths[index] for index in order] == expected.paths
    assert unordered.scores[order].tobytes() == expected.scores.tobytes()
    assert unordered.skipped == expected.skipped


def map_to_list(function, items):
    return [function(item) for item in items]


def test_what_is_done_is_left_out_and_nothing_else(everything, classifier):
    folder, _, _ = everything
    expected = classify_folder(classifier, folder, 1)
    for share in (0.0, 0.3, 1.0):
        rng = random.Random(share)
        done = {path for path in expected.paths if rng.random() < share}
        for threads in (1, 2):
            rest = classify_folder(classifier, folder, threads, batch_size=7, done=partial(map_to_list, done.__contains__))
            assert rest.paths == [path for path in expected.paths if path not in done]
            assert rest.errors == [error for path, error in zip(expected.paths, expected.errors, strict=True) if path not in done]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_goes_wrong_in_a_thread_or_a_list_comes_to_the_caller(everything, classifier, threads):
    folder, _, _ = everything
    before = threads_at_work()

    def names():
        yield folder / "one pixel"
        raise RuntimeError("no more names")

    with pytest.raises(RuntimeError, match="no more names"):
        list(classifier.classify(names(), threads))
    with pytest.raises(ZeroDivisionError):
        list(classifier.classify(folder, threads, done=lambda paths: 1 // 0))
    assert come_down_to(before)


def test_batches_that_are_dropped_leave_no_thread_behind(everything, classifier):
    folder, _, _ = everything
    before = threads_at_work()
    for _ in classifier.classify(folder, 3, batch_size=1):
        break
    assert come_down_to(before)


def test_a_folder_of_nothing_but_other_things_holds_no_png(tmp_path, classifier):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "sub").mkdir()
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"holds no image file; it holds 1 \.png$"):
            classify_folder(classifier, tmp_path, threads)
    assert classify_folder(classifier, tmp_path, strict=True).errors == [
        f"{tmp_path / 'pipe.png'} is not a regular file",
        f"{tmp_path / 'text.png'} is no image file (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM)",
    ]


INTERRUPTED = """
import signal, sys
import numpy as np
from at_work import come_down_to
from fastmlp import load
from fastmlp.images.pillow import read_image

classifier = load(sys.argv[1])
print("ready", flush=True)
try:
    for batch in classifier.classify((sys.argv[2] for _ in range(10**8)), int(sys.argv[3]), batch_size=100):
        print("batch", flush=True)
except KeyboardInterrupt:
    print("interrupted", come_down_to(1), flush=True)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_the_work_and_its_threads(tmp_path, classifier, threads):
    classifier.save(tmp_path / "model.npz")
    (tmp_path / "a.png").write_bytes(gray_png(page(16, 16)))
    program = f"import sys; sys.path.append({str(ROOT / 'tests')!r})\n{INTERRUPTED}"
    arguments = ["-c", program, tmp_path / "model.npz", tmp_path / "a.png", str(threads)]
    with begun(*arguments, stdout=subprocess.PIPE) as process:
        lines = [line_of(process) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert lines == [b"ready\n", b"batch\n", b"batch\n"]
    assert rest.splitlines()[-1] == b"interrupted True"
    assert process.returncode == 0


@pytest.mark.parametrize("count", [1, 7, 2 * LARGEST_CHUNK + 3])
def test_rows_that_are_kept_take_no_memory_of_their_own(count):
    rng = np.random.default_rng(count)
    for kept in (np.ones(count, bool), np.zeros(count, bool), rng.random(count) < 0.7):
        features = rng.normal(size=(count, 3))
        expected = features[kept]
        found = only_rows(features, kept)
        assert np.array_equal(found, expected)
        assert not len(found) or np.shares_memory(found, features)
