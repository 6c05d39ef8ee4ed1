"""A model's file as JSON: the same header and arrays as in the .npz of storage.py, for programs that read text.

One object, with the fields of the header,

    format, version     "fastmlp", and a number that grows where older readers could not read the file
    kind                "mlp", "population" or "image-classifier"
    networks            a list: of each network, or of each architecture of a population, its layer_sizes, activations, output,
                        loss_name, bias, dtype, whether it has classes, its feature_names, and how it was trained

and what networks/records.py and networks/population_records.py tell of a kind; and

    arrays              an object: for each name {"dtype": "float64", "values": [...]}

where theta_i has the parameters of network i: W0, b0, W1, b1, ..., each W row by row, (n_in, n_out); biases are missing where bias
is false; of a population those of one member after the other. classes_i has its labels, in the order of its outputs. Numbers read
back as exactly what they were; those that JSON does not know are the strings "nan", "inf" and "-inf". Strings of bytes have a
character for each byte. In made_with, which only tells how a model was made, a number that JSON does not know is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.interrupts import noted
from fastmlp.storage import FORMAT, VERSION, Expected, Fields, ModelKind, Record, check_fields, kind_of
from fastmlp.writing import FileKind, StrPath, replacing

JSON = FileKind("a fastmlp model as JSON", (".json",), rb'\{\n"format": "fastmlp",')
ARRAY_FIELDS: Fields = {"dtype": str, "values": list}
NUMBERS = {dtype.name: dtype for dtype in map(np.dtype, "?bhilBHILefd")}
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
TYPES = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float, str), "U": (str,), "S": (str,)}  # of values, by kind of dtype


@noted()
def write_json(path: StrPath, record: Record) -> None:
    """Write a record; what stands at `path` is replaced at the end, or not at all. Errors are those of `storage.write_model`."""
    header = {"format": FORMAT, "version": VERSION, **_known(record.header)}
    lines = [f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in header.items()]
    arrays = [f"{json.dumps(name)}: {json.dumps(_written(array), allow_nan=False)}" for name, array in record.arrays.items()]
    lines.append('"arrays": {\n' + ",\n".join(arrays) + "\n}")
    with replacing(path, JSON, "w", encoding="ascii", newline="\n") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def read_json(file: IO[bytes], kinds: Mapping[str, ModelKind]) -> tuple[Record, ModelKind]:
    """The record in a file that `write_json` wrote, as a reader of `storage.read_model`."""
    try:
        header = json.loads(file.read(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("it cannot be read as JSON") from None
    arrays = header.pop("arrays", None) if isinstance(header, dict) else None
    kind = kind_of(header, kinds)
    expected = kind.expected(header)
    if not isinstance(arrays, dict) or arrays.keys() != expected.keys():
        raise ValueError("its arrays are not those that its header declares")
    return Record(header, {name: _read(name, arrays[name], expected[name]) for name in expected}, file.name), kind


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _known(value: Any) -> Any:
    """The value, with null for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _known(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(array: NDArray[Any]) -> dict[str, Any]:
    kind, values = array.dtype.kind, array.tolist()
    if kind == "f":
        values = [value if math.isfinite(value) else str(value) for value in values]
    elif kind == "S":
        values = [value.decode("latin1") for value in values]
    return {"dtype": {"U": "str", "S": "bytes"}.get(kind) or array.dtype.name, "values": values}


def _read(name: str, entry: Any, expected: Expected) -> NDArray[Any]:
    check_fields(f"the array {name}", entry, ARRAY_FIELDS)
    named, values = entry["dtype"], entry["values"]
    if named not in ("str", "bytes", *NUMBERS):
        raise ValueError(f"the array {name} has an unknown dtype, {checks.shown(named)}")
    if expected.dtype is not None and named != expected.dtype.name:
        raise ValueError(f"{name} has values of dtype {named}, not of {expected.dtype}")
    if expected.length not in (None, len(values)):
        raise ValueError(f"{name} has {len(values)} values; its header declares {checks.shown(expected.length)}")
    kind = {"str": "U", "bytes": "S"}.get(named) or NUMBERS[named].kind
    if not all(type(value) in TYPES[kind] for value in values):
        raise ValueError(f"{name} has a value that is none of {named}")
    if kind in "US":
        return np.array([value.encode("latin1") for value in values] if kind == "S" else values, kind if values else f"{kind}1")
    return _floats(name, values, NUMBERS[named]) if kind == "f" else np.array(values, NUMBERS[named])


def _floats(name: str, values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    known = np.array([NOT_FINITE[value] if isinstance(value, str) else value for value in values], np.float64)
    with np.errstate(over="ignore"):
        array = known.astype(dtype)
    if np.isfinite(array).sum() != sum(not isinstance(value, str) for value in values):
        raise ValueError(f"{name} has a value that no {dtype} has")
    return array
