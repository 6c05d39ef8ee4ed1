"""What is written of each epoch, and what is rejected before there is one."""

import csv
import json
import os

import numpy as np
import pytest

import fastmlp

X = np.random.default_rng(0).normal(size=(40, 2))
Y = X[:, 0] > 0
HOW = {"hidden": 3, "epochs": 4, "seed": 0}


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def objects_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("validation", [None, 0.25])
def test_lines_of_one_network(validation, tmp_path):
    logs = fastmlp.log_csv(tmp_path / "e.csv", also=fastmlp.log_json(tmp_path / "e.jsonl"))
    history = fastmlp.train(X, Y, validation=validation, on_epoch=logs, **HOW).history
    rows, objects = rows_of(tmp_path / "e.csv"), objects_of(tmp_path / "e.jsonl")
    assert list(rows[0]) == list(objects[0]) == ["epoch", "seconds", "loss", "validation_loss"]
    assert [int(row["epoch"]) for row in rows] == [line["epoch"] for line in objects] == [0, 1, 2, 3]
    assert [float(row["loss"]) for row in rows] == [line["loss"] for line in objects] == history.loss.tolist()
    measured = [None] * 4 if validation is None else history.validation_loss.tolist()
    assert [float(row["validation_loss"]) if row["validation_loss"] else None for row in rows] == measured
    assert [line["validation_loss"] for line in objects] == measured
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds) and seconds[0] >= 0


def test_lines_of_many_networks_end_as_they_do(tmp_path):
    logs = fastmlp.log_json(tmp_path / "e.jsonl", also=fastmlp.log_csv(tmp_path / "e.csv"))
    history = fastmlp.train_many(X, Y, members=3, validation=0.25, on_epoch=logs, **{**HOW, "epochs": [1, 3, 2]}).history
    rows, objects = rows_of(tmp_path / "e.csv"), objects_of(tmp_path / "e.jsonl")
    assert [(int(row["epoch"]), int(row["member"])) for row in rows] == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    for row in rows:
        place = int(row["member"]), int(row["epoch"])
        assert float(row["loss"]) == history.loss[place] and float(row["validation_loss"]) == history.validation_loss[place]
    for epoch, line in enumerate(objects):
        for name, values in ("loss", history.loss), ("validation_loss", history.validation_loss):
            assert line[name] == [None if np.isnan(value) else value for value in values[:, epoch].tolist()]


def test_training_anew_begins_at_the_first_epoch_again(tmp_path):
    table = {"x": X[:, 0].tolist(), "y": X[:, 1].tolist()}
    fastmlp.train_table(table, "y", on_epoch=fastmlp.log_csv(tmp_path / "e.csv"), **HOW)
    rows = rows_of(tmp_path / "e.csv")
    assert [row["epoch"] for row in rows[:4]] == list("0123") and rows[4]["epoch"] == "0"
    assert rows[3]["validation_loss"] and not rows[4]["validation_loss"]


def test_each_line_is_there_after_its_epoch_and_what_else_is_called_may_end_it(tmp_path):
    path, seen = tmp_path / "e.csv", []

    def also(epoch, *losses):
        seen.append(len(path.read_text().splitlines()))
        return epoch == 2

    assert fastmlp.train(X, Y, on_epoch=fastmlp.log_csv(path, also=also), **HOW).history.stopped_by == "on_epoch"
    assert seen == [2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        fastmlp.train(X, Y, on_epoch=fastmlp.log_csv(tmp_path / "f.csv", also=lambda *_: 1 / 0), **HOW)
    assert len(rows_of(tmp_path / "f.csv")) == 1


@pytest.mark.parametrize("log", [fastmlp.log_csv, fastmlp.log_json])
def test_what_is_there_is_kept_unless_told_and_what_is_no_log_is_kept_in_any_case(log, tmp_path):
    path = tmp_path / "log"
    path.touch()
    fastmlp.train(X, Y, on_epoch=log(path), **HOW)
    first = path.read_text()
    with pytest.raises(FileExistsError, match="it is there already; overwrite=True writes over it"):
        log(path)
    fastmlp.train(X, Y, on_epoch=log(path, overwrite=True), **{**HOW, "epochs": 1})
    assert 0 < len(path.read_text()) < len(first)
    path.write_text("my thesis\n")
    with pytest.raises(ValueError, match="is there and is not a log of epochs as"):
        log(path, overwrite=True)
    assert path.read_text() == "my thesis\n"


def test_wrong_paths_and_options_are_told_before_the_training(tmp_path):
    for error, make in (
        (FileNotFoundError, lambda: fastmlp.log_csv(tmp_path / "none" / "e.csv")),
        (ValueError, lambda: fastmlp.log_csv(tmp_path)),
        (TypeError, lambda: fastmlp.log_json(3)),
        (ValueError, lambda: fastmlp.log_json(tmp_path / "e", also=3)),
    ):
        with pytest.raises(error):
            make()
    fastmlp.log_csv(tmp_path / "e.csv")
    assert not list(tmp_path.iterdir())  # before the first epoch there is nothing to write


def test_a_log_that_can_no_longer_be_written_ends_no_training(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    told = []

    def also(epoch, *losses):
        told.append(epoch)
        if epoch == 1:
            os.remove(folder / "e.csv")
            folder.rmdir()

    with pytest.warns(RuntimeWarning, match=r"e\.csv cannot be written: No such file or directory; the training goes on") as warned:
        history = fastmlp.train(X, Y, on_epoch=fastmlp.log_csv(folder / "e.csv", also=also), **HOW).history
    assert history.epochs == 4 and told == [0, 1, 2, 3]
    assert len(warned) == 1 and warned[0].filename == __file__
