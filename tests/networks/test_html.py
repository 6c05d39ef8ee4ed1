"""What notebooks show of models, evaluations and tables."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import fastmlp
from fastmlp.networks.html import html_table

X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.where(X[:, 0] > 0, "<b>&amp;", "o'")


def cells(html):
    """The texts of a page's cells; it must be well-formed."""
    page = ElementTree.fromstring(f"<div>{html}</div>")
    return [[cell.text for cell in row] for row in page.iter("tr")]


def test_texts_are_shown_as_they_are():
    assert cells(html_table(["<a>", "b"], [["&", "'\""], ["", "1 < 2"]], "<c>", "&d")) == [
        ["<a>", "b"],
        ["&", "'\""],
        [None, "1 < 2"],
    ]


def test_models_and_evaluations():
    model = fastmlp.train(X, Y, hidden=(4, 3), epochs=2, seed=0)
    assert cells(model._repr_html_())[1:] == [
        ["1", "2 to 4", "relu", "12"], ["2", "4 to 3", "relu", "15"], ["3", "3 to 1", "sigmoid", "4"],
    ]  # fmt: skip
    assert "MLP 2-4-3-1 classifier of 2" in model._repr_html_() and "2 epochs" in model._repr_html_()
    evaluation = model.evaluate(X, Y)
    header, *rows = cells(evaluation._repr_html_())
    assert header[0] == "class" and [row[0] for row in rows] == sorted(set(Y.tolist()))
    assert [int(row[-1]) for row in rows] == evaluation.support.tolist()
    regressor = fastmlp.train(X, X[:, 0], hidden=2, epochs=1, seed=0)
    assert "R2" in regressor.evaluate(X, X[:, 0])._repr_html_()
    for shown in (model, evaluation, regressor):
        assert not re.search("color|background", shown._repr_html_())  # so that dark and light ground will do


def test_populations_and_tables():
    population = fastmlp.train_many(X, Y, members=25, hidden=3, epochs=1, seed=0)
    header, *rows = cells(population.table._repr_html_())
    assert header == ["member", "seed", "loss", "epochs", "stopped_by"] and len(rows) == 20
    assert "... and 5 more" in population.table._repr_html_()
    assert len(cells(population._repr_html_())) == 1 + 5 and "Population of 25" in population._repr_html_()


def test_a_table_is_read_by_rows_and_columns():
    table = fastmlp.train_many(X, Y, learning_rate=[0.1, 0.2], hidden=[2, (3, 4)], epochs=1, seed=0).table
    assert len(table) == 2 and table["learning_rate"] == [0.1, 0.2]
    assert [row["hidden"] for row in table] == [(2,), (3, 4)] and list(next(iter(table))) == list(table.columns)
    with pytest.raises(ValueError, match="did you mean 'hidden'"):
        table["hiden"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_becomes_a_data_frame(library):
    pytest.importorskip(library)
    table = fastmlp.train_many(X, Y, learning_rate=[0.1, 0.2], batch_size=[None, 8], epochs=1, hidden=3, seed=0).table
    frame = getattr(table, f"to_{library}")()
    assert list(frame.columns) == list(table.columns) and frame["learning_rate"].to_list() == [0.1, 0.2]
    assert frame.shape == (2, len(table.columns))
