"""train: checks the options, decides on the network, and lays the data out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypedDict, get_args

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels import batch, optimizers
from fastmlp.kernels.simd import readable
from fastmlp.literals import Activation, Dtype, Init, Loss, Optimizer, Output, Schedule, Task
from fastmlp.networks.history import TrainingState
from fastmlp.networks.layout import parameter_count
from fastmlp.networks.mlp import MLP, default_loss
from fastmlp.networks.objective import every_row
from fastmlp.networks.provenance import made_with
from fastmlp.threads import thread_count
from fastmlp.training.descent import Limits, OnEpoch, Order, Rows, Run

LEARNING_RATES = {"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adam": 0.006}
MOST_OF_ADAM = 0.06
STEEP = 16  # units, beyond which the loss is so steep that plain gradient descent has to take shorter steps
HIDDEN, BATCH_SIZE = (100,), 32
ACTIVATION: Activation = "relu"
INITS: tuple[Init, ...] = get_args(Init)


@checks.takes_options()
def train(
    X: ArrayLike,
    y: ArrayLike,
    *,
    hidden: int | Sequence[int] | None = None,
    activation: Activation | Sequence[Activation] | None = None,
    output: Output | None = None,
    loss: Loss | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    batch_size: int | None = BATCH_SIZE,
    optimizer: Optimizer = "adam",
    learning_rate: float | None = None,
    momentum: float = 0.9,
    l2: float | None = None,
    schedule: Schedule | None = None,
    warmup: float = 0.0,
    epochs: int | None = None,
    shuffle: bool = True,
    target_loss: float | None = None,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    standardize: bool | None = None,
    init: Init | MLP = "glorot",
    keep_state: bool = False,
    bootstrap: bool = False,
    seed: int | None = None,
    data_seed: int | None = None,
    dtype: Dtype | None = None,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> MLP:
    """Train a multilayer perceptron.

    The defaults belong together: on some fifty public data sets they make a network about as good as scikit-learn's default, or
    better, at least seven times sooner (`pytest benchmarks/test_quality.py`).

    Parameters
    ----------
    X : (N, D)
        Rows of inputs. float32 is computed in float32 throughout, anything else in float64.
    y : (N,) or (N, K)
        Integers, booleans or strings make a classifier; floats a regressor, of K outputs if y has K columns.
    hidden : int or sequence of int
        Units of the hidden layers, by default (100,); () for none.
    activation : str or sequence of str
        Of the hidden layers, one name or one for each: "sigmoid", "tanh", "relu" (the default), "identity".
    output : str
        "sigmoid", "softmax" or "identity". By default one sigmoid unit for two classes, softmax for more, identity for a regressor.
    loss : str
        "cross_entropy" (in nats), "cross_entropy_bits", or "squared_error": half the squared error, summed over the outputs. The
        default is squared_error for an identity output, cross_entropy for the others. Where targets are standardised, it is that
        of the standardised ones.
    bias : bool
        Whether the layers have biases; yes by default.
    task : str
        "classification" or "regression", where the type of y says otherwise.
    batch_size : int or None
        Rows of a batch: 1 for per-sample updates, None for all. The last batch of an epoch may be smaller.
    optimizer : str
        "sgd" (plain gradient descent), "momentum", "nesterov" or "adam" (beta1 0.9, beta2 0.999, epsilon 1e-8).
    learning_rate : float
        By default for adam 0.006, and where the narrowest hidden layer has H < 100 units sqrt(100 / H) times as much, at most 0.06;
        0.1 for sgd, 0.01 for momentum and nesterov, and where the widest hidden layer has H > 16 units 16 / H of that.
    momentum : float
        Of "momentum" and "nesterov": from 0 to below 1.
    l2 : float
        Adds l2 / 2 times the sum of the squared weights (not biases) to what is minimised. The losses in `history` are without it.
        By default 2 / N, but at most 0.01, for adam with its default learning rate (which makes the prior of each weight a normal
        distribution of variance 1/2), else 0.
    schedule : str
        How the learning rate changes from epoch to epoch: "constant", or after `warmup` falling to 0: "cosine" (half a period,
        Loshchilov and Hutter 2017), "linear". The rate of an epoch is that of its middle. By default cosine for adam with its
        default learning rate, else constant.
    warmup : float
        Epochs in which the learning rate first rises linearly from 0.
    epochs : int
        Passes over the rows, at most. By default for adam 30 (1000 / N)^(1/8), of which D > 64 columns need only a share of
        sqrt(64 / D); but at least 6, and as many as make 200 batches of 32 rows, up to 200. For the others 200.
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
        Whether the network is trained on (X - mean) / deviation, and a regressor of identity output on (y - mean) / deviation, of
        the rows that are trained on; the scaling is then folded into the first and the last layer, so that the network takes X
        and speaks of y as they are. By default yes, unless bias=False.
    init : str or MLP
        "glorot" (uniform, Glorot and Bengio 2010), "he" (normal, He et al. 2015), both with biases of 0; "normal" (0.1 N(0, 1)) and
        "uniform" (U[0, 1)), biases too; or a network to go on from, whose sizes, activations, output and classes are taken over.
    keep_state : bool
        Whether the network keeps (and saves) what the optimizer knows. A training with such a network for `init`, and with the same
        data and options, goes on as if it had never stopped: 5 and 5 epochs give the same bits as 10, if the schedule is
        "constant". It then is so by default, since nobody knows the last epoch (the others fall to 0 within each training), and
        the seed is that of the network. Where the optimizer or the dtype is another one, the state is not used.
    bootstrap : bool
        Whether each row counts as often as it comes up in as many draws with replacement (bagging, Breiman 1996).
    seed : int
        Of the initial weights, the order, the held-out rows and the bootstrap. The same seed gives the same bits, for any number
        of threads.
    data_seed : int
        Of the order and the held-out rows, where these are not to depend on `seed`.
    dtype : "float32" or "float64"
        What to compute in.
    threads : int
        How many threads a batch may be shared out to, where it is large enough to gain by it; by default one for each core.
    on_epoch : callable
        Called after each epoch with (epoch, loss, validation loss or None), epochs counted from 0; returning True stops.
    progress : bool
        Whether to show the epoch, the loss and the time that is left on stderr; and what compiles, which on a terminal or in a
        notebook is told in any case.

    Returns
    -------
    MLP
        With its `history`, and with `made_with`, which has the seed that was drawn if none is given. After Ctrl-C, the network as
        it was after the last whole epoch, with a RuntimeWarning.

    Raises
    ------
    ValueError
        If an argument is not as described; X, y or the weights hold NaN or infinity; or options contradict each other.
    DivergedError
        If the loss stops being finite.
    """
    options = dict(locals())
    checks.yes_or_no(
        bias=bias, shuffle=shuffle, standardize=standardize, bootstrap=bootstrap, keep_state=keep_state, progress=progress
    )  # fmt: skip
    wanted, validation, on_epoch = checks.dtype(dtype), checks.rows_beside(validation), checks.callback("on_epoch", on_epoch)
    x = arrays.matrix("X", X, wanted)
    y = arrays.as_array("y", y)
    meant = Wanted(hidden, activation, output, loss, bias, task, arrays.column_names(X))
    model = untrained(x, wanted or arrays.floating_dtype(x), y, meant, init)
    targets = model.targets(y, len(x))
    ask_what_is_meant(model, y, meant, init)
    checks.one_of("optimizer", optimizer, optimizers.CODES)
    default = defaults(optimizer, learning_rate is not None, x)
    state = state_of(init, optimizer, model.dtype)
    if keep_state or state is not None:
        default = default._replace(schedule="constant")
    schedule = default.schedule if schedule is None else schedule
    limits = limits_of(default.epochs if epochs is None else epochs, target_loss, patience, validation)
    if state is not None and seed is None and data_seed in (None, state.data_seed):
        seed, data_seed = state.seed, state.data_seed
    streams = Streams(checks.seed("seed", seed), None if data_seed is None else checks.seed("data_seed", data_seed))
    before = state.epochs if state is not None and streams == (state.seed, state.data_seed) else 0
    rule = optimizers.Rule(
        optimizers.CODES[optimizer],
        default_rate(optimizer, model) if learning_rate is None else checks.positive("learning_rate", learning_rate),
        checks.fraction("momentum", momentum),
        default.l2 if l2 is None else checks.not_negative("l2", l2),
        schedule_of(schedule, warmup, limits.epochs, before),
    )
    standardized = is_standardized(model, standardize)
    batch_size = None if batch_size is None else checks.positive_int("batch_size", batch_size)
    weights = labels.sample_weights(sample_weight, class_weight, model.classes, targets, model.dtype)

    kept, held_out = _hold_out(x, targets, model, validation, streams)
    weights = row_weights(weights, len(x), kept, streams if bootstrap else None)
    inputs, outputs = input_scaling(model, x, kept, standardized), output_scaling(model, targets, kept, standardized)
    if not isinstance(init, MLP):
        model.theta = first_thetas(init, model, [streams])[0]
    elif state is not None and is_of(state, init, inputs, outputs):
        model.theta = state.theta.copy()
    else:
        model.theta = carried_on(model, init.theta[None], inputs, outputs)[0]
    data = batch.Data(readable(x), scaled(targets, outputs), weights, *inputs)
    order = Order(kept, streams.order() if shuffle else None)
    run = Run(model, data, order, rule, limits, batch_size, thread_count(threads))
    order.skip(before)
    if state is not None:
        run.take_up(state.moments, state.steps)
    if held_out is not None:
        run.watch(held_out._replace(y=data.y if held_out.y is targets else scaled(held_out.y, outputs)))
    run.go(on_epoch, progress)
    if keep_state:
        model.state = TrainingState(
            optimizer, *streams, before + model.history.epochs, int(run.counters[0]), run.state, model.theta.copy(),
            (*inputs, *(outputs or ())),
        )  # fmt: skip
    fold(model, model.theta[None], inputs, outputs)
    options |= {"learning_rate": rule.learning_rate, "l2": rule.l2, "schedule": schedule, "epochs": limits.epochs}
    model.made_with = {"seed": streams.seed, **made_with(len(x), options)}
    return model


class TrainOptions(TypedDict, total=False):
    """The options of `train`, for functions that hand them on."""

    hidden: int | Sequence[int] | None
    activation: Activation | Sequence[Activation] | None
    output: Output | None
    loss: Loss | None
    bias: bool | None
    task: Task | None
    batch_size: int | None
    optimizer: Optimizer
    learning_rate: float | None
    momentum: float
    l2: float | None
    schedule: Schedule | None
    warmup: float
    epochs: int | None
    shuffle: bool
    target_loss: float | None
    validation: float | tuple[ArrayLike, ArrayLike] | None
    patience: int | None
    sample_weight: ArrayLike | None
    class_weight: Mapping[Any, float] | Literal["balanced"] | None
    standardize: bool | None
    init: Init | MLP
    keep_state: bool
    bootstrap: bool
    seed: int | None
    data_seed: int | None
    dtype: Dtype | None
    threads: int | None
    on_epoch: Callable[..., Any] | None  # whose losses are those of one network, or of many
    progress: bool


class Defaults(NamedTuple):
    """Of the options of a descent."""

    l2: float
    schedule: Schedule
    epochs: int


def defaults(optimizer: str, own_rate: bool, x: NDArray[Any]) -> Defaults:
    """Those for inputs (N, D), where a learning rate is given or not. benchmarks/test_quality.py measures how good they are."""
    rows, columns = x.shape
    if optimizer != "adam":
        return Defaults(0.0, "constant", 200)
    enough = 30 * (1000 / rows) ** (1 / 8) * math.sqrt(min(1.0, 64 / columns))
    fewest = min(200, math.ceil(200 * BATCH_SIZE / rows))
    epochs = max(6, fewest, round(enough))
    return Defaults(0.0, "constant", epochs) if own_rate else Defaults(min(2 / rows, 0.01), "cosine", epochs)


def default_rate(optimizer: str, model: MLP) -> float:
    """The learning rate for a network. Adam's steps are as long as the rate whatever the gradient is: it is higher where fewer
    units share the way. Those of the others grow with the gradient, as that does with the units: it is lower where there are
    many."""
    hidden, rate = model.layer_sizes[1:-1] or (1,), LEARNING_RATES[optimizer]
    if optimizer == "adam":
        return min(MOST_OF_ADAM, rate * math.sqrt(max(1.0, HIDDEN[0] / min(hidden))))
    return rate * min(1.0, STEEP / max(hidden))


def schedule_of(name: str, warmup: float, epochs: int, before: int = 0) -> optimizers.Schedule:
    code = optimizers.SCHEDULES[checks.one_of("schedule", name, optimizers.SCHEDULES)]
    warmup = checks.not_negative("warmup", warmup)
    if warmup >= before + epochs:
        raise ValueError(f"warmup must be fewer epochs than epochs={epochs}; got {warmup:g}")
    return optimizers.Schedule(code, warmup, epochs, before)


def limits_of(epochs: Any, target_loss: Any, patience: Any, validation: Any) -> Limits:
    if patience is not None and validation is None:
        raise ValueError("patience needs validation: a fraction of the rows, or (X, y)")
    return Limits(
        epochs=checks.positive_int("epochs", epochs),
        target_loss=-1.0 if target_loss is None else checks.not_negative("target_loss", target_loss),
        patience=None if patience is None else checks.positive_int("patience", patience),
    )


# -- what to train --------------------------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """The options that shape the network; None where they are to be inferred."""

    hidden: int | Sequence[int] | None
    activation: Activation | Sequence[Activation] | None
    output: Output | None
    loss: Loss | None
    bias: bool | None
    task: Task | None
    feature_names: tuple[str, ...] | None = None


def untrained(x: NDArray[Any], dtype: Any, y: ArrayLike, wanted: Wanted, init: str | MLP) -> MLP:
    """A network without values yet."""
    given = init if isinstance(init, MLP) else None
    task = labels.task(wanted.task, y, given.classes if given else False)
    hidden = None if wanted.hidden is None else checks.hidden(wanted.hidden)
    if given:
        if x.shape[1] != given.layer_sizes[0]:
            raise ValueError(f"X must have {given.layer_sizes[0]} columns, as init has inputs; got {x.shape[1]}")
        own = given.layer_sizes[1:-1]
        checks.same("hidden", own if hidden is None else hidden, own)
        checks.same("activation", given.activations if wanted.activation is None
                    else checks.activations(wanted.activation, len(own)), given.activations)  # fmt: skip
        checks.same("output", given.output if wanted.output is None else wanted.output, given.output)
        checks.same("bias", given.bias if wanted.bias is None else wanted.bias, given.bias)
        return MLP(
            given.layer_sizes, np.zeros(given.theta.size, dtype), activations=given.activations, output=given.output,
            loss_name=given.loss_name if wanted.loss is None else wanted.loss, bias=given.bias, classes=given.classes,
            feature_names=arrays.same_columns("X", wanted.feature_names, given.feature_names),
        )  # fmt: skip
    checks.one_of("init", init, INITS)
    hidden = HIDDEN if hidden is None else hidden
    if task == "classification":
        classes = labels.classes_of(y, len(x))
        output = wanted.output if wanted.output is not None else "sigmoid" if len(classes) == 2 else "softmax"
        n_out = 1 if output == "sigmoid" else len(classes)
    else:
        classes = None
        output = "identity" if wanted.output is None else wanted.output
        n_out = arrays.columns("y", y)
    sizes = (x.shape[1], *hidden, n_out)
    bias = wanted.bias is None or bool(wanted.bias)
    activations = checks.activations(ACTIVATION if wanted.activation is None else wanted.activation, len(hidden))
    parameters = parameter_count(sizes, bias)
    checks.memory(f"a network of {parameters} parameters", parameters * np.dtype(dtype).itemsize)
    theta = np.zeros(parameters, dtype=dtype)
    loss = default_loss(output) if wanted.loss is None else wanted.loss
    return MLP(
        sizes, theta, activations=activations, output=output, loss_name=loss, bias=bias, classes=classes,
        feature_names=wanted.feature_names,
    )  # fmt: skip


def ask_what_is_meant(model: MLP, y: ArrayLike, wanted: Wanted, init: Any) -> None:
    """Warns where nothing says whether to classify but the type of y, and that may mislead."""
    inferred = wanted.task is None and wanted.output is None and isinstance(init, str)
    if inferred and (model.classes is not None or model.layer_sizes[-1] == 1):
        labels.ask_for_task(y, model.classes)


class Streams(NamedTuple):
    """The random numbers of one training: independent streams of its seeds."""

    seed: int
    data_seed: int | None = None

    def init(self) -> np.random.Generator:
        return stream(self.seed, 0)

    def split(self) -> np.random.Generator:
        return stream(self.seed if self.data_seed is None else self.data_seed, 1)

    def order(self) -> np.random.Generator:
        return stream(self.seed if self.data_seed is None else self.data_seed, 2)

    def bootstrap(self) -> np.random.Generator:
        return stream(self.seed, 3)


class _Words(ISeedSequence):
    """Words of a generator's first state, as they are."""

    def __init__(self, *words: int) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return np.array(self.words, dtype)


def stream(seed: int, number: int) -> np.random.Generator:
    """The stream of that number. SFC64 mixes what it begins with by itself; a SeedSequence takes ten times as long as all else."""
    return np.random.Generator(np.random.SFC64(_Words(seed, number, 0)))  # type: ignore[arg-type]


def _hold_out(
    x: NDArray[Any], y: NDArray[Any], model: MLP, validation: float | tuple[ArrayLike, ArrayLike] | None, streams: Streams
) -> tuple[NDArray[np.int32], Rows | None]:
    """The numbers of the rows to train on, and the rows to measure."""
    if validation is None:
        return every_row(len(x)), None
    if isinstance(validation, tuple):
        other, targets = own_rows(validation, model)
        return every_row(len(x)), Rows(other, model.targets(targets, len(other), "validation[1]"), every_row(len(other)))
    kept, held = split(len(x), None if model.classes is None else y[:, 0], checks.share("validation", validation), streams)
    return kept, Rows(x, y, held)


def own_rows(validation: tuple[ArrayLike, ...], model: MLP) -> tuple[NDArray[Any], ArrayLike]:
    """Validation rows that the caller has: inputs, checked, and targets as they came."""
    inputs, names = model.layer_sizes[0], model.feature_names
    return arrays.matrix("validation[0]", validation[0], model.dtype, columns=inputs, names=names), validation[1]


def split(n: int, labels: NDArray[Any] | None, share: float, streams: Streams) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rows to train on, and a share that is held out: of each class alike, where there are labels."""
    groups = [np.arange(n)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    held, rng = np.zeros(n, dtype=bool), streams.split()
    for group in groups:
        held[rng.permutation(group)[: held_of(len(group), share)]] = True
    if not held.any():
        raise ValueError(f"validation={share} of {n} rows holds out none; give a larger fraction, or rows as (X, y)")
    return np.flatnonzero(~held).astype(np.int32), np.flatnonzero(held).astype(np.int32)


def held_of(rows: int, share: float) -> int:
    """How many rows of a class are held out: one at least is left."""
    return min(round(share * rows), rows - 1)


def row_weights(weights: NDArray[Any], n: int, kept: NDArray[np.int32], bootstrap: Streams | None) -> NDArray[Any]:
    """The weights of n rows with a mean of 1 over those to train on, after these have been drawn with replacement if so wished."""
    if len(weights) == n and not weights[kept].any():
        raise ValueError("validation leaves no row whose weight, by sample_weight and class_weight, is not zero")
    if bootstrap is not None:
        drawn = np.bincount(kept[bootstrap.bootstrap().integers(len(kept), size=len(kept))], minlength=n)
        weights = (weights * drawn).astype(weights.dtype)
        if not weights[kept].any():
            raise ValueError(f"bootstrap with seed {bootstrap.seed} draws no row whose weight is not zero; try another seed")
    elif len(weights) == 1:
        return weights
    return weights / weights[kept].mean()


# -- scaling --------------------------------------------------------------------------------------------------------------------


class Scaling(NamedTuple):
    """What is subtracted from each column, and what it is multiplied by then."""

    shift: NDArray[Any]
    scale: NDArray[Any]


def is_standardized(model: MLP, wanted: bool | None) -> bool:
    if wanted and not model.bias:
        raise ValueError("standardize=True needs biases to fold the scaling into; got bias=False")
    return model.bias if wanted is None else bool(wanted)


def input_scaling(model: MLP, x: NDArray[Any], rows: NDArray[np.int32], wanted: bool) -> Scaling:
    if wanted:
        return _scaling("X", x, rows, model.dtype)
    return Scaling(np.zeros(x.shape[1], model.dtype), np.ones(x.shape[1], model.dtype))


def output_scaling(model: MLP, y: NDArray[Any], rows: NDArray[np.int32], wanted: bool) -> Scaling | None:
    """That of a regressor's targets; None where they stay as they are."""
    return _scaling("y", y, rows, model.dtype) if wanted and model.output == "identity" else None


def scaled(y: NDArray[Any], outputs: Scaling | None) -> NDArray[Any]:
    return y if outputs is None else (y - outputs.shift) * outputs.scale


def _scaling(name: str, x: NDArray[Any], order: NDArray[np.int32], dtype: Any) -> Scaling:
    """To a mean of 0 and a deviation of 1 over those rows. A constant column is only shifted."""
    step = max(1, arrays.BLOCK // x.shape[1])
    starts = range(0, len(order), step)

    def block(at: int) -> NDArray[np.float64]:
        """Some rows, as the kernels see them."""
        return x[order[at : at + step]].astype(dtype, copy=False).astype(np.float64, copy=False)

    def deviation_of(unit: Any) -> NDArray[np.float64]:
        return unit * np.sqrt(sum(np.square((block(at) - mean) / unit).sum(axis=0) for at in starts) / len(order))

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = sum(block(at).sum(axis=0) for at in starts) / len(order)
        deviation = deviation_of(1.0)
        if deviation.min() < SQUARES_UNDERFLOW or np.isinf(deviation).any():
            largest = np.max([np.abs(block(at) - mean).max(axis=0) for at in starts], axis=0)
            deviation = deviation_of(np.where(largest > 0, largest, 1.0))
    if not np.isfinite(deviation).all():
        column = f"column {int(np.argmin(np.isfinite(deviation)))} of {name}"
        raise ValueError(f"{column} is too large to be standardized; scale it down, or give standardize=False")
    limits = np.finfo(dtype)
    deviation[deviation <= limits.eps * np.abs(mean) + limits.tiny] = 1.0
    return Scaling(mean.astype(dtype), (1 / deviation).astype(dtype))


def fold(model: MLP, theta: NDArray[Any], inputs: Scaling, outputs: Scaling | None) -> None:
    """Rewrites networks, theta (m, P), that were made for scaled inputs and targets as ones for these as they are."""
    _rescale_inputs(model, theta, *inputs)
    if outputs is not None:
        scale = 1 / outputs.scale.astype(np.float64)
        _rescale_outputs(model, theta, scale, outputs.shift.astype(np.float64))


def state_of(init: str | MLP, optimizer: str, dtype: Any) -> TrainingState | None:
    """The state of a network to go on from, if it has one that is of use to the optimizer."""
    state = init.state if isinstance(init, MLP) else None
    return state if state is not None and (state.optimizer, state.theta.dtype) == (optimizer, dtype) else None


def is_of(state: TrainingState, model: MLP, inputs: Scaling, outputs: Scaling | None) -> bool:
    """Whether the parameters of the state are those of the network for inputs and targets that are scaled in this way."""
    scaling = (*inputs, *(outputs or ()))
    if len(scaling) != len(state.scaling) or not all(map(np.array_equal, scaling, state.scaling)):
        return False
    theta = state.theta.copy()
    fold(model, theta[None], inputs, outputs)
    return np.array_equal(theta, model.theta)


def carried_on(model: MLP, theta: NDArray[Any], inputs: Scaling, outputs: Scaling | None) -> NDArray[Any]:
    """Networks like the model, (m, P), as they begin for scaled inputs and targets: `fold` undone."""
    theta = arrays.finite("init.theta", theta).astype(model.dtype)
    scale = inputs.scale.astype(np.float64)
    _rescale_inputs(model, theta, -inputs.shift * scale, 1 / scale)
    if outputs is not None:
        scale = outputs.scale.astype(np.float64)
        _rescale_outputs(model, theta, scale, -outputs.shift * scale)
    return theta


def _rescale_inputs(model: MLP, theta: NDArray[Any], shift: NDArray[Any], scale: NDArray[Any]) -> None:
    """Rewrites first layers that were made for u = (x - shift) * scale as ones for x."""
    if not shift.any() and (scale == 1).all():
        return
    n_in, n_out = model.layer_sizes[:2]
    first = theta[:, : n_in * n_out].reshape(-1, n_in, n_out)
    rescaled = first * scale.astype(np.float64)[:, None]
    theta[:, : n_in * n_out] = rescaled.reshape(len(theta), -1)
    if model.bias:
        theta[:, n_in * n_out : (n_in + 1) * n_out] -= shift.astype(np.float64) @ rescaled


def _rescale_outputs(model: MLP, theta: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> None:
    """Rewrites last layers of outputs v as ones of v * scale + shift."""
    n_out = model.layer_sizes[-1]
    last = theta[:, -(model.layer_sizes[-2] + 1) * n_out :].reshape(len(theta), -1, n_out)
    last[:] = last * scale
    last[:, -1] += shift


SQUARES_UNDERFLOW = 1e-150  # a deviation below: its square is no normal number, and those of the differences may be none


def first_thetas(init: str, model: MLP, streams: Sequence[Streams]) -> NDArray[Any]:
    """The first parameters (m, P) of networks like the model."""
    factors = np.concatenate([
        np.repeat((_spread_of(init, n_in, n_out), BIAS_SPREAD[init]), (n_in * n_out, n_out * model.bias))
        for n_in, n_out in pairwise(model.layer_sizes)
    ])  # fmt: skip
    draws = np.empty((len(streams), len(factors)))
    for row, stream in zip(draws, streams, strict=True):
        if init in ("glorot", "uniform"):
            stream.init().random(out=row)
        else:
            stream.init().standard_normal(out=row)
    if init == "glorot":
        draws *= 2
        draws -= 1
    draws *= factors
    return draws.astype(model.dtype)


BIAS_SPREAD = {"glorot": 0.0, "he": 0.0, "normal": 0.1, "uniform": 1.0}


def _spread_of(init: str, n_in: int, n_out: int) -> float:
    """What a weight's draw is multiplied by: from U[-1, 1) for glorot, U[0, 1) for uniform, N(0, 1) for the others."""
    return {"glorot": math.sqrt(6 / (n_in + n_out)), "he": math.sqrt(2 / n_in), "normal": 0.1, "uniform": 1.0}[init]
