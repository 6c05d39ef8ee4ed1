"""One network as a function for other compiled code: its parameters are constants of that code."""

from itertools import pairwise

import numpy as np
from numba import types

from fastmlp.kernels.activations import IDENTITY, SOFTMAX, output_activation
from fastmlp.kernels.compile import jit_alone
from fastmlp.kernels.numba_internals import ask_first
from fastmlp.kernels.online import ACTIVATION, N_IN, N_OUT, OUTPUTS, forward, softmax_of_units, spread_out
from fastmlp.kernels.simd import as_tuple, get, put, room

MOST_OUTPUTS = 500  # of a tuple: more would not be compiled within seconds
MOST_INPUTS = 100  # that may come as a tuple


def frozen(theta, plan, edges, memory):
    """f(x) -> the output for D inputs x; for several outputs f(x) -> a tuple, which f(x, out) also writes to an array."""
    places, _, _, _, real, ones, *_ = (memory[first:last].copy() for first, last in pairwise(edges))
    spread_out(places, plan, theta, False)
    last = plan[-1]
    n_in, n_out, at, code, size = int(plan[0, N_IN]), int(last[N_OUT]), int(last[OUTPUTS]), int(last[ACTIVATION]), real.size
    count = size + n_in + 1
    out_message = f"out must hold {n_out} numbers, one for each output of the network"
    message = f"x must hold {n_in} numbers, one for each input of the network"

    @jit_alone
    def evaluate(units, x):
        """The outputs, from place `at` of the units on; the inputs stand behind the units."""
        if len(x) != n_in:
            raise ValueError(message)
        for d in range(n_in):
            put(units, size + d, places.dtype.type(x[d]))
        put(units, size + n_in, places.dtype.type(1))
        forward(units, None, units, np.int64(size), np.int64(1), plan, places, real, ones)
        if code == SOFTMAX:
            softmax_of_units(units, at, n_out)
        elif code != IDENTITY:
            for k in range(at, at + n_out):
                put(units, k, output_activation(code, get(units, k))[0])

    if n_out == 1:

        @jit_alone
        def function(x):
            units = room(places, count)
            evaluate(units, x)
            return get(units, at)

    else:

        @jit_alone
        def function(x, out=None):
            units = room(places, count)
            evaluate(units, x)
            if out is not None:
                if len(out) != n_out:
                    raise ValueError(out_message)
                for k in range(n_out):
                    out[k] = get(units, at + k)
            return as_tuple(units, at, n_out)

    ask_first(function, *_asked(n_in, n_out))
    return function


def _asked(n_in, n_out):
    """What tells of arguments of a type that the function cannot take: where Python calls it, and where compiled code does."""
    numbers = (types.Integer, types.Float, types.Boolean)
    expected = {
        "x": f"an array{', or a tuple,' if n_in <= MOST_INPUTS else ''} of {n_in} numbers of one type",
        "out": f"a writable array of {n_out} numbers",
    }

    def wrong(name, kind):
        if name not in expected or (name == "out" and isinstance(kind, types.NoneType | types.Omitted)):
            return False
        if name == "x" and isinstance(kind, types.UniTuple):
            return not isinstance(kind.dtype, numbers) or kind.count > MOST_INPUTS
        one_row = isinstance(kind, types.Array) and kind.ndim == 1 and (name == "x" or kind.mutable)
        return not one_row or not isinstance(kind.dtype, numbers) or kind.dtype == types.float16

    def from_python(args, kwargs, type_of):
        for name, value in {**dict(zip(expected, args, strict=False)), **kwargs}.items():
            try:
                kind = None if isinstance(value, np.ma.MaskedArray) else type_of(value)
            except ValueError:  # it knows no such thing
                kind = None
            if wrong(name, kind):
                parts = dict.fromkeys(type(one).__name__ for one in value) if type(value) is tuple else ()
                what = type(value).__name__ + (f" of {' and '.join(parts)}" if parts else "")
                if type(value) is tuple and len(value) > MOST_INPUTS:
                    what = f"tuple of length {len(value)}"
                if isinstance(value, np.ndarray):
                    what = f"{'masked ' * np.ma.isMaskedArray(value)}{value.dtype} of shape {value.shape}"
                raise ValueError(f"{name} must be {expected[name]}; got {what}")

    def from_compiled_code(args, kws):
        for name, kind in {**dict(zip(expected, args, strict=False)), **kws}.items():
            if wrong(name, kind):
                return f"{name} must be {expected[name]}; got {kind}"
        return None

    return from_python, from_compiled_code
