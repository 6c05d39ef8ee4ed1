"""One network that learns within other compiled code: what predicts and what updates share its parameters.

These are held in their places, see online.py, and read where they are: prediction takes as long as that of a frozen network.
"""

import math
from typing import NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit_alone
from fastmlp.kernels.frozen import ask_for, function_of, inputs_expected
from fastmlp.kernels.online import N_IN, N_OUT, spread_out, update_places
from fastmlp.kernels.shared import Shared, array_of
from fastmlp.kernels.simd import put, room


class TargetRange(NamedTuple):
    """What y may be: one of so many class numbers, or numbers of these limits, which sum up to 1 or not."""

    classes: int  # or 0
    low: float
    high: float
    sum_to_one: bool


def live(theta, work, network, targets, jacobian):
    """predict, as frozen.py has it; update(x, y, learning_rate) -> the loss before the step; and the parameters in their places.
    `work` is online.OnlineMemory, which is the network's from now on, and targets a TargetRange."""
    spread_out(work.memory, work.plan, theta, False)
    shared = Shared(work.memory)
    return function_of(shared, work, jacobian), _updating(shared, work, network, targets)


def _updating(shared, work, network, targets):
    plan, edges, memory = work
    layers, loss, *rest = network
    n_in, n_out, numbers = int(plan[0, N_IN]), int(plan[-1, N_OUT]), np.array(rest)
    classes, low, high, sum_to_one = targets
    columns, like = 1 if classes else n_out, np.zeros(1, memory.dtype)
    message = f"x must hold {n_in} numbers, one for each input of the network"
    y_message = f"y must hold {n_out} numbers, one for each output of the network"
    class_message = f"y must be a class number, a whole number from 0 to {classes - 1}"
    limits = f"lie between {low} and {high}" if high < math.inf else f"be at least {low}"
    range_message = f"y must {limits} for the loss of the network"
    sum_message = "y must sum to 1 for a softmax output"
    rate_message = "learning_rate must be a positive number"

    @jit_alone
    def check(target):
        whole = 0.0
        for k in range(columns):
            t = target[k]
            whole += t
            if classes > 0:
                if not (t >= 0 and t < classes and t == math.floor(t)):
                    raise ValueError(class_message)
            elif t < low or t > high:
                raise ValueError(range_message)
        if sum_to_one and abs(whole - 1) > 1e-3:
            raise ValueError(sum_message)

    @jit_alone
    def step(x, target, learning_rate):
        if len(x) != n_in:
            raise ValueError(message)
        if not (learning_rate > 0 and learning_rate < math.inf):
            raise ValueError(rate_message)
        check(target)
        inputs = room(like, n_in)
        for d in range(n_in):
            put(inputs, d, inputs.dtype.type(x[d]))
        return update_places(plan, edges, array_of(shared), inputs, target, layers, loss, numbers, float(learning_rate))

    if columns == 1:

        @jit_alone
        def update(x, y, learning_rate):
            target = room(like, 1)
            put(target, np.int64(0), target.dtype.type(y))
            return step(x, target, learning_rate)

    else:

        @jit_alone
        def update(x, y, learning_rate):
            target = room(like, n_out)
            if len(y) != n_out:
                raise ValueError(y_message)
            for k in range(n_out):
                put(target, k, target.dtype.type(y[k]))
            return step(x, target, learning_rate)

    several = f"an array, or a tuple, of {n_out} numbers of one type", 1, False
    expected = {"x": inputs_expected(n_in), "y": ("a number", 0, False) if columns == 1 else several}
    ask_for(update, expected | {"learning_rate": ("a number", 0, False)})
    return update
