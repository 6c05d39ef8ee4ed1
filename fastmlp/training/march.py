"""The members of a population through their epochs: as many at a time as memory allows, those that are left after each rung."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.progress import Progress
from fastmlp.threads import Map, workers
from fastmlp.training import crews
from fastmlp.training.crews import Record, Squad, alike
from fastmlp.training.school import Kind, School
from fastmlp.training.train import fold

WAVE_BYTES = 1 << 24  # of what members need while they are trained, beside their parameters and their history
PER_PARAMETER = 5  # of these, so many numbers for each parameter: itself, its gradient, two moments, the best so far
MEMBER_BYTES = 4096  # generators and the like

OnEpoch = Callable[[int, NDArray[np.float64], NDArray[np.float64] | None], Any]


class Needs(NamedTuple):
    """What a population takes up, apart from its parameters."""

    members: int
    epochs: int
    measured: bool
    lockstep: bool  # whether all are trained side by side

    def check(self, parameters: int) -> None:
        """Rejects what the machine cannot hold, with so many bytes of parameters."""
        history = 8 * self.members * self.epochs * (1 + self.measured)
        beside = PER_PARAMETER * parameters
        needed = parameters + history + (beside if self.lockstep else min(beside, WAVE_BYTES))
        checks.memory(f"a population of {self.members}", needed)


Wave = list[tuple[Kind, NDArray[Any], slice]]


def waves(kinds: list[Kind], thetas: list[NDArray[Any]], school: School, lockstep: bool) -> Iterator[Wave]:
    """The members, as many at a time as the bytes allow that they need while they are trained; or all of them."""
    own = len(school.x) * school.own_columns
    wave: Wave = []
    used = 0
    for kind, theta in zip(kinds, thetas, strict=True):
        each = MEMBER_BYTES + (PER_PARAMETER * kind.network.theta.size + own) * theta.itemsize
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


def rungs(count: int, epochs: int, ways: int | None) -> list[int]:
    """The epochs after which all but one in so many ways are left behind, and the last."""
    halvings = 0
    while ways and ways ** (halvings + 1) <= min(count, epochs):
        halvings += 1
    return [epochs // (ways or 1) ** (halvings - rung) for rung in range(halvings + 1)]


class March:
    """All members through their epochs."""

    def __init__(
        self,
        school: School,
        record: Record,
        rungs: list[int],
        ways: int | None,
        threads: int,
        on_epoch: OnEpoch | None,
        progress: bool,
    ) -> None:
        self.school, self.record, self.rungs, self.ways, self.threads = school, record, rungs, ways, threads
        self.on_epoch = on_epoch
        self.halt = Event()
        self.crews: list[Any] = []  # at work
        self.begun = 0  # members that are, or have been
        self.line = Progress(progress)

    def go(self, waves: Iterator[Wave]) -> None:
        with self.line.of(self._state):
            for wave in waves:
                self.school.made.clear()
                self._train([self.school.squad(*part) for part in wave])
        interrupted = self.record.epochs[self.record.stopped_by == "interrupt"]
        if len(interrupted):
            least, most = interrupted.min(), interrupted.max()
            done = most if least == most else f"{least} to {most}"
            best = ", each of its best epoch" if self.school.limits.patience else ""
            so_far = f"these are the networks so far{best}" if most else "the networks are as they began"
            message = f"training was interrupted after {done} of {self.rungs[-1]} epochs; {so_far}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _train(self, squads: list[Squad]) -> None:
        """These members to their end; or after Ctrl-C, not at all."""
        all_crews = self.crews = [crews.crew(squad, self.record, self.threads) for squad in squads]
        self.begun += sum(len(squad.places) for squad in squads)
        try:
            if not self.halt.is_set():
                with workers(self.threads) as share_out:
                    try:
                        self._to_last_epoch(all_crews, share_out)
                    except KeyboardInterrupt:
                        self.halt.set()  # or the threads would go on
                        raise
        except KeyboardInterrupt:
            pass
        for squad, crew in zip(squads, all_crews, strict=True):
            crew.drop(None, "interrupt" if self.halt.is_set() else "epochs")
            _unscale(squad)
        self.crews = []

    def _to_last_epoch(self, all_crews: list[Any], share_out: Map) -> None:
        done = 0
        for rung in self.rungs:
            for until in range(done + 1, rung + 1) if self.on_epoch else [rung]:
                if not any(crew.running() for crew in all_crews):
                    return
                self._advance(all_crews, until, share_out)
                if self.on_epoch and self._stops(until - 1):
                    for crew in all_crews:
                        crew.drop(None, "on_epoch")
            done = rung
            if rung < self.rungs[-1]:
                self._halve(all_crews, rung)

    def _advance(self, all_crews: list[Any], until: int, share_out: Map) -> None:
        while jobs := [job for crew in all_crews for job in crew.jobs(until, self._halted)]:
            share_out(lambda job: job(), jobs)
            for crew in all_crews:
                crew.close_ranks()

    def _halted(self) -> bool:
        """What jobs ask between two calls of a kernel."""
        self.line.update()
        return self.halt.is_set()

    def _state(self) -> tuple[str, float]:
        """How far all have come."""
        running = [epochs for crew in self.crews for epochs in crew.epochs_done()]
        words = f"{self.begun - len(running)} of {len(self.record.epochs)} networks done"
        ended, last = self.record.epochs.clip(0), self.rungs[-1]
        epoch = max(running) if running else ended.max()
        done = sum(running) + int(ended.sum())
        left = (len(ended) - self.begun) * last
        for rung in self.rungs if running else ():
            left += max(0, rung * len(running) - sum(running))
            running = [rung] * -(-len(running) // (self.ways or 1))
        return f"epoch {epoch}/{last}  {words}", done / max(1, done + left)

    def _stops(self, epoch: int) -> bool:
        assert self.on_epoch is not None
        measured = self.record.validation_loss
        return bool(
            self.on_epoch(epoch, self.record.loss[:, epoch].copy(), None if measured is None else measured[:, epoch].copy())
        )

    def _halve(self, all_crews: list[Any], epochs: int) -> None:
        """All but the best are left behind."""
        places = sorted(place for crew in all_crews for place in crew.running())
        scores = self.record.score(places, epochs, bool(self.school.limits.patience))
        worse = np.argsort(scores, kind="stable")[-(-len(places) // (self.ways or 1)) :]
        for crew in all_crews:
            crew.drop({places[k] for k in worse.tolist()}, "halving")


def _unscale(squad: Squad) -> None:
    """The scaling is folded into the networks' first and last layers."""
    with np.errstate(all="ignore"):  # those that diverged
        for rows, lesson in alike(squad.lessons):
            theta = squad.theta[rows]
            fold(squad.network, theta, lesson.inputs, lesson.outputs)
            squad.theta[rows] = theta
