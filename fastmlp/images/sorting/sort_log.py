"""The log of sorting: what is to be done, before it is begun, and what came of it. A killed run leaves it whole but for its end.

It is JSON lines. The first one tells the options. Then come, again and again, where some files are to go; the copies of them, where
there are any, when these are whole but not in their places yet; and that it is done. Paths are within the source, the folder of
the classes or that of the unsure. Before a folder is made, a line tells so.

    {"from": "a/1.png", "to": "circle/a/1.png"}             or "unsure" instead of "to"; of what is moved, "file" tells who it is
    {"made": "circle/a"}
    {"copied": {"0": [inode, size, time of change], ...}}   by their places among the lines above
    {"done": 3, "elsewhere": {"1": "line/b-2.png"}, "failed": {"2": "b.png cannot be copied: ..."}}
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from json.encoder import encode_basestring_ascii as quoted_text
from typing import Any, NamedTuple

from fastmlp.checks import shown
from fastmlp.writing import naming

VERSION = 1
LOG_NAME = re.compile(r"sort-log(-\d+)?\.jsonl")


class Identity(NamedTuple):
    """By what a file is known again."""

    inode: int
    size: int
    changed: int
    """In nanoseconds."""


class Action(NamedTuple):
    """That a file is to come to a place, or is there."""

    path: str
    """Within the source."""
    target: str
    """Within the folder of the classes, or that of the unsure."""
    unsure: bool
    file: Identity | None = None
    """That of what is to be moved; of a copy that is in its place, its own."""


class NotPlaced(NamedTuple):
    """Why nothing came of an action."""

    why: str


Outcome = str | NotPlaced  # of an action: where the file is now


class LogContents(NamedTuple):
    """What stands in a log."""

    header: dict[str, Any]
    placed: list[Action]
    pending: list[Action]
    """Those that were begun, of which nobody knows whether they are done."""
    copied: dict[int, Identity]
    """Of these the copies that are whole, by their places."""
    made: list[tuple[str, bool]]
    """Folders, and whether they are within that of the unsure."""
    undone: bool
    """Whether it is being reversed."""
    end: int
    """Bytes up to the end of the last whole line."""


def log_path(folder: str, number: int = 1) -> str:
    return os.path.join(folder, f"sort-log{f'-{number}' if number > 1 else ''}.jsonl")


def header_of(path: str) -> dict[str, Any] | None:
    """The first line of a log; None if the file is something else."""
    with naming(path), open(path, "rb") as file:
        line = file.readline(1 << 16)
    with suppress(ValueError, RecursionError):
        header = json.loads(line)
        if line.endswith(b"\n") and isinstance(header, dict) and "fastmlp sort" in header:
            return header
    return None


def log_for(folder: str, source: str) -> tuple[str, dict[str, Any] | None]:
    """The log of a source in the folder of the classes, and its header; or the name of a new one, if there is none."""
    for number in count(1):
        path = log_path(folder, number)
        if not os.path.lexists(path) or (os.path.isfile(path) and not os.path.getsize(path)):
            break
        if os.path.isfile(path) and (header := header_of(path)) and header.get("source") == source:
            return path, header
    return path, None


def read_log(path: str) -> LogContents:
    """A ValueError for a file that is no log, or a damaged one."""
    header = header_of(path)
    if header is None:
        raise ValueError(f"{path} is no log of fastmlp sort")
    if header["fastmlp sort"] != VERSION:
        raise ValueError(f"{path} is of version {shown(header['fastmlp sort'])}, which is not known; fastmlp may be too old for it")
    with naming(path), open(path, "rb") as file:
        data = file.read()
    data = data[: data.find(b"\0")] if b"\0" in data else data  # a loss of power has left a page without its contents
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    end, reader = 0, _Reader(header)
    for number, line in enumerate(lines, 1):
        try:
            reader.take(json.loads(line), first=number == 1)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged: line {number} is {line[:60]!r}") from error
        end += len(line)
    return reader.contents(end)


class _Reader:
    def __init__(self, header: dict[str, Any]) -> None:
        self._header = header
        self._placed: list[Action] = []
        self._pending: list[Action] = []
        self._copied: dict[int, Identity] = {}
        self._made: list[tuple[str, bool]] = []
        self._undone = False

    def take(self, line: dict[str, Any], first: bool) -> None:
        if first:
            for name in ("source", "dest", "unsure"):
                if not isinstance(line[name], str) or not os.path.isabs(line[name]):
                    raise ValueError
            if line["how"] not in ("copy", "link", "move") or not re.fullmatch("[0-9a-f]{16}", line["id"]):
                raise ValueError
        elif "from" in line:
            file = Identity(*map(int, line["file"])) if "file" in line else None
            unsure = "unsure" in line
            self._pending.append(Action(within(line["from"]), within(line["unsure" if unsure else "to"]), unsure, file))
        elif "made" in line:
            unsure = "unsure" in line
            self._made.append((within(line["made"]) if line["made"] else "", unsure))
        elif "copied" in line:
            self._copied = {int(place): Identity(*map(int, file)) for place, file in line["copied"].items()}
        elif "done" in line:
            self._done(line)
        elif "undo" in line:
            self._undone = True
        else:
            raise ValueError

    def _done(self, line: dict[str, Any]) -> None:
        elsewhere, failed = line.get("elsewhere", {}), line.get("failed", {})
        for place, action in enumerate(self._pending[: int(line["done"])]):
            key = str(place)
            if key not in failed:
                target = within(elsewhere[key]) if key in elsewhere else action.target
                self._placed.append(action._replace(target=target, file=self._copied.get(place, action.file)))
        self._pending, self._copied = [], {}

    def contents(self, end: int) -> LogContents:
        return LogContents(self._header, self._placed, self._pending, self._copied, self._made, self._undone, end)


def within(path: str) -> str:
    """The path of something within a folder; a ValueError for one that leads out of it."""
    if "\0" in path or not all(part not in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{shown(path)} leads out of its folder")
    return path


class SortLog:
    """A log that is written; nobody else writes it at the same time."""

    def __init__(self, path: str, header: dict[str, Any] | None = None) -> None:
        """One that is there, or a new one with its header."""
        self.path = path
        with naming(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | (os.O_CREAT if header else 0), 0o666)
        try:
            self._lock()
            self._end = os.fstat(self._file).st_size
            if header is not None:
                if self._end:
                    raise self._taken()
                self._write(json.dumps(header) + "\n")
        except BaseException:
            self.close()
            raise

    def cut(self, end: int) -> None:
        """Leave so many bytes of whole lines."""
        if end < self._end:
            with naming(self.path):
                os.ftruncate(self._file, end)
            self._end = end

    def _lock(self) -> None:
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken() from None
        except (ImportError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL):
                raise

    def _taken(self) -> ValueError:
        return ValueError(f"another fastmlp sort is at work on {self.path}")

    def begin(self, actions: Iterable[Action]) -> None:
        """What is going to be done."""
        lines = []
        for path, target, unsure, file in actions:
            which = f', "file": [{file.inode}, {file.size}, {file.changed}]' if file else ""
            lines.append(f'{{"from": {quoted_text(path)}, "{"unsure" if unsure else "to"}": {quoted_text(target)}{which}}}\n')
        self._write("".join(lines))

    def makes(self, folder: str, unsure: bool) -> None:
        self._write(json.dumps({"made": folder} | ({"unsure": True} if unsure else {})) + "\n")

    def copied(self, files: dict[int, Identity]) -> None:
        self._write(json.dumps({"copied": files}) + "\n")

    def done(self, actions: Sequence[Action], outcomes: Sequence[Outcome]) -> None:
        """What came of the first actions that were begun; the others are begun no more."""
        other = [place for place, outcome in enumerate(outcomes) if outcome != actions[place].target]
        failed = {place: to.why for place in other if isinstance(to := outcomes[place], NotPlaced)}
        elsewhere = {place: outcomes[place] for place in other if place not in failed}
        line: dict[str, Any] = {"done": len(outcomes)}
        self._write(
            json.dumps(line | ({"elsewhere": elsewhere} if elsewhere else {}) | ({"failed": failed} if failed else {})) + "\n"
        )

    def undo(self) -> None:
        self._write(json.dumps({"undo": True}) + "\n")

    def sync(self) -> None:
        """From here on a loss of power takes nothing of it."""
        with naming(self.path):
            os.fsync(self._file)

    def _write(self, text: str) -> None:
        left = data = memoryview(text.encode())
        with naming(self.path):
            try:
                while left:
                    left = left[os.write(self._file, left) :]
            except OSError:  # the disk is full, perhaps
                with suppress(OSError):
                    os.ftruncate(self._file, self._end)
                raise
        self._end += len(data)

    def close(self) -> None:
        os.close(self._file)
