"""TableModel: networks, and what makes their inputs of the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.networks import records
from fastmlp.networks.exported import Exportable, formula_of
from fastmlp.networks.html import html_table
from fastmlp.networks.metrics import Evaluation, listing, short
from fastmlp.networks.mlp import MLP
from fastmlp.storage import Record, write_model
from fastmlp.tables.encoder import Encoder
from fastmlp.tables.importance import evaluation_by, outputs_by
from fastmlp.tables.table_reading import read_table
from fastmlp.tables.target import known_labels, known_quantities, target_column
from fastmlp.writing import StrPath

COLUMNS_SHOWN = 24  # in a notebook


class TableModel(Exportable):
    """Networks that were trained on a table, with what its columns are: `train_table` makes one, `fastmlp.load` reads one.

    Attributes
    ----------
    networks : tuple of MLP
        One, or those of an ensemble, of whose probabilities or outputs the mean is taken. Their inputs are those of the encoder.
    encoder : Encoder
        What the columns are, and how they become inputs; `encoder.inputs` has the names of these.
    target : str
        The name of the column that is predicted.
    classes : (K,) array or None
        The labels of a classifier: booleans, numbers or texts; None for a regressor.
    made_with : dict
        What it was trained with, as that of an MLP; and under "validation" how good it was on rows held out, beside what the most
        frequent class or the mean alone would have been, under "importance" by how much that drops where a column is shuffled.
    """

    def __init__(self, encoder: Encoder, networks: Sequence[MLP], made_with: Mapping[str, Any] | None = None) -> None:
        self.encoder, self.networks, self.made_with = encoder, tuple(networks), dict(made_with or {})
        if not self.networks:
            raise ValueError("networks must hold one at least; got none")
        first, inputs = self.networks[0], len(encoder.inputs)
        for network in self.networks:
            sizes = network.layer_sizes[0], network.layer_sizes[-1]
            if sizes != (inputs, first.layer_sizes[-1] if first.classes is not None else 1):
                raise ValueError(f"networks must have {inputs} inputs, and outputs for one target; got {network}")
            if _labels_of(network) != _labels_of(first):
                raise ValueError("networks must all have the same classes")

    @property
    def target(self) -> str:
        return self.encoder.target

    @property
    def classes(self) -> NDArray[Any] | None:
        return self.networks[0].classes

    def __repr__(self) -> str:
        kind = "regressor" if self.classes is None else f"classifier of {listing(map(short, self.classes.tolist()))}"
        several = f", {len(self.networks)} networks" if len(self.networks) > 1 else ""
        used = listing(map(short, self.encoder.places()))
        return f"<TableModel of {short(self.target)} by {used}: {kind}{several}>"

    def _repr_html_(self) -> str:
        drops = self.made_with.get("importance", {})
        rows = [
            [short(plan.name), plan.kind, plan.described(), f"{drops[plan.name]:.3f}" if plan.name in drops else ""]
            for plan in self.encoder.plans[:COLUMNS_SHOWN]
        ]
        heads = ["column", "kind", "", "importance"] if drops else ["column", "kind", ""]
        more = len(self.encoder.plans) - len(rows)
        found = self.made_with.get("validation", {})
        score = "accuracy" if "accuracy" in found else "r2"
        notes = [f"... and {more} more columns"] if more else []
        notes += [f"{'R2' if score == 'r2' else score} {found[score]:.4g} on rows held out"] if score in found else []
        notes += [repr(network).strip("<>") for network in self.networks[:1]]
        return html_table(heads, [row[: len(heads)] for row in rows], repr(self).strip("<>"), "; ".join(notes))

    def predict_table(self, table: Any, *, delimiter: str | None = None, decimal: str | None = None) -> NDArray[Any]:
        """The class, or the number, that is predicted for each row of a table.

        Parameters
        ----------
        table : path, data frame of pandas, polars or pyarrow, or dict of columns
            As for `train_table`: with all columns that are used, in any order. Others are ignored, those that the model was not
            trained with by a UserWarning; the target may be among them, or not. Levels of a category that are new count as
            others, by a UserWarning, too.
        delimiter, decimal : str, optional
            As for `train_table`.

        Returns
        -------
        (N,) labels, or numbers

        Raises
        ------
        OSError, TypeError
            As `train_table` does.
        ValueError
            If it is no table, lacks a column, or has a cell that is missing or none of the kind of its column.
        """
        outputs = outputs_by(self.networks, self.encoder.encode(read_table(table, delimiter, decimal)))
        return outputs if self.classes is None else self.classes[outputs.argmax(axis=1)]

    def predict_proba(self, table: Any, *, delimiter: str | None = None, decimal: str | None = None) -> NDArray[np.floating]:
        """The probabilities (N, K) of the classes, in their order, for each row of a table: see `predict_table`.

        Raises
        ------
        OSError, TypeError, ValueError
            As `predict_table` does; a ValueError for a regressor.
        """
        if self.classes is None:
            raise ValueError("predict_proba is for classifiers; this is a regressor: use predict_table")
        return outputs_by(self.networks, self.encoder.encode(read_table(table, delimiter, decimal)))

    def evaluate(self, table: Any, *, delimiter: str | None = None, decimal: str | None = None) -> Evaluation:
        """How good the predictions are for the rows of a table that has the target, too: see `predict_table`.

        Raises
        ------
        OSError, TypeError, ValueError
            As `predict_table` does; a ValueError if the target is not there, is missing in a row, or is none of the classes.
        """
        return evaluation_by(self.networks, *self.rows_of(table, delimiter=delimiter, decimal=decimal))

    def rows_of(
        self, table: Any, *, delimiter: str | None = None, decimal: str | None = None
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The inputs (N, D) of the networks for the rows of a table, and what the target is in them (N,): see `evaluate`."""
        raw = read_table(table, delimiter, decimal)
        column = target_column(raw, self.target)
        known = None if self.classes is None else known_labels(raw, self.target, column, self.classes)
        y = known_quantities(raw, self.target, column) if known is None else known
        return self.encoder.encode(raw), y

    def save(self, path: StrPath) -> None:
        """Save to an .npz file, which `fastmlp.load` reads; only a model is written over."""
        write_model(path, self._record())

    def _record(self) -> Record:
        own = {
            "target": self.target,
            "impute": self.encoder.impute,
            "columns": [plan.as_entry() for plan in self.encoder.plans],
            **records.made_with_entry(self),
        }
        return records.of_networks("table-model", self.networks, **own)

    def _typical_rows(self, given: Any, n_in: int) -> Any:
        return super()._typical_rows(given if given is True else self.encoder.encode(read_table(given)), n_in)

    def _formula(self, dtype: Any) -> Any:
        alike = [network.like(np.asarray(network.theta, dtype)) for network in self.networks]
        own, text = [(network, network.theta) for network in alike], f"{repr(self)[1:-1]}; inputs {', '.join(self.encoder.inputs)}"
        return formula_of(own, partial(outputs_by, alike), text=text, classes=self.classes, dtype=alike[0].dtype)


def _labels_of(network: MLP) -> list[Any] | None:
    return None if network.classes is None else network.classes.tolist()
