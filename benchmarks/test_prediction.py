"""A trained network at work: probabilities of rows, one step from one sample, and calls from other compiled code."""

import math
from functools import partial

import numba
import numpy as np
import pytest

import fastmlp
from benchmarks import reference
from benchmarks.work import DTYPES, Side, classifier, mlp, on_torch_threads, peer, rows

NETWORK = classifier((3, 5, 1), "sigmoid")
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 8000, 1_000_000])
def test_predict_proba_3_5_1(versus, short, n, dtype):
    n = min(n, 10_000) if short else n
    X, _, _, theta = rows(n, NETWORK.sizes, dtype)
    predict = partial(mlp(NETWORK, theta).predict_proba, X)

    def checked(function):
        np.testing.assert_allclose(function(), predict(), rtol=TOLERANCE[dtype])
        return Side(function, n)

    def plain():
        p = reference.predict(NETWORK, theta, X)
        return np.hstack([1 - p, p])

    rivals = {
        "plain NumPy": lambda: [checked(plain)],
        "PyTorch eager": lambda: on_torch_threads(checked(peer("torch").predictor(NETWORK, theta, X))),
        "scikit-learn": lambda: [checked(peer("sklearn").predictor(NETWORK, theta, X))],
    }
    versus(f"predict_proba, 3-5-1, rows: {n}, {dtype}", Side(predict, n), rivals, "row")


@pytest.mark.parametrize("dtype", DTYPES)
def test_update_3_5_1(versus, dtype):
    X, labels, targets, theta = rows(10, NETWORK.sizes, dtype)

    def side(update, samples):
        return Side(lambda: [update(x, y) for x, y in samples], len(X))

    def ours():
        return side(partial(mlp(NETWORK, theta.copy()).update, learning_rate=0.05), list(zip(X, labels.tolist(), strict=True)))

    def torch():
        samples = list(zip(*map(peer("torch").single_rows, (X, targets)), strict=True))
        rival = side(peer("torch").updater(NETWORK, theta, learning_rate=0.05), samples)
        np.testing.assert_allclose(rival.function(), ours().function(), rtol=TOLERANCE[dtype])
        return on_torch_threads(rival)

    versus(f"update, 3-5-1, {dtype}", ours(), {"PyTorch eager": torch}, "step")


@numba.njit
def outputs_sum(f, X):
    total = 0.0
    for i in range(len(X)):
        total += f(X[i])
    return total


@pytest.mark.skipif(not hasattr(fastmlp.MLP, "jit"), reason="MLP has no jit yet")
@pytest.mark.parametrize("dtype", DTYPES)
def test_calls_from_compiled_code(versus, dtype):
    X, _, _, theta = rows(1000, NETWORK.sizes, dtype)
    ours = partial(outputs_sum, mlp(NETWORK, theta).jit(), X)

    def by_hand():
        function = partial(outputs_sum, formula(theta), X)
        np.testing.assert_allclose(function(), ours(), rtol=TOLERANCE[dtype])
        return [Side(function, len(X))]

    ours()
    versus(f"jit(), called in a loop, 3-5-1, {dtype}", Side(ours, len(X)), {"Numba by hand": by_hand})


@pytest.mark.parametrize("dtype", DTYPES)
def test_calls_of_what_learns(versus, dtype):
    """predict, whose parameters may change, beside the function in which they are constants."""
    X, _, _, theta = rows(1000, NETWORK.sizes, dtype)
    model = mlp(NETWORK, theta)
    ours, frozen = (partial(outputs_sum, function, X) for function in (model.jit(update=True).predict, model.jit()))
    assert ours() == frozen()
    versus(f"jit(update=True), predict in a loop, 3-5-1, {dtype}", Side(ours, len(X)), {"jit()": lambda: [Side(frozen, len(X))]})


def formula(theta):
    """3-5-1 with sigmoids, as one would write it for Numba: the weights are constants."""
    (w, b), (v, c) = NETWORK.unpack(theta)
    one = theta.dtype.type(1)

    @numba.njit
    def output(x):
        z = c[0]
        for h in range(5):
            s = b[h] + w[0, h] * x[0] + w[1, h] * x[1] + w[2, h] * x[2]
            z += v[h, 0] / (one + math.exp(-s))
        return one / (one + math.exp(-z))

    return output
