"""Trainer: one network, trained on rows as they come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, interrupts, labels
from fastmlp.kernels import optimizers
from fastmlp.literals import Task
from fastmlp.networks.history import DivergedError, History, html_of_last
from fastmlp.networks.mlp import MLP
from fastmlp.networks.provenance import made_with
from fastmlp.training.data import shuffled_rows
from fastmlp.training.defaults import BATCH_SIZE, check_takes_batches, default_rate
from fastmlp.training.initial import ORDER, check_huber_delta, dropped_by, first_thetas, stream, untrained
from fastmlp.training.option_types import PiecewiseOptions
from fastmlp.training.options import DEFAULTS, Options
from fastmlp.training.scaling import Scaling, fold, is_standardized, no_rows, scaled, unfold
from fastmlp.training.steps import Steps

MOVED = 0.01  # of a deviation: how far a mean has to move, or by which part a deviation to change, for columns to be scaled anew
FEWEST_CLASSES = 2
BLOCK_WORK = 1 << 25  # parameters times rows that are done before anybody interrupts
ENOUGH = 1 << 17  # rows, after which means and deviations are known


class StreamOptions(PiecewiseOptions, total=False):
    """The options of a Trainer."""

    batch_size: int
    l2: float
    class_weight: Mapping[Any, float] | None


class Trainer:
    """A training on rows as they come: of more than memory holds, or as they are measured.

    Each call of `partial_fit` trains on its rows once, in batches. From call to call it keeps what the optimizer knows, and the
    means and deviations of the columns so far, by which they are scaled (Chan, Golub and LeVeque 1983): where these change, the
    first and the last layer are rewritten, so that the network stays the function that it is. After 131072 rows they stay as they
    are.

    Parameters
    ----------
    classes : iterable of C labels, optional
        All labels that there will be, for a classifier; by default those of the first rows.
    **options
        Those of `train` but for such as need all rows, or know of an end: hidden, activation, output, loss, huber_delta, bias,
        task, batch_size (a number), optimizer (no solver), learning_rate, momentum, beta1, beta2, epsilon, l2 (0 by default), l1,
        dropout, clip, average, shuffle (the rows of a call), class_weight (a mapping), standardize, init, seed, dtype.

    Attributes
    ----------
    rows : int
        How many rows it has seen.
    losses : list of float
        The mean loss of each call's rows, each as it was seen before the step to which its batch led.

    Raises
    ------
    ValueError
        If an option is not as described.

    Examples
    --------
    >>> trainer = Trainer(hidden=16, classes=["no", "yes"], seed=0)
    >>> for X, y in batches:
    ...     trainer.partial_fit(X, y)
    >>> model = trainer.finish()
    """

    def __init__(self, *, classes: Iterable[Any] | None = None, **options: Unpack[StreamOptions]) -> None:
        checks.known_options("Trainer", options, {"classes", *StreamOptions.__annotations__}, DEFAULTS.keys() | checks.OF_TRAIN)
        check_takes_batches(options.get("optimizer"))
        if "batch_size" in options:
            checks.positive_int("batch_size", options["batch_size"])
        if isinstance(options.get("class_weight"), str):
            raise ValueError("class_weight must be a mapping, as nobody knows how many rows of each class there will be")
        given: dict[str, Any] = {"l2": 0.0, "schedule": "constant", **options}
        if classes is not None:
            given.setdefault("task", "classification")
        self._options = Options.checked({**DEFAULTS, **given}, np.zeros((BATCH_SIZE, 1)))
        self._classes = None if classes is None else _labels_to_come(classes, self._options.task)
        self._state: _State | None = None
        self.rows, self.losses = 0, list[float]()

    def __repr__(self) -> str:
        so_far = "before its first rows" if self._state is None else f"of {self._state.network} after {self.rows} rows"
        return f"<Trainer {so_far}>"

    def _repr_html_(self) -> str:
        return html_of_last({"loss": self.losses}, "call", repr(self).strip("<>"))

    @checks.takes_options()
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on these rows, once.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs, in the dtype of the first ones unless `dtype` says another one.
        y : (N,) or (N, K)
            Their labels or targets.
        sample_weight : (N,), optional
            The weight of each row in the loss, as it is: nobody knows the mean of all.

        Returns
        -------
        The trainer itself. Ctrl-C leaves it after a whole batch, with a KeyboardInterrupt.

        Raises
        ------
        ValueError
            If X or y is not as described, or does not fit the rows before; then nothing has changed.
        DivergedError
            If the loss is not finite.
        """
        state = self._state
        if state is None:
            x = arrays.floating(arrays.matrix("X", X, self._options.dtype), self._options.dtype)
            arrays.same_length("y", arrays.as_array("y", y), len(x))
            state = self._begin(x, y, X)
        else:
            own = state.network
            x = arrays.matrix("X", X, own.dtype, columns=own.layer_sizes[0], names=own.feature_names)
            x = arrays.floating(x, own.dtype)
        network = state.network
        targets = network.targets(y, len(x))
        weights = self._weights(sample_weight, targets, state)
        with interrupts.noted():
            state.see(x, targets)
            self._state = state
            self.losses.append(self._learn(state, x, scaled(targets, state.outputs), weights))
        if not (math.isfinite(self.losses[-1]) and state.steps.is_finite()):
            raise DivergedError(len(self.losses) - 1, self.losses[-1], state.rule.learning_rate)
        return self

    def finish(self) -> MLP:
        """The network as it is now; the training may go on.

        Raises
        ------
        ValueError
            If there were no rows yet.
        """
        if self._state is None:
            raise ValueError("finish needs rows: give some to partial_fit")
        state = self._state
        state.steps.write_back()
        averaged = state.rule.method.average > 0 and self.losses
        model = state.network.like(np.array(state.moments[2] if averaged else state.network.theta))
        fold(model, model._theta[None], state.inputs, state.outputs)
        if not arrays.all_finite(model.theta):
            raise DivergedError(len(self.losses) - 1, self.losses[-1], state.rule.learning_rate)
        model.history = History(np.array(self.losses), None, len(self.losses), "epochs")
        rate = {"learning_rate": state.rule.learning_rate}
        model.made_with = {"seed": self._options.seed, **made_with(self.rows, self._options.record("train") | rate)}
        return model

    # -- how ----------------------------------------------------------------------------------------------------------------------

    def _begin(self, x: NDArray[Any], y: ArrayLike, given: ArrayLike) -> _State:
        """The network before its first rows."""
        options, init = self._options, self._options.init
        known = y if self._classes is None else self._classes
        names = arrays.column_names(given)
        network = untrained((len(np.asarray(known)), x.shape[1]), x.dtype, known, options, init, names)
        check_huber_delta(options, [network])
        if isinstance(init, str):
            first_thetas(init, network, [options.seed], network._theta[None])
        else:
            network.theta = init.theta
        rate = default_rate(options.optimizer, network) if options.learning_rate is None else options.learning_rate
        method = options.method(1, len(x))
        rule = optimizers.Rule(method, rate, options.momentum, options.l2)
        moments = np.zeros((2 + (method.average > 0), network.theta.size), network.dtype)
        counters = np.zeros(2, np.int64)
        steps = Steps(network, moments, counters, dropped_by(options, network, [options.seed]), write_back=False)
        standardized = is_standardized(network, options.standardize)
        begun = not isinstance(init, str)
        return _State(network, steps, rule, moments, standardized, stream(options.seed, ORDER), begun)

    def _weights(self, given: ArrayLike | None, targets: NDArray[Any], state: _State) -> NDArray[Any]:
        factors, network = self._options.class_weight, state.network
        if given is None and factors is None:
            return state.alike
        weights = np.ones(len(targets)) if given is None else arrays.unscaled_weights(given, len(targets))
        if factors is not None:
            weights = weights * labels.class_factors(factors, network.classes, targets, weights)[targets[:, 0].astype(np.intp)]
        return weights.astype(network.dtype)

    def _learn(self, state: _State, x: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any]) -> float:
        """The mean loss of the rows, a block of whole batches after the other."""
        n, size = len(x), self._options.batch_size
        order = shuffled_rows(n, state.random if self._options.shuffle and size < n else None)
        block = max(1, BLOCK_WORK // (size * state.network.theta.size)) * size
        total = 0.0
        for first in range(0, n, block):
            rows = order[first : first + block]
            batch = x if len(rows) == n else x[rows]
            own = order if len(rows) == n else None
            taken = targets if own is not None else targets[rows]
            weight = weights if own is not None or len(weights) == 1 else weights[rows]
            total += state.steps.over(batch, taken, weight, state.next_rule(), min(size, len(rows)), own, state.inputs) * len(rows)
            self.rows += len(rows)
            interrupts.raise_noted()
        return total / n


def _labels_to_come(classes: Any, task: Task | None) -> NDArray[Any]:
    """The sorted labels; what is wrong with them is told of `classes`."""
    if task == "regression":
        raise ValueError("classes are for classification; got task='regression'")
    if (
        isinstance(classes, str)
        or not isinstance(classes, Iterable)
        or len(listed := list(classes)) < FEWEST_CLASSES
        or np.ndim(listed[0])
    ):
        raise ValueError(f"classes must be all labels that there will be, at least {FEWEST_CLASSES}; got {checks.shown(classes)}")
    try:
        return labels.classes_of(np.array(listed) if isinstance(classes, np.ndarray) else listed, len(listed))
    except ValueError as error:
        raise ValueError(f"classes cannot be labels: {error}".replace(" y ", " they ").replace(" y[", " classes[")) from None


def _has_moved(old: Scaling, new: Scaling) -> bool:
    """So far that it is worth to scale anew."""
    shifted = np.abs(new.shift - old.shift) * old.scale
    return bool((shifted > MOVED).any() or (np.abs(new.scale / old.scale - 1) > MOVED).any())


@dataclass
class _State:
    """How far a training has come."""

    network: MLP  # for scaled columns
    steps: Steps
    rule: optimizers.Rule
    moments: NDArray[Any]
    standardized: bool
    random: np.random.Generator
    begun: bool  # whether its parameters are for columns as they are

    def __post_init__(self) -> None:
        network = self.network
        self.inputs, self.outputs = Scaling(*network.unscaled), None  # type: Scaling, Scaling | None
        self._x = no_rows(network.layer_sizes[0])
        self._y = no_rows(network.layer_sizes[-1]) if self.standardized and network.output == "identity" else None
        self.alike = np.ones(1, network.dtype)  # the weight of all rows
        self._calls = 0

    def next_rule(self) -> optimizers.Rule:
        """That of the next block, which counts as an epoch for dropout."""
        if not self.steps.drops:
            return self.rule
        self._calls += 1
        schedule = self.rule.method.schedule._replace(before=self._calls - 1)
        return self.rule._replace(method=self.rule.method._replace(schedule=schedule))

    def see(self, x: NDArray[Any], targets: NDArray[Any]) -> None:
        """Scales columns anew, where these rows have changed what is known of them; after an error all is as it was."""
        if not self.standardized or self._x.rows >= ENOUGH:
            return
        first, dtype = not self._x.rows, self.network.dtype
        of_x, of_y = self._x.with_rows(x), None if self._y is None else self._y.with_rows(targets)
        inputs, outputs = of_x.scaling(dtype), None if of_y is None else of_y.scaling(dtype)
        if first or _has_moved(self.inputs, inputs) or (outputs and self.outputs and _has_moved(self.outputs, outputs)):
            if self.begun or not first:
                self.steps.write_back()
                own = [self.network._theta, *self.moments[2:]]
                for theta, scaled_anew in zip(own, [self._anew(theta, inputs, outputs) for theta in own], strict=True):
                    theta[:] = scaled_anew
            self.inputs, self.outputs = inputs, outputs
        self._x, self._y = of_x, of_y

    def _anew(self, theta: NDArray[Any], inputs: Scaling, outputs: Scaling | None) -> NDArray[Any]:
        """Parameters of the same function of columns that are scaled in another way."""
        theta = theta[None].copy()
        fold(self.network, theta, self.inputs, self.outputs)
        return unfold(self.network, theta, inputs, outputs)[0]
