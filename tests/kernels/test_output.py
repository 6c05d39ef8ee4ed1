"""The losses of a block of samples, their gradients by the logits, and its errors, are those of the reference."""

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


@numba.njit
def add_errors(losses, period, z, tiles, tile, m, network):
    output.add_errors(losses, period, z, tiles, tile, m, network.layers)


@pytest.mark.parametrize("dtype", DTYPES if INTERPRETED else DTYPES[:1])
@pytest.mark.parametrize("strips", [1, 4])  # vectors of a period
@pytest.mark.parametrize(("function", "outputs"), [("sigmoid", 1), ("softmax", 2), ("softmax", 3)])
def test_errors_are_those_of_the_class_that_is_told(function, outputs, strips, dtype):
    period, rng = strips * 64 // np.dtype(dtype).itemsize, np.random.default_rng(0)
    m, stride, at, tile = 3 * period, 4 * period, 5, 1
    network = Network((1, outputs), (), function, "cross_entropy")
    logits = rng.integers(-2, 3, (outputs, m)).astype(dtype)  # of which some are equal
    numbers = rng.integers(0, max(2, outputs), m)
    targets = (numbers[None] if outputs == 1 else np.eye(outputs)[numbers].T).astype(dtype)
    weights, before = rng.integers(0, 4, m).astype(dtype), rng.integers(0, 9, period).astype(dtype)

    z = np.full(at + outputs * stride, np.nan, dtype)
    z[at:].reshape(outputs, stride)[:, :m] = logits
    untouched = z.copy()
    tiles = Tiles(
        np.empty(0, dtype), np.full(2 * outputs * stride, np.nan, dtype), np.full(2 * stride, np.nan, dtype), stride, 3, True
    )
    tiles.targets.reshape(2, outputs, stride)[tile, :, :m] = targets
    tiles.weights.reshape(2, stride)[tile, :m] = weights
    losses = np.append(before, np.full(5, MARK, dtype))
    add_errors(losses, period, Grid(z, at, stride, period // strips), tiles, tile, m, kernels_network(network, dtype))

    told = logits[0] > 0 if outputs == 1 else logits.argmax(axis=0)
    assert np.array_equal(losses[:period], before + (weights * (told != numbers)).reshape(3, period).sum(axis=0))
    assert (losses[period:] == MARK).all() and np.array_equal(z, untouched, equal_nan=True)


def kernels_network(network, dtype):
    return mlp(network, np.zeros(parameter_count(network), dtype)).network


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
    add_losses(losses, period, d, Grid(z, at, stride, period // strips), tiles, tile, m, kernels_network(network, dtype))

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
