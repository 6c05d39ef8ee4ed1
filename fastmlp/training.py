"""train: checks the options, lays the data out, drives the epochs, keeps the history."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp import checks, chunks
from fastmlp.kernels import batch, online, optimizers
from fastmlp.model import MLP, History, default_loss, every_row, parameter_count

LEARNING_RATES = {"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adam": 0.01}
INITS = ("glorot", "he", "normal", "uniform")
CALL_SECONDS = 0.05  # what a kernel call should last: Ctrl-C and progress wait for its end
FIRST_CALL = 20_000_000  # parameters times rows, before anything is known of the time it takes
ORDER_ENTRIES = 1 << 20  # of row numbers that are shuffled in advance

OnEpoch = Callable[[int, float, float | None], Any]


class DivergedError(ArithmeticError):
    """The loss, or a parameter, stopped being finite.

    Attributes
    ----------
    epoch : int
        The epoch, counted from 0, in which it happened.
    loss : float
        The loss of that epoch.
    """

    def __init__(self, epoch: int, loss: float, learning_rate: float) -> None:
        self.epoch, self.loss = epoch, loss
        what = "the weights are no longer finite" if np.isfinite(loss) else f"the loss became {loss}"
        super().__init__(
            f"training diverged in epoch {epoch}: {what}; try a learning_rate below {learning_rate:g}, or standardize=True"
        )


def train(
    X: ArrayLike,
    y: ArrayLike,
    *,
    hidden: int | Sequence[int] | None = None,
    activation: str | Sequence[str] | None = None,
    output: str | None = None,
    loss: str | None = None,
    bias: bool | None = None,
    task: str | None = None,
    batch_size: int | None = 32,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    momentum: float = 0.9,
    l2: float = 0.0,
    epochs: int = 200,
    shuffle: bool = True,
    target_loss: float | None = None,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    standardize: bool | None = None,
    init: str | MLP = "glorot",
    seed: int | None = None,
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> MLP:
    """Train a multilayer perceptron.

    Parameters
    ----------
    X : (N, D)
        Rows of inputs. float32 is computed in float32 throughout, anything else in float64.
    y : (N,) or (N, K)
        Integers, booleans or strings make a classifier; floats a regressor, of K outputs if y has K columns.
    hidden : int or sequence of int
        Units of the hidden layers, by default (16,); () for none.
    activation : str or sequence of str
        Of the hidden layers, one name or one for each: "sigmoid", "tanh" (the default), "relu", "identity".
    output : str
        "sigmoid", "softmax" or "identity". By default one sigmoid unit for two classes, softmax for more, identity for a regressor.
    loss : str
        "cross_entropy" (in nats), "cross_entropy_bits", or "squared_error": half the squared error, summed over the outputs. The
        default is squared_error for an identity output, cross_entropy for the others.
    bias : bool
        Whether the layers have biases; yes by default.
    task : str
        "classification" or "regression", where the type of y says otherwise.
    batch_size : int or None
        Rows of a batch: 1 for per-sample updates, None for all. The last batch of an epoch may be smaller.
    optimizer : str
        "sgd" (plain gradient descent), "momentum", "nesterov" or "adam" (beta1 0.9, beta2 0.999, epsilon 1e-8).
    learning_rate : float
        By default 0.1 for sgd, 0.01 for the others.
    momentum : float
        Of "momentum" and "nesterov": from 0 to below 1.
    l2 : float
        Adds l2 / 2 times the sum of the squared weights (not biases) to what is minimised. The losses in `history` are without it.
    epochs : int
        Passes over the rows, at most.
    shuffle : bool
        Whether batches are drawn in a new order in each epoch. A full batch has no order.
    target_loss : float
        Stops after an epoch whose loss, as `history` has it, is at most this.
    validation : float or (X, y)
        Rows to measure after each epoch: a fraction to hold out (of each class alike), or rows of their own.
    patience : int
        Stops when the validation loss has not improved for so many epochs, and keeps the best weights.
    sample_weight : (N,)
        The weight of each row in the loss; scaled to a mean of 1, so that the learning rate keeps its meaning.
    class_weight : mapping or "balanced"
        A factor for the rows of each class (1 where it names none); "balanced" gives all classes the same sum.
    standardize : bool
        Whether the network is trained on (X - mean) / deviation; the scaling is then folded into the first layer, so that the
        network takes X as it is. By default yes, unless bias=False.
    init : str or MLP
        "glorot" (uniform, Glorot and Bengio 2010), "he" (normal, He et al. 2015), both with biases of 0; "normal" (0.1 N(0, 1)) and
        "uniform" (U[0, 1)), biases too; or a network to go on from, whose sizes, activations, output and classes are taken over.
    seed : int
        Of the initial weights, the order and the held-out rows. The same seed gives the same bits, for any number of threads.
    dtype : "float32" or "float64"
        What to compute in.
    threads : int
        How many threads a batch may be shared out to, where it is large enough to gain by it; by default one for each core.
    on_epoch : callable
        Called after each epoch with (epoch, loss, validation loss or None), epochs counted from 0; returning True stops.
    progress : bool
        Whether to show the epoch and the loss on stderr.

    Returns
    -------
    MLP
        With its `history`. After Ctrl-C, the network so far, with a RuntimeWarning.

    Raises
    ------
    ValueError
        If an argument is not as described; X, y or the weights hold NaN or infinity; or options contradict each other.
    DivergedError
        If the loss stops being finite.
    """
    x = checks.matrix("X", X, checks.dtype(dtype))
    model = _untrained(x, y, _Wanted(hidden, activation, output, loss, bias, task), init)
    targets = model.targets(y, len(x))
    checks.one_of("optimizer", optimizer, optimizers.CODES)
    rule = optimizers.Rule(
        optimizers.CODES[optimizer],
        LEARNING_RATES[optimizer] if learning_rate is None else checks.positive("learning_rate", learning_rate),
        checks.fraction("momentum", momentum),
        checks.not_negative("l2", l2),
    )
    limits = _Limits(
        epochs=checks.positive_int("epochs", epochs),
        target_loss=-1.0 if target_loss is None else checks.not_negative("target_loss", target_loss),
        patience=None if patience is None else checks.positive_int("patience", patience),
    )
    if patience is not None and validation is None:
        raise ValueError("patience needs validation: a fraction of the rows, or (X, y)")
    if standardize and not model.bias:
        raise ValueError("standardize=True needs biases to fold the scaling into; got bias=False")
    batch_size = None if batch_size is None else checks.positive_int("batch_size", batch_size)
    weights = checks.sample_weights(sample_weight, class_weight, model.classes, targets, x.dtype)

    for_init, for_split, for_order = (np.random.default_rng(s) for s in checks.seed(seed).spawn(3))
    x, targets, weights, held_out = _hold_out(x, targets, weights, model, validation, for_split)
    shift, scale = _scaling(x, model.bias if standardize is None else standardize)
    model.theta = _initial(init, model, shift, scale, for_init)
    data = batch.Data(x, targets, weights, shift, scale)
    run = _Run(model, data, rule, limits, batch_size, for_order if shuffle else None, checks.threads(threads))
    if held_out is not None:
        run.watch(held_out)
    run.go(on_epoch, progress)
    _rescale_inputs(model, shift, scale)
    return model


# -- what to train --------------------------------------------------------------------------------------------------------------


class _Wanted(NamedTuple):
    """The options that shape the network; None where they are to be inferred."""

    hidden: int | Sequence[int] | None
    activation: str | Sequence[str] | None
    output: str | None
    loss: str | None
    bias: bool | None
    task: str | None


def _untrained(x: NDArray[Any], y: ArrayLike, wanted: _Wanted, init: str | MLP) -> MLP:
    """A network without values yet."""
    given = init if isinstance(init, MLP) else None
    task = checks.task(wanted.task, y, given.classes if given else False)
    hidden = None if wanted.hidden is None else checks.hidden(wanted.hidden)
    if given:
        if x.shape[1] != given.layer_sizes[0]:
            raise ValueError(f"X must have {given.layer_sizes[0]} columns, as init has inputs; got {x.shape[1]}")
        own = given.layer_sizes[1:-1]
        checks.same("hidden", own if hidden is None else hidden, own)
        checks.same("activation", given.activations if wanted.activation is None
                    else checks.activations(wanted.activation, len(own)), given.activations)  # fmt: skip
        checks.same("output", wanted.output or given.output, given.output)
        checks.same("bias", given.bias if wanted.bias is None else wanted.bias, given.bias)
        return MLP(
            given.layer_sizes, np.zeros(given.theta.size, x.dtype), activations=given.activations, output=given.output,
            loss_name=wanted.loss or given.loss_name, bias=given.bias, classes=given.classes,
        )  # fmt: skip
    checks.one_of("init", init, INITS)
    hidden = (16,) if hidden is None else hidden
    if task == "classification":
        classes = checks.classes_of(y, len(x))
        output = wanted.output or ("sigmoid" if len(classes) == 2 else "softmax")
        n_out = 1 if output == "sigmoid" else len(classes)
    else:
        classes = None
        output = wanted.output or "identity"
        n_out = checks.columns("y", y)
    sizes = (x.shape[1], *hidden, n_out)
    bias = wanted.bias is None or bool(wanted.bias)
    activations = checks.activations("tanh" if wanted.activation is None else wanted.activation, len(hidden))
    theta = np.zeros(parameter_count(sizes, bias), dtype=x.dtype)
    loss = wanted.loss or default_loss(output)
    return MLP(sizes, theta, activations=activations, output=output, loss_name=loss, bias=bias, classes=classes)


class _Rows(NamedTuple):
    x: NDArray[Any]
    y: NDArray[Any]


def _hold_out(
    x: NDArray[Any],
    y: NDArray[Any],
    weights: NDArray[Any],
    model: MLP,
    validation: float | tuple[ArrayLike, ArrayLike] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], _Rows | None]:
    """The rows to train on, with weights of mean 1, and the rows to measure."""
    if validation is None:
        return x, y, weights, None
    if isinstance(validation, tuple):
        if len(validation) != 2:
            raise ValueError(f"validation must be a fraction or (X, y); got a tuple of {len(validation)}")
        other_x, other_y = validation
        other = checks.matrix("validation[0]", other_x, x.dtype, columns=x.shape[1])
        return x, y, weights, _Rows(other, model.targets(other_y, len(other), "validation"))
    share = checks.share("validation", validation)
    groups = [np.arange(len(x))] if model.classes is None else [np.flatnonzero(y[:, 0] == c) for c in np.unique(y)]
    held = np.zeros(len(x), dtype=bool)
    for rows in groups:
        held[rng.permutation(rows)[: min(round(share * len(rows)), len(rows) - 1)]] = True
    if not held.any():
        raise ValueError(f"validation={validation} of {len(x)} rows holds out none; give a larger fraction, or rows as (X, y)")
    weights = weights[~held]
    if not weights.any():
        raise ValueError("sample_weight must not be zero for all rows that validation leaves")
    return x[~held], y[~held], weights / weights.mean(), _Rows(x[held], y[held])


def _scaling(x: NDArray[Any], wanted: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """What to subtract from each column, and what to multiply it by then. A constant column is only shifted."""
    if not wanted:
        return np.zeros(x.shape[1], x.dtype), np.ones(x.shape[1], x.dtype)
    rows = max(1, checks.BLOCK // x.shape[1])
    blocks = [x[start : start + rows] for start in range(0, len(x), rows)]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(x)
        deviation = np.sqrt(sum(np.square(block - mean).sum(axis=0) for block in blocks) / len(x))
    if not np.isfinite(deviation).all():
        column = int(np.argmin(np.isfinite(deviation)))
        raise ValueError(f"column {column} of X is too large to be standardized; scale it down, or give standardize=False")
    limits = np.finfo(x.dtype)
    deviation[deviation <= limits.eps * np.abs(mean) + limits.tiny] = 1.0
    return mean.astype(x.dtype), (1 / deviation).astype(x.dtype)


def _initial(init: str | MLP, model: MLP, shift: NDArray[Any], scale: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The first theta, for scaled inputs."""
    if isinstance(init, MLP):
        model.theta = checks.finite("init.theta", init.theta).astype(model.dtype)
        _rescale_inputs(model, -shift.astype(np.float64) * scale, 1 / scale.astype(np.float64))
        return model.theta
    parts = []
    for n_in, n_out in pairwise(model.layer_sizes):
        shape = (n_in + 1 if model.bias else n_in, n_out)  # the biases are the last row
        if init == "normal":
            layer = 0.1 * rng.standard_normal(shape)
        elif init == "uniform":
            layer = rng.random(shape)
        else:
            if init == "glorot":
                limit = np.sqrt(6 / (n_in + n_out))
                layer = rng.uniform(-limit, limit, shape)
            else:
                layer = np.sqrt(2 / n_in) * rng.standard_normal(shape)
            layer[n_in:] = 0
        parts.append(layer.ravel())
    return np.concatenate(parts).astype(model.dtype)


def _rescale_inputs(model: MLP, shift: NDArray[Any], scale: NDArray[Any]) -> None:
    """Rewrites a first layer that was made for u = (x - shift) * scale as one for x."""
    first = model.weights[0]
    rescaled = first * scale.astype(np.float64)[:, None]
    first[:] = rescaled
    if model.bias:
        model.biases[0][:] -= shift.astype(np.float64) @ rescaled


# -- the epochs -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Limits:
    epochs: int
    target_loss: float
    patience: int | None


class _Run:
    """One training: many batches in a kernel call, or a large batch shared out to threads."""

    def __init__(
        self,
        model: MLP,
        data: batch.Data,
        rule: optimizers.Rule,
        limits: _Limits,
        batch_size: int | None,
        shuffle: np.random.Generator | None,
        threads: int,
    ) -> None:
        n = len(data.x)
        self.model, self.data, self.rule, self.limits, self.threads = model, data, rule, limits, threads
        self.theta = model.theta
        self.batch_size = min(batch_size or n, n)
        self.batches = -(-n // self.batch_size)
        self.shuffle = shuffle if self.batches > 1 else None
        self.order = every_row(n)[None]  # a row for each epoch that the next kernel call touches, or one for all
        self.sums = np.zeros(1)  # of the losses of each epoch
        self.counters = np.zeros(2, dtype=np.int64)  # steps; batches that are done
        self.state = np.zeros((2, self.theta.size), dtype=data.x.dtype)
        self.stopped_by = "epochs"
        self.validation_loss: list[float] = []
        self.best_epoch, self.best = 0, self.theta.copy()
        self.held_out: chunks.Chunked | None = None
        # Plain SGD on one sample has kernels of its own, where the lanes are neurons.
        self.one_by_one = self.batch_size == 1 and rule.optimizer == optimizers.SGD
        if self.one_by_one:
            self.scratch = online.scratch(model.layers, data.x.dtype)
        else:
            self.work = self._chunked(data, self.batch_size, keep_tiles=self.batches == 1)

    def _chunked(self, data: batch.Data, rows: int, *, keep_tiles: bool) -> chunks.Chunked:
        order = every_row(len(data.x))
        return chunks.Chunked(self.model.network, data, order, rows, self.theta.size, self.threads, keep_tiles=keep_tiles)

    def watch(self, rows: _Rows) -> None:
        """Rows whose loss is measured after each epoch."""
        ones = np.ones(len(rows.x), dtype=rows.x.dtype)
        data = batch.Data(rows.x, rows.y, ones, self.data.shift, self.data.scale)
        self.held_out = self._chunked(data, len(rows.x), keep_tiles=True)

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return int(self.counters[1]) // self.batches

    def go(self, on_epoch: OnEpoch | None, progress: bool) -> None:
        show = _progress_line(self.limits.epochs) if progress else None
        with chunks.workers(self.threads) as share_out:
            try:
                self._descend(share_out, on_epoch, show)
            except KeyboardInterrupt:
                self.stopped_by = "interrupt"
                message = f"training was interrupted after {self.epochs} of {self.limits.epochs} epochs; this is the network so far"
                warnings.warn(message, RuntimeWarning, stacklevel=3)
            finally:
                if show:
                    sys.stderr.write("\n")
        if not np.isfinite(self.theta).all():
            last = max(self.epochs - 1, 0)
            raise DivergedError(last, self.sums[last] / len(self.data.x), self.rule.learning_rate)
        if self.limits.patience and self.validation_loss:
            self.theta[:] = self.best
        epochs = self.epochs if self.held_out is None else len(self.validation_loss)  # Ctrl-C may come before the last is measured
        self.model.history = History(
            loss=self.sums[:epochs] / len(self.data.x),
            validation_loss=None if self.held_out is None else np.array(self.validation_loss),
            epochs=epochs,
            stopped_by=self.stopped_by,
        )

    def _descend(self, share_out: chunks.Map, on_epoch: OnEpoch | None, show: OnEpoch | None) -> None:
        n, total = len(self.data.x), self.limits.epochs * self.batches
        each_epoch = on_epoch is not None or self.held_out is not None
        budget = max(1, FIRST_CALL // (self.batch_size * self.theta.size))  # batches of a kernel call
        while self.counters[1] < total:
            first = int(self.counters[1])
            last = self._end_of_call(first, min(total, first + budget), each_epoch)
            if last > len(self.sums) * self.batches:
                self.sums = np.append(self.sums, np.zeros(max(len(self.sums), -(-last // self.batches))))
            if self.shuffle and first % self.batches == 0:
                self._shuffle_order(-(-(last - first) // self.batches))
            began = time.perf_counter()
            self._advance(first, last, share_out)
            seconds = time.perf_counter() - began
            budget = max(1, int(CALL_SECONDS / max(seconds / (last - first), 1e-9)))
            if self.epochs == first // self.batches:
                continue
            epoch = self.epochs - 1
            loss = float(self.sums[epoch]) / n
            if not np.isfinite(loss):
                raise DivergedError(epoch, loss, self.rule.learning_rate)
            validation_loss = self._validate(epoch, share_out)
            if show:
                show(epoch, loss, validation_loss)
            if on_epoch is not None and on_epoch(epoch, loss, validation_loss):
                self.stopped_by = "on_epoch"
            elif loss <= self.limits.target_loss:
                self.stopped_by = "target_loss"
            elif self.limits.patience and epoch - self.best_epoch >= self.limits.patience:
                self.stopped_by = "patience"
            if self.stopped_by != "epochs":
                return

    def _end_of_call(self, first: int, last: int, each_epoch: bool) -> int:
        """The batch to end a kernel call before: within an epoch, or at the end of one."""
        end_of_epoch = (first // self.batches + 1) * self.batches
        if last < end_of_epoch or each_epoch or first % self.batches:
            return min(last, end_of_epoch)
        epochs = (last - first) // self.batches
        if self.shuffle:
            epochs = max(1, min(epochs, ORDER_ENTRIES // len(self.data.x)))
        return first + epochs * self.batches

    def _shuffle_order(self, epochs: int) -> None:
        """The next epochs' orders: each a shuffle of the one before."""
        assert self.shuffle is not None
        order = np.empty((epochs, len(self.data.x)), dtype=np.int32)
        before = self.order[-1]
        for row in order:
            row[:] = before
            self.shuffle.shuffle(row)
            before = row
        self.order = order

    def _advance(self, first: int, last: int, share_out: chunks.Map) -> None:
        """Batches first to last - 1, counted over the epochs."""
        network, target = self.model.network, self.limits.target_loss
        if self.one_by_one:
            online.descend(
                self.theta, self.counters, self.sums, self.scratch, self.data, self.order, first, last, network, self.rule, target
            )  # fmt: skip
            return
        work = self.work
        if work.small:
            sizes = (self.batch_size, work.chunk, first, last)
            batch.descend(
                self.theta, self.state, self.counters, self.sums, work.total, work.gradients, work.losses, work.scratch[0],
                work.tiles[0], self.data, self.order, sizes, network, self.rule, target,
            )  # fmt: skip
            return
        for b in range(first, last):
            epoch, place = divmod(b, self.batches)
            work.order = self.order[min(epoch - first // self.batches, len(self.order) - 1)]
            start = place * self.batch_size
            stop = min(start + self.batch_size, len(self.data.x))
            self.sums[epoch] += work.sum_loss(self.theta, start, stop, share_out)
            batch.step(self.theta, self.state, self.counters, work.total, stop - start, network, self.rule)
            self.counters[1] = b + 1
            if place + 1 == self.batches and not target < self.sums[epoch] / len(self.data.x) < np.inf:
                return

    def _validate(self, epoch: int, share_out: chunks.Map) -> float | None:
        if self.held_out is None:
            return None
        n = len(self.held_out.data.x)
        loss = self.held_out.sum_loss(self.theta, 0, n, share_out, gradient=False) / n
        if not np.isfinite(loss):
            raise DivergedError(epoch, loss, self.rule.learning_rate)
        self.validation_loss.append(loss)
        if loss < self.validation_loss[self.best_epoch] or epoch == 0:
            self.best_epoch = epoch
            self.best[:] = self.theta
        return loss


def _progress_line(epochs: int) -> OnEpoch:
    """Shows the epoch and its losses on one line of stderr, some ten times a second."""
    shown = 0.0

    def show(epoch: int, loss: float, validation_loss: float | None) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < 0.1 and epoch + 1 < epochs:
            return
        shown = now
        held_out = "" if validation_loss is None else f"  validation {validation_loss:.6g}"
        sys.stderr.write(f"\repoch {epoch + 1}/{epochs}  loss {loss:.6g}{held_out}\x1b[K")
        sys.stderr.flush()

    return show
