"""Rows of verdicts and of features, as the csv and json modules read them; and read again by their own class."""

import csv
import io
import json
import random

import numpy as np
import pytest
from verdict_rows import CLASSES, FORMATS, PATHS, encoded, read, same, verdicts_of

from fastmlp.commands.classification.rows import CsvRows, JsonRows, as_written, decimals, features_head, features_text


def test_csv_is_what_the_csv_module_reads():
    verdicts, rows = verdicts_of(PATHS), CsvRows(CLASSES)
    header, *found = csv.reader(io.StringIO(rows.head + rows.text(verdicts), newline=""), strict=True)
    assert header == ["path", "label", *(f"score_{name}" for name in CLASSES), "status", "error"]
    for index, (path, label, *scores, status, error) in enumerate(found):
        assert (path, label or None, error or None) == (PATHS[index], verdicts.labels[index], verdicts.errors[index])
        assert status == ("failed" if error else "ok")
        assert scores == ([""] * 4 if error else [f"{score:.6f}" for score in verdicts.scores[index]])
    assert len(found) == len(PATHS)


def test_json_lines_are_what_the_json_module_reads():
    verdicts, rows = verdicts_of(PATHS), JsonRows(CLASSES)
    text = rows.head + rows.text(verdicts)
    assert text.isascii() and r"\udcff\udc80" in text
    records = [json.loads(line) for line in text.splitlines()]
    for index, record in enumerate(records):
        error = verdicts.errors[index]
        scores = None if error else {name: round(score, 6) for name, score in zip(CLASSES, verdicts.scores[index], strict=True)}
        assert record == {
            "path": PATHS[index],
            "label": verdicts.labels[index],
            "scores": scores,
            "status": "failed" if error else "ok",
            "error": error,
        }
    assert len(records) == len(PATHS)


NAMES = [
    *PATHS,
    "a\rb.png",
    "\r",
    ' " ',
    "' '",
    " in front.png",
    "behind.png ",
    "\ttab.png",
    "\n",
    '""',
    "a\r\nb",
    "=1+1",
    ";",
    "\\",
]


def test_features_of_any_name_are_what_the_csv_module_reads():
    draw = np.random.default_rng(0)
    features = np.concatenate([draw.random((len(NAMES) - 2, 3)), [[0.0, 1e-300, 1 / 3], [-0.1, 1e300, 1.0]]])
    text = features_head("ink") + features_text(NAMES, features)
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == ["file_name", "feature1", "feature2", "feature3"]
    assert [row[0] for row in rows] == NAMES
    assert np.array_equal(np.array([row[1:] for row in rows], float), features)


@pytest.mark.parametrize(("name", "field"), [("a\rb", '"a\rb"'), (" c ", " c "), ('d"', '"d"""'), ("e,", '"e,"')])
def test_names_are_quoted_alike_in_features_and_verdicts(name, field):
    assert features_text([name], np.zeros((1, 2))) == f"{field},0.0,0.0\n"
    assert CsvRows(["x"]).text(verdicts_of([name], ["x"])).startswith(f"{field},x,")


@FORMATS
def test_any_text_survives(kind, tmp_path):
    draw = random.Random(1)
    paths = ["".join(draw.choices('a ,"\n\r%\\\t\udcffé{}', k=draw.randrange(6))) for _ in range(3000)]
    for classes in (["a", "b"], ["\n", '"'], ["", "%d"]):
        rows, verdicts = kind(classes), verdicts_of(paths, classes)
        (tmp_path / "out").write_bytes(encoded(rows.head + rows.text(verdicts)))
        end, parts = read(tmp_path / "out", rows)
        assert end == (tmp_path / "out").stat().st_size
        same(parts, verdicts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decimals_are_the_nearest(dtype):
    draw = np.random.default_rng(0)
    edges = [0, 1, 0.9999994, 0.9999996, 5e-7, 4e-7, 9.999998, 9.999999, 9.9999995, 10, 1e300 if dtype is np.float64 else 1e30]
    scores = np.concatenate([draw.random(5000), 20 * draw.standard_normal(5000), edges, np.negative(edges)]).astype(dtype)
    for score, text in zip(scores.tolist(), decimals(scores), strict=True):
        if 0 <= score < 9.9999995:
            assert len(text) == 8 and abs(float(text) - score) <= 0.5e-6 + 2e-15  # and an ulp or two of 10
        else:
            assert text == f"{score:.6g}"
    assert decimals(np.empty(0)) == []
    probabilities = draw.random(5000).astype(dtype)
    assert as_written(probabilities).tolist() == [float(text) for text in decimals(probabilities)]
    mixed = np.array([[np.nan, 0.12345678], [1e308, -0.12345678]])
    assert np.array_equal(as_written(mixed), [[np.nan, 0.123457], [1e308, -0.123457]], equal_nan=True)
