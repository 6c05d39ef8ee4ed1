"""The names that options go by, as types: what a type checker knows of them, and what checks compare with."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Activation = Literal["identity", "relu", "sigmoid", "tanh"]  # of a hidden layer
Output = Literal["identity", "sigmoid", "softmax"]
Loss = Literal["cross_entropy", "cross_entropy_bits", "squared_error"]
Optimizer = Literal["sgd", "momentum", "nesterov", "adam"]
Schedule = Literal["constant", "cosine", "linear"]  # of the learning rate
Init = Literal["glorot", "he", "normal", "uniform"]
Task = Literal["classification", "regression"]
Vote = Literal["mean", "majority"]
ExtractorName = Literal["ink", "pixels"]
Method = Literal["one-vs-rest", "softmax"]  # of training an image classifier
Decision = Literal["ensemble", "one-vs-rest", "softmax"]  # of an image classifier

Dtype = Literal["float32", "float64"] | type[float] | type[np.floating[Any]] | np.dtype[Any]
