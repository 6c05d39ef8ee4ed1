"""Networks in training, through their epochs: up to one rung after the other, or epoch by epoch where somebody is told of each; on
threads, until all have ended, or somebody presses Ctrl-C."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Protocol

from fastmlp.progress import Progress
from fastmlp.threads import Map, workers

Job = Callable[
    [Map | None], None
]  # called with a map over the threads that it has for itself, or None: then others go on beside it


class InTraining(Protocol):
    """One network or several, from their beginning to the end of each."""

    def jobs(self, until: int, halted: Callable[[], bool]) -> list[Job]:
        """What there is to do until all have come to that epoch, or to one before it; none if they are there. A job asks between
        kernel calls whether to halt."""

    def tidy(self) -> None:
        """After jobs: those that have ended make room."""

    def running(self) -> list[int]:
        """The places in the population of those that have not ended."""

    def epochs_done(self) -> list[int]:
        """By each of those that have not ended."""

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        """Ends those at these places, or all, after their last whole epoch, for that reason."""


class Training:
    """What leads networks through their epochs; what it tells, and what it does after some, is up to those who derive from it."""

    def __init__(self, rungs: list[int], threads: int, epoch_by_epoch: bool, progress: bool) -> None:
        self.rungs, self.threads, self.epoch_by_epoch = rungs, threads, epoch_by_epoch  # rungs: epochs, the last ones at the end
        self.line = Progress(progress)
        self.interrupted = False
        self.at_work: list[InTraining] = []
        self.begun = 0  # networks that are at work, or have been

    def _state(self) -> tuple[str, float]:
        """Words on how far all have come, and the share that is done."""
        raise NotImplementedError

    def _after_epoch(self, epoch: int) -> bool:
        """Whether to end all."""
        raise NotImplementedError

    def _after_rung(self, epochs: int) -> None:
        """Nobody need be left behind."""

    def _told_after_interrupt(self) -> str | None:
        """What to tell of networks that were interrupted, if there are any."""
        raise NotImplementedError

    def go(self, waves: Iterable[list[InTraining]]) -> None:
        """Trains those of a wave side by side, one wave after the other. After Ctrl-C no more is begun, and a RuntimeWarning tells
        the caller's caller."""
        with self.line.of(self._state):
            for wave in waves:
                self._to_the_end(wave)
        message = self._told_after_interrupt() if self.interrupted else None
        if message is not None:
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _to_the_end(self, wave: list[InTraining]) -> None:
        self.at_work = wave
        self.begun += sum(len(part.running()) for part in wave)
        try:
            if not self.interrupted:
                with workers(self.threads) as share_out:
                    try:
                        self._to_last_epoch(share_out)
                    except KeyboardInterrupt:
                        self.interrupted = True  # or the threads would go on
                        raise
        except KeyboardInterrupt:
            pass
        for part in wave:
            part.drop(None, "interrupt" if self.interrupted else "epochs")
        self.at_work = []

    def _to_last_epoch(self, share_out: Map) -> None:
        done = 0
        for rung in self.rungs:
            for until in range(done + 1, rung + 1) if self.epoch_by_epoch else [rung]:
                if not any(part.running() for part in self.at_work):
                    return
                self._advance(until, share_out)
                if self.epoch_by_epoch and self._after_epoch(until - 1):
                    for part in self.at_work:
                        part.drop(None, "on_epoch")
            done = rung
            if rung < self.rungs[-1]:
                self._after_rung(rung)

    def _advance(self, until: int, share_out: Map) -> None:
        while jobs := [job for part in self.at_work for job in part.jobs(until, self._halted)]:
            if len(jobs) == 1:
                jobs[0](share_out)
            else:
                share_out(lambda job: job(None), jobs)
            for part in self.at_work:
                part.tidy()

    def _halted(self) -> bool:
        """What jobs ask between two calls of a kernel."""
        self.line.update()
        return self.interrupted
