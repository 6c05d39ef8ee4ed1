"""What the estimators have in common: rows in, a trained network, and its attributes as scikit-learn names them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastmlp import labels
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.literals import Output
from fastmlp.networks.mlp import MLP
from fastmlp.sklearn.by_solver import solve
from fastmlp.sklearn.checked_rows import Rows, checked, checked_weights, laid_out, outputs_of
from fastmlp.sklearn.stochastic import LossTerms, OptimizerState, begin_curves, check_weights, descend, end_epoch, penalty_of
from fastmlp.sklearn.translation import (
    THEIR_NAMES,
    InputsAndOutputs,
    check_estimator,
    first_network,
    l2_of,
    member_options,
    rows_of_batch,
)
from fastmlp.training.defaults import wanted_dtype
from fastmlp.training.steps import SMALL, Steps


class LayerArrays(list[NDArray[Any]]):
    """Views of a network's parameters, one for each layer. What an item is set to is copied into the network."""

    def __setitem__(self, layer: Any, value: Any) -> None:
        self[layer][:] = value


def _all_layers(name: str) -> property:
    """The weights or the biases of `model_`."""

    def of_model(estimator: Any) -> LayerArrays:
        if "model_" not in vars(estimator):
            raise AttributeError(f"a {type(estimator).__name__} has {name} once it is fitted")
        return LayerArrays(getattr(estimator.model_, name))

    def into_model(estimator: Any, values: Sequence[ArrayLike]) -> None:
        for own, value in zip(of_model(estimator), values, strict=True):
            own[:] = value

    return property(of_model, into_model)


def goes_by_batches(estimator: Any) -> bool:
    if estimator.solver in SOLVERS:
        raise AttributeError(f"partial_fit is for solvers that go by batches; solver is {estimator.solver!r}")
    return True


class NetworkEstimator(BaseEstimator):
    """A network, trained as scikit-learn's parameters say."""

    model_: MLP
    coefs_ = _all_layers("weights")
    intercepts_ = _all_layers("biases")

    # -- what a classifier and a regressor do each in its way ----------------------------------------------------------------------

    @abstractmethod
    def _learn_targets(self, y: NDArray[Any], first: bool, incremental: bool) -> None:
        """Learns what y holds where it is the first one; else compares."""

    @abstractmethod
    def _targets(self, y: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """What kernels compare outputs with: (N, 1) or (N, K)."""

    @abstractmethod
    def _output(self, columns: int) -> tuple[int, Output, NDArray[Any] | None]:
        """Of a network for so many columns of targets: how many outputs, of which kind, and the classes that it knows."""

    @abstractmethod
    def score_of(self, found: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
        """The score of outputs (N, K) beside targets, as kernels have them."""

    # -- training ------------------------------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : (N, D) array, data frame or sparse matrix
            Rows of inputs; a sparse matrix is laid out as a dense one.
        y : (N,) or (N, K)
            Labels, or K columns of 0 and 1 where rows have several labels; a regressor's targets.
        sample_weight : (N,), optional
            How much each row counts; by default all alike.

        Returns
        -------
        The estimator. After Ctrl-C it has the network so far, and a UserWarning tells so; where it has not converged by max_iter, a
        ConvergenceWarning does.

        Raises
        ------
        ValueError
            If a parameter or an argument is not as described, or if the weights stop being finite.
        """
        check_estimator(self)
        random, goes_on = self._random(), "model_" in vars(self) and self.warm_start
        self.__dict__.pop("_steps", None)
        rows = self._rows(X, y, sample_weight, None if goes_on else random)
        if self.solver in SOLVERS:
            solve(self, rows)
        else:
            descend(self, rows, random)
        return self

    def _one_epoch(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """partial_fit."""
        if "_steps" not in vars(self):
            check_estimator(self)
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True, for which fit holds rows out")
        if getattr(self, "class_weight", None) == "balanced":
            raise ValueError("partial_fit does not support class_weight='balanced', as it does not know all rows; give a mapping")
        random = None if "model_" in vars(self) else self._random()
        rows = self._rows(X, y, sample_weight, random, incremental=True)
        network, n = self.model_, len(rows.x)
        if "_optimizer" not in vars(self):
            self._optimizer = OptimizerState.new(member_options(self, n), network)
        if n * network.theta.size > SMALL:
            descend(self, rows, random or self._random(), self._optimizer)
            return self
        if "_steps" not in vars(self):
            self._steps = Steps(network, self._optimizer.moments, self._optimizer.counters)
        batch_size, order = rows_of_batch(self, n), None
        if self.shuffle and batch_size < n:
            order = (random or self._random()).permutation(n).astype(np.int32)
        l2 = l2_of(self, batch_size * rows.mean_weight)
        terms, penalty = LossTerms.of(network, rows.targets, rows.weights), penalty_of(network, l2)
        rule = self._optimizer.step_rule(l2)
        loss = self._steps.over(rows.x, rows.targets, rows.weights, rule, batch_size, order)
        self.n_iter_ = 0
        end_epoch(self, self._optimizer, loss * terms.factor + terms.summand + penalty, n)
        check_weights(network)
        return self

    def _random(self) -> np.random.RandomState:
        return check_random_state(self.random_state)

    def _rows(self, X: Any, y: Any, sample_weight: Any, random: np.random.RandomState | None, incremental: bool = False) -> Rows:
        """Rows as the network learns from them; where random numbers are given for its weights, it is a new one."""
        first = random is not None
        x, y = checked(self, X, y, numeric=not isinstance(self, ClassifierMixin), reset=first)
        self._learn_targets(y, first, incremental)
        dtype = (wanted_dtype(self.solver, self.dtype) or x.dtype) if first else self.model_.dtype
        x, targets = laid_out(x, dtype), self._targets(y, dtype)
        if random is not None:
            self._begin(x, targets, random)
        network = self.model_
        columns = 1 if network.classes is not None else network.layer_sizes[-1]
        if targets.shape[1] != columns:
            raise ValueError(f"y must have as many columns as at first, {columns}; got {targets.shape[1]}")
        if network.classes is None:
            labels.in_range("y", targets, network.loss_row, network.output)
        class_weight = getattr(self, "class_weight", None)
        if class_weight is not None and targets.shape[1] > 1:
            raise ValueError("class_weight is for rows with a label each; these may have several")
        if isinstance(class_weight, Mapping) and network.classes is not None:
            class_weight = {label: factor for label, factor in class_weight.items() if label in network.classes}
        return Rows(x, targets, *checked_weights(sample_weight, class_weight, network.classes, targets, dtype))

    def _begin(self, x: NDArray[Any], targets: NDArray[Any], random: np.random.RandomState) -> None:
        """A new network for such rows."""
        outputs, output, classes = self._output(targets.shape[1])
        names = vars(self).get("feature_names_in_")
        ends = InputsAndOutputs(x.shape[1], outputs, output, classes, None if names is None else tuple(map(str, names)), x.dtype)
        self.model_ = first_network(self, ends, random)
        self.n_iter_ = self.t_ = 0
        self.n_outputs_, self.n_layers_ = outputs, len(self.model_.layer_sizes)
        self.out_activation_ = THEIR_NAMES.get(output, output)
        self.__dict__.pop("_optimizer", None)
        if self.solver not in SOLVERS:
            begin_curves(self)

    # -- asked ---------------------------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> NDArray[Any]:
        """(N, C) probabilities, or (N, K) or (N,) outputs of a network that knows no classes."""
        if "model_" not in vars(self):
            check_is_fitted(self)
        return outputs_of(self, X)

    # -- as one of scikit-learn's ------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_steps"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
