"""Starting up, each time in a fresh process: imports, and a first training, with a warm and with an empty cache of kernels."""

import os
import subprocess
import sys
import time
from functools import partial

import pytest

from benchmarks.work import Side

TRAIN = """
import numpy as np, fastmlp
X = np.random.default_rng(0).normal(size=(1000, 3))
y = X[:, 0] > 0
model = fastmlp.train(X, y, epochs=5, seed=0)
assert model.predict(X).shape == (1000,)
"""
PROGRAMS = {
    "import fastmlp": "import fastmlp",
    "import fastmlp, with train": "import fastmlp; fastmlp.train",
    "train and predict, warm cache": TRAIN,
}


def run(program, **environment):
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | environment)


@pytest.mark.parametrize("name", PROGRAMS)
def test_warm_start(versus, name):
    rivals = {"import numba": lambda: [Side(partial(run, "import numba"))]}
    versus(f"fresh process: {name}", Side(partial(run, PROGRAMS[name])), rivals, "process")


def test_cold_start(benchmark, table, tmp_path):
    began = time.perf_counter()
    benchmark.pedantic(run, args=(TRAIN,), kwargs={"NUMBA_CACHE_DIR": str(tmp_path)})
    table("fresh process: train and predict, empty cache", f"{time.perf_counter() - began:.1f} s", "", "")
