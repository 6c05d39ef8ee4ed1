"""C and C++ compilers, and what exported networks say when they are compiled."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
C_COMPILER, CPP_COMPILER = shutil.which("gcc") or shutil.which("clang"), shutil.which("g++") or shutil.which("clang++")
needs_c = pytest.mark.skipif(C_COMPILER is None, reason="there is no C compiler")
needs_cpp = pytest.mark.skipif(CPP_COMPILER is None, reason="there is no C++ compiler")


def compiled(compiler, *args):
    """Compiles without a word, or fails."""
    process = subprocess.run([compiler, *map(str, args)], capture_output=True, text=True, check=False, timeout=120)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", ""), process.stderr[:2000]


class InC:
    """An exported network, compiled and loaded."""

    def __init__(self, source, name, options=("-O2",)):
        library = source.parent / f"{source.name}{len(list(source.parent.iterdir()))}.so"  # no library is loaded twice
        compiled(C_COMPILER, "-std=c99", *WARNINGS, *options, "-shared", "-fPIC", "-o", library, source, "-lm")
        self.library, self.name, text = ctypes.CDLL(str(library)), name, source.with_suffix(".h").read_text()
        sizes = {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)$", text, re.MULTILINE)}
        self.inputs, self.outputs = sizes[f"{name.upper()}_INPUTS"], sizes[f"{name.upper()}_OUTPUTS"]
        self.dtype = np.float32 if "const float inputs" in text else np.float64

    def __getattr__(self, what):
        return getattr(self.library, f"{self.name}_{what}")

    def rows(self, function, X):
        X = np.ascontiguousarray(X, self.dtype)
        assert X.shape[1] == self.inputs
        for row in X:
            yield function, ctypes.c_void_p(row.ctypes.data)

    def predict_outputs(self, X):
        out = np.full((len(X), self.outputs), np.nan, self.dtype)
        function = self.library[f"{self.name}_predict_outputs"]
        for row, (call, x) in zip(out, self.rows(function, X), strict=True):
            call(x, ctypes.c_void_p(row.ctypes.data))
        return out

    def predict(self, X):
        return [call(x) for call, x in self.rows(self.library[f"{self.name}_predict"], X)]

    @property
    def classes(self):
        return list((ctypes.c_char_p * self.outputs).in_dll(self.library, f"{self.name}_classes"))
