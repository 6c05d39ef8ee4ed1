"""The names that options go by, as types: what a type checker knows of them, and what checks compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.kernels.activations import Activation as Activation
from fastmlp.kernels.activations import Output as Output
from fastmlp.kernels.losses import Loss as Loss
from fastmlp.kernels.optimizers import Optimizer as Optimizer
from fastmlp.kernels.schedules import Schedule as Schedule

LossFunction = Callable[[float, float], tuple[float, float]]  # (prediction, target) -> (loss, its derivative by the prediction)
Init = Literal["glorot", "he", "normal", "uniform"]
Monitor = Literal["loss", "accuracy"]  # what of the validation rows decides
Task = Literal["classification", "regression"]
Vote = Literal["mean", "majority"]
ExtractorName = Literal["ink", "pixels", "strokes", "gray"]
ExtractorFunction = Callable[[NDArray[np.uint8]], ArrayLike]  # of one's own: gray levels (H, W) to a vector
AnyExtractor = ExtractorName | ExtractorFunction
FormatName = Literal["png", "jpeg", "bmp", "gif", "webp", "tiff", "ppm"]  # of images that are read
OnError = Literal["skip", "raise"]  # of images that cannot be read
Method = Literal["one-vs-rest", "softmax"]  # of training an image classifier
Decision = Literal["ensemble", "one-vs-rest", "softmax"]  # of an image classifier

Dtype = Literal["float32", "float64"] | type[float] | type[np.floating[Any]] | np.dtype[Any]
