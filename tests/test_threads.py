"""Threads: how many there are, when they pay, and jobs that are shared out to them."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager, suppress

import numba
import pytest
from at_work import come_down_to, threads_at_work
from cases import toy
from command_line import ROOT

import fastmlp
from fastmlp import interrupts, threads
from fastmlp.kernels import barrier
from fastmlp.threads import InThreads, Workers, shares, thread_count, threads_for
from fastmlp.training import descent, pace


def lasting(count):
    return Workers(count)


@contextmanager
def passing(count):
    def share_out(function, jobs):
        with Workers(count) as workers:
            return workers(function, jobs)

    yield share_out


WAYS = pytest.mark.parametrize("way", [lasting, passing])
COUNTS = pytest.mark.parametrize("count", [1, 2, 3])


@WAYS
@COUNTS
@pytest.mark.parametrize("jobs", [0, 1, 2, 3, 50])
def test_results_come_in_the_order_of_the_jobs(way, count, jobs):
    with way(count) as share_out:
        assert share_out(lambda job: job**2, list(range(jobs))) == [job**2 for job in range(jobs)]


@WAYS
@COUNTS
def test_as_many_jobs_as_threads_may_wait_for_each_other(way, count):
    meeting = threading.Barrier(count, timeout=30)
    with way(count) as share_out:
        assert sorted(share_out(lambda _: meeting.wait(), list(range(count)))) == list(range(count))


@WAYS
@COUNTS
@pytest.mark.parametrize("jobs", [2, 50])
def test_an_error_in_a_job_comes_out_and_nothing_is_begun_after_it(way, count, jobs):
    begun = []

    def work(job):
        begun.append(job)
        raise ValueError(f"job {job}")

    with way(count) as share_out:
        with pytest.raises(ValueError, match="job"):
            share_out(work, list(range(jobs)))
        assert len(begun) <= count
        assert share_out(str, [1, 2, 3, 4]) == ["1", "2", "3", "4"]  # and the next call is as any


@pytest.mark.parametrize(
    ("count", "parts", "expected"),
    [(5, 2, [(0, 2), (2, 5)]), (2, 3, [(0, 1), (1, 2)]), (0, 2, []), (6, 3, [(0, 2), (2, 4), (4, 6)])],
)
def test_shares_are_as_equal_as_can_be_and_none_is_empty(count, parts, expected):
    assert shares(count, parts) == expected


def test_there_are_as_many_threads_as_asked_for_or_cores(monkeypatch):
    assert thread_count(7) == 7
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert thread_count(None) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert thread_count(None) == 1
    with pytest.raises(ValueError, match="threads must be a positive whole number; got 0"):
        thread_count(0)


def test_small_work_is_worth_one_thread():
    assert threads_for(threads.THREADS_PAY - 1, 3) == 1
    assert threads_for(threads.THREADS_PAY, 3) == 3


# -- Where the system lets no more threads be begun ------------------------------------------------------------------------------


@pytest.fixture(params=[0, 1, 2])
def scarce(request, monkeypatch):
    """So many threads can be begun at a time, and no more."""
    alive = []

    class Scarce(threading.Thread):
        def start(self):
            alive[:] = [thread for thread in alive if thread.is_alive()]
            if len(alive) == request.param:
                raise RuntimeError("can't start new thread")
            super().start()
            alive.append(self)

    monkeypatch.setattr(threads, "Thread", Scarce)
    monkeypatch.setattr(threads, "_idle", {})
    yield request.param
    for waiting in threads._idle.values():
        for calls in waiting:
            calls.put(None)


def test_work_is_done_by_as_many_threads_as_can_be_begun(scarce):
    told = rf"^only {scarce} of 4 threads could be begun \(can't start new thread\)"
    for jobs in (4, 50):
        with Workers(4) as workers, pytest.warns(RuntimeWarning, match=told) as warned:
            assert workers(lambda job: job**2, list(range(jobs))) == [job**2 for job in range(jobs)]
            assert workers(str, [1, 2]) == ["1", "2"]
        assert len(warned) == 1


def test_who_waits_for_others_is_told_how_many_can_be(scarce):
    with Workers(4) as workers, pytest.warns(RuntimeWarning, match="could be begun"):
        standing = workers.standing(4)
        assert standing == max(1, scarce)
        meeting = threading.Barrier(standing, timeout=30)
        assert len(workers(lambda _: meeting.wait(), [None] * standing)) == standing


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_from_as_many_threads_as_can_be_begun(scarce, count, ordered):
    def work(item, stop):
        assert not stop.is_set()
        return item**2

    with warnings.catch_warnings(record=True, action="always") as caught:
        assert sorted(InThreads(work, range(50), count, ordered)) == [item**2 for item in range(50)]
    assert len(caught) == (scarce < count)


# Rows and epochs of trainings that are shared out: interpreted, threads take turns.
MANY, EPOCHS = (600, 2) if numba.config.DISABLE_JIT else (4000, 5)


@pytest.mark.kernels
@pytest.mark.parametrize("batch_size", [MANY // 2, None])
def test_training_with_fewer_threads_gives_the_same_bits(scarce, batch_size, monkeypatch):
    monkeypatch.setattr(pace, "WORTH_A_TRIAL", 0)  # a team is tried, and soon
    monkeypatch.setattr(pace, "FIRST_CALL", 1)
    X, y = toy(rows=MANY)
    options = {"hidden": (40,), "batch_size": batch_size, "epochs": EPOCHS, "seed": 0}
    alone = fastmlp.train(X, y, threads=1, **options)
    with warnings.catch_warnings(record=True, action="always") as caught:
        others = fastmlp.train(X, y, threads=4, **options)
    assert others.theta.tobytes() == alone.theta.tobytes()
    if barrier.POSSIBLE:
        assert "could be begun" in str(caught[0].message)


@pytest.mark.skipif(not barrier.POSSIBLE, reason="interpreted threads do not meet")
@pytest.mark.parametrize("who", [0, 2])
def test_a_member_of_a_team_that_fails_is_not_waited_for(who, monkeypatch):
    def fail(me):
        if me == who:
            raise MemoryError(f"member {me}")

    monkeypatch.setattr(pace, "to_own_core", fail)
    monkeypatch.setattr(pace, "WORTH_A_TRIAL", 0)
    X, y = toy(rows=4000)
    with pytest.raises(MemoryError, match=f"member {who}"):
        fastmlp.train(X, y, hidden=(40,), batch_size=None, epochs=50, threads=3, seed=0)


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------------------


def press():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


# The main thread is woken, or sleeps on, as where Ctrl-C comes when it is about to wait.
PRESSES = pytest.mark.parametrize("press", [press, _thread.interrupt_main], ids=["awake", "asleep"])
LONG = 60  # seconds, after which nobody hears of Ctrl-C any more


@PRESSES
@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_tells_those_at_work_and_waits_for_them(count, press):
    left = []

    def work(item, stop):
        press()
        until = time.monotonic() + LONG
        while not stop.is_set():
            assert time.monotonic() < until
            time.sleep(0.001)
        left.append(item)

    before = threads_at_work()
    with pytest.raises(KeyboardInterrupt):
        next(InThreads(work, range(10), count))
    assert left and come_down_to(before)


def test_the_callers_own_iterator_and_loop_are_interrupted_as_ever():
    results = InThreads(lambda item, stop: item, range(10), 2)
    next(results)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert next(results) == 1


@PRESSES
def test_ctrl_c_is_heard_by_those_who_were_sent(press):
    missed = []

    def work(job):
        press()
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            interrupts.raise_noted()
            time.sleep(0.001)
        missed.append(job)

    with Workers(3) as workers, pytest.raises(KeyboardInterrupt):
        workers(work, [0, 1, 2])
    assert not missed


def test_ctrl_c_waits_for_those_who_were_sent(monkeypatch):
    ended = []

    def work(job):
        press()
        time.sleep(0.05)
        ended.append(job)

    with Workers(3) as workers, pytest.raises(KeyboardInterrupt):
        workers(work, [0, 1, 2])
    assert sorted(ended) == [0, 1, 2]


def test_a_thread_of_the_callers_works_on_when_the_main_one_is_interrupted():
    results = []
    began = threading.Event()

    def work(job):
        began.set()
        time.sleep(0.02)
        return job

    def use():
        with Workers(2) as workers:
            results.extend(workers(work, list(range(10))))

    thread = threading.Thread(target=use)
    thread.start()
    assert began.wait(LONG)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    thread.join(LONG)
    assert results == list(range(10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("waiting", [False, True])
def test_a_child_that_is_forked_while_threads_stand_ready_begins_its_own(waiting):
    with Workers(2) as workers:
        assert workers(str, [1, 2]) == ["1", "2"]
        if waiting:
            workers.__exit__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads, which the child is without
            child = os.fork()
        if not child:
            signal.alarm(LONG)
            with suppress(BaseException):
                os._exit(0 if workers(str, [3, 4]) == ["3", "4"] else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0


def test_idle_threads_do_not_keep_a_process_from_its_end():
    code = "from fastmlp.threads import Workers\nwith Workers(2) as workers: print(workers(str, [1, 2]))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert (process.stdout, process.stderr) == ("['1', '2']\n", "")


@pytest.fixture
def begun(monkeypatch):
    """Threads that are begun, as none waits; three are kept."""
    begun = []

    class Watched(threading.Thread):
        def start(self):
            super().start()
            begun.append(self)

    monkeypatch.setattr(threads, "Thread", Watched)
    monkeypatch.setattr(threads, "_cores", lambda: frozenset(range(3)))
    monkeypatch.setattr(threads, "_idle", {})
    yield begun
    for waiting in threads._idle.values():
        for calls in waiting:
            calls.put(None)


def test_threads_wait_for_who_needs_them_next(begun):
    for _ in range(3):
        for way in lasting, passing:
            with way(2) as share_out:
                share_out(str, [1, 2]), share_out(str, [1, 2])
        assert list(InThreads(lambda item, stop: item, range(10), 2)) == list(range(10))
    assert len(begun) == 2 and all(thread.is_alive() for thread in begun)


def test_no_more_wait_than_there_are_cores(begun):
    with Workers(5) as workers:
        workers(str, list(range(5)))
    assert len(begun) == 5
    until = time.monotonic() + LONG
    while sum(thread.is_alive() for thread in begun) > 3 and time.monotonic() < until:
        time.sleep(0.001)
    assert sum(thread.is_alive() for thread in begun) == sum(map(len, threads._idle.values())) == 3


def test_threads_that_wait_for_each_other_are_of_no_use_to_others(begun):
    all_of_them = threading.Barrier(6, timeout=LONG)

    def use():
        with Workers(2) as workers:
            workers(lambda _: all_of_them.wait(), [0, 1])

    callers = [threading.Thread(target=use) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(LONG)
    assert not all_of_them.broken and len(begun) == 6


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be bound to cores")
def test_threads_that_wait_may_use_the_cores_of_who_needs_them():
    cores = os.sched_getaffinity(0)
    try:
        for some in cores, {min(cores)}, cores:
            os.sched_setaffinity(0, some)
            with Workers(2) as workers:
                assert workers(lambda _: os.sched_getaffinity(0), [1, 2]) == [some, some]
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("ends", ["here", "elsewhere"])
def test_ctrl_c_at_the_end_of_a_block_loses_no_thread(begun, monkeypatch, ends):
    class Pressed(dict):
        def setdefault(self, *args):
            (press if ends == "here" else _thread.interrupt_main)()
            return super().setdefault(*args)

    monkeypatch.setattr(threads, "_idle", Pressed())
    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        workers(str, [1, 2])
    assert sum(map(len, threads._idle.values())) == len(begun) == 2


def test_ctrl_c_ends_what_is_done_beside_this_thread_too():
    def work(_):
        with Workers(1) as own:
            for _ in range(1000):
                own(time.sleep, [0.005])

    began = time.monotonic()
    threading.Timer(0.1, press).start()
    with Workers(2) as workers, pytest.raises(KeyboardInterrupt):
        workers(work, [0, 1, 2, 3])
    assert time.monotonic() - began < 3  # of 10 seconds, and more


@pytest.mark.kernels
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch_size", [MANY // 2, None])
def test_a_team_that_is_to_halt_leaves_after_a_batch_and_goes_on_to_the_same_bits(batch_size, count, monkeypatch):
    X, y = toy(rows=MANY)
    options = {"hidden": (40,), "batch_size": batch_size, "epochs": EPOCHS, "seed": 0, "threads": count, "shuffle": False}
    whole, advance, done = fastmlp.train(X, y, **options), descent.Descent._advance, []

    def halted(one, first, last, threads, share_out, halt):
        halt.set()
        advance(one, first, last, threads, share_out, halt)
        done.append((last - first, int(one.counters[1]) - first, threads))

    monkeypatch.setattr(descent.Descent, "_advance", halted)
    monkeypatch.setattr(descent.Pace, "next", lambda *_: (count if barrier.POSSIBLE else 1, 4))
    again = fastmlp.train(X, y, **options)
    assert again.theta.tobytes() == whole.theta.tobytes()
    assert len(done) == EPOCHS * (1 if batch_size is None else 2) and {batches for _, batches, _ in done} == {1}
    assert max(wanted for wanted, _, _ in done) > 1
