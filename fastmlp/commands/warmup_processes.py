"""fastmlp warmup on several cores: Numba compiles in one thread of a process at a time, so that several processes share the steps.

Each waits for the numbers of steps at its stdin, and tells of what it compiles on its stdout. Where its stdin is closed, it ends at
once, which does no harm: compiled kernels are kept whole or not at all.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import IO, Any

from fastmlp import interrupts
from fastmlp.commands.console import nothing_to_keep
from fastmlp.commands.warmup_steps import Step, Warming, steps_of, warm_up
from fastmlp.kernels.compile import noticed_by
from fastmlp.kernels.notice import Notice
from fastmlp.threads import Workers

MOST = 4  # processes: each takes some 300 MB, and compiles anew what the kernels of a family have in common
_PROGRAM = "import sys; sys.path[:] = {path}; from fastmlp.commands.warmup_processes import serve; serve()"
_EITHER_END = EOFError, OSError, pickle.UnpicklingError  # what says that the process at the other end is no more

Process = subprocess.Popen[bytes]


def warm_up_side_by_side(parts: Iterable[str], say: Callable[[str], Any], most: int) -> None:
    """The same as warm_up, by at most so many processes."""
    parts = list(parts)
    steps = steps_of(parts)
    count, processes = min(most, MOST, len(steps)), list[Process]()
    with ExitStack() as ends:
        try:
            while count > 1 and len(processes) < count:
                processes.append(ends.enter_context(_process(parts)))
        except OSError:  # the system lets no more be begun
            pass
        if len(processes) > 1:
            _share_out(steps, processes, Warming(say, steps))
            return
    warm_up(parts, say)


@contextmanager
def _process(parts: list[str]) -> Iterator[Process]:
    """Ctrl-C of a terminal does not come to it."""
    command = [sys.executable, "-c", _PROGRAM.format(path=repr(sys.path)), *parts]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _share_out(steps: list[Step], processes: list[Process], warming: Warming) -> None:
    """Has them do the steps."""
    lock, left, families = Lock(), dict(enumerate(steps)), set[str]()

    def end() -> None:
        for process in processes:
            process.kill()

    def take(family: str) -> int | None:
        """The next step for a process that has done one of this family: one more of it, or of one that nobody has begun."""
        with lock:
            ranked = sorted(left, key=lambda number: (left[number].family != family, left[number].family in families))
            if ranked:
                families.add(left.pop(ranked[0]).family)
            return ranked[0] if ranked else None

    def lead(process: Process) -> None:
        number = take("")
        try:
            while number is not None:
                for event, values in _events(process, number):
                    with lock:
                        warming.hear(number, event, *values)
                number = take(steps[number].family)
        except BaseException:
            end()
            raise

    with interrupts.noted(end), Workers(len(processes)) as share_out:
        share_out(lead, processes)


def _events(process: Process, number: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Has it do the step of that number; what it tells meanwhile, and that it is over."""
    assert process.stdin is not None and process.stdout is not None
    event = ""
    while event != "over":
        try:
            if not event:
                process.stdin.write(b"%d\n" % number)
                process.stdin.flush()
            event, values = pickle.load(process.stdout)
        except _EITHER_END as error:
            raise ChildProcessError(f"a process that compiles has ended, with status {process.wait()}") from error
        if event == "failed":
            raise values[0]
        yield event, values


# -- in such a process -------------------------------------------------------------------------------------------------------------


class _Telling(Notice):
    def __init__(self, tell: Callable[..., None]) -> None:
        self.begin, self.end = partial(tell, "begin"), partial(tell, "end")  # type: ignore[method-assign]


def serve() -> None:
    """Does the steps of those parts whose numbers come, until none can come any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # for whatever else is printed
    numbers: SimpleQueue[int] = SimpleQueue()
    Thread(target=_receive, args=(sys.stdin.buffer, numbers), daemon=True).start()
    steps = steps_of(sys.argv[1:])

    def tell(event: str, *values: Any) -> None:
        out.write(pickle.dumps((event, values)))
        out.flush()

    with noticed_by(_Telling(tell)), nothing_to_keep():
        while True:
            try:
                steps[numbers.get()].run()
            except Exception as error:
                error.add_note(traceback.format_exc())
                tell("failed", error)
            else:
                tell("over")


def _receive(source: IO[bytes], numbers: SimpleQueue[int]) -> None:
    for line in source:
        numbers.put(int(line))
    os._exit(0)
