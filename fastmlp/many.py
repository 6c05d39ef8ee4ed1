"""train_many: what each member of a population is to be, members of one kind together, and all of them through their epochs.

`grid` spells a sweep out.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from threading import Event
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp import checks, chunks, crews
from fastmlp.crews import Lesson, Record, Squad
from fastmlp.descent import Limits, Rows
from fastmlp.kernels import batch, optimizers
from fastmlp.model import MLP, DivergedError, every_row
from fastmlp.population import Group, Population, PopulationHistory
from fastmlp.training import (
    LEARNING_RATES,
    Streams,
    Wanted,
    carried_on,
    first_thetas,
    limits_of,
    own_rows,
    rescale_inputs,
    row_weights,
    scaling,
    split,
    untrained,
)  # fmt: skip

WAVE_BYTES = 1 << 26  # of what members need while they are trained, beside their parameters and their history
PER_PARAMETER = 5  # of these, so many numbers for each parameter: itself, its gradient, two moments, the best so far
PROGRESS_SECONDS = 0.1

OnEpoch = Callable[[int, NDArray[np.float64], NDArray[np.float64] | None], Any]


def train_many(
    X: ArrayLike,
    y: ArrayLike,
    *,
    members: int | None = None,
    seeds: Sequence[int] | None = None,
    halving: int | None = None,
    hidden: int | tuple[int, ...] | list[Any] | None = None,
    activation: str | tuple[str, ...] | list[Any] | None = None,
    output: str | None = None,
    loss: str | None = None,
    bias: bool | None = None,
    task: str | None = None,
    batch_size: int | list[Any] | None = 32,
    optimizer: str = "adam",
    learning_rate: float | ArrayLike | None = None,
    momentum: float | ArrayLike = 0.9,
    l2: float | ArrayLike = 0.0,
    epochs: int = 200,
    shuffle: bool = True,
    target_loss: float | None = None,
    validation: float | tuple[ArrayLike, ArrayLike] | None = None,
    patience: int | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    standardize: bool | None = None,
    init: str | MLP | Sequence[MLP] | Population = "glorot",
    bootstrap: bool = False,
    seed: int | Sequence[int] | None = None,
    data_seed: int | None = None,
    dtype: DTypeLike | None = None,
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
        one in so many, for epochs / halving^(r - 1), ..., the last for all epochs. They are compared by the validation loss, or
        without validation by the loss.
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
        others. After Ctrl-C, the networks so far, with a RuntimeWarning.

    Raises
    ------
    ValueError
        As `train` does; if numbers of members do not agree; if more memory were needed than the machine has.
    DivergedError
        If all members diverge.
    """
    wanted = checks.dtype(dtype)
    x = checks.matrix("X", X, wanted)
    if seeds is not None and seed is not None:
        raise ValueError("seeds and seed contradict each other; give one of them")
    start = seed if seeds is None else seeds
    numbers = {"seed" if seeds is None else "seeds": start, "learning_rate": learning_rate, "momentum": momentum, "l2": l2}
    layered = {"hidden": hidden, "activation": activation, "batch_size": batch_size}
    targets, weights = _columns("y", y), None if sample_weight is None else _columns("sample_weight", sample_weight)
    lengths = {} if members is None else {"members": checks.positive_int("members", members)}
    lengths |= {name: len(value) for name, value in numbers.items() if _is_many(value)}  # type: ignore[arg-type]
    lengths |= {name: len(value) for name, value in layered.items() if isinstance(value, list)}
    lengths |= {"init": len(init)} if not isinstance(init, str | MLP) else {}
    for name, array in ("y", targets), ("sample_weight", weights):
        if array is not None and array.ndim > 1 and array.shape[1] > 1:
            lengths[name] = array.shape[1]
    count = checks.member_count(lengths)
    rates = LEARNING_RATES[checks.one_of("optimizer", optimizer, optimizers.CODES)] if learning_rate is None else learning_rate
    ways = checks.positive_int("halving", 2 if halving is None else halving)
    if ways < 2:
        raise ValueError(f"halving must be a whole number of at least 2; got {halving!r}")
    limits = limits_of(epochs, target_loss, patience, validation)
    common = Wanted(None, None, output, loss, bias, task)
    lockstep = halving is not None or on_epoch is not None
    if not isinstance(hidden, list) and not isinstance(activation, list) and isinstance(init, str | MLP):
        # All are of the same size, and may be too many even for a list of them.
        given = targets if targets.ndim == 1 else targets[:, 0]
        one = untrained(x, wanted or checks.floating_dtype(x), given, common._replace(hidden=hidden, activation=activation), init)
        _check_memory(count, count * one.theta.nbytes, limits.epochs, validation is not None, lockstep)
    school = _School(
        x=x, dtype=wanted or checks.floating_dtype(x), y=targets, weights=weights, class_weight=class_weight,
        wanted=_each_wanted(count, hidden, activation, common),
        batch_sizes=[None if size is None else checks.positive_int("batch_size", size) for size in _each(count, batch_size)],
        optimizer=optimizers.CODES[optimizer], init=init, shuffle=shuffle, bootstrap=bootstrap, standardize=standardize,
        validation=validation, limits=limits,
        data_seed=None if data_seed is None else checks.seed("data_seed", data_seed),
    )  # fmt: skip
    kinds = school.kinds()
    parameters = sum(len(kind.members) * kind.network.theta.nbytes for kind in kinds)
    _check_memory(count, parameters, limits.epochs, validation is not None, lockstep)
    school.numbers = np.column_stack([
        _each_number("learning_rate", count, rates, checks.positive),
        _each_number("momentum", count, momentum, checks.fraction),
        _each_number("l2", count, l2, checks.not_negative),
    ])  # fmt: skip
    school.seeds = _each_seed(count, start, members is not None)
    record = Record(count, school.limits.epochs, validation is not None)
    groups = [
        Group(kind.network, np.array(kind.members), np.empty((len(kind.members), kind.network.theta.size), school.dtype))
        for kind in kinds
    ]
    rungs = [school.limits.epochs] if halving is None else _rungs(count, school.limits.epochs, ways)
    march = _March(school, record, rungs, ways, checks.threads(threads), on_epoch, progress)
    march.go(_waves(kinds, [group.theta for group in groups], school, lockstep))
    if (record.stopped_by == "diverged").all():
        first = int(np.argmin(record.epochs))
        last = int(record.epochs[first]) - 1
        raise DivergedError(last, float(record.loss[first, last]), school.numbers[:, 0])
    history = PopulationHistory(*record.losses(int(record.epochs.max())), record.epochs, record.stopped_by.tolist())
    networks: list[Any] = [None] * count
    for kind in kinds:
        for member in kind.members:
            networks[member] = kind.network
    options = {
        "seed": school.seeds,
        "learning_rate": school.numbers[:, 0].tolist(),
        "l2": school.numbers[:, 2].tolist(),
        "momentum": school.numbers[:, 1].tolist(),
        "hidden": [network.layer_sizes[1:-1] for network in networks],
        "activation": [network.activations for network in networks],
        "batch_size": school.batch_sizes,
    }
    return Population(groups, history, options, record.scores, same_targets=targets.ndim == 1 or targets.shape[1] == 1)


def grid(**options: Sequence[Any]) -> dict[str, list[Any]]:
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
    listed = {name: checks.values(name, values) for name, values in options.items()}
    columns = zip(*product(*listed.values()), strict=True)
    return dict(zip(listed, map(list, columns), strict=True))


# -- what each member is to be ----------------------------------------------------------------------------------------------------


def _columns(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array with the members along its second axis; without that axis if it is the same for all."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be rectangular; its rows differ in length") from error
    if array.ndim not in ((1, 2, 3) if name == "y" else (1, 2)) or 0 in array.shape:
        shapes = "(N,), (N, members) or (N, members, outputs)" if name == "y" else "(N,) or (N, members)"
        raise ValueError(f"{name} must have shape {shapes}; got {array.shape}")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _is_many(value: Any) -> bool:
    """Whether it is a sequence of numbers, or one number."""
    return (
        isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and np.ndim(value[:1] if len(value) else value) > 0
    )


def _each(count: int, value: Any) -> list[Any]:
    """A value for each member: those of a list, or the same for all."""
    return value if isinstance(value, list) else [value] * count


def _each_wanted(count: int, hidden: Any, activation: Any, wanted: Wanted) -> list[Wanted]:
    if not isinstance(hidden, list) and not isinstance(activation, list):
        return [wanted._replace(hidden=hidden, activation=activation)] * count
    pairs = zip(_each(count, hidden), _each(count, activation), strict=True)
    return [wanted._replace(hidden=sizes, activation=names) for sizes, names in pairs]


def _each_number(name: str, count: int, value: Any, check: Callable[[str, Any], float]) -> NDArray[np.float64]:
    if _is_many(value):
        return np.array([check(name, one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)])
    return np.full(count, check(name, value))


def _each_seed(count: int, start: Any, counting: bool) -> list[int]:
    if _is_many(start):
        return checks.seeds(start)
    first = checks.seed("seed", start)
    return [checks.seed("seed", first + member) for member in range(count)] if counting else [first] * count


def _check_memory(count: int, parameters: int, epochs: int, measured: bool, lockstep: bool) -> None:
    """Rejects what the machine cannot hold: the bytes of the parameters, the history, and what training needs beside them."""
    beside = PER_PARAMETER * parameters
    needed = parameters + 8 * count * epochs * (1 + measured) + (beside if lockstep else min(beside, WAVE_BYTES))
    checks.memory(f"a population of {count}", needed)


class _Kind(NamedTuple):
    """Members of one architecture, batch size and number of rows."""

    network: MLP
    batch_size: int | None
    members: list[int]


@dataclass
class _School:
    """What all members have in common, and what each is to be and to learn."""

    x: NDArray[Any]
    dtype: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None
    class_weight: Any
    wanted: list[Wanted]
    batch_sizes: list[int | None]
    optimizer: int
    init: Any
    shuffle: bool
    bootstrap: bool
    standardize: bool | None
    validation: Any
    limits: Limits
    data_seed: int | None
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))  # (M, 3): learning rate, momentum, l2
    seeds: list[int] = field(default_factory=list)
    made: dict[Any, Any] = field(default_factory=dict)  # what several members share

    @property
    def own_targets(self) -> bool:
        return self.y.ndim > 1 and self.y.shape[1] > 1

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What make() gave when it was first asked for under that key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def kinds(self) -> list[_Kind]:
        """The members, those of one kind together."""
        kinds: dict[Any, _Kind] = {}
        inits = _inits(self.init, len(self.wanted))
        own_classes = self.own_targets and self.y.dtype.kind != "f"
        for member, (wanted, batch_size) in enumerate(zip(self.wanted, self.batch_sizes, strict=True)):
            init = inits[member]
            key = (repr(wanted[:2]), init if isinstance(init, str) else _signature(init[0]), member if own_classes else None)
            network, rows = self.once(key, partial(self._network, member, wanted, init))
            kind = (*_signature(network), batch_size, rows)
            kinds.setdefault(kind, _Kind(network, batch_size, [])).members.append(member)
        return list(kinds.values())

    def _network(self, member: int, wanted: Wanted, init: Any) -> tuple[MLP, int]:
        """A network without values, and how many rows it is trained on."""
        network = untrained(self.x, self.dtype, self._given(member), wanted, init if isinstance(init, str) else init[0])
        if self.standardize and not network.bias:
            raise ValueError("standardize=True needs biases to fold the scaling into; got bias=False")
        any_seed = Streams(0)  # as many rows are held out whatever it is
        return network, len(self._rows(network, member, lambda member: any_seed)[0])

    def _given(self, member: int) -> NDArray[Any]:
        """The targets, as `train` would be given them."""
        if self.y.ndim == 1:
            return self.y
        given = self.y[:, member if self.own_targets else 0]
        if self.y.ndim == 3 and given.dtype.kind != "f":
            raise ValueError(f"y must hold floats where it has three axes, for targets of several outputs; got dtype {given.dtype}")
        return given

    # -- what each member is to learn --------------------------------------------------------------------------------------------

    def squad(self, kind: _Kind, theta: NDArray[Any], part: slice) -> Squad:
        """Members of a kind, at their beginning."""
        members, inits = kind.members[part], _inits(self.init, len(self.wanted))
        lessons = [self._lesson(kind, member) for member in members]
        if isinstance(self.init, str):
            theta[:] = first_thetas(self.init, kind.network, [self._streams(member) for member in members])
        else:
            for row, member, lesson in zip(theta, members, lessons, strict=True):
                row[:] = carried_on(kind.network, inits[member][1], lesson.data.shift, lesson.data.scale)
        batch_size = min(kind.batch_size or len(lessons[0].rows), len(lessons[0].rows))
        numbers = self.numbers[members].astype(self.dtype)
        return Squad(kind.network, np.array(members), theta, numbers, self.optimizer, batch_size, self.limits, lessons)

    def _streams(self, member: int) -> Streams:
        return Streams(self.seeds[member], self.data_seed)

    def _lesson(self, kind: _Kind, member: int) -> Lesson:
        """What a member learns; one object for all that learn the same."""
        fraction = self.validation is not None and not isinstance(self.validation, tuple)
        own = member if self.own_targets else None
        own_weights = member if self.weights is not None and self.weights.ndim > 1 else None
        seed = self.seeds[member]
        data_seed = seed if self.data_seed is None and (fraction or self.shuffle) else None
        key = ("lesson", id(kind.network), kind.batch_size, own, own_weights, data_seed, seed if self.bootstrap else None)
        return self.once(key, partial(self._make_lesson, kind, member, own, data_seed if fraction else None, data_seed))

    def _make_lesson(self, kind: _Kind, member: int, own: int | None, split_by: int | None, order_by: int | None) -> Lesson:
        """Its parts too are one object for all that have them in common."""
        network, once = kind.network, self.once
        labels = own if network.classes is not None else None
        rows, held = once(("rows", split_by, labels), partial(self._rows, network, member, self._streams))
        targets = once(("targets", own, id(network)), lambda: network.targets(self._given(member), len(self.x)))
        weights = self._weights(network, member, targets, rows)
        shift, scale = once(("scaling", id(rows), network.bias), partial(self._scaling, network, rows))
        shuffled = self.shuffle and (kind.batch_size or len(rows)) < len(rows)
        order = once(("order", order_by), partial(self._streams, member)) if shuffled else None
        data = batch.Data(self.x, targets, weights, shift, scale)
        return Lesson(data, rows, order, self._held_out(network, member, targets, held))

    def _rows(
        self, network: MLP, member: int, streams: Callable[[int], Streams]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """The numbers of the rows to train on, and of those that are held out."""
        n = len(self.x)
        if self.validation is None or isinstance(self.validation, tuple):
            return every_row(n), None
        labels = None if network.classes is None else network.targets(self._given(member), n)[:, 0]
        return split(n, labels, checks.share("validation", self.validation), streams(member))

    def _held_out(self, network: MLP, member: int, targets: NDArray[Any], held: NDArray[np.int32] | None) -> Rows | None:
        if held is not None:
            return Rows(self.x, targets, held)
        if self.validation is None:
            return None
        x, y = self.once(("validation",), lambda: self._own_rows())
        given = y if y.ndim == 1 else y[:, member if self.own_targets else 0]
        own = member if self.own_targets else None
        rows = self.once(("measured",), lambda: every_row(len(x)))
        return self.once(("held out", own, id(network)), lambda: Rows(x, network.targets(given, len(x), "validation"), rows))

    def _own_rows(self) -> tuple[NDArray[Any], NDArray[Any]]:
        x, y = own_rows(self.validation, self.dtype, self.x.shape[1])
        array = _columns("y", y)
        if array.shape[1:] != self.y.shape[1:]:
            expected = ", ".join(map(str, ("N", *self.y.shape[1:])))
            raise ValueError(f"validation[1] must have shape ({expected}), as y has; got {array.shape}")
        return x, array

    def _weights(self, network: MLP, member: int, targets: NDArray[Any], rows: NDArray[np.int32]) -> NDArray[Any]:
        given = self.weights if self.weights is None or self.weights.ndim == 1 else self.weights[:, member]

        def make() -> NDArray[Any]:
            return checks.sample_weights(given, self.class_weight, network.classes, targets, network.dtype)

        if given is not self.weights:
            return row_weights(make(), rows, self._streams(member) if self.bootstrap else None)
        weights = self.once(("weights", id(targets)), make)
        if self.bootstrap:
            return row_weights(weights, rows, self._streams(member))
        return self.once(("weights", id(weights), id(rows)), partial(row_weights, weights, rows, None))

    def _scaling(self, network: MLP, rows: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any]]:
        return scaling(self.x, rows, network.dtype, network.bias if self.standardize is None else self.standardize)


def _inits(init: Any, count: int) -> list[Any]:
    """For each member a name, or a network and its parameters."""
    if isinstance(init, str):
        return [init] * count
    if isinstance(init, MLP):
        return [(init, init.theta)] * count
    if not isinstance(init, Population):
        return [(network, network.theta) for network in init]
    found: list[Any] = [None] * count
    for network, members, theta in init.groups:
        for member, row in zip(members.tolist(), theta, strict=True):
            found[member] = (network, row)
    return found


def _signature(network: MLP) -> tuple[Any, ...]:
    """What networks of one architecture agree in."""
    classes = None if network.classes is None else tuple(network.classes.tolist())
    return network.layer_sizes, network.activations, network.output, network.loss_name, network.bias, classes


# -- through the epochs -----------------------------------------------------------------------------------------------------------

Wave = list[tuple[_Kind, NDArray[Any], slice]]


def _waves(kinds: list[_Kind], thetas: list[NDArray[Any]], school: _School, lockstep: bool) -> Iterator[Wave]:
    """The members, as many at a time as the bytes allow that they need while they are trained; or all of them."""
    rows = len(school.x)
    own = rows * (school.own_targets + school.bootstrap + (school.weights is not None and school.weights.ndim > 1) + school.shuffle)
    wave: Wave = []
    used = 0
    for kind, theta in zip(kinds, thetas, strict=True):
        each = (PER_PARAMETER * kind.network.theta.size + own) * theta.itemsize
        start = 0
        while start < len(theta):
            count = len(theta) if lockstep else max(64, (WAVE_BYTES - used) // each // 64 * 64)
            part = slice(start, min(start + count, len(theta)))
            wave.append((kind, theta[part], part))
            used += (part.stop - start) * each
            start = part.stop
            if used >= WAVE_BYTES - 64 * each and not lockstep:
                yield wave
                wave, used = [], 0
    if wave:
        yield wave


def _rungs(count: int, epochs: int, ways: int) -> list[int]:
    """The epochs after which some are left behind, and the last."""
    halvings = 0
    while ways ** (halvings + 1) <= min(count, epochs):
        halvings += 1
    return [epochs // ways ** (halvings - rung) for rung in range(halvings + 1)]


class _March:
    """All members through their epochs."""

    def __init__(
        self, school: _School, record: Record, rungs: list[int], ways: int, threads: int, on_epoch: OnEpoch | None, progress: bool
    ) -> None:
        self.school, self.record, self.rungs, self.ways, self.threads = school, record, rungs, ways, threads
        self.on_epoch, self.progress = on_epoch, progress
        self.halt = Event()
        self.shown = 0.0

    def go(self, waves: Iterator[Wave]) -> None:
        try:
            for wave in waves:
                self.school.made.clear()
                self._train([self.school.squad(*part) for part in wave])
        finally:
            if self.progress:
                sys.stderr.write("\n")
        if self.halt.is_set():
            done = int(self.record.epochs.max())
            message = f"training was interrupted after {done} of {self.rungs[-1]} epochs; these are the networks so far"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _train(self, squads: list[Squad]) -> None:
        """These members to their end; or after Ctrl-C, not at all."""
        all_crews = [crews.crew(squad, self.record, self.threads) for squad in squads]
        try:
            if not self.halt.is_set():
                with chunks.workers(self.threads) as share_out:
                    try:
                        self._to_last_epoch(all_crews, share_out)
                    except KeyboardInterrupt:
                        self.halt.set()  # or the threads would go on
                        raise
        except KeyboardInterrupt:
            pass
        for squad, crew in zip(squads, all_crews, strict=True):
            crew.drop(set(squad.places.tolist()), "interrupt" if self.halt.is_set() else "epochs")
            _unscale(squad)

    def _to_last_epoch(self, all_crews: list[Any], share_out: chunks.Map) -> None:
        done = 0
        for rung in self.rungs:
            for until in range(done + 1, rung + 1) if self.on_epoch else [rung]:
                running = [place for crew in all_crews for place in crew.running()]
                if not running:
                    return
                self._advance(all_crews, until, share_out)
                if self.on_epoch and self._stops(until - 1):
                    for crew in all_crews:
                        crew.drop(set(running), "on_epoch")
            done = rung
            if rung < self.rungs[-1]:
                self._halve(all_crews, rung)

    def _advance(self, all_crews: list[Any], until: int, share_out: chunks.Map) -> None:
        while jobs := [job for crew in all_crews for job in crew.jobs(until, self.halt.is_set)]:
            share_out(lambda job: job(), jobs)
            for crew in all_crews:
                crew.close_ranks()
            if self.progress and time.monotonic() - self.shown > PROGRESS_SECONDS:
                self.shown = time.monotonic()
                running = sum(len(crew.running()) for crew in all_crews)
                epoch = max(crew.epoch for crew in all_crews)
                sys.stderr.write(f"\repoch {epoch}/{self.rungs[-1]}  {running} of {len(self.record.epochs)} networks\x1b[K")
                sys.stderr.flush()

    def _stops(self, epoch: int) -> bool:
        assert self.on_epoch is not None
        loss, measured = self.record.loss[:, epoch].copy(), self.record.validation_loss
        return bool(self.on_epoch(epoch, loss, None if measured is None else measured[:, epoch].copy()))

    def _halve(self, all_crews: list[Any], epochs: int) -> None:
        """All but the best are left behind."""
        places = sorted(place for crew in all_crews for place in crew.running())
        scores = self.record.score(places, epochs, bool(self.school.limits.patience))
        worse = np.argsort(scores, kind="stable")[-(-len(places) // self.ways) :]
        for crew in all_crews:
            crew.drop({places[k] for k in worse.tolist()}, "halving")


def _unscale(squad: Squad) -> None:
    """The scaling is folded into the networks' first layers."""
    alike: dict[int, list[int]] = {}
    for member, lesson in enumerate(squad.lessons):
        alike.setdefault(id(lesson.data.scale), []).append(member)
    with np.errstate(all="ignore"):  # those that diverged
        for rows in alike.values():
            data = squad.lessons[rows[0]].data
            theta = squad.theta[rows]
            rescale_inputs(squad.network, theta, data.shift, data.scale)
            squad.theta[rows] = theta
