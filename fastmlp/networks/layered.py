"""What the kernels stand on: the layers of a network, which stay as they are, and its parameters, which are one vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels.custom_loss import CustomLoss
from fastmlp.kernels.layers import Network
from fastmlp.kernels.losses import CODES, LOSSES, LossRow, custom_row
from fastmlp.literals import Activation, Loss, LossFunction, Output
from fastmlp.networks.architecture import activation_of_each, check_architecture, named_features, parameter_count, sizes_of_layers
from fastmlp.networks.copied import Copied
from fastmlp.networks.layout import layer_table

FUNCTION_WORK = 2000  # parameters that a row goes through in a microsecond


class Layered(Copied):
    """Layers and their parameters: the part of an `MLP` that kernels read, and whose attributes it describes."""

    FIXED = frozenset((
        "layer_sizes", "activations", "output", "loss_name", "custom_loss", "huber_delta", "bias", "classes", "feature_names",
        "layers", "network",
    ))  # fmt: skip

    layer_sizes: tuple[int, ...]
    activations: tuple[Activation, ...]
    output: Output
    loss_name: Loss  # or that of a function
    custom_loss: CustomLoss | None = None  # whatever its name, that is none of ours
    huber_delta: float
    bias: bool
    classes: NDArray[Any] | None
    feature_names: tuple[str, ...] | None
    _theta: NDArray[Any]

    def __init__(
        self,
        layer_sizes: Sequence[int],
        theta: ArrayLike,
        activations: Sequence[Activation],
        output: Output,
        loss_name: Loss | LossFunction | CustomLoss,
        huber_delta: float,
        bias: bool,
        classes: ArrayLike | None,
        feature_names: Sequence[str] | None,
    ) -> None:
        super().__init__()
        sizes, biased = sizes_of_layers(layer_sizes), bool(checks.yes_or_no("bias", bias))
        known = None if classes is None else labels.ascending_classes(classes)
        names = activation_of_each(activations, len(sizes) - 2)
        loss = checks.loss("loss", loss_name)
        check_architecture(sizes, output, _row_of(loss), known)
        dtype = arrays.floating_dtype(arrays.numbers("theta", theta))
        vars(self).update(  # at once, as a training of a small network takes less than a millisecond
            layer_sizes=sizes,
            activations=names,
            output=output,
            loss_name=loss.name if isinstance(loss, CustomLoss) else loss,
            custom_loss=loss if isinstance(loss, CustomLoss) else None,
            huber_delta=checks.positive_number("huber_delta", huber_delta),
            bias=biased,
            classes=known,
            feature_names=named_features(feature_names, sizes[0]),
            _theta=arrays.parameters("theta", theta, dtype, parameter_count(sizes, biased)),
        )

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
        return tuple(self._theta[at : at + n_in * n_out].reshape(n_in, n_out) for n_in, n_out, _, at, *_ in self.layers.tolist())

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        return tuple(
            self._theta[at + n_in * n_out : at + (n_in + 1) * n_out]
            for n_in, n_out, _, at, biased, *_ in self.layers.tolist()
            if biased
        )

    @cached_property
    def layers(self) -> NDArray[np.int64]:
        """The layers as the kernels read them: see kernels/layers.py."""
        return layer_table(self.layer_sizes, self.activations, self.output, self.bias)

    @cached_property
    def network(self) -> Network:
        """The network as the kernels read it."""
        row = self.loss_row
        code = CODES[row.name] if self.custom_loss is None else checks.loss_address(self.custom_loss)
        return Network(self.layers, code, row.scale, 1.0 if row.parameter is None else getattr(self, row.parameter))

    @property
    def loss_row(self) -> LossRow:
        """What there is to know of its loss."""
        return _row_of(self.loss_given)

    @property
    def work_of_row(self) -> int:
        """What a row costs in training, counted in parameters: the function of a caller may well take a microsecond."""
        return self.theta.size + (FUNCTION_WORK * self.layer_sizes[-1] if self.custom_loss else 0)

    @property
    def loss_given(self) -> Loss | CustomLoss:
        """Its loss, for another network."""
        return self.custom_loss or self.loss_name

    @property
    def loss_function(self) -> LossFunction | None:
        return None if self.custom_loss is None else self.custom_loss.function

    @loss_function.setter
    def loss_function(self, value: LossFunction) -> None:
        if self.custom_loss is None or self.custom_loss.function is not None:
            raise AttributeError(
                "loss_function can be set only where a file has left it out; make another network, or train it with loss"
            )
        given = checks.loss("loss_function", value)
        if not isinstance(given, CustomLoss) or given.name != self.loss_name:
            raise ValueError(f"loss_function must be the function {self.loss_name!r}; got {checks.shown(value)}")
        vars(self)["custom_loss"] = given

    @cached_property
    def unscaled(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Shift and scale of inputs that are taken as they are: see kernels/tiles.py."""
        return np.zeros(self.layer_sizes[0], self.dtype), np.ones(self.layer_sizes[0], self.dtype)


def _row_of(loss: Loss | CustomLoss) -> LossRow:
    return custom_row(loss.name) if isinstance(loss, CustomLoss) else LOSSES[loss]
