"""What dropout, penalties, clipping and averaging cost: a training with them, beside the same without, and beside plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest

import fastmlp
from benchmarks import reference
from benchmarks.work import DTYPES, TOLERANCE, Side, Training, mlp

SEED = 0
OPTIONS = {"dropout": 0.2, "l1": 1e-4, "clip": 1.0, "average": 0.99}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_regularization(versus, short, name, dtype):
    work = Training((64, 100, 10), "relu", 320 if short else 3200, 1 if short else 3, 32, "adam", 0.001, dtype)
    fewer = replace(work, rows=320, epochs=1)

    def losses(work):
        return work.ours(fastmlp.train, mlp(work.network, work.data[-1]), seed=SEED, l2=0, **{name: OPTIONS[name]})

    def numpy():
        X, _, targets, theta = fewer.data
        options = fewer.options | {name: (OPTIONS[name],) if name == "dropout" else OPTIONS[name]}
        orders = [np.arange(fewer.rows)] * options.pop("epochs")

        def train():
            return reference.train(fewer.network, theta, X, targets, row_orders=orders, seed=SEED, **options)[1]

        np.testing.assert_allclose(train(), losses(fewer)(), rtol=TOLERANCE[dtype])
        return [Side(train, fewer.units)]

    without = Side(work.ours(fastmlp.train, mlp(work.network, work.data[-1]), seed=SEED, l2=0), work.units)
    rivals = {"itself without": lambda: [without], "plain NumPy": numpy}
    versus(f"{name}={OPTIONS[name]:g}, batches of 32, Adam, {work}", Side(losses(work), work.units), rivals, "row and epoch")
