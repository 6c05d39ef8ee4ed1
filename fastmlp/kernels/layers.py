"""What the kernels know of a network.

layers (L, 7) int64 has a row for each layer: inputs, outputs, the code of its activation, where in theta its weights begin, 1 if
biases follow them, else 0, where they end, and how far apart their rows are: as many places as there are outputs, but see wide.py.
Biases are the weights of one more input, which is always 1.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.compile import jit_inline


class Layer(NamedTuple):
    """A row of `layers`."""

    n_in: int
    n_out: int
    activation: int
    weights: int
    biased: int
    biases: int
    stride: int


class Network(NamedTuple):
    """Its layers, and the loss that it is trained for: see losses.py."""

    layers: np.ndarray
    loss: int  # its code, or the address of a function
    loss_scale: float
    loss_parameter: float


@jit_inline
def layer_of(layers, number):
    """A layer, counted from 0 at the inputs."""
    row = layers[number]
    return Layer(row[0], row[1], row[2], row[3], row[4], row[5], row[6])


@jit_inline
def last_layer(layers):
    """The one that gives the logits."""
    return layer_of(layers, layers.shape[0] - 1)


def rows_of(layers):
    """Rows of a block of samples: inputs, hidden units and logits, and the ones."""
    return int(layers[0, 0]) + sum(n_out + biased for _, n_out, _, _, biased, _, _ in layers.tolist())
