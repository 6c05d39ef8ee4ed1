"""train_many: many networks at once, as many at a time as memory allows, those that are left after each rung."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.literals import Activation, Dtype, Init, Loss, LossFunction, Monitor, Optimizer, Output, Schedule, Task
from fastmlp.networks.ensemble import Group
from fastmlp.networks.history import PopulationHistory
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import GIVEN, Population
from fastmlp.networks.provenance import made_with
from fastmlp.threads import thread_count
from fastmlp.training.data import Dataset, RowSets
from fastmlp.training.defaults import BATCH_SIZE, default_rate, wanted_dtype
from fastmlp.training.epochs import InTraining, Training
from fastmlp.training.groups import Architecture, Outcomes, SamplesAsLanes, TrainingGroup, architectures
from fastmlp.training.initial import ask_what_is_meant, dropped_by, first_thetas
from fastmlp.training.lanes import NetworksAsLanes
from fastmlp.training.loss_check import check_custom_loss
from fastmlp.training.memory import OF_A_MEMBER, WAVE_BYTES, WAVE_MEMBERS, check_members
from fastmlp.training.one_network import Stopping, check_monitor, divergence
from fastmlp.training.options import Options
from fastmlp.training.scaling import fold, is_standardized, unfold
from fastmlp.training.trainers import TRAINERS, check_solvable

MEMBER_BYTES = 4096  # generators and the like
LARGE_BATCH = 256  # samples
LARGE_NETWORK = 20_000  # bytes of parameters

Value = TypeVar("Value")
Each = Sequence[Value] | NDArray[Any]  # a value for each member
OnEpochOfMany = Callable[[int, NDArray[np.float64], NDArray[np.float64] | None], Any]


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
    IndexError
        If rows are not among those of X.
    DivergedError
        If all members diverge.
    """
    given = locals()
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
    training = TrainingOfMany(dataset, numbers, thread_count(options.threads), on_epoch)
    training.go(training.waves(kinds, thetas, lockstep))
    groups = [Group(kind.network, np.array(kind.members), theta, kind.own) for kind, theta in zip(kinds, thetas, strict=True)]
    told = {*GIVEN, *kinds[0].own}
    record = {name: value for name, value in options.record("train_many").items() if name not in told}
    return _population(dataset, numbers, groups, training.outcomes, made_with(len(x), record))


_drops_unbegun = ContextVar("whether the caller drops members that have not begun when Ctrl-C comes", default=False)


def train_begun(X: ArrayLike, y: ArrayLike, **options: Any) -> Population:
    """As `train_many`; but after Ctrl-C, members that had not begun have parameters that mean nothing, as these take their time."""
    token = _drops_unbegun.set(True)
    try:
        return train_many(X, y, **options)
    finally:
        _drops_unbegun.reset(token)


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


# -- all members through their epochs -------------------------------------------------------------------------------------------


def rungs(count: int, epochs: int, ways: int | None) -> list[int]:
    """The epochs after which all but one in so many ways are left behind, and the last."""
    halvings = 0
    while ways and ways ** (halvings + 1) <= min(count, epochs):
        halvings += 1
    return [epochs // (ways or 1) ** (halvings - rung) for rung in range(halvings + 1)]


def in_training(group: TrainingGroup, outcomes: Outcomes, threads: int) -> InTraining:
    """Networks as lanes, or samples as lanes. What a member becomes does not depend on the others, nor on how many there are: the
    choice follows from its own architecture, batches and rows alone.

    Measured with 32 members and batches of 32: in float32 networks as lanes are 1.6 times as fast for 64-8-10, 1.25 times for
    64-32-10 and 1.05 times for 64-64-10 (4810 parameters), in float64 1.6 times for 3-5-1, 1.2 times for 64-8-10 and 0.9 times for
    64-32-10; where all see the same rows in the same order, 3.1, 1.5 and 1.2 times, and 2.0, 1.7 and 1.1 times. The parameters,
    gradients and moments of all lanes have to stay in the cache. For batches of 256 and more a few members would pay for all lanes.
    Single samples have no other lanes.
    """
    small = group.batch_size < LARGE_BATCH and group.network.theta.nbytes <= LARGE_NETWORK
    lanes_are_networks = group.online or (small and group.method.optimizer not in TRAINERS)
    return (NetworksAsLanes if lanes_are_networks else SamplesAsLanes)(group, outcomes, threads)


class TrainingOfMany(Training):
    """The members of a population through their epochs."""

    def __init__(self, dataset: Dataset, numbers: NDArray[np.float64], threads: int, on_epoch: OnEpochOfMany | None) -> None:
        options = self.options = dataset.options
        self.dataset, self.numbers, self.on_epoch = dataset, numbers, on_epoch
        self.outcomes = Outcomes(
            len(numbers), options.most_epochs, options.validation is not None, by_accuracy=options.monitor == "accuracy"
        )
        steps = rungs(len(numbers), options.most_epochs, options.halving)
        super().__init__(steps, threads, on_epoch is not None, options.progress)

    def waves(self, kinds: list[Architecture], thetas: list[NDArray[Any]], lockstep: bool) -> Iterator[list[InTraining]]:
        """The members, as many at a time as the bytes allow that they need while they are trained; or all of them."""
        for wave in self._parts(kinds, thetas, lockstep):
            self.dataset.made.clear()
            if self.interrupted and _drops_unbegun.get():
                for kind, _, part in wave:
                    self.outcomes.leave(np.array(kind.members[part]))
                continue
            groups = [self._members(*part) for part in wave]
            if self.interrupted:
                for group in groups:
                    self.outcomes.leave(group.places)
            else:
                if not self.begun:
                    for group in groups:
                        check_custom_loss(group.network, group.theta[0], self.dataset.x, group.data_of(0))
                yield [in_training(group, self.outcomes, self.threads) for group in groups]
            for group in groups:  # whose training has ended
                _unscale(group, self.outcomes)

    def _parts(
        self, kinds: list[Architecture], thetas: list[NDArray[Any]], lockstep: bool
    ) -> Iterator[list[tuple[Architecture, NDArray[Any], slice]]]:
        own = len(self.dataset.x) * self.dataset.own_columns
        wave: list[tuple[Architecture, NDArray[Any], slice]] = []
        used = 0
        for kind, theta in zip(kinds, thetas, strict=True):
            each = MEMBER_BYTES + (OF_A_MEMBER * kind.network.theta.size + own) * theta.itemsize
            start = 0
            while start < len(theta):
                count = len(theta) if lockstep else max(WAVE_MEMBERS, (WAVE_BYTES - used) // each // WAVE_MEMBERS * WAVE_MEMBERS)
                part = slice(start, min(start + count, len(theta)))
                wave.append((kind, theta[part], part))
                used += (part.stop - start) * each
                start = part.stop
                if used >= WAVE_BYTES - WAVE_MEMBERS * each and not lockstep:
                    yield wave
                    wave, used = [], 0
        if wave:
            yield wave

    def _members(self, kind: Architecture, theta: NDArray[Any], part: slice) -> TrainingGroup:
        """Some of one architecture, at their beginning."""
        dataset, network, members = self.dataset, kind.network, kind.members[part]
        options = self.options.of_group(kind.own)
        own = dataset.own(members)
        if len(set(own)) == 1:
            own = own[:1]
        data = [dataset.learned(network, kind.batch_size, one, kind.number) for one in own]
        if isinstance(options.init, str):
            first_thetas(options.init, network, [dataset.seeds[member] for member in members], theta)
        elif isinstance(options.init, MLP):
            theta[:] = options.init.theta
        elif isinstance(options.init, Population):
            theta[:] = options.init.thetas(members)
        else:
            theta[:] = [options.init[member].theta for member in members]
        rows = len(data[0].rows)
        group = TrainingGroup(
            network, np.array(members), theta, self.numbers[members].astype(theta.dtype), options.method(kind.epochs, rows),
            min(kind.batch_size or rows, rows), Stopping.of(options, kind.epochs), data,
            dropped_by(options, network, [dataset.seeds[member] for member in members]),
        )  # fmt: skip
        if not isinstance(options.init, str):
            for alike, one in group.alike():
                theta[alike] = unfold(network, theta[alike], one.inputs, one.outputs)
        return group

    def _state(self) -> tuple[str, float]:
        running = [epochs for part in self.at_work for epochs in part.epochs_done()]
        words = f"{self.begun - len(running)} of {len(self.outcomes.epochs)} networks done"
        ended, last = self.outcomes.epochs.clip(0), self.rungs[-1]
        epoch = max(running) if running else ended.max()
        done = sum(running) + int(ended.sum())
        left = (len(ended) - self.begun) * last
        for rung in self.rungs if running else ():
            left += max(0, rung * len(running) - sum(running))
            running = [rung] * -(-len(running) // (self.options.halving or 1))
        return f"epoch {epoch}/{last}  {words}", done / max(1, done + left)

    def _after_epoch(self, epoch: int) -> bool:
        measured = self.outcomes.validation_loss
        losses = self.outcomes.loss[:, epoch].copy(), None if measured is None else measured[:, epoch].copy()
        return self.on_epoch is not None and bool(self.on_epoch(epoch, *losses))

    def _after_rung(self, epochs: int) -> None:
        """All but the best are left behind."""
        places = sorted(place for part in self.at_work for place in part.running())
        scores = self.outcomes.score(places, epochs, bool(self.options.patience))
        worse = np.argsort(scores, kind="stable")[-(-len(places) // (self.options.halving or 1)) :]
        for part in self.at_work:
            part.drop({places[k] for k in worse.tolist()}, "halving")

    def _told_after_interrupt(self) -> str | None:
        epochs = self.outcomes.epochs[self.outcomes.stopped_by == "interrupt"]
        if not len(epochs):
            return None
        least, most = epochs.min(), epochs.max()
        done = most if least == most else f"{least} to {most}"
        best = ", each of its best epoch" if self.options.patience else ""
        so_far = f"these are the networks so far{best}" if most else "the networks are as they began"
        every = len(self.outcomes.epochs)
        which = "training" if len(epochs) == every else f"training of {len(epochs)} of {every} networks"
        return f"{which} was interrupted after {done} of {self.rungs[-1]} epochs; {so_far}"


def _unscale(group: TrainingGroup, outcomes: Outcomes) -> None:
    """The scaling is folded into the networks' first and last layers."""
    for rows, data in group.alike():
        theta = group.theta[rows]
        fold(group.network, theta, data.inputs, data.outputs)
        group.theta[rows] = theta
    outcomes.diverge(group.places[~np.isfinite(group.theta).all(axis=1)])
