"""A folder of Parquet: killed before any step it is gone on with, nothing lost or doubled; what is not ours is left alone."""

import json
import os
from itertools import count

import numpy as np
import pytest
from killed import came_through, kill_before
from verdict_rows import CLASSES, PATHS, only, same, verdicts_of

import fastmlp
from fastmlp.commands.classification import parquet_folder
from fastmlp.commands.classification.parquet_folder import MANIFEST, ParquetFolder, check_folder
from fastmlp.commands.classification.resuming import settled
from fastmlp.images.arrow_rows import as_unicode

dataset = pytest.importorskip("pyarrow.dataset")
STEPS = ("mkdir", "remove", "replace", "rename", "rmdir", "fsync", "open", "listdir")
ALL = verdicts_of(PATHS)


def model_of(classes=CLASSES, factor=1.0):
    network = fastmlp.MLP.from_weights(
        [np.full((3, len(classes)), factor)], [np.zeros(len(classes))], output="softmax", classes=classes
    )
    return fastmlp.ImageClassifier(classes, (network,), "ink", "softmax")


MODEL = model_of()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parquet_folder, "PART_ROWS", 3)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # which takes the most time; it is a step all the same


def folder_of(path, beside=None, model=MODEL, sources=("images",)):
    return ParquetFolder(str(path), beside and str(beside), model, "m.npz", list(sources))


def write(path, beside=None, verdicts=ALL, retry_failed=False):
    """What a run does: it reads what is there, takes out what is to be tried again, and adds what is missing, by pairs."""
    folder, done, again = folder_of(path, beside), set(), False
    for part in folder.read():
        left = settled(part, retry_failed)
        done |= set(left.paths)
        again |= len(left.paths) < len(part.paths)
    if again:
        folder.take_out(retry_failed)
    missing = only(verdicts, [name not in done for name in verdicts.paths])
    with folder.opened(resumed=True) as add:
        for start in range(0, len(missing.paths), 2):
            add(only(missing, [start <= row < start + 2 for row in range(len(missing.paths))]))


def read(path, beside=None):
    folder = folder_of(path, beside)
    return list(folder.read())


def rows_seen(path):
    """The names that a reader of the folder finds, whatever the manifest tells."""
    return dataset.dataset(path).to_table()["path"].to_pylist() if path.exists() and list(path.glob("part*")) else []


def test_rows_are_parts_of_some_size_and_the_manifest_names_them(tmp_path):
    path = tmp_path / "o.parquet"
    write(path)
    manifest = json.loads((path / MANIFEST).read_text())
    assert [part["rows"] for part in manifest["parts"]] == [4, 4, 2] and manifest["rows"] == 10
    assert sorted(os.listdir(path)) == [MANIFEST, *(f"part-0000000{k}.parquet" for k in range(3))]
    assert [(path / part["name"]).stat().st_size for part in manifest["parts"]] == [part["bytes"] for part in manifest["parts"]]
    assert manifest["classes"] == CLASSES and manifest["sources"] == ["images"] and manifest["model"] == "m.npz"
    same(read(path), ALL)


def test_a_part_is_whole_after_some_time_too(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_folder, "PART_SECONDS", 0.0)
    write(tmp_path / "o.parquet")
    assert len(read(tmp_path / "o.parquet")) == 5


def test_a_run_killed_before_any_step_is_gone_on_with(tmp_path):
    for step in count():
        path = tmp_path / f"{step}.parquet"
        through = came_through(lambda: write(path), lambda: kill_before(step, STEPS))  # noqa: B023
        seen = rows_seen(path)
        assert seen == [as_unicode([name])[0] for name in ALL.paths[: len(seen)]]
        write(path)
        same(read(path), ALL)
        assert len(rows_seen(path)) == 10 and {name[0] for name in os.listdir(path)} == {"_", "p"}
        if through:
            assert step > 20
            return


@pytest.mark.parametrize("retry_failed", [False, True])
def test_taking_out_rows_is_killed_before_any_step(retry_failed, tmp_path):
    failed = [row for row, error in enumerate(ALL.errors) if error]
    older = ALL._replace(retry=failed[1:2] if not retry_failed else [])
    healed = verdicts_of(ALL.paths)
    for row in failed if retry_failed else failed[1:2]:
        healed.errors[row], healed.labels[row], healed.scores[row] = None, CLASSES[0], 0.25
    for step in count():
        path = tmp_path / f"{step}.parquet"
        folder = folder_of(path)
        with folder.opened(resumed=False) as add:
            for start in range(0, 10, 5):
                chosen = [start <= row < start + 5 for row in range(10)]
                add(only(older, chosen)._replace(retry=[row - start for row in older.retry if start <= row < start + 5]))
        through = came_through(lambda: write(path, None, healed, retry_failed), lambda: kill_before(step, STEPS))  # noqa: B023
        seen = rows_seen(path)
        assert len(set(seen)) == len(seen)
        write(path, None, healed, retry_failed)
        found = read(path)
        assert sorted(name for part in found for name in part.paths) == sorted(ALL.paths)
        errors = {name: error for part in found for name, error in zip(part.paths, part.errors, strict=True)}
        assert errors == dict(zip(healed.paths, healed.errors, strict=True))
        if through:
            return


def test_parts_of_which_nothing_is_left_are_taken_out_and_all_others_stay(tmp_path):
    path, failed = tmp_path / "o.parquet", [0, 1, 2, 4]  # all of the first part, one of the second, none of the third
    healed = ALL._replace(labels=[CLASSES[0]] * 10, scores=np.full((10, len(CLASSES)), 0.25), errors=[None] * 10)
    older = healed._replace(scores=healed.scores.copy(), labels=list(healed.labels), errors=list(healed.errors))
    for row in failed:
        older.errors[row], older.labels[row], older.scores[row] = "broken", None, np.nan
    with folder_of(path).opened(resumed=False) as add:
        for rows in (0, 1, 2), (3, 4, 5), (6, 7, 8, 9):
            add(only(older, [row in rows for row in range(10)]))
    folder = folder_of(path)
    assert len(list(folder.read())) == 3
    folder.take_out(retry_failed=True)
    assert [name for part in read(path) for name in part.paths] == [ALL.paths[row] for row in range(10) if row not in failed]
    write(path, None, healed)
    assert sorted(name for part in read(path) for name in part.paths) == sorted(ALL.paths) and len(rows_seen(path)) == 10


def test_what_is_secret_in_a_url_is_not_in_the_manifest(tmp_path):
    url = "https://me:PASSWORD@host/scans?sig=SECRET"
    with folder_of(tmp_path / "o.parquet", sources=[url]).opened(resumed=False):
        pass
    assert json.loads((tmp_path / "o.parquet" / MANIFEST).read_text())["sources"] == ["https://host/scans?sig=..."]
    renewed = folder_of(tmp_path / "o.parquet", sources=[url.replace("SECRET", "OTHER")])
    assert list(renewed.read()) == []


def test_an_older_folder_is_replaced_wholly_whenever_it_is_killed(tmp_path):
    older = only(ALL, [row < 5 for row in range(10)])
    for step in count():
        place = tmp_path / str(step)
        place.mkdir()
        path, beside = place / "o.parquet", place / "o.unfinished.parquet"
        write(path, None, older)
        path.chmod(0o700)
        through = came_through(lambda: write(path, beside), lambda: kill_before(step, STEPS))  # noqa: B023
        if path.exists():
            assert len(rows_seen(path)) == len(set(rows_seen(path))) and len(rows_seen(path)) in (5, 10)
        if beside.exists():
            write(path, beside)
        if not through and len(rows_seen(path)) < 10:
            write(path, beside)
        same(read(path), ALL)
        assert path.stat().st_mode & 0o777 == 0o700 or not through
        assert not beside.exists()
        if through:
            assert os.listdir(place) == ["o.parquet"]
            return


def test_what_a_failure_leaves_is_told(tmp_path, capsys, monkeypatch):
    path, beside = tmp_path / "o.parquet", tmp_path / "o.unfinished.parquet"
    write(path)

    def fail(*args):
        raise OSError(28, "No space left on device")

    folder = folder_of(path, beside)
    with pytest.raises(OSError, match="No space left") as caught, folder.opened(resumed=False) as add:
        add(only(ALL, [row < 5 for row in range(10)]))
        monkeypatch.setattr(parquet_folder, "write_parquet", fail)
        add(only(ALL, [row >= 5 for row in range(10)]))
    assert caught.value.filename == str(path)
    assert capsys.readouterr().err == (
        f"fastmlp: what has been written so far is in {beside}, and --resume goes on with it; {path} is as it was\n"
    )
    monkeypatch.undo()
    same(read(beside), only(ALL, [row < 5 for row in range(10)]))
    assert sorted(os.listdir(beside)) == [MANIFEST, "part-00000000.parquet"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": model_of(factor=2.0)}, "another model has written it"),
        ({"model": model_of(["a", "b", "c", "d"])}, "it must be of the classes"),
        ({"sources": ["others"]}, "it must be of the sources"),
    ],
    ids=["model", "classes", "sources"],
)
def test_a_folder_of_another_run_is_refused(change, why, tmp_path):
    path = tmp_path / "o.parquet"
    write(path)
    before = {name: (path / name).read_bytes() for name in os.listdir(path)}
    with pytest.raises(ValueError, match=f"o.parquet cannot be continued: {why}") as caught:
        list(folder_of(path, **change).read())
    assert "\n" not in str(caught.value)
    assert {name: (path / name).read_bytes() for name in os.listdir(path)} == before


def test_a_source_is_the_same_with_a_slash_behind_it(tmp_path):
    write(tmp_path / "o.parquet")
    assert sum(len(part.paths) for part in folder_of(tmp_path / "o.parquet", sources=["images/"]).read()) == 10


def test_a_part_that_has_changed_is_told_and_one_that_is_gone_is_made_anew(tmp_path):
    path = tmp_path / "o.parquet"
    write(path)
    part = path / "part-00000001.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=r"part-00000001\.parquet must be what _manifest\.json tells; without it, .* anew"):
        read(path)
    part.unlink()
    write(path)
    assert sorted(name for found in read(path) for name in found.paths) == sorted(ALL.paths)


def test_what_is_not_ours_is_neither_written_over_nor_gone_on_with(tmp_path):
    file, other, more = tmp_path / "file.parquet", tmp_path / "other.parquet", tmp_path / "more.parquet"
    file.touch()
    other.mkdir()
    (other / "part-00000000.parquet").write_bytes(b"mine")
    write(more)
    (more / "notes.txt").touch()
    for path, why in (
        (file, "it is there and is not a folder"),
        (other, "is not verdicts as Parquet"),
        (more, "it holds notes.txt"),
    ):
        with pytest.raises(ValueError, match=f"{path.name} cannot be written: .*{why}"):
            check_folder(str(path))
        if path != more:
            with pytest.raises(ValueError, match=f"{path.name} cannot be continued: .*{why}"):
                read(path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*no"):
        check_folder(str(tmp_path / "no" / "o.parquet"))
    (other / "part-00000000.parquet").rename(other / ".fastmlp-1")  # as a kill before the first manifest leaves it
    check_folder(str(other))
    assert read(other) == []
