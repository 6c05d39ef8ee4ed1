"""The log of sorting: torn, damaged, forged, and at work."""

import json

import pytest
from sorted_folders import IMAGES, files_in, make_source, write

from fastmlp.images.sorting.sort_log import SortLog, log_for, read_log, within
from fastmlp.images.sorting.sort_run import sort_folder
from fastmlp.images.sorting.undoing import undo_sort

LOG = "sort-log.jsonl"


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source")


@pytest.fixture
def log(classifier, source, tmp_path):
    sort_folder(classifier, source, tmp_path / "dest", "move")
    return tmp_path / "dest" / LOG


def test_a_torn_end_is_cut_off(classifier, source, tmp_path):
    """Wherever: the images are in their places, and the log comes to tell so again."""
    dest = tmp_path / "dest"
    sort_folder(classifier, source, dest, "link")
    whole = (dest / LOG).read_bytes()
    head = whole.index(b"\n") + 1
    for end in range(head, len(whole), 7):
        for rest in b"", b"\0" * 20, b"\0\n{}\n":
            (dest / LOG).write_bytes(whole[:end] + rest)
            assert sort_folder(classifier, source, dest, "link").counts == {"lying": 2, "upright": 3}
            assert read_log(dest / LOG).end == (dest / LOG).stat().st_size
            linked = {name.replace("-2", "") for name in files_in(dest)}
            assert linked == IMAGES | {LOG}
            for name in files_in(dest).keys() - IMAGES - {LOG}:  # of what the log did not know any more
                (dest / name).unlink()


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b'{"strange": 1}',
        b'{"from": "a.png"}',
        b'{"from": 1, "to": "a.png"}',
        b'{"from": "../a.png", "to": "a.png"}',
        b'{"from": "a.png", "to": "upright/../../a.png"}',
        b'{"from": "a.png", "to": "/etc/passwd"}',
        b'{"from": "/etc/passwd", "to": "a.png"}',
        b'{"from": "a.png", "unsure": "a//b"}',
        b'{"made": "../x"}',
        b'{"made": "/x"}',
        b'{"done": 1, "elsewhere": {"0": "../a.png"}}',
        b'{"copied": [1]}',
        b'{"copied": {"0": [1, 2]}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_or_forged_line_is_a_sentence_and_nothing_is_done(log, tmp_path, line):
    before = b'{"from": "a.png", "to": "b.png"}\n' if b"elsewhere" in line else b""
    log.write_bytes(log.read_bytes() + before + line + b"\n")
    files = files_in(tmp_path)
    with pytest.raises(ValueError, match=r"sort-log.jsonl is damaged: line \d+ is"):
        undo_sort(log)
    assert files_in(tmp_path) == files


@pytest.mark.parametrize(
    "change", [{"source": "source"}, {"how": "mv"}, {"id": "../../x"}, {"unsure": None}, {"fastmlp sort": 2}, {"fastmlp sort": []}]
)
def test_a_forged_head_is_a_sentence(log, tmp_path, change):
    head, rest = log.read_bytes().split(b"\n", 1)
    log.write_bytes(json.dumps(json.loads(head) | change).encode() + b"\n" + rest)
    files = files_in(tmp_path)
    with pytest.raises(ValueError, match=r"is damaged: line 1|is of version .* not known"):
        undo_sort(log)
    assert files_in(tmp_path) == files


def test_a_log_that_lies_elsewhere_is_a_sentence(log, tmp_path):
    """What it tells of might be anybody's."""
    write(tmp_path / "other" / LOG, log.read_bytes())
    files = files_in(tmp_path)
    with pytest.raises(ValueError, match=r"cannot be taken back: it was written in .*dest"):
        undo_sort(tmp_path / "other" / LOG)
    assert files_in(tmp_path) == files


def test_two_do_not_work_on_one(classifier, log, source):
    holder = SortLog(str(log))
    try:
        with pytest.raises(ValueError, match="another fastmlp sort is at work"):
            undo_sort(log)
        with pytest.raises(ValueError, match="another fastmlp sort is at work"):
            sort_folder(classifier, source, log.parent, "move")
    finally:
        holder.close()
    assert not undo_sort(log).left


def test_a_file_of_that_name_that_is_no_log_is_left_alone(classifier, source, tmp_path):
    write(tmp_path / "dest" / LOG, b"mine")
    result = sort_folder(classifier, source, tmp_path / "dest")
    assert result.log == str(tmp_path / "dest" / "sort-log-2.jsonl")
    assert not undo_sort(result.log).left
    assert files_in(tmp_path / "dest").keys() == {LOG}
    assert log_for(str(tmp_path / "dest"), str(source)) == (result.log, None)


@pytest.mark.parametrize("name", ["caf\udce9.png", "new\nline.png", 'quoted".png', " ", "-2.png", "a\\b.png", "絵.png"])
def test_any_name_that_a_file_can_have(classifier, source, tmp_path, name):
    write(source / name, (source / "b.png").read_bytes())
    before = files_in(source)
    result = sort_folder(classifier, source, tmp_path / "dest", "move")
    assert files_in(tmp_path / "dest").keys() == IMAGES | {LOG, f"upright/{name}"}
    assert not undo_sort(result.log).left and files_in(source) == before


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "../a", "/a", "a/", "a//b", "a/./b", "a\0b"])
def test_a_path_that_leads_out_of_its_folder_is_an_error(path):
    with pytest.raises(ValueError, match="leads out of its folder"):
        within(path)
    assert within("a/..b/c..") == "a/..b/c.."
