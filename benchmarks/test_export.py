"""A network exported as C beside jit(): both called for one row after the other, in a loop of their own language."""

import ctypes
import shutil
import subprocess
from functools import partial

import numba
import numpy as np
import pytest

from benchmarks.work import DTYPES, Side, classifier, mlp, rows

COMPILER = shutil.which("gcc")
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
LOOP = """
#include "m.h"
double total(const REAL *rows, int n)
{
    REAL outputs[M_OUTPUTS];
    double sum = 0;
    for (int i = 0; i < n; i++) {
        m_predict_outputs(rows + i * M_INPUTS, outputs);
        sum += outputs[1];
    }
    return sum;
}
"""


@numba.njit
def total_of_one(f, X):
    total = 0.0
    for i in range(len(X)):
        total += f(X[i])
    return total


@numba.njit
def total_of_second(f, X, out):
    total = 0.0
    for i in range(len(X)):
        f(X[i], out)
        total += out[1]
    return total


@pytest.mark.skipif(COMPILER is None, reason="there is no gcc")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", ["-O2", "-O3"])
@pytest.mark.parametrize(("sizes", "activation"), [((3, 5, 1), "sigmoid"), ((64, 32, 10), "relu"), ((64, 32, 10), "tanh")], ids=str)
def test_exported_c(versus, tmp_path, sizes, activation, options, dtype):
    network = classifier(sizes, activation)
    X, _, _, theta = rows(1000, sizes, dtype)
    model = mlp(network, theta)
    model.export(tmp_path / "m.c")
    (tmp_path / "loop.c").write_text(LOOP.replace("REAL", "float" if dtype == "float32" else "double"))
    parts = ("-o", tmp_path / "m.so", tmp_path / "m.c", tmp_path / "loop.c", "-lm")
    subprocess.run([COMPILER, "-std=c99", options, "-shared", "-fPIC", *parts], check=True)
    total = ctypes.CDLL(str(tmp_path / "m.so")).total
    total.restype = ctypes.c_double
    ours = partial(total, ctypes.c_void_p(X.ctypes.data), len(X))

    def jit():
        f, out = model.jit(), np.empty(sizes[-1], dtype)
        function = partial(total_of_one, f, X) if sizes[-1] == 1 else partial(total_of_second, f, X, out)
        np.testing.assert_allclose(function(), ours(), rtol=TOLERANCE[dtype])
        return [Side(function, len(X))]

    shape = "-".join(map(str, sizes))
    versus(f"C, gcc {options}, {shape} {activation}, {dtype}", Side(ours, len(X)), {"jit(), bar 0.67x": jit}, "row")
