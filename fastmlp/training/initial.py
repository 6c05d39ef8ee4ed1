"""What a training begins with: a network of the shape that options and data ask for, its first weights, and streams of random
numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels.dropout import GOLDEN, ROUNDS, hashed
from fastmlp.networks.architecture import activation_of_each, default_loss, parameter_count
from fastmlp.networks.history import TrainingState
from fastmlp.networks.layout import Dropped
from fastmlp.networks.mlp import MLP
from fastmlp.training.defaults import HIDDEN
from fastmlp.training.memory import check_network
from fastmlp.training.options import ACTIVATION, Options
from fastmlp.training.scaling import Scaling, fold

FIRST_WEIGHTS, HELD_OUT, ORDER, BOOTSTRAP, FOLDS, SLICES = range(6)  # streams of a seed
BIAS_SPREAD = {"glorot": 0.0, "he": 0.0, "normal": 0.1, "uniform": 1.0}
DRAWN_AT_ONCE = 1 << 16  # first parameters, which stay in the cache


# -- the network ----------------------------------------------------------------------------------------------------------------


def untrained(
    shape: tuple[int, int], dtype: Any, y: ArrayLike, wanted: Options, init: str | MLP, feature_names: tuple[str, ...] | None
) -> MLP:
    """A network without values yet for inputs of that shape, as the options want it, or as the one that it goes on from."""
    rows, columns = shape
    given = init if isinstance(init, MLP) else None
    task = labels.task(wanted.task, y, given.classes if given else False)
    if given:
        if columns != given.layer_sizes[0]:
            raise ValueError(f"X must have {given.layer_sizes[0]} columns, as init has inputs; got {columns}")
        own = given.layer_sizes[1:-1]
        checks.same("hidden", own if wanted.hidden is None else wanted.hidden, own)
        checks.same("activation", given.activations if wanted.activation is None
                    else activation_of_each(wanted.activation, len(own)), given.activations)  # fmt: skip
        checks.same("output", given.output if wanted.output is None else wanted.output, given.output)
        checks.same("bias", given.bias if wanted.bias is None else wanted.bias, given.bias)
        check_network(given.layer_sizes, given.bias, np.dtype(dtype), rows, wanted)
        return MLP(
            given.layer_sizes, np.zeros(given.theta.size, dtype), activations=given.activations, output=given.output,
            loss_name=given.loss_given if wanted.loss is None else wanted.loss, bias=given.bias, classes=given.classes,
            huber_delta=given.huber_delta if wanted.huber_delta is None else wanted.huber_delta,
            feature_names=arrays.same_columns("X", feature_names, given.feature_names),
        )  # fmt: skip
    hidden = HIDDEN if wanted.hidden is None else wanted.hidden
    if task == "classification":
        classes = labels.classes_of(y, rows)
        output = wanted.output if wanted.output is not None else "sigmoid" if len(classes) == 2 else "softmax"
        n_out = 1 if output == "sigmoid" else len(classes)
    else:
        classes = None
        output = "identity" if wanted.output is None else wanted.output
        n_out = arrays.columns("y", y)
    sizes = (columns, *hidden, n_out)
    bias = wanted.bias is not False
    activations = activation_of_each(ACTIVATION if wanted.activation is None else wanted.activation, len(hidden))
    check_network(sizes, bias, np.dtype(dtype), rows, wanted)
    loss = default_loss(output) if wanted.loss is None else wanted.loss
    return MLP(
        sizes, np.zeros(parameter_count(sizes, bias), dtype), activations=activations, output=output, loss_name=loss, bias=bias,
        classes=classes, huber_delta=1.0 if wanted.huber_delta is None else wanted.huber_delta, feature_names=feature_names,
    )  # fmt: skip


def check_huber_delta(wanted: Options, networks: Sequence[MLP]) -> None:
    """Rejects one that none of the networks has a use for."""
    if wanted.huber_delta is not None and all(network.loss_row.parameter is None for network in networks):
        delta, loss = wanted.huber_delta, networks[0].loss_name
        raise ValueError(f"huber_delta is for loss='huber'; got huber_delta={delta:g} with the loss {loss!r}")


def ask_what_is_meant(network: MLP, y: ArrayLike, options: Options) -> None:
    """Warns where nothing says whether to classify but the type of y, and that may mislead."""
    inferred = options.task is None and options.output is None and isinstance(options.init, str)
    if inferred and (network.classes is not None or network.layer_sizes[-1] == 1):
        labels.ask_for_task(y, network.classes)


# -- random numbers -------------------------------------------------------------------------------------------------------------


class _Words(ISeedSequence):
    """Words of a generator's first state, as they are."""

    def __init__(self, *words: int) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        return np.array(self.words, dtype)


def stream(seed: int, number: int) -> np.random.Generator:
    """One of the independent streams of a seed. SFC64 mixes what it begins with by itself; a SeedSequence takes ten times as long
    as all else."""
    return np.random.Generator(np.random.SFC64(_Words(seed, number, 0)))  # type: ignore[arg-type]


def seed_from(seed: int, epoch: int, row: int) -> int:
    """The seed by which rows 0, 1, ... of an epoch are trained without the units that rows row, row + 1, ... are trained without by
    the seed that is given: the hash of kernels/dropout.py undone."""
    rounds, last = ROUNDS
    bits = _unmixed((int(hashed(seed, epoch)) + row * GOLDEN) % 2**64, last)
    for shift, multiplier in reversed(rounds):
        bits = _unmixed(bits * pow(multiplier, -1, 2**64) % 2**64, shift)
    bits = (bits - epoch * GOLDEN) % 2**64
    return bits - 2**64 if bits >> 63 else bits


def _unmixed(bits: int, shift: int) -> int:
    """x, of x ^ (x >> shift)."""
    x = bits
    while bits := bits >> shift:
        x ^= bits
    return x


# -- the first weights ----------------------------------------------------------------------------------------------------------


def first_thetas(init: str, network: MLP, seeds: Sequence[int], out: NDArray[Any]) -> None:
    """The first parameters, out (m, P), of networks like this one, with those seeds."""
    factors, at = np.empty(network.theta.size), 0
    for n_in, n_out in pairwise(network.layer_sizes):
        factors[at : at + n_in * n_out] = _spread_of(init, n_in, n_out)
        at += n_in * n_out
        if network.bias:
            factors[at : at + n_out] = BIAS_SPREAD[init]
            at += n_out
    step = max(1, DRAWN_AT_ONCE // len(factors))
    for first in range(0, len(seeds), step):
        part = out[first : first + step]
        draws = part if part.dtype == np.float64 else np.empty(part.shape)
        for row, seed in zip(draws, seeds[first : first + step], strict=True):
            if init in ("glorot", "uniform"):
                stream(seed, FIRST_WEIGHTS).random(out=row)
            else:
                stream(seed, FIRST_WEIGHTS).standard_normal(out=row)
        if init == "glorot":
            draws -= 0.5
        draws *= factors
        if draws is not part:
            part[:] = draws


def dropped_by(options: Options, network: MLP, seeds: Sequence[int]) -> Dropped | None:
    """What the hidden layers of such networks leave out, if anything."""
    hidden, shares = len(network.layer_sizes) - 2, options.dropout
    if isinstance(shares, float):
        shares = (shares,) * hidden
    elif len(shares) != hidden:
        raise ValueError(f"dropout must be one number, or one for each of {hidden} hidden layers; got {len(shares)}")
    return Dropped(shares, seeds) if any(shares) else None


def _spread_of(init: str, n_in: int, n_out: int) -> float:
    """What a weight's draw is multiplied by: from U[-0.5, 0.5) for glorot, U[0, 1) for uniform, N(0, 1) for the others."""
    return {"glorot": 2 * math.sqrt(6 / (n_in + n_out)), "he": math.sqrt(2 / n_in), "normal": 0.1, "uniform": 1.0}[init]


def is_state_of(state: TrainingState, network: MLP, inputs: Scaling, outputs: Scaling | None) -> bool:
    """Whether the parameters of the state are those of the network for inputs and targets that are scaled in this way."""
    scaling = (*inputs, *(outputs or ()))
    if len(scaling) != len(state.scaling) or not all(map(np.array_equal, scaling, state.scaling)):
        return False
    theta = state.moments[-1].copy() if len(state.moments) > 2 else state.theta.copy()  # an average is what the network became
    fold(network, theta[None], inputs, outputs)
    return np.array_equal(theta, network.theta)
