"""Losses that callers bring: a function (prediction, target) -> (loss, gradient) of numbers, which kernels call by its address.

So no kernel is compiled anew for one. A call takes the numbers of all lanes of a vector, in float64, whatever the network computes
in; those that weigh nothing are not looked at, as they may be anything: they are 0. Where the function raises an error, its loss
and its gradient are NaN, which nothing that comes later overlooks.
"""

import ctypes
import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import is_jitted

from fastmlp.kernels.apart import in_own_thread
from fastmlp.kernels.trace import Traced, traced

FIRST_ADDRESS = 1 << 12  # no memory lies below, and no code of losses.py above
NOISE = ("Failed in ", "During: ", "File ")  # begin lines of Numba's messages that tell of Numba

_NUMBERS = types.CPointer(types.float64)
_CALL = types.void(*(_NUMBERS,) * 5, types.intp)
_BY_ADDRESS: dict[int, "_Code"] = {}  # which so lives as long as the process
_PLACES = count(FIRST_ADDRESS)  # for functions that are not compiled, as the JIT is off


class _Code(NamedTuple):
    """A function that can be called by its address."""

    address: int
    call: Callable[..., None]  # the same for Python: of pointers to numbers, or arrays, and how many there are
    kept: Any  # what has the machine code


@dataclass(frozen=True)
class CustomLoss:
    """One of them. It has no function if its network is from a file."""

    name: str
    function: Callable[[float, float], tuple[float, float]] | None

    @cached_property
    def found(self) -> _Code | str:
        """Its code, or why there is none."""
        if self.function is None:
            return "is not known"
        return _code_of(self.function, None if is_jitted(self.function) else _captured(self.function))

    def __deepcopy__(self, memo: dict[int, Any]) -> "CustomLoss":
        return self

    def __reduce__(self) -> Any:
        """Functions that Numba knows are pickled with what they are made of, others by their name alone."""
        function = self.function
        return CustomLoss, (self.name, function if function is None or is_jitted(function) else numba.njit(function))

    def each(self, predictions, targets):
        """Losses and gradients (N,), for predictions and targets (N,)."""
        given = [np.array(values, np.float64) for values in (predictions, targets, np.ones(len(targets)))]
        results = np.empty((2, len(targets)))
        self.found.call(*(_pointer(array) for array in (*given, *results)), len(targets))
        return results


def _pointer(array):
    return array if numba.config.DISABLE_JIT else array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def is_function(value):
    """Whether it may be the function of a loss: one of Python, plain or compiled by Numba."""
    return is_jitted(value) or inspect.isfunction(value)


def takes_two(function):
    """Whether it can be called with two numbers."""
    try:
        inspect.signature(getattr(function, "py_func", function)).bind(0.0, 0.0)
    except TypeError:
        return False
    return True


def _captured(function):
    """Numbers that it takes from around it, with which it is compiled."""
    around = inspect.getclosurevars(function)
    return tuple((name, x) for name, x in (around.globals | around.nonlocals).items() if isinstance(x, (int, float, np.number)))


@cache
def _code_of(function, captured):
    found = _interpreted(function) if numba.config.DISABLE_JIT else in_own_thread(_compiled)(function)
    if isinstance(found, _Code):
        _BY_ADDRESS[found.address] = found
    return found


def _pair_wrong(what):
    return f"must give a pair of numbers, the loss and its derivative by the prediction; it gives {what}"


def _compiled(function):
    """Its code, or why there is none."""
    own = function if is_jitted(function) else numba.njit(nogil=True, error_model="numpy")(function)

    @numba.njit(nogil=True)
    def once(prediction, target):
        return own(prediction, target)

    try:
        once.compile((types.float64, types.float64))
    except Exception as error:  # of Numba's, some are none of its own kind
        return f"does not compile: {_told_by(error)}"
    given = once.nopython_signatures[0].return_type
    if not (isinstance(given, types.BaseTuple) and len(given) == 2 and all(isinstance(one, _REAL) for one in given)):
        return _pair_wrong(given)

    @numba.cfunc(_CALL)
    def call(predictions, targets, weights, losses, gradients, size):
        p, t, w = carray(predictions, size), carray(targets, size), carray(weights, size)
        loss, gradient = carray(losses, size), carray(gradients, size)
        for k in range(size):
            loss[k] = gradient[k] = 0.0
            if w[k] != 0:
                loss[k] = gradient[k] = np.nan
                try:  # noqa: SIM105 - Numba compiles no other way
                    loss[k], gradient[k] = once(p[k], t[k])
                except Exception:
                    pass

    return _Code(call.address, call.ctypes, call)


_REAL = (types.Float, types.Integer)


def _told_by(error):
    """The first line of a message of Numba that tells of the function, and what it ends with a colon for."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(NOISE)] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])


def _interpreted(function):
    def each(predictions, targets, weights, losses, gradients, size):
        for k in range(size):
            losses[k] = gradients[k] = 0.0
            if weights[k] != 0:
                losses[k] = gradients[k] = np.nan
                with suppress(Exception):
                    losses[k], gradients[k] = function(float(predictions[k]), float(targets[k]))

    return _Code(next(_PLACES), each, None)


@traced
def loss_at(address, y, t, weight):
    """(loss, gradient) of outputs y for targets t by the function at the address, in the type of y; 0 where the weight is 0."""
    if not isinstance(y, Traced):
        given = [np.atleast_1d(np.asarray(one, np.float64)) for one in (y, t, weight)]
        results = np.empty((2, given[0].size))
        _BY_ADDRESS[int(address)].call(*given, *results, given[0].size)
        return tuple(result.astype(y.dtype).reshape(np.shape(y))[()] for result in results)
    builder = y.builder
    wide = _DOUBLE if y.lanes is None else ir.VectorType(_DOUBLE, y.lanes)
    same = y.value.type == wide
    given = [one.value if same else builder.fpext(one.value, wide) for one in (y, t, weight)]
    results = builder.call(_calling(builder.module, wide), [address.value, *given])
    found = [builder.extract_value(results, k) for k in range(2)]
    return tuple(y.with_value(one if same else builder.fptrunc(one, y.value.type)) for one in found)


_DOUBLE = ir.DoubleType()


def _calling(module, wide):
    """A function of LLVM that calls one by its address. It is cold: who calls it keeps registers as if there were no call."""
    name = f"fastmlp.call_loss.{getattr(wide, 'count', 1)}"
    if name in module.globals:
        return module.globals[name]
    word = ir.IntType(64)
    results = ir.LiteralStructType([wide, wide])
    function = ir.Function(module, ir.FunctionType(results, [word, wide, wide, wide]), name)
    function.linkage = "internal"
    function.attributes.add("cold")
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    rooms = [builder.alloca(wide) for _ in range(5)]
    address, *given = function.args
    for one, room in zip(given, rooms, strict=False):
        builder.store(one, room)
    pointers = [builder.bitcast(room, _DOUBLE.as_pointer()) for room in rooms]
    kind = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers] + [word])
    builder.call(builder.inttoptr(address, kind.as_pointer()), [*pointers, word(getattr(wide, "count", 1))])
    found = builder.insert_value(ir.Constant(results, ir.Undefined), builder.load(rooms[3]), 0)
    builder.ret(builder.insert_value(found, builder.load(rooms[4]), 1))
    return function
