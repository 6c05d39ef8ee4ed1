"""One network through its epochs, to what comes of it: the network with its history and its record, or what to tell instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.networks.history import DivergedError, TrainingState
from fastmlp.networks.provenance import made_with
from fastmlp.training.descent import Descent
from fastmlp.training.epochs import Training
from fastmlp.training.one_network import OneNetwork, divergence
from fastmlp.training.options import Options
from fastmlp.training.scaling import Scaling, fold, is_standardized

OnEpoch = Callable[[int, float, float | None], Any]


def bring_to_end(
    descent: OneNetwork,
    options: Options,
    rate: float,
    y: NDArray[Any],
    inputs: Scaling,
    outputs: Scaling | None,
    rows: int,
) -> None:
    """Trains the network of a descent for such targets, as options say, from so many rows; it becomes one for X and y as they
    are."""
    network = descent.network
    TrainingOfOne(descent, options.on_epoch, options.progress).go([[descent]])
    rate_to_tell = np.nan if options.optimizer in SOLVERS else rate
    if descent.stopped_by == "diverged":
        standardized = is_standardized(network, options.standardize)
        raise divergence(network, y, standardized, max(descent.epochs - 1, 0), descent.last_loss, rate_to_tell)
    network.history = descent.history()
    if options.keep_state and isinstance(descent, Descent):
        network.state = TrainingState(
            options.optimizer, options.seed, options.data_seed, descent.rule.method.schedule.before + descent.epochs,
            int(descent.counters[0]), descent.moments, descent.live.copy(), (*inputs, *(outputs or ())),
        )  # fmt: skip
    fold(network, network.theta[None], inputs, outputs)
    if not arrays.all_finite(network.theta):
        epoch, advice = max(descent.epochs - 1, 0), ", or scale X and y: weights cannot make up for their deviations"
        raise DivergedError(epoch, descent.loss_of(epoch), rate_to_tell, advice)
    network.made_with = {"seed": options.seed, **made_with(rows, options.record("train") | {"learning_rate": rate})}


class TrainingOfOne(Training):
    """One network through its epochs."""

    def __init__(self, descent: OneNetwork, on_epoch: OnEpoch | None, progress: bool) -> None:
        super().__init__([descent.stopping.epochs], descent.workers, on_epoch is not None, progress)
        self.descent, self.on_epoch = descent, on_epoch

    def _state(self) -> tuple[str, float]:
        descent = self.descent
        done, epochs = descent.epochs, descent.stopping.epochs
        words = f"epoch {done}/{epochs}"
        if done:
            words += f"  loss {descent.loss_of(done - 1):.6g}"
        if descent.validation_loss:
            words += f"  validation {descent.validation_loss[-1]:.6g}"
        return words, done / epochs

    def _after_epoch(self, epoch: int) -> bool:
        descent = self.descent
        if descent.stopped_by == "diverged" or self.on_epoch is None:
            return False
        measured = descent.validation_loss[epoch] if descent.validation_loss else None
        return bool(self.on_epoch(epoch, descent.loss_of(epoch), measured))

    def _told_after_interrupt(self) -> str | None:
        descent, epochs = self.descent, self.descent.epochs
        if descent.stopped_by != "interrupt":
            return None
        so_far = "this is the network so far" if epochs else "the network is as it began"
        if epochs and descent.stopping.patience:
            so_far = f"this is the network of epoch {descent.best_epoch + 1}, the best so far"
        return f"training was interrupted after {epochs} of {descent.stopping.epochs} epochs; {so_far}"
