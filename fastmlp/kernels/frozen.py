"""One network as a function for other compiled code, with the derivatives of its outputs if wanted.

Its parameters are constants of that code; or they are shared with what changes them, see live.py.
"""

from itertools import pairwise

import numpy as np
from numba import types

from fastmlp.kernels.activations import IDENTITY, SOFTMAX, output_activation
from fastmlp.kernels.compile import jit_alone, jit_flat
from fastmlp.kernels.numba_internals import ask_first
from fastmlp.kernels.online import (
    ACTIVATION,
    BIASED,
    COLUMNS,
    INPUTS,
    LANES,
    N_IN,
    N_OUT,
    OUTPUTS,
    PLACES,
    WIDTH,
    forward,
    softmax_of_units,
    spread_out,
)
from fastmlp.kernels.shared import array_of
from fastmlp.kernels.simd import get, load_eight, put, room, store, total
from fastmlp.kernels.tuples import as_tuple, as_tuples

MOST_OUTPUTS = 500  # numbers of a tuple, or of one of tuples: more would not be compiled within seconds
MOST_INPUTS = 100  # that may come as a tuple
NUMBERS = (types.Integer, types.Float, types.Boolean)


def frozen(theta, work, jacobian):
    """f(x) -> the output for D inputs x; for several outputs f(x) -> a tuple, which f(x, out) also writes to an array. With the
    Jacobian f(x) -> that and a tuple of D numbers, or K of them, which f(x, jacobian) or f(x, out, jacobian) also writes. `work` is
    online.OnlineMemory."""
    places = work.memory[: work.edges[1]].copy()
    spread_out(places, work.plan, theta, False)
    return function_of(places, work, jacobian)


def function_of(places, work, jacobian):
    """The same for parameters in the places given, an array or Shared."""
    plan, edges, memory = work
    _, _, _, _, real, ones, *_ = (memory[first:last].copy() for first, last in pairwise(edges))
    last = plan[-1]
    n_in, n_out, at, code, size = int(plan[0, N_IN]), int(last[N_OUT]), int(last[OUTPUTS]), int(last[ACTIVATION]), real.size
    count, entries = size + n_in + 1, n_in * n_out
    out_message = f"out must hold {n_out} numbers, one for each output of the network"
    message = f"x must hold {n_in} numbers, one for each input of the network"
    shape = f"({n_out}, {n_in})" if n_out > 1 else f"({n_in},)"
    jacobian_message = f"jacobian must have shape {shape}"

    @jit_alone
    def evaluate(units, slopes, x):
        """The outputs, from place `at` of the units on, and their slopes, if there is an array for them; the inputs stand behind
        the units."""
        if len(x) != n_in:
            raise ValueError(message)
        for d in range(n_in):
            put(units, size + d, units.dtype.type(x[d]))
        put(units, size + n_in, units.dtype.type(1))
        forward(units, slopes, units, np.int64(size), np.int64(1), plan, array_of(places), real, ones)
        if code == SOFTMAX:
            softmax_of_units(units, at, n_out)
        elif code != IDENTITY or slopes is not None:
            for k in range(at, at + n_out):
                y, slope = output_activation(code, get(units, k))
                put(units, k, y)
                if slopes is not None:
                    put(slopes, k, slope)

    @jit_alone
    def differentiate(units, derivatives, x):
        """Those too; and the derivatives of the outputs by the inputs (K, D)."""
        slopes, deltas = room(real, size), room(real, size)
        evaluate(units, slopes, x)
        for k in range(n_out):
            _derivatives_of_unit(derivatives, k * n_in, units, slopes, deltas, k, plan, array_of(places))

    @jit_alone
    def give(units, out):
        if out is not None:
            if len(out) != n_out:
                raise ValueError(out_message)
            for k in range(n_out):
                out[k] = get(units, at + k)

    @jit_alone
    def give_derivatives(derivatives, out):
        if out is not None:
            if n_out == 1:
                if len(out) != n_in:
                    raise ValueError(jacobian_message)
                for d in range(n_in):
                    out[d] = get(derivatives, d)
            else:
                if out.shape[0] != n_out or out.shape[1] != n_in:
                    raise ValueError(jacobian_message)
                for k in range(n_out):
                    for d in range(n_in):
                        out[k, d] = get(derivatives, k * n_in + d)

    if not jacobian and n_out == 1:

        @jit_alone
        def function(x):
            units = room(real, count)
            evaluate(units, None, x)
            return get(units, at)

    elif not jacobian:

        @jit_alone
        def function(x, out=None):
            units = room(real, count)
            evaluate(units, None, x)
            give(units, out)
            return as_tuple(units, at, n_out)

    elif n_out == 1:

        @jit_alone
        def function(x, jacobian=None):
            units, derivatives = room(real, count), room(real, entries)
            differentiate(units, derivatives, x)
            give_derivatives(derivatives, jacobian)
            return get(units, at), as_tuple(derivatives, 0, n_in)

    else:

        @jit_alone
        def function(x, out=None, jacobian=None):
            units, derivatives = room(real, count), room(real, entries)
            differentiate(units, derivatives, x)
            give(units, out)
            give_derivatives(derivatives, jacobian)
            return as_tuple(units, at, n_out), as_tuples(derivatives, 0, n_out, n_in)

    expected = {"x": inputs_expected(n_in)}
    expected |= {"out": (f"a writable array of {n_out} numbers", 1, True)} if n_out > 1 else {}
    if jacobian:
        expected["jacobian"] = f"a writable array of shape {shape}", 2 if n_out > 1 else 1, True
    ask_for(function, expected)
    return function


@jit_flat
def _derivatives_of_unit(derivatives, first, units, slopes, deltas, k, plan, places):
    """The derivatives of output k by the D inputs, from place `first` on."""
    layer = (plan.shape[0] - 1) * COLUMNS
    at, n_out = get(plan, layer + OUTPUTS), get(plan, layer + N_OUT)
    zero, one = units.dtype.type(0), units.dtype.type(1)
    for j in range((n_out + get(plan, layer + BIASED) + LANES - 1) // LANES * LANES):
        put(deltas, at + j, zero)
    if get(plan, layer + ACTIVATION) == SOFTMAX:
        y = get(units, at + k)
        for j in range(n_out):
            put(deltas, at + j, -y * get(units, at + j))
        put(deltas, at + k, y * (one - y))
    else:
        put(deltas, at + k, get(slopes, at + k))
    while layer > 0:
        width, at, to = get(plan, layer + WIDTH), get(plan, layer + INPUTS), get(plan, layer + OUTPUTS)
        for d in range(0, width, LANES):
            p = get(plan, layer + PLACES) + d
            gradient = load_eight(places, p) * get(deltas, to)
            for h in range(1, get(plan, layer + N_OUT)):
                p += width
                gradient += load_eight(places, p) * get(deltas, to + h)
            store(deltas, at + d, gradient * load_eight(slopes, at + d))
        layer -= COLUMNS
    width = get(plan, WIDTH)
    for d in range(get(plan, N_IN)):
        found = load_eight(places, d * width) * load_eight(deltas, np.int64(0))
        for h in range(LANES, width, LANES):
            found += load_eight(places, d * width + h) * load_eight(deltas, h)
        put(derivatives, first + d, total(found))


def inputs_expected(n_in):
    """What x may be: see ask_for."""
    return f"an array{', or a tuple,' if n_in <= MOST_INPUTS else ''} of {n_in} numbers of one type", 1, False


def ask_for(function, expected):
    """Makes a function of `njit` tell of arguments of a type that it cannot take, where Python calls it, and where compiled code
    does. Of each that is to be checked: what is expected in words, how many axes it has, and whether it is written to; such may be
    None. A number has no axes; one axis may be that of a tuple."""

    def wrong(name, kind):
        if name not in expected:
            return False
        _, axes, written = expected[name]
        if written and isinstance(kind, types.NoneType | types.Omitted):
            return False
        if axes == 0:
            return not isinstance(kind, NUMBERS)
        if not written and isinstance(kind, types.UniTuple):
            return not isinstance(kind.dtype, NUMBERS) or kind.count > MOST_INPUTS
        fits = isinstance(kind, types.Array) and kind.ndim == axes and (kind.mutable or not written)
        return not fits or not isinstance(kind.dtype, NUMBERS) or kind.dtype == types.float16

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
                raise ValueError(f"{name} must be {expected[name][0]}; got {what}")

    def from_compiled_code(args, kws):
        for name, kind in {**dict(zip(expected, args, strict=False)), **kws}.items():
            if wrong(name, kind):
                return f"{name} must be {expected[name][0]}; got {kind}"
        return None

    ask_first(function, from_python, from_compiled_code)
