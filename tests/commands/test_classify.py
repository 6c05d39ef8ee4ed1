"""The rows that `fastmlp classify` writes, of any source and by any option, while it goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import IMAGES, assert_one_sentence, classified, rows_of, summary_of
from processes import PATIENCE, at_terminal, line_of, run, started

import fastmlp
from fastmlp.commands.main import main


def test_classify_help_says_all(capsys):
    with pytest.raises(SystemExit):
        main(["classify", "--help"])
    text = capsys.readouterr().out
    for word in ("--resume", "--strict", "--unordered", "--max-pixels", "--follow-symlinks", "--report", "--threads", "--format"):
        assert word in text
    for word in ("path", "label", "score_", "status", "error", "130", "examples:"):
        assert word in text


def test_rows_of_csv_are_those_of_classify(classifier, folder):
    process = run("classify", classifier, folder)
    header, *rows = rows_of(process.stdout)
    assert process.returncode == 1
    assert process.stderr.startswith(b"fastmlp: 2 images: circle 1, line 1; 0 skipped, 1 failed; ")
    assert header == ["path", "label", "score_circle", "score_line", "status", "error"]
    expected = fastmlp.classify_folder(classifier, folder)
    assert [row[0] for row in rows] == expected.paths and expected.paths[2] == 'c\udcff, "c".png'
    assert [row[1] or None for row in rows] == expected.labels
    assert [row[4] for row in rows] == ["ok", "failed", "ok"]
    assert [row[5] or None for row in rows] == expected.errors and rows[1][2:4] == ["", ""]
    readable = [0, 2]
    scores = np.array([rows[index][2:4] for index in readable], float)
    assert np.allclose(scores, expected.scores[readable], rtol=0, atol=0.51e-6)
    assert b'"c\xff, ""c"".png",' in process.stdout  # the bytes that the name has on the disk


@pytest.mark.parametrize("options", [["--format", "jsonl"], ["-o", "out.jsonl"]], ids=" ".join)
def test_json_lines_are_those_of_classify(options, classifier, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert classified(classifier, folder, *options) == 1
    text = Path("out.jsonl").read_text() if "-o" in options else capsys.readouterr().out
    records = [json.loads(line) for line in text.splitlines()]
    expected = fastmlp.classify_folder(classifier, folder)
    assert [record["path"] for record in records] == expected.paths
    assert [record["label"] for record in records] == expected.labels
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]
    assert [record["error"] for record in records] == expected.errors
    assert records[1]["scores"] is None and list(records[0]["scores"]) == ["circle", "line"]
    assert np.allclose(list(records[0]["scores"].values()), expected.scores[0], rtol=0, atol=0.51e-6)
    for record in records:
        assert os.path.exists(os.fsencode(folder) + b"/" + os.fsencode(record["path"]))


def test_several_sources_are_classified_in_their_order(classifier, folder, tmp_path, capsys):
    some = [IMAGES / "tl-2.png", IMAGES / "tc-2.png", folder / "b.png", tmp_path / "missing.png"]
    last = IMAGES / "tc-3.png"
    assert classified(classifier, *some, IMAGES, last, "-o", tmp_path / "o.csv") == 1
    rows = rows_of((tmp_path / "o.csv").read_bytes())[1:]
    assert [row[0] for row in rows] == [*map(str, some), *map(str, sorted(IMAGES.iterdir())), str(last)]
    assert [index for index, row in enumerate(rows) if row[-1]] == [2, 3]
    assert summary_of(capsys.readouterr().err) == (13, 0, 2, 0)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_has_the_rows_of_its_folder(kind, classifier, tmp_path, capsys):
    shutil.make_archive(tmp_path / "a", kind, IMAGES)
    assert classified(classifier, IMAGES) == 0
    expected = capsys.readouterr().out
    assert classified(classifier, tmp_path / f"a.{kind}") == 0
    found = capsys.readouterr().out
    assert sorted(line.removeprefix("./") for line in found.splitlines()) == sorted(expected.splitlines())


def test_unordered_rows_are_the_same_in_any_order(classifier, many, tmp_path, capsys):
    assert classified(classifier, many, "-o", tmp_path / "a.csv") == 0
    assert classified(classifier, many, "-o", tmp_path / "b.csv", "--unordered") == 0
    one, other = ((tmp_path / name).read_bytes().splitlines() for name in ("a.csv", "b.csv"))
    assert len(one) == 3001 and sorted(one) == sorted(other)


def test_what_is_no_image_is_skipped_and_fails_with_strict(classifier, folder, capsys):
    (folder / "z.txt").write_text("notes")
    output = folder / "out.csv"  # which is no image either, and never fails for that
    assert classified(classifier, folder, "-o", output) == 1
    assert summary_of(capsys.readouterr().err) == (2, 1, 1, 0)
    without = rows_of(output.read_bytes())
    for _ in range(2):
        assert classified(classifier, folder, "-o", output, "--strict") == 1
        assert summary_of(capsys.readouterr().err) == (2, 0, 2, 0)
        rows = rows_of(output.read_bytes())
        assert rows[:-1] == without and rows[-1][0] == "z.txt" and rows[-1][-2] == "failed"
    before = output.read_bytes()
    assert classified(classifier, folder, "-o", output, "--strict", "--resume") == 1
    assert output.read_bytes() == before


def test_an_image_of_too_many_pixels_fails(classifier, capsys):
    assert classified(classifier, IMAGES, "--max-pixels", 255) == 1
    captured = capsys.readouterr()
    assert summary_of(captured.err) == (0, 0, 10, 0) and captured.out.count("255") == 10
    assert classified(classifier, IMAGES, "--max-pixels", 256, "--threads", 2) == 0


def test_links_to_folders_are_followed_when_asked_to(classifier, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(IMAGES / "tc-1.png", folder)
    (folder / "more").symlink_to(IMAGES)
    assert classified(classifier, folder) == 0
    assert summary_of(capsys.readouterr().err)[0] == 1
    assert classified(classifier, folder, "--follow-symlinks") == 0
    assert summary_of(capsys.readouterr().err)[0] == 11


def test_rows_come_while_classify_goes_on_and_are_whole_after_an_interrupt(wide, many):
    with started("classify", wide, many, many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = line_of(process) + line_of(process)
        time.sleep(0.5)  # by then it waits, in the middle of a row, for room in the pipe
        process.send_signal(signal.SIGINT)
        rest, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and messages.endswith(b" files/s\nfastmlp: interrupted\n")
    rows = rows_of(first + rest)
    assert 2 < len(rows) < 6001 and (first + rest).endswith(b"\n")
    assert {len(row) for row in rows} == {304}
    assert summary_of(messages.decode())[0] == len(rows) - 1


def test_a_reader_that_leaves_ends_classify_quietly(classifier, many):
    with started("classify", classifier, many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        line_of(process)
        process.stdout.close()
        assert process.communicate(timeout=PATIENCE)[1] == b""
        assert process.returncode == 0


PAGE = '<!doctype html>\n<meta name="generator" content="fastmlp 0">'


class RecordedReport:
    """Stands in for a report, and remembers what it was given."""

    made = ()

    def __init__(self, classes, about, place):
        self.classes, self.about, self.place, self.rows, self.scores = classes, dict(about), place, [], []
        RecordedReport.made = (*RecordedReport.made, self)

    def add_rows(self, paths, labels, scores, errors, read):
        data = [b"" if error else read(path) for path, error in zip(paths, errors, strict=True)]
        self.rows += zip(paths, labels, data, strict=True)
        self.scores += scores.tolist()

    def write(self, path):
        Path(path).write_text(PAGE)


def test_a_report_is_given_all_rows_and_their_images_also_when_resumed(classifier, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.commands.classification.report.Report", RecordedReport)
    output, page, sources = tmp_path / "o.csv", tmp_path / "page.html", [folder, IMAGES, IMAGES / "tc-1.png"]
    assert classified(classifier, *sources, "-o", output, "--report", page) == 1
    assert page.read_text() == PAGE
    output.write_bytes(output.read_bytes()[:300])
    assert classified(classifier, *sources, "-o", output, "--report", page, "--resume") == 1
    one, resumed = RecordedReport.made
    assert one.classes == ["circle", "line"] and one.rows == resumed.rows
    assert np.array_equal(one.scores, resumed.scores, equal_nan=True)
    assert [row[0] for row in one.rows] == [row[0] for row in rows_of(output.read_bytes())[1:]]
    assert one.rows[0][2] == (folder / "a.png").read_bytes()
    assert all(Path(one.place(path)).read_bytes() == data for path, _, data in one.rows if data)
    assert one.about["Model"].startswith(f"{classifier}: extractor ") and one.about["Settings"] == "as they are by default"
    assert one.about["Source"] == ", ".join(map(str, sources)) and re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d [+-]", one.about["Made"])
    assert resumed.about["Settings"] == "--resume"


def test_a_report_that_cannot_be_written_is_told_before_the_work(classifier, tmp_path, capsys):
    output = tmp_path / "o.csv"
    assert classified(classifier, IMAGES, "-o", output, "--report", tmp_path / "no" / "page.html") == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "no" / "page.html")
    assert not output.exists()


@pytest.mark.usefixtures("compiled")
def test_progress_is_shown_on_a_terminal_and_wiped_off(classifier, many, tmp_path):
    command = ["classify", classifier, *sorted(many.iterdir()), "-o", tmp_path / "o.csv"]
    with at_terminal(*command, streams=["stderr"]) as (process, person):
        person.wait_for(r"\r\d+ of 3000 files, \d+ files/s, 0 failed(  \d:\d\d:\d\d left)?( \|.*\|| +)\r")
        person.wait_for(r"\r {90,}\rfastmlp: 3000 images: ")
        assert process.wait(PATIENCE) == 0
