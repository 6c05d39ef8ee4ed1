"""Vectors as values that compiled code computes with: a Numba type, its operators, and how it is loaded and stored.

Where LLVM vectorises a loop it first has to prove, or to check at run time, that the arrays in it do not overlap; it adds loops for
the odd ends, and on processors with 512-bit registers it often uses half of them. Kernels written with vectors leave it nothing to
decide: each operation is one instruction, or a few where registers are narrower, and sums are added in the order that is written.

A vector has 64 bytes, sixteen float32 or eight float64 numbers. Operations take two vectors, or a vector and a number that stands
for all lanes. Indices are into the flat array; they are checked where NUMBA_BOUNDSCHECK=1 is set when code is compiled, and with
the JIT off. Then vectors are NumPy arrays.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from fastmlp.kernels.numba_internals import array_on_stack, check_bounds, number_type
from fastmlp.kernels.trace import Traced, filled
from fastmlp.kernels.vectors import BYTES, WIDE, Vector

# -- how the functions below are compiled --------------------------------------------------------------------------------------


def compiles(*functions, result, kinds):
    """Tells Numba of the functions: their type is `result(*types)`; for arguments of these kinds `emit` builds their code."""

    def decorate(emit):
        def lower(context, builder, signature, args):
            return emit(context, builder, signature, *args)

        for function in functions:
            type_callable(function)(lambda context: result)
            for kind in kinds:
                lower_builtin(function, *kind)(lower)
        return emit

    return decorate


def _binary(x, y):
    vector = x if isinstance(x, Vector) else y
    return vector if isinstance(vector, Vector) and x in (vector, vector.dtype) and y in (vector, vector.dtype) else None


def _comparison(x, y):
    vector = _binary(x, y)
    return vector and Vector(types.boolean, vector.lanes)


def _operation(*functions, result=_binary):
    @compiles(*functions, result=result, kinds=[(Vector, Vector), (Vector, types.Float), (types.Float, Vector)])
    def _(context, builder, signature, x, y):
        return functions[0](Traced(builder, x), Traced(builder, y)).value


_operation(operator.add, operator.iadd)
_operation(operator.sub, operator.isub)
_operation(operator.mul, operator.imul)
_operation(operator.truediv, operator.itruediv)
_operation(operator.lt, result=_comparison)
_operation(operator.gt, result=_comparison)


@compiles(operator.neg, result=lambda x: x if isinstance(x, Vector) else None, kinds=[(Vector,)])
def _(context, builder, signature, x):
    return (-Traced(builder, x)).value


def lanes_from(builder, x, y, first, count):
    """So many lanes of two vectors, one behind the other."""
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(first, first + count))))


# -- sums of lanes -------------------------------------------------------------------------------------------------------------


def total(x):
    """The sum of the lanes: the halves are added to each other until one number is left."""
    while x.size > 1:
        x = x[: x.size // 2] + x[x.size // 2 :]
    return x[0]


@compiles(total, result=lambda x: x.dtype if isinstance(x, Vector) else None, kinds=[(Vector,)])
def _(context, builder, signature, x):
    count = x.type.count
    while count > 1:
        count //= 2
        x = builder.fadd(lanes_from(builder, x, x, 0, count), lanes_from(builder, x, x, count, count))
    return builder.extract_element(x, ir.IntType(32)(0))


# -- memory --------------------------------------------------------------------------------------------------------------------


def room(array, count):
    """So many numbers of the array's type on the stack, for as long as the function that asks for them runs; not set to anything.

    The count is known when the code is compiled.
    """
    return np.empty(count, array.dtype)


def _room_of(array, count):
    return types.Array(array.dtype, 1, "C") if isinstance(array, types.Array) and isinstance(count, types.IntegerLiteral) else None


@compiles(room, result=_room_of, kinds=[(types.Array, types.Any)])
def _(context, builder, signature, array, count):
    return array_on_stack(context, builder, signature.return_type, signature.args[1].literal_value, BYTES)


def lanes_of(array):
    """Lanes of the array's vectors."""
    return BYTES // array.itemsize


@compiles(lanes_of, result=lambda array: types.intp if isinstance(array, types.Array) else None, kinds=[(types.Array,)])
def _(context, builder, signature, array):
    return context.get_constant(types.intp, vector_of(signature.args[0]).lanes)


def load(array, i):
    """The numbers from place i on."""
    return numbers_at(array, i, lanes_of(array)).copy()


def load_eight(array, i):
    """The eight numbers from place i on: a vector of 32 bytes for float32."""
    return numbers_at(array, i, 8).copy()


def load_wide(array, i):
    """The numbers from place i on, as one vector of WIDE times the usual size: each operation on it is WIDE instructions."""
    return numbers_at(array, i, WIDE * lanes_of(array)).copy()


def store(array, i, x):
    """Writes a vector, or a number for all lanes, to the places from i on."""
    numbers_at(array, i, x.size if isinstance(x, np.ndarray) else lanes_of(array))[:] = x


def load_two(array, i, j):
    """The numbers from place i on, and those from place j on, as one vector of twice the usual size."""
    return np.concatenate([load(array, i), load(array, j)])


def store_two(array, i, j, x):
    """Writes the halves of such a vector to the places from i on and from j on."""
    store(array, i, x[: lanes_of(array)])
    store(array, j, x[lanes_of(array) :])


def zeros(array):
    """A vector of zeros."""
    return np.zeros(lanes_of(array), array.dtype)


def zeros_wide(array):
    """A wide vector of zeros."""
    return np.zeros(WIDE * lanes_of(array), array.dtype)


def get(array, i):
    """The number at place i, also of what `readable` makes."""
    found = numbers_at(array, i, 1)
    return found.view(found.dtype.names[0])[0] if found.dtype.names else found[0]


def put(array, i, x):
    """Writes a number to place i."""
    numbers_at(array, i, 1)[0] = x


def spread(array, i):
    """The number at place i in all lanes."""
    return np.full(lanes_of(array), get(array, i))


def spread_wide(array, i):
    """The number at place i in all lanes of a wide vector."""
    return np.full(WIDE * lanes_of(array), get(array, i))


def gather(like, array, rows, first, step, shift, across):
    """The numbers array[rows[first + k] * step + shift + k * across] in lanes k = 0, 1, ..., of the type of `like`."""
    lanes = range(lanes_of(like))
    return np.array([get(array, int(get(rows, first + k)) * step + shift + k * across) for k in lanes], like.dtype)


def numbers_at(array, i, count):
    """So many numbers from place i on, in code that is not compiled."""
    # A slice would be cut short at the end, and begin from the end where i is negative.
    assert 0 <= i <= array.size - count, f"places {i} to {i + count - 1} of {array.size}"
    return array.reshape(-1)[i : i + count]


def _eight_of(array, i):
    return Vector(array.dtype, 8) if vector_of(array) else None


def _wide_of(array, i=None):
    vector = vector_of(array)
    return vector and Vector(vector.dtype, WIDE * vector.lanes)


def vector_of(array, i=None):
    return (
        Vector(array.dtype, BYTES * 8 // array.dtype.bitwidth) if isinstance(array, types.Array) and array.layout == "C" else None
    )


def pointer_to(context, builder, kind, array, i, count=1):
    """Where place i of an array of that Numba type is; count places are going to be used."""
    memory = context.make_array(kind)(context, builder, array)
    if context.enable_boundscheck:
        for place in (i, builder.add(i, ir.Constant(i.type, count - 1))):
            check_bounds(context, builder, place, memory.nitems)
    return builder.gep(memory.data, [i])


def load_vector(context, builder, kind, array, i, vector):
    """The code that reads a vector of that Numba type."""
    value_type = context.get_value_type(vector)
    pointer = pointer_to(context, builder, kind, array, i, vector.lanes)
    value = builder.load(builder.bitcast(pointer, value_type.as_pointer()))
    value.align = value_type.element.get_abi_size(context.target_data)
    return value


def load_number(context, builder, kind, array, i, vector):
    """The code that reads a number to all lanes."""
    return filled(builder, builder.load(pointer_to(context, builder, kind, array, i)), vector.lanes)


def store_vector(context, builder, kind, array, i, x):
    """The code that writes a vector."""
    pointer = builder.bitcast(pointer_to(context, builder, kind, array, i, x.type.count), x.type.as_pointer())
    builder.store(x, pointer, align=x.type.element.get_abi_size(context.target_data))


@compiles(load, result=vector_of, kinds=[(types.Array, types.Integer)])
@compiles(load_eight, result=_eight_of, kinds=[(types.Array, types.Integer)])
@compiles(load_wide, result=_wide_of, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, array, i):
    return load_vector(context, builder, signature.args[0], array, i, signature.return_type)


def _stored(array, i, x):
    return types.none if vector_of(array) and getattr(x, "dtype", x) == array.dtype else None


@compiles(store, result=_stored, kinds=[(types.Array, types.Integer, types.Any)])
def _(context, builder, signature, array, i, x):
    store_vector(context, builder, signature.args[0], array, i, filled(builder, x, vector_of(signature.args[0]).lanes))
    return context.get_dummy_value()


def _two_of(array, i, j):
    vector = vector_of(array)
    return vector and Vector(vector.dtype, 2 * vector.lanes)


@compiles(load_two, result=_two_of, kinds=[(types.Array, types.Integer, types.Integer)])
def _(context, builder, signature, array, i, j):
    kind, vector = signature.args[0], vector_of(signature.args[0])
    one, two = (load_vector(context, builder, kind, array, place, vector) for place in (i, j))
    return lanes_from(builder, one, two, 0, 2 * vector.lanes)


@compiles(store_two, result=lambda array, i, j, x: _stored(array, i, x), kinds=[(types.Array, *[types.Integer] * 2, Vector)])
def _(context, builder, signature, array, i, j, x):
    lanes = vector_of(signature.args[0]).lanes
    for place, first in ((i, 0), (j, lanes)):
        store_vector(context, builder, signature.args[0], array, place, lanes_from(builder, x, x, first, lanes))
    return context.get_dummy_value()


def readable(array):
    """Real numbers as `get` and `gather` read them: such as Numba has no type for, as words that are named after what they hold."""
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.isnative and array.dtype != np.float16:
        return array
    return array.view([(array.dtype.str, f"u{array.dtype.itemsize}")])


def _held(kind):
    """What stands in an array of that Numba type, as NumPy says it, if it is words that `readable` named; else None."""
    return np.dtype(next(iter(kind.dtype.fields))) if isinstance(kind.dtype, types.Record) else None


def _number_of(kind):
    """The Numba type of what is read from an array of that type."""
    held = _held(kind)
    if held is None:
        return kind.dtype
    return types.float32 if held.str[1:] == "f2" else number_type(held.newbyteorder("="))


def _read(context, builder, kind, array, i):
    """The number at place i."""
    pointer, held = pointer_to(context, builder, kind, array, i), _held(kind)
    if held is None:
        return builder.load(pointer)
    word = builder.load(builder.bitcast(pointer, ir.IntType(8 * held.itemsize).as_pointer()))
    word.align = held.itemsize
    if not held.isnative:
        word = builder.bswap(word)
    if held.str[1:] != "f2":
        return builder.bitcast(word, context.get_value_type(_number_of(kind)))
    # Sign, 5 bits of exponent and 10 of fraction come to stand where float32 has them; its exponents are 127 - 15 larger. Where the
    # processor has no instruction for it, LLVM would call a function that is not there.
    word, bits = builder.zext(word, ir.IntType(32)), ir.IntType(32)
    magnitude = builder.bitcast(builder.shl(builder.and_(word, bits(0x7FFF)), bits(13)), ir.FloatType())
    magnitude = builder.bitcast(builder.fmul(magnitude, ir.FloatType()(2.0**112)), bits)
    return builder.bitcast(builder.or_(magnitude, builder.shl(builder.and_(word, bits(0x8000)), bits(16))), ir.FloatType())


@compiles(get, result=lambda array, i: _number_of(array) if vector_of(array) else None, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, array, i):
    return _read(context, builder, signature.args[0], array, i)


@compiles(put, result=lambda array, i, x: types.none if x == array.dtype else None, kinds=[(types.Array, types.Integer, types.Any)])
def _(context, builder, signature, array, i, x):
    builder.store(x, pointer_to(context, builder, signature.args[0], array, i))
    return context.get_dummy_value()


@compiles(spread, result=vector_of, kinds=[(types.Array, types.Integer)])
@compiles(spread_wide, result=_wide_of, kinds=[(types.Array, types.Integer)])
def _(context, builder, signature, array, i):
    return load_number(context, builder, signature.args[0], array, i, signature.return_type)


def _gathered(like, array, rows, first, step, shift, across):
    return vector_of(like) if array.layout == rows.layout == "C" else None


@compiles(gather, result=_gathered, kinds=[(types.Array, types.Array, types.Array, *[types.Integer] * 4)])
def _(context, builder, signature, like, array, rows, *numbers):
    # Of the instruction that gathers, some processors make as many loads.
    _, array_kind, rows_kind, *kinds = signature.args
    first, step, shift, across = (
        context.cast(builder, number, kind, types.intp) for number, kind in zip(numbers, kinds, strict=True)
    )
    vector = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
    for lane in range(signature.return_type.lanes):
        k = ir.Constant(first.type, lane)
        row = builder.load(pointer_to(context, builder, rows_kind, rows, builder.add(first, k)))
        row = context.cast(builder, row, rows_kind.dtype, types.intp)
        place = builder.add(builder.add(builder.mul(row, step), shift), builder.mul(across, k))
        number = _read(context, builder, array_kind, array, place)
        number = context.cast(builder, number, _number_of(array_kind), signature.return_type.dtype)
        vector = builder.insert_element(vector, number, ir.IntType(32)(lane))
    return vector


@compiles(zeros, result=lambda array: vector_of(array), kinds=[(types.Array,)])
@compiles(zeros_wide, result=lambda array: _wide_of(array), kinds=[(types.Array,)])
def _(context, builder, signature, array):
    return context.get_constant_null(signature.return_type)
