"""What all commands tell and write: exit codes, messages, questions, and files that are whole or beside their place."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fastmlp.kernels.notice import is_watched, wipe_line

if TYPE_CHECKING:
    from fastmlp.writing import FileKind

FINE, SOME_FAILED, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # a file name may be any bytes


def say(message: object) -> None:
    """Print a message on stderr."""
    if is_watched():
        wipe_line()
    print(f"fastmlp: {message}", file=sys.stderr, flush=True)


def ask(question: str) -> str:
    """The answer to a question; "" if nobody is there."""
    try:
        return input(question).strip()
    except EOFError:
        print()
        return ""


def printable(text: str) -> str:
    """The text, with control characters, which a terminal would obey, as Python writes them."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


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


def _same_file(path: str, other: str) -> bool:
    """By whatever names, links and folders they are called."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there
        return os.path.realpath(path) == os.path.realpath(other)


@contextmanager
def opened_output(path: str | None, beside: str | None = None, mode: str = "w", then: str = "") -> Iterator[IO[str]]:
    """The file at `path`, or stdout; an error of writing names it.

    Where there is a name `beside`, that file is moved to `path` when it is whole; else a message says where it is, and what then.
    """
    from fastmlp.writing import replace

    name = beside or path
    try:
        with _stdout() if name is None else open(name, mode, **TEXT) as file:
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
        if isinstance(error, OSError) and error.filename is None:
            error.filename = "stdout" if name is None else name
        raise


def _stdout() -> AbstractContextManager[IO[str]]:
    """With a buffer, as under PYTHONUNBUFFERED it loses what an interrupted write leaves."""
    try:
        return open(sys.stdout.fileno(), "w", closefd=False, **TEXT)
    except OSError:  # whoever called main has put something else in its place
        return nullcontext(sys.stdout)


@contextmanager
def interrupt_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block; a second one does not wait."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def remember(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt
