"""What models are written as for other programs: a table, by the ending of the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastmlp import checks
from fastmlp.formats.c_source import write_c
from fastmlp.formats.fixed_point import Deviation, TypicalRows
from fastmlp.formats.fixed_source import write_fixed
from fastmlp.formats.formula import Formula
from fastmlp.formats.json_record import write_json
from fastmlp.formats.onnx_graph import write_onnx
from fastmlp.formats.python_source import write_python
from fastmlp.formats.safetensors_file import write_safetensors
from fastmlp.storage import Record
from fastmlp.writing import StrPath


class FormatRow(NamedTuple):
    """What there is to know of a format."""

    ending: str
    text: str
    write: Callable[[StrPath, Formula], None] | None  # None where it is a record that is written


TABLE = (
    FormatRow(".c", "a C99 file, with a header beside it", write_c),
    FormatRow(".json", "all that the model file has, as JSON", None),
    FormatRow(".onnx", "a graph of ONNX", write_onnx),
    FormatRow(".py", "a module that needs NumPy alone", write_python),
    FormatRow(".safetensors", "the weights and biases alone", write_safetensors),
)
FORMATS = {row.ending: row for row in TABLE}


def format_of(path: StrPath) -> FormatRow:
    """The format that a file's name asks for."""
    ending = os.path.splitext(os.fspath(checks.path("path", path)))[1]
    if ending.lower() not in FORMATS:
        name = checks.shown(os.path.basename(os.fspath(path)))
        raise ValueError(f"path must end in {', '.join(FORMATS)}, which say what is written; got {name}")
    return FORMATS[ending.lower()]


def write_as(path: StrPath, formula: Callable[[Any], Formula], record: Callable[[], Record], dtype: Any) -> None:
    """Writes what a model computes, in its own numbers or in those of a dtype, or all of it; see `Exportable.export`."""
    row, kind = format_of(path), checks.dtype(dtype)
    if row.write is None:
        if kind is not None:
            raise ValueError(f"dtype cannot be said of {row.ending}, which holds the model as it is")
        write_json(path, record())
        return
    row.write(path, _finite(formula, kind))


def write_as_fixed(path: StrPath, formula: Callable[[Any], Formula], rows: Callable[[int], TypicalRows], dtype: Any) -> Deviation:
    """The same in whole numbers, with room for typical rows; what it is off by."""
    row = format_of(path)
    if row.ending != ".c":
        raise ValueError(f"fixed_point is for .c; got {checks.shown(os.path.basename(os.fspath(path)))}")
    if dtype is not None:
        raise ValueError("dtype cannot be said with fixed_point, which has neither float nor double")
    made = _finite(formula, None)
    return write_fixed(path, made, rows(made.n_in))


def _finite(formula: Callable[[Any], Formula], dtype: Any) -> Formula:
    with np.errstate(over="ignore"):  # what overflows float32 is found
        made = formula(dtype)
    for layer in (layer for network in made.networks for layer in network):
        if not np.isfinite(layer.weights).all() or not (layer.biases is None or np.isfinite(layer.biases).all()):
            raise ValueError(f"the model cannot be exported: a parameter is not finite as {made.dtype}")
    return made
