"""A formula in whole numbers, for processors that have no others: how many bits everything gets, by rows of typical inputs; what
comes out, to the bit as in C; and how far that is from what the model says.

Scales are powers of two: a number v "with b bits" is the whole number v 2^b. Inputs come as int32; the middle of their range is
subtracted, and what is left goes on as int16, as do the outputs of hidden layers. Weights are int16, with bits of their own for
each unit; sums are int32, where no inputs can overflow it and weights lose little, else int64; each is moved to the bits of its
layer's activation. There is room for twice the largest numbers of the rows; what is larger stays at the largest that there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.formats import fixed_functions as functions
from fastmlp.formats.fixed_functions import MOST, MOST_SHORT, SUM_BITS, TABLE_BITS, Whole
from fastmlp.formats.formula import TRIED, DenseLayer, Formula

ROOM = 2  # for inputs and sums that are larger than all of the rows
BLOCK = 1 << 20  # numbers of rows that are computed together
MOST_SUM = 1 << 62
FEWEST_WEIGHT_BITS = 13  # of the largest weight of a unit, for sums in int32
LARGEST = 1e30  # of the inputs that are taken
NATURAL = math.log2(math.e)  # softmax and exp are powers of 2 in here
SPREAD = 256  # how many times as much room the unit of a layer with the largest values may have as another
FINEST = 30  # bits that sums have more than what an activation takes, or less
Sizes = tuple[NDArray[Any], NDArray[Any]]  # of each unit the largest sum and output, in magnitude
SATURATING = ("sigmoid", "tanh")


class Deviation(NamedTuple):
    """How far outputs in fixed point are from those of the model, on the rows that it was calibrated with."""

    rows: int
    largest: float
    """Of the differences of outputs, in magnitude."""
    mean: float
    of_range: float
    """The largest, as a share of the range of its output on these rows; of probabilities the same as `largest`."""
    changed: int | None
    """How many rows are taken for another class; None for a regressor."""

    def __str__(self) -> str:
        text = f"on {self.rows} rows outputs differ from the model by at most {self.largest:.2g}, by {self.mean:.2g} in the mean"
        if self.changed is None:
            return f"{text}, at most {self.of_range:.2g} of the range of an output"
        return f"{text}; {self.changed} rows are taken for another class"


class TypicalRows(NamedTuple):
    """What inputs are typical: rows of them, or a range that all are known to be in, or both."""

    rows: NDArray[Any] | None
    known: tuple[float, float] | None = None


class FixedLayer(NamedTuple):
    weights: Whole  # (n_out, n_in)
    biases: Whole  # (n_out,), with the bits of the sums
    is_wide: bool  # whether sums need int64
    activation: str
    sum_places: Whole  # (n_out,) by which sums are moved to the right
    bits: int  # of what the activation takes
    value_places: Whole  # (n_out,) by which what it gives is moved


class FixedFormula(NamedTuple):
    """A formula in whole numbers."""

    formula: Formula
    input_bits: Whole  # (D,)
    centres: Whole  # (D,) with these bits
    input_places: Whole  # (D,) by which what is left of inputs is moved
    networks: tuple[tuple[FixedLayer, ...], ...]
    output_bits: Whole  # (K,)

    def whole_inputs(self, rows: NDArray[Any]) -> Whole:
        """Rows as C takes them."""
        return np.clip(np.rint(np.ldexp(rows.astype(np.float64), self.input_bits)), -MOST, MOST).astype(np.int64)

    def whole_outputs(self, inputs: Whole) -> Whole:
        """(N, D) -> (N, K), to the bit what C gives."""
        x = functions.as_short(inputs - self.centres, self.input_places)
        outputs = [_outputs_of(layers, x) for layers in self.networks]
        if self.formula.combined == "columns":
            return np.hstack(outputs)
        out = outputs[0] if len(outputs) == 1 else functions.moved(np.sum(outputs, axis=0) * self.reciprocal, 31)
        return np.hstack([(1 << SUM_BITS) - out, out]) if self.formula.has_rest else out

    @property
    def reciprocal(self) -> int:
        """Of the number of networks, with 31 bits."""
        return round((1 << 31) / len(self.networks))

    def unit_bits(self, number: int) -> Whole:
        """The bits of the outputs of a network."""
        if self.formula.combined == "columns":
            return self.output_bits[number : number + 1]
        return self.output_bits[-1:] if self.formula.has_rest else self.output_bits


def fixed_formula(formula: Formula, rows: NDArray[Any], known: tuple[float, float] | None = None) -> FixedFormula:
    """It, with room for such rows; or for inputs within a range that is known."""
    if (largest := abs(rows).max()) > LARGEST:
        raise ValueError(f"fixed_point must be rows of numbers of at most {LARGEST:g}; got {largest:g}")
    low, high = (rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64))
    if known is not None:
        low, high = np.full_like(low, known[0]), np.full_like(high, known[1])
    centre, half = (low + high) / 2, (high - low) / 2 * (1 if known is not None else ROOM)
    half = np.where(half > 0, half, np.where(centre == 0, 1, abs(centre)))
    input_bits = _bits(MOST, abs(centre) + half)
    short_bits = np.minimum(_bits(MOST_SHORT, half), input_bits)
    centres = np.rint(np.ldexp(centre, input_bits)).astype(np.int64)
    offsets = np.ldexp(centres.astype(np.float64), -input_bits)
    sizes = [_largest_sums(layers, rows) for layers in formula.networks]
    output_bits = _output_bits(formula, [size[-1] for size in sizes])
    made = FixedFormula(formula, input_bits, centres, input_bits - short_bits, (), output_bits)
    networks = [
        _fixed_network(layers, offsets, short_bits, size, made.unit_bits(number))
        for number, (layers, size) in enumerate(zip(formula.networks, sizes, strict=True))
    ]
    return made._replace(networks=tuple(networks))


def deviation_on(fixed: FixedFormula, rows: NDArray[Any]) -> Deviation:
    """How far it is from the model on these rows."""
    largest, total, changed = np.zeros(fixed.formula.n_out), 0.0, 0
    low, high = np.full(fixed.formula.n_out, np.inf), np.full(fixed.formula.n_out, -np.inf)
    for part in _parts(rows):
        expected = np.asarray(fixed.formula.outputs(part.astype(fixed.formula.dtype)), np.float64).reshape(len(part), -1)
        whole = fixed.whole_outputs(fixed.whole_inputs(part))
        difference = abs(np.ldexp(whole.astype(np.float64), -fixed.output_bits) - expected)
        largest, total = np.maximum(largest, difference.max(axis=0)), total + float(difference.mean(axis=1).sum())
        low, high = np.minimum(low, expected.min(axis=0)), np.maximum(high, expected.max(axis=0))
        changed += int(np.count_nonzero(whole.argmax(axis=1) != expected.argmax(axis=1)))
    scale = np.ones_like(low) if fixed.formula.classes is not None else np.where(high > low, high - low, np.inf)
    classes = fixed.formula.classes
    of_range, by_class = float((largest / scale).max()), None if classes is None else changed
    return Deviation(len(rows), float(largest.max()), total / len(rows), of_range, by_class)


def rows_within(formula: Formula, low: float, high: float) -> NDArray[np.float64]:
    """Rows for inputs of which no more than the range is known: for each unit of first layers those that it sees as the largest and
    as the smallest, and some by chance."""
    weights = np.hstack([layers[0].weights for layers in formula.networks]).T > 0
    drawn = np.random.default_rng(0).uniform(low, high, (256, formula.n_in))
    return np.vstack([np.where(weights, high, low), np.where(weights, low, high), drawn])


def tried_rows(fixed: FixedFormula, rows: NDArray[Any]) -> tuple[Whole, Whole]:
    """Some of the rows, and what is to come out, to the bit."""
    inputs = fixed.whole_inputs(rows[np.linspace(0, len(rows) - 1, min(TRIED, len(rows))).astype(int)])
    return inputs, fixed.whole_outputs(inputs)


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    count = max(1, BLOCK // rows.shape[1])
    return (rows[start : start + count] for start in range(0, len(rows), count))


def _bits(most: int, largest: Any) -> Whole:
    """The most that a number has with which it is no more than `most`."""
    return np.floor(np.log2(most / np.asarray(largest, np.float64))).astype(np.int64)


def _largest_sums(layers: tuple[DenseLayer, ...], rows: NDArray[Any]) -> list[Sizes]:
    """Of each layer and unit, the largest of its sums and of its outputs, in magnitude."""
    found = [(np.zeros(layer.weights.shape[1]), np.zeros(layer.weights.shape[1])) for layer in layers]
    for part in _parts(rows):
        a = part.astype(np.float64)
        for number, (weights, biases, activation) in enumerate(layers):
            z = a @ weights.astype(np.float64) + (0 if biases is None else biases.astype(np.float64))
            with np.errstate(over="ignore"):
                a = functions.function_values(activation, z)
            sums, values = found[number]
            found[number] = np.maximum(sums, abs(z).max(axis=0)), np.maximum(values, abs(a).max(axis=0))
    if not all(np.isfinite(part).all() for pair in found for part in pair):
        raise ValueError("fixed_point must be rows of typical inputs; for some the outputs are not finite")
    return found


def _output_bits(formula: Formula, sizes: list[Sizes]) -> Whole:
    """Those of probabilities are the same; those of a regressor as many as its numbers have room for."""
    last = [layers[-1].activation for layers in formula.networks]
    if formula.combined == "mean" and formula.classes is not None:
        return np.full(formula.n_out, SUM_BITS)
    values = np.array([size[1] for size in sizes])  # networks, units
    largest = values.max(axis=0) if formula.combined == "mean" else values[:, 0]
    if formula.classes is not None:  # they are compared
        largest = np.full_like(largest, largest.max())
    bits = _bits(MOST, np.where(largest > 0, largest, 1) * ROOM)
    return np.minimum(bits, functions.BITS) if {"softplus", "sigmoid"} & set(last) else bits


def _fixed_network(
    layers: tuple[DenseLayer, ...], offsets: NDArray[Any], bits: Whole, sizes: list[Sizes], out_bits: Whole
) -> tuple[FixedLayer, ...]:
    """Layers for inputs with these bits and less these offsets."""
    made, most = [], MOST_SHORT + 1
    for number, (layer, (sums, values)) in enumerate(zip(layers, sizes, strict=True)):
        name, is_last = layer.activation, number == len(layers) - 1
        factor = NATURAL if name in ("softmax", "exp") else 1.0
        weights = layer.weights.astype(np.float64) * factor
        biases = np.zeros(len(sums)) if layer.biases is None else layer.biases.astype(np.float64) * factor
        biases = biases + offsets @ weights + (out_bits if name == "exp" else 0)  # 2^z with b bits is 2^(z + b)
        as_output = is_last and name == "identity"
        z_bits = out_bits if as_output else _sum_bits(name, sums * factor)
        whole, whole_biases, sum_bits, is_wide = _whole_weights(np.ldexp(weights, -bits[:, None]).T, biases, most, z_bits + FINEST)
        if name in SATURATING:
            z_bits = np.maximum(0, np.minimum(z_bits, sum_bits.min() + FINEST))  # what is larger yet saturates all the same
            sum_bits = np.maximum(sum_bits, z_bits - FINEST)
        elif (sum_bits + FINEST < z_bits).any():
            raise ValueError(
                f"the model cannot be exported in fixed point: the weights of a layer are as large as {abs(weights).max():.2g}"
            )
        value_bits = np.asarray(TABLE_BITS if name in SATURATING else z_bits)
        bits = out_bits if is_last else _value_bits(name, values)
        places = np.zeros_like(bits) if name in ("softmax", "exp") else np.clip(value_bits - bits, -31, 62)
        made.append(FixedLayer(whole, whole_biases, is_wide, name, sum_bits - z_bits, 0 if as_output else int(z_bits), places))
        offsets, most = np.zeros(len(sums)), MOST_SHORT
    return tuple(made)


def _sum_bits(name: str, sums: NDArray[Any]) -> Any:
    """The bits of what the activation of a layer takes."""
    if name == "exp" or name in SATURATING:
        return np.int64(functions.POWER_BITS if name == "exp" else functions.BITS)
    bits = _bits(MOST, (sums.max() or 1) * ROOM)
    if name == "softmax" or functions.table_of(name) is not None:
        if bits < (functions.FEWEST_BITS if name == "softmax" else 0):
            large = f"the sums of a layer of {name} are as large as {sums.max():.2g}"
            raise ValueError(f"the model cannot be exported in fixed point: {large}")
        return np.minimum(bits, functions.BITS)
    return bits


def _value_bits(name: str, values: NDArray[Any]) -> Whole:
    """Those of what a hidden layer gives."""
    largest = np.maximum(values, values.max() / SPREAD)
    return np.full(len(values), 15) if name in SATURATING else _bits(MOST_SHORT, np.where(largest > 0, largest, 1) * ROOM)


def _whole_weights(weights: NDArray[Any], biases: NDArray[Any], most: int, finest: Any) -> tuple[Whole, Whole, Whole, bool]:
    """Weights, biases, the bits of their sums, and whether these need int64, for inputs of at most `most`."""
    largest = abs(weights).max(axis=1)
    finest = np.broadcast_to(finest, largest.shape)
    for size, limit in ((largest, MOST_SHORT), (abs(biases), MOST_SUM)):
        finest = np.where(size > 0, np.minimum(finest, _bits(limit, np.where(size > 0, size, 1))), finest)
    for limit, is_wide in ((MOST, False), (MOST_SUM, True)):
        bits, over = finest.copy(), np.ones(len(finest), bool)
        while over.any():
            whole, whole_biases = np.rint(np.ldexp(weights, bits[:, None])), np.rint(np.ldexp(biases, bits))
            over = (abs(whole).sum(axis=1) * most + abs(whole_biases) > limit) | (abs(whole).max(axis=1) > MOST_SHORT)
            bits -= over
        coarse = (abs(whole).max(axis=1) < 1 << FEWEST_WEIGHT_BITS) & (bits < finest)
        if is_wide or not coarse.any():
            break
    return whole.astype(np.int64), whole_biases.astype(np.int64), bits, is_wide


def _outputs_of(layers: tuple[FixedLayer, ...], a: Whole) -> Whole:
    for number, (weights, biases, _, name, sum_places, bits, value_places) in enumerate(layers):
        exact = (a.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)  # no sum of products comes to 2^53
        z = functions.moved(exact + biases, sum_places)
        if name == "softmax":
            return functions.softmax_values(z, bits)
        if name == "exp":
            return functions.exp_values(z)
        values = functions.hidden_values(name, z, bits)
        a = (functions.moved if number == len(layers) - 1 else functions.as_short)(values, value_places)
    return a
