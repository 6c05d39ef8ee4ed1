"""Processes that begin with all of the package imported and its kernels loaded: children of this one, which signals are sent to."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastmlp.__main__ import main
from fastmlp.interrupts import end_process

BROKE = 70  # the exit status of a child that raised what it should not
LIMIT = 20.0  # seconds after which a child hangs


class Ended(NamedTuple):
    """What came of a process."""

    status: int
    """Its exit status, or the signal that ended it, negative."""
    seconds: float
    """From the first signal, or else from its beginning, to its end."""
    error: str
    """What it wrote to stderr."""


class Child:
    """A process that goes on with a function, whose result is its exit status; what it prints goes to files of these names. Ctrl-C
    waits until the function listens to it."""

    def __init__(self, function: Callable[[], int], out: Path, error: Path, handler: object = signal.default_int_handler) -> None:
        self.error = error
        ready, told = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(ready)
            _go_on(function, out, error, handler, told)
        os.close(told)
        os.read(ready, 1)
        os.close(ready)
        self.began = time.monotonic()
        self.signalled: float | None = None

    def send(self, number: int) -> None:
        """Sends a signal, if it has not ended."""
        if self.signalled is None:
            self.signalled = time.monotonic()
        os.kill(self.pid, number)  # nobody has waited for it yet, so that the number is still its own

    def wait(self, seconds: float = LIMIT) -> Ended | None:
        """What came of it; None if it hangs: then it is killed."""
        since = self.began if self.signalled is None else self.signalled
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), time.monotonic() - since, self.error.read_text(errors="replace"))
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return None
            time.sleep(0.001)


def listen() -> None:
    """From here on Ctrl-C is heard, also if it was pressed before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignore() -> None:
    """From here on Ctrl-C does nothing. Without the mask, Python would tell of a race where it comes meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def command(*words: object) -> Callable[[], int]:
    """The process of a command."""

    def run() -> int:
        listen()
        sys.argv = ["fastmlp", *map(str, words)]
        return main()

    return run


def begun_command(scratch: Path, *words: object) -> Child:
    """A command that writes its stdout and stderr to files of these names in a folder."""
    return Child(command(*words), scratch / "stdout", scratch / "stderr", end_process)


def _go_on(function: Callable[[], int], out: Path, error: Path, handler: object, told: int) -> None:
    code = BROKE
    try:
        for number, path in (0, Path(os.devnull)), (1, out), (2, error):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww"))
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.write(told, b".")
        os.close(told)
        code = function()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else BROKE
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
