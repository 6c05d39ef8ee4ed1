"""fastmlp sort: what it says, its exit codes, and Ctrl-C."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import IMAGES, assert_one_sentence, exits
from processes import PATIENCE, started
from sorted_folders import files_in

from fastmlp.commands.main import main
from fastmlp.images.sorting import carrying

LOG = "sort-log.jsonl"


@pytest.fixture
def source(tmp_path):
    return Path(shutil.copytree(IMAGES, tmp_path / "source"))


def sort(*args):
    return main(["sort", *map(str, args)])


@pytest.mark.parametrize("how", [[], ["--copy"], ["--link"], ["--move"]])
def test_images_are_sorted_and_taken_back(classifier, source, tmp_path, capsys, how):
    before, dest = files_in(source), tmp_path / "dest"
    assert sort(classifier, source, dest, *how) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    undo, summary = captured.err.splitlines()
    assert undo == f"fastmlp: fastmlp sort --undo {dest / LOG} takes it back"
    assert summary.startswith("fastmlp: 10 images: circle 5, line 5; 0 skipped, 0 failed; ")
    assert len(files_in(dest)) == 11
    assert sort(classifier, source, dest, *how) == 0
    assert "circle 5, line 5; 0 skipped, 0 failed; 10 of these were sorted before; " in capsys.readouterr().err
    assert sort("--undo", dest / LOG, "--dry-run") == 0
    assert sort("--undo", dest / LOG) == 0
    assert capsys.readouterr().err == "".join(
        f"fastmlp: 10 images {be}taken back; 0 left as they are\n" for be in ("would be ", "")
    )
    assert files_in(source) == before and not dest.exists()


def test_what_cannot_be_read_is_named_and_the_code_tells(classifier, folder, tmp_path, capsys):
    (folder / "notes.txt").write_text("text")
    assert sort(classifier, folder, tmp_path / "dest", "--threshold", "0") == 1
    lines = capsys.readouterr().err.splitlines()
    assert "b.png" in lines[0] and len(lines) == 3
    assert lines[2].startswith("fastmlp: 2 images: circle 1, line 1, unsure 0; 1 skipped, 1 failed; ")
    (tmp_path / "dest/circle/a.png").write_bytes(b"changed")
    assert sort("--undo", tmp_path / "dest" / LOG) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("a.png is left as it is: it was changed")
    assert lines[1] == f"fastmlp: 1 image taken back; 1 left as they are, and so is {tmp_path / 'dest' / LOG}"


def test_copies_that_are_gone_are_told_when_the_others_are_taken_back(classifier, source, tmp_path, capsys):
    assert sort(classifier, source, tmp_path / "dest", "--copy") == 0
    copies = sorted((tmp_path / "dest/line").iterdir())
    copies[0].unlink()
    copies[1].rename(copies[1].with_name("mine.png"))
    capsys.readouterr()
    assert sort("--undo", tmp_path / "dest" / LOG) == 0
    assert capsys.readouterr().err == "fastmlp: 8 images taken back; 0 left as they are; 2 no longer there\n"
    assert list(files_in(tmp_path / "dest")) == ["line/mine.png"]


def test_a_dry_run_prints_where_images_would_go(classifier, source, tmp_path, capsys):
    before = files_in(tmp_path)
    assert sort(classifier, source, tmp_path / "dest", "--move", "--dry-run", "--threshold", "1", "--unsure", tmp_path / "u") == 0
    captured = capsys.readouterr()
    places = dict(line.split(" -> ") for line in captured.out.splitlines())
    assert places.keys() == {path.name for path in source.iterdir()}
    assert {place.rpartition("/")[0] for place in places.values()} <= {
        str(tmp_path / name) for name in ("u", "dest/circle", "dest/line")
    }
    assert captured.err.startswith("fastmlp: 10 images: circle ") and captured.err.count("\n") == 1
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "fastmlp sort needs MODEL.npz, SOURCE and DEST, or --undo LOG"),
        ("m.npz images", "fastmlp sort needs MODEL.npz, SOURCE and DEST, or --undo LOG"),
        ("m.npz --undo log", "--undo takes a log, and nothing beside but --dry-run; got m.npz"),
        ("--undo nowhere", "nowhere: No such file or directory"),
        ("nowhere images dest", "nowhere"),
    ],
)
def test_wrong_usage_is_a_sentence(capsys, words, part):
    assert main(["sort", *words.split()]) == 2
    assert_one_sentence(capsys.readouterr(), part)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("sort m images dest --link --move", "--move not allowed with argument --link"),
        ("sort m images dest --threshold high", "--threshold must be a number; got 'high'"),
        ("sort m images dest --undo", "--undo"),
        ("sort m images dest more", "fastmlp sort does not take 'more'"),
    ],
)
def test_wrong_options_are_a_sentence(capsys, words, part):
    code, captured = exits(words, capsys)
    assert code == 2
    assert_one_sentence(captured, part)


def test_another_model_than_one_of_images_is_a_sentence(tmp_path, source, capsys):
    import fastmlp

    fastmlp.train([[0.0], [1.0]], ["a", "b"], epochs=1, hidden=2).save(tmp_path / "m.npz")
    assert sort(tmp_path / "m.npz", source, tmp_path / "dest") == 2
    assert_one_sentence(capsys.readouterr(), "not an image classifier")


def test_what_ended_it_is_told_and_how_it_goes_on(classifier, source, tmp_path, capsys, monkeypatch):
    def stopped(self, actions):
        raise KeyboardInterrupt

    monkeypatch.setattr(carrying.Carrier, "_some", stopped)
    assert sort(classifier, source, tmp_path / "dest") == 130
    said = "fastmlp: what has been sorted is in its place; the same command goes on\nfastmlp: interrupted\n"
    assert capsys.readouterr().err == said
    monkeypatch.undo()
    assert sort(classifier, source, tmp_path / "dest") == 0
    assert len(files_in(tmp_path / "dest")) == 11


def test_ctrl_c_ends_it_between_two_files_and_the_same_command_goes_on(classifier, many, tmp_path):
    def heard():
        signal.signal(signal.SIGINT, signal.default_int_handler)

    dest = tmp_path / "dest"
    with started("sort", classifier, many, dest, start=heard, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and not dest.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        code, lines = process.wait(PATIENCE), process.stderr.read().decode().splitlines()
    if code:  # else it was through before
        assert code == 130
        assert lines == ["fastmlp: what has been sorted is in its place; the same command goes on", "fastmlp: interrupted"]
    assert not any(".fastmlp" in name for name in files_in(dest))
    assert sort(classifier, many, dest) == 0
    assert len(files_in(dest)) == 3001
    assert sort("--undo", dest / LOG) == 0 and not dest.exists()
