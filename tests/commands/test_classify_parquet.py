"""`fastmlp classify -o verdicts.parquet`: the rows of the CSV, as a folder that others read as one table."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import ERRORS, IMAGES, TRAINING, assert_one_sentence, classified, interrupt_after, rows_of, summary_of
from processes import PATIENCE, begun, run

import fastmlp
from fastmlp.commands.classification import parquet_folder
from fastmlp.images import content

dataset = pytest.importorskip("pyarrow.dataset")
SMALL_PARTS = """
import sys
from fastmlp.commands.classification import parquet_folder
from fastmlp.__main__ import main
parquet_folder.PART_ROWS = 200
sys.exit(main())
"""


def table_of(path):
    return dataset.dataset(path).to_table().to_pydict()


def test_rows_are_those_of_the_csv(classifier, folder, tmp_path, capsys):
    assert classified(classifier, folder, "-o", tmp_path / "o.csv") == 1
    assert classified(classifier, folder, "-o", f"{tmp_path}/o.parquet/") == 1
    assert summary_of(capsys.readouterr().err.splitlines(True)[-1]) == (2, 0, 1, 0)
    header, *rows = rows_of((tmp_path / "o.csv").read_bytes())
    table = table_of(tmp_path / "o.parquet")
    assert list(table) == header
    assert table["path"] == ["a.png", "b.png", r'c\udcff, "c".png'] and rows[2][0] == 'c\udcff, "c".png'
    for name in ("label", "status", "error"):
        assert table[name] == [row[header.index(name)] or None for row in rows]
    expected = fastmlp.classify_folder(classifier, folder)
    for k, name in enumerate(expected.classes):
        assert table[f"score_{name}"] == [None if np.isnan(score) else score for score in expected.scores[:, k].tolist()]


def test_pandas_and_polars_read_the_folder_as_one_table(classifier, folder, tmp_path, monkeypatch):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    monkeypatch.setattr(parquet_folder, "PART_ROWS", 1)
    output = tmp_path / "o.parquet"
    assert classified(classifier, folder, IMAGES, "-o", output) == 1
    assert classified(classifier, folder, IMAGES, "-o", tmp_path / "o.csv") == 1
    assert len(list(output.glob("*.parquet"))) == 2
    read, lines = pandas.read_parquet(output), pandas.read_csv(tmp_path / "o.csv", encoding_errors="replace")
    assert list(read.columns) == list(lines.columns) and len(read) == len(lines) == 13
    assert read.label.value_counts().to_dict() == lines.label.value_counts().to_dict() == {"circle": 6, "line": 6}
    assert (read.score_line[read.status == "ok"] - lines.score_line[lines.status == "ok"]).abs().max() < 1e-6
    assert read[read.error.notna()].index.tolist() == [1]
    frame = polars.scan_parquet(f"{output}/*.parquet").collect()
    assert frame.shape == (13, 6) and frame["label"].null_count() == 1 and frame["status"].to_list().count("ok") == 12


def test_a_run_that_is_resumed_has_the_rows_of_an_undisturbed_one(classifier, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parquet_folder, "PART_ROWS", 1)
    output, page = tmp_path / "o.parquet", tmp_path / "p.html"
    sources = [folder, IMAGES]
    assert classified(classifier, *sources, "-o", output, "--report", page) == 1
    whole, written = table_of(output), page.read_text().count("<figure")
    (output / "part-00000001.parquet").unlink()
    capsys.readouterr()
    assert classified(classifier, *sources, "-o", output, "--report", page, "--resume") == 1
    assert table_of(output) == whole and summary_of(capsys.readouterr().err) == (12, 0, 1, 3)
    assert page.read_text().count("<figure") == written > 0
    assert classified(classifier, IMAGES, "-o", output, "--resume") == 2
    assert_one_sentence(capsys.readouterr(), output, "cannot be continued: it must be of the sources")
    shutil.copy(IMAGES / "tc-2.png", folder / "b.png")  # it is whole now
    assert classified(classifier, *sources, "-o", output, "--retry-failed") == 0
    assert summary_of(capsys.readouterr().err) == (13, 0, 0, 12)
    assert classified(classifier, *sources, "-o", tmp_path / "w.parquet") == 0
    one, other = table_of(output), table_of(tmp_path / "w.parquet")
    assert sorted(zip(*one.values(), strict=True)) == sorted(zip(*other.values(), strict=True))


def test_what_the_machine_failed_is_tried_again(classifier, folder, tmp_path, monkeypatch):
    output = tmp_path / "o.parquet"

    def fail(path, base):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(content, "opened", fail)
        assert classified(classifier, folder, "-o", output) == 1
    assert "retry" in table_of(output)["status"]
    assert classified(classifier, folder, "-o", output, "--resume") == 1
    assert sorted(table_of(output)["status"]) == ["failed", "ok", "ok"]


def test_a_folder_of_another_model_is_not_resumed(classifier, tmp_path, capsys):
    other, output = tmp_path / "other.npz", tmp_path / "o.parquet"
    fastmlp.train_folder(TRAINING, extractor="ink", hidden=(4,), epochs=50, seed=1).save(other)
    assert classified(classifier, IMAGES, "-o", output) == 0
    before = table_of(output)
    capsys.readouterr()
    assert classified(other, IMAGES, "-o", output, "--resume") == 2
    assert_one_sentence(capsys.readouterr(), output, "cannot be continued: another model has written it")
    assert table_of(output) == before


@ERRORS
def test_an_older_folder_is_replaced_when_the_new_one_is_whole(error, classifier, many, tmp_path, monkeypatch, capsys):
    output, left = tmp_path / "o.parquet", tmp_path / "o.unfinished.parquet"
    assert classified(classifier, IMAGES, "-o", output) == 0
    older = table_of(output)
    options = [classifier, many, "-o", output, "--threads", "1"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, "fastmlp.commands.classification.tally.Tally.add", 2, error)
        capsys.readouterr()
        assert classified(*options) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    kept = len(table_of(left)["path"])
    assert table_of(output) == older and 100 < kept < 3000
    messages = capsys.readouterr().err
    assert f"so far is in {left}, and --resume goes on with it; {output} is as it was\n" in messages
    assert classified(*options) == 2
    assert_one_sentence(capsys.readouterr(), left, "--resume")
    assert classified(*options, "--resume") == 0
    assert summary_of(capsys.readouterr().err)[3] == kept
    assert len(set(table_of(output)["path"])) == len(table_of(output)["path"]) == 3000 and sorted(
        path.name for path in tmp_path.iterdir() if "o." in path.name
    ) == ["o.parquet"]


def test_a_new_folder_that_is_interrupted_says_how_to_go_on(classifier, many, tmp_path, monkeypatch, capsys):
    output = tmp_path / "o.parquet"
    interrupt_after(monkeypatch, "fastmlp.commands.classification.tally.Tally.add", 2, KeyboardInterrupt())
    assert classified(classifier, many, "-o", output, "--threads", "1") == 130
    assert f"fastmlp: --resume goes on with {output}\n" in capsys.readouterr().err
    assert len(table_of(output)["path"]) > 100


def test_runs_that_are_killed_lose_nothing_and_repeat_nothing(classifier, many, tmp_path):
    output = tmp_path / "o.parquet"
    for parts, number in ((2, signal.SIGKILL), (4, signal.SIGINT), (6, signal.SIGKILL)):
        command = ["-c", SMALL_PARTS, "classify", classifier, many, "-o", output, "--resume", "--threads", "1"]
        with begun(*command, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and len(list(output.glob("part-*"))) < parts:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
        assert process.returncode in ((0, -9) if number == signal.SIGKILL else (0, 130))
        paths = table_of(output)["path"]
        assert paths == [f"{k:04}.png" for k in range(len(paths))]
    assert classified(classifier, many, "-o", output, "--resume") == 0
    assert table_of(output)["path"] == [f"{k:04}.png" for k in range(3000)]
    manifest = json.loads((output / "_manifest.json").read_text())
    assert manifest["rows"] == 3000 and len(manifest["parts"]) == len(os.listdir(output)) - 1


def test_a_disk_that_is_full_is_one_sentence_and_the_run_can_be_resumed(wide, many, tmp_path):
    resource = pytest.importorskip("resource")
    output = tmp_path / "o.parquet"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = run("classify", wide, many, "-o", output, start=limit)
    assert (process.returncode, process.stderr.decode()) == (2, f"fastmlp: {output}: File too large\n")
    assert os.listdir(output) == ["_manifest.json"]
    assert classified(wide, many, "-o", output, "--resume") == 0
    assert len(table_of(output)["path"]) == 3000


def test_a_folder_among_the_images_is_no_image_that_fails(classifier, folder, capsys):
    output = folder / "o.parquet"
    for options in ([], ["--resume"], []):
        assert classified(classifier, folder, "-o", output, "--strict", *options) == 1
        assert summary_of(capsys.readouterr().err)[:3] == (2, 0, 1)
    assert len(table_of(output)["path"]) == 3


def test_what_is_not_ours_is_never_written_over(classifier, tmp_path, capsys):
    (tmp_path / "file.parquet").write_bytes(b"PAR1 mine")
    (tmp_path / "mine.parquet").mkdir()
    (tmp_path / "mine.parquet" / "data.parquet").write_bytes(b"mine")
    for name, options in (("file", []), ("file", ["--resume"]), ("mine", []), ("mine", ["--resume"])):
        assert classified(classifier, IMAGES, "-o", tmp_path / f"{name}.parquet", *options) == 2
        assert_one_sentence(capsys.readouterr(), tmp_path / f"{name}.parquet", "cannot be")
    assert classified(classifier, IMAGES, "--format", "parquet") == 2
    assert_one_sentence(capsys.readouterr(), "-o must name")
    assert classified(classifier, IMAGES, "--format", "parquet", "-o", "/dev/null") == 2
    assert_one_sentence(capsys.readouterr(), "/dev/null")
    assert (tmp_path / "file.parquet").read_bytes() == b"PAR1 mine"
    assert [path.name for path in (tmp_path / "mine.parquet").iterdir()] == ["data.parquet"]
    assert classified(classifier, tmp_path / "missing", "-o", tmp_path / "o.parquet") == 2
    assert not (tmp_path / "o.parquet").exists()


def test_a_pyarrow_that_cannot_be_loaded_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "pyarrow.py").write_text("raise ImportError('failed to map segment from shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    assert classified(tmp_path / "missing.npz", IMAGES, "-o", tmp_path / "o.parquet") == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "o.parquet", "needs pyarrow, which cannot be loaded: failed to map segment")


def test_without_pyarrow_a_sentence_comes_before_anything_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert classified(tmp_path / "missing.npz", IMAGES, "-o", tmp_path / "o.parquet") == 2
    assert_one_sentence(capsys.readouterr(), tmp_path / "o.parquet", "needs pyarrow: pip install 'fastmlp[tables]'")


def test_scores_have_one_type_in_all_parts(classifier, tmp_path, monkeypatch):
    """Also those of a source that cannot be read."""
    monkeypatch.setattr(parquet_folder, "PART_ROWS", 1)
    (tmp_path / "empty").mkdir()
    assert classified(classifier, tmp_path / "empty", IMAGES, "-o", tmp_path / "o.parquet") == 1
    kinds = {dataset.dataset(part).schema for part in (tmp_path / "o.parquet").glob("*.parquet")}
    assert len(kinds) == 1 and np.isfinite(table_of(tmp_path / "o.parquet")["score_line"][-1])
