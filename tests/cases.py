"""What the tests share: networks with their data, derivatives by two independent ways, and errors counted in ulps."""

from contextlib import contextmanager
from decimal import Decimal, localcontext
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import erf

from benchmarks.reference import Network
from fastmlp.kernels import activations, losses, optimizers
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.networks.mlp import MLP

HIDDEN_ACTIVATIONS = activations.HIDDEN
OUTPUT_LOSSES = tuple((output, row.name) for row in losses.TABLE for output in row.outputs)
# Each activation with outputs of each kind, and each output with each of its losses.
SOME_PAIRS = (("softmax", "cross_entropy"), ("identity", "squared_error"))
COMBINATIONS = tuple(
    {
        **{(name, *pair): None for name in HIDDEN_ACTIVATIONS for pair in SOME_PAIRS},
        **{("tanh", *pair): None for pair in OUTPUT_LOSSES},
    }
)
EVERY_NETWORK = [
    (activation, output, loss, dtype)
    for activation, output, loss in COMBINATIONS
    for dtype in (np.float32, np.float64)
    # Not in float32 what has another slope where a number has another sign, as a sum there may have.
    if dtype is np.float64 or (activation not in ("relu", "leaky_relu") and loss != "absolute_error")
]
DEPTHS = ((), (5,), (4, 3), (3, 6, 2))
RATES = {row.name: 0.01 if row.adaptive else 0.1 if row.moments == 0 else 0.02 for row in optimizers.TABLE if row.function}


def network_of(activation, output, loss, hidden, *, inputs=3, outputs=3, bias=True):
    return Network((inputs, *hidden, outputs), (activation,) * len(hidden), output, loss, bias)


def slow(network, rate):
    """The rate, or a hundredth of it where the gradient grows with the exponential of the logits."""
    return 0.01 * rate if network.output == "exp" else rate


def without_bias(network):
    return Network(network.sizes, network.activations, network.output, network.loss, bias=False)


BINARY = network_of("sigmoid", "sigmoid", "cross_entropy", (5,), outputs=1)
SOFTMAX = network_of("tanh", "softmax", "cross_entropy_bits", (6, 5))
REGRESSOR = network_of("relu", "identity", "squared_error", (4,), outputs=2)


def parameter_count(network):
    return sum((n_in + network.bias) * n_out for n_in, n_out in zip(network.sizes[:-1], network.sizes[1:], strict=True))


def problem(network, rows, dtype=np.float64, seed=0):
    """theta, X and targets for a network: labels one-hot for softmax, any values for the others."""
    rng = np.random.default_rng(seed)
    inputs, outputs = network.sizes[0], network.sizes[-1]
    theta = 0.5 * rng.normal(size=parameter_count(network))
    X = rng.normal(size=(rows, inputs))
    if network.output == "softmax":
        targets = np.eye(outputs)[np.arange(rows) % outputs]
    elif network.output == "sigmoid":
        targets = rng.integers(0, 2, size=(rows, outputs))
    elif network.loss == "poisson":
        targets = rng.poisson(2, size=(rows, outputs))
    else:
        targets = rng.normal(size=(rows, outputs))
    return theta.astype(dtype), X.astype(dtype), targets.astype(dtype)


def labels_of(network, targets):
    """y as a caller would give it, and the classes in it."""
    if OUTPUTS[network.output] == "numbers" or (network.output == "sigmoid" and network.sizes[-1] > 1):
        return targets, None
    y = targets.argmax(axis=1) if network.output == "softmax" else targets[:, 0].astype(int)
    return y, np.arange(max(2, network.sizes[-1]))


def toy(rows=60, seed=0):
    """Two clouds that a network separates well, not perfectly; floats (rows, 3) and classes 0 and 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    return rng.normal(size=(rows, 3)) + 2 * y[:, None], y


def r2(model, X, y):
    """The share of the variance of each output that is explained, the smallest."""
    wrong = np.square(y - model.predict(X)).sum(axis=0)
    return float(np.min(1 - wrong / np.square(y - np.mean(y, axis=0)).sum(axis=0)))


def mlp(network, theta, classes=None):
    """The network as a fastmlp.MLP with a theta of its own."""
    return MLP(
        network.sizes,
        theta.copy(),
        activations=network.activations,
        output=network.output,
        loss_name=network.loss,
        huber_delta=network.huber_delta,
        bias=network.bias,
        classes=classes,
    )


class Differences(NamedTuple):
    values: np.ndarray
    tolerance: float


def central_differences(f, theta):
    """Gradient of f by (f(t + h) - f(t - h)) / 2h. The error is f''' h^2 / 6 of truncation and eps |f| / h of rounding.

    With h = eps^(1/3) both are eps^(2/3), times f''' / 6 and |f|: numbers that stay below 100 for the networks here.
    """
    eps = np.finfo(float).eps
    h = eps ** (1 / 3)
    values = np.array([(f(theta + h * e) - f(theta - h * e)) / (2 * h) for e in np.eye(theta.size)])
    return Differences(values, 100 * eps ** (2 / 3))


def autograd_outputs(network):
    """The outputs (N, K) as a function of theta and X for autograd to differentiate; from the formulas, not from the oracle."""
    functions = {
        "elu": lambda z: anp.where(z > 0, z, anp.exp(anp.minimum(z, 0)) - 1),
        "exp": anp.exp,
        "gelu": lambda z: z * (1 + erf(z / anp.sqrt(2))) / 2,
        "gelu_tanh": lambda z: z * (1 + anp.tanh(anp.sqrt(2 / anp.pi) * (z + 0.044715 * z**3))) / 2,
        "identity": lambda z: z,
        "leaky_relu": lambda z: anp.where(z > 0, z, 0.01 * z),
        "relu": lambda z: anp.maximum(z, 0.0),
        "sigmoid": lambda z: 0.5 * (1 + anp.tanh(z / 2)),
        "silu": lambda z: z * 0.5 * (1 + anp.tanh(z / 2)),
        "softmax": lambda z: anp.exp(z) / anp.sum(anp.exp(z), axis=1, keepdims=True),
        "softplus": lambda z: anp.log(1 + anp.exp(z)),
        "tanh": anp.tanh,
    }

    def of(theta, X):
        a, at = X, 0
        for n_in, n_out, name in zip(network.sizes[:-1], network.sizes[1:], (*network.activations, network.output), strict=True):
            z = anp.dot(a, anp.reshape(theta[at : at + n_in * n_out], (n_in, n_out)))
            at += n_in * n_out
            if network.bias:
                z = z + theta[at : at + n_out]
                at += n_out
            a = functions[name](z)
        return a

    return of


def autograd_loss(network, X, targets, weights=1.0):
    """The loss as a function of theta for autograd to differentiate."""
    outputs = autograd_outputs(network)
    by_output = {
        "absolute_error": lambda y, t: anp.abs(y - t),
        "huber": lambda y, t: anp.where(anp.abs(y - t) < 1, 0.5 * (y - t) ** 2, anp.abs(y - t) - 0.5),
        "poisson": lambda y, t: y - t * anp.log(y),
        "squared_error": lambda y, t: 0.5 * (y - t) ** 2,
    }

    def of(theta):
        a = outputs(theta, X)
        if network.loss in by_output:
            each = by_output[network.loss](a, targets)
        else:
            each = -targets * anp.log(a)
            if network.output == "sigmoid":
                each = each - (1 - targets) * anp.log(1 - a)
            if network.loss == "cross_entropy_bits":
                each = each / anp.log(2.0)
        return anp.sum(weights * anp.sum(each, axis=1)) / len(X)

    return of


def ulps(computed, exact):
    """|computed - exact| in units of the last place of exact, both sequences; exact as Decimals of many digits."""
    with localcontext(prec=60):
        unit = np.spacing(np.abs(np.array([float(e) for e in exact])).astype(computed.dtype))
        pairs = zip(computed.tolist(), exact, unit.tolist(), strict=True)
        return np.array([float(abs(Decimal(c) - e) / Decimal(u)) for c, e, u in pairs])


@contextmanager
def one_sentence(fragments, kind=ValueError):
    """An error is raised, and its message is one line for a reader, with these fragments in it."""
    with pytest.raises(kind) as error:
        yield
    message = str(error.value)
    assert "\n" not in message and "np." not in message
    for fragment in fragments:
        assert fragment in message, f"{fragment!r} is missing in: {message}"
