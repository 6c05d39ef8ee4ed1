"""What is taken from inside Numba still does what it is taken for, and no other room takes anything from there."""

import gc
import os
import re
import signal
import threading
import time
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from llvmlite import ir
from numba import types

import fastmlp
import fastmlp.kernels.compile  # from then on forks wait
from fastmlp.kernels import numba_internals as internals
from fastmlp.kernels.simd import compiles

pytestmark = [pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"), pytest.mark.versions]
PACKAGE = Path(fastmlp.__file__).parent


def test_only_one_room_takes_anything_from_inside_numba():
    inside = re.compile(
        r"numba\.(core|np|misc)\b|\._(compile|cache|rebuild|reduce)\w*\b|typeof_pyval|get_call_template|magic_tuple"
    )
    rooms = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if inside.search(path.read_text())}
    assert rooms == {"kernels/numba_internals.py"}


def test_the_numba_that_is_allowed_is_the_one_that_it_was_tried_with():
    first, last = re.search(r"tried with Numba ([\d.]+) to ([\d.]+)", internals.__doc__).groups()
    project = (PACKAGE.parent / "pyproject.toml").read_text()
    major, minor = last.split(".")
    assert f'"numba>={first},<{major}.{int(minor) + 1}"' in project
    assert tuple(map(int, first.split("."))) <= tuple(map(int, numba.__version__.split(".")[:2])) <= (int(major), int(minor))


def absolute(x):
    """|x|, by LLVM."""


@compiles(absolute, result=lambda x: x, kinds=[(types.Float,)])
def _(context, builder, signature, x):
    return internals.call(builder, f"llvm.fabs.{x.type.intrinsic_name}", x.type, [x])


def eleven(like):
    """An array of eleven numbers."""


@compiles(eleven, result=lambda like: types.Array(like.dtype, 1, "C"), kinds=[(types.Array,)])
def _(context, builder, signature, like):
    return internals.array_on_stack(context, builder, signature.return_type, 11, 64)


def checked(i):
    """The place i of an array of 3."""


@compiles(checked, result=lambda i: types.int64, kinds=[(types.Integer,)])
def _(context, builder, signature, i):
    internals.check_bounds(context, builder, i, ir.IntType(64)(3))
    return i


def test_functions_of_llvm_are_called_more_than_once_in_a_module():
    assert numba.njit(lambda x: absolute(x) + absolute(-x))(-2.5) == 5


def test_an_array_on_the_stack_has_its_size_its_type_and_its_alignment():
    @numba.njit
    def filled(like):
        array = eleven(like)
        for i in range(array.size):
            array[i] = i
        return array.size, array.itemsize, array.sum(), array.ctypes.data % 64

    assert filled(np.zeros(1, np.float32)) == (11, 4, 55, 0)


def itself(like):
    """The array NUMBERS."""


NUMBERS = np.arange(4.0)


@compiles(itself, result=lambda like: types.Array(types.float64, 1, "C"), kinds=[(types.Integer,)])
def _(context, builder, signature, like):
    return internals.shared_array(context, builder, signature.return_type, NUMBERS)


def test_a_shared_array_is_the_array_itself_and_its_code_keeps_it_and_is_not_cached():
    @numba.njit
    def change(i):
        itself(i)[i] += 10
        return itself(i).size, itself(i).itemsize

    assert change(1) == (4, 8) and NUMBERS[1] == 11
    (compiled,) = change.overloads.values()
    assert any(array is NUMBERS for array in compiled.library.shared) and compiled.library.has_dynamic_globals


def test_places_outside_raise_an_index_error():
    @numba.njit
    def place(i):
        return checked(i)

    assert place(2) == 2
    with pytest.raises(IndexError):
        place(3)


def test_types_are_those_of_numba():
    assert internals.number_type(">i2".replace(">", "=")) == types.int16
    assert internals.number_type(np.uint64) == types.uint64
    assert internals.code_context().get_value_type(types.float32) == ir.FloatType()


def test_what_was_kept_runs_and_what_was_not_is_asked_for():
    kept = {}

    class Kept(internals.KeptCode):
        content = kept

        def find(self, signature, codegen):
            assert internals.processor(codegen)
            return self.content.get(str(signature))

        def keep(self, signature, codegen, content):
            self.content[str(signature)] = content

    def kernel_of():
        kernel = numba.njit(lambda x: x + 1)
        internals.keep_by(kernel, Kept())
        assert isinstance(internals.kept_by(kernel), Kept)
        return kernel

    assert internals.kept_by(numba.njit(lambda x: x)) is None
    first = kernel_of()
    assert first(1) == 2 and len(Kept.content) == 1 and not first.stats.cache_hits
    second = kernel_of()
    assert second(1) == 2 and second.stats.cache_hits


def test_the_folder_of_the_user_is_that_of_numba():
    assert internals.user_cache_folder().name == "numba" or "numba" in internals.user_cache_folder().parts


def test_a_listener_hears_of_each_compile_and_of_its_passes_and_what_is_asked_first_is_told():
    heard = []

    class Listener(internals.CompileListener):
        def begins(self, kernel, kinds):
            heard.append((kernel, str(kinds)))

        def ends(self):
            heard.append("end")

    def watched(function):
        def compiled(*args):
            assert not internals.is_compiling()
            heard.append("compiled")
            return function(*args)

        return compiled

    kernel = numba.njit(lambda x: x * 2)
    internals.compile_by(kernel, watched)
    listener = Listener()
    internals.listen(listener)
    internals.before_each_pass(lambda: heard.append(internals.is_compiling()))
    assert kernel(3) == 6
    assert heard[0] == "compiled" and heard[1][0] is kernel and "int64" in heard[1][1] and heard[-1] == "end"
    assert heard.count(True) > 5 and False not in heard
    numba.core.event.unregister("numba:compile", listener)
    numba.core.event._registered["numba:run_pass"].pop()

    def from_python(args, keywords, type_of):
        if not isinstance(type_of(args[0]), types.Integer):
            raise ValueError("whole numbers only")

    internals.ask_first(
        kernel, from_python, lambda kinds, keywords: None if isinstance(kinds[0], types.Integer) else "whole, please"
    )
    assert kernel(np.int32(4)) == 8
    with pytest.raises(ValueError, match="whole numbers only"):
        kernel(1.5)
    with pytest.raises(numba.core.errors.TypingError, match="whole, please"):
        numba.njit(lambda x: kernel(x))(1.5)


def test_a_part_becomes_machine_code_only_in_what_calls_it():
    part_of = numba.njit(pipeline_class=internals.PartCompiler, no_cpython_wrapper=True)

    @part_of
    def root(x):
        if x < 0:
            raise ValueError("negative")
        return x**0.5

    @part_of
    def double(x):
        return 2 * root(x)

    whole, also = numba.njit(lambda x: double(x) + root(x)), numba.njit(lambda x: root(x + 1))
    assert whole(4.0) == 6 and also(8.0) == 3
    with pytest.raises(ValueError, match="negative"):
        whole(-1.0)
    for function, is_called in ((root, False), (double, False), (whole, True)):
        (compiled,) = function.overloads.values()
        name = compiled.fndesc.llvm_cpython_wrapper_name
        assert bool(compiled.library.get_pointer_to_function(name)) == is_called


def test_python_looks_for_cycles_of_objects_again_when_a_compile_is_over():
    seen = []

    def compile_once(error):
        seen.append((gc.isenabled(), internals.is_compiling()))
        if error:
            raise ValueError("no")
        return 3

    assert internals.uncollected(compile_once)(False) == 3
    with pytest.raises(ValueError, match="no"):
        internals.uncollected(compile_once)(True)
    assert seen == [(False, True)] * 2 and gc.isenabled() and not internals.is_compiling()
    gc.disable()
    try:
        internals.uncollected(compile_once)(False)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_the_end_of_a_compile_in_another_thread():
    held, lock = threading.Event(), internals.global_compiler_lock

    def compile_long():
        with lock:
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=compile_long)
    thread.start()
    assert held.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        child = os.fork()
    if not child:
        signal.alarm(20)  # instead of waiting for ever
        with lock:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
