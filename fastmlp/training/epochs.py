"""Networks in training, through their epochs: up to one rung after the other, or epoch by epoch where somebody is told of each; on
threads, until all have ended, or somebody presses Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from fastmlp import interrupts
from fastmlp.progress import Progress
from fastmlp.threads import Stop, Workers
from fastmlp.warning import warn

# Called with the threads that it has for itself, or None: then others go on beside it.
Job = Callable[[Workers | None], None]


class InTraining(Protocol):
    """One network or several, from their beginning to the end of each."""

    def jobs(self, until: int, halt: Stop) -> list[Job]:
        """What there is to do until all have come to that epoch, or to one before it; none if they are there. A job asks between
        kernel calls whether to halt, and has long ones look."""

    def tidy(self) -> None:
        """After jobs: those that have ended make room."""

    def running(self) -> list[int]:
        """The places in the population of those that have not ended."""

    def epochs_done(self) -> list[int]:
        """By each of those that have not ended."""

    def drop(self, places: set[int] | None, stopped_by: str) -> None:
        """Ends those at these places, or all, after their last whole epoch, for that reason."""


class _Halt(Stop):
    """Set by Ctrl-C. Jobs ask between two calls of a kernel, and so the line is shown anew."""

    def __init__(self, line: Progress) -> None:
        super().__init__()
        self._line = line

    def is_set(self) -> bool:
        self._line.update()
        return super().is_set()


class Training:
    """What leads networks through their epochs; what it tells, and what it does after some, is up to those who derive from it."""

    def __init__(self, rungs: list[int], threads: int, epoch_by_epoch: bool, progress: bool) -> None:
        self.rungs, self.threads, self.epoch_by_epoch = rungs, threads, epoch_by_epoch  # rungs: epochs, the last ones at the end
        self.line = Progress(progress)
        self.halt = _Halt(self.line)
        self.at_work: list[InTraining] = []
        self.begun = 0  # networks that are at work, or have been
        self.interrupted = False

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
        """Trains those of a wave side by side, one wave after the other; there are to be no more when it was interrupted. After
        Ctrl-C a RuntimeWarning tells so."""
        with interrupts.noted(self.halt.set), self.line.of(self._state):
            for wave in waves:
                self._to_the_end(wave)
            if self.interrupted:
                interrupts.forget()
        self._tell_of_interrupt()

    def _tell_of_interrupt(self) -> None:
        message = self._told_after_interrupt() if self.interrupted else None
        if message is not None:
            warn(message, RuntimeWarning)

    def _to_the_end(self, wave: list[InTraining]) -> None:
        self.at_work = wave
        self.begun += sum(len(part.running()) for part in wave)
        with Workers(self.threads) as threads:
            try:
                self._to_last_epoch(threads)
            except KeyboardInterrupt:
                self.interrupted = True
        for part in wave:
            part.drop(None, "interrupt" if self.interrupted else "epochs")
        self.at_work = []

    def _to_last_epoch(self, threads: Workers) -> None:
        done = 0
        for rung in self.rungs:
            for until in range(done + 1, rung + 1) if self.epoch_by_epoch else [rung]:
                if not any(part.running() for part in self.at_work):
                    return
                self._advance(until, threads)
                if self.epoch_by_epoch:
                    with interrupts.raised_at_once():
                        ended = self._after_epoch(until - 1)
                    if ended:
                        for part in self.at_work:
                            part.drop(None, "on_epoch")
            done = rung
            if rung < self.rungs[-1]:
                self._after_rung(rung)

    def _advance(self, until: int, threads: Workers) -> None:
        while jobs := [job for part in self.at_work for job in part.jobs(until, self.halt)]:
            if len(jobs) == 1:
                jobs[0](threads)
            else:
                threads(lambda job: job(None), jobs)
            interrupts.raise_noted()
            for part in self.at_work:
                part.tidy()
