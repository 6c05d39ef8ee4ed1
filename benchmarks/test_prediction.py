"""Prediction: fastmlp beside plain NumPy, on the same rows and weights. Each pair is checked, then timed."""

import numpy as np
import pytest

import fastmlp
from benchmarks import reference


@pytest.mark.parametrize("side", ["numpy", "fastmlp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 8000, 1_000_000])
def test_predict_proba_3_5_1(measure, short, n, dtype, side):
    rng = np.random.default_rng(0)
    n = min(n, 10_000) if short else n
    X = rng.standard_normal((n, 3)).astype(dtype)
    theta = rng.standard_normal(26).astype(dtype)
    network = reference.Network((3, 5, 1), ("sigmoid",), "sigmoid", "cross_entropy")
    model = fastmlp.MLP(
        (3, 5, 1), theta, activations=("sigmoid",), output="sigmoid", loss_name="cross_entropy", classes=np.array([0, 1])
    )

    def plain():
        p = reference.predict(network, theta, X)
        return np.hstack([1 - p, p])

    np.testing.assert_allclose(model.predict_proba(X), plain(), rtol=1e-4 if dtype == "float32" else 1e-12)
    function = plain if side == "numpy" else lambda: model.predict_proba(X)
    calls = 1000 if n == 1 and not short else 1

    def run():
        for _ in range(calls):
            function()

    measure(f"predict_proba, 3-5-1, {n} rows x {calls}, {dtype}", run)
