"""Executors of others, to which work is handed: pools of processes, and clusters by Dask. None is begun here, and none is ended."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, TypeVar

from fastmlp import checks, interrupts
from fastmlp.tasks import Asked, InFile, Sent, do_pickled_task, do_task, pickled
from fastmlp.threads import thread_count

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 1  # tasks for each worker beside the one at work, so that it need not wait for the next
GONE = 30.0  # seconds without its scheduler, after which a client of Dask is not waited for
COUNTED = 1.0  # seconds that a count of workers is good for, as some may come late
LOCAL = ("loky", "joblib")  # packages whose executors have their workers on this machine
WITH_EACH = 1 << 18  # bytes of a value, at most, that each task of Dask or an MPI carries: some tenths of a millisecond
IN_GRAPH = 1 << 26  # bytes of a value, at most, that Dask can make again when all workers are lost that had it
COPIED = 10.0  # seconds, at most, that are waited until all workers have a value; later they get it with their first task
ENGINES = ("concurrent", "distributed", "loky", "joblib", "mpi4py")  # packages whose errors are of workers, not of what they do


class LostWorkError(RuntimeError):
    """An executor has lost the work that it was given: its workers, or itself, are gone for good."""


@contextmanager
def _lost_if(*kinds: type[Exception]) -> Iterator[None]:
    """Within it errors of these kinds, and those of engines, become a LostWorkError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, kinds) or type(error).__module__.partition(".")[0] in ENGINES:
            raise _lost(str(error) or "it was cancelled, or whoever schedules it is gone") from error
        raise


def _lost(why: str) -> LostWorkError:
    return LostWorkError(f"the executor has lost the work that it was given, and gives no more results: {why}")


@dataclass
class SharedValue:
    """A value that all tasks need, until it is closed. It reaches each worker once, if the engine can see to that."""

    stand_in: Any
    """What tasks carry for it."""
    times_whole: float = inf
    """How many more tasks carry it with the value, where they may carry its name alone."""

    def for_task(self) -> Any:
        """What the next task carries."""
        self.times_whole -= 1
        return self.stand_in if self.times_whole >= 0 else self.stand_in._replace(pickled=b"")

    def carry_once_more(self) -> None:
        """One more task has to carry it whole."""
        self.times_whole = max(0, self.times_whole) + 1

    def close(self) -> None:
        """Tasks are done with it."""
        if isinstance(self.stand_in, InFile):
            with suppress(OSError):
                os.remove(self.stand_in.name)


class Engine:
    """An executor of Python's own kind, to hand tasks to."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def workers(self) -> int:
        """How many tasks it does at a time, as far as it tells."""
        with interrupts.raised_at_once():  # as an executor of MPI, that is asked, waits until its workers have begun
            for name in ("_max_workers", "num_workers"):
                if isinstance(count := getattr(self._executor, name, None), int):
                    return max(1, count)
        return os.cpu_count() or 1

    def shared(self, value: Any) -> SharedValue:
        """A value that tasks are to share."""
        package = type(self._executor).__module__.partition(".")[0]
        if package == "mpi4py":
            sent = Sent.of(value)
            return SharedValue(sent, inf if len(sent.pickled) <= WITH_EACH else self.workers())
        in_file = isinstance(self._executor, ProcessPoolExecutor) or package in LOCAL
        return SharedValue(InFile.of(value) if in_file else value)

    def submit(self, function: Callable[[Any, Any], Any], shared: SharedValue, item: Any) -> Future[Any]:
        """function(value, item), done by a worker."""
        return self._executor.submit(do_task, function, shared.for_task(), item, os.getpid())

    def result(self, future: Future[Any]) -> Any:
        """What has come of it."""
        return future.result()

    def check_is_there(self) -> None:
        """A LostWorkError if it is gone and does not tell: some of its tasks then have no end."""


class _DaskEngine(Engine):
    """A client of Dask, or an executor of one."""

    def __init__(self, executor: Any, client: Any) -> None:
        super().__init__(executor)
        self._client = client
        self._count, self._counted, self._seen = 0, -COUNTED, monotonic()

    def workers(self) -> int:
        if monotonic() - self._counted >= COUNTED:
            with _lost_if(OSError), interrupts.raised_at_once():
                self._count, self._counted = sum(self._client.nthreads().values()), monotonic()
        return max(1, self._count)

    def shared(self, value: Any) -> SharedValue:
        """Dask gives a task to a worker that has what it needs, even where others are idle: so none is to have a value, or all."""
        sent = Sent.of(value)
        if (size := len(sent.pickled)) <= WITH_EACH:
            return SharedValue(sent)
        from dask import config

        with _lost_if(OSError), config.set({"distributed.admin.large-graph-warning-threshold": IN_GRAPH << 1}):
            if size > IN_GRAPH:
                del sent
                with interrupts.raised_at_once():
                    return SharedValue(self._client.scatter(value, broadcast=True, hash=False))
            future = self._client.submit(pickle.loads, sent.pickled, pure=False)
            with interrupts.raised_at_once():
                if self._client.nthreads():  # else workers come because there are tasks
                    with suppress(Exception):  # workers that die meanwhile
                        self._client.sync(self._client._replicate, [future], callback_timeout=COPIED)
            return SharedValue(future)

    def submit(self, function: Callable[[Any, Any], Any], shared: SharedValue, item: Any) -> Future[Any]:
        job: Future[Any] = self._executor.submit(do_pickled_task, function, shared.for_task(), pickled(item), os.getpid())
        return job

    def result(self, future: Future[Any]) -> Any:
        try:
            return pickle.loads(future.result())
        except ModuleNotFoundError as error:
            raise _lost(f"a worker has no module {error.name}, which all of them must have") from error

    def check_is_there(self) -> None:
        if self._client.status == "running":
            self._seen = monotonic()
        elif self._client.status == "closed" or monotonic() - self._seen > GONE:
            raise _lost("its scheduler is gone")


def engine_of(executor: Any) -> Engine:
    """What hands tasks to an executor, or to a client of Dask.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if hasattr(executor, "get_executor") and hasattr(executor, "scatter"):
        return _DaskEngine(executor.get_executor(pure=False), executor)
    if not isinstance(executor, Executor):
        raise TypeError(f"executor must be a concurrent.futures.Executor or a Dask client; got {checks.shown(executor)}")
    client = getattr(executor, "_client", None)  # as executors of Dask have it
    return Engine(executor) if client is None else _DaskEngine(executor, client)


def threads_or_engine(threads: int | None, executor: Any) -> int | Engine:
    """Who works: so many threads, or the workers of an executor, if there is one, each with one thread."""
    if executor is None:
        return thread_count(threads)
    if threads is not None:
        raise ValueError(f"threads must be left out where executor is given, whose tasks have one; got {checks.shown(threads)}")
    return engine_of(executor)


class InTasks(Iterator[Result]):
    """function(value, item) for all items by the workers of an engine, with a bounded number of tasks under way.

    Results come in the order of the items; if not ordered, as they are done. Functions are such as can be imported, and the value,
    the items and the results such as can be sent; what an engine has shared already is not sent again. When nobody waits for
    results any more, what has not begun is cancelled. Ctrl-C is noted while one is waited for, and not between.

    Raises
    ------
    LostWorkError
        If the engine has lost its workers, or itself, for good; it is a RuntimeError.
    """

    def __init__(
        self,
        engine: Engine,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        value: Any = None,
        ordered: bool = True,
    ) -> None:
        self._results = _in_tasks(engine, function, items, value, ordered)

    def __next__(self) -> Result:
        try:
            with interrupts.noted():
                return next(self._results)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the work: what has not begun is cancelled."""
        with interrupts.noted():
            self._results.close()


def _in_tasks(
    engine: Engine, function: Callable[[Any, Item], Result], items: Iterable[Item], value: Any, ordered: bool
) -> Generator[Result]:
    with _lost_if(CancelledError), closing(_UnderWay(engine, function, value, ordered)) as under_way:
        for item in items:
            under_way.add(item)
            while under_way.are_enough or under_way.is_first_done:
                yield under_way.next_result()
        while under_way.jobs:
            yield under_way.next_result()


class _UnderWay:
    """The tasks that an engine has."""

    def __init__(self, engine: Engine, function: Callable[[Any, Any], Any], value: Any, ordered: bool) -> None:
        self._engine, self._function, self._ordered = engine, function, ordered
        self._is_own = not isinstance(value, SharedValue)
        self._shared = engine.shared(value) if self._is_own else value
        self.jobs: list[Future[Any]] = []

    @property
    def are_enough(self) -> bool:
        return len(self.jobs) >= (1 + WAITING) * self._engine.workers()

    @property
    def is_first_done(self) -> bool:
        return bool(self.jobs) and self.jobs[0].done()

    def add(self, item: Any) -> None:
        self.jobs.append(self._begun(item))

    def _begun(self, item: Any) -> Future[Any]:
        return self._engine.submit(self._function, self._shared, item)

    def next_result(self) -> Any:
        """Of the first task, or of any that is done; it is waited for."""
        while True:
            place = self._next_done()
            result = self._engine.result(self.jobs.pop(place))
            if not isinstance(result, Asked):
                return result
            self._shared.carry_once_more()
            self.jobs.insert(place, self._begun(result.item))

    def _next_done(self) -> int:
        waited = self.jobs[:1] if self._ordered else self.jobs
        while not any(job.done() for job in waited):  # what an executor cancels itself is not waited for to its end
            wait(waited, interrupts.LOOK, FIRST_COMPLETED)
            interrupts.raise_noted()
            self._engine.check_is_there()
        interrupts.raise_noted()
        return next(place for place, job in enumerate(waited) if job.done())

    def close(self) -> None:
        """What has not begun is cancelled; what has may fail, for want of the value, but nobody looks at that."""
        for job in self.jobs:
            job.cancel()
        if self._is_own:
            self._shared.close()
