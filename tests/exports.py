"""What the tests of formats share: networks of every activation and output, and what is to come out."""

import numpy as np
from cases import COMBINATIONS, labels_of, mlp, network_of, problem

PAIRS = tuple(dict.fromkeys((activation, output) for activation, output, _ in COMBINATIONS))
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}  # of each output, or of 1
NAMED = ["circle", 'a "quote"', "back\\slash", "??/", "ü\udcff\nx", "%d"]


def outputs_of(model, X):
    out = model.predict(X) if getattr(model, "classes", None) is None else model.predict_proba(X)
    return out.reshape(len(X), -1)


def case(activation, output, dtype, hidden=(5, 4)):
    """A network, and rows for it, some of which saturate its units."""
    loss = {"softmax": "cross_entropy", "sigmoid": "cross_entropy", "softplus": "squared_error", "exp": "poisson"}.get(
        output, "squared_error"
    )
    described = network_of(activation, output, loss, hidden, outputs=1 if output == "sigmoid" else 6)
    theta, X, targets = problem(described, 40, dtype)
    X[::4] *= (
        1000
        if output != "exp" and activation not in ("elu", "relu", "leaky_relu", "identity", "softplus", "gelu", "silu", "gelu_tanh")
        else 1
    )
    return mlp(described, theta, labels_of(described, targets)[1]), X


def assert_close(came, expected, dtype):
    assert (np.abs(came - expected) <= TOLERANCE[dtype] * np.maximum(1, np.abs(expected))).all(), np.abs(came - expected).max()
