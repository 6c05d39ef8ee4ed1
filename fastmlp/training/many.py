"""train_many: checks the options, and spreads them out over the members; grid: all combinations of some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.kernels import optimizers
from fastmlp.literals import Activation, Dtype, Init, Loss, Optimizer, Output, Schedule, Task
from fastmlp.networks.ensemble import Group
from fastmlp.networks.history import DivergedError, PopulationHistory
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import GIVEN, Population
from fastmlp.networks.provenance import made_with
from fastmlp.threads import thread_count
from fastmlp.training.crews import Record
from fastmlp.training.descent import further_advice
from fastmlp.training.march import March, Needs, OnEpoch, rungs, waves
from fastmlp.training.school import School
from fastmlp.training.train import (
    BATCH_SIZE,
    LEARNING_RATES,
    Wanted,
    ask_what_is_meant,
    default_rate,
    defaults,
    is_standardized,
    limits_of,
    schedule_of,
)

Value = TypeVar("Value")
Each = Sequence[Value] | NDArray[Any]  # a value for each member


@checks.takes_options()
def train_many(
    X: ArrayLike,
    y: ArrayLike,
    *,
    members: int | None = None,
    seeds: Each[int] | None = None,
    halving: int | None = None,
    hidden: int | Sequence[int | Sequence[int]] | None = None,
    activation: Activation | Sequence[Activation | tuple[Activation, ...]] | None = None,
    output: Output | None = None,
    loss: Loss | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    batch_size: int | Sequence[int | None] | None = BATCH_SIZE,
    optimizer: Optimizer = "adam",
    learning_rate: float | Each[float] | None = None,
    momentum: float | Each[float] = 0.9,
    l2: float | Each[float] | None = None,
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
    init: Init | MLP | Sequence[MLP] | Population = "glorot",
    bootstrap: bool = False,
    seed: int | Each[int] | None = None,
    data_seed: int | None = None,
    dtype: Dtype | None = None,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> Population:
    """Train many networks at once: seeds, sweeps, ensembles, one-vs-rest.

    Each member becomes what `fastmlp.train` makes with the same options and the same seed, up to rounding; and it becomes the same,
    bit for bit, whatever the other members are, and for any number of threads.

    M is the number of members: `members`, the number of seeds, of values, of alternatives, or of columns of y; all that are given
    must agree.

    Parameters
    ----------
    X : (N, D)
        Rows of inputs, for all members.
    y : (N,), (N, M), (N, 1, K) or (N, M, K)
        Targets as for `train`; in two columns or more, one column for each member; targets of K outputs stand along a third axis.
    members : int
        How many networks. Their seeds are seed, seed + 1, ...
    seeds : sequence of M int
        One for each member, in place of `seed`.
    halving : int
        Successive halving (Jamieson and Talwalkar 2016): all members are trained for epochs / halving^r epochs, the best of them,
        one in so many, for epochs / halving^(r - 1), ..., the last for all epochs, which a schedule spans. They are compared by
        the validation loss, or without validation by the loss.
    learning_rate, l2, momentum, seed : number, or sequence of M
        As for `train`; without `members` one seed is that of all.
    hidden, activation, batch_size : as for `train`, or list of M
        A list has an alternative for each member; a tuple means the layers of one network.
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
    others
        As for `train`, for all members.

    Returns
    -------
    Population
        Members in the order given. One whose loss stops being finite ends with stopped_by "diverged", and disturbs none of the
        others. After Ctrl-C, the networks as they were after their last whole epochs, with a RuntimeWarning.

    Raises
    ------
    ValueError
        As `train` does; if numbers of members do not agree; if more memory were needed than the machine has.
    DivergedError
        If all members diverge.
    """
    options = dict(locals())
    wanted, validation, on_epoch = checks.dtype(dtype), checks.rows_beside(validation), checks.callback("on_epoch", on_epoch)
    x = arrays.matrix("X", X, wanted)
    start = checks.seed_or_seeds(seed, seeds)
    numbers = {"learning_rate": learning_rate, "momentum": momentum, "l2": l2, "seed" if seeds is None else "seeds": start}
    listed = {"hidden": hidden, "activation": activation, "batch_size": batch_size}
    listed = {name: value for name, value in listed.items() if isinstance(value, list)}  # one tuple is for all
    targets = arrays.by_member("y", y, outputs=True)
    weights = None if sample_weight is None else arrays.by_member("sample_weight", sample_weight)
    checks.yes_or_no(bias=bias, shuffle=shuffle, standardize=standardize, bootstrap=bootstrap, progress=progress)
    inits = {} if isinstance(init, str | MLP) else {"init": range(_networks_of(init))}
    count = checks.member_count(members, {**numbers, **listed, **inits}, {"y": targets, "sample_weight": weights})
    ways = checks.ways(halving)
    default = defaults(checks.one_of("optimizer", optimizer, optimizers.CODES), learning_rate is not None, x)
    limits = limits_of(default.epochs if epochs is None else epochs, target_loss, patience, validation)
    schedule = default.schedule if schedule is None else schedule
    needs = Needs(count, limits.epochs, validation is not None, lockstep=halving is not None or on_epoch is not None)
    common = Wanted(None, None, output, loss, bias, task, arrays.column_names(X))
    school = School(
        x=x, dtype=wanted or arrays.floating_dtype(x), y=targets, weights=weights, class_weight=class_weight, init=init,
        shuffle=shuffle, bootstrap=bootstrap, standardize=standardize, validation=validation, limits=limits,
        optimizer=optimizers.CODES[optimizer],
        schedule=schedule_of(schedule, warmup, limits.epochs),
        data_seed=None if data_seed is None else checks.seed("data_seed", data_seed),
    )  # fmt: skip
    if not listed and isinstance(init, str | MLP):  # all are alike, and may be too many even for a list of them
        needs.check(count * school.network(0, _each_wanted(1, hidden, activation, common)[0], init)[0].theta.nbytes)
    rates = LEARNING_RATES[optimizer] if learning_rate is None else learning_rate  # the former for what its network says
    school.numbers = np.column_stack([
        _each_number("learning_rate", count, rates, checks.positive),
        _each_number("momentum", count, momentum, checks.fraction),
        _each_number("l2", count, default.l2 if l2 is None else l2, checks.not_negative),
    ])  # fmt: skip
    school.seeds = _each_seed(count, start, members is not None)
    school.batch_sizes = _each_batch_size(count, batch_size)
    kinds = school.kinds(_each_wanted(count, hidden, activation, common))
    if learning_rate is None:
        for kind in kinds:
            school.numbers[kind.members, 0] = default_rate(optimizer, kind.network)
    ask_what_is_meant(kinds[0].network, targets if targets.ndim == 1 else targets[:, 0], common, init)
    needs.check(sum(len(kind.members) * kind.network.theta.nbytes for kind in kinds))

    record = Record(count, limits.epochs, validation is not None)
    groups = [Group(kind.network, np.array(kind.members), np.empty((len(kind.members), kind.network.theta.size), school.dtype))
              for kind in kinds]  # fmt: skip
    march = March(school, record, rungs(count, limits.epochs, ways), ways, thread_count(threads), on_epoch, progress)
    march.go(waves(kinds, [group.theta for group in groups], school, needs.lockstep))
    options |= {"schedule": schedule, "epochs": limits.epochs}
    return _population(school, groups, record, made_with(len(x), {name: options[name] for name in options if name not in GIVEN}))


def _networks_of(init: Any) -> int:
    """How many networks there are to go on from."""
    if isinstance(init, Population) or (isinstance(init, list | tuple) and all(isinstance(one, MLP) for one in init)):
        return len(init)
    raise ValueError(f"init must be a name, an MLP, a sequence of MLPs, or a Population; got {checks.shown(init)}")


def _population(school: School, groups: list[Group], record: Record, made_with: dict[str, Any]) -> Population:
    """What has become of all; a DivergedError if that is nothing."""
    rates, momenta, l2 = school.numbers.T
    if (record.stopped_by == "diverged").all():
        first = int(np.argmin(record.epochs))
        last = int(record.epochs[first]) - 1
        standardized = is_standardized(groups[0].network, school.standardize)
        advice = further_advice(groups[0].network, standardized, school.y)
        raise DivergedError(last, float(record.loss[first, last]), rates, advice)
    epochs = int(record.epochs.max())
    measured = None if record.validation_loss is None else _first(record.validation_loss, epochs)
    history = PopulationHistory(_first(record.loss, epochs), measured, record.epochs, record.stopped_by.tolist())
    options = {
        "seed": school.seeds,
        "learning_rate": rates,
        "l2": l2,
        "momentum": momenta,
        "batch_size": school.batch_sizes,
    }
    return Population(groups, history, options, record.scores, same_targets=not school.own_targets, made_with=made_with)


def _first(losses: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """Those of so many epochs, without the room for those that nobody came to."""
    return losses if epochs == losses.shape[1] else losses[:, :epochs].copy()


class Choices(TypedDict, total=False):
    """The options whose values may differ from member to member, and so make a grid."""

    seed: Each[int]
    seeds: Each[int]
    learning_rate: Each[float]
    l2: Each[float]
    momentum: Each[float]
    hidden: Each[int | Sequence[int]]
    activation: Each[Activation | tuple[Activation, ...]]
    batch_size: Each[int | None]
    init: Sequence[MLP]


def grid(**options: Unpack[Choices]) -> dict[str, Any]:
    """All combinations of some options' values, for `train_many(X, y, **grid(...))`.

    Parameters
    ----------
    **options : sequences
        The values of each option; of `hidden`, numbers of units or tuples of them. Those of the last option vary fastest.

    Returns
    -------
    dict of str to list
        For each option, its value in each combination.

    Raises
    ------
    ValueError
        If there is no option, or one has no values.
    """
    if not options:
        raise ValueError("grid must have an option with its values, such as learning_rate=[0.01, 0.1]; got none")
    listed = {name: arrays.values(name, values) for name, values in options.items()}
    columns = zip(*product(*listed.values()), strict=True)
    return dict(zip(listed, map(list, columns), strict=True))


def _each(count: int, value: Any) -> list[Any]:
    """A value for each member: those of a list, or the same for all."""
    return value if isinstance(value, list) else [value] * count


def _each_wanted(count: int, hidden: Any, activation: Any, wanted: Wanted) -> list[Wanted]:
    if not isinstance(hidden, list) and not isinstance(activation, list):
        return [wanted._replace(hidden=hidden, activation=activation)] * count
    pairs = zip(_each(count, hidden), _each(count, activation), strict=True)
    return [wanted._replace(hidden=sizes, activation=names) for sizes, names in pairs]


def _each_number(name: str, count: int, value: Any, check: Callable[[str, Any], float]) -> NDArray[np.float64]:
    if checks.is_many(value):
        return np.array([check(name, one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)])
    return np.full(count, check(name, value))


def _each_batch_size(count: int, value: Any) -> list[int | None]:
    sizes = value if isinstance(value, list) else [value]
    checked = [None if size is None else checks.positive_int("batch_size", size) for size in sizes]
    return checked if isinstance(value, list) else checked * count


def _each_seed(count: int, start: Any, counting: bool) -> Sequence[int]:
    if checks.is_many(start):
        return checks.seeds(start)
    first = checks.seed("seed", start)
    if not counting:
        return [first] * count
    return range(first, checks.seed("seed", first + count - 1) + 1)
