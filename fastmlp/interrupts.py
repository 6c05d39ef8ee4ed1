"""Ctrl-C: noted while work is under way, and raised at a safe place.

Python raises a KeyboardInterrupt wherever the main thread happens to be: in a `__del__`, where it is lost; within a compile, after
which Numba is of no use; while threads wait for each other. So for the time of some work a handler of ours calls the one that was
there before, and keeps what that raises until the work comes to a place where it can end. Those at work are told at once.
"""

import _signal  # type: ignore[import-not-found]
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, TypeVar

# As signal.signal and signal.getsignal are, but for numbers that they make members of an enumeration, which takes 30 us in `noted`.
_set_handler, _handler_of = _signal.signal, _signal.getsignal

INTERRUPTED = 130  # the exit status of a process that Ctrl-C has ended
LOOK = 0.1  # seconds. Ctrl-C does not wake the main thread if it comes as that is about to wait: so often it looks for it

Item = TypeVar("Item")


class _Presses:
    """What is known of them by the main thread, which alone is interrupted."""

    def __init__(self) -> None:
        self.before: Callable[[int, FrameType | None], Any] | None = None  # the handler before ours, while that is in its place
        self.at_once = False  # whether that may raise where it is called
        self.error: BaseException | None = None  # what it has raised
        self.raised = False  # whether that is on its way already; others that work for this thread are to end, too
        self.put_off = False  # whether no place is a safe one
        self.told: dict[object, Callable[[], Any]] = {}  # what is called when it raises
        self.beyond: frozenset[object] = frozenset()  # those of them that are not, as they go on when the caller has dealt with it
        self.heard = False  # whether one is to end the process, which tidies up
        self.ending = False  # whether one ends it, here and now


_presses = _Presses()
_thread = threading.local()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _note(number: int, frame: FrameType | None) -> None:
    """The handler."""
    handler = _presses.before or signal.default_int_handler
    if _presses.at_once:
        handler(number, frame)
        return
    if _presses.heard:  # the process is about to end, and says so once
        return
    try:
        (signal.default_int_handler if handler is end_process else handler)(number, frame)
    except BaseException as error:
        if _presses.error is None or _presses.raised:
            _presses.error, _presses.raised = error, False
        _presses.heard = handler is end_process
        for key, tell in list(_presses.told.items()):
            if key not in _presses.beyond:
                tell()


@contextmanager
def noted(tell: Callable[[], Any] | None = None) -> Iterator[None]:
    """Within it Ctrl-C is noted: `tell` is called, and an error raised at the next safe place, or at the end.

    Where no handler of Python would raise one, or in a thread that does not work for the main one, nothing is noted.
    """
    presses, handler = _presses, None
    if not _is_main():
        with _telling(tell) if tell is not None and works_for_main() else nullcontext():
            yield
        return
    if presses.before is None:
        handler = _handler_of(signal.SIGINT)
        if not callable(handler):  # it is ignored, or ends the process
            yield
            return
        presses.before, presses.error, presses.at_once = handler, None, False
        try:
            _set_handler(signal.SIGINT, _note)
        except BaseException:  # the one before was called once more
            presses.before = None
            raise
    at_once, presses.at_once = presses.at_once, False
    try:
        with nullcontext() if tell is None else _telling(tell):
            yield
    finally:
        presses.at_once = at_once
        try:
            if handler is not None and _handler_of(signal.SIGINT) is _note:  # or the caller's code has put in another
                _set_handler(signal.SIGINT, handler)
            if handler is not None or at_once:
                raise_noted()
        finally:
            if handler is not None:
                presses.before = presses.error = None


@contextmanager
def _telling(tell: Callable[[], Any]) -> Iterator[None]:
    key = object()
    _presses.told[key] = tell
    if _presses.error is not None:
        tell()
    try:
        yield
    finally:
        del _presses.told[key]


@contextmanager
def noted_for(seconds: float) -> Iterator[None]:
    """The same for commands: where the block then goes on for so many seconds, as nobody reads what it writes, say, the process
    ends all the same."""

    def begin() -> None:
        if _presses.before is end_process and hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, _end)
            signal.setitimer(signal.ITIMER_REAL, seconds)

    with noted(begin):
        try:
            yield
        finally:
            if _presses.heard and hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def raised_at_once() -> Iterator[None]:
    """Within it, around what the caller has given us, Ctrl-C does what it did before. Where nothing of it comes out, the caller has
    dealt with it, and the work around it goes on."""
    if _presses.before is None or not _is_main():
        yield
        return
    raise_noted()
    error, at_once, beyond = _presses.error, _presses.at_once, _presses.beyond
    _presses.at_once, _presses.beyond = True, frozenset(_presses.told)
    try:
        yield
        _presses.error = error
    finally:
        _presses.at_once, _presses.beyond = at_once, beyond


@contextmanager
def put_off() -> Iterator[None]:
    """Within it no place is a safe one: what would be lost is soon brought to its end."""
    with noted():
        before, _presses.put_off = _presses.put_off, _presses.put_off or _is_main()
        try:
            yield
        finally:
            _presses.put_off = before


def raise_noted() -> None:
    """A safe place: what has been noted is raised; also in threads that work for the main one."""
    if _presses.error is None or _presses.put_off:
        return
    if _is_main():
        if not _presses.raised:
            _presses.raised = True
            raise _presses.error
    elif getattr(_thread, "works_for_main", False):
        raise KeyboardInterrupt


def next_of(queue: SimpleQueue[Item]) -> Item:
    """What comes next in a queue. Ctrl-C is heard while it is waited for."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=LOOK)


def forget() -> None:
    """What has been noted so far is dealt with, and the work goes on."""
    if _is_main():
        _presses.error, _presses.heard = None, False


def works_for_main() -> bool:
    """Whether what this thread does is interrupted by Ctrl-C."""
    return _is_main() or getattr(_thread, "works_for_main", False)


def work_for_main(yes: bool) -> None:
    """Whether what this thread does from now on is."""
    _thread.works_for_main = yes


def end_process(*_: Any) -> None:
    """A handler that ends the process, in a sentence, wherever it is: for commands, while there is nothing to tidy up."""
    if not _presses.heard:
        _end()


def _end(*_: Any) -> None:
    if _presses.ending:  # one more came in the middle of the next lines
        return
    _presses.ending = True
    with suppress(OSError):
        os.write(2, b"\r\x1b[Kfastmlp: interrupted\n" if os.isatty(2) else b"fastmlp: interrupted\n")
    os._exit(INTERRUPTED)
