"""Members of a population: those of one architecture together, how each of them went, and those whose batches are large, one
descent for each, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import optimizers
from fastmlp.networks.ensemble import GROUPED
from fastmlp.networks.history import History
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.threads import Stop, Workers
from fastmlp.training.data import Dataset, TrainingData
from fastmlp.training.epochs import Job
from fastmlp.training.initial import check_huber_delta, untrained
from fastmlp.training.one_network import OneNetwork, Stopping
from fastmlp.training.options import Options
from fastmlp.training.trainers import trainer_of


class Architecture(NamedTuple):
    """Members of one architecture, batch size, and numbers of epochs and rows."""

    number: int
    network: MLP  # of theirs, without values
    batch_size: int | None
    epochs: int
    members: Sequence[int]
    own: dict[str, Any]  # options of theirs that others may have otherwise


def architectures(dataset: Dataset, options: Options, dtype: Any, feature_names: tuple[str, ...] | None) -> list[Architecture]:
    """All members, by their architecture."""
    inits, numbers = _networks_to_go_on_from(options.init)
    networks: dict[Any, tuple[MLP, tuple[int, int]]] = {}
    found: dict[Any, tuple[MLP, int | None, int, dict[str, Any], list[Sequence[int]]]] = {}
    names = [name for name in GROUPED if isinstance(getattr(options, name), list | range)]
    sets = 0 if dataset.row_sets is None else dataset.row_sets.of_member
    own = range(len(dataset.seeds)) if dataset.own_targets and dataset.y.dtype.kind != "f" else 0  # columns decide on classes
    alike = _alike(
        len(dataset.seeds), options.hidden, options.activation, options.batch_size, options.epochs, numbers, own, sets,
        *(getattr(options, name) for name in names),
    )  # fmt: skip
    for (hidden, activation, batch_size, epochs, number, column, rows_of, *values), members in alike.items():
        common = dict(zip(names, values, strict=True))
        init = inits[number]
        made_of = hidden, activation, init if isinstance(init, str) else _signature(init), column, rows_of, *values
        if made_of not in networks:
            wanted = replace(options, hidden=hidden, activation=activation, **common)
            targets = dataset.targets_of(members[0])
            shape = len(targets), dataset.x.shape[1]
            network = untrained(shape, dtype, targets, wanted, init, feature_names)
            networks[made_of] = network, dataset.rows_left(network, members[0])
        network, rows = networks[made_of]
        key = *_signature(network), batch_size, epochs, rows, *values
        found.setdefault(key, (network, batch_size, epochs, common, []))[-1].append(members)
    check_huber_delta(options, [network for network, _ in networks.values()])
    return [
        Architecture(number, network, batch_size, epochs, parts[0] if len(parts) == 1 else sorted(chain(*parts)), common)
        for number, (network, batch_size, epochs, common, parts) in enumerate(found.values())
    ]


def _alike(count: int, *values: Any) -> dict[tuple[Any, ...], Sequence[int]]:
    """Members for whom the same is given, by that; of each value there is one for all, or a list or range."""
    if not any(isinstance(value, list | range) for value in values):
        return {values: range(count)}
    found: dict[tuple[Any, ...], list[int]] = {}
    columns = (value if isinstance(value, list | range) else repeat(value, count) for value in values)
    for member, given in enumerate(zip(*columns, strict=True)):
        found.setdefault(given, []).append(member)
    return dict(found)


def _networks_to_go_on_from(init: Any) -> tuple[Sequence[str | MLP], int | Sequence[int]]:
    """Names or networks, and the number of that of all members, or of each."""
    if isinstance(init, str | MLP):
        return [init], 0
    if not isinstance(init, Population):
        return init, range(len(init))
    numbers = [0] * len(init)
    for number, group in enumerate(init.groups):
        for member in group.members.tolist():
            numbers[member] = number
    return [group.network for group in init.groups], numbers


def _signature(network: MLP) -> tuple[Any, ...]:
    """What networks of one architecture agree in."""
    classes = None if network.classes is None else tuple(network.classes.tolist())
    shape = network.layer_sizes, network.activations, network.output, network.loss_given, network.huber_delta, network.bias
    return *shape, classes, network.feature_names


REASON = np.dtype("U11")  # why a member ended


class TrainingGroup(NamedTuple):
    """m networks of one architecture."""

    network: MLP  # but for its theta
    places: NDArray[np.intp]  # (m,) in the population
    theta: NDArray[Any]  # (m, P): the first, for scaled inputs and targets; they become the last
    numbers: NDArray[Any]  # (m, 3): learning rate, momentum, l2
    method: optimizers.Method
    batch_size: int  # at most the number of rows
    stopping: Stopping
    data: list[TrainingData]  # what each learns, or the one that all do
    dropped: Dropped | None = None  # from their hidden layers

    @property
    def online(self) -> bool:
        """Whether each update is from one sample, by plain gradient descent: that has a kernel of its own."""
        return self.batch_size == 1 and self.dropped is None and optimizers.is_plain(self.method)

    def data_of(self, member: int) -> TrainingData:
        return self.data[member if len(self.data) > 1 else 0]

    def alike(self) -> list[tuple[slice | list[int], TrainingData]]:
        """The members whose inputs and targets are scaled alike, and what one of them learns."""
        if len(self.data) == 1:
            return [(slice(None), self.data[0])]
        found: dict[Any, list[int]] = {}
        for member, data in enumerate(self.data):
            found.setdefault((data.parts.inputs, data.parts.targets), []).append(member)
        return [(members, self.data[members[0]]) for members in found.values()]


class Outcomes:
    """How the members of a population went; threads write to different rows."""

    def __init__(self, members: int, epochs: int, measured: bool, by_accuracy: bool = False) -> None:
        self.loss = np.full((members, epochs), np.nan)  # and NaN it stays after a member's end
        self.validation_loss = np.full((members, epochs), np.nan) if measured else None
        self.validation_accuracy = np.full((members, epochs), np.nan) if measured and by_accuracy else None
        self.epochs = np.full(members, -1)  # of those that have ended
        self.scores = np.full(members, np.nan)
        self.stopped_by = np.full(members, "epochs", REASON)

    def end(self, places: NDArray[np.intp], epochs: NDArray[np.int64], stopped_by: NDArray[np.str_], keeps_best: bool) -> None:
        """Notes of the members at those places how many epochs they completed, and why they ended."""
        self.epochs[places], self.stopped_by[places] = epochs, stopped_by
        for member in np.flatnonzero(stopped_by == "interrupt"):  # which may have come after the losses of a call were noted
            for values in (self.loss, self.validation_loss, self.validation_accuracy):
                if values is not None:
                    values[places[member], epochs[member] :] = np.nan
        scored = (epochs > 0) & (stopped_by != "diverged")
        if not scored.any():
            return
        places, last = places[scored], epochs[scored] - 1
        so_far = places, slice(last.max() + 1)
        self.scores[places] = np.nanmin(self._decisive(so_far), axis=1) if keeps_best else self._decisive((places, last))

    def leave(self, places: NDArray[np.intp]) -> None:
        """Notes that the members at those places have not begun when Ctrl-C came."""
        self.epochs[places], self.stopped_by[places] = 0, "interrupt"

    def diverge(self, places: NDArray[np.intp]) -> None:
        """Notes that the members at those places have come to nothing."""
        self.stopped_by[places], self.scores[places] = "diverged", np.nan

    def take(self, places: NDArray[np.intp], others: Outcomes) -> None:
        """Notes of the members at those places what is noted of others."""
        for mine, theirs in (
            (self.loss, others.loss),
            (self.validation_loss, others.validation_loss),
            (self.validation_accuracy, others.validation_accuracy),
        ):
            if mine is not None and theirs is not None:
                mine[places, : theirs.shape[1]] = theirs
        self.epochs[places], self.scores[places], self.stopped_by[places] = others.epochs, others.scores, others.stopped_by

    def until(self, epochs: int) -> Outcomes:
        """The same without room for more epochs."""
        others = copy(self)
        for name in ("loss", "validation_loss", "validation_accuracy"):
            values = getattr(self, name)
            setattr(others, name, None if values is None else values[:, :epochs].copy())
        return others

    def note(self, place: int, history: History) -> None:
        """The losses of a member so far."""
        self.loss[place, : history.epochs] = history.loss
        if self.validation_loss is not None and history.validation_loss is not None:
            self.validation_loss[place, : len(history.validation_loss)] = history.validation_loss
        if self.validation_accuracy is not None and history.validation_accuracy is not None:
            self.validation_accuracy[place, : len(history.validation_accuracy)] = history.validation_accuracy

    def score(self, places: list[int], epochs: int, keeps_best: bool) -> NDArray[np.float64]:
        """The losses, or error rates, by which members that have completed so many epochs are compared."""
        decisive = self._decisive((places, slice(epochs)))
        return decisive.min(axis=1) if keeps_best else decisive[:, -1]

    def _decisive(self, where: Any) -> NDArray[np.float64]:
        """What members are compared by: of those at some places, in some epochs."""
        if self.validation_accuracy is not None:
            return 1 - self.validation_accuracy[where]
        return (self.loss if self.validation_loss is None else self.validation_loss)[where]


class SamplesAsLanes:
    """Members side by side, each a descent of its own."""

    def __init__(self, group: TrainingGroup, outcomes: Outcomes, threads: int) -> None:
        self.group, self.outcomes = group, outcomes
        self.threads = max(1, threads // len(group.places))  # of a descent, while others go on beside it
        self.descents: dict[int, OneNetwork] = {}
        self.left = dict(enumerate(group.places.tolist()))  # that have not ended
        self.epoch = 0

    def jobs(self, until: int, halt: Stop) -> list[Job]:
        until = min(until, self.group.stopping.epochs)
        if self.epoch >= until:
            return []
        self.epoch = until
        return [partial(self._go_on, member, until, halt) for member in self.left]

    def _go_on(self, member: int, until: int, halt: Stop, threads: Workers | None) -> None:
        descent = self._descent(member)
        if halt.is_set():
            return
        with nullcontext(threads) if threads else Workers(self.threads) as own:
            descent.advance(until, own, halt)
        if not descent.stopped_by and descent.epochs == self.group.stopping.epochs:
            descent.stop("epochs")
        if descent.stopped_by:
            self._leave(member)
        else:
            self._note(member)

    def _descent(self, member: int) -> OneNetwork:
        """That of a member, as far as it has come."""
        if member not in self.descents:
            group = self.group
            rate, momentum, l2 = group.numbers[member].tolist()
            rule = optimizers.Rule(group.method, rate, momentum, l2)
            network = group.network.like(group.theta[member])
            dropped = None if group.dropped is None else group.dropped.of(member)
            self.descents[member] = trainer_of(
                network, group.data_of(member), rule, group.stopping, group.batch_size, self.threads, dropped=dropped
            )
        return self.descents[member]

    def tidy(self) -> None:
        """Nothing holds a place here."""

    def running(self) -> list[int]:
        return list(self.left.values())

    def epochs_done(self) -> list[int]:
        descents = map(self.descents.get, list(self.left))  # threads may begin and end some meanwhile
        return [0 if descent is None else descent.epochs for descent in descents]

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        for member, place in list(self.left.items()):
            if places is not None and place not in places:
                continue
            if member in self.descents or stopped_by != "interrupt":
                self._descent(member).drop(None, stopped_by)
                self._leave(member)
            else:  # it is as it began, and Ctrl-C does not wait for more
                self.outcomes.leave(self.group.places[[member]])
                del self.left[member]

    def _note(self, member: int) -> None:
        self.outcomes.note(self.group.places[member], self.descents[member].history())

    def _leave(self, member: int) -> None:
        self._note(member)
        descent = self.descents.pop(member)
        self.group.theta[member] = descent.theta
        why = np.array([descent.stopped_by])
        self.outcomes.end(self.group.places[[member]], np.array([descent.epochs]), why, bool(self.group.stopping.patience))
        del self.left[member]
