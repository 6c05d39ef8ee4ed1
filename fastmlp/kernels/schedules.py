"""Schedules of the learning rate: a table, whose row is all that there is to know of one; and the warmup before them.

The function of a schedule gives what the rate is multiplied by, after a part (0 to 1) of the epochs that follow the warmup.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.trace import choose, cosine_of, like, traced

# What a type checker knows of the names; a test holds them against the table.
Schedule = Literal["constant", "cosine", "linear"]


@traced
def _constant(part):
    """1"""
    return like(part, 1.0)


@traced
def _cosine(part):
    """From 1 to 0, as half a period of the cosine."""
    return 0.5 * (1.0 + cosine_of(math.pi * part))


@traced
def _linear(part):
    """From 1 to 0."""
    return 1.0 - part


class ScheduleRow(NamedTuple):
    """What there is to know of a schedule."""

    name: str
    function: Callable[..., Any]
    source: str


TABLE = (
    ScheduleRow("constant", _constant, ""),
    ScheduleRow("cosine", _cosine, "Loshchilov and Hutter 2017, equation 5, without restarts"),
    ScheduleRow("linear", _linear, ""),
)
CODES = {row.name: code for code, row in enumerate(TABLE)}


class RateSchedule(NamedTuple):
    """How the learning rate changes from epoch to epoch."""

    code: int
    warmup: float  # epochs
    epochs: int
    before: int = 0  # epochs of an earlier training, that this one goes on from: they count for the warmup


AS_GIVEN = RateSchedule(CODES["constant"], 0.0, 1)


@traced
def _factor(code, part):
    return choose(code, dict(enumerate(row.function for row in TABLE)), part)


@jit_part
def rate_factor(schedule, epoch):
    """What the learning rate is multiplied by in an epoch, counted from 0: what the schedule gives for its middle; in the warmup it
    rises linearly from 0 to 1."""
    done = epoch + 0.5
    if schedule.before + done < schedule.warmup:
        return (schedule.before + done) / schedule.warmup
    warmup = max(schedule.warmup - schedule.before, 0.0)  # what is left of it
    return _factor(schedule.code, (done - warmup) / (schedule.epochs - warmup))
