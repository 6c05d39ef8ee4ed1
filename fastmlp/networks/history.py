"""How trainings went, of one network or of many; where one stands, for another to go on from; the error of one that diverged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.networks.html import html_table

SHOWN = 5  # of the last epochs, in a notebook


@dataclass
class History:
    """How a training went.

    Attributes
    ----------
    loss : (epochs,) float64
        The mean loss over the samples as each was seen in the epoch, before the update that it caused; of a solver, that which each
        iteration came to. As it was minimised, of standardised targets where these were standardised, but without the l2 penalty.
    validation_loss : (epochs,) float64 or None
        The mean loss over the validation rows after each epoch.
    epochs : int
        Epochs that were completed.
    stopped_by : str
        "epochs", "target_loss", "patience", "tol", "on_epoch" or "interrupt"; of a solver (lbfgs, levenberg-marquardt) also
        "tolerance"; of a member of a population also "halving".
    validation_accuracy : (epochs,) float64 or None
        The share of the validation rows whose class is told after each epoch, where monitor="accuracy".
    """

    loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64] | None
    epochs: int
    stopped_by: str
    validation_accuracy: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        losses = {"loss": self.loss, "validation loss": self.validation_loss, "validation accuracy": self.validation_accuracy}
        last = ", ".join(f"{name} {values[-1]:.6g}" for name, values in losses.items() if values is not None and len(values))
        return f"<History of {self.epochs} epochs: {last or 'no loss'}; stopped by {self.stopped_by}>"

    def _repr_html_(self) -> str:
        measured = {"validation loss": self.validation_loss, "validation accuracy": self.validation_accuracy}
        columns = {"loss": self.loss} | {name: values for name, values in measured.items() if values is not None}
        html = html_of_last(columns, "epoch", f"History of {self.epochs} epochs, stopped by {self.stopped_by}")
        if self.validation_loss is None or not self.epochs:
            return html
        return html + html_table((), (), note=f"the best epoch is {best_epoch(self) + 1}")


@dataclass
class PopulationHistory:
    """How the training of M members went.

    Attributes
    ----------
    loss : (M, E) float64
        Of each member the mean loss over the samples in each epoch, as in `History`; NaN after the member's end.
    validation_loss : (M, E) float64 or None
        The mean loss over the validation rows after each epoch; NaN after the member's end.
    epochs : (M,) int64
        Epochs that each member completed; of a diverged one, the last is that in which it did.
    stopped_by : list of str
        For each member "epochs", "target_loss", "patience", "tol", "tolerance", "on_epoch", "interrupt", "halving" or "diverged".
    validation_accuracy : (M, E) float64 or None
        As in `History`; NaN after the member's end.
    """

    loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64] | None
    epochs: NDArray[np.int64]
    stopped_by: list[str]
    validation_accuracy: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        ends = ", ".join(f"{reason} {count}" for reason, count in Counter(self.stopped_by).items())
        return f"<PopulationHistory of {len(self.epochs)} members, at most {self.loss.shape[1]} epochs: stopped by {ends}>"


def html_of_last(columns: Mapping[str, Sequence[float] | NDArray[np.float64]], what: str, caption: str) -> str:
    """A table of the last values of columns that are as long, with their numbers, from 1 on, in a column called `what`."""
    count = min(map(len, columns.values()))
    numbers = range(max(0, count - SHOWN), count)
    rows = [[f"{k + 1}", *(f"{values[k]:.6g}" for values in columns.values())] for k in numbers]
    return html_table([what, *columns], rows, caption)


def best_epoch(history: History) -> int:
    """The best epoch by what was measured, counted from 0: the first one, if there are several."""
    if history.validation_accuracy is not None:
        return int(history.validation_accuracy.argmax())
    assert history.validation_loss is not None
    return int(history.validation_loss.argmin())


def history_of_member(history: PopulationHistory, place: int) -> History:
    """A member's own history, without what comes after its end."""
    epochs = int(history.epochs[place])
    measured = history.validation_loss, history.validation_accuracy
    loss, accuracy = (None if values is None else values[place, :epochs] for values in measured)
    return History(history.loss[place, :epochs], loss, epochs, history.stopped_by[place], accuracy)


def history_of_members(history: PopulationHistory, places: NDArray[np.intp]) -> PopulationHistory:
    return PopulationHistory(
        history.loss[places],
        None if history.validation_loss is None else history.validation_loss[places],
        history.epochs[places],
        [history.stopped_by[place] for place in places.tolist()],
        None if history.validation_accuracy is None else history.validation_accuracy[places],
    )


def check_history(history: PopulationHistory, count: int) -> None:
    shape = history.loss.shape
    validation = history.loss if history.validation_loss is None else history.validation_loss
    if len(shape) != 2 or shape != validation.shape or not len(history.epochs) == len(history.stopped_by) == shape[0] == count:
        raise ValueError(f"history must be that of {count} members; got losses of shapes {shape} and {validation.shape}")
    accuracy = history.validation_accuracy
    if accuracy is not None and (history.validation_loss is None or accuracy.shape != shape):
        raise ValueError(f"validation_accuracy must have the shape {shape} of validation_loss; got {accuracy.shape}")
    if history.epochs.min() < 0 or history.epochs.max() > shape[1]:
        raise ValueError(
            f"epochs must be from 0 to {shape[1]}, of which there are losses; got {history.epochs.min()} to {history.epochs.max()}"
        )


class TrainingState(NamedTuple):
    """Where a training stands, for another that goes on from there: see `train(keep_state=True)`."""

    optimizer: str
    seed: int
    data_seed: int | None
    epochs: int  # since the initial weights
    steps: int  # of the optimizer
    moments: NDArray[Any]  # (2, P), or (3, P) with the average of theta: see kernels/optimizers.py
    theta: NDArray[Any]  # (P,): for scaled inputs and targets
    scaling: tuple[NDArray[Any], ...]  # shift and scale of the inputs, then of the targets if these were scaled


class DivergedError(ArithmeticError):
    """The loss, or a parameter, stopped being finite.

    Attributes
    ----------
    epoch : int
        The epoch, counted from 0, in which it happened.
    loss : float
        The loss of that epoch.
    """

    def __init__(self, epoch: int, loss: float, learning_rates: float | NDArray[np.float64], advice: str = "") -> None:
        self.epoch, self.loss = epoch, loss
        what = "the weights are no longer finite" if np.isfinite(loss) else f"the loss became {loss}"
        rate, count, who = np.min(learning_rates), np.size(learning_rates), "training diverged in"
        tried = "" if np.isnan(rate) else f", with learning rates from {rate:g} to {np.max(learning_rates):g}"
        if count > 1:
            who = f"all {count} networks diverged{tried}, the first in"
        tip = "try other first weights" if np.isnan(rate) else f"try a learning_rate below {rate:g}"  # solvers have none
        super().__init__(f"{who} epoch {epoch}: {what}; {tip}{advice}")
