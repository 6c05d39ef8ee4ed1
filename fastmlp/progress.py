"""How far something has come, and how long it still takes: a line on stderr, or where tqdm is installed its bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from shutil import get_terminal_size
from typing import Any

from fastmlp.kernels.notice import asked_for, is_terminal, is_watched, put_line, wipe_line

INTERVAL = 0.1  # seconds, where somebody looks and the line is written over
LOGGED = 10.0  # seconds, where each line stays


class Progress:
    """A line that is shown now and then, if it is to be shown at all."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._watched = shown and is_watched()
        self._interval = INTERVAL if self._watched else LOGGED
        self._first: tuple[float, float] | None = None  # when something was done, and which share
        self._bar: Any = None  # of tqdm, where somebody looks

    @contextmanager
    def of(self, state: Callable[[], tuple[str, float]], stays: bool = True) -> Iterator[Callable[[], None]]:
        """Within it the line says how far something has come: the words, and the share that is done, where that is known, else 0;
        state() gives both. At the end it says so once more and stays, or is gone. What it gives is to be called now and then."""
        self._state, began = state, time.monotonic()
        self._due, self._first = began if self._watched else began + self._interval, None
        self._text, self._share, whole = "", 0.0, False
        if self._watched:
            with self._bar_or_line():
                self._bar = _new_bar(stays)
        try:
            with asked_for(self._shown, self if self._watched else None):
                yield self.update
            whole = True
        finally:
            if self._shown and stays:
                words, share = state()
                self._share = 1.0 if whole else share
                self._show(f"{words}  {clock(time.monotonic() - began)}", last=True)
            elif self._watched and self._bar is None:
                wipe_line()
            if self._bar is not None:
                with self._bar_or_line():
                    self._bar.n = self._bar.total if whole else self._bar.n  # else notebooks take it for a failure
                    self._bar.close()
                self._bar = None
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
        self._share, (began, before) = share, self._first
        if share > before or share == 1:
            rest = (now - began) * (1 - share) / (share - before) if share < 1 else 0
            words += f"  {clock(rest)} left"
        self._show(words)

    def _show(self, text: str, last: bool = False) -> None:
        self._text = text
        if self._watched:
            self.put(text)
        if (last and self._bar is None) or not self._watched:
            with suppress(OSError, ValueError, AttributeError):  # there is no stderr, or nobody reads it
                sys.stderr.write("\n" if self._watched else f"{text}\n")
                sys.stderr.flush()

    def put(self, text: str) -> None:
        """Shows a text instead of how far it has come, as while something compiles."""
        if self._bar is not None:
            with self._bar_or_line():
                self._bar.n = self._share
                if is_terminal():
                    self._bar.ncols = get_terminal_size().columns - 1
                self._bar.bar_format = f"{text.replace('{', '{{').replace('}', '}}')} |{{bar}}|"
                self._bar.refresh()
        if self._bar is None:
            put_line(text)

    def wipe(self) -> None:
        """Shows again what was there before."""
        if self._bar is None:
            wipe_line()
        else:
            self.put(self._text)

    @contextmanager
    def _bar_or_line(self) -> Iterator[None]:
        """Whatever is the matter with tqdm, the work goes on; with our own line."""
        try:
            yield
        except Exception:
            if self._bar is not None:
                self._bar.disable = True  # or it would be closed once more when it is collected
            self._bar = None


def _new_bar(stays: bool) -> Any:
    """A bar of tqdm, from nothing to 1, that shows no words; None where it is not installed."""
    if find_spec("tqdm") is None:
        return None
    if is_terminal() or find_spec("ipywidgets") is None:
        from tqdm.std import tqdm
    else:
        from tqdm.notebook import tqdm_notebook as tqdm

    class Bar(tqdm):
        monitor_interval = 0  # it needs no thread that looks after it

    if not is_terminal():
        return Bar(total=1.0, leave=stays, bar_format="{bar}", dynamic_ncols=True)
    width, height = get_terminal_size()  # as our line has them: there are terminals that say that they have none
    return Bar(
        total=1.0, leave=None if stays else False, bar_format="{bar}", ncols=width - 1, nrows=height
    )  # None: if it is the first


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))
