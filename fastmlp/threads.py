"""Threads: how many there are, when they pay, and how jobs are shared out to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread, local
from typing import Any, TypeAlias, TypeVar

import numpy as np

from fastmlp import checks, interrupts
from fastmlp.warning import warn

Item = TypeVar("Item")
Result = TypeVar("Result")
_this = local()

# Work is counted in parameters times rows; one of them takes 0.1 to 0.5 ns.
THREADS_PAY = 2_000_000  # handing work to another thread from Python, and waiting for it, has its price
LONGEST_CALL = 200_000_000  # for one kernel call: Ctrl-C waits for its end


class Stop:
    """Tells those at work that nobody waits for them any more: by `is_set()`, and to compiled code by `flag`, (1,) uint8."""

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
    return 1 if getattr(_this, "is_alone", False) else len(_cores())


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it this thread works alone where nobody says how many are to: whoever calls it has shared out the cores."""
    before, _this.is_alone = getattr(_this, "is_alone", False), True
    try:
        yield
    finally:
        _this.is_alone = before


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


Calls: TypeAlias = "SimpleQueue[Callable[[], Any] | None]"  # what a thread does, one after the other, until None comes

# The threads that wait for whoever needs them next, by their process, as a child has none of them, and the cores that they may use:
# of each, what it is to do.
_idle: dict[tuple[int, frozenset[int]], list[Calls]] = {}


def _cores() -> frozenset[int]:
    """Those that this thread may use, and any that it begins."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _taken(waiting: list[Calls]) -> Calls | None:
    with suppress(IndexError):
        return waiting.pop()
    return None


def _new_thread() -> Calls:
    calls: Calls = SimpleQueue()
    Thread(target=_serve, args=(calls,), daemon=True).start()
    return calls


def _serve(calls: Calls) -> None:
    while (call := calls.get()) is not None:
        call()
        del call


class Workers:
    """A map over jobs on several threads, within a block: as many as can be had, when they are first needed. Until it ends they are
    of no use to others, which have their own; then they wait, as many as there are cores. A forked child begins its own."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._kind, self._lent = (0, frozenset[int]()), list[Calls]()  # none is needed yet

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        process, cores = self._kind
        if self._lent and process == os.getpid():
            with interrupts.noted():
                waiting = _idle.setdefault(self._kind, [])
                while self._lent:
                    if len(waiting) < len(cores):
                        waiting.append(self._lent.pop())
                    else:
                        self._lent.pop().put(None)

    def standing(self, wanted: int) -> int:
        """How many jobs, up to so many, may wait for each other."""
        return max(1, self._begin(wanted)) if wanted > 1 else 1

    def _begin(self, wanted: int) -> int:
        """Has threads stand ready, if so many do not yet; how many do."""
        if self._kind[0] != os.getpid() or not self._lent:
            self._kind, self._lent = (os.getpid(), _cores()), []
        if len(self._lent) < (count := min(wanted, self.threads)):
            waiting = _idle.get(self._kind, [])
            with interrupts.noted():  # or one could be lost
                try:
                    while len(self._lent) < count:
                        self._lent.append(_taken(waiting) or _new_thread())
                except RuntimeError as error:
                    problem = f"only {len(self._lent)} of {self.threads} threads could be begun ({error})"
                    self.threads = len(self._lent)
                    warn(f"{problem}; it takes longer, and comes to the same", RuntimeWarning)
        return min(wanted, len(self._lent))

    def __call__(self, function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
        """function(job) for each, in their order. The end of each call is a safe place for Ctrl-C."""
        # This thread works too where jobs are many, so that one fewer has to be begun: 1000 small networks take a millisecond less.
        # Else it waits, and whatever interrupts it, those that may wait for each other go on.
        here = len(jobs) > self.threads
        sent = self._begin(self.threads - here if here else len(jobs)) if self.threads > 1 and len(jobs) > 1 else 0
        if not sent:
            return _in_turn(function, jobs)
        results: list[Any] = [None] * len(jobs)
        left, errors, for_main = iter(range(len(jobs))), list[BaseException](), interrupts.works_for_main()
        ended: SimpleQueue[None] = SimpleQueue()

        def work() -> None:
            try:
                for number in left:
                    results[number] = function(jobs[number])
                    interrupts.raise_noted()
            except BaseException as error:
                errors.append(error)
                for _ in left:  # nothing more is begun
                    pass

        def work_apart() -> None:
            interrupts.work_for_main(for_main)
            try:
                work()
            finally:
                ended.put(None)

        with interrupts.noted():
            begun = 0
            try:
                while begun < sent:
                    self._lent[begun].put(work_apart)
                    begun += 1
                if here:
                    work()
            finally:
                for calls in self._lent[begun:sent]:  # whatever has come in between, they may be waited for
                    calls.put(work_apart)
                for _ in range(sent):
                    interrupts.next_of(ended)
        interrupts.raise_noted()
        if errors:
            del errors[1:]  # or they and the frames of their tracebacks would keep each other
            raise errors.pop()
        return results

    @contextmanager
    def serving(self, wanted: int) -> Iterator[Calls]:
        """So many that stand ready take what they do from one queue. At the end of the block they are waited for."""
        calls: Calls = SimpleQueue()
        ended: SimpleQueue[None] = SimpleQueue()

        def serve() -> None:
            _serve(calls)
            ended.put(None)

        for thread in self._lent[:wanted]:
            thread.put(serve)
        try:
            yield calls
        finally:
            if wanted and self._kind[0] == os.getpid():
                with interrupts.noted():
                    for _ in range(wanted):
                        calls.put(None)
                    for _ in range(wanted):
                        interrupts.next_of(ended)


def _in_turn(function: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    """function(job) for each, by this thread."""
    results = []
    try:
        for job in jobs:
            results.append(function(job))
            interrupts.raise_noted()
    finally:
        interrupts.raise_noted()
    return results


def shares(count: int, parts: int) -> list[tuple[int, int]]:
    """range(count), cut into that many runs as equal as can be; empty ones left out."""
    edges = [count * part // parts for part in range(parts + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


class InThreads(Iterator[Result]):
    """function(item, stop=stop) for all items by threads, with at most two items for each thread under way; if not ordered, as they
    are done. The Stop is set when nobody waits for results any more. Ctrl-C is noted while one is waited for, and not between."""

    def __init__(self, function: Callable[..., Result], items: Iterable[Item], threads: int, ordered: bool = True) -> None:
        self._stop = Stop()
        self._results = _in_threads(function, items, threads, ordered, self._stop)

    def __next__(self) -> Result:
        try:
            with interrupts.noted(self._stop.set):
                return next(self._results)
        except BaseException:
            with interrupts.noted():
                self._results.close()
            raise


def _in_threads(
    function: Callable[..., Result], items: Iterable[Item], threads: int, ordered: bool, stop: Stop
) -> Generator[Result]:
    with Workers(threads) as workers:
        # One thread of our own, too, lets the main one hear of Ctrl-C.
        standing = workers._begin(threads) if threads > 1 or interrupts.works_for_main() else 0
        jobs: list[Future[Result]] = []
        with workers.serving(standing) as calls:
            try:
                for item in items:
                    if not standing:
                        yield function(item, stop=stop)
                        continue
                    jobs.append(_submitted(calls, partial(function, item, stop=stop)))
                    while len(jobs) == (2 * standing if threads > 1 else 1) or (jobs and jobs[0].done()):
                        yield _next_done(jobs, ordered)
                while jobs:
                    yield _next_done(jobs, ordered)
            finally:  # also when the caller stops, or Ctrl-C comes
                stop.set()
                for job in jobs:
                    job.cancel()


def _submitted(calls: Calls, function: Callable[[], Result]) -> Future[Result]:
    """What comes of a function that one of those does who serve."""
    future: Future[Result] = Future()
    for_main = interrupts.works_for_main()

    def work() -> None:
        interrupts.work_for_main(for_main)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

    calls.put(work)
    return future


def _next_done(jobs: list[Future[Result]], ordered: bool) -> Result:
    while not wait(jobs[:1] if ordered else jobs, interrupts.LOOK, FIRST_COMPLETED).done:
        pass  # and hear of Ctrl-C
    interrupts.raise_noted()
    return jobs.pop(0 if ordered else next(k for k, job in enumerate(jobs) if job.done())).result()
