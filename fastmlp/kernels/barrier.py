"""Threads that work on a batch together, and meet in the kernel.

Python takes some 50 us to hand work to another thread and to hear of its end; a whole batch of a small network is done sooner. So
each thread is sent once into a kernel that goes through many batches, and waits there for the others: by looking again and again,
and by giving its core away now and then, in case another thread of the team needs it. Then it also looks whether it waits in vain,
as one of them has failed.
"""

import os

import numba
import numpy as np
from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit_part
from fastmlp.kernels.numba_internals import call
from fastmlp.kernels.simd import compiles, pointer_to

POSSIBLE = os.name == "posix" and not numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # interpreted threads would count wrongly
LOOKS = 100  # before giving the core away
ARRIVALS, GIVEN_UP, LAST = 0, 1, 2  # what is counted: who has come; whether one never will; whether what is met for was the last


def new_counter():
    """What a team meets by, made anew for each call of a kernel."""
    return np.zeros(3, np.int64)


def give_up(counter):
    """Lets those go who wait for this thread."""
    counter[GIVEN_UP] = 1


def _add_one(counter, i):
    counter[i] += 1


def look(counter, i):
    """The number at a place, as another thread has left it just now."""
    return counter[i]


def _give_way():
    """Lets another thread of this core run."""


@compiles(_add_one, result=lambda counter, i: types.none, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, counter, i):
    builder.atomic_rmw("add", pointer_to(context, builder, signature.args[0], counter, i), ir.IntType(64)(1), "seq_cst")
    return context.get_dummy_value()


@compiles(look, result=lambda counter, i: counter.dtype, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, counter, i):
    size = signature.args[0].dtype.bitwidth // 8
    return builder.load_atomic(pointer_to(context, builder, signature.args[0], counter, i), "seq_cst", align=size)


@compiles(_give_way, result=lambda: types.none, kinds=[()])
def _(context, builder, signature):
    call(builder, "sched_yield", ir.IntType(32), [])
    return context.get_dummy_value()


@jit_part
def meet(counter, arrivals):
    """Waits until so many arrivals have been counted, this one included; whether they have, and nobody has given up."""
    arrived, given_up = np.int64(ARRIVALS), np.int64(GIVEN_UP)
    _add_one(counter, arrived)
    looks = 0
    while look(counter, arrived) < arrivals:
        looks += 1
        if looks % LOOKS == 0:
            if look(counter, given_up) != 0:
                return False
            _give_way()
    return True
