"""The rows that classify writes, read again from files that were torn anywhere; sources one after another."""

import csv
import io
import json
import random
import tarfile
from array import array
from itertools import compress
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.commands import rows as room
from fastmlp.commands.rows import (
    CsvRows,
    JsonRows,
    Samples,
    Sources,
    Tally,
    among,
    as_written,
    decimals,
    features_head,
    features_text,
    read_rows,
)
from fastmlp.images.sources import Chunks
from fastmlp.images.verdicts import Verdicts

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "test-images"
CLASSES = ["100 %", 'a "b", c', "multi\nline", "été"]
PATHS = ["a.png", 'b,"b".png', "c\nc\n\n.png", "d\r.png", "e\r\n\udcff\udc80.png", "", '"', "été/日本.png", "%s.png", "last.png"]
FORMATS = pytest.mark.parametrize("kind", [CsvRows, JsonRows])


def verdicts_of(paths, classes=CLASSES):
    """Verdicts of which every third one is an error."""
    scores = np.random.default_rng(len(paths)).random((len(paths), len(classes)))
    labels = [classes[best] for best in scores.argmax(axis=1)]
    errors = [None] * len(paths)
    for index in range(2, len(paths), 3):
        scores[index], labels[index], errors[index] = np.nan, None, f"{paths[index]} is damaged, as\nit seems"
    return Verdicts(list(paths), labels, scores, errors)


def only(verdicts, chosen):
    """The rows that are chosen."""
    paths, labels, scores, errors, _ = verdicts
    paths, labels, errors = (list(compress(column, chosen)) for column in (paths, labels, errors))
    return Verdicts(paths, labels, scores[np.asarray(chosen)], errors)


def encoded(text):
    return text.encode("utf-8", "surrogateescape")


def read(path, rows):
    """Where the whole rows end, and what they say."""
    end, parts = 0, []
    for end, verdicts in read_rows(str(path), rows):  # noqa: B007
        parts.append(verdicts)
    return end, parts


def same(parts, expected):
    """Whether parts of verdicts say what others do, to the digits that are written."""
    assert [path for part in parts for path in part.paths] == expected.paths
    assert [label for part in parts for label in part.labels] == expected.labels
    assert [error for part in parts for error in part.errors] == expected.errors
    scores = np.concatenate([np.empty((0, expected.scores.shape[1])), *(part.scores for part in parts)])
    assert np.allclose(scores, expected.scores, rtol=0, atol=0.51e-6, equal_nan=True)


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
    paths = ["".join(draw.choices('a ,"\n\r%\\\t\x00\udcffé{}', k=draw.randrange(6))) for _ in range(3000)]
    for classes in (["a", "b"], ["\n", '"'], ["", "%d"]):
        rows, verdicts = kind(classes), verdicts_of(paths, classes)
        (tmp_path / "out").write_bytes(encoded(rows.head + rows.text(verdicts)))
        end, parts = read(tmp_path / "out", rows)
        assert end == (tmp_path / "out").stat().st_size
        same(parts, verdicts)


@FORMATS
@pytest.mark.parametrize("block", [40, room.BLOCK])
def test_an_output_torn_anywhere_is_continued_to_the_same_rows(kind, block, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", block)
    rows, verdicts, path = kind(CLASSES), verdicts_of(PATHS), tmp_path / "out"
    whole = encoded(rows.head + rows.text(verdicts))
    ends = [len(encoded(rows.head + rows.text(only(verdicts, [i < n for i in range(len(PATHS))])))) for n in range(len(PATHS) + 1)]
    assert ends[-1] == len(whole)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        end, parts = read(path, rows)
        count = sum(len(part.paths) for part in parts)
        assert count == max(sum(place <= size for place in ends) - 1, 0)  # not one row less than are whole
        assert end == (ends[count] if count else 0)
        same(parts, only(verdicts, [index < count for index in range(len(PATHS))]))
        assert path.read_bytes() == whole[:size]

        done = array("q")
        for part in parts:
            done.extend(map(hash, part.paths))
        rest = rows.text(only(verdicts, ~among(done)(PATHS)))
        assert whole[:end] + encoded(rest if end else rows.head + rest) == whole


@FORMATS
def test_what_a_broken_disk_leaves_at_the_end_is_torn(kind, tmp_path):
    rows, verdicts, path = kind(CLASSES), verdicts_of(PATHS), tmp_path / "out"
    whole = encoded(rows.head + rows.text(verdicts))
    path.write_bytes(whole + bytes(10000))
    end, parts = read(path, rows)
    assert end == len(whole)
    same(parts, verdicts)


@FORMATS
def test_nothing_comes_of_an_output_that_is_missing_or_empty(kind, tmp_path):
    rows, path = kind(CLASSES), tmp_path / "out"
    assert read(path, rows) == (0, [])
    path.touch()
    assert read(path, rows) == (0, [])


def other_outputs():
    """Each output of another run with the Rows that must refuse it."""
    some = verdicts_of(PATHS[:3])
    for kind, other in ((CsvRows, JsonRows), (JsonRows, CsvRows)):
        for classes in (CLASSES[::-1], CLASSES[:3], [*CLASSES, "z"]):
            rows = kind(classes)
            yield kind, rows.head + rows.text(verdicts_of(PATHS[:2], classes))
        rows = other(CLASSES)
        yield kind, rows.head + rows.text(some)
        rows = kind(CLASSES)
        yield kind, "notes"
        yield kind, "notes\nof mine\n"
        yield kind, rows.head + rows.text(some).replace("failed", "maybe")
        yield kind, rows.head + rows.text(some) + "a,b\n"
        yield kind, "x" + rows.head + rows.text(some)
    yield CsvRows, "path,label,score_100 %,status,error\n"


@pytest.mark.parametrize(("kind", "text"), list(other_outputs()))
def test_the_output_of_something_else_is_refused_and_left_alone(kind, text, tmp_path):
    (tmp_path / "out").write_bytes(encoded(text))
    with pytest.raises(ValueError, match=r"out cannot be continued: .* must be") as caught:
        read(tmp_path / "out", kind(CLASSES))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_bytes() == encoded(text)


def test_a_class_with_a_line_end_does_not_hide_that_the_classes_are_others(tmp_path):
    (tmp_path / "out").write_text(CsvRows(["a\nb", "c"]).head + "row,a\n")
    with pytest.raises(ValueError, match="cannot be continued"):
        read(tmp_path / "out", CsvRows(["a\nd", "c"]))


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a regular file"):
        read(tmp_path, CsvRows(CLASSES))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decimals_are_the_nearest(dtype):
    draw = np.random.default_rng(0)
    edges = [0, 1, 0.9999994, 0.9999996, 5e-7, 4e-7, 9.999998, 9.999999, 9.9999995, 10, 1e300 if dtype is np.float64 else 1e30]
    scores = np.concatenate([draw.random(5000), 20 * draw.standard_normal(5000), edges, np.negative(edges)]).astype(dtype)
    for score, text in zip(scores.tolist(), decimals(scores), strict=True):
        if 0 <= score < 9.999999:
            assert len(text) == 8 and abs(float(text) - score) <= 0.5e-6 + 2e-15  # and an ulp or two of 10
        else:
            assert text == f"{score:.6g}"
    assert decimals(np.empty(0)) == []
    probabilities = draw.random(5000).astype(dtype)
    assert as_written(probabilities).tolist() == [float(text) for text in decimals(probabilities)]


def test_among_finds_those_and_no_others():
    paths = [f"{number}.png" for number in range(10000)]
    are_known = among(array("q", map(hash, paths[::3])))
    assert are_known(paths).tolist() == [number % 3 == 0 for number in range(10000)]
    assert are_known([]).tolist() == []
    assert among(array("q"))(["a"]).tolist() == [False]


def test_the_summary_counts_what_was_there_and_what_came():
    tally = Tally(["line", "circle"])
    tally.add(Verdicts(["a", "b"], ["line", None], np.zeros((2, 2)), [None, "bad"]))
    tally.begin()
    tally.add(Verdicts(["c", "d"], ["line", "line"], np.zeros((2, 2)), [None, None], skipped=4))
    summary = tally.summary()
    assert summary.startswith("3 images: line 3, circle 0; 4 skipped, 1 failed; 2 of these rows were there before; 0.")
    assert summary.endswith(" files/s")
    words, share = tally.progress()
    assert words.startswith("8 files, ") and words.endswith(" files/s, 1 failed") and share == 0
    tally.left = 24
    words, share = tally.progress()
    assert words.startswith("8 of 32 files, ") and share == 0.25


def test_the_summary_of_many_classes_tells_the_most_frequent_ones():
    classes = [f"c{number:02}" for number in range(30)]
    tally = Tally(classes)
    labels = [name for number, name in enumerate(classes) for _ in range(number)]
    tally.add(Verdicts([""] * len(labels), labels, np.zeros((len(labels), 30)), [None] * len(labels)))
    assert tally.summary().startswith(f"{29 * 15} images: c29 29, c28 28, c27 27, ")
    assert f"c20 20, others {19 * 10}; 0 skipped" in tally.summary()


# The model of an older output


def rows_of_model(model, paths):
    """What a run with the model writes of some test images, as it is read again."""
    verdicts = model.verdicts(next(Chunks([IMAGES / path for path in paths])))._replace(paths=paths)
    return verdicts._replace(scores=as_written(verdicts.scores))


def steep(factor):
    """A model that is the surer, the larger the factor."""
    weights = factor * np.array([[1.0, -1], [2, -2], [-3, 3]])
    network = fastmlp.MLP.from_weights([weights], [np.zeros(2)], output="softmax", classes=["a", "b"])
    return fastmlp.ImageClassifier(["a", "b"], (network,), "ink", "softmax")


@pytest.mark.parametrize("place", [0, 9])
def test_rows_of_another_model_are_known_by_the_first_and_by_the_least_certain(place, monkeypatch):
    monkeypatch.setattr(room, "COMPARED", 1)
    paths = sorted(path.name for path in IMAGES.iterdir())
    written, samples = rows_of_model(steep(1), paths), Samples()
    samples.add(written)
    samples.check("o.csv", steep(1), lambda path: (IMAGES / path).read_bytes())
    with pytest.raises(ValueError, match=r"^o\.csv cannot be continued: another model has written it") as caught:
        samples.check("o.csv", steep(1.01), lambda path: (IMAGES / path).read_bytes())
    assert "\n" not in str(caught.value)

    # Where but one row differs, it is found if it is the first, or the least certain of all.
    certainty = np.abs(written.scores[:, 0] - 0.5)
    order = np.r_[np.flatnonzero(certainty > certainty.min()), certainty.argmin()]
    shuffled = Verdicts(*[[column[k] for k in order] for column in (paths, written.labels)], written.scores[order], [None] * 10)
    shuffled.scores[place] += [2e-6, -2e-6]
    samples = Samples()
    for k in range(10):
        samples.add(only(shuffled, [k == row for row in range(10)]))
    with pytest.raises(ValueError, match="another model"):
        samples.check("o.csv", steep(1), lambda path: (IMAGES / path).read_bytes())


def test_a_last_digit_an_error_and_an_image_that_is_gone_say_nothing_of_the_model():
    paths = sorted(path.name for path in IMAGES.iterdir())
    written, samples = rows_of_model(steep(1), paths), Samples()
    written.scores[:] += 1e-6
    written.scores[3], written.errors[3] = np.nan, "damaged"
    samples.add(written._replace(paths=["gone.png", *paths[1:]]))
    samples.check("o.csv", steep(1), lambda path: (IMAGES / path).read_bytes())
    Samples().check("o.csv", steep(1), lambda path: (IMAGES / path).read_bytes())


# Sources


@pytest.fixture(scope="module")
def model():
    network = fastmlp.MLP.from_weights([np.ones((3, 2))], [np.zeros(2)], output="softmax", classes=["a", "b"])
    return fastmlp.ImageClassifier(["a", "b"], (network,), "ink", "softmax")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder, a tar, and two files, one of them missing."""
    monkeypatch.chdir(tmp_path)
    data = (IMAGES / "tc-1.png").read_bytes()
    for name in ("folder/sub/x.png", "folder/y.png", "z.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with tarfile.open("images.tar", "w") as tar:
        tar.add("folder/y.png", "in/t.png")
    return ["folder", "images.tar", "z.png", "missing.png"]


def paths_of(batches):
    return [path for verdicts, _ in batches for path in verdicts.paths]


def test_paths_are_within_a_source_that_stands_alone_and_below_each_of_several(model, sources):
    assert paths_of(Sources(sources[:1]).batches(model, None)) == ["sub/x.png", "y.png"]
    assert paths_of(Sources(sources[1:2]).batches(model, None)) == ["in/t.png"]
    assert paths_of(Sources(sources[2:3]).batches(model, None)) == ["z.png"]
    expected = ["folder/sub/x.png", "folder/y.png", "images.tar/in/t.png", "z.png", "missing.png"]
    assert paths_of(Sources(sources).batches(model, None)) == expected
    assert paths_of(Sources(["folder/"] * 2).batches(model, None)) == expected[:2] * 2


def test_every_path_can_be_read_and_left_out(model, sources):
    for some in (sources[:1], sources[1:2], sources[2:3], sources[:3]):
        paths = paths_of(Sources(some).batches(model, None))
        for path in paths:
            assert Sources(some).read(path).startswith(b"\x89PNG")
            rest = Sources(some).batches(model, among(array("q", [hash(path)])))
            assert paths_of(rest) == [other for other in paths if other != path]


def test_of_several_sources_one_without_images_is_a_row_that_failed(model, sources, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no PNG file"):
        list(Sources(["empty"]).batches(model, None))
    verdicts = [verdicts for verdicts, _ in Sources(["empty", "z.png"]).batches(model, None) if verdicts.paths]
    assert [each.paths for each in verdicts] == [["empty"], ["z.png"]]
    assert verdicts[0].errors == ["empty holds no PNG file"] and verdicts[0].labels == [None]
    assert paths_of(Sources(["empty", "z.png"]).batches(model, among(array("q", [hash("empty")])))) == ["z.png"]


def test_what_is_left_is_known_for_the_last_source(model, sources):
    files = ["z.png"] * 3
    assert [left for _, left in Sources(files).batches(model, None)][-1] == 0
    assert next(left for _, left in Sources([*files, "folder"]).batches(model, None)) is None


def test_names_of_files_within_a_folder_are_those_of_its_rows(sources):
    assert list(Sources(["folder"]).names_of(["folder/sub/x.png"])) == ["sub/x.png"]
    assert "folder/sub/x.png" in Sources(sources).names_of(["folder/sub/x.png"])
    assert list(Sources(["z.png"]).names_of(["folder/sub/x.png"])) == []
