"""The members of a population through their epochs, as many at a time as memory allows, those that are left after each rung."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.training.data import Dataset
from fastmlp.training.epochs import InTraining, Training
from fastmlp.training.groups import Architecture, Outcomes, SamplesAsLanes, TrainingGroup
from fastmlp.training.initial import dropped_by, first_thetas
from fastmlp.training.lanes import NetworksAsLanes
from fastmlp.training.loss_check import check_custom_loss
from fastmlp.training.memory import OF_A_MEMBER, WAVE_BYTES, WAVE_MEMBERS
from fastmlp.training.one_network import Stopping
from fastmlp.training.scaling import fold, unfold
from fastmlp.training.trainers import TRAINERS

MEMBER_BYTES = 4096  # generators and the like
LARGE_BATCH = 256  # samples
LARGE_NETWORK = 20_000  # bytes of parameters

OnEpochOfMany = Callable[[int, NDArray[np.float64], NDArray[np.float64] | None], Any]

drops_unbegun = ContextVar("whether the caller drops members that have not begun when Ctrl-C comes", default=False)


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


def given_thetas(init: Any, kinds: list[Architecture], thetas: list[NDArray[Any]]) -> None:
    """Writes the parameters of networks to go on from, if members do."""
    for kind, theta in zip(kinds, thetas, strict=True):
        if isinstance(init, MLP):
            theta[:] = init.theta
        elif isinstance(init, Population):
            theta[:] = init.thetas(kind.members)
        elif not isinstance(init, str):
            theta[:] = [init[member].theta for member in kind.members]


class TrainingOfMany(Training):
    """The members of a population through their epochs; or some of them, in ascending order, of whom alone there are outcomes."""

    def __init__(
        self,
        dataset: Dataset,
        numbers: NDArray[np.float64],
        threads: int,
        on_epoch: OnEpochOfMany | None = None,
        some: NDArray[np.intp] | None = None,
        steps: list[int] | None = None,
    ) -> None:
        options = self.options = dataset.options
        self.dataset, self.numbers, self.on_epoch = dataset, numbers, on_epoch
        self.members = np.arange(len(numbers)) if some is None else some
        self.outcomes = Outcomes(
            len(self.members), options.most_epochs, options.validation is not None, by_accuracy=options.monitor == "accuracy"
        )
        steps = steps or rungs(len(numbers), options.most_epochs, options.halving)
        super().__init__(steps, threads, on_epoch is not None, options.progress)

    def _places(self, members: Sequence[int]) -> NDArray[np.intp]:
        """Of members among those that are trained."""
        return np.searchsorted(self.members, np.array(members))

    def waves(self, kinds: list[Architecture], thetas: list[NDArray[Any]], lockstep: bool) -> Iterator[list[InTraining]]:
        """The members, as many at a time as the bytes allow that they need while they are trained; or all of them."""
        for wave in self._parts(kinds, thetas, lockstep):
            self.dataset.made.clear()
            if self.interrupted and drops_unbegun.get():
                for kind, _, part in wave:
                    self.outcomes.leave(self._places(kind.members[part]))
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
        rows = len(data[0].rows)
        group = TrainingGroup(
            network, self._places(members), theta, self.numbers[members].astype(theta.dtype), options.method(kind.epochs, rows),
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
        worse = self._worse(places, epochs)
        for part in self.at_work:
            part.drop(worse, "halving")

    def _worse(self, places: list[int], epochs: int) -> set[int]:
        """Those at these places, in ascending order, that are left behind after so many epochs."""
        scores = self.outcomes.score(places, epochs, bool(self.options.patience))
        worse = np.argsort(scores, kind="stable")[-(-len(places) // (self.options.halving or 1)) :]
        return {places[k] for k in worse.tolist()}

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
