"""Temperatures: found again where they are known, near 1 where little is known, and folded into networks without a trace."""

import numpy as np
import pytest
from cases import toy

import fastmlp
from fastmlp.training.calibration import at_temperature, best_temperature, set_temperature


def chances(rows, classes, seed=0):
    rng = np.random.default_rng(seed)
    powers = np.exp(2 * rng.normal(size=(rows, classes)))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return probabilities, (probabilities.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_temperature_is_found_again(temperature, classes):
    true, numbers = chances(20_000, classes)
    found = best_temperature([at_temperature(true, 1 / temperature)], numbers)
    assert found == pytest.approx(temperature, rel=0.05)
    nothing = best_temperature([true], numbers)
    assert nothing == pytest.approx(1, rel=0.05)


def test_few_rows_or_such_as_are_all_right_leave_it_near_1():
    sure = np.tile([0.999, 0.001], (8, 1))
    assert 0.7 < best_temperature([sure], np.zeros(8, int)) <= 1
    assert 1 < best_temperature([sure], np.ones(8, int)) < 30
    with_zeros = np.tile([1.0, 0.0], (3, 1))
    assert np.isfinite(best_temperature([with_zeros], np.array([0, 1, 0])))


def test_the_mean_of_several_networks_is_what_comes_true():
    true, numbers = chances(5000, 3)
    each = [at_temperature(true, temperature) for temperature in (0.3, 0.5)]
    found = best_temperature(each, numbers)

    def loss(temperature):
        mean = sum(at_temperature(one, temperature) for one in each) / 2
        return -np.log(mean[np.arange(5000), numbers]).mean()

    assert loss(found) <= min(loss(found * 1.1), loss(found / 1.1)) + 1e-9 and found > 1


@pytest.mark.parametrize(("output", "bias"), [("softmax", True), ("sigmoid", True), ("softmax", False)])
def test_a_network_takes_it_into_its_last_layer(output, bias):
    X, y = toy(40)
    network = fastmlp.train(X, y, hidden=4, output=output, bias=bias, epochs=3, seed=0)
    before, decided = network.predict_proba(X), network.predict(X)
    set_temperature(network, 2.5)
    np.testing.assert_allclose(network.predict_proba(X), at_temperature(before, 2.5), rtol=1e-9)
    assert np.array_equal(network.predict(X), decided)
