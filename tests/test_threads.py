"""Threads: how many there are, when they pay, and jobs that are shared out to them."""

import os
import threading

import pytest

from fastmlp import threads
from fastmlp.threads import LastingWorkers, shares, thread_count, threads_for, workers


def lasting(count):
    return LastingWorkers(count)


def passing(count):
    def share_out(function, jobs):
        with workers(count) as mapped:
            return mapped(function, jobs)

    return share_out


WAYS = pytest.mark.parametrize("way", [lasting, passing])
COUNTS = pytest.mark.parametrize("count", [1, 2, 3])


@WAYS
@COUNTS
@pytest.mark.parametrize("jobs", [0, 1, 2, 3, 50])
def test_results_come_in_the_order_of_the_jobs(way, count, jobs):
    assert way(count)(lambda job: job**2, list(range(jobs))) == [job**2 for job in range(jobs)]


@WAYS
@COUNTS
def test_as_many_jobs_as_threads_may_wait_for_each_other(way, count):
    meeting = threading.Barrier(count, timeout=30)
    assert sorted(way(count)(lambda _: meeting.wait(), list(range(count)))) == list(range(count))


@WAYS
@COUNTS
@pytest.mark.parametrize("jobs", [2, 50])
def test_an_error_in_a_job_comes_out_and_nothing_is_begun_after_it(way, count, jobs):
    begun = []

    def work(job):
        begun.append(job)
        raise ValueError(f"job {job}")

    share_out = way(count)
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
