"""Threads that are at work: those that wait for whoever needs them next are not."""

import threading
import time

from fastmlp import threads


def threads_at_work():
    return threading.active_count() - sum(map(len, threads._idle.values()))


def come_down_to(count):
    """Whether no more than so many are at work, soon: those that are not kept end by themselves."""
    until = time.monotonic() + 20
    while threads_at_work() > count and time.monotonic() < until:
        time.sleep(0.001)
    return threads_at_work() <= count
