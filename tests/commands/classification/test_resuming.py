"""An output that a run has left, torn or not, is gone on with; one of another model, or of something else, is not."""

import os
import shutil
import signal
import subprocess
import time
from array import array
from contextlib import suppress
from itertools import accumulate

import numpy as np
import pytest
from command_line import ERRORS, IMAGES, TRAINING, assert_one_sentence, classified, interrupt_after, summary_of
from pngs import png
from processes import PATIENCE, run, started
from verdict_rows import CLASSES, FORMATS, PATHS, encoded, only, read, same, verdicts_of

import fastmlp
from fastmlp.commands.classification import resuming
from fastmlp.commands.classification.resuming import Samples, among
from fastmlp.commands.classification.rows import CsvRows, JsonRows, as_written
from fastmlp.images.sources.source import Chunks
from fastmlp.images.verdicts import Verdicts


@FORMATS
@pytest.mark.parametrize("block", [40, resuming.BLOCK])
def test_an_output_torn_anywhere_is_continued_to_the_same_rows(kind, block, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "BLOCK", block)
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


def test_among_finds_those_and_no_others():
    paths = [f"{number}.png" for number in range(10000)]
    are_known = among(array("q", map(hash, paths[::3])))
    assert are_known(paths).tolist() == [number % 3 == 0 for number in range(10000)]
    assert are_known([]).tolist() == []
    assert among(array("q"))(["a"]).tolist() == [False]


def rows_of_model(model, paths):
    """What a run with the model writes of some test images, as it is read again."""
    verdicts = model.verdicts(next(Chunks([IMAGES / path for path in paths])))._replace(paths=paths)
    return verdicts._replace(scores=as_written(verdicts.scores))


def steep(factor):
    """A model that is the surer, the larger the factor."""
    weights = factor * np.array([[1.0, -1], [2, -2], [-3, 3]])
    network = fastmlp.MLP.from_weights([weights], [np.zeros(2)], output="softmax", classes=["a", "b"])
    return fastmlp.ImageClassifier(["a", "b"], (network,), "ink", "softmax")


def test_rows_of_a_model_that_sees_colours_are_its_own(tmp_path):
    rng, samples = np.random.default_rng(0), Samples()
    network = fastmlp.MLP.from_weights([rng.normal(size=(972, 2))], [np.zeros(2)], output="softmax", classes=["a", "b"])
    model = fastmlp.ImageClassifier(["a", "b"], (network,), "colour", "softmax")
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(rng.integers(0, 256, (9, 8, 3)), 2))
    verdicts = model.verdicts(next(Chunks(tmp_path)))
    samples.add(verdicts._replace(scores=as_written(verdicts.scores)))
    samples.check("o.csv", model, lambda path: (tmp_path / path).read_bytes())


@pytest.mark.parametrize("place", [0, 9])
def test_rows_of_another_model_are_known_by_the_first_and_by_the_least_certain(place, monkeypatch):
    monkeypatch.setattr(resuming, "COMPARED", 1)
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


@pytest.fixture(scope="module")
def model():
    network = fastmlp.MLP.from_weights([np.ones((3, 2))], [np.zeros(2)], output="softmax", classes=["a", "b"])
    return fastmlp.ImageClassifier(["a", "b"], (network,), "ink", "softmax")


resource = pytest.importorskip("resource")


def test_resume_needs_an_output(classifier, capsys):
    assert classified(classifier, IMAGES, "--resume") == 2
    assert_one_sentence(capsys.readouterr(), "--resume", "-o")


@ERRORS
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ""])
def test_an_older_output_is_replaced_when_the_new_one_is_whole(suffix, error, classifier, many, tmp_path, monkeypatch, capsys):
    output, left = tmp_path / f"o{suffix}", tmp_path / f"o.unfinished{suffix}"
    options = [classifier, many, "-o", output, "--threads", "1"]
    assert classified(*options) == 0
    whole = output.read_bytes()
    older = whole[: whole.index(b"\n", len(whole) // 2) + 1]
    output.write_bytes(older)
    output.chmod(0o600)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "fastmlp.commands.classification.tally.Tally.add", 2, error)
        capsys.readouterr()
        assert classified(*options) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    kept = left.read_bytes()
    assert output.read_bytes() == older and whole.startswith(kept) and 100 < kept.count(b"\n") < 3000
    messages = capsys.readouterr().err
    assert f"so far is in {left}, and --resume goes on with it; {output} is as it was\n" in messages

    assert classified(*options) == 2  # or what was kept would be lost
    assert_one_sentence(capsys.readouterr(), left, "--resume")
    assert (output.read_bytes(), left.read_bytes()) == (older, kept)
    left.write_bytes(kept + b"torn")
    assert classified(*options, "--resume") == 0
    assert output.read_bytes() == whole and output.stat().st_mode & 0o777 == 0o600 and not left.exists()
    assert summary_of(capsys.readouterr().err)[3] == kept.count(b"\n") - (suffix != ".jsonl")


def test_a_new_output_that_is_interrupted_says_how_to_go_on(classifier, many, tmp_path, monkeypatch, capsys):
    output = tmp_path / "o.csv"
    interrupt_after(monkeypatch, "fastmlp.commands.classification.tally.Tally.add", 2, KeyboardInterrupt())
    assert classified(classifier, many, "-o", output, "--threads", "1") == 130
    assert f"fastmlp: --resume goes on with {output}\n" in capsys.readouterr().err
    assert list(tmp_path.glob("*.csv")) == [output]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_output_of_another_model_of_the_same_classes_is_not_resumed(kind, classifier, tmp_path, capsys):
    other, output = tmp_path / "other.npz", tmp_path / f"o.{kind}"
    fastmlp.train_folder(TRAINING, hidden=(4,), epochs=50, seed=1).save(other)
    shutil.make_archive(tmp_path / "a", "tar", IMAGES)
    for sources in ([IMAGES], [tmp_path / "a.tar"], sorted(IMAGES.iterdir()), [IMAGES, tmp_path / "a.tar"]):
        assert classified(classifier, *sources, "-o", output) == 0
        whole = output.read_bytes()
        output.write_bytes(whole[: len(whole) // 2])
        capsys.readouterr()
        assert classified(other, *sources, "-o", output, "--resume") == 2
        assert_one_sentence(capsys.readouterr(), output, "cannot be continued: another model has written it")
        assert output.read_bytes() == whole[: len(whole) // 2]
        assert classified(classifier, *sources, "-o", output, "--resume") == 0
        assert output.read_bytes() == whole


def test_a_wrong_source_leaves_the_older_output(classifier, tmp_path, capsys):
    older = "path,label,score_a,status,error\nas it was\n"
    (tmp_path / "o.csv").write_text(older)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    for name in ("missing", "empty"):
        assert classified(classifier, tmp_path / name, "-o", tmp_path / "o.csv") == 2
        assert_one_sentence(capsys.readouterr(), tmp_path / name)
    (tmp_path / "o.csv").rename(tmp_path / "empty" / "o.csv")
    (tmp_path / "empty" / "a.txt").unlink()
    assert classified(classifier, tmp_path / "empty", "-o", tmp_path / "empty" / "o.csv", "--strict") == 2
    assert_one_sentence(capsys.readouterr(), "nothing to classify")
    assert (tmp_path / "empty" / "o.csv").read_text() == older
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["o.csv"]


def test_an_output_of_other_classes_is_not_resumed(classifier, tmp_path, capsys):
    for text in ("path,label,score_a,score_b,status,error\n", "notes"):
        (tmp_path / "o.csv").write_text(text)
        assert classified(classifier, IMAGES, "-o", tmp_path / "o.csv", "--resume") == 2
        assert_one_sentence(capsys.readouterr(), tmp_path / "o.csv", "cannot be continued")
        assert (tmp_path / "o.csv").read_text() == text


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_resumed_output_is_that_of_an_undisturbed_run(kind, classifier, folder, tmp_path, capsys):
    output = tmp_path / f"o.{kind}"
    assert classified(classifier, folder, "-o", output) == 1
    whole = output.read_bytes()
    capsys.readouterr()
    for size in (0, 3, len(whole) // 3, 2 * len(whole) // 3, len(whole) - 1, len(whole)):
        output.write_bytes(whole[:size])
        assert classified(classifier, folder, "-o", output, "--resume") == 1  # for what failed before, too
        assert output.read_bytes() == whole
        before = max(whole[:size].count(b"\n") - (kind == "csv"), 0)
        assert summary_of(capsys.readouterr().err) == (2, 0, 1, before)
    output.unlink()
    assert classified(classifier, folder, "-o", output, "--resume") == 1
    assert output.read_bytes() == whole


def test_runs_that_are_killed_and_resumed_lose_nothing_and_repeat_nothing(wide, many, tmp_path):
    """Signals come when the output has some share of its rows; a run that is done before is as good a test of the next one."""
    output, sources = tmp_path / "o.csv", [tmp_path / f"folder {number}" for number in range(10)]
    for number, image in enumerate(sorted(many.iterdir())):
        folder = sources[number * len(sources) // 3000]
        folder.mkdir(exist_ok=True)
        os.link(image, folder / image.name)
    assert classified(wide, *sources, "-o", output) == 0
    whole = output.read_bytes()
    output.unlink()
    for share, number in ((0.1, signal.SIGKILL), (0.3, signal.SIGINT), (0.5, signal.SIGKILL)):
        with started("classify", wide, *sources, "-o", output, "--resume", stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and not (output.exists() and output.stat().st_size > share * len(whole)):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.send_signal(number)
            messages = process.communicate(timeout=PATIENCE)[1].decode()
        data = output.read_bytes()
        assert whole.startswith(data) and len(data) > share * len(whole)
        assert process.returncode in ((0, -9) if number == signal.SIGKILL else (0, 130))
        if process.returncode != -9:
            assert data.endswith(b"\n") and summary_of(messages)[0] == data.count(b"\n") - 1
    assert classified(wide, *sources, "-o", output, "--resume") == 0
    assert output.read_bytes() == whole


def test_a_disk_that_is_full_at_any_byte_is_one_sentence_and_the_run_can_be_resumed(wide, many, tmp_path, capsys):
    output = tmp_path / "o.csv"
    assert classified(wide, many, "-o", output) == 0
    whole = output.read_bytes()
    for size in (20_000, 1_234_567):
        output.unlink()

        def limit(size=size):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        process = run("classify", wide, many, "-o", output, start=limit)
        assert process.returncode == 2
        assert process.stderr.decode() == f"fastmlp: {output}: File too large\n"
        assert output.read_bytes() == whole[:size]
        assert classified(wide, many, "-o", output, "--resume") == 0
        assert output.read_bytes() == whole


@FORMATS
@pytest.mark.parametrize("tail", [b"\0", b"a", b"\r", b'"', b"\n"], ids=repr)
def test_a_tail_is_looked_through_once(kind, tail, tmp_path, monkeypatch):
    rows, looked = kind(CLASSES), []
    end = kind.end
    monkeypatch.setattr(kind, "end", lambda self, data, quoted: looked.append(len(data)) or end(self, data, quoted))
    whole = encoded(rows.head + rows.text(verdicts_of(PATHS)))
    (tmp_path / "out").write_bytes(whole + tail * 20 * resuming.BLOCK)
    with suppress(ValueError):  # for ends of lines without a row
        assert read(tmp_path / "out", rows)[0] == len(whole)
    assert sum(looked) <= len(whole) + 20 * resuming.BLOCK


@FORMATS
def test_from_a_page_of_zeros_on_all_is_torn(kind, tmp_path):
    rows, verdicts, path = kind(CLASSES), verdicts_of(PATHS * 20), tmp_path / "out"
    whole = encoded(rows.head + rows.text(verdicts))
    count = len(verdicts.paths)
    lengths = [len(encoded(rows.text(only(verdicts, [k == n for k in range(count)])))) for n in range(count)]
    ends = list(accumulate(lengths, initial=len(encoded(rows.head))))
    for start in range(len(rows.head) + 100, len(whole), 997):
        path.write_bytes(whole[:start] + bytes(min(512, len(whole) - start)) + whole[start + 512 :])
        end, parts = read(path, rows)
        left = sum(place <= start for place in ends) - 1
        assert end == (ends[left] if left else 0) and sum(len(part.paths) for part in parts) == left
