"""What networks learn from: rows to train on and rows held out, targets, weights of rows, scaling, and in which order rows come.

Members of a population that agree in one of these share its arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, labels
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data, shuffle
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import every_row
from fastmlp.training.initial import BOOTSTRAP, HELD_OUT, ORDER, stream
from fastmlp.training.options import Options
from fastmlp.training.scaling import Scaling, input_scaling, is_standardized, output_scaling, scaled


class MeasuredRows(NamedTuple):
    """Rows to measure: inputs (N, D), targets as the kernels take them, and the numbers of the rows that count."""

    x: NDArray[Any]
    y: NDArray[Any]
    order: NDArray[np.integer]


class Parts(NamedTuple):
    """What tells the parts of networks' data apart: those that agree in one of these have the same arrays."""

    rows: Hashable  # to train on, and held out
    order: Hashable  # these come in
    inputs: Hashable  # how they are scaled
    targets: Hashable
    weights: Hashable


class TrainingData(NamedTuple):
    """What a network is trained on."""

    arrays: Data
    rows: NDArray[np.integer]  # to train on
    order: int | None  # the seed that they are shuffled by
    held_out: MeasuredRows | None
    outputs: Scaling | None  # of the targets
    parts: Parts

    @property
    def inputs(self) -> Scaling:
        return Scaling(self.arrays.shift, self.arrays.scale)

    def row_orders(self) -> RowOrders:
        return RowOrders(self.rows, self.order)


class RowOrders:
    """In which order the rows are taken, in one epoch after the other: the same, or shuffled."""

    def __init__(self, rows: NDArray[np.integer], seed: int | None, before: int = 0) -> None:
        """After so many epochs, of which the orders are skipped."""
        self.rows, self.shuffle = rows, None if seed is None else stream(seed, ORDER)
        if self.shuffle is not None and before:
            self.shuffle.bit_generator.random_raw(before * self._words, output=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> RowOrders:
        """Another one that goes on likewise."""
        other = RowOrders(self.rows, None)
        other.shuffle = copy.deepcopy(self.shuffle)
        return other

    @property
    def _words(self) -> int:
        """Of 64 random bits, for each epoch."""
        return -(-len(self.rows) // 2)

    def next(self, epochs: int) -> NDArray[np.integer]:
        """(epochs, N) row numbers for the next epochs, or (1, N) for any."""
        if self.shuffle is None:
            return self.rows[None]
        orders = np.empty((epochs, len(self.rows)), self.rows.dtype)
        self.fill(orders)
        return orders

    def fill(self, orders: NDArray[np.integer]) -> None:
        """Writes the row numbers for the next epochs, one in each row."""
        orders[:] = self.rows
        if self.shuffle is not None:
            draws = self.shuffle.bit_generator.random_raw(len(orders) * self._words)
            shuffle(orders, draws.view(np.uint32).reshape(len(orders), -1))


def shuffled_rows(n: int, random: np.random.Generator | None) -> NDArray[np.integer]:
    """The numbers of n rows, in an order that is drawn, or as they are."""
    order = every_row(n)
    if random is not None:
        shuffle(order[None], random.bit_generator.random_raw(-(-n // 2)).view(np.uint32)[None])
    return order


class RowSets(NamedTuple):
    """The rows that members may learn from, where each has its own: a set of several members once."""

    sets: list[NDArray[np.integer]]  # row numbers
    of_member: list[int]  # the number of its set

    @classmethod
    def of(cls, rows: list[NDArray[np.integer]]) -> RowSets:
        numbers: dict[bytes, int] = {}
        of_member = [numbers.setdefault(one.tobytes(), len(numbers)) for one in rows]
        return cls([rows[of_member.index(number)] for number in range(len(numbers))], of_member)


class Own(NamedTuple):
    """What of the data a member has for itself: None where all have it in common."""

    rows: int | None  # the number of a set
    column: int | None  # of y
    weights: int | None  # the column of sample_weight
    held_out: int | None  # the seed that rows are held out by
    order: int | None  # the seed that rows are shuffled by
    bootstrap: int | None  # the seed that rows are drawn by


@dataclass(frozen=True)
class Dataset:
    """The rows that all networks are given, and what each learns of them."""

    x: NDArray[Any]
    y: NDArray[Any]
    weights: Any  # as the caller has them
    options: Options
    seeds: Sequence[int]  # of the members
    by_member: bool  # whether second axes of y and of the weights are those of the members
    row_sets: RowSets | None = None
    made: dict[Hashable, Any] = field(default_factory=dict)  # what several members share

    @property
    def own_orders(self) -> bool:
        """Whether members see the rows in orders of their own, where these are shuffled."""
        return self.options.data_seed is None or self.row_sets is not None

    @property
    def own_targets(self) -> bool:
        return self.by_member and self.y.ndim > 1 and self.y.shape[1] > 1

    @property
    def own_weights(self) -> bool:
        return self.by_member and self.weights is not None and self.weights.ndim > 1

    @property
    def holds_out(self) -> bool:
        """Whether rows are held out by chance."""
        return self.options.validation is not None and not isinstance(self.options.validation, tuple)

    @property
    def own_columns(self) -> int:
        """How many numbers for each row of the data a member has for itself: what is its own is laid out a second time."""
        own_rows = self.row_sets is not None or (self.holds_out and self.options.data_seed is None)
        own_targets = self.own_targets or (own_rows and self.y.dtype.kind == "f")  # which are scaled by the member's rows
        return 2 * (own_targets + (self.own_weights or self.options.bootstrap or own_rows)) + own_rows

    def set_of(self, member: int) -> int | None:
        """The number of the set of rows that a member has."""
        return None if self.row_sets is None else self.row_sets.of_member[member]

    def targets_of(self, member: int) -> NDArray[Any]:
        """The targets as they were given for a member, of its rows."""
        return self._targets(member, self.set_of(member))

    def _targets(self, column: int, number: int | None) -> NDArray[Any]:
        y = self.y if not self.by_member or self.y.ndim == 1 else self.y[:, column if self.own_targets else 0]
        return y if number is None else y[self._set(number)]

    def _set(self, number: int | None) -> NDArray[np.integer]:
        """Row numbers of a set, or of all rows."""
        return every_row(len(self.x)) if self.row_sets is None or number is None else self.row_sets.sets[number]

    def rows_left(self, network: MLP, member: int) -> tuple[int, int]:
        """How many rows a network has, and how many of these it is trained on."""
        targets = self.targets_of(member)
        n = len(targets)
        if not self.holds_out:
            return n, n
        counts = [n]
        if network.classes is not None:
            counts = np.unique(network.targets(targets, n), return_counts=True)[1].tolist()
        return n, n - sum(held_of(count, self.options.validation) for count in counts)

    def own(self, members: Sequence[int]) -> list[Own]:
        """What each of these members has for itself, or the first of them if all have everything in common."""
        options, targets, weights, holds_out = self.options, self.own_targets, self.own_weights, self.holds_out
        by_seed = options.bootstrap or (options.data_seed is None and (holds_out or options.shuffle))
        if not (targets or weights or by_seed or self.row_sets):
            members = members[:1]
        found = []
        for member in members:
            seed = self.seeds[member]
            data_seed = seed if options.data_seed is None else options.data_seed
            found.append(
                Own(
                    self.set_of(member),
                    member if targets else None,
                    member if weights else None,
                    data_seed if holds_out else None,
                    data_seed if options.shuffle else None,
                    seed if options.bootstrap else None,
                )
            )
        return found

    def learned(self, network: MLP, batch_size: int | None, own: Own, kind: int = 0) -> TrainingData:
        """What a network learns; networks that take targets alike are of one kind."""
        options, once, column = self.options, self._once, own.column
        given = once(("given", kind, column, own.rows), partial(self._given, network, column or 0, own.rows))
        rows_of = own.rows, own.held_out, column if self.holds_out and network.classes is not None else None
        rows, held = once(("rows", rows_of), partial(self._rows, network, given, own))
        standardize = is_standardized(network, options.standardize)
        inputs = once(("inputs", rows_of, standardize), partial(input_scaling, network, self.x, rows, standardize))
        outputs, targets = None, given
        targets_of: Hashable = kind, column, own.rows
        if standardize and network.output == "identity":
            targets_of = kind, column, rows_of
            outputs = once(("outputs", targets_of), partial(output_scaling, network, given, rows))
            targets = once(("targets", targets_of), partial(scaled, given, outputs))
        held_out = None if held is None else MeasuredRows(self.x, targets, held)
        if isinstance(options.validation, tuple):
            held_out = once(("held out", targets_of), partial(self._rows_beside, network, column or 0, outputs))
        by_class = None if options.class_weight is None else (kind, column)
        alike = self.weights is None and by_class is None and own.bootstrap is None
        weights_of = own.weights, by_class, own.bootstrap, None if alike else rows_of
        weights = once(("weights", weights_of), partial(self._weights, network, given, own, rows, by_class))
        order = own.order if (batch_size or len(rows)) < len(rows) else None
        data = Data(readable(self.x), targets, weights, *inputs)
        return TrainingData(data, rows, order, held_out, outputs, Parts(rows_of, order, rows_of, targets_of, weights_of))

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What make() gave when it was first asked for under that key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def _given(self, network: MLP, column: int, number: int | None) -> NDArray[Any]:
        """The targets as the kernels take them; 0 for the rows that are not of the set."""
        targets = self._targets(column, number)
        return self._in_their_places(network.targets(targets, len(targets)), number)

    def _in_their_places(self, values: NDArray[Any], number: int | None) -> NDArray[Any]:
        """Values for the rows of a set, as values for all rows."""
        if number is None:
            return values
        every = np.zeros((len(self.x), *values.shape[1:]), values.dtype)
        every[self._set(number)] = values
        return every

    def _rows(self, network: MLP, targets: NDArray[Any], own: Own) -> tuple[NDArray[np.integer], NDArray[np.integer] | None]:
        """The numbers of the rows to train on, and of those that are held out."""
        rows = self._set(own.rows)
        if own.held_out is None:
            return rows, None
        labels = None if network.classes is None else targets[rows, 0]
        kept, held = split(len(rows), labels, self.options.validation, own.held_out)
        return rows[kept], rows[held]

    def _rows_beside(self, network: MLP, member: int, outputs: Scaling | None) -> MeasuredRows:
        """Rows to measure that the caller has."""
        x, y = self._once(("validation", network.feature_names), partial(self.given_beside, network))
        given = y if not self.by_member or y.ndim == 1 else y[:, member if self.own_targets else 0]
        rows = self._once("measured", partial(every_row, len(x)))
        return MeasuredRows(x, scaled(network.targets(given, len(x), "validation[1]"), outputs), rows)

    def given_beside(self, network: MLP) -> tuple[NDArray[Any], ArrayLike]:
        """The rows to measure that the caller has, checked as far as they concern all members."""
        y = self.options.validation[1]
        x = inputs_beside(network, self.options.validation[0])
        if not self.by_member:
            return x, y
        array = arrays.by_member("validation[1]", y, outputs=True)
        if array.shape[1:] != self.y.shape[1:]:
            expected = ", ".join(map(str, ("N", *self.y.shape[1:])))
            raise ValueError(f"validation[1] must have shape ({expected}), as y has; got {array.shape}")
        return x, array

    def _weights(
        self, network: MLP, targets: NDArray[Any], own: Own, rows: NDArray[np.integer], by_class: Hashable
    ) -> NDArray[Any]:
        """The weights of all rows."""
        if own.bootstrap is not None and own.rows is not None and len(np.unique(rows)) < len(rows):
            raise ValueError("bootstrap needs rows of which none comes twice; what is drawn of them counts several times")
        make = partial(self._given_weights, network, targets, own)
        weights = make() if own.weights is not None else self._once(("given weights", by_class, own.rows), make)
        return row_weights(weights, len(self.x), rows, own.bootstrap)

    def _given_weights(self, network: MLP, targets: NDArray[Any], own: Own) -> NDArray[Any]:
        """The weights of all rows, 0 for those that are not of the set; or a single one."""
        given = self.weights if own.weights is None else self.weights[:, own.weights]
        if own.rows is not None:
            rows = self._set(own.rows)
            given, targets = None if given is None else np.asarray(given)[rows], targets[rows]
        weights = labels.sample_weights(given, self.options.class_weight, network.classes, targets, network.dtype)
        return weights if len(weights) == 1 else self._in_their_places(weights, own.rows)


def inputs_beside(network: MLP, x: ArrayLike) -> NDArray[Any]:
    """Inputs to measure that the caller has."""
    names = network.feature_names
    return arrays.matrix("validation[0]", x, network.dtype, columns=network.layer_sizes[0], names=names)


def measured_beside(network: MLP, given: tuple[ArrayLike, ArrayLike], outputs: Scaling | None) -> MeasuredRows:
    """Rows (X, y) to measure that the caller has."""
    x = inputs_beside(network, given[0])
    return MeasuredRows(x, scaled(network.targets(given[1], len(x), "validation[1]"), outputs), every_row(len(x)))


def split(n: int, labels: NDArray[Any] | None, share: float, seed: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Rows to train on, and a share that is held out: of each class alike, where there are labels."""
    groups = [np.arange(n)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    held, rng = np.zeros(n, dtype=bool), stream(seed, HELD_OUT)
    for group in groups:
        held[rng.permutation(group)[: held_of(len(group), share)]] = True
    if not held.any():
        raise ValueError(f"validation={share} of {n} rows holds out none; give a larger fraction, or rows as (X, y)")
    numbers = arrays.numbers_of_rows(n)
    return np.flatnonzero(~held).astype(numbers), np.flatnonzero(held).astype(numbers)


def held_of(rows: int, share: float) -> int:
    """How many rows of a class are held out: one at least is left."""
    return min(round(share * rows), rows - 1)


def row_weights(weights: NDArray[Any], n: int, kept: NDArray[np.integer], bootstrap: int | None) -> NDArray[Any]:
    """The weights of n rows with a mean of 1 over those to train on, after these have been drawn with replacement if there is a
    seed for it."""
    if len(weights) == n and not weights[kept].any():
        raise ValueError("validation leaves no row whose weight, by sample_weight and class_weight, is not zero")
    if bootstrap is not None:
        drawn = np.bincount(kept[stream(bootstrap, BOOTSTRAP).integers(len(kept), size=len(kept))], minlength=n)
        weights = (weights * drawn).astype(weights.dtype)
        if not weights[kept].any():
            raise ValueError(f"bootstrap with seed {bootstrap} draws no row whose weight is not zero; try another seed")
    elif len(weights) == 1:
        return weights
    return weights / weights[kept].mean()
