"""Starting up, each time in a fresh process: imports, and a first training, with a warm and with an empty cache of kernels."""

import os
import subprocess
import sys
from functools import partial
from tempfile import mkdtemp

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


def beside_numba(versus, name, ours):
    versus(f"fresh process: {name}", ours, {"import numba": lambda: [Side(partial(run, "import numba"))]}, "process")


@pytest.mark.parametrize("name", PROGRAMS)
def test_warm_start(versus, name):
    beside_numba(versus, name, Side(partial(run, PROGRAMS[name])))


def test_cold_start(versus, tmp_path):
    ours = Side(lambda: run(TRAIN, NUMBA_CACHE_DIR=mkdtemp(dir=tmp_path)))
    beside_numba(versus, "train and predict, empty cache", ours)
