"""SIGKILL at any step and at any moment: the same call goes on, nothing is lost or doubled, and all can be taken back."""

import os
import random
import shutil
import time

import pytest
from killed import came_through, kill_before
from sorted_folders import files_in, folders_in, make_source, write

from fastmlp.images.sorting import carrying, placing
from fastmlp.images.sorting.sort_run import sort_folder
from fastmlp.images.sorting.undoing import undo_sort

LOG = "sort-log.jsonl"
STEPS = ("link", "unlink", "mkdir", "rmdir", "write", "open", "fsync", "ftruncate", "access")
SHM = "/dev/shm"
LEFT = 200  # kills of one test at most, until a run is through


def forked(function, step=None, seconds=None):
    """Whether a child came through a function, and was not killed before a step of its main thread, or after some time."""

    def kill_before_step():
        rename = kill_before(step, STEPS)(placing._renameat2())
        placing._renameat2 = lambda: rename

    return came_through(function, None if step is None else kill_before_step, seconds)


@pytest.fixture(params=["copy", "link", "move", "move across file systems"])
def work(request, tmp_path, monkeypatch, classifier):
    """A function that makes the folders anew; those of the source and of the classes, what sorts and what takes back."""
    source, dest, how = tmp_path / "source", tmp_path / "dest", request.param.split()[0]
    monkeypatch.setattr(carrying, "AT_ONCE", dict.fromkeys(carrying.AT_ONCE, 2))
    if how != request.param:
        if not os.path.isdir(SHM) or os.stat(SHM).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("there is one file system")
        dest = type(tmp_path)(SHM, f"fastmlp-{os.getpid()}-{tmp_path.name}")

    def begin():
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(dest, ignore_errors=True)
        make_source(source)
        shutil.rmtree(source / "c")  # three images are enough, of which two are put in their places at once
        (source / "a/2.png").unlink()
        write(dest / "upright/b.png", b"mine")
        return files_in(source), files_in(dest)

    yield begin, source, dest, lambda: sort_folder(classifier, source, dest, how, threads=1), lambda: undo_sort(dest / LOG)
    shutil.rmtree(dest, ignore_errors=True)


def check_sorted(source, dest, images):
    """Each image is in its place, whole and once, and so is what was there."""
    found = files_in(dest)
    assert found.pop(LOG) and found.pop("upright/b.png")[0] == b"mine"
    assert found.keys() == {"upright/a/1.png", "upright/b-2.png", "lying/1.png"}
    for name, file in found.items():
        assert file == images[name.partition("/")[2].replace("-2", "")]
    assert files_in(source).items() <= images.items()


def check_as_before(source, dest, images, mine):
    assert (files_in(source), files_in(dest)) == (images, mine)
    assert folders_in(dest) == {".", "upright"}


def test_killed_before_every_step(work):
    """And then gone on with, or taken back."""
    begin, source, dest, sort, undo = work
    for step in range(LEFT):
        images, mine = begin()
        through = forked(sort, step)
        if step % 2:
            sort()
            check_sorted(source, dest, images)
        if begun(dest):
            assert not undo().left
            check_as_before(source, dest, images, mine)
        if through:
            return
    raise AssertionError


def test_taking_back_is_killed_before_every_step(work):
    """Of what was sorted to the end, or not."""
    begin, source, dest, sort, undo = work
    rng = random.Random(1)
    for step in range(LEFT):
        images, mine = begin()
        whole = step % 2 == 0
        forked(sort, None if whole else rng.randint(10, 50))
        through = forked(undo, step)
        if begun(dest):
            assert not undo().left
        check_as_before(source, dest, images, mine)
        if through and whole:
            return
    raise AssertionError


def begun(dest):
    return (dest / LOG).exists() and (dest / LOG).stat().st_size


def test_killed_at_any_moment_again_and_again(work):
    begin, source, dest, sort, undo = work
    rng = random.Random(0)
    images, mine = begin()
    began = time.monotonic()
    assert forked(sort)
    seconds = time.monotonic() - began
    for _ in range(5):
        images, mine = begin()
        for _ in range(rng.randint(1, 3)):
            forked(sort, seconds=rng.random() * seconds)
        sort()
        check_sorted(source, dest, images)
        forked(undo, seconds=rng.random() * seconds / 2)
        if (dest / LOG).exists():
            assert not undo().left
        check_as_before(source, dest, images, mine)
