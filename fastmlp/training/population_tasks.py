"""The members of a population in tasks of an executor: some of them in each, which a worker trains with one thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import interrupts
from fastmlp.executors import Engine, InTasks
from fastmlp.kernels.vectors import BYTES, WIDE
from fastmlp.training.data import Dataset
from fastmlp.training.groups import Architecture, Outcomes
from fastmlp.training.population_training import LARGE_NETWORK, TrainingOfMany

SECOND = 10_000_000_000  # of work, counted in parameters times rows and epochs, twice as much in float64: it takes one to two
ROW_WORK = 200  # parameters that a row costs beside those of the network
LEAST_SECONDS, MOST_SECONDS = 1, 10  # of a task: so that it pays to be sent, and that not much is lost with it
TASKS = 16  # for each worker, if each is long enough: so that all have something to do until nearly the end


class _Shared(NamedTuple):
    """What all tasks need."""

    dataset: Dataset
    numbers: NDArray[np.float64]
    kinds: list[Architecture]  # without members


class _Part(NamedTuple):
    """Members of a task that are of one kind."""

    kind: int
    rows: NDArray[np.intp]  # among all members of that kind
    members: list[int]
    theta: NDArray[Any] | None = None  # that of networks to go on from


class _Task(NamedTuple):
    """Members to train until some epoch."""

    parts: list[_Part]
    until: int

    @property
    def members(self) -> NDArray[np.intp]:
        return np.sort(np.concatenate([part.members for part in self.parts]))


class _Trained(NamedTuple):
    """What comes of a task."""

    thetas: list[NDArray[Any]]
    outcomes: Outcomes  # of its members in ascending order


def train_task(shared: _Shared, task: _Task) -> _Trained:
    """What a worker does. Members that are not at their end stop by "halving"."""
    dataset = replace(shared.dataset, made={})  # others may be at theirs in this process
    last = dataset.options.most_epochs
    training = _OneRung(dataset, shared.numbers, 1, some=task.members, steps=sorted({task.until, last}))
    kinds = [shared.kinds[part.kind]._replace(members=part.members) for part in task.parts]
    thetas = [
        np.zeros((len(kind.members), kind.network.theta.size), kind.network.dtype) if part.theta is None else part.theta.copy()
        for kind, part in zip(kinds, task.parts, strict=True)
    ]
    training.go(training.waves(kinds, thetas, lockstep=False))
    return _Trained(thetas, training.outcomes.until(int(training.outcomes.epochs.max())))


class _OneRung(TrainingOfMany):
    """Members until they are compared with others, which are elsewhere."""

    def _after_rung(self, epochs: int) -> None:
        for part in self.at_work:
            part.drop(None, "halving")


class TrainingInTasks(TrainingOfMany):
    """The members of a population through their epochs, by the workers of an engine."""

    def __init__(self, dataset: Dataset, numbers: NDArray[np.float64], kinds: list[Architecture], engine: Engine) -> None:
        super().__init__(dataset, numbers, 1)
        self.kinds, self.engine = kinds, engine
        self.each = [np.array(kind.members) for kind in kinds]
        self.done, self.work = 0.0, 0.0  # the part of the work that is done, and all of it, as far as it is known

    def go_in_tasks(self, thetas: list[NDArray[Any]]) -> None:
        """Trains all, whose parameters come where there may be those of networks to go on from. After Ctrl-C as `go`."""
        begin = None if isinstance(self.options.init, str) else [theta.copy() for theta in thetas]
        value = _Shared(self._sent(), self.numbers, [kind._replace(members=()) for kind in self.kinds])
        left = [np.arange(len(kind.members)) for kind in self.kinds]
        with interrupts.noted(), self.line.of(self._state):
            try:
                with closing(self.engine.shared(value)) as shared:
                    for until in self.rungs:
                        tasks = self._cut(left, until)
                        with closing(InTasks(self.engine, train_task, _beginning(tasks, begin), shared)) as results:
                            for task, trained in zip(tasks, results, strict=True):
                                self._take(task, trained, thetas)
                                self.line.update()
                                interrupts.raise_noted()
                        if self.interrupted or not any(map(len, left := self._going_on(left, until))):
                            break
            except KeyboardInterrupt:
                self.interrupted = True
            if self.interrupted:
                self._leave(left, thetas)
                interrupts.forget()
        self._tell_of_interrupt()

    def _sent(self) -> Dataset:
        """What workers get to see of the data and the options: what is in other places, or of use here alone, is not sent twice."""
        options, nobody = self.options, dict.fromkeys(self.options.own())
        begin = options.init if isinstance(options.init, str) else self.kinds[0].network
        here: dict[str, Any] = {"rows": None, "sample_weight": None, "progress": False, "halving": None}
        if isinstance(options.validation, tuple):  # whatever it is made of
            here["validation"] = self.dataset.given_beside(self.kinds[0].network)
        given = replace(options, **{**nobody, **here, "init": begin, "epochs": options.most_epochs})
        return replace(self.dataset, options=given, made={})

    def _cut(self, left: Sequence[NDArray[np.intp]], until: int) -> list[_Task]:
        """Tasks of about as much work each, for the members of each kind that are left."""
        works = [_work_of(kind, self.dataset, until) for kind in self.kinds]
        total = sum(len(rows) * work for rows, work in zip(left, works, strict=True))
        workers, seconds = self.engine.workers(), total / SECOND
        count = max(1, int(seconds / np.clip(seconds / (TASKS * workers), LEAST_SECONDS, MOST_SECONDS)))
        count -= count % workers if count > workers else 0
        parts: list[list[_Part]] = [[] for _ in range(count)]
        before = 0.0
        for number, (rows, work) in enumerate(zip(left, works, strict=True)):
            lanes = _lanes_of(self.kinds[number])
            ends = np.rint((np.arange(1, count) * (total / count) - before) / (work * lanes)) * lanes
            edges = [0, *ends.clip(0, len(rows)).astype(int).tolist(), len(rows)]
            for which, (first, end) in enumerate(pairwise(edges)):
                if first < end:
                    some = rows[first:end]
                    parts[which].append(_Part(number, some, self.each[number][some].tolist()))
            before += len(rows) * work
        self.done, self.work = 0.0, total
        return [_Task(some, until) for some in parts if some]

    def _take(self, task: _Task, trained: _Trained, thetas: list[NDArray[Any]]) -> None:
        self.outcomes.take(task.members, trained.outcomes)
        for part, theta in zip(task.parts, trained.thetas, strict=True):
            thetas[part.kind][part.rows] = theta
            self.done += len(theta) * _work_of(self.kinds[part.kind], self.dataset, task.until)
        self.interrupted |= bool((trained.outcomes.stopped_by == "interrupt").any())  # a worker has heard it

    def _leave(self, left: Sequence[NDArray[np.intp]], thetas: list[NDArray[Any]]) -> None:
        """Those of a rung that have not ended stay as they are, and those that have not come back as they began."""
        for number, some in enumerate(left):
            places = self.each[number][some]
            self.outcomes.stopped_by[places[self.outcomes.stopped_by[places] == "halving"]] = "interrupt"
            unbegun = self.outcomes.epochs[places] < 0
            rows = some[unbegun]
            if len(rows):
                theta = thetas[number][rows]
                kind = self.kinds[number]._replace(members=places[unbegun].tolist())
                for _ in self.waves([kind], [theta], lockstep=False):
                    pass  # nobody is trained any more
                thetas[number][rows] = theta

    def _going_on(self, left: list[NDArray[np.intp]], epochs: int) -> list[NDArray[np.intp]]:
        """The members of each kind that have not ended, but those that are left behind."""
        running = [rows[self.outcomes.stopped_by[each[rows]] == "halving"] for each, rows in zip(self.each, left, strict=True)]
        places = np.sort(np.concatenate([each[rows] for each, rows in zip(self.each, running, strict=True)])).tolist()
        worse = self._worse(places, epochs) if places else set()
        return [rows[[place not in worse for place in each[rows].tolist()]] for each, rows in zip(self.each, running, strict=True)]

    def _state(self) -> tuple[str, float]:
        ended = int((self.outcomes.epochs >= 0).sum())
        return f"{ended} of {len(self.members)} networks done", self.done / max(1.0, self.work)


def _beginning(tasks: Sequence[_Task], begin: list[NDArray[Any]] | None) -> Iterator[_Task]:
    """The tasks as they are sent: with the parameters that their members begin with, if these are not drawn."""
    for task in tasks:
        given = task.parts if begin is None else [part._replace(theta=begin[part.kind][part.rows]) for part in task.parts]
        yield task._replace(parts=given)


def _work_of(kind: Architecture, dataset: Dataset, until: int) -> float:
    """Of a member, as SECOND counts it."""
    own = dataset.set_of(kind.members[0])
    rows = len(dataset.x) if dataset.row_sets is None or own is None else len(dataset.row_sets.sets[own])
    network = kind.network
    return (network.work_of_row + ROW_WORK) * rows * min(until, kind.epochs) * network.dtype.itemsize / 4


def _lanes_of(kind: Architecture) -> int:
    """How many members are trained in about the time of one."""
    network = kind.network
    if network.theta.nbytes > LARGE_NETWORK:
        return 1
    return (WIDE if kind.batch_size == 1 else 1) * BYTES // network.dtype.itemsize
