"""Files, lists and archives as sources of names, chunk by chunk; some of them left out."""

import os
import tarfile
import zipfile

import numpy as np
import pytest
from trees import NAMES, ODD_NAMES, checked, checked_or_empty, failures, make, paths_of, skipped, sorted_walk

from fastmlp.images.sources.source import Chunks

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names are bytes, and there are pipes and devices")


def test_a_pipe_as_the_source_is_a_name_that_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert paths_of(tmp_path / "pipe.png") == [str(tmp_path / "pipe.png")]


def test_one_file_and_lists_of_files_are_taken_as_they_are(tree):
    assert paths_of(tree / "notes.txt") == paths_of(str(tree / "notes.txt")) == [str(tree / "notes.txt")]
    assert paths_of(["none.png", tree / "b.png", tree, ""]) == ["none.png", str(tree / "b.png"), str(tree), ""]
    assert paths_of(iter(["b.png", "a.png", "b.png"])) == ["b.png", "a.png", "b.png"]
    assert paths_of([]) == paths_of(()) == []
    assert not Chunks([]).within


def test_lists_are_cut_in_chunks_and_their_total_is_known_if_they_have_a_length():
    names = [f"{number}.png" for number in range(10)]
    chunks = Chunks(names, size=4)
    assert chunks.total == 10
    assert [chunk.length for chunk in chunks] == [4, 4, 2]
    generator = Chunks((name for name in names), size=5)
    assert generator.total is None
    assert [chunk.length for chunk in generator] == [5, 5]


def test_lists_are_not_read_ahead():
    taken = []
    chunks = Chunks((taken.append(number) or f"{number}.png" for number in range(100)), size=10)
    assert taken == []
    next(chunks)
    assert len(taken) == 10


def test_names_that_no_file_can_have_are_failures():
    names = ["a.png", "b\0c.png", "\ud800.png", "caf\udce9.png", "\0"]
    assert paths_of(names) == names
    assert failures(names) == {name: f"{name!r} cannot be the name of a file" for name in ("b\0c.png", "\ud800.png", "\0")}


@pytest.mark.parametrize("source", [b"a.png", [b"a.png"], [7], 7, None])
def test_what_is_no_path_is_refused(source):
    with pytest.raises(TypeError):
        list(Chunks(source))


def test_bytes_are_no_path():
    with pytest.raises(TypeError, match=r"a path must be a str or an os.PathLike of str; got b'a\.png'"):
        Chunks(b"a.png")


@pytest.mark.parametrize("source", ["nowhere", "", "a\0b", "\ud800", "b.png/c"])
def test_a_path_where_nothing_is_is_an_error_at_once(tree, monkeypatch, source):
    monkeypatch.chdir(tree)
    with pytest.raises(FileNotFoundError, match=r" does not exist$"):
        Chunks(source)


def archive_of(folder, kind, path):
    """A tar or zip of a folder, in the order of os.walk."""
    if kind == "tar":
        with tarfile.open(path, "w", encoding="utf-8", errors="surrogateescape") as tar:
            tar.add(folder, ".")
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for place, _, files in os.walk(folder):
            for name in files:
                archive.write(os.path.join(place, name), os.path.relpath(os.path.join(place, name), folder))
    return path


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_has_the_names_of_the_folder_it_was_made_of(tree, tmp_path_factory, kind):
    make(tree, *(ODD_NAMES if kind == "tar" else []), "絵/絵.png", "new\nline.png", *(f"many/{number}" for number in range(50)))
    path = archive_of(tree, kind, tmp_path_factory.mktemp("archives") / "files")
    for size in (1, 7, 4096):
        chunks = Chunks(path, size=size)
        assert chunks.within
        assert chunks.total == len(sorted_walk(tree))
        parts = [checked(chunk) for chunk in chunks]
        assert [name for part in parts for name in part.paths()] == sorted_walk(tree)
        assert max(part.length for part in parts) <= size
        assert sorted(paths_of(path, size=size, ordered=False), key=os.fsencode) == sorted_walk(tree)


def test_a_tar_skips_what_the_folder_skips(odd_things, tmp_path_factory):
    folder, things = odd_things
    os.unlink(folder / "a/socket.png")  # tarfile leaves it out
    tar = archive_of(folder, "tar", tmp_path_factory.mktemp("archives") / "files.tar")
    assert paths_of(tar) == paths_of(folder)
    assert skipped(tar) == len(things) - 1


def test_an_archive_without_files_gives_no_names(tmp_path):
    zipfile.ZipFile(tmp_path / "none.zip", "w").close()
    assert [checked_or_empty(chunk) for chunk in Chunks(tmp_path / "none.zip")] == [[]]
    assert Chunks(tmp_path / "none.zip").total == 0


def test_files_of_no_bytes_and_of_zeros_are_no_archives(tmp_path):
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "zeros.tar").write_bytes(bytes(10240))
    for path in tmp_path.iterdir():
        assert paths_of(path) == [str(path)]


def test_an_archive_in_a_list_is_a_file_like_any_other(tree, tmp_path_factory):
    path = archive_of(tree, "tar", tmp_path_factory.mktemp("archives") / "files.tar")
    assert paths_of([path]) == [str(path)]


def test_what_is_compressed_as_a_whole_is_refused_at_once(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("archives") / "files.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tree, ".")
    with pytest.raises(ValueError, match=r"files\.tar\.gz is compressed by gzip; decompress it first"):
        Chunks(path)


@pytest.mark.parametrize("kind", ["folder", "tar", "list"])
def test_a_chunk_without_some_of_its_names(tree, tmp_path_factory, kind):
    os.mkfifo(tree / "pipe.png")
    os.mkfifo(tree / "z/pipe.png")
    source = tree
    if kind == "tar":
        source = archive_of(tree, "tar", tmp_path_factory.mktemp("archives") / "files.tar")
    elif kind == "list":
        source = [*NAMES, "a\0b", "last\0"]
    (chunk,) = Chunks(source, strict=True)
    assert len(chunk.failed) == (0 if kind == "tar" else 2)
    paths, rng = chunk.paths(), np.random.default_rng(0)
    for done in [*(rng.random((20, chunk.length)) < 0.4).tolist(), [True] * chunk.length, [False] * chunk.length]:
        kept = [index for index, leave in enumerate(done) if not leave]
        for form in (np.array(done), done, np.array(done, np.int64)):
            left = chunk.without(form)
            assert left.paths() == [paths[index] for index in kept]
            assert left.length == len(kept)
            assert {failure.name: failure.why for failure in left.failed} == {
                failure.name: failure.why for failure in chunk.failed if not done[failure.row]
            }
            assert all(left.paths()[failure.row] == failure.name for failure in left.failed)
            assert left.skipped == chunk.skipped
            if kind == "tar":
                assert np.array_equal(left.members, chunk.members[kept])
