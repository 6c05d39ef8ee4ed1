"""Schedules of the learning rate: a table, whose row is all that there is to know of one; and the warmup before them.

The function of a schedule gives what the rate is multiplied by in an epoch: after a part (0 to 1) of the epochs that follow the
warmup, when so many of these have gone before, and so many rows were seen in them; power is `power_t`, and decay is 0 where none is
given.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.trace import choose, cosine_of, like, power_of, traced, where

# What a type checker knows of the names; a test holds them against the table.
Schedule = Literal["adaptive", "constant", "cosine", "exponential", "invscaling", "linear", "plateau"]

LEAST_PART = 0.01  # of the rate, that the schedule exponential comes to where no decay is given


@traced
def _constant(part, past, rows, power, decay):
    """1"""
    return like(part, 1.0)


@traced
def _cosine(part, past, rows, power, decay):
    """From 1 to 0, as half a period of the cosine."""
    return 0.5 * (1.0 + cosine_of(math.pi * part))


@traced
def _linear(part, past, rows, power, decay):
    """From 1 to 0."""
    return 1.0 - part


@traced
def _exponential(part, past, rows, power, decay):
    """decay^past, from 1; where none is given 0.01^part, from 1 to 0.01."""
    given = decay > 0.0
    return power_of(where(given, decay, like(part, LEAST_PART)), where(given, past, part))


@traced
def _invscaling(part, past, rows, power, decay):
    """(1 + rows)^-power"""
    return power_of(1.0 + rows, -power)


class ScheduleRow(NamedTuple):
    """What there is to know of a schedule."""

    name: str
    function: Callable[..., Any]
    source: str


TABLE = (
    ScheduleRow("constant", _constant, ""),
    ScheduleRow("cosine", _cosine, "Loshchilov and Hutter 2017, equation 5, without restarts"),
    ScheduleRow("linear", _linear, ""),
    ScheduleRow("exponential", _exponential, "with decay as torch.optim.lr_scheduler.ExponentialLR"),
    ScheduleRow("invscaling", _invscaling, "as scikit-learn has it"),
    ScheduleRow("adaptive", _constant, "as scikit-learn has it; lowered by the losses, see ends.py"),
    ScheduleRow("plateau", _constant, "as ReduceLROnPlateau of PyTorch and Keras; lowered likewise"),
)
CODES = {row.name: code for code, row in enumerate(TABLE)}


class RateSchedule(NamedTuple):
    """How the learning rate changes from epoch to epoch."""

    code: int
    warmup: float  # epochs
    epochs: int
    before: int = 0  # epochs of an earlier training, that this one goes on from: they count for the warmup, and as gone before
    rows: int = 1  # of an epoch
    power: float = 0.5
    decay: float = 0.0


AS_GIVEN = RateSchedule(CODES["constant"], 0.0, 1)


@traced
def _factor(code, part, past, rows, power, decay):
    return choose(code, dict(enumerate(row.function for row in TABLE)), part, past, rows, power, decay)


@jit_part
def rate_factor(schedule, epoch):
    """What the learning rate is multiplied by in an epoch, counted from 0: what the schedule gives for its middle; in the warmup it
    rises linearly from 0 to 1."""
    done = epoch + 0.5
    if schedule.before + done < schedule.warmup:
        return (schedule.before + done) / schedule.warmup
    warmup = max(schedule.warmup - schedule.before, 0.0)  # what is left of it
    past = max(schedule.before + epoch - schedule.warmup, 0.0)
    part = (done - warmup) / (schedule.epochs - warmup)
    return _factor(schedule.code, part, past, past * schedule.rows, schedule.power, schedule.decay)
