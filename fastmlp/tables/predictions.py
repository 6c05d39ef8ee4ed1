"""Predictions as rows of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.tables.table_model import TableModel
from fastmlp.writing import FileKind

PREDICTIONS = FileKind("predictions as CSV", (".csv",), rb"prediction\b")
CHUNK = 10_000  # rows of a part


def predictions_as_csv(model: TableModel, table: Any, **reading: Any) -> Iterator[str]:
    """The head and the rows, part by part; the predictions are made at once.

    A row has what is predicted, the class and the probability of each, with six decimals, or the number.
    """
    if model.classes is None:
        return _parts(["prediction"], model.predict_table(table, **reading), None)
    probabilities = model.predict_proba(table, **reading)
    head = ["prediction", *(f"probability_{label}" for label in model.classes.tolist())]
    return _parts(head, model.classes[probabilities.argmax(axis=1)], probabilities)


def _parts(head: list[str], predicted: NDArray[Any], probabilities: NDArray[np.floating] | None) -> Iterator[str]:
    yield _text([head])
    for first in range(0, len(predicted), CHUNK):
        part = slice(first, first + CHUNK)
        columns = [[str(value) for value in predicted[part]]]
        if probabilities is not None:
            columns += [[f"{value:.6f}" for value in column] for column in probabilities[part].T.tolist()]
        yield _text(zip(*columns, strict=True))


def _text(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
