"""Threads that work on a batch together, and meet in the kernel.

Python takes some 50 us to hand work to another thread and to hear of its end; a whole batch of a small network is done sooner. So
each thread is sent once into a kernel that goes through many batches, and waits there for the others: by looking again and again,
and by giving its core away now and then, in case another thread of the team needs it.
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


def _add_one(counter, i):
    counter[i] += 1


def _look(counter, i):
    return counter[i]


def _give_way():
    """Lets another thread of this core run."""


@compiles(_add_one, result=lambda counter, i: types.none, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, counter, i):
    builder.atomic_rmw("add", pointer_to(context, builder, signature.args[0], counter, i), ir.IntType(64)(1), "seq_cst")
    return context.get_dummy_value()


@compiles(_look, result=lambda counter, i: counter.dtype, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, counter, i):
    return builder.load_atomic(pointer_to(context, builder, signature.args[0], counter, i), "seq_cst", align=8)


@compiles(_give_way, result=lambda: types.none, kinds=[()])
def _(context, builder, signature):
    call(builder, "sched_yield", ir.IntType(32), [])
    return context.get_dummy_value()


@jit_part
def meet(counter, arrivals):
    """Waits until so many arrivals have been counted, this one included."""
    zero = np.int64(0)
    _add_one(counter, zero)
    looks = 0
    while _look(counter, zero) < arrivals:
        looks += 1
        if looks % LOOKS == 0:
            _give_way()
