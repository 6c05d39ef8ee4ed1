"""train_many: many networks at once, and the population that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.executors import Engine, threads_or_engine
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.literals import Activation, Dtype, Init, Loss, LossFunction, Monitor, Optimizer, Output, Schedule, Task
from fastmlp.networks.ensemble import Group
from fastmlp.networks.history import PopulationHistory
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import GIVEN, Population
from fastmlp.networks.provenance import made_with
from fastmlp.training.data import Dataset, RowSets
from fastmlp.training.defaults import BATCH_SIZE, default_rate, wanted_dtype
from fastmlp.training.groups import Outcomes, architectures
from fastmlp.training.initial import ask_what_is_meant
from fastmlp.training.memory import check_members
from fastmlp.training.one_network import check_monitor, divergence
from fastmlp.training.options import Options
from fastmlp.training.population_tasks import TrainingInTasks
from fastmlp.training.population_training import OnEpochOfMany, TrainingOfMany, drops_unbegun, given_thetas
from fastmlp.training.scaling import is_standardized
from fastmlp.training.trainers import check_solvable

Value = TypeVar("Value")
Each = Sequence[Value] | NDArray[Any]  # a value for each member


@checks.takes_options()
def train_many(
    X: ArrayLike,
    y: ArrayLike,
    *,
    members: int | None = None,
    rows: Sequence[ArrayLike] | None = None,
    halving: int | None = None,
    hidden: int | Sequence[int | Sequence[int]] | None = None,
    activation: Activation | Sequence[Activation | tuple[Activation, ...]] | None = None,
    output: Output | None = None,
    loss: Loss | LossFunction | None = None,
    huber_delta: float | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    batch_size: int | Sequence[int | None] | None = BATCH_SIZE,
    optimizer: Optimizer = "adam",
    learning_rate: float | Each[float] | None = None,
    momentum: float | Each[float] = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    l2: float | Each[float] | None = None,
    l1: float | Each[float] = 0.0,
    dropout: float | Sequence[float | Sequence[float]] = 0.0,
    clip: float | Each[float | None] | None = None,
    average: float | Each[float] = 0.0,
    schedule: Schedule | None = None,
    power_t: float = 0.5,
    decay: float | None = None,
    warmup: float = 0.0,
    epochs: int | Each[int] | None = None,
    shuffle: bool = True,
    target_loss: float | None = None,
    tolerance: float | None = None,
    tol: float | None = None,
    n_iter_no_change: int = 10,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    monitor: Monitor = "loss",
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    standardize: bool | None = None,
    init: Init | MLP | Sequence[MLP] | Population = "glorot",
    bootstrap: bool = False,
    seed: int | Each[int] | None = None,
    data_seed: int | None = None,
    dtype: Dtype | None = None,
    threads: int | None = None,
    on_epoch: OnEpochOfMany | None = None,
    progress: bool = False,
    executor: Any = None,
) -> Population:
    """Train many networks at once: seeds, sweeps, ensembles, one-vs-rest.

    Each member becomes what `fastmlp.train` makes with the same options and the same seed, up to rounding; and it becomes the same,
    bit for bit, whatever the other members are, and for any number of threads.

    M is the number of members: `members`, the number of values, of alternatives, or of columns of y; all that are given
    must agree.

    Parameters
    ----------
    X : (N, D)
        Rows of inputs, for all members.
    y : (N,), (N, M), (N, 1, K) or (N, M, K)
        Targets as for `train`; in two columns or more, one column for each member; targets of K outputs stand along a third axis.
    members : int
        How many networks. Where `seed` is one number, their seeds are seed, seed + 1, ...
    rows : sequence of M arrays
        The rows that each member learns from, as row numbers or as a mask of N booleans: it becomes what `train` makes of
        X[rows] and y[rows], whose classes, scaling, weights, held-out rows and defaults are those of its own rows. Members that
        have as many rows are trained together, and faster where those of the same rows stand side by side.
    halving : int
        Successive halving (Jamieson and Talwalkar 2016): all members are trained for epochs / halving^r epochs, the best of them,
        one in so many, for epochs / halving^(r - 1), ..., the last for all epochs, which a schedule spans (by default
        those of the member that has most). They are compared by the validation loss, with monitor="accuracy" by the accuracy, or
        without validation by the loss.
    learning_rate, l2, momentum, l1, clip, average, epochs, seed : number, or sequence of M
        As for `train`; without `members` one seed is that of all.
    hidden, activation, dropout, batch_size : as for `train`, or list of M
        A list has an alternative for each member; a tuple means the layers of one network. Members of one architecture, batch size,
        l1, dropout, clip and average are trained side by side: few values of these, with many seeds, cost least.
    sample_weight : (N,) or (N, M)
        For all members, or a column for each.
    init : as for `train`, or sequence of M MLPs, or Population
        Networks to go on from, one for each member.
    data_seed : int
        Of the order and the held-out rows, where these are not to depend on each member's seed. Members that see the rows in one
        order are trained faster.
    on_epoch : callable
        Called after each epoch with (epoch, losses (M,), validation losses (M,) or None), NaN for those that have ended; returning
        True stops all.
    executor : concurrent.futures.Executor or dask.distributed.Client
        Who trains the members, in tasks of some of them for at least about a second each, on one thread; X, y and the options are
        sent once to each worker, with `halving` for each rung. The population has the same bits as that of one machine with
        processors of that kind. It has no place for `threads` and `on_epoch`, which are of this machine; with `halving`, members
        that go on are trained anew from their beginning, which takes up to halving / (halving - 1) times as long; `progress`
        counts members that have ended. A loss that is a function is sent as Python and compiled by the workers.
    others
        As for `train`, for all members.

    Returns
    -------
    Population
        Members in the order given. One whose loss stops being finite ends with stopped_by "diverged", and disturbs none of the
        others. After Ctrl-C, the networks as they were after their last whole epochs, with a RuntimeWarning; those in tasks that
        have not ended, as they began.

    Raises
    ------
    ValueError
        As `train` does; if numbers of members do not agree; if more memory were needed than the machine has.
    IndexError
        If rows are not among those of X.
    DivergedError
        If all members diverge.
    RuntimeError
        If the executor has lost its workers for good.
    TypeError
        If executor is neither.
    """
    given = locals()
    workers = threads_or_engine(threads, executor)
    if executor is not None and on_epoch is not None:
        raise ValueError("on_epoch must be left out where there is an executor: no epoch is that of all members at once")
    wanted = wanted_dtype(optimizer, dtype)
    x = arrays.matrix("X", X, wanted)
    own_rows = None if rows is None else arrays.rows_by_member(rows, len(x))
    options = Options.checked({**given, "rows": own_rows}, x, members=True)
    targets = arrays.by_member("y", y, outputs=True)
    if targets.ndim == 3 and targets.dtype.kind != "f":
        raise ValueError(f"y must hold floats where it has three axes, for targets of several outputs; got dtype {targets.dtype}")
    weights = None if sample_weight is None else arrays.by_member("sample_weight", sample_weight)
    arrays.same_length("y", targets, len(x))
    if weights is not None and own_rows is not None:
        arrays.same_length("sample_weight", weights, len(x))
    count = checks.member_count(options.members, options.own(), {"y": targets, "sample_weight": weights})
    seeds = _each_seed(count, options.seed, options.members is not None)
    row_sets = None if own_rows is None else RowSets.of(own_rows)
    dataset = Dataset(x, targets, weights, options, seeds, by_member=True, row_sets=row_sets)
    kinds = architectures(dataset, options, wanted or arrays.floating_dtype(x), arrays.column_names(X))
    for kind in kinds:
        check_solvable(options.optimizer, kind.network)
        check_monitor(options.monitor, kind.network)
    lockstep = halving is not None or on_epoch is not None
    sizes = [(len(kind.members), kind.network.theta.nbytes) for kind in kinds]
    check_members(sizes, kinds[0].network.dtype.itemsize, dataset, lockstep)
    ask_what_is_meant(kinds[0].network, dataset.targets_of(0), options)
    rates = _each_number(count, options.learning_rate or 0.0)
    if options.learning_rate is None:
        for kind in kinds:
            rates[kind.members] = default_rate(optimizer, kind.network)
    numbers = np.column_stack([rates, _each_number(count, options.momentum), _each_number(count, options.l2)])
    thetas = [np.zeros((len(kind.members), kind.network.theta.size), kind.network.dtype) for kind in kinds]
    given_thetas(options.init, kinds, thetas)
    training: TrainingOfMany
    if not isinstance(workers, Engine):
        training = TrainingOfMany(dataset, numbers, workers, on_epoch)
        training.go(training.waves(kinds, thetas, lockstep))
    else:
        training = TrainingInTasks(dataset, numbers, kinds, workers)
        training.go_in_tasks(thetas)
    groups = [Group(kind.network, np.array(kind.members), theta, kind.own) for kind, theta in zip(kinds, thetas, strict=True)]
    told = {*GIVEN, *kinds[0].own}
    record = {name: value for name, value in options.record("train_many").items() if name not in told}
    return _population(dataset, numbers, groups, training.outcomes, made_with(len(x), record))


def train_begun(X: ArrayLike, y: ArrayLike, **options: Any) -> Population:
    """As `train_many`; but after Ctrl-C, members that had not begun have parameters that mean nothing, as these take their time."""
    token = drops_unbegun.set(True)
    try:
        return train_many(X, y, **options)
    finally:
        drops_unbegun.reset(token)


def _each_seed(count: int, seed: Any, counting: bool) -> Sequence[int]:
    if not isinstance(seed, int):
        return seed
    return range(seed, checks.seed("seed", seed + count - 1) + 1) if counting else [seed] * count


def _each_number(count: int, value: Any) -> NDArray[np.float64]:
    return np.full(count, value) if isinstance(value, float) else np.array(value, np.float64)


def _population(
    dataset: Dataset, numbers: NDArray[np.float64], groups: list[Group], outcomes: Outcomes, made: dict[str, Any]
) -> Population:
    """What has become of all; a DivergedError if that is nothing."""
    rates, momenta, l2 = numbers.T
    if (outcomes.stopped_by == "diverged").all():
        first = int(np.argmin(outcomes.epochs))
        last = int(outcomes.epochs[first]) - 1
        network, standardize = groups[0].network, dataset.options.standardize
        rates = rates * np.nan if dataset.options.optimizer in SOLVERS else rates
        raise divergence(network, dataset.y, is_standardized(network, standardize), last, float(outcomes.loss[first, last]), rates)
    epochs = int(outcomes.epochs.max())
    losses, measured, accuracy = (
        None if values is None else _first(values, epochs)
        for values in (outcomes.loss, outcomes.validation_loss, outcomes.validation_accuracy)
    )
    assert losses is not None
    history = PopulationHistory(losses, measured, outcomes.epochs, outcomes.stopped_by.tolist(), accuracy)
    sizes = dataset.options.batch_size
    given = {
        "seed": dataset.seeds,
        "learning_rate": rates,
        "l2": l2,
        "momentum": momenta,
        "batch_size": sizes if isinstance(sizes, list) else [sizes] * len(rates),
    }
    return Population(groups, history, given, outcomes.scores, same_targets=not dataset.own_targets, made_with=made)


def _first(losses: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """Those of so many epochs, without the room for those that nobody came to."""
    return losses if epochs == losses.shape[1] else losses[:, :epochs].copy()
