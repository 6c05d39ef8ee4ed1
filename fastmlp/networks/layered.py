"""What the kernels stand on: the layers of a network, which stay as they are, and its parameters, which are one vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels.layers import Network
from fastmlp.kernels.losses import CODES, LOSSES
from fastmlp.literals import Activation, Loss, Output
from fastmlp.networks.architecture import activation_of_each, check_architecture, named_features, parameter_count, sizes_of_layers
from fastmlp.networks.copied import Copied
from fastmlp.networks.layout import layer_table


class Layered(Copied):
    """Layers and their parameters: the part of an `MLP` that kernels read, and whose attributes it describes."""

    FIXED = (
        "layer_sizes", "activations", "output", "loss_name", "huber_delta", "bias", "classes", "feature_names", "layers", "network",
    )  # fmt: skip

    def __init__(
        self,
        layer_sizes: Sequence[int],
        theta: ArrayLike,
        activations: Sequence[Activation],
        output: Output,
        loss_name: Loss,
        huber_delta: float,
        bias: bool,
        classes: ArrayLike | None,
        feature_names: Sequence[str] | None,
    ) -> None:
        super().__init__()
        self.layer_sizes = sizes_of_layers(layer_sizes)
        self.activations = activation_of_each(activations, len(self.layer_sizes) - 2)
        self.output = output
        self.loss_name = loss_name
        self.huber_delta = checks.positive_number("huber_delta", huber_delta)
        self.bias = bool(checks.yes_or_no("bias", bias))
        self.classes = None if classes is None else labels.ascending_classes(classes)
        check_architecture(self.layer_sizes, output, loss_name, self.classes)
        self.feature_names = named_features(feature_names, self.layer_sizes[0])
        dtype = arrays.floating_dtype(arrays.numbers("theta", theta))
        self._theta = arrays.parameters("theta", theta, dtype, parameter_count(self.layer_sizes, self.bias))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # arrays of a pickle may be read-only, or those of a file
        count = parameter_count(self.layer_sizes, self.bias)
        self._theta = arrays.parameters("theta", self._theta, self._theta.dtype, count)

    def like(self, theta: NDArray[Any]) -> Self:
        """A network like it, of other parameters, and without a past."""
        other = type(self).__new__(type(self))
        other.__setstate__({**self.__getstate__(), "_theta": theta, "history": None, "made_with": {}, "state": None})
        return other

    @property
    def theta(self) -> NDArray[Any]:
        return self._theta[:]  # whose shape and type may be set without ours

    @theta.setter
    def theta(self, value: ArrayLike) -> None:
        own = self._theta
        given = arrays.finite("theta", arrays.parameters("theta", value, own.dtype, own.size))
        with self._updating:
            own[:] = given

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._theta.dtype

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        return tuple(self._theta[at : at + n_in * n_out].reshape(n_in, n_out) for n_in, n_out, _, at, _ in self.layers.tolist())

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        return tuple(
            self._theta[at + n_in * n_out : at + (n_in + 1) * n_out]
            for n_in, n_out, _, at, biased in self.layers.tolist()
            if biased
        )

    @cached_property
    def layers(self) -> NDArray[np.int64]:
        """The layers as the kernels read them: see kernels/layers.py."""
        return layer_table(self.layer_sizes, self.activations, self.output, self.bias)

    @cached_property
    def network(self) -> Network:
        """The network as the kernels read it."""
        row = LOSSES[self.loss_name]
        return Network(self.layers, CODES[row.name], row.scale, 1.0 if row.parameter is None else getattr(self, row.parameter))
