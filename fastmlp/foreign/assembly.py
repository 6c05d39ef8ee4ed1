"""An MLP from the parts of another library's network, as they come: linear layers, activations, and scaling, which is folded in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels.activations import HIDDEN, OUTPUTS
from fastmlp.networks.architecture import default_loss
from fastmlp.networks.mlp import MLP


def kinds_of(value: Any) -> set[str]:
    """The names of its class and of those that this is derived from: what it is, without importing where they come from."""
    return {kind.__name__ for kind in type(value).__mro__}


class Assembly:
    """The layers so far. `where` names a part in messages."""

    def __init__(self) -> None:
        self._layers: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._activations: list[str] = []  # one for each layer, or one less, where that of the last is still to come
        self._scaling: tuple[NDArray[Any], NDArray[Any]] | None = None  # of what the next layer takes
        self._biased = False
        self._single = True

    def linear(self, where: str, weights: ArrayLike, biases: ArrayLike | None) -> None:
        """a @ weights + biases, with weights (n_in, n_out)."""
        given = arrays.matrix(f"the weights of {where}", weights)
        added = np.zeros(given.shape[1]) if biases is None else arrays.finite(f"the biases of {where}", np.asarray(biases))
        units = self._layers[-1][0].shape[1] if self._layers else given.shape[0]
        if added.shape != given.shape[1:] or given.shape[0] != units:
            raise ValueError(f"{where} does not fit what is before it: its weights are {given.shape}, its biases {added.shape}")
        self._single &= given.dtype == np.float32 and (biases is None or added.dtype == np.float32)
        self._biased |= biases is not None
        if len(self._activations) < len(self._layers):
            self._activations.append("identity")
        matrix, vector = given.astype(np.float64), added.astype(np.float64)
        if self._scaling is not None:
            (scale, shift), self._scaling = self._scaling, None
            if scale.shape != (len(matrix),):
                raise ValueError(f"{where} does not fit what is before it: {len(scale)} numbers are scaled, {len(matrix)} taken")
            matrix, vector = scale[:, None] * matrix, vector + shift @ matrix
        self._layers.append((matrix, vector))

    def scaled(self, where: str, scale: ArrayLike, shift: ArrayLike) -> None:
        """a * scale + shift."""
        factor, added = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
        self._biased |= bool(added.any())
        if len(self._activations) < len(self._layers):
            matrix, vector = self._layers[-1]
            if factor.shape != vector.shape:
                raise ValueError(f"{where} does not fit what is before it: it is for {len(factor)} numbers of {len(vector)}")
            self._layers[-1] = matrix * factor, vector * factor + added
        elif self._scaling is None:
            self._scaling = factor, added
        else:
            before, moved = self._scaling
            self._scaling = before * factor, moved * factor + added

    def activation(self, where: str, name: str) -> None:
        if len(self._activations) == len(self._layers):
            raise ValueError(f"{where} does not follow a linear layer, as activations of an MLP do")
        self._activations.append(name)

    def network(self, what: str, classes: ArrayLike | None = None, feature_names: Any = None) -> MLP:
        """The whole. Classes come in the order of the outputs; a last layer without activation then is one of logits."""
        if not self._layers:
            raise ValueError(f"{what} has no linear layer")
        if self._scaling is not None:
            raise ValueError(f"{what} ends in a scaling that no linear layer follows")
        known = None if classes is None else np.asarray(classes)
        names: Any = [*self._activations, "identity"][: len(self._layers)]
        hidden, output = names[:-1], names[-1]
        units = self._layers[-1][0].shape[1]
        if known is not None and output == "identity":
            output = "sigmoid" if units == 1 else "softmax"
        if output not in OUTPUTS or not set(hidden) <= set(HIDDEN):
            wrong = output if output not in OUTPUTS else next(name for name in hidden if name not in HIDDEN)
            place = "outputs" if output not in OUTPUTS else "hidden layers"
            raise ValueError(f"{what} has {wrong} as activation of its {place}, which an MLP has not there")
        if known is not None:
            if known.ndim != 1 or len(known) != max(2, units) or len(set(known.tolist())) != len(known):
                raise ValueError(
                    f"classes must be {max(2, units)} different labels, one for each output; got {checks.shown(known.tolist())}"
                )
            known = np.array(known.tolist()) if known.dtype.kind == "O" else known
            self._sort(known.argsort(), units)
            known = labels.ascending_classes(np.sort(known))
        dtype = np.float32 if self._single else np.float64
        parts = [part for layer in self._layers for part in (layer if self._biased else layer[:1])]
        return MLP(
            (self._layers[0][0].shape[0], *(vector.size for _, vector in self._layers)),
            arrays.finite("theta", np.concatenate([part.ravel() for part in parts]).astype(dtype)),
            activations=hidden,
            output=output,
            loss_name=default_loss(output),
            bias=self._biased,
            classes=known,
            feature_names=feature_names,
        )

    def _sort(self, order: NDArray[np.intp], units: int) -> None:
        """Brings the outputs into the order of sorted classes; of one unit, the probability of the other class is that of -z."""
        matrix, vector = self._layers[-1]
        if units > 1:
            self._layers[-1] = matrix[:, order], vector[order]
        elif order[0]:
            self._layers[-1] = -matrix, -vector
