"""A folder of many names is listed by compiled code, and nobody sees which way it went."""

import os
import random
import tracemalloc
from functools import partial
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from trees import ODD_NAMES, failures, make, paths_of, skipped, sorted_walk

from fastmlp.images.sharing_out import joined
from fastmlp.images.sources import walk
from fastmlp.images.sources.source import Chunks
from fastmlp.kernels.images import entries

pytestmark = pytest.mark.skipif(not entries.POSSIBLE, reason="the system has no getdents64")


@pytest.fixture
def both_ways(monkeypatch):
    """A function that calls another with Python alone, then with compiled code for all folders of two names or more; it gives what
    came of each, and how many folders compiled code has listed."""

    def call(function):
        whole, counted = walk.listed_compiled, []

        def counting(path):
            names = whole(path)
            counted.append(names is not None)
            return names

        monkeypatch.setattr(walk, "listed_compiled", lambda path: None)
        by_python = function()
        monkeypatch.setattr(walk, "listed_compiled", counting)
        monkeypatch.setattr(walk, "LISTED_BY_PYTHON", 1)
        return by_python, function(), sum(counted)

    return call


def told(folder, **options):
    return [(chunk.names, chunk.length, chunk.failed, chunk.skipped, chunk.known) for chunk in Chunks(folder, **options)]


def everything(folder):
    return [told(folder, strict=strict, follow_symlinks=follow, size=size) for strict, follow, size in OPTIONS]


OPTIONS = [(False, False, 3), (False, True, 4096), (True, False, 4096), (True, True, 7)]


def test_many_names_come_as_python_sorts_them(tmp_path, monkeypatch):
    make(tmp_path, *(f"{number}.png" for number in range(3 * walk.LISTED_BY_PYTHON)), ".hidden")
    used = []
    whole = walk.listed_compiled
    monkeypatch.setattr(walk, "listed_compiled", lambda path: used.append(path) or whole(path))
    assert paths_of(tmp_path) == sorted_walk(tmp_path)
    assert used == [os.path.join(tmp_path, "")]


def test_few_names_need_nothing_compiled(tmp_path, monkeypatch):
    make(tmp_path, *(f"{number}.png" for number in range(walk.LISTED_BY_PYTHON)))
    monkeypatch.setattr(walk, "listed_compiled", None)
    assert len(paths_of(tmp_path)) == walk.LISTED_BY_PYTHON


def test_a_hostile_tree_is_the_same_both_ways(tmp_path, both_ways):
    rng = random.Random(0)
    make(
        tmp_path,
        *ODD_NAMES,
        b"caf\xe9/\xe8.png",
        b"caf\xe9-/x",
        "empty/.hidden",
        ".git/a",
        ".git/b",
        *("d/" * k + "f" for k in range(30)),
    )
    for folder in ("plain", "linked", "piped", "looped"):
        names = {bytes(rng.choices(b"ab-.\xff\n", k=rng.randint(1, 9))) for _ in range(40)} | {b"x" * 255}
        make(tmp_path, *(b"%s/_%s" % (folder.encode(), name[:254]) for name in names))
    make(tmp_path, *(f"large/{number:0200}" for number in range(400)))  # 90 KiB of records
    os.symlink("_x", tmp_path / "linked" / "to a file")
    os.symlink("nothing", tmp_path / "linked" / "broken")
    os.symlink("../large", tmp_path / "linked" / "to a folder")
    os.symlink("..", tmp_path / "looped" / "up")
    os.mkfifo(tmp_path / "piped" / "pipe")
    os.mkfifo(tmp_path / "piped" / ".hidden pipe")
    by_python, compiled, count = both_ways(lambda: everything(tmp_path))
    assert by_python == compiled
    assert count >= 3 * len(OPTIONS)  # the top, "plain", "large"
    assert skipped(tmp_path) == 1 and list(failures(tmp_path, strict=True)) == ["piped/pipe/"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_listed_is_the_same_failure(tmp_path, both_ways):
    make(tmp_path, "closed/a", "closed/b", "c")
    (tmp_path / "closed").chmod(0)
    try:
        by_python, compiled, _ = both_ways(lambda: everything(tmp_path))
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert by_python == compiled


def test_a_folder_that_compiled_code_cannot_open_is_listed_by_python(tmp_path, monkeypatch, both_ways):
    make(tmp_path, "a", "b", "c")
    monkeypatch.setattr(entries, "FLAGS", os.O_RDONLY | os.O_DIRECTORY | os.O_CREAT)  # which no folder is opened by
    by_python, compiled, count = both_ways(lambda: everything(tmp_path))
    assert by_python == compiled and count == 0


def shuffled_names(count):
    """(count, 12) bytes: as many names with the NUL that ends each."""
    digits = np.random.default_rng(0).permutation(count)[:, None] // 10 ** np.arange(6, -1, -1) % 10
    return np.hstack((digits.astype(np.uint8) + ord("0"), np.tile(np.frombuffer(b".png\0", np.uint8), (count, 1))))


def blocks(names, count=20_000):
    return [names[first : first + count].tobytes() for first in range(0, len(names), count)]


def listed_by_kernel(names, monkeypatch):
    """Makes these the names that the system tells of any folder."""
    parts = blocks(names)

    def list_entries(room, records, folder):
        part = parts.pop(0)
        room[: len(part)] = np.frombuffer(part, np.uint8)
        return len(part), entries.MORE if parts else entries.END

    monkeypatch.setattr(entries, "list_entries", list_entries)
    monkeypatch.setattr(walk.Walk, "_listings", lambda *_: iter((b"a\0", b"b\0")))


def listed_by_python(names, monkeypatch):
    parts = blocks(names)
    monkeypatch.setattr(walk, "listed_compiled", lambda path: None)
    monkeypatch.setattr(walk.Walk, "_listings", lambda *_: iter(parts))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="too many names to be interpreted")
@pytest.mark.parametrize("listed", [listed_by_kernel, listed_by_python])
def test_a_name_takes_its_bytes_and_eight_more_and_four_when_it_is_sorted(listed, tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "sorted_starts", partial(walk.sorted_starts, run=1 << 13))  # so that scratch does not count

    def go_through(count):
        """The most bytes until the first task for an executor is there, and from then on."""
        names = shuffled_names(count)
        listed(names, monkeypatch)
        tracemalloc.start()
        tasks = joined(walk.walked_chunks(walk.Walk(str(tmp_path), True, True, False, 4096)), SimpleNamespace(workers=lambda: 4))
        number = sum(chunk.length for chunk in next(tasks))
        sorting, _ = tracemalloc.get_traced_memory()[1], tracemalloc.reset_peak()
        number += sum(chunk.length for task in tasks for chunk in task)
        taking = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == count
        return sorting, taking

    go_through(30_000)  # what is made once does not count
    sorting, taking = (peak / 300_000 for peak in go_through(300_000))
    growing = 12 / 8  # the room ahead of a bytearray that grows, of which the system gives no pages
    assert sorting < 12 + growing + 4 + 4 + 2
    assert taking < 12 + growing + 4 + 4  # with the names of a task


def test_ctrl_c_ends_the_sorting_of_many_names(tmp_path, monkeypatch):
    def raise_noted():
        raise KeyboardInterrupt

    listed_by_python(shuffled_names(5000), monkeypatch)
    monkeypatch.setattr(walk, "raise_noted", raise_noted)
    with pytest.raises(KeyboardInterrupt):
        next(walk.Walk(str(tmp_path), True, True, False, 4096).parts())
