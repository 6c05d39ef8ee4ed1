"""Threads that work on a batch together, and meet in the kernel.

Python takes some 50 us to hand work to another thread and to hear of its end; a whole batch of a small network is done sooner. So
each thread is sent once into a kernel that goes through many batches, and waits there for the others: by looking again and again,
and by giving its core away now and then, in case another thread of the team needs it.
"""

import os

import numba
from llvmlite import ir
from numba import types

from fastmlp.kernels.jit import jit_part
from fastmlp.kernels.simd import compiles, pointer_to

POSSIBLE = os.name == "posix" and not numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # interpreted threads would count wrongly
ARRIVED, LEAVE, FLAGS = range(3)  # what the entries of the flags count
LOOKS = 1000  # before giving the core away


def _add_one(flags, i):
    flags[i] += 1


def _look(flags, i):
    return flags[i]


def _give_way():
    """Lets another thread of this core run."""


@compiles(_add_one, result=lambda flags, i: types.none, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, flags, i):
    builder.atomic_rmw("add", pointer_to(context, builder, signature, flags, i), ir.IntType(64)(1), "seq_cst")
    return context.get_dummy_value()


@compiles(_look, result=lambda flags, i: flags.dtype, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, flags, i):
    return builder.load_atomic(pointer_to(context, builder, signature, flags, i), "seq_cst", align=8)


@compiles(_give_way, result=lambda: types.none, kinds=[()])
def _(context, builder, signature):
    yield_core = ir.FunctionType(ir.IntType(32), [])
    builder.call(numba.core.cgutils.get_or_insert_function(builder.module, yield_core, "sched_yield"), [])
    return context.get_dummy_value()


@jit_part
def meet(flags, arrivals):
    """Waits until so many arrivals have been counted since the kernel began; False if everybody is told to leave instead."""
    _add_one(flags, ARRIVED)
    looks = 0
    while _look(flags, ARRIVED) < arrivals:
        if _look(flags, LEAVE) > 0:
            return False
        looks += 1
        if looks % LOOKS == 0:
            _give_way()
    return True
