"""Steps: rows that come bit by bit are learned as those of an epoch are."""

import numpy as np
import pytest
from cases import toy

import fastmlp
from fastmlp.kernels.optimizers import Rule, method_of
from fastmlp.training.steps import Steps


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("batch_size", [1, 16, 60])
@pytest.mark.parametrize(("hidden", "rows"), [(5, 60), (100, 60), (100, 20)])
def test_an_epoch_of_steps_is_an_epoch_of_training(hidden, rows, batch_size, optimizer):
    X, y = toy(rows=rows)
    options = {"batch_size": batch_size, "optimizer": optimizer, "learning_rate": 0.05, "shuffle": False, "standardize": False}
    network = fastmlp.train(X, y, hidden=hidden, epochs=2, keep_state=True, seed=0, l2=0.01, **options)
    moments, counters = network.state.moments.copy(), np.array([network.state.steps, 0])
    trained = fastmlp.train(X, y, epochs=1, init=network, l2=0.01, **options)
    steps = Steps(network, moments, counters)
    loss = steps.over(X, network.targets(y, rows), np.ones(1), Rule(method_of(optimizer), 0.05, 0.9, 0.01), batch_size)
    # Plain descent by single rows has a kernel of its own in training, which rounds in another way; so do units as lanes, for more
    # than a few rows.
    rounded = (batch_size, optimizer) == (1, "sgd") or rows == 20
    np.testing.assert_allclose(network.theta, trained.theta, rtol=1e-12 * rounded * hidden, atol=1e-12 * rounded)
    np.testing.assert_allclose(loss, trained.history.loss[0], rtol=1e-12)


def test_rows_come_in_the_order_that_is_given():
    X, y = toy(rows=40)
    order = np.random.default_rng(0).permutation(40).astype(np.int32)
    thetas = []
    for rows, given in ((X, order), (X[order], None)):
        network = fastmlp.train(X, y, hidden=4, epochs=1, seed=0)
        targets = network.targets(y, 40) if given is not None else network.targets(y, 40)[order]
        steps = Steps(network, np.zeros((2, network.theta.size)), np.zeros(2, np.int64))
        steps.over(rows, targets, np.ones(1), Rule(method_of("adam"), 0.01, 0.0, 0.0), 8, given)
        thetas.append(network.theta.copy())
    np.testing.assert_array_equal(*thetas)


def test_what_is_written_back_only_when_asked_for_has_the_same_bits():
    X, y = toy(rows=60)
    first = fastmlp.train(X, y, hidden=40, epochs=1, seed=0)
    thetas = []
    for write_back in (True, False):
        network = first.like(first.theta.copy())
        moments, counters = np.zeros((2, network.theta.size)), np.zeros(2, np.int64)
        steps, targets = Steps(network, moments, counters, write_back=write_back), network.targets(y, 60)
        for rows in (slice(0, 40), slice(0, 60), slice(0, 3), slice(20, 60)):  # three rows go another way
            steps.over(X[rows], targets[rows], np.ones(1), Rule(method_of("adam"), 0.01, 0.0, 0.0), 20)
        steps.write_back()
        assert steps.is_finite()
        network.theta *= 2  # by somebody else, who is heard
        steps.over(X, targets, np.ones(1), Rule(method_of("adam"), 0.01, 0.0, 0.0), 20)
        steps.write_back()
        thetas += [network.theta.copy(), moments.copy()]
    np.testing.assert_array_equal(thetas[0], thetas[2])
    np.testing.assert_array_equal(thetas[1], thetas[3])
