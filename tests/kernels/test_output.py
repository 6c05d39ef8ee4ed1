"""The losses of a block of samples, and their gradients by the logits, are those of the reference."""

import numba
import numpy as np
import pytest
from cases import OUTPUT_LOSSES, mlp, parameter_count

from benchmarks import reference
from benchmarks.reference import Network
from fastmlp.kernels import output
from fastmlp.kernels.product import Grid
from fastmlp.kernels.tiles import Tiles

pytestmark = pytest.mark.kernels

INTERPRETED = numba.config.DISABLE_JIT
DTYPES = (np.float32, np.float64)
MARK = -7777.0  # where nothing may be written


@numba.njit
def add_losses(losses, period, d, z, tiles, tile, m, network):
    output.add_losses(losses, period, d, z, tiles, tile, m, network)


@pytest.mark.parametrize("dtype", DTYPES if INTERPRETED else DTYPES[:1])  # as part of the kernels both are compiled anyway
@pytest.mark.parametrize("strips", [1, 4])  # vectors of a period
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("function", "loss"), [pair for pair in OUTPUT_LOSSES if not pair[1].endswith("bits")])
def test_losses_are_added_up_at_their_places_in_a_period(function, loss, outputs, strips, dtype):
    period, rng = strips * 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    m, stride, at, tile = 3 * period, 4 * period, 5, 1
    network = Network((1, outputs), (), function, loss)
    logits = (3 * rng.normal(size=(outputs, m))).astype(dtype)
    targets = rng.random((outputs, m)).astype(dtype)
    if function == "softmax":
        targets = np.eye(outputs, dtype=dtype)[rng.integers(0, outputs, m)].T
    weights, before = rng.random(m).astype(dtype), rng.random(period).astype(dtype)

    z = np.full(at + outputs * stride, np.nan, dtype)
    z[at:].reshape(outputs, stride)[:, :m] = logits
    tiles = Tiles(
        np.empty(0, dtype), np.full(2 * outputs * stride, np.nan, dtype), np.full(2 * stride, np.nan, dtype), stride, 3, True
    )
    tiles.targets.reshape(2, outputs, stride)[tile, :, :m] = targets
    tiles.weights.reshape(2, stride)[tile, :m] = weights
    losses, d = np.append(before, np.full(5, MARK, dtype)), np.full(outputs * stride + 5, MARK, dtype)
    kernels_network = mlp(network, np.zeros(parameter_count(network), dtype)).network
    add_losses(losses, period, d, Grid(z, at, stride, period // strips), tiles, tile, m, kernels_network)

    exact = [array.astype(float).T for array in (logits, targets)]
    right = reference.OUTPUTS[function](exact[0])
    each = weights * reference.sample_losses(network, right, *exact)
    slopes = weights[:, None] * reference.output_backward(network, right, *exact)
    # Logarithms, exponentials and products round to some 4 ulps of the largest number that is added, for each output and sample.
    largest = max(np.abs(numbers).max() for numbers in (exact[0], each, slopes))
    eps = 4 * np.finfo(dtype).eps * largest * (outputs + 2)
    np.testing.assert_allclose(losses[:period], before + each.reshape(3, period).sum(axis=0), rtol=0, atol=3 * eps)
    np.testing.assert_allclose(d[: outputs * stride].reshape(outputs, stride)[:, :m], slopes.T, rtol=0, atol=eps)
    d[: outputs * stride].reshape(outputs, stride)[:, :m] = MARK
    assert (losses[period:] == MARK).all() and (d == MARK).all(), "written outside their places"
