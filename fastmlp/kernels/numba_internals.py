"""What is taken from inside Numba, which may change it without notice: all of it is here, with the reason, and has a test.

It was tried with Numba 0.61 to 0.68; `pyproject.toml` allows no later one. From the public parts of Numba and llvmlite (`njit`,
`types`, `extending`, `ir`) the other rooms take what they need themselves.
"""

import gc
import os
import pickle
from functools import wraps
from pathlib import Path

import numpy as np
from llvmlite import binding, ir
from numba.core import caching, cgutils, codegen, compiler, event, serialize
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaTypeError
from numba.core.registry import cpu_target
from numba.misc.appdirs import AppDirs
from numba.np.numpy_support import from_dtype

# -- code that is built by hand: what the public parts of Numba leave open ---------------------------------------------------------


def call(builder, name, result, arguments, *, more=False):
    """Calls a function of LLVM or of the C library, which may take more arguments than are given. llvmlite alone would declare it
    again at each call."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments], more)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def check_bounds(context, builder, place, size):
    """Raises an IndexError where a place is outside an array of that size, as Numba's own indexing does where it checks."""
    cgutils.do_boundscheck(context, builder, place, size)


def array_on_stack(context, builder, kind, count, alignment):
    """An array of that Numba type, 1-D, of so many numbers that are not set to anything. Numba has none that needs no heap."""
    with builder.goto_entry_block():  # cgutils.alloca_once would fill it with zeros, at each call
        data = builder.alloca(ir.ArrayType(context.get_data_type(kind.dtype), count))
    data.align = alignment
    return _array_at(context, builder, kind, data, count)


def shared_array(context, builder, kind, array):
    """The array itself, 1-D, of that Numba type: a constant would be a copy. Its address is told in a way that keeps Numba from
    caching the code, and what calls it; and the code keeps the array."""
    library = context.active_code_library
    library.shared = [*getattr(library, "shared", ()), array]
    place = context.add_dynamic_addr(builder, array.ctypes.data, info="shared")
    return _array_at(context, builder, kind, place, array.size)


def _array_at(context, builder, kind, place, count):
    from numba.np.arrayobj import populate_array  # which brings in much that only compiling needs

    memory, number = context.make_array(kind)(context, builder), context.get_data_type(kind.dtype)
    shape, itemsize = (ir.IntType(64)(size) for size in (count, kind.dtype.bitwidth // 8))
    populate_array(memory, builder.bitcast(place, number.as_pointer()), [shape], [itemsize], itemsize, meminfo=None)
    return memory._getvalue()


def number_type(dtype):
    """The Numba type of a number of that dtype."""
    return from_dtype(np.dtype(dtype))


def code_context():
    """What builds code for this processor, for who has to know LLVM's types before Numba builds any."""
    return cpu_target.target_context


# -- compiled kernels, kept -----------------------------------------------------------------------------------------------------


class KeptCode(caching.NullCache):
    """What Numba asks before it compiles a kernel, and hands what it has compiled: `find` and `keep` are to be made. Its own caches
    follow no source but the kernel's file, and cannot live with a damaged file or a folder that cannot be written; and they first
    make ready what a compile needs, which takes longer than importing Numba."""

    def find(self, signature, codegen):
        """The bytes that were kept for the types and the code generator, or None."""
        raise NotImplementedError

    def keep(self, signature, codegen, content):
        """Keeps bytes."""
        raise NotImplementedError

    def load_overload(self, signature, target):
        content = self.find(signature, target.codegen())
        return None if content is None else _loaded(target, *pickle.loads(content))

    def save_overload(self, signature, result):
        library, function, environment, types, *_, environments = result._reduce()
        self.keep(signature, result.codegen, serialize.dumps((library, function, environment, types, environments)))


class _LoadedLibrary(codegen.JITCodeLibrary):
    """Machine code that was kept. What it becomes a part of needs it as LLVM has it, which takes longer to read than all else."""

    def __init__(self, codegen, name, machine_code, bitcode):
        super().__init__(codegen, name)
        self._bitcode = bitcode
        self.enable_object_caching()
        self._set_compiled_object(machine_code)
        self._finalize_final_module()

    def _get_module_for_linking(self):
        if self._shared_module is None:
            self._shared_module = binding.parse_bitcode(self._bitcode)
        return self._shared_module


def _loaded(target, library, function, environment, signature, environments):
    """As CompileResult._rebuild has it."""
    (name, _, codes), codegen = library, target.codegen()
    library = _LoadedLibrary(codegen, name, *codes)
    codegen._engine._defined_symbols.add(function.llvm_cpython_wrapper_name)
    entry = target.get_executable(library, function, environment)
    for part in environments:
        codegen.set_env(part.env_name, part)
    return compiler.compile_result(
        target_context=target,
        typing_context=target.typing_context,
        library=library,
        environment=environment,
        entry_point=entry,
        fndesc=function,
        signature=signature,
        objectmode=False,
        reload_init=(),
        referenced_envs=environments,
    )


def keep_by(kernel, kept):
    """Makes a kernel ask and hand to that KeptCode."""
    kernel._cache = kept
    kernel._compilation_chain_init_hook = lambda: None  # which looks for extensions in all that is installed; a compile does, too


def kept_by(kernel):
    """The KeptCode of a kernel, if it has one."""
    cache = getattr(kernel, "_cache", None)
    return cache if isinstance(cache, KeptCode) else None


def processor(codegen):
    """What the machine code is for."""
    return codegen.magic_tuple()


def user_cache_folder():
    """Where Numba keeps what it compiles for this user."""
    return Path(AppDirs("numba", appauthor=False).user_cache_dir)


# -- parts of kernels, which are compiled once for all of them -------------------------------------------------------------------


class _NoEnvironments:
    def set_env(self, name, environment):
        """Code that Python cannot call needs none, as long as the errors that it raises are constants."""


class _Part(codegen.JITCodeLibrary):
    """The code of a function as it is written: what it becomes part of is optimised, and becomes machine code. Numba would do both
    for each function, and again for whatever calls it: a quarter of the time that a training kernel takes to compile."""

    codegen = _NoEnvironments()

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        return 0


class PartCompiler(compiler.Compiler):
    """The `pipeline_class` of functions that only compiled code calls."""

    def compile_extra(self, function):
        self.state.library = _Part(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)


# -- compiling, watched and asked -----------------------------------------------------------------------------------------------


class CompileListener(event.Listener):
    """Hears when a function begins to be compiled, and its parts within that: `begins(kernel, types)`, and when it `ends()`."""

    def on_start(self, compiling):
        self.begins(compiling.data["dispatcher"], compiling.data["args"])

    def on_end(self, _):
        self.ends()


def listen(listener):
    """From now on it hears of each."""
    event.register("numba:compile", listener)


def let_forks_wait():
    """From now on a fork waits for the end of a compile in another thread, as the child would for ever."""
    if hasattr(os, "register_at_fork"):
        lock = global_compiler_lock
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


class _PassListener(event.Listener):
    """Calls a function where a pass of a compile begins: a later compile does not mind if that raises."""

    def __init__(self, function):
        self.function = function

    def on_start(self, _):
        self.function()

    def on_end(self, _):
        pass


def before_each_pass(function):
    """From now on it is called then."""
    event.register("numba:run_pass", _PassListener(function))


def ask_first(function, from_python, from_compiled_code):
    """Makes a function of `njit` reject arguments before it compiles for them, as what Numba says of its code tells nobody what was
    wrong: from_python(arguments, keywords, type_of) may raise an error, from_compiled_code(types, keywords) return a message."""
    if not hasattr(function, "_compile_for_args"):  # with the JIT off
        return
    compile_for, template_for = function._compile_for_args, function.get_call_template

    def asked(*args, **kwargs):
        from_python(args, kwargs, function.typeof_pyval)
        return compile_for(*args, **kwargs)

    def asked_by_code(args, kws):
        message = from_compiled_code(args, kws)
        if message:
            raise NumbaTypeError(message)
        return template_for(args, kws)

    function._compile_for_args, function.get_call_template = asked, asked_by_code


def compile_by(kernel, decorator):
    """Makes each compile of a kernel, or its loading, what the decorator makes of it."""
    if hasattr(kernel, "_compile_for_args"):
        kernel.compile = decorator(kernel.compile)


def uncollected(function):
    """Makes a function that compiles do so without Python's search for cycles of objects, which takes a tenth of the time."""

    @wraps(function)
    def compiled(*arguments):
        with global_compiler_lock:  # as it stands still while a process forks, no child is left without
            enabled = gc.isenabled()
            gc.disable()
            try:
                return function(*arguments)
            finally:
                if enabled:
                    gc.enable()

    return compiled


def is_compiling():
    """Whether this thread is within a compile, and so holds the lock that others wait for."""
    return global_compiler_lock.is_locked()
