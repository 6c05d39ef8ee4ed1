"""A model's file: a header and arrays as one .npz, written so that any NumPy program can look into it, and read without trusting a
byte of it.

The file is the zip archive that numpy.savez writes, uncompressed. Its array `header` is UTF-8 JSON as uint8, an object with

    format, version     "fastmlp", and a number that grows where older readers could not read the file
    kind                which kind of model it is
    networks            a list of what the arrays mean whose names end in _0, _1, ...

and what the kind has beside. All other arrays are 1-D, of numbers or of strings. What they are called and how long they are follows
from the header, and is said by the kind: see networks/records.py.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from fastmlp import checks
from fastmlp.interrupts import noted
from fastmlp.writing import FileKind, StrPath, naming, replacing

FORMAT = "fastmlp"
VERSION = 2  # 1 knew nothing of made_with, state and feature_names, and had another extractor by the name of ink
HEADER_LIMIT = 1 << 24  # bytes; some twenty thousand networks
NPY_HEADER_LIMIT = 1 << 10  # bytes; that of a 1-D array has 128
# What stands before the values of an array of numbers or strings, in the npy format's versions 1 to 3: the version, the length of
# what follows, and a dictionary as Python writes it.
NPY_HEADER = re.compile(
    rb"\x93NUMPY(?:\x01\x00(?P<short>..)|[\x02\x03]\x00(?P<long>....))"
    rb"(?P<text>\{'descr': '(?P<dtype>[<>|][biufSU][1-9][0-9]{0,6})', 'fortran_order': (?:False|True), "
    rb"'shape': \((?P<shape>[0-9, ]{0,99})\), \} *\n)",
    re.DOTALL,
)
LARGEST = {"U": 0x10FFFF, "b": 1}  # of the characters of a string, and of the byte of a boolean
LONGEST_REASON = 300  # characters of a message, which may quote a name from the file
DEEPEST = 16  # lists and objects within each other, in what a model was made with
MODEL = FileKind("a fastmlp model", (".npz",), rb'PK\x03\x04.{26}header\.npy.*"format": "fastmlp"')
Fields = Mapping[str, type]  # names of fields, each with the type that it must have
ALL_FIELDS: Fields = {"format": str, "version": int, "kind": str, "networks": list}
NO_FIELDS: Fields = {}

# What zipfile raises over a damaged file, beside an OSError for a place that no file has.
DAMAGE = (ValueError, RuntimeError, LookupError, EOFError, OverflowError, struct.error, zipfile.BadZipFile)


class Record(NamedTuple):
    """What stands in a file."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]
    path: str = ""  # where it was read


class Expected(NamedTuple):
    """What the header says of a 1-D array; None where it is for the array to say."""

    dtype: np.dtype | None
    length: int | None


class ModelKind(NamedTuple):
    """How one kind of model is read. What does not fit is a ValueError, which tells why."""

    fields: Fields  # of the header, beside those of every file
    optional: Fields
    expected: Callable[[dict[str, Any]], dict[str, Expected]]  # the arrays, from the header
    make: Callable[[Record], Any]  # the model, once the arrays are as expected


Reader = Callable[[IO[bytes], Mapping[str, ModelKind]], tuple[Record, ModelKind]]


@noted()  # as for read_model
def write_model(path: StrPath, record: Record) -> None:
    """Write a record to one .npz file; what stands at `path` is replaced at the end, or not at all. Equal records give equal bytes.

    Raises
    ------
    ValueError
        `path` is there and is no model, or the header is too long.
    OSError
        The file cannot be written.
    """
    header = json.dumps({"format": FORMAT, "version": VERSION, **record.header}).encode()
    if len(header) > HEADER_LIMIT - NPY_HEADER_LIMIT:
        count = len(record.header["networks"])
        raise ValueError(f"the model cannot be saved: its {count} architectures are too many for one file")
    arrays = {"header": np.frombuffer(header, np.uint8), **record.arrays}
    with replacing(path, MODEL) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


@noted()  # as the ZipFile goes within it, in whose __del__ Ctrl-C would be lost
def read_model(path: StrPath, kinds: Mapping[str, ModelKind], reader: Reader | None = None) -> Any:
    """The model in a file that `write_model` wrote, or that another reader reads, of one of these kinds; errors are as
    `fastmlp.load` has them."""
    path = checks.path("path", path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its writer
        raise ValueError(f"{os.fspath(path)} cannot be read as a fastmlp model: it is not a regular file")
    with naming(path), open(path, "rb") as file:
        try:
            record, kind = (reader or _read_record)(file, kinds)
            return kind.make(record)
        except (*DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of the disk, say, and not of what is on it
                raise
            reason = str(error) if type(error) is ValueError else "it is damaged, or something else than a model"
            reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."
            raise ValueError(f"{os.fspath(path)} cannot be read as a fastmlp model: {reason}") from error


def _read_record(file: IO[bytes], kinds: Mapping[str, ModelKind]) -> tuple[Record, ModelKind]:
    with zipfile.ZipFile(file) as archive:
        _check_archive(archive, os.fstat(file.fileno()).st_size)
        header = _read_header(archive)
        kind = kind_of(header, kinds)
        expected = kind.expected(header)
        if sorted(archive.namelist()) != sorted(["header.npy", *(f"{name}.npy" for name in expected)]):
            raise ValueError("its arrays are not those that its header declares")
        arrays = {name: _read_array(archive, name, what) for name, what in expected.items()}
    return Record(header, arrays, file.name), kind


def kind_of(header: Any, kinds: Mapping[str, ModelKind]) -> ModelKind:
    """The kind that a header declares, which has the fields of that kind."""
    if not isinstance(header, dict) or header.get("format") != FORMAT or type(header.get("version")) is not int:
        raise ValueError("its header is not that of a model")
    if header["version"] > VERSION:
        newer = f"format {checks.shown(header['version'])}; this one reads up to {VERSION}"
        raise ValueError(f"it was written by a newer fastmlp ({newer})")
    if header.get("kind") not in list(kinds) or header["version"] < 1:  # a list, since not all that JSON can say has a hash
        said = f"{checks.shown(header.get('kind'))}, {checks.shown(header['version'])}"
        raise ValueError(f"its header declares an unknown kind or version: {said}")
    kind = kinds[header["kind"]]
    check_fields("its header", header, {**ALL_FIELDS, **kind.fields}, kind.optional)
    return kind


def _check_archive(archive: zipfile.ZipFile, file_size: int) -> None:
    """Uncompressed members that fit into the file: whatever is read from it, it is never more than was stored."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it has a compressed member")
    if sum(max(member.file_size, member.compress_size) for member in members) > file_size:
        raise ValueError("its members claim more bytes than the file has")


def _read_header(archive: zipfile.ZipFile) -> Any:
    if archive.getinfo("header.npy").file_size > HEADER_LIMIT:
        raise ValueError("its header is too large")
    text = _read_array(archive, "header", Expected(np.dtype(np.uint8), None)).tobytes()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its header cannot be read as JSON") from None


def _read_array(archive: zipfile.ZipFile, name: str, expected: Expected) -> np.ndarray:
    dtype, length = expected
    member = archive.getinfo(f"{name}.npy")
    declared = "it must be 1-D" if length is None else f"its header declares {checks.shown(length)} values"
    if dtype is not None and length is not None:
        excess = member.file_size - length * dtype.itemsize
        if not 0 < excess <= NPY_HEADER_LIMIT:
            raise ValueError(f"{name} has {member.file_size} bytes; {declared}")
    data = archive.read(member)  # whole, so that its checksum is known to be right before anything is parsed
    start, stored, shape = _npy_header(name, data)
    native = stored.newbyteorder("=")
    if dtype is not None and native != dtype:
        raise ValueError(f"{name} has values of dtype {native}, not of {dtype}")
    if len(shape) != 1 or length not in (None, shape[0]):
        raise ValueError(f"{name} has shape {shape}; {declared}")
    if shape[0] * stored.itemsize != len(data) - start:
        raise ValueError(f"{name} is not of the size that it declares")
    array = np.frombuffer(data, stored, offset=start).astype(native)
    if native.kind in LARGEST and array.view(f"u{4 if native.kind == 'U' else 1}").max(initial=0) > LARGEST[native.kind]:
        raise ValueError(f"{name} has a value that no {native} has")
    return array


def _npy_header(name: str, data: bytes) -> tuple[int, np.dtype, tuple[int, ...]]:
    """Where the values begin, what they are, and how many. NumPy's own reader would parse the dictionary as Python, by rules that
    change, and with errors of many a kind."""
    found = NPY_HEADER.match(data, 0, NPY_HEADER_LIMIT)
    if not found or int.from_bytes(found["short"] or found["long"], "little") != len(found["text"]):
        raise ValueError(f"{name} is not an array of numbers or strings in the npy format")
    try:
        dtype = np.dtype(found["dtype"].decode())
    except (TypeError, ValueError):
        raise ValueError(f"{name} has a dtype that there is not") from None
    return found.end(), dtype, tuple(map(int, re.findall(rb"[0-9]+", found["shape"])))


def check_fields(what: str, record: Any, fields: Fields, optional: Fields = NO_FIELDS) -> None:
    """Rejects a record of the header that has not these fields, or has one of another type."""
    if not isinstance(record, dict) or record.keys() - optional.keys() != fields.keys():
        raise ValueError(f"{what} must have the fields {', '.join(fields)}")
    for name, value in record.items():
        check_type(f"{name} in its header", value, {**fields, **optional}[name])


def check_type(what: str, value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise ValueError(f"{what} must be of type {kind.__name__}; got {type(value).__name__}")


def check_finite(name: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a value that is not finite")


def check_nesting(what: str, value: Any, levels: int = DEEPEST) -> None:
    """Rejects what is nested deeper than whoever shows or copies it by calls within calls can go."""
    if isinstance(value, dict | list):
        if not levels:
            raise ValueError(f"{what} must be nested {DEEPEST} levels deep at most")
        for part in value.values() if isinstance(value, dict) else value:
            check_nesting(what, part, levels - 1)
