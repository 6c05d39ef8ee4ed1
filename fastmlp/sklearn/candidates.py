"""Candidates of a search on the folds of its data: their networks are members of populations, as far as they can be."""

from __future__ import annotations

import pickle
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.networks.history import DivergedError
from fastmlp.sklearn.checked_rows import Rows, laid_out
from fastmlp.sklearn.estimator import NetworkEstimator
from fastmlp.sklearn.stochastic import INTERRUPTED, LossTerms, check_weights
from fastmlp.sklearn.translation import check_estimator, drawn_seed, member_options
from fastmlp.training.many import train_begun

OF_DATA = ("n_features_in_", "feature_names_in_", "classes_")  # attributes of an estimator that has seen them

# -- pipelines ------------------------------------------------------------------------------------------------------------------


def last_of(estimator: Any) -> Any:
    """The last step of a pipeline; or what is none."""
    return last_of(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def with_last(estimator: Any, last: Any) -> Any:
    """A pipeline of the same steps but for the last one; or that one alone, in the place of what is no pipeline."""
    if not isinstance(estimator, Pipeline):
        return last
    other, (name, inner) = copy(estimator), estimator.steps[-1]
    other.steps = [*estimator.steps[:-1], (name, with_last(inner, last))]
    return other


class _Receiver(BaseEstimator):
    """Stands at the end of a pipeline in the place of a network, and keeps what that would be given to learn from."""

    def __init__(self, network: NetworkEstimator) -> None:
        self.network = network

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        numbers = sparse.issparse(X) and X.dtype.char in "fd"
        self.received = laid_out(X, X.dtype) if numbers else X, y, params  # once, not for each network
        return self

    def get_metadata_routing(self) -> Any:
        return self.network.get_metadata_routing()


# -- what is learned from -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Piece:
    """Rows that some networks learn from alike."""

    rows: Rows
    places: NDArray[np.intp] | None  # of the rows in X, if they are those of X, and all count the same
    attributes: dict[str, Any]  # of an estimator that has seen them


@dataclass
class _Fold:
    """The rows of a fold to learn from, after the steps of a pipeline."""

    steps: Any  # which are fitted, with a _Receiver at their end
    places: NDArray[np.intp] | None  # of the rows in X, if there are no steps
    pieces: dict[str, _Piece] = field(default_factory=dict)

    @property
    def received(self) -> tuple[Any, Any, dict[str, Any]]:
        """X, y, and parameters of fit."""
        return last_of(self.steps).received

    def begin(self, network: Any, random: np.random.RandomState) -> _Piece:
        """Makes a first network for the rows, and gives these as it learns from them."""
        alike = repr((type(network), network.dtype, network.loss, getattr(network, "class_weight", None)))
        if alike in self.pieces:
            piece = self.pieces[alike]
            vars(network).update(piece.attributes)
            network._begin(piece.rows.x, piece.rows.targets, random)
            return piece
        x, y, params = self.received
        rows = network._rows(x, y, random=random, **{"sample_weight": None, **params})
        attributes = {name: value for name, value in vars(network).items() if name in OF_DATA}
        self.pieces[alike] = _Piece(rows, self.places if len(rows.weights) == 1 else None, attributes)
        return self.pieces[alike]


@dataclass
class _Folds:
    """The rows of one fold, after the steps of each pipeline."""

    x: Any
    y: Any
    params: dict[str, Any]  # of fit
    train: Any  # the rows to learn from
    found: dict[Any, _Fold | Exception] = field(default_factory=dict)

    def after(self, estimator: Any, key: Any) -> _Fold:
        """The steps of an estimator, which are those of all with this key."""
        if key not in self.found:
            try:
                self.found[key] = self._after(clone(estimator))
            except Exception as error:  # whatever a step may raise
                self.found[key] = error
        fold = self.found[key]
        if isinstance(fold, Exception):
            raise fold
        return fold

    def _after(self, estimator: Any) -> _Fold:
        steps = with_last(estimator, _Receiver(last_of(estimator)))
        x, y = _safe_split(estimator, self.x, self.y, self.train)
        steps.fit(x, y, **_check_method_params(self.x, self.params, indices=self.train))
        return _Fold(steps, None if isinstance(estimator, Pipeline) else np.arange(_num_samples(self.x))[self.train])


def _key_of_steps(estimator: Any) -> Any:
    """Equal for pipelines whose steps but for the last one have the same parameters."""
    steps = with_last(estimator, None)
    try:
        return pickle.dumps(steps)
    except Exception:  # whatever cannot be pickled is like nothing else
        return steps


# -- networks on folds ----------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """A candidate on a fold."""

    estimator: Any
    trained: bool = True  # or failed
    error: Exception | None = None
    seconds: float = 0.0  # that its training took, or its share of them

    def as_fitted(self) -> Any:
        """The estimator, which takes the first call of its fit for done."""
        if self.trained:
            self.estimator.fit = self._fit
        return self.estimator

    def _fit(self, *_: Any, **__: Any) -> Any:
        del self.estimator.fit
        if self.error is not None:
            raise self.error
        return self.estimator


@dataclass
class _Member:
    """A network that can be a member of a population."""

    trial: Trial
    network: Any  # an estimator
    piece: _Piece
    own: dict[str, Any]  # options of train_many: its own, and those that its population has in common
    shared: dict[str, Any]

    @classmethod
    def of(cls, trial: Trial, network: Any, fold: _Fold) -> Self:
        """Of a network that is to learn a fold."""
        random = network._random()
        piece = fold.begin(network, random)
        rows, n = piece.rows, len(piece.rows.x)
        own, shared = (dict(options) for options in member_options(network, n, rows.mean_weight))
        del own["hidden"], own["activation"]  # which the first network tells
        shuffled = shared["shuffle"] and own["batch_size"] < n
        own |= {"epochs": shared.pop("epochs"), "init": network.model_, "seed": drawn_seed(random) if shuffled else 0}
        if shared["tol"]:
            shared["tol"] /= LossTerms.of(network.model_, rows.targets, rows.weights).factor
        return cls(trial, network, piece, own, shared)

    def population(self) -> tuple[Any, ...]:
        """What the members of one population agree in."""
        x, targets = self.piece.rows.x, self.piece.rows.targets
        labelled = self.network.model_.classes is not None
        return x.shape[1], x.dtype, targets.shape[1], labelled, self.piece.places is None, *self.shared.values()

    def end(self, theta: NDArray[Any], epochs: int, stopped_by: str) -> None:
        """As fit would, but for the curves of the losses."""
        self.network.model_.theta[:] = theta
        self.network.n_iter_, self.network.t_ = epochs, epochs * len(self.piece.rows.x)
        try:
            check_weights(self.network.model_, stopped_by == "diverged")
        except ValueError as error:
            self.trial.error = error


def _can_be_member(network: Any, y: Any) -> bool:
    """Whether train_many trains it as fit does. There the loss of a regressor is a mean over its outputs, beside which the penalty,
    seen by tol with it, weighs more."""
    weighs_more = isinstance(network, RegressorMixin) and np.ndim(y) == 2 and np.shape(y)[1] > 1 and network.alpha > 0
    return not (network.solver in SOLVERS or network.early_stopping or network.verbose or network.momentum == 1 or weighs_more)


def _begun(trial: Trial, folds: _Folds, key: Any) -> _Member | None:
    """A member that has begun, or none if the network has been trained alone, or has failed."""
    network = last_of(trial.estimator)
    if not isinstance(network, NetworkEstimator):
        trial.trained = False
        return None
    try:
        fold = folds.after(trial.estimator, key)
        trial.estimator = with_last(fold.steps, network)
        check_estimator(network)
        x, y, params = fold.received
        if _can_be_member(network, y):
            return _Member.of(trial, network, fold)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", INTERRUPTED)
            network.fit(x, y, **params)
        trial.seconds = time.perf_counter() - began
    except UserWarning as warning:
        if str(warning).startswith(INTERRUPTED):
            raise KeyboardInterrupt from None
        trial.error = warning
    except Exception as error:  # that of one candidate on one fold
        trial.error = error
    return None


def train_candidates(
    estimator: Any,
    candidates: Sequence[dict[str, Any]],
    x: Any,
    y: Any,
    params: dict[str, Any],
    trains: Sequence[Any],
    executor: Any = None,
) -> list[Trial]:
    """Each candidate on each fold: those of the first candidate, then those of the next one.

    The steps before the networks are fitted once for a fold and those of their parameters that come up. Networks are members of as
    few populations as train them in the way that fit would; others are fitted one by one; what does not end in one is not fitted.
    """
    made = [clone(estimator).set_params(**clone(one, safe=False)) for one in candidates]  # rejects parameters that it has not
    keys = list(map(_key_of_steps, made))
    trials: list[list[Trial]] = [[] for _ in made]
    populations: dict[Any, list[_Member]] = defaultdict(list)
    for train in trains:
        folds = _Folds(x, y, params, train)
        for one, key, of_one in zip(made, keys, trials, strict=True):
            of_one.append(Trial(clone(one)))
            member = _begun(of_one[-1], folds, key)
            if member is not None:
                populations[member.population()].append(member)
    unfinished = sum(_train(members, executor) for members in populations.values())
    if unfinished:
        every = sum(map(len, populations.values()))
        message = f"{unfinished} of {every} trainings came to max_iter epochs before the optimization had converged"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return [trial for of_one in trials for trial in of_one]


# -- populations ----------------------------------------------------------------------------------------------------------------


def _train(members: list[_Member], executor: Any) -> int:
    """Trains the members of a population, and gives the number of those that have not converged."""
    began, unfinished = time.perf_counter(), 0
    own = {name: [member.own[name] for member in members] for name in members[0].own}
    try:
        population = train_begun(**_data_of(members), **own, **members[0].shared, executor=executor)
    except DivergedError:
        for member in members:
            member.end(member.network.model_.theta, 0, "diverged")
    else:
        history = population.history
        if "interrupt" in history.stopped_by:
            raise KeyboardInterrupt
        unfinished = history.stopped_by.count("epochs")
        for group in population.groups:
            for place, theta in zip(group.members.tolist(), group.theta, strict=True):
                members[place].end(theta, int(history.epochs[place]), history.stopped_by[place])
    for member in members:
        member.trial.seconds = (time.perf_counter() - began) / len(members)
    return unfinished


def _data_of(members: list[_Member]) -> dict[str, Any]:
    """X, y, rows and sample_weight of train_many."""
    pieces = {member.piece: _targets_of(member) for member in members}
    lengths = [len(piece.rows.x) for piece in pieces]
    places = [
        np.arange(end - length, end) if piece.places is None else piece.places
        for piece, length, end in zip(pieces, lengths, np.cumsum(lengths).tolist(), strict=True)
    ]
    weights = [np.broadcast_to(piece.rows.weights, length) for piece, length in zip(pieces, lengths, strict=True)]
    place_of = dict(zip(pieces, places, strict=True))
    return {
        "X": _at(places, [piece.rows.x for piece in pieces]),
        "y": _at(places, list(pieces.values())),
        "rows": [place_of[member.piece] for member in members],
        "sample_weight": None if all(len(piece.rows.weights) == 1 for piece in pieces) else np.concatenate(weights),
    }


def _targets_of(member: _Member) -> NDArray[Any]:
    """Labels (N,), or numbers (N,) or (N, 1, K)."""
    targets, classes = member.piece.rows.targets, member.network.model_.classes
    if classes is not None:
        return classes[targets[:, 0].astype(np.intp)]
    return targets[:, 0] if targets.shape[1] == 1 else targets[:, None]


def _at(places: list[NDArray[np.intp]], parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The rows of all parts at their places; 0 where no part has one."""
    joined, where = np.concatenate(parts), np.concatenate(places)
    whole = np.zeros((where.max() + 1, *joined.shape[1:]), joined.dtype)
    whole[where] = joined
    return whole
