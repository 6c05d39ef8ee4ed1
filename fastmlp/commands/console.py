"""What all commands tell and write: exit codes, messages, questions, and files that are whole or beside their place."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fastmlp.kernels.notice import is_watched, wipe_line

if TYPE_CHECKING:
    from fastmlp.writing import FileKind

FINE, SOME_FAILED, NOTHING_DONE = 0, 1, 2
PATIENCE = 0.7  # seconds that Ctrl-C waits, where nobody reads what is written
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # a file name may be any bytes


def open_missing_streams() -> None:
    """Let /dev/null stand for stdin, stdout and stderr where whoever began this process has closed them: the next file to be opened
    would get the number of one of them, and what is printed."""
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which gets the smallest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, **TEXT))  # noqa: SIM115, as it stays open


def let_go() -> None:
    """Let go of what could not be written to stdout or stderr: Python would try it again at its end, and complain."""
    for stream in sys.stdout, sys.stderr:
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(message: object) -> None:
    """Print a message on stderr, without what is secret in URLs; whatever that leads to, the work goes on."""
    from fastmlp.images.sources.urls import without_secrets

    with suppress(OSError, ValueError):
        if is_watched():
            wipe_line()
        print(f"fastmlp: {printable(without_secrets(str(message)))}", file=sys.stderr, flush=True)


def tell(text: object) -> None:
    """Print a result on stdout."""
    from fastmlp.writing import naming

    with naming("stdout"):
        print("\n".join(map(printable, str(text).split("\n"))))


def ask(question: str) -> str:
    """The answer to a question; "" if nobody is there."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        return ""


def printable(text: str) -> str:
    """The text, with control characters, which a terminal would obey, as Python writes them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def for_reader(file: IO[str], rows: str) -> str:
    """Rows as a file gets them, or a terminal."""
    return "\n".join(map(printable, rows.split("\n"))) if file.isatty() else rows


def check_target(path: str, kind: FileKind, inputs: Sequence[str]) -> None:
    """Reject a file that a command is not to write: one that it reads, or one of another kind by its name or by what is in it."""
    from fastmlp.writing import check_writable

    refuse_input(path, inputs)
    if Path(path).suffix.lower() not in ("", *kind.suffixes):
        raise ValueError(f"{path} cannot be written: the name of {kind.name} ends in {kind.suffixes[0]}")
    check_writable(path, kind)


def is_device(path: str) -> bool:
    """Whether it is there and is neither a file nor a folder, as /dev/null, and so written to as it is."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def refuse_input(path: str, inputs: Sequence[str]) -> None:
    """Reject a file to write that is one of those to read."""
    if any(_same_file(path, other) for other in inputs):
        raise ValueError(f"{path} cannot be written: it is one of the files that are read, or the other output")


def refuse_stdout(inputs: Sequence[str]) -> None:
    """Reject stdout where it leads to the end of a file that is read."""
    if os.path.isfile(1) and any(_same_file(1, other) for other in inputs):
        raise ValueError("stdout cannot be written: it leads to one of the files that are read")


def _same_file(path: str | int, other: str) -> bool:
    """By whatever names, links and folders they are called; a number is that of an open file."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there
        return isinstance(path, str) and os.path.realpath(path) == os.path.realpath(other)


@contextmanager
def as_private_as(path: str) -> Iterator[None]:
    """Within it a new file is open to nobody to whom the file at `path`, if there is one, is not."""
    mask = os.umask(0o077)
    try:
        os.umask(mask | ~(os.stat(path).st_mode if os.path.exists(path) else 0o777) & 0o777)
        yield
    finally:
        os.umask(mask)


@contextmanager
def opened_output(path: str | None, beside: str | None = None, mode: str = "w", then: str = "") -> Iterator[IO[str]]:
    """The file at `path`, or stdout; an error of writing names it.

    Where there is a name `beside`, that file is moved to `path` when it is whole; else a message says where it is, and what then.
    """
    from fastmlp.writing import naming, opener_like, replace

    name = beside or path
    try:
        with naming(name or "stdout"):
            opener = opener_like(path) if beside and path else None
            with _stdout() if name is None else open(name, mode, opener=opener, **TEXT) as file:
                yield file
                if beside:
                    file.flush()
                    os.fsync(file.fileno())
            if beside and path:
                replace(beside, path)
    except BaseException as error:
        if beside and path and os.path.exists(beside) and not isinstance(error, FileExistsError):  # of another run
            older = f"; {path} is as it was" if os.path.exists(path) else ""
            say(f"what has been written so far is in {beside}{then}{older}")
        raise


def _stdout() -> AbstractContextManager[IO[str]]:
    """With a buffer, as under PYTHONUNBUFFERED it loses what an interrupted write leaves."""
    try:
        return open(sys.stdout.fileno(), "w", closefd=False, **TEXT)
    except OSError:  # whoever called main has put something else in its place
        return nullcontext(sys.stdout)


@contextmanager
def nothing_to_keep() -> Iterator[None]:
    """Within it a training that is interrupted ends the command."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "training .*was interrupted after", RuntimeWarning)
        try:
            yield
        except RuntimeWarning:
            raise KeyboardInterrupt from None
