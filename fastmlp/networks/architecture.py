"""What makes a network: sizes, activations, an output, a loss and classes that fit each other, and as many parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.losses import LossRow
from fastmlp.literals import Activation, Loss, Output


def parameter_count(layer_sizes: Sequence[int], bias: bool) -> int:
    """P, the number of parameters of a network."""
    return sum((n_in + bias) * n_out for n_in, n_out in pairwise(layer_sizes))


def default_loss(output: Output) -> Loss:
    return "cross_entropy" if OUTPUTS.get(output) == "probabilities" else "squared_error"


def sizes_of_layers(value: Sequence[int]) -> tuple[int, ...]:
    """Inputs, units of each hidden layer, outputs."""
    sizes = checks.hidden_sizes("layer_sizes", value)
    if len(sizes) < 2:
        raise ValueError(f"layer_sizes must name inputs and outputs at least; got {checks.shown(value)}")
    return sizes


def check_architecture(layer_sizes: tuple[int, ...], output: Output, loss: LossRow, known: NDArray[Any] | None) -> None:
    """Rejects what does not make a network."""
    checks.one_of("output", output, OUTPUTS)
    if output not in loss.outputs:
        raise ValueError(f"the loss {loss.name!r} is for {' and '.join(loss.outputs)} outputs; output is {output!r}")
    if known is None:
        return
    n_out = layer_sizes[-1]
    if OUTPUTS[output] != "probabilities":
        raise ValueError(f"output must be 'sigmoid' or 'softmax' for a classifier; got {output!r}")
    if output == "sigmoid" and (n_out != 1 or len(known) != 2):
        raise ValueError(f"a sigmoid output is for two classes and one unit; got {len(known)} classes and {n_out} units")
    if output == "softmax" and n_out != len(known):
        raise ValueError(f"a softmax output has a unit for each class; got {len(known)} classes and {n_out} units")


def activation_of_each(value: Activation | Sequence[Activation], hidden_layers: int) -> tuple[Activation, ...]:
    """One activation for each hidden layer."""
    names = checks.activation_names("activation", value)
    each = (names,) * hidden_layers if isinstance(names, str) else names
    if len(each) != hidden_layers:
        raise ValueError(f"activation must be one name, or one for each of {hidden_layers} hidden layers; got {len(each)}")
    return each


def named_features(value: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """A name for each input, or None."""
    if value is None:
        return None
    no_scalar = isinstance(value, Collection) and getattr(value, "shape", True) != ()
    names = tuple(value) if no_scalar and checks.length(value) == count else ()
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"feature_names must be {count} strings, one for each input; got {checks.shown(value)}")
    return names


def weights_and_biases(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike] | None
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Matrices and vectors, of one dtype, that fit one another."""
    if len(weights) == 0:
        raise ValueError("weights must hold a matrix for each layer; got none")
    matrices = [arrays.matrix(f"weights[{i}]", w) for i, w in enumerate(weights)]
    vectors = [] if biases is None else [arrays.numbers(f"biases[{i}]", b) for i, b in enumerate(biases)]
    if biases is not None and len(vectors) != len(matrices):
        raise ValueError(f"biases must have one vector for each of {len(matrices)} layers; got {len(vectors)}")
    for i, (before, after) in enumerate(pairwise(matrices)):
        if before.shape[1] != after.shape[0]:
            raise ValueError(
                f"weights[{i + 1}] must have {before.shape[1]} rows, one for each unit before it; got shape {after.shape}"
            )
    for i, (w, b) in enumerate(zip(matrices, vectors, strict=False)):
        if b.shape != (w.shape[1],):
            raise ValueError(f"biases[{i}] must have shape ({w.shape[1]},); got {b.shape}")
    single = all(array.dtype == np.float32 for array in (*matrices, *vectors))
    dtype = np.float32 if single else np.float64
    return (
        [arrays.floating(w, dtype) for w in matrices],
        [arrays.finite(f"biases[{i}]", arrays.floating(b, dtype)) for i, b in enumerate(vectors)],
    )
