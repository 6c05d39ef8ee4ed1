"""log_csv and log_json: what `on_epoch` is told of each epoch, as lines of a file."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.warning import warn
from fastmlp.writing import FileKind, StrPath, check_writable

CSV = FileKind("a log of epochs as CSV", (".csv",), rb"epoch,seconds,")
JSON_LINES = FileKind("a log of epochs as lines of JSON", (".jsonl", ".json"), rb'\{"epoch": \d+, "seconds": ')

Losses = float | NDArray[np.float64]  # of one network, or of M


class EpochLog:
    """A function for `on_epoch`, which writes lines to a file: see `log_csv` and `log_json`, which make one."""

    def __init__(self, path: StrPath, kind: FileKind, overwrite: bool, also: Callable[..., Any] | None) -> None:
        check_writable(path, kind)
        self.path, self._kind, self._also = os.fspath(path), kind, checks.callback("also", also)
        there = os.path.exists(path)
        if there and os.path.getsize(path) and not checks.yes_or_no("overwrite", overwrite):
            raise FileExistsError(f"{self.path} cannot be written: it is there already; overwrite=True writes over it")
        self._mode = "wb" if there else "xb"  # of its first lines
        self._began = time.monotonic()
        self._failed = False

    def __repr__(self) -> str:
        return f"<EpochLog {self.path}>"

    def __call__(self, epoch: int, loss: Losses, validation_loss: Losses | None) -> Any:
        text = (_csv_lines if self._kind is CSV else _json_line)(epoch, time.monotonic() - self._began, loss, validation_loss)
        if self._kind is CSV and self._mode != "ab":
            text = f"{','.join(_columns(loss))}\n{text}"
        if not self._failed:
            self._write(text.encode())
        return None if self._also is None else self._also(epoch, loss, validation_loss)

    def _write(self, lines: bytes) -> None:
        """In one piece, so that nothing is left open; a training is worth more than its log."""
        try:
            with open(self.path, self._mode, buffering=0) as file:
                self._mode = "ab"
                file.write(lines)
        except OSError as error:
            self._failed = True
            warn(f"{self.path} cannot be written: {error.strerror}; the training goes on without it", RuntimeWarning)


def log_csv(path: StrPath, *, overwrite: bool = False, also: Callable[..., Any] | None = None) -> EpochLog:
    """A function for `on_epoch` that writes a line of CSV after each epoch.

    The columns are `epoch`, counted from 0, `seconds` since this function was called, `loss`, and `validation_loss`, which is empty
    without validation. Of many networks each has a line, as long as it is in training, and `member` says which it is. A training
    that is followed by one on all rows (`refit`) makes the epochs begin anew. The file is there from the first epoch on, is written
    after each, and is never left open.

    Parameters
    ----------
    path : path
        A file that is not there yet, or is empty.
    overwrite : bool
        Whether a log that is there may be written over; nothing else is.
    also : function, optional
        Another one for `on_epoch`, which is called with the same after each line; what it returns counts.

    Raises
    ------
    OSError
        If the file is there already, or cannot be written. If it no longer can be later, a RuntimeWarning says so, and the training
        goes on.
    ValueError
        If something else is there.

    Examples
    --------
    >>> train(X, y, validation=0.2, on_epoch=log_csv("epochs.csv", also=lambda epoch, loss, validation_loss: loss < 0.01))
    """
    return EpochLog(path, CSV, overwrite, also)


def log_json(path: StrPath, *, overwrite: bool = False, also: Callable[..., Any] | None = None) -> EpochLog:
    """A function for `on_epoch` that writes a line of JSON after each epoch.

    It is an object with `epoch`, counted from 0, `seconds` since this function was called, `loss`, and `validation_loss`, which is
    null without validation. Of many networks the losses are lists, with null for those that have ended. Else it is as `log_csv`.
    """
    return EpochLog(path, JSON_LINES, overwrite, also)


def _columns(loss: Losses) -> list[str]:
    return ["epoch", "seconds", *["member"] * (np.ndim(loss) > 0), "loss", "validation_loss"]


def _csv_lines(epoch: int, seconds: float, loss: Losses, validation_loss: Losses | None) -> str:
    """A line; of many networks one for each that has not ended."""
    losses = np.atleast_1d(loss).tolist()
    measured = [""] * len(losses) if validation_loss is None else np.atleast_1d(validation_loss).tolist()
    lines = []
    for member, (own, other) in enumerate(zip(losses, measured, strict=True)):
        if not math.isnan(own):
            which = [member] if np.ndim(loss) else []
            lines.append(",".join(map(str, [epoch, f"{seconds:.6f}", *which, own, other])))
    return "".join(f"{line}\n" for line in lines)


def _json_line(epoch: int, seconds: float, loss: Losses, validation_loss: Losses | None) -> str:
    losses = {"loss": _json_value(loss), "validation_loss": _json_value(validation_loss)}
    return json.dumps({"epoch": epoch, "seconds": round(seconds, 6), **losses}) + "\n"


def _json_value(losses: Losses | None) -> Any:
    """JSON knows neither NaN nor infinity."""
    if losses is None:
        return None
    values = [value if math.isfinite(value) else None for value in np.atleast_1d(losses).tolist()]
    return values if np.ndim(losses) else values[0]
