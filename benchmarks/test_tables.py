"""Tables: a file read, trained on for five epochs and scored, beside the training alone on arrays that are there already.

A rival's name tells the bar: the least ratio of its time and ours.
"""

from functools import partial

import numpy as np
import pytest

import fastmlp
from benchmarks.work import Side
from fastmlp.tables import by_arrow
from fastmlp.tables.table_training import table_task

COLUMNS = 20
EPOCHS = 5


@pytest.fixture(scope="module")
def table(request, tmp_path_factory):
    """A CSV file of numbers with a category, and how many rows it has."""
    rows = 2000 if request.config.getoption("--short") else 200_000
    draws = np.random.default_rng(0)
    numbers, kinds = draws.normal(size=(rows, COLUMNS - 2)), draws.choice(list("abcdef"), rows)
    target = numbers[:, 0] * numbers[:, 1] + (kinds == "a")
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    with open(path, "w") as file:
        file.write(",".join([f"x{number}" for number in range(COLUMNS - 2)] + ["kind", "y"]) + "\n")
        for row, kind, y in zip(numbers, kinds, target, strict=True):
            file.write(",".join(f"{value:.6f}" for value in row) + f",{kind},{y:.6f}\n")
    return path, rows


@pytest.mark.parametrize(("reader", "bar"), [("pyarrow", "0.5x"), ("the standard library", "0.17x")])
def test_training_on_a_table(versus, monkeypatch, table, reader, bar):
    path, rows = table
    if reader == "pyarrow":
        pytest.importorskip("pyarrow")
        monkeypatch.setattr(by_arrow, "SMALL", 0)
    else:
        monkeypatch.setattr(by_arrow, "delimited_columns", lambda *text: None)
    how = {"epochs": EPOCHS, "seed": 0, "validation": 0.2}
    whole = partial(fastmlp.train_table, path, "y", refit=False, **how)
    data = table_task(path, "y")
    alone = partial(fastmlp.train, data.X, data.y, patience=EPOCHS, **how)
    assert whole().networks[0].theta.tobytes() == alone().theta.tobytes()
    work = f"{rows} x {COLUMNS} from CSV by {reader}, {EPOCHS} epochs, scored"
    versus(work, Side(whole, rows), {f"the training alone, bar {bar}": lambda: [Side(alone, rows)]}, "row")
