"""Solvers beside others, each from the same first weights to the same loss: sooner by so many times.

A rival's name tells the bar: the least ratio that fastmlp is to reach.
"""

from contextlib import suppress
from functools import partial
from itertools import count

import numpy as np
import pytest

import fastmlp
from benchmarks import reference
from benchmarks.work import CORES, Side, mlp, on_torch_threads, peer

LEVENBERG_MARQUARDT = {"optimizer": "levenberg-marquardt", "l2": 0.0, "standardize": False, "tolerance": 1e-30, "epochs": 1000}
HIDDEN = 20


def sine(short):
    """sin(10 x) / (10 x) at 20,000 points, a 1-20-1 network with tanh units, and its first weights of four seeds."""
    x = np.linspace(-1, 1, 200 if short else 20_000).reshape(-1, 1)
    network = reference.Network((1, HIDDEN, 1), ("tanh",), "identity", "squared_error")
    return network, x, np.sinc(10 * x[:, 0] / np.pi), [first_theta(network, seed) for seed in range(4)]


def first_theta(network, seed):
    """As train draws it with that seed."""
    rng = np.random.default_rng(seed)
    parts = [(rng.uniform(-1, 1, w.shape) * np.sqrt(6 / sum(w.shape)), 0 * b) for w, b in network.unpack(np.zeros(size(network)))]
    return network.pack(parts)


def size(network):
    return sum((a + 1) * b for a, b in zip(network.sizes[:-1], network.sizes[1:], strict=True))


def by_numpy(x, y, theta, target):
    """Levenberg and Marquardt for one layer of tanh units and one output, as one writes it: the Jacobian by broadcasting, the
    normal equations, numpy.linalg.solve; until the mean of half the squared errors is at most the target."""
    n, inputs = x.shape
    hidden = (theta.size - 1) // (inputs + 2)
    edges = np.cumsum([inputs * hidden, hidden, hidden])

    def residuals(theta):
        w, b, v, c = np.split(theta, edges)
        a = np.tanh(x @ w.reshape(inputs, hidden) + b)
        return a, v, a @ v + c - y

    jacobian = np.empty((n, theta.size))
    damping, growth = 0.0, 2.0
    a, v, r = residuals(theta)
    loss = r @ r / 2 / n
    while loss > target:
        slopes = (1 - a * a) * v
        jacobian[:, : edges[0]] = (x[:, :, None] * slopes[:, None]).reshape(n, -1)
        jacobian[:, edges[0] : edges[1]] = slopes
        jacobian[:, edges[1] : edges[2]] = a
        jacobian[:, edges[2] :] = 1
        curvature, gradient = jacobian.T @ jacobian / n, jacobian.T @ r / n
        damping = damping or 1e-3 * curvature.diagonal().max()
        gain = -1.0
        while not gain > 0:
            step = np.linalg.solve(curvature + damping * np.eye(theta.size), -gradient)
            a, v, r = residuals(theta + step)
            after = r @ r / 2 / n
            gain = (loss - after) / (step @ (damping * step - gradient) / 2)
            if not gain > 0:
                damping, growth = damping * growth, 2 * growth
        theta, loss = theta + step, after
        damping, growth = damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
    return loss


def ours(network, x, y, theta, target, **options):
    model = fastmlp.train(x, y, init=mlp(network, theta), target_loss=target, task="regression", **LEVENBERG_MARQUARDT, **options)
    came_to(model.history.loss[-1], target)
    return model


def came_to(loss, target):
    if not loss <= target:
        raise ArithmeticError(f"it has come to {loss} only")


def best(function, thetas):
    """The function with those first weights of which it is done soonest, of those that come to the target."""
    sides, took = [Side(partial(function, theta)) for theta in thetas], []
    for side in sides:
        with suppress(ArithmeticError):
            side.function() if not took else None  # which may compile
            took.append((side.seconds(), len(took), side.function))
    return min(took)[-1]


@pytest.mark.parametrize("threads", sorted({1, CORES}))
def test_sine(versus, short, threads):
    network, x, y, thetas = sine(short)
    target = 1e-3 if short else 0.5e-7  # half the mean squared error

    def torch():
        train = peer("torch").levenberg_marquardt
        sides = on_torch_threads(Side(best(lambda theta: train(network, theta, x, y, target), thetas[:1] if short else thetas)))
        return [side for side in sides if f"threads: {threads}" in side.note]

    versus(
        f"1-20-1 to a mean squared error of 1e-7, threads: {threads}",
        Side(best(lambda theta: ours(network, x, y, theta, target, threads=threads), thetas)),
        {
            "NumPy, bar 5x": lambda: [Side(best(lambda theta: by_numpy(x, y, theta, target), thetas))],
            "torch-levenberg-marquardt, bar 20x": torch,
        },
        unit="training",
    )


def test_sine_by_adam(versus, short):
    """To the loss that Adam, with its cosine, has after a minute."""
    network, x, y, thetas = sine(short)
    init, options = mlp(network, thetas[0]), {"task": "regression", "l2": 0.0, "standardize": False}
    options |= {"learning_rate": 0.02, "schedule": "cosine", "epochs": 2 if short else 44_000, "seed": 0}
    target = fastmlp.train(x, y, init=init, **options).history.loss[-1]
    versus(
        "1-20-1 to the loss of Adam after a minute",
        Side(best(lambda theta: ours(network, x, y, theta, target), thetas)),
        {"our Adam with cosine, bar 100x": lambda: [Side(lambda: fastmlp.train(x, y, init=init, **options))]},
        unit="training",
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classifier(versus, short):
    """Tutorial B's network to a loss of 0.185 nats."""
    datasets, neural_network = pytest.importorskip("sklearn.datasets"), pytest.importorskip("sklearn.neural_network")
    optimize = pytest.importorskip("scipy.optimize")
    x, labels = datasets.make_classification(n_samples=10_000, n_features=3, n_informative=2, n_redundant=1, random_state=42)
    x, labels = (x[:200], labels[:200]) if short else (x[:8000], labels[:8000])
    network = reference.Network((3, 5, 1), ("sigmoid",), "sigmoid", "cross_entropy")
    target = 0.4 if short else 0.185
    thetas = [first_theta(network, seed) for seed in range(4)]

    def our(theta):
        options = {"optimizer": "lbfgs", "l2": 0.0, "standardize": False, "target_loss": target, "epochs": 3000}
        came_to(fastmlp.train(x, labels, init=mlp(network, theta), **options).history.loss[-1], target)

    def theirs():
        for iterations in count(10, 5):
            model = neural_network.MLPClassifier(
                (5,), "logistic", solver="lbfgs", alpha=0.0, max_iter=iterations, tol=1e-12, max_fun=10**6, random_state=0
            )
            if model.fit(x, labels).loss_ <= target:
                return [Side(partial(model.fit, x, labels))]
        raise AssertionError

    def by_scipy(theta):
        objective = fastmlp.Objective(mlp(network, theta), x, labels)

        def done(intermediate_result):
            if intermediate_result.fun <= target:
                raise StopIteration

        options = {"maxiter": 3000, "maxfun": 10**6, "ftol": 0.0, "gtol": 0.0}
        found = optimize.minimize(objective.value_and_gradient, theta, method="L-BFGS-B", jac=True, options=options, callback=done)
        came_to(found.fun, target)

    versus(
        "3-5-1, 8000 rows, to 0.185 nats",
        Side(best(our, thetas)),
        {
            "scikit-learn lbfgs, bar 10x": theirs,
            "SciPy L-BFGS-B with our Objective, bar 3x": lambda: [Side(best(by_scipy, thetas))],
        },
        unit="training",
    )


def regressor(short):
    """1000 noisy rows of four inputs, a 4-8-1 network, and first weights of eight seeds."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (100 if short else 1000, 4))
    y = np.sin(3 * x[:, 0]) * x[:, 1] + np.exp(x[:, 2]) * x[:, 3] + 0.1 * rng.normal(size=len(x))
    network = reference.Network((4, 8, 1), ("tanh",), "identity", "squared_error")
    return network, x, y, [first_theta(network, seed) for seed in range(8)]


def test_regressor(versus, short):
    """To one hundredth above the least loss that both find, from the first weights from which that is least."""
    optimize = pytest.importorskip("scipy.optimize")
    network, x, y, thetas = regressor(short)
    model = mlp(network, thetas[0].copy())

    def residuals(theta):
        model.theta = theta
        return model.predict(x) - y

    def jacobian(theta):
        model.theta = theta
        return model.parameter_jacobian(x)[:, 0]

    def theirs(theta, most):
        return optimize.least_squares(residuals, theta, jacobian, method="lm", max_nfev=most).cost / len(x)

    def least(theta):
        options = {"task": "regression", **LEVENBERG_MARQUARDT, "tolerance": 1e-9}
        return max(theirs(theta, 2000), fastmlp.train(x, y, init=mlp(network, theta), **options).history.loss[-1])

    found = [least(theta) for theta in thetas]
    target, theta = 1.01 * min(found), thetas[int(np.argmin(found))]
    enough = next(most for most in count(5, 5) if theirs(theta, most) <= target)
    versus(
        "4-8-1, 1000 rows, to 1 % above the least loss",
        Side(partial(ours, network, x, y, theta, target)),
        {'SciPy least_squares(method="lm") with our Jacobian, bar 5x': lambda: [Side(partial(theirs, theta, enough))]},
        unit="training",
    )


def test_many_regressors(versus, short):
    """200 networks at once, and one after the other."""
    _, x, y, _ = regressor(short)
    members = 4 if short else 200
    options = {"hidden": 8, "activation": "tanh", "task": "regression", "optimizer": "levenberg-marquardt", "l2": 0.0, "epochs": 50}

    def in_turn():
        for seed in range(members):
            fastmlp.train(x, y, seed=seed, **options)

    versus(
        f"4-8-1, 1000 rows, {members} networks by 50 iterations of Levenberg and Marquardt",
        Side(lambda: fastmlp.train_many(x, y, members=members, seed=0, **options), units=members),
        {"one after the other, bar 2x": lambda: [Side(in_turn, units=members)]},
        unit="network",
    )
