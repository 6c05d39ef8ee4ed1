"""MLPClassifier and MLPRegressor: in the place of scikit-learn's, with the same parameters, meanings and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastmlp import arrays
from fastmlp.literals import Dtype, Output
from fastmlp.networks import metrics
from fastmlp.sklearn.estimator import NetworkEstimator, goes_by_batches

HiddenSizes = int | Sequence[int]
Names = str | Sequence[str]
PLAIN = {"ii", "uu", "bb"}  # kinds of labels, whole numbers and truth values, that can simply be compared


class MLPClassifier(ClassifierMixin, NetworkEstimator):
    """A network that tells classes: `sklearn.neural_network.MLPClassifier`, at compiled speed.

    Names, order, defaults and meaning of the parameters, and the attributes, are those of scikit-learn 1.9; the same random_state
    gives the same first weights, but another order of the rows. Two classes have one logistic output, more of them softmax; where y
    has K columns of 0 and 1, each row may have several labels, and each label has a logistic output.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers.
    activation : str or sequence of str
        Of the hidden layers, one name or one for each: "relu", "logistic", "tanh", "identity", and those of `fastmlp.train`.
    solver : str
        "adam", "sgd" (which momentum makes plain, with momentum, or Nesterov's), "lbfgs", or an optimizer of `fastmlp.train`.
    alpha : float
        Adds alpha / 2 * sum of the squared weights / number of rows in the batch to the loss; with adamw, each step takes alpha
        times the rate of each weight instead.
    batch_size : int or "auto"
        Rows of a batch; "auto" stands for 200, or all where they are fewer.
    learning_rate : str
        Of sgd, "momentum" and "nesterov": "constant"; "invscaling", learning_rate_init / t^power_t after t rows; "adaptive", a
        fifth of the rate after n_iter_no_change epochs without progress, until it is below 1e-6.
    learning_rate_init, power_t : float
        The rate at first, and the power of "invscaling".
    max_iter : int
        Epochs at most; of lbfgs iterations.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState or None
        Of the first weights, the order, and the rows that early_stopping holds out.
    tol : float
        What the loss, or with early_stopping the score, of an epoch must gain on the best so far to count as progress. Of lbfgs
        the largest slope at which it ends.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether fit goes on from the weights that are there.
    momentum, nesterovs_momentum : float, bool
        Of sgd.
    early_stopping : bool
        Whether to end by the score on validation_fraction of the rows, of each class alike, and keep the best weights.
    validation_fraction : float
        The share of the rows that early_stopping holds out.
    beta_1, beta_2, epsilon : float
        Of adam and its kin: how much of the means of the gradient and of its squares is kept, and what is added to the root of the
        latter once that is without bias, as Kingma and Ba 2015, algorithm 1, have it; scikit-learn adds it before.
    n_iter_no_change : int or inf
        Epochs in a row without progress that are borne.
    max_fun : int
        Evaluations of the loss that lbfgs may make.
    loss : str
        "log_loss", or another loss of `fastmlp.train` that is for probabilities.
    class_weight : mapping or "balanced"
        A factor for the rows of each class (1 where it names none); "balanced" gives all classes the same sum.
    dtype : "float32" or "float64"
        What to compute in; by default in float32 what is given in it, else in float64.
    threads : int
        How many threads a batch may be shared out to; by default one for each core.

    Attributes
    ----------
    classes_ : (C,) array
        The labels, sorted.
    model_ : MLP
        The network itself.
    coefs_, intercepts_ : lists of arrays
        Its weights (n_in, n_out) and biases (n_out,), of each layer. Writing to them changes the network.
    n_features_in_, feature_names_in_, n_outputs_, n_layers_, out_activation_
        Columns of X, and their names if it is a data frame; outputs; layers, with the inputs and the outputs; "softmax" or
        "logistic".
    n_iter_, t_ : int
        Epochs of the last fit (of lbfgs iterations), and rows that were learned from in all.
    loss_, best_loss_, loss_curve_ : float, float, list of float
        The mean loss of the last epoch, penalty included; the lowest; that of each. With early_stopping there is no best_loss_.
    validation_scores_, best_validation_score_, validation_loss_curve_ : lists and a float, or None
        With early_stopping: the accuracy and the loss on the rows held out, after each epoch.
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        hidden_layer_sizes: HiddenSizes = (100,),
        activation: Names = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str = "log_loss",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        dtype: Dtype | None = None,
        threads: int | None = None,
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    @available_if(goes_by_batches)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """One epoch over these rows: a step for each batch, from where the last call of fit or partial_fit left off.

        Parameters
        ----------
        X : (N, D) array, data frame or sparse matrix
            Rows of inputs.
        y : (N,) or (N, K)
            Their labels.
        sample_weight : (N,), optional
            How much each row counts.
        classes : sequence
            All labels that may ever come. The first call needs them.

        Returns
        -------
        The estimator.

        Raises
        ------
        ValueError
            As fit does; if classes are missing in a first call, or are not those of the first one; if y holds others.
        """
        known = vars(self).get("classes_")
        if classes is None and known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if known is None:
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(classes, known) and not np.array_equal(unique_labels(classes), known):
            raise ValueError(f"classes={classes!r} is not the same as on the first call to partial_fit, which had {known!r}")
        return self._one_epoch(X, y, sample_weight)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label (N,) of each row of X (N, D); of several labels (N, K) those that are more probable than not."""
        scores = self._outputs(X)
        if scores.ndim == 1:  # of a single class
            return self.classes_[np.zeros(len(scores), np.intp)]
        if self.model_.classes is None:
            return (scores > 0.5).astype(int)
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probabilities (N, C) of the labels, in the order of classes_, for rows of X (N, D)."""
        scores = self._outputs(X)
        return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Their logarithms (N, C)."""
        chances = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(chances, out=chances)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The accuracy of predict(X): the share of rows, each as it counts, whose label is y (N,), or whose labels y (N, K) are."""
        found = self.predict(X)
        plain = isinstance(y, np.ndarray) and y.dtype.kind + found.dtype.kind in PLAIN and y.shape == found.shape
        if plain and found.ndim == 1 and sample_weight is None:  # accuracy_score takes a millisecond more, in each fold
            return float((found == y).mean())
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    def _learn_targets(self, y: NDArray[Any], first: bool, incremental: bool) -> None:
        if y.ndim > 1 and not type_of_target(y).startswith("multilabel"):
            expected = (
                "labels (N,), or K columns of 0 and 1 where rows have several; other multioutput target data is not supported"
            )
            raise ValueError(f"y must be {expected}; got shape {y.shape}")
        if y.dtype.kind not in "iub":
            check_classification_targets(y)
        if incremental:
            return
        found = np.arange(y.shape[1]) if y.ndim > 1 else np.unique(y)
        if first:
            self.classes_ = found
        elif not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit."
                f" Previously got {self.classes_}, `y` has {found}"
            )

    def _targets(self, y: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        if y.ndim > 1:
            return arrays.floating(y, dtype)
        places = self.classes_.searchsorted(y)
        if (self.classes_.take(places, mode="clip") != y).any():
            raise ValueError(f"y has classes that are not among classes_, {self.classes_}; it has {np.unique(y)}")
        return places.astype(dtype).reshape(-1, 1)

    def _output(self, columns: int) -> tuple[int, Output, NDArray[Any] | None]:
        if columns > 1:
            return columns, "sigmoid", None
        count = len(self.classes_)
        return (count, "softmax", self.classes_) if count > 2 else (1, "sigmoid", self.classes_ if count > 1 else None)

    def score_of(self, found: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
        if self.model_.output == "softmax":
            return float(np.average(found.argmax(axis=1) == targets[:, 0], weights=weights))
        return float(np.average(((found > 0.5) == targets).all(axis=1), weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, NetworkEstimator):
    """A network that tells quantities: `sklearn.neural_network.MLPRegressor`, at compiled speed.

    Parameters
    ----------
    loss : str
        "squared_error", half of it; "poisson", with an exponential output; "absolute_error", "huber".
    huber_delta : float
        Of "huber": how far an output may be from its target before the loss goes over from squared to absolute.

    The others are those of `MLPClassifier`, and so are the attributes, but for classes_; validation_scores_ are R2.
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: HiddenSizes = (100,),
        activation: Names = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        huber_delta: float = 1.0,
        dtype: Dtype | None = None,
        threads: int | None = None,
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    @available_if(goes_by_batches)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """One epoch over these rows, as that of `MLPClassifier.partial_fit`."""
        return self._one_epoch(X, y, sample_weight)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The outputs (N,), or (N, K) of several, for rows of X (N, D)."""
        return self._outputs(X)

    def _learn_targets(self, y: NDArray[Any], first: bool, incremental: bool) -> None:
        """Numbers are what they are."""

    def _targets(self, y: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        return arrays.floating(y, dtype).reshape(len(y), -1)

    def _output(self, columns: int) -> tuple[int, Output, NDArray[Any] | None]:
        return columns, "exp" if self.loss == "poisson" else "identity", None

    def score_of(self, found: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None) -> float:
        return metrics.of_numbers(found, targets, weights).r2

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
