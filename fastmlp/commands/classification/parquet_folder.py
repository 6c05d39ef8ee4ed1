"""Verdicts as Parquet: a folder with a part for each hundred thousand rows, and a manifest, which readers pass over.

A part is written under a name that begins with a dot, and comes to its place when it is whole; then the manifest, written anew,
names it. So whatever ends a run, the rows of the parts in the manifest are done, and others are not: what is not named is removed
by the run that goes on, and its rows are made anew. At no time does a reader of the folder see a row twice.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from fastmlp import interrupts
from fastmlp.checks import shown
from fastmlp.commands.classification.resuming import settled
from fastmlp.commands.classification.rows import as_written, read_again
from fastmlp.commands.console import say
from fastmlp.images.arrow_rows import arrow_table, read_parquet, score_columns, write_parquet
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.classifier_records import model_digest
from fastmlp.images.sources.urls import without_secrets
from fastmlp.images.verdicts import Verdicts
from fastmlp.writing import naming, replace

MANIFEST, VERSION = "_manifest.json", 1
PART = re.compile(r"part-(\d{8})\.parquet")
HIDDEN = ".fastmlp-"  # what names begin with that are not in their places yet
PART_ROWS, PART_BYTES, PART_SECONDS = 100_000, 1 << 27, 60.0  # a part is full when it has so many, or after so long
KIND = "verdicts as Parquet"


class _Part(NamedTuple):
    """What the manifest says of a part."""

    name: str
    rows: int
    bytes: int
    crc32: int


class ParquetFolder:
    """A folder of parts, to which rows are added.

    Parameters
    ----------
    path : str
        Where it is in the end.
    beside : str or None
        Where it is until then, if not there.
    model, model_path, sources
        What the manifest tells of the run, which one that goes on must have alike.
    """

    def __init__(self, path: str, beside: str | None, model: ImageClassifier, model_path: str, sources: list[str]) -> None:
        self.path, self.beside, self._place = path, beside, beside or path
        self._classes = model.classes
        self._dtype = np.result_type(*(network.dtype for network in model.networks))
        self._run = {
            "model": model_path,
            "model_digest": model_digest(model),
            "sources": [without_secrets(source).rstrip("/") or source for source in sources],
            "classes": self._classes,
            "columns": ["path", "label", *score_columns(self._classes), "status", "error"],
        }
        self._parts: list[_Part] = []
        self._tables: list[Any] = []
        self._rows, self._bytes, self._full_at = 0, 0, 0.0  # of these tables, and when they become a part in any case

    @property
    def has_rows(self) -> bool:
        """Whether there are rows of an earlier run, once these have been read."""
        return bool(self._parts)

    @property
    def older(self) -> str:
        """What an earlier run has left."""
        return self._place

    def read(self) -> Iterator[Verdicts]:
        """The rows of an earlier run, part by part; a ValueError if they are not of such a run."""
        self._parts = []
        if not os.path.exists(self._place) or not _in_use(self._place, "continued"):
            return
        manifest = _manifest_of(self._place) or {}
        for name, what in (("classes", "the classes"), ("sources", "the sources")):
            if manifest.get(name) != self._run[name]:
                expected, found = shown(self._run[name]), shown(manifest.get(name))
                raise ValueError(f"{self._place} cannot be continued: it must be of {what} {expected}; it is of {found}")
        if manifest.get("model_digest") != self._run["model_digest"]:
            raise ValueError(f"{self._place} cannot be continued: another model has written it")
        for entry in manifest["parts"]:
            part = _Part(**entry)
            try:
                verdicts = self._verdicts_in(part)
            except FileNotFoundError:  # its rows are made anew
                continue
            self._parts.append(part)
            yield verdicts._replace(scores=as_written(verdicts.scores))

    def _verdicts_in(self, part: _Part) -> Verdicts:
        with open(path := os.path.join(self._place, part.name), "rb") as file:
            data = file.read()
        try:
            if len(data) != part.bytes or crc32(data) != part.crc32:
                raise ValueError
            return read_again(read_parquet(data, self._classes), self._classes)
        except (ValueError, TypeError, LookupError, OSError):  # as errors of pyarrow are
            raise ValueError(
                f"{self._place} cannot be continued: {path} must be what {MANIFEST} tells; without it, its rows are made anew"
            ) from None

    def take_out(self, retry_failed: bool) -> None:
        """Leave only settled rows. A part is not in the manifest while it is replaced by one without the others."""
        with interrupts.noted(), naming(self._place):
            done, rest = list[_Part](), list(self._parts)
            while rest:
                part = rest.pop(0)
                verdicts = self._verdicts_in(part)
                left = settled(verdicts, retry_failed)
                if len(left.paths) == len(verdicts.paths):
                    done.append(part)
                    continue
                self._write_manifest([*done, *rest])
                if left.paths:
                    done.append(self._write_part(part.name, [self._table(left)]))
                else:
                    os.remove(os.path.join(self._place, part.name))
                self._parts = [*done, *rest]
                self._write_manifest(self._parts)

    @contextmanager
    def opened(self, resumed: bool) -> Iterator[Callable[[Verdicts], bool]]:
        """What adds rows, as of a RowFile. At the end those left become a part, and what is beside its place is moved there."""
        try:
            with naming(self.path, self.beside):
                self._begin(resumed)
                try:
                    yield self._add
                finally:
                    self._end_part()
                if self.beside:
                    _replace_folder(self.beside, self.path)
        except BaseException as error:
            if self.beside and os.path.isdir(self.beside) and not isinstance(error, FileExistsError):
                older = f"; {self.path} is as it was" if os.path.exists(self.path) else ""
                say(f"what has been written so far is in {self.beside}, and --resume goes on with it{older}")
            raise

    def _begin(self, resumed: bool) -> None:
        if not os.path.isdir(self._place) or (self.beside and not resumed):
            os.mkdir(os.path.realpath(self._place))
            if self.beside and os.path.isdir(self.path):
                shutil.copymode(self.path, self.beside)
        named = {part.name for part in self._parts}
        for name in os.listdir(self._place):
            if name not in named and (PART.fullmatch(name) or name.startswith(HIDDEN)):
                os.remove(os.path.join(self._place, name))
        self._write_manifest(self._parts)
        self._full_at = time.monotonic() + PART_SECONDS

    def _table(self, verdicts: Verdicts) -> Any:
        return arrow_table(verdicts, self._classes, self._dtype)

    def _add(self, verdicts: Verdicts) -> bool:
        if verdicts.paths:
            self._tables.append(table := self._table(verdicts))
            self._rows, self._bytes = self._rows + len(table), self._bytes + table.nbytes
        if self._rows >= PART_ROWS or self._bytes >= PART_BYTES or time.monotonic() >= self._full_at:
            self._end_part()
        return False

    def _end_part(self) -> None:
        """Write the rows that have come; whatever comes of that, they are not written again."""
        tables, self._tables, self._rows, self._bytes = self._tables, [], 0, 0
        self._full_at = time.monotonic() + PART_SECONDS
        if tables:
            number = int(self._parts[-1].name[5:13]) + 1 if self._parts else 0
            with interrupts.noted():
                part = self._write_part(f"part-{number:08}.parquet", tables)
                self._write_manifest([*self._parts, part])
                self._parts.append(part)

    def _write_part(self, name: str, tables: list[Any]) -> _Part:
        with _whole(os.path.join(self._place, name)) as beside:
            with open(beside, "xb") as file:
                rows = write_parquet(file, tables)
                file.flush()
                os.fsync(file.fileno())
            with open(beside, "rb") as file:
                data = file.read()
        return _Part(name, rows, len(data), crc32(data))

    def _write_manifest(self, parts: list[_Part]) -> None:
        told = {"fastmlp classify": VERSION, **self._run, "rows": sum(part.rows for part in parts)}
        lines = ",\n".join(f"  {json.dumps(part._asdict())}" for part in parts)
        text = json.dumps(told, indent=1)[:-2] + f',\n "parts": [\n{lines}\n ]\n}}\n'
        with _whole(os.path.join(self._place, MANIFEST)) as beside, open(beside, "x", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def check_folder(path: str) -> None:
    """Raise the OSError or ValueError that writing such a folder at `path` would end in, as far as can be told beforehand."""
    above = os.path.dirname(os.path.realpath(path))
    if os.path.exists(path):
        if _in_use(path, "written") and (others := sorted(name for name in os.listdir(path) if not _is_own(name))):
            raise ValueError(f"{path} cannot be written: it holds {others[0]}, which is none of {KIND}")
    elif not os.path.isdir(above):
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {above}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write in {above}")


def holds_verdicts(path: str) -> bool:
    """Whether there is something at a path, but an empty folder."""
    return os.path.lexists(path) and not (os.path.isdir(path) and all(name.startswith(HIDDEN) for name in os.listdir(path)))


def _in_use(path: str, done: str) -> bool:
    """Whether a folder has a manifest of ours; a ValueError if it has none and is not empty, or is something else."""
    if not os.path.isdir(path):
        raise ValueError(f"{path} cannot be {done}: it is there and is not a folder")
    if holds_verdicts(path) and _manifest_of(path) is None:
        raise ValueError(f"{path} cannot be {done}: it is there and is not {KIND}")
    return holds_verdicts(path)


def _manifest_of(folder: str) -> dict[str, Any] | None:
    """What a manifest tells; None if it is not there, or is something else."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        with open(os.path.join(folder, MANIFEST), encoding="ascii") as file:
            manifest = json.load(file)
        parts = manifest.get("parts") if isinstance(manifest, dict) and manifest.get("fastmlp classify") == VERSION else None
        if isinstance(parts, list) and all(isinstance(part, dict) and part.keys() == {*_Part._fields} for part in parts):
            return manifest if all(PART.fullmatch(str(part["name"])) for part in parts) else None
    return None


def _is_own(name: str) -> bool:
    return name == MANIFEST or name.startswith(HIDDEN) or PART.fullmatch(name) is not None


@contextmanager
def _whole(path: str) -> Iterator[str]:
    """The name of a file beside `path`, which is moved there at the end; after a failure it is gone."""
    beside = os.path.join(os.path.dirname(path), f"{HIDDEN}{secrets.token_hex(8)}")
    try:
        yield beside
        replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.remove(beside)
        raise


def _replace_folder(beside: str, path: str) -> None:
    """Move a folder to where an older one may be, which is removed. Where a kill comes between, --resume moves it."""
    place = os.path.realpath(path)
    older = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.older")
    with interrupts.noted():
        _remove(older)
        if os.path.isdir(place):
            os.rename(place, older)
        try:
            replace(beside, path)
        except BaseException:
            if os.path.isdir(older):
                os.rename(older, place)
            raise
        _remove(older)


def _remove(folder: str) -> None:
    """Remove a folder of ours, its manifest last."""
    if _manifest_of(folder) is not None:
        for name in sorted(filter(_is_own, os.listdir(folder)), key=MANIFEST.__eq__):
            os.remove(os.path.join(folder, name))
        os.rmdir(folder)
