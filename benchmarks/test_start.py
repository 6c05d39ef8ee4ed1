"""Starting up, each time in a fresh process: imports, and a first training, with a warm and with an empty cache of kernels."""

import os
import subprocess
import sys

import pytest

TRAIN = """
import numpy as np, fastmlp
X = np.random.default_rng(0).normal(size=(1000, 3))
y = X[:, 0] > 0
model = fastmlp.train(X, y, epochs=5, seed=0)
assert model.predict(X).shape == (1000,)
"""
PROGRAMS = {
    "import numba": "import numba",
    "import fastmlp": "import fastmlp",
    "import fastmlp, with train": "import fastmlp; fastmlp.train",
    "train and predict": TRAIN,
}


def run(program, **environment):
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | environment)


@pytest.mark.parametrize("program", PROGRAMS)
def test_warm_start(measure, program):
    measure("a fresh process, warm cache", lambda: run(PROGRAMS[program]), rounds=5)


def test_cold_start(benchmark, tmp_path):
    benchmark.group = "a fresh process, empty cache"
    benchmark.pedantic(lambda: run(TRAIN, NUMBA_CACHE_DIR=str(tmp_path)), rounds=1)
