"""PopulationSearchCV: a search of scikit-learn's kind, whose candidates on all folds are members of one population."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from fastmlp import checks
from fastmlp.executors import engine_of
from fastmlp.sklearn.candidates import Trial, train_candidates

Candidates = list[dict[str, Any]]
Results = dict[str, Any]  # as cv_results_ has them


class PopulationSearchCV(BaseSearchCV):
    """A search for the best parameters, in which all candidates are trained on all folds at once.

    What `GridSearchCV`, `RandomizedSearchCV` and `HalvingGridSearchCV` of scikit-learn do, for `MLPClassifier` and `MLPRegressor`
    of this package, or a pipeline that ends in one: its other steps are fitted once for each fold, and once for each combination of
    their own parameters. The networks are members of one population (`fastmlp.train_many`), or of as many as there are kinds that
    cannot be trained together: solvers, schedules, columns of X. A candidate scores what it would if it were fitted alone, up to
    rounding. Those with solver="lbfgs", early_stopping or verbose, and regressors of several outputs with an alpha, are indeed
    fitted one by one. The others, as scorers are given them, have no loss_, best_loss_ and loss_curve_; best_estimator_ has.

    Parameters
    ----------
    estimator : estimator
        A network, or a pipeline whose last step is one. Any other is searched, too, one fit after the other.
    param_grid : dict, or list of dict
        Names of parameters and the values of each: all combinations are candidates.
    param_distributions : dict, or list of dict
        In the place of param_grid: names of parameters, and lists or distributions (with a method rvs) of their values.
    n_iter : int
        How many candidates are drawn from param_distributions.
    scoring : str, callable, list, tuple, dict or None
        As for `GridSearchCV`; by default the score of the estimator.
    n_jobs : int or None
        Not used: the threads of a population are those of the estimator's `threads`. It is there for programs that give it.
    refit : bool, str or callable
        Whether to fit the best candidate on all rows; of several scores the name of that to choose it by; or what chooses it from
        cv_results_.
    cv : int, splitter or iterable
        As for `GridSearchCV`; by default five folds.
    halving : int or None
        Successive halving, as by `HalvingGridSearchCV` with resource="max_iter" and this factor: all candidates are trained for a
        few epochs, the best of them, one in so many, anew for so many times as many, and so on, up to max_iter of the estimator.
    random_state : int, RandomState or None
        Of the candidates that are drawn.
    error_score : "raise" or number
        The score of a candidate that fails on a fold, as by diverging, with a FitFailedWarning; "raise" raises what it failed by.
    return_train_score : bool
        Whether to score the rows that were learned from, too.
    verbose : int
        As for `GridSearchCV`.
    executor : concurrent.futures.Executor or dask.distributed.Client
        Who trains the populations, as for `fastmlp.train_many`; the estimator is then without `threads`. Steps of pipelines, and
        networks that are fitted one by one, are fitted here. Clones share it; pickles and deep copies are without it.

    Attributes
    ----------
    cv_results_, best_params_, best_score_, best_index_, best_estimator_, refit_time_, n_splits_, scorer_, multimetric_, classes_,
    n_features_in_, feature_names_in_
        As those of `GridSearchCV`. mean_fit_time is a candidate's share of the time of its population. With halving, cv_results_
        has iter and n_resources, and the best is one of the last iteration.
    n_candidates_, n_resources_ : list of int
        With halving: of each iteration, how many candidates it trained, and for how many epochs.
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., int] = True,
        cv: Any = None,
        halving: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        verbose: int = 0,
        executor: Any = None,
    ) -> None:
        super().__init__(
            estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose, error_score=error_score,
            return_train_score=return_train_score,
        )  # fmt: skip
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.halving = halving
        self.random_state = random_state
        self.executor = executor

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "executor": None}

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(vars(self))
        return other

    def __sklearn_clone__(self) -> Self:
        """Another one with the same executor, which has no copy."""
        without = copy(self)
        without.executor = None
        other: Self = super(PopulationSearchCV, without).__sklearn_clone__()
        other.executor = self.executor
        return other

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Train and score all candidates on all folds, and fit the best one on all rows.

        Parameters
        ----------
        X : (N, D) array, data frame or sparse matrix
            Rows of inputs, or what the first step of a pipeline takes.
        y : (N,) or (N, K)
            Targets.
        **params
            Parameters of fit, such as sample_weight, of which each fold has its part; and groups, for the splitter.

        Returns
        -------
        The search.

        Raises
        ------
        ValueError
            If a parameter is not as described, if candidates have a parameter that the estimator has not, or if all fail.
        """
        if (self.param_grid is None) == (self.param_distributions is None):
            given = "neither" if self.param_grid is None else "both"
            raise ValueError(f"a search needs either param_grid or param_distributions; got {given}")
        if self.param_grid is None:
            checks.positive_int("n_iter", self.n_iter)
        grids = self.param_grid if isinstance(self.param_grid, list | tuple) else [self.param_grid or {}]
        drawn = [name for grid in grids if isinstance(grid, Mapping) for name, values in grid.items() if hasattr(values, "rvs")]
        if drawn:
            raise ValueError(f"param_grid must hold lists of values; {drawn[0]} is a distribution: give param_distributions")
        if self.halving is not None:
            checks.ways("halving", self.halving)
        self._check_scorers_have_what_they_ask_for()
        if self.executor is not None:
            engine_of(self.executor)  # or a TypeError
        search = copy(self)
        search.n_jobs = 1
        search.cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        super(PopulationSearchCV, search).fit(X, y, **params)
        self.__dict__.update({name: value for name, value in vars(search).items() if name.endswith("_") and name[0] != "_"})
        return self

    def _check_scorers_have_what_they_ask_for(self) -> None:
        scorers, _ = self._get_scorers()
        for scorer in getattr(scorers, "_scorers", {"": scorers}).values():
            asked = getattr(scorer, "_response_method", "predict")
            names = [asked] if isinstance(asked, str) else asked
            if not any(name == "default" or hasattr(self.estimator, name) for name in names):
                kind = type(self.estimator).__name__
                raise ValueError(f"scoring must ask for what a {kind} can tell; {scorer} asks for {' or '.join(names)}")

    # -- what scikit-learn calls of a copy, whose estimator is replaced once it has looked at that -------------------------------

    def _get_routed_params_for_fit(self, params: dict[str, Any]) -> Any:
        routed = super()._get_routed_params_for_fit(params)
        self.estimator: Any = _TrainedBefore(self.estimator, routed.estimator.fit)
        return routed

    def _run_search(self, evaluate_candidates: Callable[..., Results]) -> None:
        if self.param_grid is not None:
            candidates = list(ParameterGrid(self.param_grid))
            if not candidates:
                raise ValueError(f"param_grid must hold candidates; got {checks.shown(self.param_grid)}")
        else:
            candidates = list(ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state))
        splitter = _TrainingSplitter(self.cv, self.estimator, self.executor)

        def evaluate(some: Candidates, more: dict[str, Any] | None = None) -> Results:
            splitter.candidates = some
            return evaluate_candidates(some, cv=splitter, more_results=more)

        results = evaluate(candidates) if self.halving is None else self._halve(candidates, self.halving, evaluate)
        results["mean_fit_time"] += splitter.seconds

    def _halve(self, candidates: Candidates, factor: int, evaluate: Callable[..., Results]) -> Results:
        """The iterations of successive halving."""
        estimator = self.estimator.estimator
        resource = f"{_path_to_last(estimator)}max_iter"
        most = estimator.get_params().get(resource)
        if most is None or most < 1:
            name = type(estimator).__name__
            raise ValueError(f"halving needs an estimator whose max_iter is positive; that of {name} is {checks.shown(most)}")
        if any(resource in one for one in candidates):
            raise ValueError(f"halving gives candidates their {resource}, which must not be among what is searched")
        iterations = _power_below(len(candidates), factor)
        least = max(1, most // factor**iterations)
        iterations = min(iterations, _power_below(most // least, factor))
        self.n_candidates_: list[int] = []
        self.n_resources_: list[int] = []
        results: Results = {}
        for iteration in range(iterations + 1):
            count, epochs = len(candidates), least * factor**iteration
            self.n_candidates_.append(count)
            self.n_resources_.append(epochs)
            candidates = [{**one, resource: epochs} for one in candidates]
            results = evaluate(candidates, {"iter": [iteration] * count, "n_resources": [epochs] * count})
            compared = next((name for name in (f"mean_test_{self.refit}", "mean_test_score") if name in results), None)
            if compared is None:
                raise ValueError(f"halving needs one of several scores to compare candidates by, as refit; got {self.refit}")
            scores = results[compared][-count:]
            order = np.argsort(np.where(np.isnan(scores), -np.inf, scores), kind="stable")
            candidates = [candidates[place] for place in order[-math.ceil(count / factor) :]]
        return results

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: str, results: Results) -> Any:
        if "iter" not in results or callable(refit):
            return BaseSearchCV._select_best_index(refit, refit_metric, results)
        last = np.flatnonzero(results["iter"] == results["iter"][-1])
        scores = results[f"mean_test_{refit_metric}"][last]
        return last[0 if np.isnan(scores).all() else np.nanargmax(scores)]


def _path_to_last(estimator: Any) -> str:
    """What stands before the names of the parameters of a pipeline's last step."""
    if not isinstance(estimator, Pipeline):
        return ""
    name, last = estimator.steps[-1]
    return f"{name}__{_path_to_last(last)}"


def _power_below(number: int, factor: int) -> int:
    """The last power of the factor that is not above a number."""
    power = 0
    while factor ** (power + 1) <= number:
        power += 1
    return power


# -- what scikit-learn is given in its loop over candidates and folds -----------------------------------------------------------


class _TrainedBefore:
    """In the place of an estimator: of each candidate on each fold, in that order, one that has been trained; then new ones."""

    def __init__(self, estimator: Any, params: dict[str, Any]) -> None:
        self.estimator, self.params = estimator, params  # of fit
        self.trials: Iterator[Trial] = iter(())

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.estimator)

    def set_params(self, **params: Any) -> Any:
        trial = next(self.trials, None)
        return clone(self.estimator).set_params(**params) if trial is None else trial.as_fitted()


class _TrainingSplitter:
    """A splitter that has the candidates trained when it is asked; each time it gives the same splits."""

    def __init__(self, splitter: Any, trained: _TrainedBefore, executor: Any) -> None:
        self.splitter, self.trained, self.executor = splitter, trained, executor
        self.candidates: Candidates = []
        self.splits: list[tuple[Any, Any]] = []
        self.seconds = np.zeros(0)  # for a fold of each candidate so far, on the average

    def split(self, X: Any, y: Any = None, **params: Any) -> list[tuple[Any, Any]]:
        self.splits = self.splits or list(self.splitter.split(X, y, **params))
        trains = [train for train, _ in self.splits]
        trials = train_candidates(self.trained.estimator, self.candidates, X, y, self.trained.params, trains, self.executor)
        self.trained.trials = iter(trials)
        seconds = np.reshape([trial.seconds for trial in trials], (len(self.candidates), -1))
        self.seconds = np.concatenate([self.seconds, seconds.mean(axis=1)])
        return self.splits
