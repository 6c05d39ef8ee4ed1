"""One network on its way, however it is trained: what it has come to, what is measured of it, and why it stopped."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.kernels import ends
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data
from fastmlp.networks.history import DivergedError, History
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import ChunkedLoss
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import MeasuredRows, TrainingData
from fastmlp.training.epochs import Job
from fastmlp.training.options import Options

PLATEAU = 0.1  # what the rate is multiplied by on a plateau, by default: as PyTorch and Keras have it
LARGE_TARGET = 100  # that a loss, or a gradient, of its square may be the reason of a divergence


class Stopping(NamedTuple):
    """When a network ends."""

    epochs: int
    target_loss: float
    patience: int | None
    tol: float = 0.0
    n_iter_no_change: float = np.inf  # which tol is without
    divisor: float = 0.0  # see kernels/ends.py
    plateau: bool = False
    by_measured: bool = False
    tolerance: float | None = None  # of a solver
    by_accuracy: bool = False  # whether of what is measured the error rate decides, not the loss

    @classmethod
    def of(cls, options: Options, epochs: int) -> Stopping:
        target_loss = -np.inf if options.target_loss is None else options.target_loss
        plateau = options.schedule == "plateau"
        by_accuracy = options.monitor == "accuracy"
        stopping = cls(epochs, target_loss, options.patience, tolerance=options.tolerance, by_accuracy=by_accuracy)
        if options.tol is None and not plateau:
            return stopping
        divisor = 1 / (options.decay or PLATEAU) if plateau else ends.LOWER if options.schedule == "adaptive" else 0.0
        return stopping._replace(
            tol=options.tol or 0.0, n_iter_no_change=options.n_iter_no_change, divisor=divisor, plateau=plateau,
            by_measured=plateau and options.validation is not None,
        )  # fmt: skip

    @property
    def ends(self) -> ends.Ends:
        """As the kernels take it, which are compiled anew where a whole number stands for a float."""
        target_loss, tol, count, divisor = map(float, (self.target_loss, self.tol, self.n_iter_no_change, self.divisor))
        return ends.Ends(target_loss, self.patience or 0, tol, count, divisor, self.plateau, self.by_measured)


def divergence(
    network: MLP, y: NDArray[Any], standardized: bool, epoch: int, loss: float, rates: float | NDArray[np.float64]
) -> DivergedError:
    """What to say of a training, or several, for such targets, with advice on what may help beside a lower learning rate."""
    advice = ""
    if not standardized:
        advice = ", or standardize=True" if network.bias else ", or columns of X with a mean of 0 and a deviation of 1"
        largest = 0.0 if network.classes is not None else max(abs(float(y.max())), abs(float(y.min())))
        advice += f" (y reaches {largest:g}: targets near 1 are learnt best)" if largest > LARGE_TARGET else ""
    return DivergedError(epoch, loss, rates, advice)


def check_monitor(monitor: str, network: MLP) -> None:
    """Rejects an accuracy of what has none."""
    if monitor == "accuracy" and network.classes is None:
        raise ValueError("monitor='accuracy' needs a classifier; for a regressor, as y makes it here, leave it out")


class OneNetwork:
    """One of those in training, see epochs.py. How it goes on is up to those who derive from it."""

    def __init__(self, network: MLP, data: TrainingData, stopping: Stopping, threads: int) -> None:
        self.network, self.data, self.stopping, self.threads = network, data.arrays, stopping, threads
        self.rows, self.theta = len(data.rows), network.theta
        self.progress = np.array([np.inf, 0.0, 0.0])  # see kernels/ends.py
        self.stopped_by = ""  # while it goes on
        self.last_loss = np.nan  # that ended it, where it diverged
        self.validation_loss: list[float] = []
        self.validation_errors: list[float] = []  # how many rows are told wrong, where that decides
        self.best_epoch, self.best = 0, self.theta.copy()
        self.held_out = None if data.held_out is None else self._measured(data.held_out)
        self.errors = self.held_out.errors() if self.held_out is not None and stopping.by_accuracy else None

    @property
    def result(self) -> NDArray[Any]:
        """The parameters that the network has if it ends now."""
        return self.theta

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        raise NotImplementedError

    @property
    def losses(self) -> NDArray[np.float64]:
        """The mean loss of each."""
        raise NotImplementedError

    def loss_of(self, epoch: int) -> float:
        """That of one of them."""
        raise NotImplementedError

    @property
    def workers(self) -> int:
        """How many threads it has work for."""
        raise NotImplementedError

    def advance(self, until: int, share_out: Workers, halt: Stop) -> None:
        """Goes on until so many epochs are done, or a reason to stop comes up, or a halt is called for between kernel calls."""
        raise NotImplementedError

    def rewind(self) -> None:
        """After an interrupt: back to the end of the last whole epoch, where the weights are those that its losses led to."""
        raise NotImplementedError

    def _chunked(
        self, data: Data, order: NDArray[np.integer], rows: int, *, keep_tiles: bool, dropped: Dropped | None = None
    ) -> ChunkedLoss:
        return ChunkedLoss(self.network.network, data, order, rows, self.threads, keep_tiles=keep_tiles, dropped=dropped)

    def _measured(self, rows: MeasuredRows) -> ChunkedLoss:
        """The loss over rows that are measured after each epoch."""
        data = Data(readable(rows.x), rows.y, np.ones(1, self.theta.dtype), self.data.shift, self.data.scale)
        return self._chunked(data, rows.order, len(rows.order), keep_tiles=True)

    def history(self) -> History:
        if self.held_out is None:
            return History(self.losses, None, self.epochs, self.stopped_by)
        n, wrong = len(self.held_out.order), np.array(self.validation_errors)
        accuracy = None if self.errors is None else (n - wrong) / n
        return History(self.losses, np.array(self.validation_loss), self.epochs, self.stopped_by, accuracy)

    # -- as one of those in training: see epochs.py ------------------------------------------------------------------------------

    def jobs(self, until: int, halt: Stop) -> list[Job]:
        return [partial(self._go_on, until, halt)] if not self.stopped_by and self.epochs < until else []

    def _go_on(self, until: int, halt: Stop, threads: Workers | None) -> None:
        assert threads is not None  # it is alone
        self.advance(until, threads, halt)

    def tidy(self) -> None:
        """There is nothing to tidy up."""

    def running(self) -> list[int]:
        return [] if self.stopped_by else [0]

    def epochs_done(self) -> list[int]:
        return [] if self.stopped_by else [self.epochs]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        if not self.stopped_by and (places is None or 0 in places):
            self.rewind()
            self.stop(stopped_by)

    # -- what is measured, and how it ends ----------------------------------------------------------------------------------------

    def _end_epoch(self, epoch: int, share_out: Workers) -> None:
        """Measures, and looks for a reason to stop."""
        loss = self.loss_of(epoch)
        if math.isfinite(loss):
            measured = self._validate(epoch, share_out)
            loss = loss if measured is None or math.isfinite(measured) else measured
        if not math.isfinite(loss):
            self.last_loss = loss
            self.stop("diverged")
            return
        if loss <= self.stopping.target_loss:
            self.stop("target_loss")
        elif self.stopping.patience and epoch - self.best_epoch >= self.stopping.patience:
            self.stop("patience")
        elif self.progress[ends.STALE] > self.stopping.n_iter_no_change:
            self._end_of_progress()

    def _end_of_progress(self) -> None:
        """The loss has not fallen by tol for too many epochs."""
        self.stop("tol")

    def _validate(self, epoch: int, share_out: Workers) -> float | None:
        """The loss over the rows that are held out, if there are any; it is noted, and the best weights kept."""
        if self.held_out is None:
            return None
        n, theta = len(self.held_out.order), self.held_out.held(self.result)
        loss = self.held_out.sum_loss(theta, 0, n, share_out, gradient=False) / n
        if math.isfinite(loss):
            values = self.validation_loss
            if self.errors is not None:
                values = self.validation_errors
                values.append(self.errors.sum_loss(theta, 0, n, share_out, gradient=False))
            self.validation_loss.append(loss)
            if values[-1] < values[self.best_epoch] or epoch == 0:
                self.best_epoch = epoch
                self.best[:] = self.result
            if self.stopping.by_measured:
                value = loss if self.errors is None else values[-1] / n
                ends.notes_no_progress(self.progress, 0, 1, value, self.stopping.ends)
        return loss

    def stop(self, reason: str) -> None:
        """It ends, and is left with the weights that are to be kept."""
        if reason != "diverged" and not arrays.all_finite(self.theta):
            reason, self.last_loss = "diverged", self.loss_of(max(self.epochs - 1, 0))
        elif reason != "diverged":
            self.theta[:] = self.best if self.stopping.patience and self.validation_loss else self.result
        self.stopped_by = reason
