"""The options of training as types, for functions that hand them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from numpy.typing import ArrayLike

from fastmlp.literals import Activation, Dtype, Init, Loss, LossFunction, Monitor, Optimizer, Output, Schedule, Task
from fastmlp.networks.mlp import MLP


class PiecewiseOptions(TypedDict, total=False):
    """The options of `train` that mean the same where rows come bit by bit."""

    hidden: int | Sequence[int] | None
    activation: Activation | Sequence[Activation] | None
    output: Output | None
    loss: Loss | LossFunction | None
    huber_delta: float | None
    bias: bool | None
    task: Task | None
    optimizer: Optimizer
    learning_rate: float | None
    momentum: float
    beta1: float
    beta2: float
    epsilon: float
    l1: float
    dropout: float | Sequence[float]
    clip: float | None
    average: float
    shuffle: bool
    standardize: bool | None
    init: Init | MLP
    seed: int | None
    dtype: Dtype | None


class EstimatorOptions(PiecewiseOptions, total=False):
    """The options of `train` that are parameters of an estimator: how to train, with whatever rows."""

    batch_size: int | None
    l2: float | None
    schedule: Schedule | None
    power_t: float
    decay: float | None
    warmup: float
    epochs: int | None
    target_loss: float | None
    tolerance: float | None
    tol: float | None
    n_iter_no_change: int
    validation: float | tuple[ArrayLike, ArrayLike] | None
    patience: int | None
    monitor: Monitor
    class_weight: Mapping[Any, float] | Literal["balanced"] | None
    keep_state: bool
    bootstrap: bool
    data_seed: int | None
    threads: int | None
    progress: bool


class TrainOptions(EstimatorOptions, total=False):
    """The options of `train`, for functions that hand them on."""

    sample_weight: ArrayLike | None
    on_epoch: Callable[..., Any] | None  # whose losses are those of one network, or of many
