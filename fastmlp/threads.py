"""Threads: how many there are, when they pay, and how jobs are shared out to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from fastmlp import checks

Item = TypeVar("Item")
Result = TypeVar("Result")
Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]

# Work is counted in parameters times rows; one of them takes 0.1 to 0.5 ns.
THREADS_PAY = 2_000_000  # handing work to another thread from Python, and waiting for it, has its price
LONGEST_CALL = 200_000_000  # for one kernel call: Ctrl-C waits for its end


class Stop:
    """Tells those at work that nobody waits for them any more: Python asks `is_set()`, compiled code looks at `flag`, (1,) uint8."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.uint8)

    def set(self) -> None:
        self.flag[0] = 1

    def is_set(self) -> bool:
        return bool(self.flag[0])


def thread_count(value: int | None) -> int:
    """The number of worker threads: as given, or one for each core that this process may use."""
    if value is not None:
        return checks.positive_int("threads", value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(work: int, most: int | None = None) -> int:
    """How many threads are worth sending, of as many as there may be."""
    return thread_count(most) if work >= THREADS_PAY else 1


def to_own_core(me: int) -> None:
    """Moves this thread of a team to a core of its own, where it need not stay. The system takes some milliseconds to do so."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            cores = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {sorted(cores)[me % len(cores)]})
            os.sched_setaffinity(0, cores)


@contextmanager
def workers(threads: int) -> Iterator[Map]:
    """A map over jobs, on this thread or on several; it ends when all of them have ended."""
    if threads == 1:
        yield _in_turn
        return
    with ThreadPoolExecutor(threads) as pool:
        yield lambda function, jobs: _shared_out(pool, threads, function, jobs)


class LastingWorkers:
    """A map over jobs that is called again and again: its threads are begun when they are first needed, wait for the next call, and
    end with it. A forked child, which has none of them, begins its own."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __call__(self, function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
        if self.threads == 1 or len(jobs) == 1:
            return _in_turn(function, jobs)
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(self.threads), os.getpid()
        try:
            return _shared_out(self._pool, self.threads, function, jobs)
        except BaseException:  # what is under way is not to write into what the next call uses
            self._pool.shutdown()
            self._pool = None
            raise


def _in_turn(function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    return [function(job) for job in jobs]


def _shared_out(pool: ThreadPoolExecutor, threads: int, function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    if len(jobs) <= threads:  # who may wait for each other, and Ctrl-C takes hold of this thread alone
        return _all_at_once(pool, function, jobs)
    # This thread works too, so that one fewer has to be begun: 1000 small networks take a millisecond less.
    results: list[Any] = [None] * len(jobs)
    left = iter(range(len(jobs)))

    def work() -> None:
        for number in left:
            results[number] = function(jobs[number])

    others = [pool.submit(work) for _ in range(threads - 1)]
    try:
        work()
        for other in others:
            other.result()
    finally:
        for _ in left:  # after an error nothing more is begun
            pass
    return results


def _all_at_once(pool: ThreadPoolExecutor, function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    begun: dict[int, object] = {}

    def once(number: int) -> Any:
        ticket = object()
        return function(jobs[number]) if begun.setdefault(number, ticket) is ticket else None

    try:
        return list(pool.map(once, range(len(jobs))))
    except BaseException:  # Ctrl-C, say: those that were sent may be waiting, in the kernel, for the others
        for number in range(len(jobs)):
            pool.submit(once, number)
        raise


def shares(count: int, parts: int) -> list[tuple[int, int]]:
    """range(count), cut into that many runs as equal as can be; empty ones left out."""
    edges = [count * part // parts for part in range(parts + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def in_threads(function: Callable[..., Result], items: Iterable[Item], threads: int, ordered: bool = True) -> Generator[Result]:
    """function(item, stop) for all items by threads, with at most two items for each thread under way; if not ordered, as they are
    done. `stop` is set when nobody waits for results any more."""
    stop = Stop()
    if threads == 1:
        for item in items:
            yield function(item, stop=stop)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        jobs: list[Future[Result]] = []
        for item in items:
            jobs.append(pool.submit(function, item, stop=stop))
            while len(jobs) == 2 * threads or (jobs and jobs[0].done()):
                yield _next_done(jobs, ordered)
        while jobs:
            yield _next_done(jobs, ordered)
    finally:  # also when the caller stops, or Ctrl-C comes
        stop.set()
        pool.shutdown(cancel_futures=True)


def _next_done(jobs: list[Future[Result]], ordered: bool) -> Result:
    if not ordered:
        wait(jobs, return_when=FIRST_COMPLETED)
    return jobs.pop(0 if ordered else next(k for k, job in enumerate(jobs) if job.done())).result()
