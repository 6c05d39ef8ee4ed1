"""Population: many networks that were trained at once; one by one, and as an ensemble."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, storage
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.literals import Vote
from fastmlp.networks import metrics
from fastmlp.networks.copied import Copied
from fastmlp.networks.ensemble import (
    Ensemble,
    Group,
    Grouped,
    Outputs,
    check_groups,
    contiguous,
    deviation,
    majority,
    mean,
    moments,
    single,
    thetas_of,
)
from fastmlp.networks.exported import Exportable
from fastmlp.networks.history import DivergedError, PopulationHistory, check_history, history_of_member, history_of_members
from fastmlp.networks.mlp import MLP
from fastmlp.networks.pictures import PopulationPictures
from fastmlp.networks.population_records import check_parameters, expected_population, of_population, population_arguments
from fastmlp.networks.provenance import made_with_of_member
from fastmlp.networks.records import ACCURACY_FIELDS, MADE_WITH_FIELDS
from fastmlp.networks.table import Table, member_table

OPTIONS = ("seed", "learning_rate", "l2", "momentum", "hidden", "activation", "batch_size")  # what members may differ in
GIVEN = ("seed", "learning_rate", "l2", "momentum", "batch_size")  # those that do not follow from the architecture
VOTES: tuple[Vote, ...] = get_args(Vote)


class Population(Grouped, Copied, Exportable, PopulationPictures):
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
        hidden and activation follow from the groups, and are not given. Also of l1, dropout, clip and average, if these were given
        for each.
    scores : (M,) float64
        The validation loss of the weights that each member keeps, with monitor="accuracy" the share of validation rows that they
        tell wrong, or without validation rows its last training loss.
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
    loss_function : function or None
        The loss of all members, if it is a function; it may be given to those from a file, see `MLP`.
    """

    FIXED = frozenset(("groups", "history", "options", "scores", "diverged", "same_targets"))

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
        super().__init__()  # its lock is that of its members, which may be asked for several times
        self.groups = tuple(contiguous(group) for group in groups)
        self.history = history
        self.scores = scores
        self.made_with = dict(made_with or {})
        self.same_targets = same_targets or len(scores) == 1
        check_groups(self.groups, len(scores))
        check_history(history, len(scores))
        self._given = dict(options)
        if set(options) != set(GIVEN) or any(len(values) != len(scores) for values in options.values()):
            raise ValueError(f"options must have {len(scores)} values for each of {', '.join(GIVEN)}")
        self._places = np.empty((len(scores), 2), np.intp)  # of each member: its group, and its row there
        for number, (_, members, *_) in enumerate(self.groups):
            self._places[members] = np.column_stack([np.full(len(members), number), np.arange(len(members))])

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "groups": tuple(contiguous(group) for group in state["groups"])})

    @cached_property
    def options(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {name: list(map(float, self._given[name])) for name in ("learning_rate", "l2", "momentum")}
        found["seed"] = list(map(int, self._given["seed"]))
        found["batch_size"] = [None if size is None else int(size) for size in self._given["batch_size"]]
        networks = [self.groups[number].network for number in self._places[:, 0].tolist()]
        found["hidden"] = [network.layer_sizes[1:-1] for network in networks]
        found["activation"] = [network.activations for network in networks]
        return {name: found[name] for name in OPTIONS} | {
            name: [self.groups[number].own[name] for number in self._places[:, 0].tolist()] for name in self.groups[0].own
        }

    @cached_property
    def diverged(self) -> NDArray[np.bool_]:
        return np.array([reason == "diverged" for reason in self.history.stopped_by])

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        return self.groups[0].network.feature_names

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._ensemble.dtype

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
        return single(self._ensemble.combined(X, mean))

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
        return self._ensemble.combined(X, mean if checks.one_of("vote", vote, VOTES) == "mean" else majority)

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
            return single(self._ensemble.by_member(X))
        if self.diverged.any():
            raise ValueError(
                f"predict_members has no label for members that diverged, such as {int(self.diverged.argmax())}: "
                "use population[~population.diverged]"
            )
        return self._ensemble.labels_by_member(X)

    def predict_proba_members(self, X: ArrayLike) -> NDArray[Any]:
        """The probabilities (M, N, K) that each member gives the classes, in their order: NaN for members that diverged.

        Raises
        ------
        ValueError
            As `MLP.predict_proba` does, and if the members' classes differ.
        """
        if self._ensemble.classes("predict_proba_members") is None:
            raise ValueError("predict_proba_members is for classifiers; these networks are regressors: use predict_members")
        return self._ensemble.by_member(X)

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
            return single(self._ensemble.combined(X, deviation))

        def of_the_class(outputs: Outputs) -> NDArray[np.float64]:
            mean, deviation = moments(outputs)
            said = mean.astype(self.dtype).argmax(axis=1)  # as predict sees it
            return np.take_along_axis(deviation, said[:, None], axis=1)

        return self._ensemble.combined(X, of_the_class, columns=1)[:, 0]

    @property
    def table(self) -> Table:
        """The members as rows: their options, final losses, epochs, and why they ended. It prints, and turns into CSV.

        The validation loss is that of the weights that a member keeps.
        """
        return member_table(self.options, self.history, self.scores)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all members, their options, scores and history to one .npz file; `fastmlp.load` reads it back exactly.

        Raises
        ------
        ValueError
            If a parameter of a member that did not diverge is not finite, or something else than a model is there.
        OSError
            If the file cannot be written; what stood there before is untouched.
        """
        storage.write_model(path, self._record())

    def _record(self) -> storage.Record:
        return of_population(self)

    def _formula(self, dtype: Any) -> Any:
        self._ensemble_classes("export")
        return self._ensemble.formula(repr(self)[1:-1], dtype)

    @cached_property
    def _ensemble(self) -> Ensemble:
        return Ensemble(self.groups, self.diverged)

    def _member(self, place: int) -> MLP:
        number, row = self._places[place].tolist()
        history = history_of_member(self.history, place)
        if self.diverged[place]:
            last = max(history.epochs - 1, 0)
            losses = [float(part[last]) for part in (history.loss, history.validation_loss) if part is not None and part.size]
            loss = next((loss for loss in losses if not np.isfinite(loss)), losses[0] if losses else np.nan)
            rate = np.nan if self.made_with.get("optimizer") in SOLVERS else float(self._given["learning_rate"][place])
            raise DivergedError(last, loss, rate)
        network = self.groups[number].network
        member = network.like(self.groups[number].theta[row])
        member.history, member.made_with = (
            history,
            made_with_of_member(
                self.made_with, {name: values[place] for name, values in self._given.items()} | {**self.groups[number].own}
            ),
        )
        member._updating = self._updating
        return member

    def _chosen(self, places: NDArray[np.intp]) -> Population:
        """A population of copies of these members."""
        numbers, rows = self._places[places].T
        own = [(group, np.flatnonzero(numbers == number)) for number, group in enumerate(self.groups)]
        groups = [group._replace(members=members, theta=group.theta[rows[members]]) for group, members in own if len(members)]
        chosen = history_of_members(self.history, places)
        options = {name: [values[place] for place in places.tolist()] for name, values in self._given.items()}
        return Population(groups, chosen, options, self.scores[places], same_targets=self.same_targets, made_with=self.made_with)

    def thetas(self, places: Sequence[int]) -> NDArray[Any]:
        """The parameters (m, P) of some members, of groups of one architecture."""
        return thetas_of(self.groups, *self._places[places].T)

    def _ensemble_classes(self, what: str) -> NDArray[Any] | None:
        """The classes of members that can vote; None for regressors."""
        if not self.same_targets:
            raise ValueError(f"{what} needs members that learned the same targets; each of these has its own: use predict_members")
        if not self._ensemble.members:
            raise ValueError(f"{what} needs a member that did not diverge; all {len(self)} did")
        return self._ensemble.classes(what)


def _of_record(record: storage.Record) -> Population:
    population = Population(**population_arguments(record))
    check_parameters(population.groups, population.diverged)
    return population


KIND = storage.ModelKind(
    {"epochs": int, "validation": bool, "same_targets": bool},
    {**MADE_WITH_FIELDS, **ACCURACY_FIELDS},
    expected_population,
    _of_record,
)
