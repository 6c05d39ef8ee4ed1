"""The compiled loss and gradient, for every activation, output, loss and depth, against three independent ways."""

import autograd
import numba
import numpy as np
import pytest
from cases import (
    COMBINATIONS,
    DEPTHS,
    OUTPUT_LOSSES,
    autograd_loss,
    central_differences,
    mlp,
    network_of,
    problem,
)
from pairs import in_pairs

from benchmarks import reference

pytestmark = [pytest.mark.kernels, pytest.mark.versions(dtype=np.float64)]

ROWS = (1, 2, 7, 33) if numba.config.DISABLE_JIT else (1, 2, 7, 33, 257, 1000)  # odd ends of lanes and of blocks


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the reference, which this is compared with below, is judged by itself")
@pytest.mark.parametrize("hidden", DEPTHS, ids=str)
@pytest.mark.parametrize(("activation", "output", "loss"), COMBINATIONS)
def test_gradient_is_the_derivative_of_the_loss(activation, output, loss, hidden):
    network = network_of(activation, output, loss, hidden)
    theta, X, targets = problem(network, rows=7)
    model = mlp(network, theta)
    gradient = model.gradient(X, targets)

    def loss_at(t):
        return mlp(network, t).loss(X, targets)

    differences = central_differences(loss_at, theta)
    np.testing.assert_allclose(gradient, differences.values, rtol=0, atol=differences.tolerance)
    automatic = autograd.grad(autograd_loss(network, X, targets))(theta)
    np.testing.assert_allclose(gradient, automatic, rtol=1e-10, atol=1e-12)


@in_pairs(kind=COMBINATIONS, hidden=DEPTHS, bias=[True, False], dtype=[np.float32, np.float64])
def test_loss_and_gradient_are_those_of_the_reference(kind, hidden, bias, dtype):
    network = network_of(*kind, hidden, bias=bias)
    for rows in ROWS:
        compare_with_reference(network, rows, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1, (1,), 1), (17, (33, 9), 10), (2, (64,), 1), (1, (), 1)], ids=str)
def test_any_width(sizes, dtype):
    inputs, hidden, outputs = sizes
    for output, loss in OUTPUT_LOSSES:
        if outputs > 1 or output != "softmax":
            network = network_of("tanh", output, loss, hidden, inputs=inputs, outputs=outputs)
            compare_with_reference(network, ROWS[-1], dtype)


def compare_with_reference(network, rows, dtype):
    """Each sum of the gradient rounds once for each term: rows, and the units of the layers that it passes.

    Rounding errors add up like a random walk. Terms are of order 1, the mean divides by the rows; 8 ulps of a term
    cover the elementary functions on its way.
    """
    theta, X, targets = problem(network, rows, dtype)
    wide = [array.astype(float) for array in (theta, X, targets)]
    tolerance = 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))
    model = mlp(network, theta)
    gradient, loss = model.gradient(X, targets), model.loss(X, targets)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, reference.backward(network, *wide), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(loss, reference.loss(network, *wide), rtol=tolerance)
