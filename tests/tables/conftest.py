"""Readers of text, and tables, that the tests of tables share."""

import numpy as np
import pytest

from fastmlp.tables import by_arrow, delimited


@pytest.fixture(params=["standard library", "pyarrow"])
def reader(request, monkeypatch):
    """Each of the two ways to read text, however short it is."""
    if request.param == "pyarrow":
        pytest.importorskip("pyarrow")
        monkeypatch.setattr(by_arrow, "SMALL", 0)
    else:
        monkeypatch.setattr(by_arrow, "delimited_columns", lambda *text: None)
    return delimited.read_delimited


@pytest.fixture
def houses():
    """A dict of columns: prices follow from all others but the name."""
    draws = np.random.default_rng(0)
    n = 200
    area, town, heated = (
        draws.uniform(30, 200, n),
        np.array(["Kiel", "Ulm", "Bonn"])[draws.integers(0, 3, n)],
        draws.random(n) < 0.6,
    )
    built = np.datetime64("1990-01-01") + draws.integers(0, 10_000, n)
    price = area * (2 + (town == "Ulm")) + 60 * heated
    return {"name": [f"h{i}" for i in range(n)], "area": area, "town": town, "built": built, "heated": heated, "price": price}


@pytest.fixture
def written(tmp_path):
    """What writes a dict of columns as CSV."""

    def write(columns, path="t.csv", delimiter=","):
        rows = [list(columns), *zip(*columns.values(), strict=True)]
        (tmp_path / path).write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows))
        return tmp_path / path

    return write
