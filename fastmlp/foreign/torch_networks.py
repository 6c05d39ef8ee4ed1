"""from_torch: an MLP from a torch.nn.Sequential of linear layers and activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.foreign.assembly import Assembly, kinds_of
from fastmlp.networks.mlp import MLP

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {  # of each module its name here, and the options that it must have
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "ReLU": ("relu", {}),
    "LeakyReLU": ("leaky_relu", {"negative_slope": 0.01}),
    "ELU": ("elu", {"alpha": 1.0}),
    "Softplus": ("softplus", {"beta": 1.0}),
    "SiLU": ("silu", {}),
    "Softmax": ("softmax", {"dim": (None, -1, 1)}),
    "LogSoftmax": ("softmax", {"dim": (None, -1, 1)}),
}
PASSED = {"Identity", "Dropout", "AlphaDropout", "Flatten"}  # which do nothing to rows once it is trained


def from_torch(module: Any, *, classes: ArrayLike | None = None) -> MLP:
    """A network that says what a module of PyTorch says in eval mode.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of Linear, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, Softplus, GELU and SiLU, with the options that PyTorch gives them; of
        BatchNorm1d, which is folded into a linear layer; of Dropout, Identity, Flatten, which are left out; and of Sequentials. Its
        parameters are on the CPU, of float32 or float64.
    classes : array, optional
        The labels in the order of the outputs, two for a single output. With them it is a classifier, whether it ends in Softmax,
        LogSoftmax or Sigmoid, or in the linear layer that gives the logits. Without them it is a regressor, whose outputs are those
        of the module, but for LogSoftmax, of which they are the probabilities.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or has a layer that an MLP has not; if its parameters are on a GPU, or not finite.
    """
    if "Module" not in kinds_of(module):
        raise TypeError(f"module must be a torch.nn.Sequential; got {type(module).__name__}")
    assembly = Assembly()
    for name, part in _parts("", module):
        _add(assembly, f"{type(part).__name__}{f' ({name})' * bool(name)}", part)
    return assembly.network(type(module).__name__, classes)


def _parts(name: str, module: Any) -> Iterator[tuple[str, Any]]:
    """The layers in their order, each with its name."""
    if "Sequential" in kinds_of(module):
        for inner, part in module.named_children():
            yield from _parts(f"{name}.{inner}".lstrip("."), part)
    else:
        yield name, module


def _add(assembly: Assembly, where: str, part: Any) -> None:
    kind = type(part).__name__
    if kind == "Linear":
        biases = None if part.bias is None else _array(where, part.bias)
        assembly.linear(where, _array(where, part.weight).T, biases)
    elif kind == "BatchNorm1d":
        if part.running_mean is None:
            raise ValueError(f"{where} keeps no running statistics, without which it cannot be folded into a layer")
        mean, variance = _array(where, part.running_mean), _array(where, part.running_var)
        scale = (1 if part.weight is None else _array(where, part.weight)) / np.sqrt(variance.astype(np.float64) + part.eps)
        assembly.scaled(where, scale, (0 if part.bias is None else _array(where, part.bias)) - mean * scale)
    elif kind == "GELU":
        assembly.activation(where, "gelu" if part.approximate == "none" else "gelu_tanh")
    elif kind in ACTIVATIONS:
        name, options = ACTIVATIONS[kind]
        for option, wanted in options.items():
            value = getattr(part, option)
            if value not in (wanted if isinstance(wanted, tuple) else (wanted,)):
                raise ValueError(f"{where} has {option} {value}, but that of an MLP is {wanted}")
        assembly.activation(where, name)
    elif kind not in PASSED:
        raise ValueError(f"{where} is a layer that an MLP has not")


def _array(where: str, tensor: Any) -> NDArray[Any]:
    if tensor.device.type != "cpu":
        raise ValueError(f"{where} is on the device {tensor.device}; move the module to the CPU first, by module.cpu()")
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise ValueError(f"{where} has parameters of {tensor.dtype}, not of torch.float32 or torch.float64")
    return np.array(tensor.detach().numpy())
