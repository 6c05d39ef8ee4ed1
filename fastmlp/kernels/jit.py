"""How every kernel is compiled: the flags, the cache, and why.

`error_model="numpy"` lets a division be a division: with Python's model each one is guarded by a branch that raises, and no
loop that divides vectorises. `nogil` lets Python threads run kernels side by side. Blanket `fastmath` is ruled out because
it assumes that no value is ever NaN or infinite, and we must notice those.
"""

import numba
from numba.core import event

from fastmlp.kernels.cache import KernelCache

VERSION = numba.__version__
EXACT = {"contract"}  # a * b + c becomes one FMA; nothing is reordered, so a lane's result never depends on its neighbours


def _decorator(cache, **options):
    options |= {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}

    def decorate(function):
        kernel = numba.njit(**options)(function)
        if cache:
            kernel._cache = KernelCache(function)
        return kernel

    return decorate


# For what Python calls.
jit = _decorator(True, fastmath=EXACT)
# For what only kernels call: it becomes machine code, and comes into the cache, as a part of them.
jit_part = _decorator(False, fastmath=EXACT, no_cpython_wrapper=True)
# For a few operations on one number or vector. LLVM alone stops inlining once a kernel is large (full batch 3-5-1 in float32 then
# took up to twice as long).
jit_inline = _decorator(False, fastmath=EXACT, no_cpython_wrapper=True, forceinline=True)
# For functions that only order calls: they become part of their caller before it is compiled. As calls, each level would be
# optimised again within the next, and a training kernel took twice as long to compile.
jit_flat = _decorator(True, fastmath=EXACT, inline="always")
# For functions that are made anew in each process, with constants of their own.
jit_alone = _decorator(False, fastmath=EXACT)


def is_compiled(kernel) -> bool:
    """Whether a kernel was called in this process, or loaded from its cache."""
    return not numba.config.DISABLE_JIT and bool(kernel.signatures)  # type: ignore[attr-defined]


class _Listener(event.Listener):
    tell = None

    def on_start(self, _):
        tell, self.tell = self.tell, None
        if tell is not None:
            tell()

    def on_end(self, _):
        pass


_LISTENER = _Listener()
event.register("numba:compile", _LISTENER)


def when_compiling(tell):
    """Calls tell() once, as soon as a kernel has to be compiled because the cache does not hold it; None calls nothing any more."""
    _LISTENER.tell = tell
