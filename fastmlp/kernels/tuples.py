"""Numbers of an array that are taken together, where it is known how many when the code is compiled."""

from llvmlite import ir
from numba import types

from fastmlp.kernels.simd import compiles, numbers_at, pointer_to, put


def as_tuple(array, i, count):
    """So many numbers from place i on; the count is known when the code is compiled."""
    return tuple(numbers_at(array, i, count))


def as_tuples(array, i, count, each):
    """So many tuples of so many numbers each, from place i on; both are known when the code is compiled."""
    return tuple(as_tuple(array, i + k * each, each) for k in range(count))


def copy_apart(array, i, step, source, j, count):
    """Copies numbers from place j of the source on to places i, i + step, ...; their count is known when the code is compiled."""
    for k, number in enumerate(numbers_at(source, j, count)):
        put(array, i + k * step, number)


def _tuple_of(array, i, count):
    return types.UniTuple(array.dtype, count.literal_value) if isinstance(count, types.IntegerLiteral) else None


@compiles(as_tuple, result=_tuple_of, kinds=[(types.Array, types.Integer, types.Any)])
def _(context, builder, signature, array, i, count):
    pointer = pointer_to(context, builder, signature.args[0], array, i, signature.return_type.count)
    numbers = [builder.load(builder.gep(pointer, [ir.IntType(64)(k)])) for k in range(signature.return_type.count)]
    return context.make_tuple(builder, signature.return_type, numbers)


def _tuples_of(array, i, count, each):
    numbers = _tuple_of(array, i, each)
    return types.UniTuple(numbers, count.literal_value) if numbers and isinstance(count, types.IntegerLiteral) else None


@compiles(as_tuples, result=_tuples_of, kinds=[(types.Array, types.Integer, types.Any, types.Any)])
def _(context, builder, signature, array, i, count, each):
    result, kind = signature.return_type, signature.args[0]
    size = result.dtype.count
    pointer = pointer_to(context, builder, kind, array, i, result.count * size)
    places = [[builder.gep(pointer, [ir.IntType(64)(k * size + j)]) for j in range(size)] for k in range(result.count)]
    rows = [context.make_tuple(builder, result.dtype, [builder.load(place) for place in row]) for row in places]
    return context.make_tuple(builder, result, rows)


def _copied(array, i, step, source, j, count):
    return types.none if array.dtype == source.dtype and isinstance(count, types.IntegerLiteral) else None


@compiles(copy_apart, result=_copied, kinds=[(types.Array, types.Integer, types.Integer, types.Array, types.Integer, types.Any)])
def _(context, builder, signature, array, i, step, source, j, count):
    kind, _, _, source_kind, _, count_kind = signature.args
    for k in range(count_kind.literal_value):
        number = builder.load(pointer_to(context, builder, source_kind, source, builder.add(j, j.type(k))))
        builder.store(number, pointer_to(context, builder, kind, array, builder.add(i, builder.mul(step, step.type(k)))))
    return context.get_dummy_value()
