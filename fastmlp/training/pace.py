"""How many threads go into a kernel together, for how long, and how they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels import barrier
from fastmlp.threads import Workers, to_own_core

TRIAL_SECONDS = 0.001  # what a call by a team that may not be the fastest should last
WORTH_A_TRIAL = 0.005  # seconds of work that are left
CALLS_BETWEEN_TRIALS = 16  # at most: the first follow sooner, as idle threads of a BLAS keep cores busy for some milliseconds
FIRST_CALL = 4_000_000  # parameters times rows, before anything is known of the time it takes
CALL_SECONDS = 0.05  # what a kernel call should last: Ctrl-C and progress wait for its end


class Pace:
    """How many threads to send into the kernel, and for how many batches.

    The result is the same for any number of threads, so the fastest team is sent, and now and then another one, for a short time:
    where other processes keep the cores busy, threads that wait for each other can take several times as long as one alone.
    """

    def __init__(self, most: int, work: int) -> None:
        """For so many threads at most; the work of a batch is counted in parameters times rows."""
        self.teams = sorted({1, most})
        self.first = max(1, FIRST_CALL // work)
        self.calls = 0
        self.seconds: dict[int, float] = {}  # for a batch, once all are there
        self.gathering: dict[int, float] = {}  # seconds of a call beside

    def next(self, left: int, most: int) -> tuple[int, int]:
        """The team, and the batches of its call, when so many are left, of which a call does at most so many."""
        self.calls += 1

        def cost(team: int) -> float:  # of a batch
            seconds = self.seconds.get(team, 0.0)
            return seconds and seconds + self.gathering[team] / max(1.0, min(most, CALL_SECONDS / seconds))

        if self.seconds and left * min(self.seconds.values()) < WORTH_A_TRIAL:
            return min(self.seconds, key=cost), left
        ranked = sorted(self.teams, key=cost)
        is_power_of_2 = self.calls & (self.calls - 1) == 0
        trial = len(self.seconds) < len(self.teams) or self.calls % CALLS_BETWEEN_TRIALS == 0 or is_power_of_2
        team = ranked[-1] if trial and len(self.seconds) == len(self.teams) else ranked[0]
        if not self.seconds:
            return team, self.first
        return team, max(1, int((TRIAL_SECONDS if trial else CALL_SECONDS) / min(self.seconds.values())))

    def most(self, threads: int) -> int:
        """No more than so many can be sent."""
        self.teams = sorted({1, threads})
        return threads

    def took(self, team: int, batches: int, at_work: float, seconds: float) -> None:
        """A call took so many seconds, of which so many from when all were at work until the last one left."""
        self.seconds[team], self.gathering[team] = max(at_work / batches, 1e-9), seconds - at_work


def by_team(threads: int, share_out: Workers, work: Callable[[int, NDArray[np.int64]], Any]) -> float:
    """Has so many threads work together, each by its number and the counter by which they meet; for how many seconds all were
    there."""
    counter = barrier.new_counter()

    def member(me: int) -> tuple[float, float]:
        try:
            if threads > 1:
                to_own_core(me)
            came = time.perf_counter()
            work(me, counter)
            return came, time.perf_counter()
        except BaseException:  # the others are not to wait
            barrier.give_up(counter)
            raise

    came, went = zip(*share_out(member, list(range(threads))), strict=True)
    return max(went) - max(came)
