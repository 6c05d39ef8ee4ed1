"""Random networks, data and options of trainings, as a user may give them; and numbers as nobody should."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.reference import Network

HIDDEN = ("relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "softplus", "tanh", "sigmoid", "identity")
WITH_KINKS = {"relu", "leaky_relu", "absolute_error"}  # whose slope is another one a rounding error away
OF_NUMBERS = ("squared_error", "absolute_error", "huber")
LOSSES = {
    "identity": OF_NUMBERS,
    "softplus": (*OF_NUMBERS, "poisson"),
    "exp": (*OF_NUMBERS, "poisson"),
    "sigmoid": ("cross_entropy", "cross_entropy_bits", *OF_NUMBERS),
    "softmax": ("cross_entropy", "cross_entropy_bits", *OF_NUMBERS),
}
OPTIMIZERS = {"sgd": 0.05, "momentum": 0.02, "nesterov": 0.02, "rmsprop": 0.01, "adam": 0.01, "adamw": 0.01, "nadam": 0.01}
ADAPTIVE = {"rmsprop", "adam", "adamw", "nadam"}  # whose steps are as long as the rate, however small the gradient is
ROWS = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 129, 257)
STEPS = 70  # of a training, at most: the reference is slow
WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 70)
LABELS = (lambda k: np.arange(k), lambda k: np.arange(k) * 7 - 3, lambda k: np.array([f"class {i}" for i in range(k)]))
ODD = (
    10**400, -(10**400), 2**64, 2**53 + 1, -1, 0, 0.5, 1e308, 5e-324, np.nan, np.inf, -np.inf, True, None, "x", "", b"1", 1j, ...,
    (), [], [1], [None], {}, range(10**30), np.float16(3), np.uint8(255), np.array(2), np.array([0.5]), np.array([[1]]), object(),
)  # fmt: skip


class Problem(NamedTuple):
    """A network, its first parameters, and rows to learn."""

    network: Network
    theta: np.ndarray
    X: np.ndarray
    targets: np.ndarray
    """(N, K), as the reference takes them."""
    y: np.ndarray
    """As a user gives them."""
    classes: np.ndarray | None
    weights: np.ndarray | None
    """(N,), of mean 1."""

    def in_float64(self) -> "Problem":
        """The same numbers, as exactly as the reference computes with them."""
        weights = None if self.weights is None else self.weights.astype(np.float64)
        return self._replace(
            theta=self.theta.astype(np.float64),
            X=self.X.astype(np.float64),
            targets=self.targets.astype(np.float64),
            weights=weights,
        )


def pick(rng: np.random.Generator, values: Any) -> Any:
    """One of them."""
    values = tuple(values)
    return values[int(rng.integers(len(values)))]


def network(rng: np.random.Generator) -> tuple[Network, bool]:
    """A network, and whether it is a classifier."""
    output = pick(rng, LOSSES)
    classifier = output in ("sigmoid", "softmax") and rng.random() < 0.7
    widest = 4 if rng.random() < 0.9 else len(WIDTHS)
    outputs = 1 if classifier and output == "sigmoid" else int(rng.integers(2 if output == "softmax" else 1, 6))
    hidden = tuple(int(pick(rng, WIDTHS[: 2 * widest])) for _ in range(pick(rng, (0, 1, 1, 1, 2, 2, 3, 5))))
    sizes = (int(pick(rng, WIDTHS[: 2 * widest])), *hidden, outputs)
    activations = tuple(pick(rng, HIDDEN) for _ in hidden)
    delta = float(rng.choice([1.0, 0.1, 3.0]))
    return Network(sizes, activations, output, pick(rng, LOSSES[output]), rng.random() < 0.8, delta), classifier


def problem(rng: np.random.Generator, dtype: Any) -> Problem:
    """A network with rows to learn."""
    made, classifier = network(rng)
    rows, outputs = pick(rng, ROWS), made.sizes[-1]
    parameters = sum((n_in + made.bias) * n_out for n_in, n_out in zip(made.sizes[:-1], made.sizes[1:], strict=True))
    theta = (rng.normal(size=parameters) * rng.choice([0.1, 0.5, 1.0])).astype(dtype)
    X = rng.normal(size=(rows, made.sizes[0])) * rng.choice([1.0, 1.0, 0.01, 3.0])
    if rng.random() < 0.1:
        X[:, 0] = 1.0
    classes = None
    if classifier:
        count = max(2, outputs)
        numbers = rng.integers(count, size=rows)
        classes = pick(rng, LABELS)(count)
        y = classes[numbers]
        targets = numbers[:, None].astype(dtype) if outputs == 1 else np.eye(count, dtype=dtype)[numbers]
    else:
        targets = {
            "identity": rng.normal(size=(rows, outputs)), "sigmoid": rng.random((rows, outputs)),
            "softmax": rng.dirichlet(np.ones(outputs), rows),
        }.get(made.output, rng.poisson(2.0, (rows, outputs)).astype(float)).astype(dtype)  # fmt: skip
        y = targets[:, 0] if outputs == 1 and rng.random() < 0.5 else targets
    weights = None
    if rng.random() < 0.3:
        weights = rng.random(rows) * (rng.random(rows) < 0.8)
        weights = (weights / weights.mean()).astype(dtype) if weights.any() else None
    return Problem(made, theta, X.astype(dtype), targets, y, classes, weights)


def steps(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Options of a training that the reference knows, for so many rows."""
    batch_size = pick(rng, (1, 1, 2, 7, 16, 32, 33, 64, None, rows, rows + 1))
    batches = -(-rows // (batch_size or rows))
    if batches > STEPS:
        batch_size, batches = 32, -(-rows // 32)
    epochs = min(int(rng.integers(1, 5)), STEPS // batches)
    optimizer = pick(rng, OPTIMIZERS)
    rate = OPTIMIZERS[optimizer] * float(rng.choice([0.1, 1.0, 1.0]))
    return {
        "epochs": epochs,
        "optimizer": optimizer,
        "learning_rate": rate,
        "momentum": float(rng.choice([0.0, 0.5, 0.9])),
        "l2": float(rng.choice([0.0, 0.0, 0.01, 0.3])),
        "schedule": pick(rng, ("constant", "cosine", "linear", "exponential")),
        "warmup": float(rng.choice([0, 0, 0.5, 1, 1.5])) if epochs > 1 else 0.0,
        "batch_size": batch_size,
    }


def anything(rng: np.random.Generator) -> dict[str, Any]:
    """Options of a training of which the reference knows nothing."""
    some = {
        "shuffle": rng.random() < 0.7, "standardize": pick(rng, (None, False)), "bootstrap": rng.random() < 0.2,
        "validation": pick(rng, (None, 0.2, 0.5)), "init": pick(rng, ("glorot", "he", "normal", "uniform")),
        "data_seed": pick(rng, (None, 0, 2**64 - 1)), "target_loss": pick(rng, (None, None, 0.5)),
        "keep_state": rng.random() < 0.2, "hidden": pick(rng, ((), 1, 3, (5,), (4, 3), [6, 2, 2], np.uint8(9))),
        "activation": pick(rng, HIDDEN),
    }  # fmt: skip
    if some["validation"] is not None and rng.random() < 0.5:
        some["patience"] = int(rng.integers(1, 4))
    return some


def as_given(rng: np.random.Generator, X: np.ndarray) -> Any:
    """The same rows in another shape of memory, or as something else than an array."""
    return pick(rng, (X, X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[::-1].copy()[::-1], X.tolist()))
