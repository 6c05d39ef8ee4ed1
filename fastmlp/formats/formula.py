"""Formula: what a model computes, as layers of numbers. It is what formats are written from, and knows no class of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIED = 4  # rows of a test vector


class DenseLayer(NamedTuple):
    """activation(a @ weights + biases) of the outputs a of the layer before."""

    weights: NDArray[Any]  # (n_in, n_out)
    biases: NDArray[Any] | None  # (n_out,)
    activation: str


class Formula(NamedTuple):
    """Networks for the same inputs, and what is made of their outputs.

    Of a classifier that is probabilities in the order of its classes: one sigmoid unit p counts as the two numbers 1 - p and p. The
    largest of them decides, the first of equal ones.
    """

    networks: tuple[tuple[DenseLayer, ...], ...]
    combined: Literal["mean", "columns"]  # the mean of what they say; or of each its one output, beside one another
    classes: NDArray[Any] | None
    text: str  # what it is, in a line
    outputs: Callable[[NDArray[Any]], NDArray[Any]]  # (N, D) -> (N, K), as the model itself says

    @property
    def n_in(self) -> int:
        return self.networks[0][0].weights.shape[0]

    @property
    def n_out(self) -> int:
        """K: classes, or outputs."""
        units = self.networks[0][-1].weights.shape[1] if self.combined == "mean" else len(self.networks)
        return units if self.classes is None else len(self.classes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.networks[0][0].weights.dtype

    @property
    def has_rest(self) -> bool:
        """Whether one unit p of each network becomes the two numbers 1 - p and p."""
        return self.combined == "mean" and self.n_out != self.networks[0][-1].weights.shape[1]

    @property
    def labels(self) -> list[str]:
        """The names of the classes."""
        names = [] if self.classes is None else self.classes.tolist()
        return [name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names]

    def test_rows(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows of inputs, and what the model says of them.

        They are the smallest that the units of the first layer of the first network see as numbers of about 1, whatever the scale
        of the inputs is: so that what is compared are no units that have long saturated.
        """
        weights, biases, _ = self.networks[0][0]
        wished = np.random.default_rng(0).normal(size=(TRIED, weights.shape[1])) - (0 if biases is None else biases)
        with np.errstate(all="ignore"):
            rows = (wished @ np.linalg.pinv(weights.astype(np.float64))).astype(self.dtype)
            if not np.isfinite(rows).all():
                rows = np.zeros_like(rows)
        return rows, np.asarray(self.outputs(rows), self.dtype).reshape(TRIED, self.n_out)
