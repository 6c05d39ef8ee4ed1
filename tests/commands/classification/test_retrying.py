"""Rows that failed are tried again by a later run: those that the machine failed always, all others where that is wished."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from command_line import IMAGES, assert_one_sentence, classified, rows_of, summary_of
from verdict_rows import CLASSES, FORMATS, PATHS, encoded, read, same, verdicts_of

import fastmlp
from fastmlp.commands.classification import resuming
from fastmlp.commands.classification.resuming import settled, take_out
from fastmlp.commands.classification.rows import CsvRows, JsonRows
from fastmlp.images import content


@FORMATS
def test_rows_of_the_machines_errors_are_known_when_they_are_read_again(kind, tmp_path):
    rows, verdicts = kind(CLASSES), verdicts_of(PATHS)._replace(retry=[2, 8])
    (tmp_path / "out").write_bytes(encoded(rows.head + rows.text(verdicts)))
    _, (found,) = read(tmp_path / "out", rows)
    same([found], verdicts)
    assert list(found.retry) == [2, 8]


@FORMATS
@pytest.mark.parametrize("retry_failed", [False, True])
def test_settled_rows_stay_byte_for_byte(kind, retry_failed, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "BLOCK", 100)
    rows, verdicts, path = kind(CLASSES), verdicts_of(PATHS)._replace(retry=[2, 8]), tmp_path / "out"
    path.write_bytes(encoded(rows.head + rows.text(verdicts) + "torn"))
    left = [row for row in range(len(PATHS)) if row not in ((2, 5, 8) if retry_failed else (2, 8))]
    assert settled(verdicts, retry_failed).paths == [PATHS[row] for row in left]
    whole = "".join(rows.text(verdicts_of_one(verdicts, row)) for row in left)
    assert take_out(str(path), rows, retry_failed) == len(encoded(rows.head + whole))
    assert path.read_bytes() == encoded(rows.head + whole)


def verdicts_of_one(verdicts, row):
    return verdicts._replace(
        paths=[verdicts.paths[row]], labels=[verdicts.labels[row]], scores=verdicts.scores[row : row + 1],
        errors=[verdicts.errors[row]], retry=(),
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_the_machine_failed_is_tried_again_by_resume(suffix, classifier, folder, tmp_path, monkeypatch, capsys):
    output, whole = tmp_path / f"o{suffix}", tmp_path / f"w{suffix}"
    assert classified(classifier, folder, "-o", whole) == 1
    capsys.readouterr()

    def fail(path, base):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(content, "opened", fail)
        assert classified(classifier, folder, "-o", output) == 1
    assert re.search(r" (\d) failed, \1 of them for want of memory or the like;", capsys.readouterr().err)
    assert b"retry" in output.read_bytes() and b"there is not enough memory" in output.read_bytes()
    assert classified(classifier, folder, "-o", output, "--resume") == 1
    assert summary_of(capsys.readouterr().err)[:3] == (2, 0, 1)
    assert sorted(output.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_failed_is_tried_again_if_wished(suffix, classifier, folder, tmp_path, capsys):
    output = tmp_path / f"o{suffix}"
    assert classified(classifier, folder, "-o", output) == 1
    before = output.read_bytes()
    shutil.copy(IMAGES / "tc-2.png", folder / "b.png")  # it is whole now
    assert classified(classifier, folder, "-o", output, "--resume") == 1
    assert output.read_bytes() == before
    capsys.readouterr()
    assert classified(classifier, folder, "-o", output, "--retry-failed") == 0
    assert summary_of(capsys.readouterr().err) == (3, 0, 0, 2)
    assert classified(classifier, folder, "-o", tmp_path / f"w{suffix}") == 0
    assert sorted(output.read_bytes().splitlines()) == sorted((tmp_path / f"w{suffix}").read_bytes().splitlines())
    assert classified(classifier, folder, "--retry-failed") == 2
    assert_one_sentence_about_output(capsys)


def assert_one_sentence_about_output(capsys):
    captured = capsys.readouterr()
    assert_one_sentence(captured._replace(err=captured.err.splitlines(True)[-1]), "-o")


def test_rows_are_taken_out_wholly_or_not_at_all(classifier, folder, tmp_path, monkeypatch, capsys):
    output = tmp_path / "o.csv"
    assert classified(classifier, folder, "-o", output) == 1
    before = output.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert classified(classifier, folder, "-o", output, "--retry-failed") == 2
    assert capsys.readouterr().err.endswith(f"fastmlp: {output}: No space left on device\n")
    assert output.read_bytes() == before and [path.name for path in tmp_path.glob("*.csv")] == ["o.csv"]


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_scores_that_are_not_finite_are_an_error(method, suffix, folder, tmp_path, capsys):
    if method == "softmax":
        huge = [np.full((3, 1), 1e308), np.full((1, 2), 1e308)]
        networks = [fastmlp.MLP.from_weights(huge, activation="relu", output="softmax", classes=["a", "b"])]
    else:
        huge = [np.full((3, 1), 1e308), np.full((1, 1), 1e308)]
        networks = [fastmlp.MLP.from_weights(huge, activation="relu") for _ in range(2)]
    model, output = tmp_path / "m.npz", tmp_path / f"o{suffix}"
    fastmlp.ImageClassifier(["a", "b"], tuple(networks), "ink", method).save(model)
    assert classified(model, folder, "-o", output, "--report", tmp_path / "p.html") == 1
    text = output.read_bytes()
    assert text.count(b"scores that are not finite") == 2 and b"inf" not in text.lower().replace(b"not finite", b"")
    assert classified(model, folder, "-o", output, "--resume") == 1
    assert output.read_bytes() == text
    if suffix == ".csv":
        assert [row[-2] for row in rows_of(text)[1:]] == ["failed"] * 3


@pytest.mark.parametrize("score", ["inf", "nan", "-inf", "1e999", ""])
def test_a_row_without_scores_is_no_row(score, tmp_path):
    (tmp_path / "o.csv").write_text(f"path,label,score_a,score_b,status,error\na.png,a,{score},0.5,ok,\n")
    with pytest.raises(ValueError, match="cannot be continued"):
        read(tmp_path / "o.csv", CsvRows(["a", "b"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": 5}, {"path": []}, {"path": None}, {"label": []}, {"scores": {"a": 10**400, "b": 1}},
        {"scores": {"a": float("nan"), "b": 1}}, {"status": "failed", "error": None}, {"status": {}},
    ],
    ids=str,
)  # fmt: skip
def test_json_of_other_values_is_no_row(changes, tmp_path):
    row = {"path": "a.png", "label": "a", "scores": {"a": 0.75, "b": 0.25}, "status": "ok", "error": None}
    (tmp_path / "o.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row | changes)}\n")
    with pytest.raises(ValueError, match="cannot be continued"):
        read(tmp_path / "o.jsonl", JsonRows(["a", "b"]))
