"""Members of a population by architecture, what they say of rows, and what an ensemble makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, interrupts, sliced
from fastmlp.literals import LossFunction
from fastmlp.networks.exported import formula_of
from fastmlp.networks.mlp import MLP
from fastmlp.networks.prediction import outputs_in_turn
from fastmlp.threads import LONGEST_CALL, Workers, threads_for

FEWEST_ROWS = 64  # that are worth a call of the kernel for each member
CHUNK = 1 << 16  # inputs and outputs of rows that all members are asked about together

Outputs = Iterator[NDArray[Any]]  # (n, K) of one member after the other, for the same rows and in the same array


GROUPED = ("l1", "dropout", "clip", "average")  # options that members have in groups, where they have not all the same


class Group(NamedTuple):
    """Members of one architecture.

    Attributes
    ----------
    network : MLP
        A template: all that members have in common. Its theta does not count.
    members : (m,) intp
        Their places in the population, ascending.
    theta : (m, P)
        The parameters of each, in the template's dtype.
    own : mapping of str to value
        Options that they have in common, and that others may have otherwise: see GROUPED.
    """

    network: MLP
    members: NDArray[np.intp]
    theta: NDArray[Any]
    own: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Group of {len(self.members)} like {self.network}>"


class Grouped:
    """The loss of members, where it is a function."""

    groups: tuple[Group, ...]

    @property
    def loss_function(self) -> LossFunction | None:
        functions = [group.network.loss_function for group in self.groups]
        return functions[0] if all(function is functions[0] for function in functions) else None

    @loss_function.setter
    def loss_function(self, value: LossFunction) -> None:
        """Of all members whose file has left out a function of its name."""
        networks = [group.network for group in self.groups]
        lacking = [network for network in networks if network.custom_loss and network.loss_function is None]
        own = [network for network in lacking if network.loss_name == getattr(value, "__name__", None)]
        for network in own or lacking[:1] or networks[:1]:
            network.loss_function = value


def contiguous(group: Group) -> Group:
    """The group with arrays as the kernels take them, and write to them; copied only if need be."""
    theta = np.require(group.theta, None, ["C", "A", "W", "E"])
    return group._replace(members=np.asarray(group.members, np.intp), theta=theta)


def thetas_of(groups: Sequence[Group], numbers: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[Any]:
    """The parameters (m, P) of some members, given by group and row, of groups of one architecture."""
    first = groups[numbers[0]].theta
    if (numbers == numbers[0]).all():
        return first[rows]
    theta = np.empty((len(rows), first.shape[1]), first.dtype)
    for number in np.unique(numbers).tolist():
        theta[numbers == number] = groups[number].theta[rows[numbers == number]]
    return theta


def check_groups(groups: Sequence[Group], count: int) -> None:
    """Rejects groups that do not make a population of so many members."""
    for network, members, theta, own in groups:
        if own.keys() != groups[0].own.keys() or not own.keys() <= set(GROUPED):
            raise ValueError(f"the options of all groups must be the same of {', '.join(GROUPED)}; got {checks.shown(list(own))}")
        if theta.shape != (len(members), network.theta.size) or theta.dtype != network.dtype or not len(members):
            raise ValueError(f"theta must be that of {len(members)} members like {network}; got {theta.dtype} {theta.shape}")
        if (np.diff(members) <= 0).any():
            raise ValueError(f"the members of a group must be in ascending order; got {checks.shown(list(members))}")
    places = np.sort(np.concatenate([group.members for group in groups])) if groups else np.empty(0)
    if not np.array_equal(places, np.arange(count)) or not count:
        raise ValueError(f"each of {count} members, at least one, must be in one group")
    networks = [group.network for group in groups]
    inputs = {network.layer_sizes[0] for network in networks}
    if len(inputs) > 1:
        raise ValueError(f"members must have the same number of inputs; got {checks.shown(sorted(inputs))}")
    kinds = {network.layer_sizes[-1:] if network.classes is None else network.classes.dtype.kind in "US" for network in networks}
    if len(kinds) > 1:  # labels come from one y: all are strings, or none is
        raise ValueError("members must be classifiers by strings, classifiers by numbers, or regressors alike; got some of each")


# -- what the members say ---------------------------------------------------------------------------------------------------------


class Ensemble:
    """The members that did not diverge, asked about the same rows."""

    def __init__(self, groups: Sequence[Group], diverged: NDArray[np.bool_]) -> None:
        self.groups, self.diverged = groups, diverged
        self.dtype = np.result_type(*(group.theta for group in groups))
        self.members = [place for group in groups for place in group.members.tolist() if not diverged[place]]  # group by group

    def classes(self, what: str) -> NDArray[Any] | None:
        """The classes of all members; None for regressors."""
        known = [group.network.classes for group in self.groups]
        for classes in known:
            if classes is not None and known[0] is not None and classes.tolist() != known[0].tolist():
                raise ValueError(
                    f"{what} needs members of the same classes; these have "
                    f"{checks.shown(known[0].tolist())} and {checks.shown(classes.tolist())}: "
                    "use predict_members"
                )
        return known[0]

    def combined(self, X: ArrayLike, combine: Callable[[Outputs], NDArray[Any]], columns: int | None = None) -> NDArray[Any]:
        """What `combine` makes of the members' outputs, for each row: (N, K), or so many columns."""

        def answer(out: NDArray[Any], chunk: slice, outputs: Outputs) -> None:
            out[chunk] = combine(outputs)

        return self._answers(X, lambda n: _room(self.dtype, n, columns or _columns(self.groups[0].network)), answer)

    def formula(self, text: str, dtype: Any) -> Any:
        """The mean over the members, for `Exportable`; in numbers of a dtype, or of what most precise members have."""
        kind = dtype or self.dtype
        groups = [
            group._replace(network=group.network.like(theta[0]), theta=theta)
            for group in self.groups
            for theta in [np.asarray(group.theta, kind)]
        ]
        own = [(group.network, theta) for group in groups for theta in compress(group.theta, ~self.diverged[group.members])]
        alike = Ensemble(groups, self.diverged)
        said = partial(alike.combined, combine=mean)
        return formula_of(own, said, text=text, classes=self.classes("export"), dtype=kind)

    def by_member(self, X: ArrayLike) -> NDArray[Any]:
        """The outputs of all members: (M, N, K), NaN for those that diverged."""

        def room(n: int) -> NDArray[Any]:
            out = _room(self.dtype, len(self.diverged), n, _columns(self.groups[0].network))
            out[self.diverged] = np.nan
            return out

        def answer(out: NDArray[Any], chunk: slice, outputs: Outputs) -> None:
            for place, values in zip(self.members, outputs, strict=True):
                out[place, chunk] = values

        return self._answers(X, room, answer)

    def labels_by_member(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class (M, N) by each member, all of which are asked."""
        labels = {place: np.asarray(group.network.classes) for group in self.groups for place in group.members.tolist()}

        def answer(out: NDArray[Any], chunk: slice, outputs: Outputs) -> None:
            for place, values in zip(self.members, outputs, strict=True):
                out[place, chunk] = labels[place][values.argmax(axis=1)]

        return self._answers(X, lambda n: _room(np.result_type(*labels.values()), len(self.diverged), n), answer)

    def _answers(
        self, X: ArrayLike, room: Callable[[int], NDArray[Any]], answer: Callable[[NDArray[Any], slice, Outputs], None]
    ) -> NDArray[Any]:
        """What `room` makes for the rows of X, and `answer` fills."""
        if not arrays.is_sliced(X):
            rows = self._inputs(X)
            out = room(len(rows[0]))
            self._ask(rows, partial(answer, out))
            return out
        for network, *_ in self.groups:
            n, _ = sliced.matrix_shape("X", X, columns=network.layer_sizes[0], names=network.feature_names, empty=True)
        out = room(n)
        for block, x in sliced.matrices("X", X, self.dtype):
            self._ask(self._inputs(x), partial(answer, out), block.start)
        return out

    def _inputs(self, X: ArrayLike) -> list[NDArray[Any]]:
        """X as each group takes it."""
        known: dict[Any, NDArray[Any]] = {}
        for network, _, theta, _ in self.groups:
            key = theta.dtype, network.feature_names
            if key not in known:
                known[key] = arrays.matrix(
                    "X", X, theta.dtype, columns=network.layer_sizes[0], names=network.feature_names, empty=True
                )
        return [known[group.theta.dtype, group.network.feature_names] for group in self.groups]

    def _ask(self, rows: list[NDArray[Any]], answer: Callable[[slice, Outputs], None], before: int = 0) -> None:
        """Calls answer(chunk, outputs of each member) for all rows, a chunk at a time, on several threads if that pays; chunks are
        counted from so many rows before these.

        Held are a chunk's outputs of one member at a time; members come in the same order for any number of threads.
        """
        n = len(rows[0])
        parameters = sum(group.theta.size for group in self.groups)
        width = max(group.network.layer_sizes[0] + _columns(group.network) for group in self.groups)
        threads = threads_for(n * parameters)
        most = max(FEWEST_ROWS, min(CHUNK // width, LONGEST_CALL // parameters))
        size = max(1, min(most, -(-n // threads)))

        def outputs(chunk: slice) -> Outputs:
            for (network, members, theta, _), own in zip(self.groups, rows, strict=True):
                x = arrays.floating(own[chunk], theta.dtype)
                yield from outputs_in_turn(compress(theta, ~self.diverged[members]), network.layers, x, _columns(network))

        jobs = [slice(first, min(first + size, n)) for first in range(0, n, size)]
        with interrupts.noted(), Workers(max(1, min(threads, len(jobs)))) as share_out:
            share_out(lambda chunk: answer(slice(before + chunk.start, before + chunk.stop), outputs(chunk)), jobs)


def _room(dtype: np.dtype[Any], *shape: int) -> NDArray[Any]:
    """An array for what members say."""
    checks.enough_memory(f"what members say, of shape {shape},", math.prod(shape) * dtype.itemsize)
    return np.empty(shape, dtype)


def _columns(network: MLP) -> int:
    """K: classes, or a regressor's outputs."""
    return network.layer_sizes[-1] if network.classes is None else len(network.classes)


# -- what an ensemble makes of it -------------------------------------------------------------------------------------------------


def moments(outputs: Outputs, *, squares: bool = True) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the standard deviation over the members.

    Both are counted from the first member: members that say the same have exactly that as mean, and no deviation.
    """
    first = next(outputs).astype(np.float64)
    count, total, square = 1, np.zeros_like(first), np.zeros_like(first)
    for values in outputs:
        difference = values - first
        count += 1
        total += difference
        if squares:
            square += difference * difference
    total /= count
    return first + total, np.sqrt(np.maximum(square / count - total * total, 0))


def mean(outputs: Outputs) -> NDArray[np.float64]:
    return moments(outputs, squares=False)[0]


def deviation(outputs: Outputs) -> NDArray[np.float64]:
    return moments(outputs)[1]


def majority(outputs: Outputs) -> NDArray[np.float64]:
    """The share of members whose most probable class it is, the first one of equals."""
    first = next(outputs)
    votes, count, starts = np.zeros(first.shape), 0, np.arange(0, first.size, first.shape[1])
    for values in chain([first], outputs):
        votes.reshape(-1)[starts + values.argmax(axis=1)] += 1
        count += 1
    return votes / count


def single(values: NDArray[Any]) -> NDArray[Any]:
    """Without the last axis, where there is one output."""
    return values[..., 0] if values.shape[-1] == 1 else values
