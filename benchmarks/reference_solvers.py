"""The oracle of the solvers, in plain NumPy like reference.py: L-BFGS, and the method of Levenberg and Marquardt."""

import numpy as np

from benchmarks import reference


def l2_penalty(network, theta, l2):
    return l2 / 2 * sum((w**2).sum() for w, _ in network.unpack(theta))


def output_jacobian(network, theta, X):
    """(N, K, P): the derivative of each output by each parameter, of one sample after the other."""
    a, z = reference.forward(network, theta, X)
    layers, rows = network.unpack(theta), []
    for n in range(len(X)):
        for k in range(network.sizes[-1]):
            unit = np.eye(network.sizes[-1])[k]
            if network.output == "softmax":
                dz = a[-1][n, k] * (unit - a[-1][n])
            else:
                dz = unit * reference.ACTIVATIONS[network.output][1](z[-1][n])
            parts = [(np.outer(a[-2][n], dz), dz)]
            for layer in range(len(layers) - 1, 0, -1):
                dz = (layers[layer][0] @ dz) * reference.ACTIVATIONS[network.activations[layer - 1]][1](z[layer - 1][n])
                parts.append((np.outer(a[layer - 1][n], dz), dz))
            rows.append(network.pack(parts[::-1]))
    return np.array(rows).reshape(len(X), network.sizes[-1], -1)


def levenberg_marquardt(network, theta, X, targets, iterations, l2=0.0, weights=None):
    """Madsen, Nielsen and Tingleff (2004), algorithm 3.16, of the mean of half the squared errors; an iteration ends with a step
    that gains something. Returns theta and the mean loss that each came to."""
    n, history = len(X), []
    weights = np.ones(n) if weights is None else weights
    weighted = np.repeat(np.sqrt(weights), targets.shape[1])

    def mean_loss(theta):
        return reference.loss(network, theta, X, targets, weights)

    damping, growth = None, 2.0
    penalized = reference.l2_gradient(network, np.ones_like(theta), l2)  # l2 at the weights
    for _ in range(iterations):
        J = weighted[:, None] * output_jacobian(network, theta, X).reshape(-1, theta.size)
        r = weighted * (reference.predict(network, theta, X) - targets).ravel()
        curvature = J.T @ J / n + np.diag(penalized)
        gradient = J.T @ r / n + penalized * theta
        if damping is None:
            damping = 1e-3 * (J * J).sum(axis=0).max() / n
        while True:
            h = np.linalg.solve(curvature + damping * np.eye(theta.size), -gradient)
            before = mean_loss(theta) + l2_penalty(network, theta, l2)
            after = mean_loss(theta + h) + l2_penalty(network, theta + h, l2)
            gain = (before - after) / (h @ (damping * h - gradient) / 2)
            if gain > 0:
                break
            damping *= growth
            growth *= 2
        theta = theta + h
        damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
        growth = 2.0
        history.append(mean_loss(theta))
    return theta, np.array(history)


def lbfgs(network, theta, X, targets, iterations, l2=0.0, weights=None, memory=10):
    """Nocedal and Wright (2006), algorithm 7.5, with a line search by their algorithms 3.5 and 3.6. Returns theta and the mean loss
    that each iteration came to."""

    def penalized(theta):
        loss = reference.loss(network, theta, X, targets, weights) + l2_penalty(network, theta, l2)
        return loss, reference.backward(network, theta, X, targets, weights) + reference.l2_gradient(network, theta, l2)

    loss, g = penalized(theta)
    pairs, history = [], []
    for _ in range(iterations):
        d, factors = -g, []
        for s, y in reversed(pairs):
            factors.append((s @ d) / (s @ y))
            d = d - factors[-1] * y
        if pairs:
            s, y = pairs[-1]
            d = d * (s @ y) / (y @ y)
        for (s, y), factor in zip(pairs, reversed(factors), strict=True):
            d = d + (factor - (y @ d) / (s @ y)) * s
        first = 1.0 if pairs else 1 / np.linalg.norm(g)  # a step of length one
        length, loss, g_new = line_search(lambda length, d=d, at=theta: penalized(at + length * d), d, loss, g @ d, first)
        pairs = [*pairs, (length * d, g_new - g)][-memory:]
        theta, g = theta + length * d, g_new
        history.append(reference.loss(network, theta, X, targets, weights))
    return theta, np.array(history)


def line_search(f, d, loss, slope, length, enough=1e-4, flat=0.9, further=4.0, least=0.1, close=0.1):
    """A length that fulfils the strong conditions of Wolfe, or nearly does; with the loss and the gradient there."""
    low, high = (0.0, loss, slope), None
    while True:
        value, gradient = f(length)
        here = (length, value, gradient @ d)
        too_high = value > loss + enough * length * slope or (value >= low[1] and (high or low[0] > 0))
        if not too_high and abs(here[2]) <= -flat * slope:
            return length, value, gradient
        if too_high:
            high = here
        elif high is None and here[2] < 0:
            low, length = here, further * length
            continue
        else:
            if high is None or here[2] * (high[0] - low[0]) >= 0:
                high = low
            low = here
        width = abs(high[0] - low[0])
        if low[0] > 0 and width <= close * max(low[0], high[0]):
            value, gradient = f(low[0])
            return low[0], value, gradient
        length = np.clip(cubic_minimum(low, high), min(low[0], high[0]) + least * width, max(low[0], high[0]) - least * width)


def cubic_minimum(one, other):
    """Nocedal and Wright (2006), (3.59)."""
    (a, f, slope_a), (b, g, slope_b) = one, other
    d1 = slope_a + slope_b - 3 * (f - g) / (a - b)
    d2 = np.sign(b - a) * np.sqrt(d1**2 - slope_a * slope_b)
    return b - (b - a) * (slope_b + d2 - d1) / (slope_b - slope_a + 2 * d2)
