"""Memory that compiled code shares with Python: an array itself, where a constant of that code would be a copy."""

from numba import types
from numba.extending import models, register_model, typeof_impl

from fastmlp.kernels.numba_internals import number_type, shared_array
from fastmlp.kernels.simd import compiles


class Shared:
    """A contiguous array, 1-D, that compiled functions name as a constant, and reach by `array_of`. Their code keeps it."""

    def __init__(self, array):
        self.array = array


class SharedType(types.Dummy):
    """The Numba type of one such array."""

    def __init__(self, shared):
        self.array = shared.array
        super().__init__(name=f"Shared({id(shared.array)})")


register_model(SharedType)(models.OpaqueModel)


@typeof_impl.register(Shared)
def _(shared, context):
    return SharedType(shared)


def array_of(given):
    """The array that is shared; or a constant of the code, as it is."""
    return given.array if isinstance(given, Shared) else given


def _its_type(given):
    return types.Array(number_type(given.array.dtype), 1, "C") if isinstance(given, SharedType) else given


@compiles(array_of, result=_its_type, kinds=[(SharedType,), (types.Array,)])
def _(context, builder, signature, given):
    kind = signature.args[0]
    return shared_array(context, builder, signature.return_type, kind.array) if isinstance(kind, SharedType) else given
