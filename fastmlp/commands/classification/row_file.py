"""Verdicts as rows of a file or on stdout, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastmlp.commands.classification.resuming import read_rows, take_out
from fastmlp.commands.classification.rows import RowFormat
from fastmlp.commands.console import for_reader, opened_output
from fastmlp.images.verdicts import Verdicts


class RowFile:
    """A file at `path`, or stdout, to which rows are added; until it is whole it is at `beside`, if that is given."""

    def __init__(self, path: str | None, beside: str | None, rows: RowFormat) -> None:
        self.path, self.beside, self._rows, self._end = path, beside, rows, 0

    @property
    def has_rows(self) -> bool:
        """Whether there are rows of an earlier run, once these have been read."""
        return self._end > 0

    @property
    def older(self) -> str:
        """What an earlier run has left."""
        return self.beside or self.path or ""

    def read(self) -> Iterator[Verdicts]:
        """The whole rows of an earlier run; a ValueError if they are not of such a run."""
        for end, verdicts in read_rows(self.older, self._rows):
            self._end = end
            yield verdicts

    def take_out(self, retry_failed: bool) -> None:
        """Leave only settled rows."""
        self._end = take_out(self.older, self._rows, retry_failed)

    @contextmanager
    def opened(self, resumed: bool) -> Iterator[Callable[[Verdicts], bool]]:
        """What adds rows, and tells whether somebody sees them on a terminal."""
        mode = "a" if self._end else "x" if self.beside and not resumed else "w"
        with opened_output(self.path, self.beside, mode, ", and --resume goes on with it") as file:
            if self._end:
                file.truncate(self._end)
            else:
                file.write(for_reader(file, self._rows.head))

            def add(verdicts: Verdicts) -> bool:
                file.write(for_reader(file, self._rows.text(verdicts)))
                file.flush()
                return file.isatty()

            yield add
