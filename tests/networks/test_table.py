"""The table of a population: printed, as CSV, and saved."""

import csv
import io
import os

import numpy as np
import pytest
from populations import (
    SIGMOID,
    SOFTMAX,
    mixed,
    network,
    population_of,
)

from fastmlp.networks.population import OPTIONS


def test_the_table_prints_aligned_columns_of_what_differs():
    members = mixed(diverged=(2,))[1:4]
    members.history.loss[:, :] = [[0.25, 0.125, 1, 1], [np.nan] * 4, [1, 1, 1, 1 / 3]]
    members.scores[:] = [1e-9, np.nan, 123456789]
    assert str(members.table).splitlines() == [
        "member  seed        learning_rate  hidden  activation  batch_size      loss  validation_loss  epochs  stopped_by",
        "     0   101                 0.05     6-2   relu-relu         all     0.125            1e-09       2  epochs",
        "     1   102  0.03333333333333333    none        none          32       nan              nan       3  diverged",
        "     2   103                0.025       4        tanh         all  0.333333      1.23457e+08       4  epochs",
    ]
    assert repr(members.table) == str(members.table)


def test_one_member_has_a_row_with_its_seed():
    members = population_of(SOFTMAX, validated=False)
    loss = f"{members.history.loss[0, 0]:.6g}"
    names, row = str(members.table).splitlines()
    assert names.split() == ["member", "seed", "loss", "epochs", "stopped_by"]
    assert row.split() == ["0", "100", loss, "1", "epochs"]


@pytest.mark.parametrize("n", [2, 100])
def test_the_best_rows_of_a_table_keep_its_columns(n):
    members = mixed(diverged=(2,))
    best = members.table.best(n)
    assert best.columns["member"] == [place for place in np.argsort(members.scores).tolist() if place != 2][:n]
    assert str(best).splitlines()[0].split() == str(members.table).splitlines()[0].split()
    assert best.columns.keys() == members.table.columns.keys()


@pytest.mark.parametrize(("count", "more"), [(20, []), (21, ["... and 1 more"]), (300, ["... and 280 more"])])
def test_a_long_table_prints_its_first_rows(count, more):
    lines = str(population_of(*[SIGMOID] * count).table).splitlines()
    assert lines[21:] == more and lines[20].split()[0] == "19"


def test_all_rows_and_options_come_back_from_the_csv():
    members = population_of(*[SOFTMAX, network((3, 8, 5, 3), activation="relu"), network((3, 3))] * 10, diverged=(4,))
    text = members.table.csv()
    names, *rows = csv.reader(io.StringIO(text), strict=True)
    assert names == ["member", *OPTIONS, "loss", "validation_loss", "epochs", "stopped_by"] and len(rows) == 30
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    for name in ("learning_rate", "l2", "momentum"):
        assert list(map(float, columns[name])) == members.options[name]
    assert list(map(int, columns["seed"])) == members.options["seed"]
    assert columns["hidden"] == ["4", "8-5", "none"] * 10 and columns["activation"] == ["tanh", "relu-relu", "none"] * 10
    assert columns["batch_size"] == ["32", "all"] * 15
    last = members.history.loss[np.arange(30), members.history.epochs - 1]
    assert np.array_equal(np.array(columns["loss"], float), last) and last[4] == np.inf
    assert np.array_equal(np.array(columns["validation_loss"], float), members.scores, equal_nan=True)
    assert columns["epochs"] == [str(number) for number in members.history.epochs] and columns["stopped_by"][3:5] == [
        "epochs",
        "diverged",
    ]
    assert members.table.columns["learning_rate"] == members.options["learning_rate"]


def test_the_table_is_saved_or_nothing_is(tmp_path, monkeypatch):
    table, path = mixed().table, tmp_path / "members.csv"
    table.save(path)
    assert path.read_bytes().decode() == table.csv()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        table.save(tmp_path / "no" / "members.csv")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        mixed()[:2].table.save(path)
    assert path.read_bytes().decode() == table.csv() and list(tmp_path.iterdir()) == [path]


def test_only_a_table_is_written_over_by_one(tmp_path):
    path = tmp_path / "members.csv"
    path.write_text("name,address\n")
    with pytest.raises(ValueError, match=r"members\.csv cannot be written: it is there and is not a table of networks"):
        mixed().table.save(path)
    assert path.read_text() == "name,address\n"
    path.write_text("")
    for members in (mixed(), mixed()[:2]):
        members.table.save(path)
        assert path.read_bytes().decode() == members.table.csv()


def fails(*args):
    raise OSError(28, "No space left on device")
