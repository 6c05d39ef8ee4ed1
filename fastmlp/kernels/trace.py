"""Functions of numbers and vectors that are written once, in Python, and compiled by being run.

Called with numbers or NumPy arrays, such a function computes. Where compiled code calls it, it is run once with `Traced` values in
their place, each of whose operations writes the instruction that computes it: for a float32, a float64 or a vector of either,
whatever the code has. What the function does must therefore not depend on values (`where` chooses between two), only on types;
Python's loops over what is known in advance are unrolled. Numba's own way, which infers the types of every function line by line,
took several times as long to compile the same code.
"""

import functools
import inspect

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from fastmlp.kernels.numba_internals import call, code_context
from fastmlp.kernels.vectors import Vector

_CONTRACT = ("contract",)  # a * b + c becomes one FMA; nothing is reordered
_LLVM = {np.float32: ir.FloatType(), np.float64: ir.DoubleType()}
_NUMBERS = {ir.FloatType: (np.float32, types.float32), ir.DoubleType: (np.float64, types.float64)}


class Traced:
    """A number, a vector, or a truth value (or a vector of those) of code that is being built."""

    __array_ufunc__ = None  # so that a NumPy number leaves an operation with it to it
    __slots__ = ("builder", "value")

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    @property
    def element(self):
        """The LLVM type of a lane."""
        return getattr(self.value.type, "element", self.value.type)

    @property
    def lanes(self):
        """How many; None of a number."""
        return getattr(self.value.type, "count", None)

    @property
    def dtype(self):
        return np.dtype(_NUMBERS[type(self.element)][0])

    def with_value(self, value):
        return Traced(self.builder, value)

    def filled(self, value, ty=None):
        """A value as it is, or a number in all lanes; of another LLVM type of a lane, if so asked."""
        element = ty or self.element
        value = value.value if isinstance(value, Traced) else ir.Constant(element, _exactly(value, element))
        return self.with_value(value if self.lanes is None else filled(self.builder, value, self.lanes))

    def _with(self, other, operation, flip=False):
        one, two = self._pair(other)
        if flip:
            one, two = two, one
        return self.with_value(operation(one.value, two.value, flags=_CONTRACT))

    def _pair(self, other):
        """Both, of one type: a number stands for all lanes."""
        if isinstance(other, Traced) and self.lanes is None and other.lanes is not None:
            return other.filled(self), other
        return self, self.filled(other)

    def __add__(self, other):
        return self._with(other, self.builder.fadd)

    def __radd__(self, other):
        return self._with(other, self.builder.fadd, flip=True)

    def __sub__(self, other):
        return self._with(other, self.builder.fsub)

    def __rsub__(self, other):
        return self._with(other, self.builder.fsub, flip=True)

    def __mul__(self, other):
        return self._with(other, self.builder.fmul)

    def __rmul__(self, other):
        return self._with(other, self.builder.fmul, flip=True)

    def __truediv__(self, other):
        return self._with(other, self.builder.fdiv)

    def __rtruediv__(self, other):
        return self._with(other, self.builder.fdiv, flip=True)

    def __neg__(self):
        return self.with_value(self.builder.fneg(self.value))

    def __lt__(self, other):
        one, two = self._pair(other)
        return self.with_value(self.builder.fcmp_ordered("<", one.value, two.value))

    def __gt__(self, other):
        one, two = self._pair(other)
        return self.with_value(self.builder.fcmp_ordered(">", one.value, two.value))

    def __bool__(self):
        raise TypeError("what a traced function does must not depend on a value: use where")

    def intrinsic(self, name, *others):
        """LLVM's function of that name, of this and other values."""
        ty = self.value.type
        suffix = f"v{ty.count}{ty.element.intrinsic_name}" if isinstance(ty, ir.VectorType) else ty.intrinsic_name
        values = [self.value, *(self.filled(other).value for other in others)]
        return self.with_value(call(self.builder, f"{name}.{suffix}", ty, values))


def _exactly(value, element):
    """A number as LLVM's text has it: rounded to the type."""
    return float(_NUMBERS[type(element)][0](value)) if type(element) in _NUMBERS else value


def filled(builder, value, lanes):
    """A number in all lanes; a vector as it is."""
    if isinstance(value.type, ir.VectorType):
        return value
    vector = ir.VectorType(value.type, lanes)
    if isinstance(value, ir.Constant):
        return ir.Constant(vector, [value.constant] * lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


# -- from Numba's values to traced ones, and back ------------------------------------------------------------------------------


def _traced_of(context, builder, kind, value):
    """What a function is run with in the place of a value of that Numba type; a tuple's parts are traced, and have their names."""
    if isinstance(kind, types.BaseTuple):
        parts = [_traced_of(context, builder, part, builder.extract_value(value, k)) for k, part in enumerate(kind.types)]
        return kind.instance_class(*parts) if isinstance(kind, types.BaseNamedTuple) else tuple(parts)
    return Traced(builder, value)


def _type_of(result):
    """The Numba type of what a function gave."""
    if isinstance(result, tuple):
        return types.Tuple([_type_of(part) for part in result])
    ty, element = result.value.type, result.element
    number = types.boolean if element == ir.IntType(1) else _NUMBERS[type(element)][1]
    return Vector(number, ty.count) if isinstance(ty, ir.VectorType) else number


def _value_of(context, builder, kind, result):
    if isinstance(result, tuple):
        values = [_value_of(context, builder, part, one) for part, one in zip(kind.types, result, strict=True)]
        return context.make_tuple(builder, kind, values)
    return result.value


def traced(function):
    """Tells Numba of a function of numbers and vectors: see above. It must be given by its place, no argument by its name."""

    @functools.cache
    def result_type(*kinds):
        """By a trial run, whose code is thrown away."""
        context = code_context()
        block = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), [context.get_value_type(kind) for kind in kinds]), "trial")
        builder = ir.IRBuilder(block.append_basic_block())
        return _type_of(function(*(_traced_of(context, builder, *pair) for pair in zip(kinds, block.args, strict=True))))

    def lower(context, builder, signature, args):
        values = [_traced_of(context, builder, *pair) for pair in zip(signature.args, args, strict=True)]
        return _value_of(context, builder, signature.return_type, function(*values))

    def typer(*kinds):
        return result_type(*kinds)

    typer.__signature__ = inspect.signature(function)
    type_callable(function)(lambda context: typer)
    lower_builtin(function, types.VarArg(types.Any))(lower)
    return function


def choose(code, functions, *args):
    """What the function gives that stands under the code; or else the last one.

    LLVM sees a chain of comparisons, as it would make of `if` and `elif`.
    """
    (number, function), *others = functions.items()
    if not others or (not isinstance(code, Traced) and code == number):
        return function(*args)
    if not isinstance(code, Traced):
        return choose(code, dict(others), *args)
    builder = code.builder
    results, ends = [], []
    with builder.if_else(builder.icmp_signed("==", code.value, ir.Constant(code.value.type, number))) as (here, elsewhere):
        with here:
            results.append(function(*args))
            ends.append(builder.block)
        with elsewhere:
            results.append(choose(code, dict(others), *args))
            ends.append(builder.block)
    return _joined(builder, *results, ends)


def _joined(builder, one, two, ends):
    """What came of two branches, as one value."""
    if isinstance(one, tuple):
        return tuple(_joined(builder, *pair, ends) for pair in zip(one, two, strict=True))
    phi = builder.phi(one.value.type)
    for result, end in zip((one, two), ends, strict=True):
        phi.add_incoming(result.value, end)
    return one.with_value(phi)


# -- what the functions are made of --------------------------------------------------------------------------------------------


def _frozen(builder, value):
    """The same value, of which LLVM does not see that it was read from memory.

    Where a choice between it and another value is written back to its place, LLVM would make of both a store with a mask, which
    takes some twenty cycles on some processors: relu of a block took seven times as long.
    """
    if isinstance(value, ir.Constant):
        return value
    instruction = ir.instructions.Instruction(builder.block, value.type, "freeze", [value])
    builder._insert(instruction)
    return instruction


@traced
def where(condition, x, y):
    """x where the condition holds, else y."""
    if isinstance(condition, Traced):
        element = x.element if isinstance(x, Traced) else y.element if isinstance(y, Traced) else _LLVM[x.dtype.type]
        x, y = (condition.filled(one, element).value for one in (x, y))
        x, y = (_frozen(condition.builder, one) for one in (x, y))
        return condition.with_value(condition.builder.select(condition.value, x, y))
    return np.where(condition, x, y) if isinstance(condition, np.ndarray) else x if condition else y


@traced
def magnitude(x):
    """|x|"""
    return x.intrinsic("llvm.fabs") if isinstance(x, Traced) else np.abs(x)


@traced
def square_root(x):
    """The square root of x."""
    return x.intrinsic("llvm.sqrt") if isinstance(x, Traced) else np.sqrt(x)


@traced
def copysign(x, y):
    """|x| with the sign of y."""
    return x.intrinsic("llvm.copysign", y) if isinstance(x, Traced) else np.copysign(x, y)


@traced
def cosine_of(x):
    """cos(x)"""
    return x.intrinsic("llvm.cos") if isinstance(x, Traced) else np.cos(x)


@traced
def power_of(x, y):
    """x to the power of y."""
    return x.intrinsic("llvm.pow", y) if isinstance(x, Traced) else np.power(x, y)


def like(x, value):
    """The value as a number of the type of x, or in all lanes if x is a vector."""
    return x.filled(value) if isinstance(x, Traced) else np.full_like(x, value)[()]


_FORMATS = {4: (23, 127), 8: (52, 1023)}  # bytes: bits of the mantissa, and the exponent's bias


class _Bits:
    """The bits of a number or a vector as integers, as wide and in as many lanes."""

    def __init__(self, x):
        self.x, self.builder = x, x.builder
        self.mantissa, self.bias = _FORMATS[x.dtype.itemsize]
        self.integer = ir.IntType(8 * x.dtype.itemsize)
        self.type = self.integer if x.lanes is None else ir.VectorType(self.integer, x.lanes)
        self.value = self.builder.bitcast(x.value, self.type)

    def every(self, value):
        return self.x.filled(value, self.integer).value

    def of(self, value):
        """The bits of a number that is known in advance."""
        return self.every(int(self.x.dtype.type(value).view(f"i{self.x.dtype.itemsize}")))

    def number(self, bits):
        return self.x.with_value(self.builder.bitcast(bits, self.x.value.type))


@traced
def power_of_two(x):
    """The number whose exponent, bias included, is the integer in the low bits of x."""
    if isinstance(x, Traced):
        bits = _Bits(x)
        return bits.number(bits.builder.shl(bits.value, bits.every(bits.mantissa)))
    integer, mantissa, _ = _format(x)
    return (x.view(integer) << integer(mantissa)).view(x.dtype)


@traced
def binary_exponent(x):
    """(k, 2^-k) for x > 0, with 2^-k x in [sqrt(1/2), sqrt(2))."""
    if isinstance(x, Traced):
        bits = _Bits(x)
        build = bits.builder
        k = build.ashr(build.sub(bits.value, bits.of(0.5**0.5)), bits.every(bits.mantissa))
        # 1.5 * 2^mantissa holds an integer in its low bits. Converting 64-bit integers would cost more, where there is no AVX-512.
        shifter = bits.of(1.5 * 2.0**bits.mantissa)
        number = build.fsub(bits.number(build.add(k, shifter)).value, bits.number(shifter).value)
        return x.with_value(number), bits.number(build.shl(build.sub(bits.every(bits.bias), k), bits.every(bits.mantissa)))
    integer, mantissa, bias = _format(x)
    k = (x.view(integer) - x.dtype.type(0.5**0.5).view(integer)) >> integer(mantissa)
    return k.astype(x.dtype), ((integer(bias) - k) << integer(mantissa)).view(x.dtype)


def _format(x):
    x = np.asarray(x)
    return np.dtype(f"i{x.itemsize}").type, *_FORMATS[x.itemsize]
