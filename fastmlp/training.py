"""train: checks the options, decides on the network, and lays the data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp import checks
from fastmlp.descent import Limits, OnEpoch, Rows, Run
from fastmlp.kernels import batch, optimizers
from fastmlp.model import MLP, default_loss, every_row, parameter_count

LEARNING_RATES = {"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adam": 0.01}
INITS = ("glorot", "he", "normal", "uniform")


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
    wanted = checks.dtype(dtype)
    x = checks.matrix("X", X, wanted)
    model = _untrained(x, wanted or checks.floating_dtype(x), y, _Wanted(hidden, activation, output, loss, bias, task), init)
    targets = model.targets(y, len(x))
    checks.one_of("optimizer", optimizer, optimizers.CODES)
    rule = optimizers.Rule(
        optimizers.CODES[optimizer],
        LEARNING_RATES[optimizer] if learning_rate is None else checks.positive("learning_rate", learning_rate),
        checks.fraction("momentum", momentum),
        checks.not_negative("l2", l2),
    )
    limits = Limits(
        epochs=checks.positive_int("epochs", epochs),
        target_loss=-1.0 if target_loss is None else checks.not_negative("target_loss", target_loss),
        patience=None if patience is None else checks.positive_int("patience", patience),
    )
    if patience is not None and validation is None:
        raise ValueError("patience needs validation: a fraction of the rows, or (X, y)")
    if standardize and not model.bias:
        raise ValueError("standardize=True needs biases to fold the scaling into; got bias=False")
    batch_size = None if batch_size is None else checks.positive_int("batch_size", batch_size)
    weights = checks.sample_weights(sample_weight, class_weight, model.classes, targets, model.dtype)

    for_init, for_split, for_order = (np.random.default_rng(s) for s in checks.seed(seed).spawn(3))
    order, weights, held_out = _hold_out(x, targets, weights, model, validation, for_split)
    shift, scale = _scaling(x, order, model.dtype, model.bias if standardize is None else standardize)
    model.theta = _initial(init, model, shift, scale, for_init)
    data = batch.Data(x, targets, weights, shift, scale)
    run = Run(model, data, order, rule, limits, batch_size, for_order if shuffle else None, checks.threads(threads))
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


def _untrained(x: NDArray[Any], dtype: Any, y: ArrayLike, wanted: _Wanted, init: str | MLP) -> MLP:
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
            given.layer_sizes, np.zeros(given.theta.size, dtype), activations=given.activations, output=given.output,
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
    theta = np.zeros(parameter_count(sizes, bias), dtype=dtype)
    loss = wanted.loss or default_loss(output)
    return MLP(sizes, theta, activations=activations, output=output, loss_name=loss, bias=bias, classes=classes)


def _hold_out(
    x: NDArray[Any],
    y: NDArray[Any],
    weights: NDArray[Any],
    model: MLP,
    validation: float | tuple[ArrayLike, ArrayLike] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[Any], Rows | None]:
    """The numbers of the rows to train on, the weights with a mean of 1 over them, and the rows to measure."""
    if validation is None:
        return every_row(len(x)), weights, None
    if isinstance(validation, tuple):
        if len(validation) != 2:
            raise ValueError(f"validation must be a fraction or (X, y); got a tuple of {len(validation)}")
        other_x, other_y = validation
        other = checks.matrix("validation[0]", other_x, model.dtype, columns=x.shape[1])
        rows = Rows(other, model.targets(other_y, len(other), "validation"), every_row(len(other)))
        return every_row(len(x)), weights, rows
    share = checks.share("validation", validation)
    groups = [np.arange(len(x))] if model.classes is None else [np.flatnonzero(y[:, 0] == c) for c in np.unique(y)]
    held = np.zeros(len(x), dtype=bool)
    for rows_of_class in groups:
        held[rng.permutation(rows_of_class)[: min(round(share * len(rows_of_class)), len(rows_of_class) - 1)]] = True
    if not held.any():
        raise ValueError(f"validation={validation} of {len(x)} rows holds out none; give a larger fraction, or rows as (X, y)")
    if len(weights) > 1:
        if not weights[~held].any():
            raise ValueError("sample_weight must not be zero for all rows that validation leaves")
        weights = weights / weights[~held].mean()
    kept, measured = (np.flatnonzero(rows).astype(np.int32) for rows in (~held, held))
    return kept, weights, Rows(x, y, measured)


def _scaling(x: NDArray[Any], order: NDArray[np.int32], dtype: Any, wanted: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """What to subtract from each column, and what to multiply it by then. A constant column is only shifted."""
    if not wanted:
        return np.zeros(x.shape[1], dtype), np.ones(x.shape[1], dtype)
    step = max(1, checks.BLOCK // x.shape[1])
    starts = range(0, len(order), step)

    def block(at: int) -> NDArray[np.float64]:
        """Some rows, as the kernels see them."""
        return x[order[at : at + step]].astype(dtype, copy=False).astype(np.float64, copy=False)

    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(block(at).sum(axis=0) for at in starts) / len(order)
        deviation = np.sqrt(sum(np.square(block(at) - mean).sum(axis=0) for at in starts) / len(order))
    if not np.isfinite(deviation).all():
        column = int(np.argmin(np.isfinite(deviation)))
        raise ValueError(f"column {column} of X is too large to be standardized; scale it down, or give standardize=False")
    limits = np.finfo(dtype)
    deviation[deviation <= limits.eps * np.abs(mean) + limits.tiny] = 1.0
    return mean.astype(dtype), (1 / deviation).astype(dtype)


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
