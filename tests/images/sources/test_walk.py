"""A folder is walked in order, with all folders in it, whatever lies there, and whatever cannot be listed."""

import os
import random
import subprocess
import sys
import tempfile
import threading

import pytest
from trees import AS_ROOT, NAMES, NOBODY, ODD_NAMES, ROOT, checked, checked_or_empty, failures, make, paths_of, skipped, sorted_walk

from fastmlp.images.sources.source import Chunks
from fastmlp.images.sources.walk import SORTED_BY_PYTHON

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names are bytes, and there are pipes and devices")


def test_a_folder_is_walked_in_the_order_of_whole_paths(tree):
    assert paths_of(tree) == sorted(NAMES, key=os.fsencode) == sorted_walk(tree)
    assert paths_of(tree).index("a-b/c.png") < paths_of(tree).index("a.png") < paths_of(tree).index("a/10.png")


def test_a_relative_folder_gives_the_same_paths(tree, monkeypatch):
    monkeypatch.chdir(tree)
    for folder in (".", "./", "../" + tree.name, tree, str(tree) + "//"):
        assert paths_of(folder) == sorted_walk(tree)
    assert paths_of("z") == paths_of("z/") == ["y/x.png"]


def test_names_of_any_bytes(tmp_path):
    make(tmp_path, *ODD_NAMES, b"caf\xe9/\xe8.png", b"caf\xe9-/x")
    assert paths_of(tmp_path) == sorted_walk(tmp_path)
    assert [os.fsencode(path) for path in paths_of(tmp_path)] == sorted([*ODD_NAMES, b"caf\xe9/\xe8.png", b"caf\xe9-/x"])


@pytest.mark.parametrize("seed", range(5))
def test_random_trees_are_walked_in_sorted_order_in_chunks_of_any_size(tmp_path, seed):
    rng = random.Random(seed)
    for _ in range(60):
        parts = [bytes(rng.choices(b"a-.~\xff0", k=rng.randint(1, 3))) for _ in range(rng.randint(1, 4))]
        parts = [b"_" + part if part.strip(b".") == b"" else part for part in parts]
        try:
            make(tmp_path, b"/".join(parts))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # a file of that name is there already, or a folder
    expected = sorted_walk(tmp_path)
    assert len(expected) > 20
    for size in (1, 2, 7, 4096):
        chunks = list(Chunks(tmp_path, size=size))
        assert [path for chunk in chunks for path in checked(chunk).paths()] == expected
        assert max(chunk.length for chunk in chunks) <= size
        assert sorted(paths_of(tmp_path, size=size, ordered=False), key=os.fsencode) == expected


def test_a_large_folder_is_sorted_as_python_sorts(tmp_path):
    rng = random.Random(0)
    names = {bytes(rng.choices(b"abc-.\xe9", k=rng.randint(1, 12))) for _ in range(7000)}
    names = {b"x" + name for name in names} | {b"x" * k for k in range(1, 250)} | {b"a common beginning %d" % k for k in range(500)}
    make(tmp_path, *(name + b"/f" if number % 50 == 0 else name for number, name in enumerate(sorted(names))))
    assert len(names) > 4096
    assert sum(map(len, names)) > SORTED_BY_PYTHON
    chunks = Chunks(tmp_path)
    assert [path for chunk in chunks for path in checked(chunk).paths()] == sorted_walk(tmp_path)
    assert chunks.total == len(names)


@pytest.mark.parametrize("ordered", [True, False])
def test_names_fill_the_chunks_whatever_folders_they_lie_in(tmp_path, ordered):
    make(tmp_path, *(f"{number:03}/{name}" for number in range(60) for name in "abc"[: number % 4]))
    lengths = [chunk.length for chunk in Chunks(tmp_path, size=8, ordered=ordered)]
    assert sum(lengths) == 90
    assert min(lengths[:-1]) >= 8 - 2
    assert max(lengths) <= 8


def test_the_total_is_known_at_the_end_and_for_a_flat_folder_from_the_first_chunk_on(tree):
    chunks = Chunks(tree, size=2)
    assert chunks.total is None
    next(chunks)
    assert chunks.total is None
    assert sum(chunk.length for chunk in chunks) == len(NAMES) - 2
    assert chunks.total == len(NAMES)
    make(tree / "flat", *"abcde")
    flat = Chunks(tree / "flat", size=2)
    next(flat)
    assert flat.total == 5


def test_an_empty_folder_gives_no_names(tmp_path):
    make(tmp_path, "a/b/.hidden", ".c/d")
    for ordered in (True, False):
        chunks = Chunks(tmp_path, ordered=ordered)
        assert [path for chunk in chunks for path in checked_or_empty(chunk)] == []
        assert chunks.total == 0
        assert chunks.within


def test_links_to_files_are_listed_and_links_to_folders_not_followed(tree):
    os.symlink(tree / "b.png", tree / "c.png")
    os.symlink(tree, tree / "loop")
    os.symlink(tree / "b.png", tree / ".hidden link")
    assert paths_of(tree) == sorted([*NAMES, "c.png"])
    assert skipped(tree, strict=True) == skipped(tree) == 0
    assert failures(tree, strict=True) == {}


def test_links_that_lead_nowhere_are_listed_as_reading_them_will_tell(tree):
    os.symlink(tree / "nothing", tree / "broken.png")
    os.symlink("itself", tree / "itself")
    os.symlink("b.png/below", tree / "below a file")
    os.symlink("x" * 300, tree / "too long")
    for follow in (False, True):
        assert paths_of(tree, follow_symlinks=follow) == sorted([*NAMES, "broken.png", "itself", "below a file", "too long"])


def test_links_to_folders_can_be_followed_and_loops_end(tree):
    os.symlink("z", tree / "c")
    os.symlink("..", tree / "z" / "up")
    os.symlink(".", tree / "z" / "y" / "here")
    os.symlink(".git", tree / "g")
    found = paths_of(tree, follow_symlinks=True)
    assert found == sorted([*NAMES, "c/y/x.png", "g/d.png"])
    assert sorted(paths_of(tree, follow_symlinks=True, ordered=False)) == found


def test_folders_that_link_to_each_other_end(tmp_path):
    make(tmp_path, "a/1", "b/2")
    os.symlink("../b", tmp_path / "a" / "to")
    os.symlink("../a", tmp_path / "b" / "to")
    assert paths_of(tmp_path, follow_symlinks=True) == ["a/1", "a/to/2", "b/2", "b/to/1"]


def test_the_folder_itself_may_be_a_link(tree, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "link"
    os.symlink(tree, link)
    assert paths_of(link) == sorted(NAMES)


def test_pipes_sockets_and_devices_are_skipped_and_counted(odd_things):
    folder, things = odd_things
    for ordered in (True, False):
        assert sorted(paths_of(folder, ordered=ordered)) == sorted(NAMES)
        assert skipped(folder, ordered=ordered) == len(things)
        assert failures(folder, ordered=ordered) == {}


def test_pipes_sockets_and_devices_are_failures_if_strict(odd_things):
    folder, things = odd_things
    for ordered in (True, False):
        assert failures(folder, ordered=ordered, strict=True) == {
            f"{name}/": f"{folder / name} is not a regular file" for name in things
        }
        assert sorted(paths_of(folder, ordered=ordered, strict=True)) == sorted([*NAMES, *(f"{name}/" for name in things)])
        assert skipped(folder, ordered=ordered, strict=True) == 0


def test_no_file_pipe_or_device_is_opened_while_listing(odd_things, monkeypatch):
    folder, _ = odd_things

    def refuse(*_, **__):
        raise AssertionError("something was opened")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    for strict in (False, True):
        list(Chunks(folder, strict=strict, follow_symlinks=strict))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_subfolder_that_cannot_be_listed_is_a_failure(tree, monkeypatch, ordered):
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path).endswith(("z/y/", "a-b/")):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert failures(tree, ordered=ordered) == {
        name: f"{tree}/{name} cannot be listed: Permission denied" for name in ("z/y/", "a-b/")
    }
    expected = sorted((set(NAMES) - {"z/y/x.png", "a-b/c.png"}) | {"z/y/", "a-b/"})
    assert (paths_of(tree) if ordered else sorted(paths_of(tree, ordered=False))) == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_a_folder_that_fails_in_the_middle_of_its_list_is_a_failure(tree, monkeypatch, ordered):
    scandir = os.scandir

    class Failing:
        def __init__(self, entries):
            self.entries = entries

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

        def __iter__(self):
            yield next(self.entries)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", lambda path: Failing(scandir(path)) if os.fspath(path).endswith("a/") else scandir(path))
    assert failures(tree, ordered=ordered) == {"a/": f"{tree}/a/ cannot be listed: Input/output error"}
    assert {"b.png", "z/y/x.png"} < set(paths_of(tree, ordered=ordered))


def test_a_subfolder_that_vanishes_during_the_walk_is_a_failure(tree):
    chunks = Chunks(tree, size=1)
    assert next(chunks).paths() == ["A.png"]
    os.unlink(tree / "z/y/x.png")
    os.rmdir(tree / "z/y")
    os.rmdir(tree / "z")
    (failure,) = (failure for chunk in chunks for failure in chunk.failed)
    assert failure == (0, "z/", f"{tree}/z/ cannot be listed: No such file or directory", False)


def test_a_folder_that_cannot_be_listed_at_all_is_an_error_at_once(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        Chunks(tree)


@pytest.mark.skipif(not AS_ROOT, reason="only root may become somebody else")
def test_what_another_user_may_not_see_are_failures(tmp_path):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        make(folder, "closed/a.png", "open/b.png", "names only/c.png")
        os.symlink("closed/a.png", os.path.join(folder, "link.png"))
        os.chmod(os.path.join(folder, "closed"), 0)
        os.chmod(os.path.join(folder, "names only"), 0o744)
        script = (
            f"import os\nfrom fastmlp.images.sources.source import Chunks\nos.seteuid({NOBODY})\n"
            f"for chunk in Chunks({folder!r}): print(chunk.names, [one.why for one in chunk.failed])"
        )
        output = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
        ).stdout
    names = b"closed/\0link.png\0names only/c.png\0open/b.png\0"
    assert output == f"{names} {[f'{folder}/closed/ cannot be listed: Permission denied']}\n"


@pytest.mark.parametrize("follow", [False, True])
def test_folders_may_lie_1500_deep(deep, follow):
    expected = ["d/" * depth + "f" for depth in range(1500, 0, -1)]
    assert paths_of(deep(1500, "d"), follow_symlinks=follow) == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_a_folder_whose_path_is_too_long_for_the_system_is_a_failure(deep, ordered):
    folder = deep(60, "d" * 99)
    (failure,) = failures(folder, ordered=ordered).items()
    assert failure[0].endswith("d/")
    assert failure[1].endswith(" cannot be listed: File name too long")
    paths = paths_of(folder, ordered=ordered)
    assert len(paths) == 1 + failure[0].count("/") - 1
    assert set(paths) == {failure[0]} | {("d" * 99 + "/") * depth + "f" for depth in range(1, len(paths))}


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files cannot be counted")
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("closed", [True, False])
def test_ending_early_leaves_no_folder_open(tree, ordered, closed):
    before = open_files()
    for count in range(len(NAMES)):
        chunks = Chunks(tree, ordered=ordered, size=1)
        for _ in range(count):
            next(chunks)
        if closed:
            chunks.close()
            assert next(chunks, None) is None
        else:
            del chunks
        assert open_files() == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files cannot be counted")
@pytest.mark.parametrize("ordered", [True, False])
def test_a_walk_keeps_one_folder_open_however_deep(deep, ordered):
    folder, before = deep(40, "d"), open_files()
    for _ in Chunks(folder, ordered=ordered, size=1):
        assert open_files() <= before + 1


def test_no_chunk_holds_more_than_its_size_of_a_huge_folder_at_once_if_not_ordered(tmp_path, monkeypatch):
    make(tmp_path, *map(str, range(100)))
    listed = []
    fsencode = os.fsencode
    monkeypatch.setattr(os, "fsencode", lambda text: listed.append(text.count("\0")) or fsencode(text))
    chunks = Chunks(tmp_path, ordered=False, size=10)
    next(chunks)
    assert max(listed) <= 10
    assert sum(listed) <= 30
    chunks.close()


def test_two_walks_at_once_do_not_meet(tree):
    make(tree, *(f"{number}/x" for number in range(200)))
    results = [None] * 4

    def walk(index):
        results[index] = paths_of(tree, size=3)

    workers = [threading.Thread(target=walk, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [sorted_walk(tree)] * 4
