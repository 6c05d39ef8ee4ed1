"""What the members of a population are to be, and what each is to learn: what several share is made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays, checks, labels
from fastmlp.kernels import batch, optimizers
from fastmlp.kernels.simd import readable
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import every_row
from fastmlp.networks.population import Population
from fastmlp.training.crews import Lesson, Squad, alike
from fastmlp.training.descent import Limits, Rows
from fastmlp.training.train import (
    Scaling,
    Streams,
    Wanted,
    carried_on,
    first_thetas,
    input_scaling,
    is_standardized,
    output_scaling,
    own_rows,
    row_weights,
    scaled,
    split,
    untrained,
)


class Kind(NamedTuple):
    """Members of one architecture, batch size and number of rows."""

    network: MLP
    batch_size: int | None
    members: list[int]


@dataclass
class School:
    """What all members have in common, and what each is to be and to learn."""

    x: NDArray[Any]
    dtype: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None
    class_weight: Any
    init: Any
    shuffle: bool
    bootstrap: bool
    standardize: bool | None
    validation: Any
    limits: Limits
    optimizer: int
    schedule: optimizers.Schedule
    data_seed: int | None
    batch_sizes: list[int | None] = field(default_factory=list)
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))  # (M, 3): learning rate, momentum, l2
    seeds: Sequence[int] = ()
    made: dict[Any, Any] = field(default_factory=dict)  # what several members share

    @property
    def own_targets(self) -> bool:
        return self.y.ndim > 1 and self.y.shape[1] > 1

    @property
    def own_columns(self) -> int:
        """How many numbers for each row of the data a member has for itself: what is its own is laid out a second time."""
        own_rows = self._fraction and self.data_seed is None
        own_targets = self.own_targets or (own_rows and self.y.dtype.kind == "f")  # which are scaled by the member's rows
        return 2 * (own_targets + (self._own_weights or self.bootstrap or own_rows)) + own_rows

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What make() gave when it was first asked for under that key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def kinds(self, wanted_of: list[Wanted]) -> list[Kind]:
        """The members, those of one kind together."""
        inits = self._inits()
        own_classes = self.own_targets and self.y.dtype.kind != "f"
        own = range(len(inits)) if own_classes else [0] * len(inits)
        found: dict[Any, list[int]] = {}  # by what is quick to compare
        for member, quick in enumerate(zip(map(id, wanted_of), map(id, inits), self.batch_sizes, own, strict=True)):
            found.setdefault(quick, []).append(member)
        kinds: dict[Any, Kind] = {}
        for members in found.values():
            wanted, init, batch_size = wanted_of[members[0]], inits[members[0]], self.batch_sizes[members[0]]
            made_of = (repr(wanted[:2]), init if isinstance(init, str) else _signature(init), own[members[0]])
            network, rows = self.once(made_of, partial(self.network, members[0], wanted, init))
            kind = kinds.setdefault((*_signature(network), batch_size, rows), Kind(network, batch_size, []))
            kind.members.extend(members)
        for kind in kinds.values():
            kind.members.sort()
        return list(kinds.values())

    def _inits(self) -> list[Any]:
        """For each member a name, or a network."""
        if isinstance(self.init, str | MLP):
            return [self.init] * len(self.seeds)
        if not isinstance(self.init, Population):
            return list(self.init)
        networks: list[Any] = [None] * len(self.seeds)
        for network, members, _ in self.init.groups:
            for member in members.tolist():
                networks[member] = network
        return networks

    def _first_thetas(self, kind: Kind, members: list[int]) -> NDArray[Any]:
        """What members are to begin with, (m, P), or (P,) for all."""
        if isinstance(self.init, str):
            return first_thetas(self.init, kind.network, [self._streams(member) for member in members])
        if isinstance(self.init, MLP):
            return self.init.theta
        return self.init.thetas(members) if isinstance(self.init, Population) else np.array([self.init[k].theta for k in members])

    def network(self, member: int, wanted: Wanted, init: str | MLP) -> tuple[MLP, int]:
        """A network without values, and how many rows it is trained on."""
        network = untrained(self.x, self.dtype, self._given(member), wanted, init)
        is_standardized(network, self.standardize)
        any_seed = Streams(0)  # as many rows are held out whatever it is
        return network, len(self._rows(network, member, lambda member: any_seed)[0])

    def _given(self, member: int) -> NDArray[Any]:
        """The targets, as `train` would be given them."""
        if self.y.ndim == 1:
            return self.y
        given = self.y[:, member if self.own_targets else 0]
        if self.y.ndim == 3 and given.dtype.kind != "f":
            raise ValueError(f"y must hold floats where it has three axes, for targets of several outputs; got dtype {given.dtype}")
        return given

    # -- what each member is to learn --------------------------------------------------------------------------------------------

    def squad(self, kind: Kind, theta: NDArray[Any], part: slice) -> Squad:
        """Members of a kind, at their beginning."""
        members = kind.members[part]
        lessons = [self._lesson(kind, member) for member in (members if self._learn_differently else members[:1])]
        lessons *= len(members) // len(lessons)
        theta[:] = self._first_thetas(kind, members)
        if not isinstance(self.init, str):
            for rows, lesson in alike(lessons):
                theta[rows] = carried_on(kind.network, theta[rows], lesson.inputs, lesson.outputs)
        batch_size = min(kind.batch_size or len(lessons[0].rows), len(lessons[0].rows))
        numbers = self.numbers[members].astype(self.dtype)
        return Squad(
            kind.network, np.array(members), theta, numbers, self.optimizer, batch_size, self.limits, lessons, self.schedule
        )

    def _streams(self, member: int) -> Streams:
        return Streams(self.seeds[member], self.data_seed)

    @property
    def _fraction(self) -> bool:
        """Whether rows are held out by chance."""
        return self.validation is not None and not isinstance(self.validation, tuple)

    @property
    def _own_weights(self) -> bool:
        return self.weights is not None and self.weights.ndim > 1

    @property
    def _learn_differently(self) -> bool:
        """Whether there is anything about the data in which members of a kind may differ."""
        by_seed = self.data_seed is None and (self._fraction or self.shuffle)
        return by_seed or self.own_targets or self._own_weights or self.bootstrap

    def _lesson(self, kind: Kind, member: int) -> Lesson:
        """What a member learns; one object for all that learn the same."""
        fraction, seed = self._fraction, self.seeds[member]
        own = member if self.own_targets else None
        own_weights = member if self._own_weights else None
        data_seed = seed if self.data_seed is None and (fraction or self.shuffle) else None
        key = ("lesson", id(kind.network), kind.batch_size, own, own_weights, data_seed, seed if self.bootstrap else None)
        return self.once(key, partial(self._make_lesson, kind, member, own, data_seed if fraction else None, data_seed))

    def _make_lesson(self, kind: Kind, member: int, own: int | None, split_by: int | None, order_by: int | None) -> Lesson:
        """Its parts too are one object for all that have them in common."""
        network, once = kind.network, self.once
        labels = own if network.classes is not None else None
        rows, held = once(("rows", split_by, labels), partial(self._rows, network, member, self._streams))
        targets = once(("targets", own, id(network)), lambda: network.targets(self._given(member), len(self.x)))
        weights = self._weights(network, member, targets, rows)
        standardize = is_standardized(network, self.standardize)
        inputs = once(("inputs", id(rows), network.bias), partial(input_scaling, network, self.x, rows, standardize))
        key = (id(targets), id(rows), id(network))
        outputs = once(("outputs", *key), partial(output_scaling, network, targets, rows, standardize))
        targets = once(("scaled", *key), partial(scaled, targets, outputs))
        shuffled = self.shuffle and (kind.batch_size or len(rows)) < len(rows)
        order = once(("order", order_by), partial(self._streams, member)) if shuffled else None
        data = batch.Data(readable(self.x), targets, weights, *inputs)
        return Lesson(data, rows, order, self._held_out(network, member, targets, held, outputs), outputs)

    def _rows(
        self, network: MLP, member: int, streams: Callable[[int], Streams]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """The numbers of the rows to train on, and of those that are held out."""
        n = len(self.x)
        if self.validation is None or isinstance(self.validation, tuple):
            return every_row(n), None
        labels = None if network.classes is None else network.targets(self._given(member), n)[:, 0]
        return split(n, labels, checks.share("validation", self.validation), streams(member))

    def _held_out(
        self, network: MLP, member: int, targets: NDArray[Any], held: NDArray[np.int32] | None, outputs: Scaling | None
    ) -> Rows | None:
        if held is not None:
            return Rows(self.x, targets, held)
        if self.validation is None:
            return None
        x, y = self.once(("validation", network.feature_names), partial(self._own_rows, network))
        given = y if y.ndim == 1 else y[:, member if self.own_targets else 0]
        own = member if self.own_targets else None
        rows = self.once(("measured",), lambda: every_row(len(x)))

        def make() -> Rows:
            return Rows(x, scaled(network.targets(given, len(x), "validation[1]"), outputs), rows)

        return self.once(("held out", own, id(network), id(outputs)), make)

    def _own_rows(self, network: MLP) -> tuple[NDArray[Any], NDArray[Any]]:
        x, y = own_rows(self.validation, network)
        array = arrays.by_member("validation[1]", y, outputs=True)
        if array.shape[1:] != self.y.shape[1:]:
            expected = ", ".join(map(str, ("N", *self.y.shape[1:])))
            raise ValueError(f"validation[1] must have shape ({expected}), as y has; got {array.shape}")
        return x, array

    def _weights(self, network: MLP, member: int, targets: NDArray[Any], rows: NDArray[np.int32]) -> NDArray[Any]:
        given = self.weights if self.weights is None or self.weights.ndim == 1 else self.weights[:, member]

        def make() -> NDArray[Any]:
            return labels.sample_weights(given, self.class_weight, network.classes, targets, network.dtype)

        if given is not self.weights:
            return row_weights(make(), len(self.x), rows, self._streams(member) if self.bootstrap else None)
        weights = self.once(("weights", id(targets)), make)
        if self.bootstrap:
            return row_weights(weights, len(self.x), rows, self._streams(member))
        return self.once(("weights", id(weights), id(rows)), partial(row_weights, weights, len(self.x), rows, None))


def _signature(network: MLP) -> tuple[Any, ...]:
    """What networks of one architecture agree in."""
    classes = None if network.classes is None else tuple(network.classes.tolist())
    shape = network.layer_sizes, network.activations, network.output, network.loss_name, network.bias
    return *shape, classes, network.feature_names
