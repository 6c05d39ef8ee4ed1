"""What holds for all commands that write: what they refuse to write over, and what they say where they cannot write."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import IMAGES, TRAINING, assert_one_sentence
from processes import PATIENCE, at_terminal, run, started

import fastmlp
from fastmlp.commands.console import as_private_as
from fastmlp.commands.main import main


@pytest.mark.parametrize("command", [["features"], ["train", "-o", "m.npz"], ["classify", "MODEL"]], ids=lambda c: c[0])
@pytest.mark.parametrize("kind", ["missing", "empty", "without images"])
def test_a_folder_with_nothing_to_do_is_named(command, kind, classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if kind != "missing":
        (tmp_path / "folder").mkdir()
    if kind == "without images":
        (tmp_path / "folder" / "a.txt").touch()
    assert main([str(classifier) if word == "MODEL" else word for word in [*command, "folder"]]) == 2
    assert_one_sentence(capsys.readouterr(), "folder")
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize(
    "command", [["features", "IMAGES"], ["train", "TRAINING"], ["classify", "MODEL", "IMAGES"]], ids=lambda c: c[0]
)
@pytest.mark.parametrize("output", ["no/such/folder", "."])
def test_an_output_that_cannot_be_written_is_named(command, output, classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = {"IMAGES": str(IMAGES), "TRAINING": str(TRAINING), "MODEL": str(classifier)}
    assert main([*(paths.get(word, word) for word in command), "-o", output]) == 2
    assert_one_sentence(capsys.readouterr(), output)
    assert not list(tmp_path.iterdir())


def test_devices_are_written_to_as_they_are(tmp_path):
    for command in (["features", IMAGES, "-o", "/dev/null"],):
        assert main(list(map(str, command))) == 0


REFUSED = [
    ("train data -o notes.txt", "the name of a fastmlp model ends in .npz"),
    ("train data -o new.txt", "the name of a fastmlp model ends in .npz"),
    ("train data -o notes", "is not a fastmlp model"),
    ("train data -o arrays.npz", "is not a fastmlp model"),
    ("train data -o data/correct-outputs-circle.txt", ".npz"),
    ("train data -o verdicts", "is not a fastmlp model"),
    ("features images -o images/tc-1.png", "the name of features as CSV ends in .csv"),
    ("features images -o hard", "is not features as CSV"),
    ("features images -o symbolic.csv", "is not features as CSV"),
    ("features images -o answers.csv", "is not features as CSV"),
    ("features images -o verdicts", "is not features as CSV"),
    ("features hard -o images/tc-1.png", "it is one of the files that are read, or the other output"),
    ("classify M images -o M", "it is one of the files that are read, or the other output"),
    ("classify M images -o sub/../M", "it is one of the files that are read, or the other output"),
    ("classify M hard -o images/tc-1.png", "it is one of the files that are read, or the other output"),
    ("classify M hard -o y --report y", "it is one of the files that are read, or the other output"),
    ("classify M hard --report hard", "it is one of the files that are read, or the other output"),
    ("classify M images verdicts -o verdicts", "it is one of the files that are read, or the other output"),
    ("classify M images -o v.arrow", "its name must end in .csv, .jsonl or .parquet, or --format say"),
    ("classify M images -o v.ndjson --resume", "its name must end in .csv, .jsonl or .parquet, or --format say"),
    ("classify M images -o notes.txt --format csv", "is not verdicts as CSV"),
    ("classify M images -o answers.csv", "is not verdicts as CSV"),
    ("classify M images -o labels.csv", "is not verdicts as CSV"),
    ("classify M images -o verdicts --format jsonl", "is not verdicts as JSON lines"),
    ("classify M images -o notes.txt --format jsonl", "is not verdicts as JSON lines"),
    ("classify M images -o images/new.png --format csv", "its name is that of an image, or of an answer file"),
    ("classify M images -o data/correct-outputs-none.txt --format csv", "its name is that of an image, or of an answer file"),
    ("classify M images --report page.txt", "the name of a page of --report ends in .html"),
    ("classify M images --report page.html", "is not a page of --report"),
    ("demo --out demo", "is not features as CSV"),
    ("demo toy --out demo", "is not a figure of this demo"),
]


@pytest.mark.parametrize(("command", "reason"), REFUSED, ids=[command for command, _ in REFUSED])
def test_no_command_writes_over_its_inputs_or_over_files_of_another_kind(
    command, reason, classifier, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(classifier, "M")
    for name in ("sub", "demo", "data", "images"):
        os.mkdir(name)
    shutil.copytree(TRAINING, "data", dirs_exist_ok=True)
    shutil.copy(IMAGES / "tc-1.png", "images")
    shutil.copy(IMAGES / "tc-1.png", "demo/loss.png")
    os.link("images/tc-1.png", "hard")
    os.symlink("images/tc-1.png", "symbolic.csv")
    np.savez("arrays", np.arange(3))
    Path("verdicts").write_text("path,label,score_circle,score_line,status,error\n")
    for name, text in {
        "notes": "mine", "notes.txt": "mine", "answers.csv": "file_name,correct_answer\n", "labels.csv": "path,label\n",
        "page.html": "<!doctype html>mine", "demo/features.csv": "file_name,height\n",
    }.items():  # fmt: skip
        Path(name).write_text(text)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert main(command.split()) == 2
    assert_one_sentence(capsys.readouterr(), "cannot be written", reason)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_stdout_is_no_file_that_is_read(classifier, tmp_path):
    model, image = shutil.copy(classifier, tmp_path), shutil.copy(IMAGES / "tc-1.png", tmp_path)
    for path, command in ((model, ["classify", model, IMAGES]), (image, ["features", image])):
        before = Path(path).read_bytes()
        with open(path, "ab") as file, started(*command, stdout=file, stderr=subprocess.PIPE) as process:
            messages = process.communicate(timeout=PATIENCE)[1]
        assert (
            process.returncode == 2
            and messages == b"fastmlp: stdout cannot be written: it leads to one of the files that are read\n"
        )
        assert Path(path).read_bytes() == before


def test_an_empty_file_of_two_names_is_replaced_under_one(classifier, tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy(IMAGES / "tc-1.png", tmp_path / "images")
    (tmp_path / "images" / "empty.png").touch()
    os.link(tmp_path / "images" / "empty.png", tmp_path / "v.csv")
    assert main(["classify", str(classifier), str(tmp_path / "images"), "-o", str(tmp_path / "v.csv")]) == 0
    assert (tmp_path / "images" / "empty.png").read_bytes() == b"" and (tmp_path / "v.csv").stat().st_size > 0


def test_what_comes_instead_of_a_private_file_is_private(tmp_path):
    (tmp_path / "usual").touch()
    (tmp_path / "private").touch(0o600)
    for name in "usual", "private", "missing":
        with as_private_as(str(tmp_path / name)):
            (tmp_path / "beside").touch()
        kept = tmp_path / ("usual" if name == "missing" else name)
        assert (tmp_path / "beside").stat().st_mode == kept.stat().st_mode
        (tmp_path / "beside").unlink()
    (tmp_path / "later").touch()
    assert (tmp_path / "later").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_a_command_has_written_it_writes_over(classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (
        f"features {IMAGES} -o f.csv", f"train {TRAINING} -o m.npz --epochs 1 --seed 0",
        f"classify {classifier} {IMAGES} -o v.csv --report p.html", f"classify {classifier} {IMAGES} -o V.JSONL",
        f"classify {classifier} {IMAGES} -o v.txt --format jsonl",
    ):  # fmt: skip
        written = []
        for _ in range(2):
            assert main(command.split()) == 0
            written.append({path: path.read_bytes() for path in tmp_path.iterdir()})
        assert written[0] == written[1]
    assert Path("V.JSONL").read_bytes() == Path("v.txt").read_bytes() and Path("v.txt").read_text().startswith('{"path": "')
    assert len(written[1]) == 6


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence(classifier, capsys):
    assert main(["classify", str(classifier), str(IMAGES), "-o", "/dev/full"]) == 2
    assert capsys.readouterr().err == "fastmlp: /dev/full: No space left on device\n"
    for command in (["classify", classifier, IMAGES], ["features", IMAGES]):
        with open("/dev/full", "w") as full, started(*command, stdout=full, stderr=subprocess.PIPE) as process:
            assert process.communicate(timeout=PATIENCE)[1] == b"fastmlp: stdout: No space left on device\n"
        assert process.returncode == 2


def closes(*descriptors):
    """What makes a command begin without some of stdin, stdout and stderr."""
    return lambda: [os.close(descriptor) for descriptor in descriptors]


def without_minute(page):
    """A report but for when it was made."""
    return re.sub(rb"<dt>Made</dt><dd>[^<]*", b"", page.read_bytes())


@pytest.mark.parametrize("closed", [(0, 1, 2), (1,)], ids=str)
def test_where_streams_are_closed_the_work_is_done_and_goes_to_no_wrong_file(closed, classifier, tmp_path):
    output, page = tmp_path / "v.csv", tmp_path / "v.html"
    assert main(["classify", str(classifier), str(IMAGES), "-o", str(output), "--report", str(page)]) == 0
    rows, report = output.read_bytes(), without_minute(page)
    process = run("classify", classifier, IMAGES, "-o", output, "--report", page, start=closes(*closed))
    assert process.returncode == 0 and process.stdout == b""
    assert (process.stderr == b"") == (2 in closed)
    assert output.read_bytes() == rows and without_minute(page) == report


def test_a_model_is_saved_where_nobody_hears_of_it(tmp_path):
    process = run("train", TRAINING, "-o", tmp_path / "m.npz", "--epochs", "2", "--seed", "0", start=closes(0, 1, 2))
    assert process.returncode == 0
    assert fastmlp.load(tmp_path / "m.npz").histories[0].epochs == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_messages_that_cannot_be_written_stop_nothing(classifier, tmp_path):
    with open("/dev/full", "w") as full:
        command = ["classify", classifier, IMAGES, "-o", tmp_path / "v.csv", "--report", tmp_path / "v.html"]
        with started(*command, stderr=full) as process:
            assert process.wait(PATIENCE) == 0
        with started("info", tmp_path / "missing.npz", stderr=full) as process:
            assert process.wait(PATIENCE) == 2
    assert (tmp_path / "v.html").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_results_that_cannot_be_written_are_one_sentence(classifier):
    with open("/dev/full", "w") as full, started("info", classifier, stdout=full, stderr=subprocess.PIPE) as process:
        assert process.communicate(timeout=PATIENCE)[1] == b"fastmlp: stdout: No space left on device\n"
    assert process.returncode == 2


def test_a_reader_of_results_who_has_seen_enough_is_no_error(classifier):
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as pipe, started("info", classifier, stdout=pipe, stderr=subprocess.PIPE) as process:
        assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 0


ESCAPES = "\x1b]0;mine\x07\x1b[31m.png"


@pytest.fixture
def obeyed(tmp_path):
    """A folder of images with names that a terminal would obey; the second one is damaged."""
    folder = tmp_path / "obeyed"
    folder.mkdir()
    shutil.copy(IMAGES / "tc-1.png", folder / f"a{ESCAPES}")
    (folder / f"b{ESCAPES}").write_bytes((IMAGES / "tc-2.png").read_bytes()[:60])
    return folder


@pytest.mark.parametrize("command", ["classify", "features"])
def test_names_are_shown_to_a_terminal_and_kept_in_a_file(command, obeyed, classifier, tmp_path, compiled):
    words = [command, *([classifier] if command == "classify" else []), obeyed]
    with at_terminal(*words) as (process, person):
        assert process.wait(PATIENCE) == 1
        shown = person.rest()
    assert "\x1b]" not in shown and "\x07" not in shown and "\\x1b]0;mine\\x07" in shown
    assert main([*map(str, words), "-o", str(tmp_path / "o.csv")]) == 1
    assert os.fsencode(ESCAPES) in (tmp_path / "o.csv").read_bytes()


def test_no_message_is_obeyed_by_a_terminal(obeyed, classifier, tmp_path, capsys):
    (tmp_path / "labelled").mkdir()
    obeyed.rename(tmp_path / "labelled" / "\x1b[31mcircle")
    for words in (
        ["info", obeyed / ESCAPES], ["train", obeyed / ESCAPES, "-o", "m.npz"], ["evaluate", classifier, tmp_path / "labelled"],
        ["train", tmp_path / "labelled", "-o", tmp_path / ESCAPES],
    ):  # fmt: skip
        assert main(list(map(str, words))) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and "x1b" in captured.err and all(line.isprintable() for line in captured.err.splitlines())
    with pytest.raises(SystemExit):
        main([ESCAPES])
    assert capsys.readouterr().err.removesuffix("\n").isprintable()


def test_a_model_whose_words_a_terminal_would_obey_is_told_in_printed_characters(tmp_path, capsys):
    weights, classes = [np.zeros((3, 2))], ["\x1b[31ma", "b\x07"]
    network = fastmlp.MLP.from_weights(weights, [np.zeros(2)], output="softmax", classes=classes)
    made_with = {"\x1b[31m": "\x9b31m" + "a" * 10_000}
    fastmlp.ImageClassifier(classes, (network,), "ink", "softmax", made_with).save(tmp_path / "m.npz")
    assert main(["info", str(tmp_path / "m.npz")]) == 0
    told = capsys.readouterr().out
    assert all(line.isprintable() and len(line) < 300 for line in told.splitlines()) and "\\x1b[31ma, b\\x07" in told
