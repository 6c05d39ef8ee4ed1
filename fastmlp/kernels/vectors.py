"""The Numba type of vectors: lanes of numbers, or of truth values, as one value of compiled code."""

from llvmlite import binding, ir
from numba import types
from numba.extending import models, register_model

BYTES = 64
WIDE = 4
REGISTERS = 32 if binding.get_host_cpu_features().get("avx512f") else 8  # of the processor, in vectors


class Vector(types.Type):
    """Lanes of numbers, or of truth values, of one type."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        element = ir.IntType(1) if fe_type.dtype == types.boolean else dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))
