"""Executors of others, to which work is handed: pools of processes, and clusters by Dask. None is begun here, and none is ended."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from fastmlp import checks, interrupts
from fastmlp.kernels.notice import asked_for
from fastmlp.threads import one_thread, thread_count

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 1  # tasks for each worker beside the one at work, so that it need not wait for the next
PICKLE = pickle.HIGHEST_PROTOCOL
GONE = 30.0  # seconds without its scheduler, after which a client of Dask is not waited for
COUNTED = 1.0  # seconds that a count of workers is good for, as some may come late
LOCAL = ("loky", "joblib")  # packages whose executors have their workers on this machine
IN_GRAPH = 1 << 23  # bytes of a value that Dask can make again, at most, when all workers are lost that had it
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


class Engine:
    """An executor, or a client of Dask, to hand tasks to.

    Raises
    ------
    TypeError
        If it is neither.
    """

    def __init__(self, executor: Any) -> None:
        is_client = hasattr(executor, "get_executor") and hasattr(executor, "scatter")
        if not is_client and not isinstance(executor, Executor):
            raise TypeError(f"executor must be a concurrent.futures.Executor or a Dask client; got {checks.shown(executor)}")
        self._executor = executor.get_executor(pure=False) if is_client else executor
        self._client = executor if is_client else getattr(executor, "_client", None)  # as executors of Dask have it
        self._count, self._counted, self._seen = 0, -COUNTED, monotonic()

    def workers(self) -> int:
        """How many tasks it does at a time, as far as it tells."""
        if monotonic() - self._counted >= COUNTED:
            self._count, self._counted = self._workers_now(), monotonic()
        return self._count

    def _workers_now(self) -> int:
        if self._client is not None:
            with _lost_if(OSError):
                return max(1, sum(self._client.nthreads().values()))
        with interrupts.raised_at_once():  # as an executor of MPI, that is asked, waits until its workers have begun
            for name in ("_max_workers", "num_workers"):
                if isinstance(count := getattr(self._executor, name, None), int):
                    return max(1, count)
        return os.cpu_count() or 1

    def shared(self, value: Any) -> Any:
        """What stands for a value that all tasks need, and reaches each worker once."""
        if self._client is not None:
            pickled = _pickled(value)
            with _lost_if(OSError):
                if len(pickled) <= IN_GRAPH:
                    return self._client.submit(pickle.loads, pickled, pure=False)
                del pickled
                return self._client.scatter(value, broadcast=True, hash=False)
        own = type(self._executor).__module__.partition(".")[0]
        return _InFile.of(value) if isinstance(self._executor, ProcessPoolExecutor) or own in LOCAL else value

    def submit(self, function: Callable[[Any, Any], Any], shared: Any, item: Any) -> Future[Any]:
        """function(value, item), done by a worker; `shared` stands for the value."""
        if self._client is None:
            future: Future[Any] = self._executor.submit(_task, function, shared, item, os.getpid())
        else:  # as bytes, or Dask would look through all of it: half the time of 20,000 names and their verdicts
            future = self._executor.submit(_pickled_task, function, shared, pickle.dumps(item, PICKLE), os.getpid())
        return future

    def check_is_there(self) -> None:
        """A LostWorkError if a client of Dask has lost its scheduler: some of its tasks then have no end."""
        if self._client is None or self._client.status == "running":
            self._seen = monotonic()
        elif self._client.status == "closed" or monotonic() - self._seen > GONE:
            raise _lost("its scheduler is gone")

    def result(self, future: Future[Any]) -> Any:
        """What has come of it."""
        return future.result() if self._client is None else pickle.loads(future.result())


def threads_or_engine(threads: int | None, executor: Any) -> int | Engine:
    """Who works: so many threads, or the workers of an executor, if there is one, each with one thread."""
    if executor is None:
        return thread_count(threads)
    if threads is not None:
        raise ValueError(f"threads must be left out where executor is given, whose tasks have one; got {checks.shown(threads)}")
    return Engine(executor)


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, PICKLE)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"what is given to an executor must be such as can be sent to workers: {error}") from error


class _InFile(NamedTuple):
    """A value that lies in a file of this machine, to be read once by each process."""

    path: str

    @staticmethod
    def of(value: Any) -> _InFile:
        pickled = _pickled(value)
        descriptor, path = tempfile.mkstemp(prefix="fastmlp-", suffix=".pickle")
        try:
            with open(descriptor, "wb") as file:
                file.write(pickled)
        except BaseException:
            os.remove(path)
            raise
        return _InFile(path)


@lru_cache(maxsize=1)
def _value_in(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


_for_life = ExitStack()  # of what a process is in as a worker


@lru_cache(maxsize=1)
def _tell_what_compiles() -> None:
    """On the stderr of this process, once for each kernel that its cache does not hold."""
    _for_life.enter_context(asked_for(True))


def _task(function: Callable[[Any, Any], Result], shared: Any, item: Any, sender: int) -> Result:
    if os.getpid() != sender:
        _tell_what_compiles()
    with one_thread():
        return function(_value_in(shared.path) if isinstance(shared, _InFile) else shared, item)


def _pickled_task(function: Callable[[Any, Any], Any], shared: Any, item: bytes, sender: int) -> bytes:
    return pickle.dumps(_task(function, shared, pickle.loads(item), sender), PICKLE)


class InTasks(Iterator[Result]):
    """function(value, item) for all items by the workers of an engine, with a bounded number of tasks under way.

    Results come in the order of the items; if not ordered, as they are done. Functions are such as can be imported, and the value,
    the items and the results such as can be sent. When nobody waits for results any more, what has not begun is cancelled. Ctrl-C
    is noted while one is waited for, and not between.

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
    jobs: list[Future[Any]] = []
    shared: Any = None
    try:
        shared = engine.shared(value)
        with _lost_if(CancelledError):
            for item in items:
                jobs.append(engine.submit(function, shared, item))
                while len(jobs) >= (1 + WAITING) * engine.workers() or (jobs and jobs[0].done()):
                    yield engine.result(_next_done(jobs, ordered, engine))
            while jobs:
                yield engine.result(_next_done(jobs, ordered, engine))
    finally:
        begun = [job for job in jobs if not job.cancel()]
        if isinstance(shared, _InFile):
            wait(begun)  # which may have to read it
            with suppress(OSError):
                os.remove(shared.path)


def _next_done(jobs: list[Future[Any]], ordered: bool, engine: Engine) -> Future[Any]:
    waited = jobs[:1] if ordered else jobs
    while not any(job.done() for job in waited):  # what an executor cancels itself is not waited for to its end
        wait(waited, interrupts.LOOK, FIRST_COMPLETED)
        interrupts.raise_noted()
        engine.check_is_there()
    interrupts.raise_noted()
    return jobs.pop(0 if ordered else next(k for k, job in enumerate(jobs) if job.done()))
