"""Models of tables as records of a model's file: what is expected of one, and the model that it makes."""

from __future__ import annotations

import math
from typing import Any, get_args

from fastmlp import checks
from fastmlp.networks import records
from fastmlp.networks.mlp import MLP
from fastmlp.storage import Expected, Fields, ModelKind, Record, check_fields, check_type
from fastmlp.tables.encoder import ColumnKind, ColumnPlan, Encoder
from fastmlp.tables.table_model import TableModel

RANGE_FIELDS: Fields = {"low": float, "high": float, "indicator": bool}  # of a column of numbers or dates
SCORES = ("accuracy", "most_frequent", "r2", "mae", "mean", "mean_mae")  # that are told
MOST_DAYS = 1e8  # since 1970, or before, of a date that NumPy knows
COLUMN_FIELDS: dict[str, Fields] = {
    "number": RANGE_FIELDS,
    "date": RANGE_FIELDS,
    "category": {"levels": list, "other": bool, "indicator": bool},
    "ignored": {"note": str},
}
OPTIONAL_FIELDS: dict[str, Fields] = {"number": {"fill": float}, "date": {"fill": float}, "category": {"rare": list}}


def _check_measured(made: dict[str, Any]) -> None:
    """Rejects a record of what was measured whose numbers are none; what else is in it is as with others."""
    measured, importance = made.get("validation", {}), made.get("importance", {})
    check_type("validation in its header", measured, dict)
    check_type("importance in its header", importance, dict)
    kinds = {**dict.fromkeys(("rows", "folds"), int), **dict.fromkeys(SCORES, float)}
    for name in measured.keys() & kinds:
        check_type(f"{name} in its header", measured[name], kinds[name])
    for value in importance.values():
        check_type("an importance in its header", value, float)


def _expected(header: dict[str, Any]) -> dict[str, Expected]:
    records.check_made_with(header)
    _check_measured(header.get("made_with", {}))
    for entry in header["columns"]:
        check_type("a column in its header", entry, dict)
        kind = checks.one_of("the kind of a column in its header", entry.get("kind"), get_args(ColumnKind))
        optional = OPTIONAL_FIELDS.get(kind, {})
        check_fields("a column in its header", entry, {"name": str, "kind": str, **COLUMN_FIELDS[kind]}, optional)
        for name, value in entry.items():
            if isinstance(value, float) and not abs(value) < (MOST_DAYS if kind == "date" else math.inf):
                raise ValueError(f"{name} in its header must be finite, and of a date a day that there is; got {value}")
        levels = [*entry.get("levels", []), *entry.get("rare", [])]
        for level in levels:
            check_type("a level in its header", level, str)
        if len(set(levels)) < len(levels):
            raise ValueError("the levels of a column in its header must differ")
    names = [header["target"], *(entry["name"] for entry in header["columns"])]
    if len(set(names)) < len(names):
        raise ValueError("the columns in its header must have different names")
    return records.expected_networks(header)


def _with_tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}


def _of_record(record: Record) -> TableModel:
    header = record.header
    plans = [ColumnPlan(**_with_tuples(entry)) for entry in header["columns"]]
    networks = [MLP(**records.network_arguments(record, index)) for index in range(len(header["networks"]))]
    return TableModel(Encoder(tuple(plans), header["target"], header["impute"]), networks, header.get("made_with", {}))


KIND = ModelKind({"target": str, "impute": bool, "columns": list}, records.MADE_WITH_FIELDS, _expected, _of_record)
