"""Work that is handed to executors of others."""

import os
import pickle
import signal
import tempfile
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import get_context

import numpy as np
import pytest

from fastmlp import executors
from fastmlp.executors import Engine, InTasks, engine_of


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


def sum_and(value, item):
    time.sleep(0.02 if item == 0 else 0)
    return float(value.sum()) + item


def fails_at_five(value, item):
    if item == 5:
        raise ValueError("five")
    return item


def ends_at_five(value, item):
    if item == 5:
        os._exit(3)
    return item


@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_in_order(pool, ordered):
    value = np.arange(10.0)
    with ThreadPoolExecutor(2) as threads:
        for executor in pool, threads:
            found = list(InTasks(engine_of(executor), sum_and, range(20), value, ordered))
            assert (found if ordered else sorted(found)) == [45.0 + item for item in range(20)]


def test_no_more_tasks_are_under_way_than_workers_need(pool):
    taken = []
    tasks = InTasks(engine_of(pool), sum_and, (taken.append(item) or item for item in range(100)), np.zeros(1))
    next(tasks)
    assert len(taken) <= 4
    tasks.close()
    with pytest.raises(StopIteration):
        next(tasks)


class Keeping(Executor):
    """Keeps the futures of what it has another one do."""

    _max_workers = 2

    def __init__(self, executor):
        self.futures, self._executor = [], executor

    def submit(self, function, *args):
        self.futures.append(self._executor.submit(function, *args))
        return self.futures[-1]


class KeepingInFile(Keeping):
    __module__ = "loky"


def begins_and_waits(folder, item):
    (folder / str(item)).touch()
    awaited, end = folder / ("end" if item else "1"), time.monotonic() + 20
    while not awaited.exists() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [Keeping, KeepingInFile])
def test_tasks_whose_results_nobody_wants_are_not_waited_for_and_leave_no_file(kind, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tasks = InTasks(engine_of(executor := kind(pool)), begins_and_waits, range(10), tmp_path)
    next(tasks)
    tasks.close()
    assert not all(future.done() for future in executor.futures)
    assert not list(tmp_path.glob("fastmlp-*"))
    (tmp_path / "end").touch()
    wait(executor.futures)


def test_what_an_executor_cancels_itself_is_told():
    with ThreadPoolExecutor(1) as executor:
        tasks = InTasks(engine_of(executor), sum_and, [0, 0, 0], np.zeros(1))
        next(tasks)
        executor.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(RuntimeError, match=r"the executor has lost the work|after shutdown"):
            list(tasks)


def test_an_error_of_a_task_is_that_of_the_map(pool):
    with pytest.raises(ValueError, match="five"):
        list(InTasks(engine_of(pool), fails_at_five, range(20)))


def test_workers_that_are_lost_are_told_in_a_sentence():
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the executor has lost the work that it was given"):
                list(InTasks(engine_of(executor), ends_at_five, range(20)))


@pytest.mark.parametrize("wrong", [None, 4, "processes"])
def test_what_is_no_executor_is_told(wrong):
    with pytest.raises(TypeError, match=r"executor must be a concurrent.*Executor or a Dask client; got"):
        engine_of(wrong)


class NeverBegins(Executor):
    """Somebody presses Ctrl-C while it waits for its workers."""

    waited = False

    @property
    def num_workers(self):
        signal.raise_signal(signal.SIGINT)
        self.waited = True
        return 2

    def submit(self, function, *args):
        return ThreadPoolExecutor(1).submit(function, *args)


def test_ctrl_c_ends_the_wait_for_workers_that_never_begin():
    executor = NeverBegins()
    with pytest.raises(KeyboardInterrupt):
        list(InTasks(engine_of(executor), sum_and, [1], np.zeros(1)))
    assert not executor.waited


class NeverAnswers:
    """A client of Dask whose scheduler does nothing any more; somebody presses Ctrl-C while it is waited for."""

    waited = False

    def get_executor(self, pure):
        return ThreadPoolExecutor(1)

    def submit(self, function, *args, pure):
        return None

    def nthreads(self):
        signal.raise_signal(signal.SIGINT)
        self.waited = True
        return {}

    def scatter(self, value, broadcast, hash):
        return self.nthreads()


@pytest.mark.parametrize(("size", "in_graph"), [(1, 1 << 26), (100_000, 1 << 26), (100_000, 0)])
def test_ctrl_c_ends_the_wait_for_a_scheduler_that_never_answers(size, in_graph, monkeypatch):
    pytest.importorskip("dask")
    monkeypatch.setattr(executors, "IN_GRAPH", in_graph)
    client = NeverAnswers()
    with pytest.raises(KeyboardInterrupt):
        list(InTasks(engine_of(client), sum_and, [1], np.zeros(size)))
    assert not client.waited


class LosesWorkers:
    """A client of Dask whose workers die while they are given copies of a value."""

    status, _replicate = "running", None

    def get_executor(self, pure):
        return ThreadPoolExecutor(1)

    def submit(self, function, *args, pure):
        return function(*args)

    def nthreads(self):
        return {"one": 1}

    def sync(self, function, *args, callback_timeout):
        raise ValueError("Sample larger than population or is negative")

    scatter = None


def test_workers_that_die_while_they_are_given_copies_cost_nothing():
    pytest.importorskip("dask")
    assert list(InTasks(engine_of(LosesWorkers()), sum_and, [1], np.ones(100_000))) == [100_001.0]


class LacksModule:
    """A client of Dask whose worker cannot import what a task needs."""

    status = "running"

    def get_executor(self, pure):
        return self

    def submit(self, *args):
        future = Future()
        future.set_exception(ModuleNotFoundError("No module named 'fastmlp'", name="fastmlp"))
        return future

    def nthreads(self):
        return {"one": 1}

    scatter = None


def test_a_module_that_a_worker_has_not_is_told():
    with pytest.raises(RuntimeError, match=r"lost the work .*: a worker has no module fastmlp, which all of them must have"):
        list(InTasks(engine_of(LacksModule()), sum_and, [1]))


class Weighing:
    """Tells how many bytes it is given for each task; it is taken for one of mpi4py, of which a test would need an MPI."""

    __module__ = "mpi4py.futures"

    def __init__(self, executor):
        self._executor, self._max_workers, self.sizes = executor, 2, []

    def submit(self, *args):
        self.sizes.append(len(pickle.dumps(args)))
        return self._executor.submit(*args)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_value_is_in_few_messages_of_an_mpi(pool, ordered):
    values = [np.full(100_000, number) for number in range(2)]
    engine = Engine(executor := Weighing(pool))
    shared = [engine.shared(value) for value in values]
    for number in (0, 0, 1, 0):  # a process keeps the last one, so that it has to ask for the first one again
        executor.sizes.clear()
        found = list(InTasks(engine, sum_and, range(20), shared[number], ordered))
        assert (found if ordered else sorted(found)) == [100_000.0 * number + item for item in range(20)]
        large = sum(size > 100_000 for size in executor.sizes)
        assert large <= 10
    assert large > 0


def test_what_cannot_be_sent_by_an_mpi_is_told(pool):
    with pytest.raises(ValueError, match="what is given to an executor must be such as can be sent to workers: "):
        list(InTasks(Engine(Weighing(pool)), sum_and, [1], lambda: 0))
