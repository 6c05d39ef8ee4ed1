"""How every kernel is compiled: the flags, the cache, and why.

`error_model="numpy"` lets a division be a division: with Python's model each one is guarded by a branch that raises, and no
loop that divides vectorises. `nogil` lets Python threads run kernels side by side. Blanket `fastmath` is ruled out because
it assumes that no value is ever NaN or infinite, and we must notice those.
"""

import inspect
import re
import time
from contextlib import contextmanager

import numba

from fastmlp.kernels.apart import end_if_nobody_waits, in_own_thread
from fastmlp.kernels.cache import KernelCache
from fastmlp.kernels.notice import Notice
from fastmlp.kernels.numba_internals import (
    CompileListener,
    PartCompiler,
    before_each_pass,
    compile_by,
    keep_by,
    kept_by,
    let_forks_wait,
    listen,
)

VERSION = numba.__version__
EXACT = {"contract"}  # a * b + c becomes one FMA; nothing is reordered, so a lane's result never depends on its neighbours


def _decorator(cache, **options):
    options |= {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}

    def decorate(function):
        function.__signature__ = inspect.signature(function)  # which Numba would work out three times
        kernel = numba.njit(**options)(function)
        if cache:
            keep_by(kernel, KernelCache(function))
        compile_by(kernel, in_own_thread)
        return kernel

    return decorate


# For what Python calls.
jit = _decorator(True, fastmath=EXACT)
# For what only kernels call: it becomes machine code, and comes into the cache, as a part of them.
jit_part = _decorator(False, fastmath=EXACT, no_cpython_wrapper=True, pipeline_class=PartCompiler)
# For a part that is to round as NumPy does, where a threshold may turn the last bit into a whole step. False has to be said, as
# otherwise a part takes its caller's flags.
jit_rounded = _decorator(False, fastmath=False, no_cpython_wrapper=True, pipeline_class=PartCompiler)
# For a few operations on one number or vector. LLVM alone stops inlining once a kernel is large (full batch 3-5-1 in float32 then
# took up to twice as long).
jit_inline = _decorator(False, fastmath=EXACT, no_cpython_wrapper=True, pipeline_class=PartCompiler, forceinline=True)
# For functions that order calls, or give parts of arrays, as no call can: they become part of their caller before it is compiled,
# in no more time than as parts.
jit_flat = _decorator(True, fastmath=EXACT, inline="always")
# For functions that are made anew in each process, with constants of their own.
jit_alone = _decorator(False, fastmath=EXACT)


def is_compiled(kernel) -> bool:
    """Whether a kernel was called in this process, or loaded from its cache."""
    return not numba.config.DISABLE_JIT and bool(kernel.signatures)  # type: ignore[attr-defined]


class _Listener(CompileListener):
    """Gives notice of each kernel that has to be compiled, because the cache does not hold it, but not of its parts."""

    def __init__(self):
        self.notice, self.depth, self.kernel, self.began = Notice(), 0, None, 0.0

    def begins(self, kernel, types):
        self.depth += 1
        if self.depth > 1:
            return
        kept = kept_by(kernel)
        self.kernel, self.began = None, time.perf_counter()
        if isinstance(kept, KernelCache):
            self.kernel = kept.name, next(iter(re.findall(r"float\d\d", str(types))), None)
            self.notice.begin(*self.kernel)

    def ends(self):
        self.depth -= 1
        if self.depth == 0 and self.kernel is not None:
            self.notice.end(*self.kernel, time.perf_counter() - self.began)


_LISTENER = _Listener()
listen(_LISTENER)
before_each_pass(end_if_nobody_waits)
let_forks_wait()


@contextmanager
def noticed_by(notice):
    """Within it, another Notice hears of each kernel that is compiled."""
    before, _LISTENER.notice = _LISTENER.notice, notice
    try:
        yield
    finally:
        _LISTENER.notice = before
