"""Rows as the caller gives them -> as kernels take them: scikit-learn's checks, and none of them where an array needs none."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import column_or_1d, validate_data

from fastmlp import arrays, checks, labels

FEW = 10_000  # numbers: for more, BLAS calls threads of its own, which then keep the cores from ours for some milliseconds
BLOCK = 1 << 20  # numbers of sparse rows that are laid out at a time


class Rows(NamedTuple):
    """What a network learns from."""

    x: NDArray[Any]  # (N, D), C-contiguous, of the network's dtype
    targets: NDArray[Any]  # (N, 1) numbers of classes, or (N, K) numbers
    weights: NDArray[Any]  # (N,) with a mean of 1, or a single 1
    mean_weight: float  # of sample_weight as it is given


def _is_plain(x: Any, estimator: Any, reset: bool) -> bool:
    """Whether it is an array of numbers in which no check could find anything but values that are not finite."""
    known = vars(estimator)
    return (
        type(x) is np.ndarray
        and x.dtype.char in "fd"
        and x.ndim == 2
        and x.size > 0
        and "feature_names_in_" not in known
        and (reset or x.shape[1] == known["n_features_in_"])
    )


def surely_finite(array: NDArray[Any]) -> bool:
    """Whether all values are, as their sum, or that of their squares, shows; not where that overflows."""
    return array.dtype.kind != "f" or math.isfinite(np.vdot(array, array) if array.size < FEW else array.sum())


def checked(estimator: Any, x: Any, y: Any, *, numeric: bool, reset: bool) -> tuple[Any, NDArray[Any]]:
    """X, dense or sparse, and y (N,) or (N, K) as arrays; n_features_in_ and feature_names_in_ are set, or compared."""
    plain = _is_plain(x, estimator, reset) and type(y) is np.ndarray and len(x) == len(y) > 0 and surely_finite(x)
    if plain and y.ndim == 1 and (y.dtype.kind in "iub" or (numeric and y.dtype.char in "fd" and surely_finite(y))):
        estimator.n_features_in_ = x.shape[1]
        return x, y
    x, y = validate_data(
        estimator, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=numeric, dtype=(np.float64, np.float32),
        reset=reset,
    )  # fmt: skip
    y = y.toarray() if sparse.issparse(y) else y
    return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def laid_out(x: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """As kernels read it."""
    if sparse.issparse(x):
        checks.enough_memory("a dense copy of X", x.shape[0] * x.shape[1] * dtype.itemsize)
        x = x.astype(dtype, copy=False).toarray(order="C")
    return arrays.floating(x, dtype)


def checked_weights(
    sample_weight: Any, class_weight: Any, classes: NDArray[Any] | None, targets: NDArray[Any], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], float]:
    """The weights of rows with a mean of 1, and what the mean of sample_weight is."""
    if sample_weight is None:
        return labels.sample_weights(None, class_weight, classes, targets, dtype), 1.0
    n = len(targets)
    given = np.full(n, sample_weight, np.float64) if np.isscalar(sample_weight) else arrays.unscaled_weights(sample_weight, n)
    return labels.sample_weights(given, class_weight, classes, targets, dtype), float(given.mean())


def outputs_of(estimator: Any, x: Any) -> NDArray[Any]:
    """What the network says of rows (N, D): (N, K) probabilities of classes, else (N, K) or (N,) outputs."""
    network = estimator.model_
    ask = network.predict if network.classes is None else network.predict_proba
    if _is_plain(x, estimator, reset=False):
        try:
            return ask(x)
        except ValueError:
            validate_data(estimator, x, dtype=(np.float64, np.float32), reset=False)  # which says what else is wrong
            raise
    x = validate_data(estimator, x, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
    if not sparse.issparse(x):
        return ask(x)
    x, step = x.tocsr(), max(1, BLOCK // x.shape[1])
    return np.concatenate([ask(x[first : first + step].toarray()) for first in range(0, x.shape[0], step)])
