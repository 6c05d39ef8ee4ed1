"""How far something has come, and how long it still takes: a line on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from fastmlp.kernels.notice import asked_for, is_watched, put_line, wipe_line

INTERVAL = 0.1  # seconds, where somebody looks and the line is written over
LOGGED = 10.0  # seconds, where each line stays


class Progress:
    """A line that is shown now and then, if it is to be shown at all."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._watched = shown and is_watched()
        self._interval = INTERVAL if self._watched else LOGGED
        self._first: tuple[float, float] | None = None  # when something was done, and which share

    @contextmanager
    def of(self, state: Callable[[], tuple[str, float]], stays: bool = True) -> Iterator[Callable[[], None]]:
        """Within it the line says how far something has come: the words, and the share that is done, where that is known, else 0;
        state() gives both. At the end it says so once more and stays, or is gone. What it gives is to be called now and then."""
        self._state, began = state, time.monotonic()
        self._due, self._first = began if self._watched else began + self._interval, None
        try:
            with asked_for(self._shown):
                yield self.update
        finally:
            if self._shown and stays:
                self._show(f"{state()[0]}  {clock(time.monotonic() - began)}", last=True)
            elif self._watched:
                wipe_line()
            del self._state  # which may hold much

    def update(self) -> None:
        """Shows the line anew, if that is due. What came before the first call, a compile perhaps, tells nothing of the speed."""
        if not self._shown:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now, self._state()[1]
        if now < self._due:
            return
        self._due = now + self._interval
        words, share = self._state()
        began, before = self._first
        if share > before or share == 1:
            rest = (now - began) * (1 - share) / (share - before) if share < 1 else 0
            words += f"  {clock(rest)} left"
        self._show(words)

    def _show(self, text: str, last: bool = False) -> None:
        if self._watched:
            put_line(text)
        if last or not self._watched:
            with suppress(OSError, ValueError, AttributeError):  # there is no stderr, or nobody reads it
                sys.stderr.write("\n" if self._watched else f"{text}\n")
                sys.stderr.flush()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))
