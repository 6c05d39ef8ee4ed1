"""Images come into the folders of their classes, whole, once, and over nothing."""

import errno
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawings import bar
from pngs import gray_png
from sorted_folders import IMAGES, LYING, OTHERS, UPRIGHT, files_in, make_source, write
from trees import AS_ROOT

import fastmlp
from fastmlp.images.sorting import carrying, placing
from fastmlp.images.sorting.sort_run import sort_folder
from fastmlp.images.sorting.undoing import undo_sort

LOG = "sort-log.jsonl"


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source")


def of_classes(*names):
    """A classifier whose classes have these names."""
    network = fastmlp.MLP.from_weights([np.zeros((3, len(names)))], [np.zeros(len(names))], output="softmax", classes=sorted(names))
    return fastmlp.ImageClassifier(sorted(names), (network,), "ink")


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_each_image_comes_into_the_folder_of_its_class(classifier, source, tmp_path, how):
    before, dest = files_in(source), tmp_path / "dest"
    inodes = {name: (source / name).stat().st_ino for name in UPRIGHT + LYING}
    result = sort_folder(classifier, source, dest, how)
    assert result.counts == {"lying": 2, "upright": 3}
    assert (result.unsure, result.skipped, result.before, result.log) == (0, 1, 0, str(dest / LOG))
    assert [path for path, _ in result.errors] == ["a/broken.png"]
    after = files_in(dest)
    assert after.pop(LOG)
    assert after.keys() == IMAGES
    for name in IMAGES:
        old = name.partition("/")[2]
        assert after[name] == before[old]
        assert ((dest / name).stat().st_ino == inodes[old]) == (how != "copy")
    assert files_in(source) == ({name: before[name] for name in OTHERS} if how == "move" else before)


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_what_is_there_is_never_written_over(classifier, source, tmp_path, how):
    dest = tmp_path / "dest"
    write(dest / "upright/a/1.png", b"mine")
    write(dest / "upright/a/1-2.png", b"mine, too")
    write(dest / "lying/1.png/folder", b"in the way")
    before, images = files_in(dest), files_in(source)
    sort_folder(classifier, source, dest, how)
    after = files_in(dest)
    assert {name: after[name] for name in before} == before
    assert after["upright/a/1-3.png"] == images["a/1.png"]
    assert after["lying/1-2.png"] == images["1.png"]
    assert not undo_sort(dest / LOG).left
    assert (files_in(dest), files_in(source)) == (before, images)


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_more_folders_than_are_open_at_a_time(classifier, tmp_path, how, monkeypatch):
    """One of which cannot be made, as a file is in its place."""
    monkeypatch.setattr(placing, "OPEN_FOLDERS", 1)
    source, dest = tmp_path / "source", tmp_path / "dest"
    for number in range(8):
        for name in "0.png", "1/0.png", "2.png":
            write(source / f"{number}" / name, gray_png(bar(True, number)), number)
    write(dest / "upright/5/1", b"in the way")
    before, mine = files_in(source), files_in(dest)
    result = sort_folder(classifier, source, dest, how)
    assert [path for path, _ in result.errors] == ["5/1/0.png"]
    after = files_in(dest)
    assert {name: after[f"upright/{name}"] for name in before if name != "5/1/0.png"} == {
        name: file for name, file in before.items() if name != "5/1/0.png"
    }
    assert len(after) == 25
    assert not undo_sort(result.log).left
    assert (files_in(source), files_in(dest)) == (before, mine)


def test_what_is_uncertain_is_apart(classifier, source, tmp_path):
    verdicts = fastmlp.classify_folder(classifier, source)
    best = dict(zip(verdicts.paths, verdicts.scores.max(axis=1), strict=True))
    threshold = float(np.median([best[name] for name in UPRIGHT + LYING]))
    sure = {name for name in UPRIGHT + LYING if best[name] >= threshold}
    for dest, unsure in (tmp_path / "one", None), (tmp_path / "other", tmp_path / "elsewhere"):
        result = sort_folder(classifier, source, dest, threshold=threshold, unsure=unsure)
        assert result.unsure == 5 - len(sure) > 0
        assert set(files_in(unsure or dest / "unsure")) == set(UPRIGHT + LYING) - sure
        assert {name for name in files_in(dest) if not name.startswith("unsure")} == {LOG} | {
            name for name in IMAGES if name.partition("/")[2] in sure
        }
        assert not undo_sort(result.log).left
        assert not dest.exists() and not (tmp_path / "elsewhere").exists()


def test_a_dry_run_changes_nothing(classifier, source, tmp_path):
    before = files_in(tmp_path)
    result = sort_folder(classifier, source, tmp_path / "dest", "move", dry_run=True)
    assert result.counts == {"lying": 2, "upright": 3} and result.log == ""
    assert files_in(tmp_path) == before and not (tmp_path / "dest").exists()
    sort_folder(classifier, source, tmp_path / "dest")
    before = files_in(tmp_path)
    assert sort_folder(classifier, source, tmp_path / "dest", dry_run=True).before == 5
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_the_same_call_goes_on_with_what_is_new(classifier, source, tmp_path, how):
    sort_folder(classifier, source, tmp_path / "dest", how)
    before = files_in(tmp_path / "dest")
    again = sort_folder(classifier, source, tmp_path / "dest", how)
    assert again.counts == {"lying": 2, "upright": 3} and again.before == 5
    assert files_in(tmp_path / "dest") == before
    write(source / "new.png", gray_png(bar(True, 9)))
    assert sort_folder(classifier, source, tmp_path / "dest", how).counts == {"lying": 2, "upright": 4}
    assert set(files_in(tmp_path / "dest")) == {LOG, "upright/new.png"} | IMAGES


def test_other_options_than_those_of_the_log_are_a_sentence(classifier, source, tmp_path):
    dest = tmp_path / "dest"
    sort_folder(classifier, source, dest, threshold=0.2)
    before = files_in(tmp_path)
    for model, options, part in [
        (classifier, {"how": "link", "threshold": 0.2}, "how='copy', and not 'link'"),
        (classifier, {"threshold": 0.3}, "threshold=0.2, and not 0.3"),
        (of_classes("lying", "upright"), {"threshold": 0.2}, "another model"),
    ]:
        with pytest.raises(ValueError, match=f"was sorted into .* with {part}"):
            sort_folder(model, source, dest, **options)
    assert files_in(tmp_path) == before


def test_two_sources_have_logs_of_their_own(classifier, source, tmp_path):
    dest, other = tmp_path / "dest", make_source(tmp_path / "other")
    first, second = sort_folder(classifier, source, dest), sort_folder(classifier, other, dest, "move")
    assert second.log == str(dest / "sort-log-2.jsonl")
    assert len(files_in(dest)) == 12
    assert not undo_sort(first.log).left
    assert len(files_in(dest)) == 6
    assert not undo_sort(second.log).left
    assert files_in(source) == files_in(other) and not files_in(dest)


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_folder_within_the_source_is_not_sorted_again(classifier, source, how):
    for _ in range(2):
        assert sort_folder(classifier, source, source / "x" / ".." / "sorted", how).counts == {"lying": 2, "upright": 3}
    assert {name.removeprefix("sorted/") for name in files_in(source) if name.startswith("sorted/")} == IMAGES | {LOG}


def test_folders_in_which_what_is_sorted_would_be_sorted_again_are_a_sentence(classifier, source, tmp_path):
    shutil.copytree(source, tmp_path / "upright" / "inner")
    os.symlink(source / "a", tmp_path / "lying")
    before = files_in(tmp_path)
    with pytest.raises(ValueError, match="would be sorted again"):
        sort_folder(classifier, source, source)
    with pytest.raises(ValueError, match="would be sorted again"):
        sort_folder(classifier, tmp_path / "upright" / "inner", tmp_path)
    with pytest.raises(ValueError, match="would be sorted again"):
        sort_folder(classifier, source / "a", tmp_path)
    with pytest.raises(ValueError, match="unsure must be a folder apart"):
        sort_folder(classifier, source, tmp_path / "dest", threshold=0.5, unsure=tmp_path / "dest/lying")
    assert files_in(tmp_path) == before


def test_an_archive_can_be_copied_from_and_no_more(classifier, source, tmp_path):
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in UPRIGHT + LYING:
            file.write(source / name, name)
        file.write(source / "b.png", "../out.png")
    result = sort_folder(classifier, archive, tmp_path / "dest")
    assert result.counts == {"lying": 2, "upright": 3}
    assert [path for path, _ in result.errors] == ["../out.png"]
    for name in IMAGES:
        assert (tmp_path / "dest" / name).read_bytes() == (source / name.partition("/")[2]).read_bytes()
    assert sort_folder(classifier, archive, tmp_path / "dest").before == 5
    assert not undo_sort(result.log).left and not (tmp_path / "dest").exists()
    for how in "link", "move":
        with pytest.raises(ValueError, match="can only be copied"):
            sort_folder(classifier, archive, tmp_path / "dest", how)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_no_name_of_an_archive_leads_out_of_the_folder_of_a_class(kind, classifier, source, tmp_path):
    image = (source / "b.png").read_bytes()
    out, inside = ["../out.png", "a/../../other.png"], ["good.png", "/abs/in.png", r"C:\in.png", r"a\..\..\in.png", "linked/in.png"]
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "odd", "w") as archive:
            for name in out + inside:
                archive.writestr(name, image)
    else:
        with tarfile.open(tmp_path / "odd", "w") as archive:
            link = tarfile.TarInfo("linked")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(link)
            for name in out + inside:
                header = tarfile.TarInfo(name)
                header.size = len(image)
                archive.addfile(header, io.BytesIO(image))
    before = files_in(tmp_path)
    result = sort_folder(classifier, tmp_path / "odd", tmp_path / "dest")
    assert result.errors == [(name, f"{name!r} leads out of its folder") for name in out]
    placed = {f"dest/upright/{name.removeprefix('/')}" for name in inside}
    assert files_in(tmp_path).keys() == before.keys() | placed | {f"dest/{LOG}"}


def test_links_to_images(classifier, source, tmp_path):
    os.symlink("../b.png", source / "a" / "to-b.png")
    os.symlink("nowhere", source / "lost.png")
    image = (source / "b.png").read_bytes()
    for how in "copy", "link":
        result = sort_folder(classifier, source, tmp_path / how, how)
        assert [path for path, _ in result.errors] == ["a/broken.png", "lost.png"]
        assert not (tmp_path / how / "upright/a/to-b.png").is_symlink()
        assert (tmp_path / how / "upright/a/to-b.png").read_bytes() == image
    result = sort_folder(classifier, source, tmp_path / "move", "move")
    assert "cannot be moved" in dict(result.errors)["a/to-b.png"] and "symbolic link" in dict(result.errors)["a/to-b.png"]
    assert (source / "a" / "to-b.png").is_symlink()


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_what_vanishes_meanwhile_is_named(classifier, source, tmp_path, how, monkeypatch):
    begin = carrying.SortLog.begin

    def late(self, actions):
        begin(self, actions)
        (source / "b.png").unlink(missing_ok=True)

    monkeypatch.setattr(carrying.SortLog, "begin", late)
    result = sort_folder(classifier, source, tmp_path / "dest", how)
    assert result.counts == {"lying": 2, "upright": 2}
    assert "b.png cannot be" in dict(result.errors)["b.png"] and "No such file" in dict(result.errors)["b.png"]


@pytest.mark.skipif(AS_ROOT, reason="nothing is forbidden to root")
def test_a_folder_that_nobody_may_write_is_a_sentence(classifier, source, tmp_path):
    (tmp_path / "dest").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        sort_folder(classifier, source, tmp_path / "dest")


@pytest.mark.parametrize(
    ("how", "room", "name"), [("copy", placing, "_write"), ("link", carrying.os, "link"), ("move", placing, "_renameat2")]
)
def test_a_full_disk_ends_it_and_the_same_call_goes_on(classifier, source, tmp_path, how, room, name, monkeypatch):
    before, calls = files_in(source), iter(range(2 if how != "move" else 1))
    whole = getattr(room, name)

    def full(*args, **more):
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(*args, **more)

    monkeypatch.setattr(room, name, full)
    monkeypatch.setattr(carrying, "AT_ONCE", dict.fromkeys(carrying.AT_ONCE, 2))
    with pytest.raises(OSError, match="No space left on device") as caught:
        sort_folder(classifier, source, tmp_path / "dest", how)
    assert caught.value.filename.startswith(str(tmp_path / "dest"))
    monkeypatch.undo()
    assert sort_folder(classifier, source, tmp_path / "dest", how).counts == {"lying": 2, "upright": 3}
    assert files_in(tmp_path / "dest").keys() == IMAGES | {LOG}
    assert not undo_sort(tmp_path / "dest" / LOG).left
    assert files_in(source) == before


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_where_the_system_cannot_rename_without_writing_over(classifier, source, tmp_path, how, monkeypatch):
    monkeypatch.setattr(placing, "_renameat2", lambda: None)
    before = files_in(source)
    write(tmp_path / "dest/upright/b.png", b"mine")
    sort_folder(classifier, source, tmp_path / "dest", how)
    assert files_in(tmp_path / "dest").keys() == IMAGES | {LOG, "upright/b-2.png"}
    assert not undo_sort(tmp_path / "dest" / LOG).left
    assert files_in(source) == before


def test_what_was_changed_while_it_was_moved_stays(classifier, source, tmp_path, monkeypatch):
    """Across file systems, where it is copied first."""
    before = files_in(source)
    monkeypatch.setattr(carrying, "move_file", across(placing.move_file))
    same = placing._same_bytes

    def changed(one, other):
        (source / "b.png").write_bytes(b"newer")
        return same(one, other)

    monkeypatch.setattr(placing, "_same_bytes", changed)
    result = sort_folder(classifier, source, tmp_path / "dest", "move")
    assert "b.png cannot be moved" in dict(result.errors)["b.png"]
    assert (source / "b.png").read_bytes() == b"newer"
    after = files_in(tmp_path / "dest")
    assert after.keys() == IMAGES - {"upright/b.png"} | {LOG}
    assert after["lying/1.png"] == before["1.png"]


def across(whole):
    """Moving as if each folder were on a file system of its own."""

    def move(source, name, target, new):
        if os.fstat(source).st_ino != os.fstat(target).st_ino:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        whole(source, name, target, new)

    return move


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "sort-log.jsonl", "x" * 256])
def test_a_class_that_cannot_name_a_folder_is_a_sentence(source, tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a folder"):
        sort_folder(of_classes("b", name), source, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


def test_a_class_that_is_named_as_the_folder_of_the_unsure(source, tmp_path):
    model = of_classes("a", "unsure")
    with pytest.raises(ValueError, match="a class is named 'unsure'"):
        sort_folder(model, source, tmp_path / "dest", threshold=0.4)
    assert sort_folder(model, source, tmp_path / "dest").counts == {"a": 5, "unsure": 0}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"how": "mv"}, ValueError, "how must be one of 'copy', 'link', 'move'; got 'mv'"),
        ({"threshold": 90}, ValueError, "threshold must be a number from 0 to 1; got 90"),
        ({"threshold": float("nan")}, ValueError, "threshold must be a number from 0 to 1; got nan"),
        ({"unsure": "x"}, ValueError, "unsure needs threshold"),
        ({"tresh": 1}, TypeError, "sort_folder has no option 'tresh'"),
        ({"source": "nowhere"}, FileNotFoundError, "nowhere does not exist"),
        ({"source": "source/b.png"}, ValueError, "source/b.png must be a folder, or a tar or zip archive"),
        ({"source": "source/c/empty"}, ValueError, "holds no image file"),
        ({"dest": "source/b.png"}, NotADirectoryError, "source/b.png is not a folder"),
        ({"dest": "no/dest"}, FileNotFoundError, "no/dest cannot be made: there is no folder .*no"),
        ({"threshold": 0.5, "unsure": "no/unsure"}, FileNotFoundError, "no/unsure cannot be made: there is no folder .*no"),
        ({"dest": b"dest"}, TypeError, "a path must be a str"),
        ({"model": "source/b.png"}, ValueError, "source/b.png"),
    ],
)
def test_wrong_arguments_are_a_sentence(classifier, source, tmp_path, monkeypatch, options, error, match):
    monkeypatch.chdir(tmp_path)
    Path("source/c/empty").mkdir()
    before = files_in(tmp_path)
    with pytest.raises(error, match=match):
        sort_folder(**{"model": classifier, "source": "source", "dest": "dest"} | options)
    assert files_in(tmp_path) == before and not Path("dest").exists()
