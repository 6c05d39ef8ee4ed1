"""What becomes something else, or cannot be had, between the walk and the reading: a row that fails, or is skipped."""

import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pngs import gray_png
from ways import WAYS, by_pillow, page, rows_of, the_same_by_all_ways

from fastmlp import classify_folder
from fastmlp.images.sources.chunk import LARGEST_CHUNK
from fastmlp.images.sources.source import Chunks

ROOT = Path(__file__).parents[2]
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are pipes, and folders to open from")


@pytest.fixture(autouse=True)
def one_chunk(monkeypatch):
    """The first chunk is as large as any."""
    monkeypatch.setattr("fastmlp.images.sources.chunk.SMALLEST_CHUNK", LARGEST_CHUNK)


def test_files_that_vanish_or_become_something_else_fail_or_are_skipped(tmp_path):
    for name in ("changed", "folder", "pipe", "right", "vanished", "zero"):
        (tmp_path / name).write_bytes(gray_png(page(5, 5)))
    chunks = list(Chunks(tmp_path))
    for name in ("folder", "pipe", "vanished", "zero"):
        (tmp_path / name).unlink()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    os.symlink("/dev/zero", tmp_path / "zero")
    (tmp_path / "changed").write_bytes(gray_png(page(9, 5)))
    (rows,) = the_same_by_all_ways(chunks)
    assert rows.paths == ["changed", "right", "vanished"]
    assert rows.errors == [None, None, f"{tmp_path / 'vanished'} cannot be read: No such file or directory"]
    assert rows.others == ["folder", "pipe", "zero"]
    (strict,) = the_same_by_all_ways(chunks, strict=True)
    told = dict(zip(strict.paths, strict.errors, strict=True))
    for name in ("folder", "pipe", "zero"):
        assert told[name] == f"{tmp_path / name} is not a regular file"


def test_a_pipe_that_somebody_holds_open_does_not_block(tmp_path):
    (tmp_path / "pipe").write_bytes(b"")
    chunks = list(Chunks(tmp_path))
    (tmp_path / "pipe").unlink()
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        (rows,) = the_same_by_all_ways(chunks)
    finally:
        os.close(end)
    assert rows.others == ["pipe"]


@contextmanager
def no_descriptors():
    """Nothing can be opened within it."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_that_cannot_be_opened_for_want_of_descriptors_are_worth_another_try(tmp_path, classifier):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(gray_png(page(5, 5)) if number != 1 else b"\x89PNG\r\n\x1a\n")
    chunks = list(Chunks(tmp_path))
    (fine,) = the_same_by_all_ways(chunks)
    assert fine.retry == classify_folder(classifier, tmp_path).retry == []  # and all is loaded from files that it takes
    with no_descriptors():
        (rows,) = the_same_by_all_ways(chunks)
        walked = classify_folder(classifier, [tmp_path / "1.png", "nowhere", tmp_path / "2.png"], batch_size=2)
    assert rows.errors == [f"{tmp_path / f'{number}.png'} cannot be read: Too many open files" for number in range(3)]
    assert rows.retry == [0, 1, 2]
    assert walked.retry == [0, 2]


def test_a_file_that_there_is_no_memory_for_is_worth_another_try(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(gray_png(page(5, 5)))
    monkeypatch.setattr("fastmlp.images.png_pictures._levels", raise_memory_error)
    (rows,) = rows_of(by_pillow, Chunks(tmp_path))
    assert (rows.errors, rows.retry) == ([f"{tmp_path / 'a.png'} cannot be read: there is not enough memory"], [0])


def raise_memory_error(*_):
    raise MemoryError


def test_a_folder_that_vanishes_makes_all_its_files_fail(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(gray_png(page(5, 5)))
    chunks = list(Chunks(folder))
    folder.rename(tmp_path / "elsewhere")
    (rows,) = the_same_by_all_ways(chunks)
    assert rows.errors == [f"{folder / 'a.png'} cannot be read: No such file or directory"]


def test_an_archive_that_is_cut_short_after_it_was_listed_is_not_read_behind_its_end(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(3):
            (tmp_path / "a.png").write_bytes(gray_png(page(300, 300, number)))
            tar.add(tmp_path / "a.png", f"{number}.png")
    (chunk,) = Chunks(tmp_path / "a.tar")
    for size in (250_000, 100_000, 600, 1, 0):
        os.truncate(tmp_path / "a.tar", size)
        (rows,) = the_same_by_all_ways([chunk])
        assert rows.errors == [f"{tmp_path / 'a.tar'} was changed after it was listed"] * 3
        assert rows.retry == [0, 1, 2]
        (rows,) = the_same_by_all_ways([chunk._replace(version=None)])  # as if it were cut after that was noticed
        expected = [start + length <= size for start, length in chunk.members[:, :2].tolist()]
        assert [error is None for error in rows.errors] == expected
        assert set(rows.errors) <= {None, f"{tmp_path / 'a.tar'} was cut short while it was read"}
    (tmp_path / "a.tar").unlink()
    (rows,) = the_same_by_all_ways([chunk])
    assert rows.errors == [f"{tmp_path / 'a.tar'} cannot be read: No such file or directory"] * 3


def test_an_archive_that_is_replaced_by_another_is_not_read_at_the_places_of_the_first(tmp_path):
    for name, shade in (("a.tar", 0), ("b.tar", 255)):
        (tmp_path / "x.png").write_bytes(gray_png(np.full((9, 9), shade)))
        with tarfile.open(tmp_path / name, "w") as tar:
            tar.add(tmp_path / "x.png", "x.png")
    chunks = list(Chunks(tmp_path / "a.tar"))
    os.utime(tmp_path / "b.tar", ns=(0, 0))
    os.replace(tmp_path / "b.tar", tmp_path / "a.tar")
    (rows,) = the_same_by_all_ways(chunks)
    assert rows.errors == [f"{tmp_path / 'a.tar'} was changed after it was listed"]


CUT = """
import os, sys, threading
import numpy as np
from fastmlp.images import reading
from fastmlp.images.sources.source import Chunks

reading.FILES_BY_PILLOW = 0
(chunk,) = Chunks(sys.argv[1], size=10**6)
threading.Timer(0.02, os.truncate, [sys.argv[1], 0]).start()
while not any((rows := reading.read_chunk(chunk, "ink", False, 10**6)).errors):
    pass
print(set(rows.errors[-1:]))
"""


def test_an_archive_that_is_cut_to_nothing_while_it_is_read_gives_rows_that_fail(tmp_path):
    (tmp_path / "x.png").write_bytes(gray_png(page(100, 100)))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(60):
            tar.add(tmp_path / "x.png", f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-c", CUT, tmp_path / "a.tar"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "while it was read" in done.stdout or "after it was listed" in done.stdout


def test_a_file_that_grows_while_it_is_read_ends(tmp_path):
    (tmp_path / "a.png").write_bytes(gray_png(page(5, 5)))
    stop = threading.Event()

    def grow():
        with open(tmp_path / "a.png", "ab", buffering=0) as file:
            while not stop.is_set():
                file.write(bytes(4096))
                time.sleep(0)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        chunks = list(Chunks(tmp_path))
        for way in WAYS:
            (rows,) = rows_of(way, chunks)
            assert rows.errors == [None]
    finally:
        stop.set()
        writer.join()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_files_that_may_not_be_read_fail():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("closed.png", "open.png", "sub/in closed folder.png"):
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gray_png(page(5, 5)))
        chunks = list(Chunks(folder))
        os.chmod(os.path.join(folder, "closed.png"), 0)
        os.chmod(os.path.join(folder, "sub"), 0)
        os.seteuid(NOBODY)
        try:
            (rows,) = the_same_by_all_ways(chunks)
        finally:
            os.seteuid(0)
    assert rows.errors == [
        f"{folder}/closed.png cannot be read: Permission denied",
        None,
        f"{folder}/sub/in closed folder.png cannot be read: Permission denied",
    ]
