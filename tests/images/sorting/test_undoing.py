"""What was sorted is taken back, but nothing that is no longer what was made, and over nothing."""

import os
import shutil

import pytest
from sorted_folders import LYING, UPRIGHT, files_in, make_source, write

from fastmlp.images.sorting.sort_run import sort_folder
from fastmlp.images.sorting.undoing import undo_sort

LOG = "sort-log.jsonl"


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source")


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "dest"


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_all_is_as_it_was_before(classifier, source, dest, how):
    before = files_in(source)
    sort_folder(classifier, source, dest, how)
    undone = undo_sort(dest / LOG)
    assert (undone.images, undone.left) == (5, [])
    assert files_in(source) == before and not dest.exists()


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_what_has_changed_is_left_and_named(classifier, source, dest, how):
    before = files_in(source)
    sort_folder(classifier, source, dest, how)
    if how == "move":
        write(source / "b.png", b"newer")
    else:
        os.unlink(dest / "upright/b.png")
        write(dest / "upright/b.png", b"newer")
    for dry_run in True, False:
        undone = undo_sort(dest / LOG, dry_run=dry_run)
        assert undone.images == 4
        assert [path for path, _ in undone.left] == [str(dest / "upright/b.png")]
        assert "b.png is left as it is" in undone.left[0][1]
        assert len(files_in(dest)) == (6 if dry_run else 2)
    if how == "move":
        assert (source / "b.png").read_bytes() == b"newer"
        (source / "b.png").unlink()
    else:
        assert (dest / "upright/b.png").read_bytes() == b"newer"
        (dest / "upright/b.png").unlink()
    assert not undo_sort(dest / LOG).left
    assert files_in(source) == before and not dest.exists()


@pytest.mark.parametrize("how", ["copy", "link"])
def test_the_last_that_there_is_of_an_image_is_left(classifier, source, dest, how):
    sort_folder(classifier, source, dest, how)
    (source / "b.png").unlink()
    assert "what it was made of is gone" in undo_sort(dest / LOG).left[0][1]
    assert files_in(dest).keys() == {LOG, "upright/b.png"}


def test_what_was_removed_already_is_no_matter(classifier, source, dest):
    sort_folder(classifier, source, dest, "link")
    shutil.rmtree(dest / "upright")
    undone = undo_sort(dest / LOG)
    assert (undone.images, undone.left) == (2, []) and not dest.exists()


def test_what_was_moved_and_is_gone_is_named(classifier, source, dest):
    sort_folder(classifier, source, dest, "move")
    (dest / "upright/b.png").unlink()
    assert "it is gone" in undo_sort(dest / LOG).left[0][1]


def test_folders_that_are_gone_are_made_again(classifier, source, dest):
    before = files_in(source)
    sort_folder(classifier, source, dest, "move")
    shutil.rmtree(source)
    assert not undo_sort(dest / LOG).left
    assert files_in(source) == {name: before[name] for name in UPRIGHT + LYING}


def test_files_of_others_and_their_folders_stay(classifier, source, dest):
    sort_folder(classifier, source, dest, "move")
    write(dest / "upright/theirs.txt", b"text")
    assert not undo_sort(dest / LOG).left
    assert files_in(dest).keys() == {"upright/theirs.txt"}


def test_what_is_being_taken_back_is_not_gone_on_with(classifier, source, dest):
    sort_folder(classifier, source, dest)
    write(dest / "upright/b.png", b"changed")
    assert undo_sort(dest / LOG).left
    with pytest.raises(ValueError, match="is being taken back"):
        sort_folder(classifier, source, dest)


def test_wrong_arguments_are_a_sentence(source, dest):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        undo_sort("nowhere")
    with pytest.raises(ValueError, match=r"notes.txt is no log of fastmlp sort"):
        undo_sort(source / "notes.txt")
    with pytest.raises(TypeError, match="undo_sort has no option 'dry'"):
        undo_sort(source / "notes.txt", dry=True)
