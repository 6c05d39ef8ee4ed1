"""Population: many networks that were trained at once; one by one, and as an ensemble."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from threading import Lock
from typing import Any, NamedTuple, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, storage
from fastmlp.literals import Vote
from fastmlp.networks import metrics
from fastmlp.networks.mlp import MLP, Copied, DivergedError, History
from fastmlp.networks.prediction import outputs_in_turn
from fastmlp.networks.table import Table
from fastmlp.threads import LONGEST_CALL, threads_for, workers

OPTIONS = ("seed", "learning_rate", "l2", "momentum", "hidden", "activation", "batch_size")  # what members may differ in
GIVEN = ("seed", "learning_rate", "l2", "momentum", "batch_size")  # those that do not follow from the architecture
VOTES: tuple[Vote, ...] = get_args(Vote)
FEWEST_ROWS = 64  # that are worth a call of the kernel for each member
CHUNK = 1 << 16  # inputs and outputs of rows that all members are asked about together

Outputs = Iterator[NDArray[Any]]  # (n, K) of one member after the other, for the same rows and in the same array


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
    """

    network: MLP
    members: NDArray[np.intp]
    theta: NDArray[Any]

    def __repr__(self) -> str:
        return f"<Group of {len(self.members)} like {self.network}>"


@dataclass
class PopulationHistory:
    """How the training of M members went.

    Attributes
    ----------
    loss : (M, E) float64
        Of each member the mean loss over the samples in each epoch, as in `History`; NaN after the member's end.
    validation_loss : (M, E) float64 or None
        The mean loss over the validation rows after each epoch; NaN after the member's end.
    epochs : (M,) int64
        Epochs that each member completed; of a diverged one, the last is that in which it did.
    stopped_by : list of str
        For each member "epochs", "target_loss", "patience", "on_epoch", "interrupt", "halving" or "diverged".
    """

    loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64] | None
    epochs: NDArray[np.int64]
    stopped_by: list[str]

    def __repr__(self) -> str:
        ends = ", ".join(f"{reason} {count}" for reason, count in Counter(self.stopped_by).items())
        return f"<PopulationHistory of {len(self.epochs)} members, at most {self.loss.shape[1]} epochs: stopped by {ends}>"


class Population(Copied):
    """Many networks for the same inputs, in the order in which they were asked for.

    `fastmlp.load` reads one from a file. `population[i]` is member i as an ordinary `MLP`, whose theta is a view: writing to it
    changes the population too. A slice, or a 1-D array of places or of booleans, gives a population of copies of those members.

    A member that diverged stays in its place. To take it, also by iterating, raises `DivergedError`; ensembles leave it out, and
    `population[~population.diverged]` is without such members.

    Attributes
    ----------
    history : PopulationHistory
        How the members' training went.
    options : dict of str to list
        For each name of seed, learning_rate, l2, momentum, hidden, activation and batch_size, the value of each of the M members;
        hidden and activation follow from the groups, and are not given.
    scores : (M,) float64
        The validation loss of the weights that each member keeps, or without validation rows its last training loss.
    diverged : (M,) bool
        Which members diverged.
    same_targets : bool
        Whether all members learned the same targets, so that they can vote.
    groups : tuple of Group
        The members by architecture.
    made_with : dict
        What all were trained with, as that of an `MLP`; what members may differ in is in `options`.
    feature_names : tuple of str or None
        The names of the columns that the members were trained on, if these had names; see `MLP`.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        history: PopulationHistory,
        options: Mapping[str, Sequence[Any]],
        scores: NDArray[np.float64],
        *,
        same_targets: bool = True,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.groups = tuple(_contiguous(group) for group in groups)
        self.history = history
        self.scores = scores
        self.made_with = dict(made_with or {})
        self.same_targets = same_targets or len(scores) == 1
        _check_groups(self.groups, len(scores))
        _check_history(history, len(scores))
        self._given = dict(options)
        self._updating = Lock()  # of its members, which may be asked for several times
        if set(options) != set(GIVEN) or any(len(values) != len(scores) for values in options.values()):
            raise ValueError(f"options must have {len(scores)} values for each of {', '.join(GIVEN)}")
        self._places = np.empty((len(scores), 2), np.intp)  # of each member: its group, and its row there
        for number, (_, members, _) in enumerate(self.groups):
            self._places[members] = np.column_stack([np.full(len(members), number), np.arange(len(members))])

    @cached_property
    def options(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {name: list(map(float, self._given[name])) for name in ("learning_rate", "l2", "momentum")}
        found["seed"] = list(map(int, self._given["seed"]))
        found["batch_size"] = [None if size is None else int(size) for size in self._given["batch_size"]]
        networks = [self.groups[number].network for number in self._places[:, 0].tolist()]
        found["hidden"] = [network.layer_sizes[1:-1] for network in networks]
        found["activation"] = [network.activations for network in networks]
        return {name: found[name] for name in OPTIONS}

    @cached_property
    def diverged(self) -> NDArray[np.bool_]:
        return np.array([reason == "diverged" for reason in self.history.stopped_by])

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        return self.groups[0].network.feature_names

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*(group.theta for group in self.groups))

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        networks = [group.network for group in self.groups]
        shapes = {(network.layer_sizes, network.activations, network.output) for network in networks}
        shape = f": {'-'.join(map(str, networks[0].layer_sizes))} " if len(shapes) == 1 else f" in {len(shapes)} architectures: "
        counts = sorted({len(network.classes) for network in networks if network.classes is not None})
        kind = f"classifiers of {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}" if counts else "regressors"
        return f"<Population of {len(self)}{shape}{kind}, {self.dtype}>"

    def __iter__(self) -> Iterator[MLP]:
        return (self[place] for place in range(len(self)))

    @overload
    def __getitem__(self, which: int | np.integer) -> MLP: ...

    @overload
    def __getitem__(self, which: slice | ArrayLike) -> Population: ...

    def __getitem__(self, which: Any) -> MLP | Population:
        if isinstance(which, slice):
            return self._chosen(arrays.places(np.arange(len(self))[which], len(self)))
        if isinstance(which, int | np.integer) and not isinstance(which, bool):
            return self._member(int(arrays.places([int(which)], len(self))[0]))
        return self._chosen(arrays.places(which, len(self)))

    @checks.takes_options()
    def best(self, n: int = 1) -> Population:
        """The n members of the smallest score, the best one first; of equal ones the earlier is first.

        Raises
        ------
        ValueError
            If fewer than n members did not diverge.
        """
        places = np.flatnonzero(~self.diverged)
        checks.at_most("n", checks.positive_int("n", n), len(places), "members, those that did not diverge")
        return self._chosen(places[np.argsort(self.scores[places], kind="stable")[:n]])

    @checks.takes_options()
    def predict(self, X: ArrayLike, vote: Vote = "mean") -> NDArray[Any]:
        """What the ensemble says: the class of each row with the largest share of `predict_proba`, or the mean output.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.
        vote : {"mean", "majority"}
            See `predict_proba`. Regressors know the mean alone.

        Returns
        -------
        (N,) labels of classifiers; (N,) outputs of regressors with one output, (N, K) with several. Of classes with equal shares
        the first is taken.

        Raises
        ------
        ValueError
            As `MLP.predict` does; if the members learned different targets or classes, or all of them diverged.
        """
        classes = self._ensemble_classes("predict")
        if classes is not None:
            return classes[self.predict_proba(X, vote).argmax(axis=1)]
        if checks.one_of("vote", vote, VOTES) == "majority":
            raise ValueError("vote='majority' is for classifiers; these networks are regressors: use vote='mean'")
        return _single(self._ensemble(X, _mean))

    @checks.takes_options()
    def predict_proba(self, X: ArrayLike, vote: Vote = "mean") -> NDArray[Any]:
        """The ensemble's probabilities (N, K) of the classes, in their order, of the members that did not diverge.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.
        vote : {"mean", "majority"}
            The mean of the members' probabilities, or the share of members whose most probable class it is.

        Raises
        ------
        ValueError
            As `predict` does, and for regressors.
        """
        if self._ensemble_classes("predict_proba") is None:
            raise ValueError("predict_proba is for classifiers; these networks are regressors: use predict")
        return self._ensemble(X, _mean if checks.one_of("vote", vote, VOTES) == "mean" else _majority)

    def predict_members(self, X: ArrayLike) -> NDArray[Any]:
        """What each member says, as `MLP.predict` does.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.

        Returns
        -------
        (M, N) labels of classifiers; (M, N) outputs of regressors with one output, (M, N, K) with several: NaN for members that
        diverged.

        Raises
        ------
        ValueError
            As `MLP.predict` does; for classifiers of which some diverged, since no label says so.
        """
        if self.groups[0].network.classes is None:
            return _single(self._by_member(X))
        if self.diverged.any():
            raise ValueError(
                f"predict_members has no label for members that diverged, such as {int(self.diverged.argmax())}: "
                "use population[~population.diverged]"
            )
        labels = [group.network.classes for group in self.groups if group.network.classes is not None]
        rows = self._inputs(X)
        out = np.empty((len(self), len(rows[0])), np.result_type(*labels))

        def answer(chunk: slice, outputs: Outputs) -> None:
            for place, values in zip(self._working, outputs, strict=True):
                out[place, chunk] = labels[self._places[place, 0]][values.argmax(axis=1)]

        self._run(rows, answer)
        return out

    def predict_proba_members(self, X: ArrayLike) -> NDArray[Any]:
        """The probabilities (M, N, K) that each member gives the classes, in their order: NaN for members that diverged.

        Raises
        ------
        ValueError
            As `MLP.predict_proba` does, and if the members' classes differ.
        """
        if self._common_classes("predict_proba_members") is None:
            raise ValueError("predict_proba_members is for classifiers; these networks are regressors: use predict_members")
        return self._by_member(X)

    @checks.takes_options()
    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, vote: Vote = "mean") -> float:
        """The accuracy of an ensemble of classifiers, the coefficient of determination R2 of one of regressors: see `evaluate`."""
        return self.evaluate(X, y, sample_weight, vote).score

    @checks.takes_options()
    def evaluate(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, vote: Vote = "mean"
    ) -> metrics.Evaluation:
        """How good the predictions of the ensemble are. `population[i].evaluate` tells it of one member.

        Parameters
        ----------
        X, y, sample_weight
            As for `MLP.evaluate`.
        vote : {"mean", "majority"}
            See `predict_proba`. Regressors know the mean alone.

        Raises
        ------
        ValueError
            As `predict` and `MLP.evaluate` do.
        """
        classes = self._ensemble_classes("evaluate")
        if classes is None:
            return metrics.of_numbers(self.predict(X, vote), y, sample_weight)
        return metrics.of_classes(self.predict_proba(X, vote), y, classes, sample_weight)

    def spread(self, X: ArrayLike) -> NDArray[Any]:
        """How far the members that did not diverge disagree: a standard deviation over them, 0 where all say the same.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.

        Returns
        -------
        (N,) of the probability of the class that `predict` gives; of the outputs of regressors, (N, K) if they have several.

        Raises
        ------
        ValueError
            As `predict` does.
        """
        if self._ensemble_classes("spread") is None:
            return _single(self._ensemble(X, _deviation))

        def of_the_class(outputs: Outputs) -> NDArray[np.float64]:
            mean, deviation = _moments(outputs)
            said = mean.astype(self.dtype).argmax(axis=1)  # as predict sees it
            return np.take_along_axis(deviation, said[:, None], axis=1)

        return self._ensemble(X, of_the_class, columns=1)[:, 0]

    @property
    def table(self) -> Table:
        """The members as rows: their options, final losses, epochs, and why they ended. It prints, and turns into CSV.

        The validation loss is that of the weights that a member keeps.
        """
        history = self.history
        last = np.maximum(history.epochs - 1, 0)[:, None]
        losses = np.take_along_axis(history.loss, last, axis=1)[:, 0] if history.loss.size else np.full(len(self), np.nan)
        ends = {"loss": losses.tolist()}
        if history.validation_loss is not None:
            ends["validation_loss"] = self.scores.tolist()
        varied = [name for name in OPTIONS if name == "seed" or len(set(self.options[name])) > 1]
        return Table(
            {"member": list(range(len(self))), **self.options, **ends,
             "epochs": history.epochs.tolist(), "stopped_by": list(history.stopped_by)},
            ("member", *varied, *ends, "epochs", "stopped_by"),
        )  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all members, their options, scores and history to one .npz file; `fastmlp.load` reads it back exactly.

        Raises
        ------
        ValueError
            If a parameter of a member that did not diverge is not finite, or something else than a model is there.
        OSError
            If the file cannot be written; what stood there before is untouched.
        """
        storage.save_model(path, self)

    # -- members ------------------------------------------------------------------------------------------------------------------

    @cached_property
    def _working(self) -> list[int]:
        """Members that did not diverge, group by group."""
        return [place for group in self.groups for place in group.members.tolist() if not self.diverged[place]]

    def _member(self, place: int) -> MLP:
        number, row = self._places[place].tolist()
        history = self._history(place)
        if self.diverged[place]:
            last = max(history.epochs - 1, 0)
            losses = [float(part[last]) for part in (history.loss, history.validation_loss) if part is not None and part.size]
            loss = next((loss for loss in losses if not np.isfinite(loss)), losses[0] if losses else np.nan)
            raise DivergedError(last, loss, float(self._given["learning_rate"][place]))
        network = self.groups[number].network
        member = network.like(self.groups[number].theta[row])
        member.history, member.made_with = history, self._made_with(place)
        member._updating = self._updating
        return member

    def _made_with(self, place: int) -> dict[str, Any]:
        """What a member was made with, as the record of `train` has it."""
        if not self.made_with:
            return {}
        own = {name: self._given[name][place] for name in GIVEN}
        own = {name: value.item() if isinstance(value, np.generic) else value for name, value in own.items()}
        seed = own.pop("seed")
        return {"seed": seed, **self.made_with, "options": {**self.made_with.get("options", {}), **own}}

    def _history(self, place: int) -> History:
        """A member's own history, without what comes after its end."""
        epochs = int(self.history.epochs[place])
        validation_loss = self.history.validation_loss
        own_validation_loss = None if validation_loss is None else validation_loss[place, :epochs]
        return History(self.history.loss[place, :epochs], own_validation_loss, epochs, self.history.stopped_by[place])

    def _chosen(self, places: NDArray[np.intp]) -> Population:
        """A population of copies of these members."""
        numbers, rows = self._places[places].T
        groups = []
        for number, group in enumerate(self.groups):
            members = np.flatnonzero(numbers == number)
            if len(members):
                groups.append(Group(group.network, members, group.theta[rows[members]]))
        history = self.history
        chosen = PopulationHistory(
            history.loss[places],
            None if history.validation_loss is None else history.validation_loss[places],
            history.epochs[places],
            [history.stopped_by[place] for place in places.tolist()],
        )
        options = {name: [values[place] for place in places.tolist()] for name, values in self._given.items()}
        return Population(groups, chosen, options, self.scores[places], same_targets=self.same_targets, made_with=self.made_with)

    def thetas(self, places: Sequence[int]) -> NDArray[Any]:
        """The parameters (m, P) of some members, of groups of one architecture."""
        numbers, rows = self._places[places].T
        first = self.groups[numbers[0]].theta
        if (numbers == numbers[0]).all():
            return first[rows]
        theta = np.empty((len(rows), first.shape[1]), first.dtype)
        for number in np.unique(numbers).tolist():
            theta[numbers == number] = self.groups[number].theta[rows[numbers == number]]
        return theta

    # -- ensembles ----------------------------------------------------------------------------------------------------------------

    def _common_classes(self, what: str) -> NDArray[Any] | None:
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

    def _ensemble_classes(self, what: str) -> NDArray[Any] | None:
        """The same, of members that can vote."""
        if not self.same_targets:
            raise ValueError(f"{what} needs members that learned the same targets; each of these has its own: use predict_members")
        if not self._working:
            raise ValueError(f"{what} needs a member that did not diverge; all {len(self)} did")
        return self._common_classes(what)

    def _ensemble(self, X: ArrayLike, combine: Callable[[Outputs], NDArray[Any]], columns: int | None = None) -> NDArray[Any]:
        """What `combine` makes of the members' outputs, for each row: (N, K), or so many columns."""
        rows = self._inputs(X)
        out = np.empty((len(rows[0]), columns or self._columns(0)), self.dtype)

        def answer(chunk: slice, outputs: Outputs) -> None:
            out[chunk] = combine(outputs)

        self._run(rows, answer)
        return out

    def _by_member(self, X: ArrayLike) -> NDArray[Any]:
        """The outputs of all members: (M, N, K)."""
        rows = self._inputs(X)
        out = np.full((len(self), len(rows[0]), self._columns(0)), np.nan, self.dtype)

        def answer(chunk: slice, outputs: Outputs) -> None:
            for place, values in zip(self._working, outputs, strict=True):
                out[place, chunk] = values

        self._run(rows, answer)
        return out

    def _columns(self, number: int) -> int:
        """K of a group's members: classes, or a regressor's outputs."""
        network = self.groups[number].network
        return network.layer_sizes[-1] if network.classes is None else len(network.classes)

    def _inputs(self, X: ArrayLike) -> list[NDArray[Any]]:
        """X as each group takes it."""
        known: dict[Any, NDArray[Any]] = {}
        for network, _, theta in self.groups:
            key = theta.dtype, network.feature_names
            if key not in known:
                known[key] = arrays.matrix(
                    "X", X, theta.dtype, columns=network.layer_sizes[0], names=network.feature_names, empty=True
                )
        return [known[group.theta.dtype, group.network.feature_names] for group in self.groups]

    def _run(self, rows: list[NDArray[Any]], answer: Callable[[slice, Outputs], None]) -> None:
        """Calls answer(chunk, outputs of each working member) for all rows, a chunk at a time, on several threads if that pays.

        Held are a chunk's outputs of one member at a time; members come in the same order for any number of threads.
        """
        n = len(rows[0])
        parameters = sum(group.theta.size for group in self.groups)
        width = max(group.network.layer_sizes[0] + self._columns(number) for number, group in enumerate(self.groups))
        threads = threads_for(n * parameters)
        most = max(FEWEST_ROWS, min(CHUNK // width, LONGEST_CALL // parameters))
        size = max(1, min(most, -(-n // threads)))

        def outputs(chunk: slice) -> Outputs:
            for number, (network, members, theta) in enumerate(self.groups):
                x = arrays.floating(rows[number][chunk], theta.dtype)
                working = compress(theta, ~self.diverged[members])
                yield from outputs_in_turn(working, network.layers, x, self._columns(number))

        jobs = [slice(first, first + size) for first in range(0, n, size)]
        with workers(max(1, min(threads, len(jobs)))) as share_out:
            share_out(lambda chunk: answer(chunk, outputs(chunk)), jobs)


def _contiguous(group: Group) -> Group:
    """The group with arrays as the kernels take them; copied only if need be."""
    return Group(group.network, np.asarray(group.members, np.intp), np.ascontiguousarray(group.theta))


def _check_groups(groups: Sequence[Group], count: int) -> None:
    """Rejects groups that do not make a population of so many members."""
    for network, members, theta in groups:
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


def _check_history(history: PopulationHistory, count: int) -> None:
    shape = history.loss.shape
    validation = history.loss if history.validation_loss is None else history.validation_loss
    if len(shape) != 2 or shape != validation.shape or not len(history.epochs) == len(history.stopped_by) == shape[0] == count:
        raise ValueError(f"history must be that of {count} members; got losses of shapes {shape} and {validation.shape}")
    if history.epochs.min() < 0 or history.epochs.max() > shape[1]:
        raise ValueError(
            f"epochs must be from 0 to {shape[1]}, of which there are losses; got {history.epochs.min()} to {history.epochs.max()}"
        )


# -- votes ------------------------------------------------------------------------------------------------------------------------


def _single(values: NDArray[Any]) -> NDArray[Any]:
    """Without the last axis, where there is one output."""
    return values[..., 0] if values.shape[-1] == 1 else values


def _moments(outputs: Outputs, *, squares: bool = True) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def _mean(outputs: Outputs) -> NDArray[np.float64]:
    return _moments(outputs, squares=False)[0]


def _deviation(outputs: Outputs) -> NDArray[np.float64]:
    return _moments(outputs)[1]


def _majority(outputs: Outputs) -> NDArray[np.float64]:
    """The share of members whose most probable class it is, the first one of equals."""
    first = next(outputs)
    votes, count, starts = np.zeros(first.shape), 0, np.arange(0, first.size, first.shape[1])
    for values in chain([first], outputs):
        votes.reshape(-1)[starts + values.argmax(axis=1)] += 1
        count += 1
    return votes / count
