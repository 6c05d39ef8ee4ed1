"""Estimators through their epochs: batches, and after each epoch what scikit-learn looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastmlp import arrays, interrupts
from fastmlp.kernels import ends, optimizers
from fastmlp.kernels.simd import readable
from fastmlp.kernels.tiles import Data
from fastmlp.networks.mlp import MLP
from fastmlp.networks.objective import every_row
from fastmlp.networks.prediction import outputs
from fastmlp.sklearn.checked_rows import Rows, surely_finite
from fastmlp.sklearn.translation import SCHEDULED, MemberOptions, drawn_seed, member_options
from fastmlp.threads import Stop, Workers, thread_count
from fastmlp.training.data import MeasuredRows, Parts, TrainingData, row_weights
from fastmlp.training.descent import Descent
from fastmlp.training.one_network import Stopping
from fastmlp.training.scaling import input_scaling
from fastmlp.warning import warn

NEVER = 2.0**53  # epochs
INTERRUPTED = "training was interrupted by Ctrl-C"  # how a warning begins


@dataclass
class OptimizerState:
    """What an optimizer knows, from one call of partial_fit to the next."""

    rule: optimizers.Rule
    learning_rate: float
    moments: NDArray[Any]  # (2, P): see kernels/optimizers.py
    counters: NDArray[np.int64]  # (2,): steps, and one that the kernels use

    @classmethod
    def new(cls, options: MemberOptions, network: MLP) -> OptimizerState:
        own, shared = options
        method = optimizers.method_of(shared["optimizer"])
        method = method._replace(beta1=shared["beta1"], beta2=shared["beta2"], epsilon=shared["epsilon"])
        rule = optimizers.Rule(method, own["learning_rate"], own["momentum"], own["l2"])
        return cls(rule, own["learning_rate"], np.zeros((2, network.theta.size), network.dtype), np.zeros(2, np.int64))

    def step_rule(self, l2: float) -> optimizers.Rule:
        """Of its next steps."""
        return self.rule._replace(learning_rate=self.learning_rate, l2=l2)


# -- what is looked at after an epoch -------------------------------------------------------------------------------------------


class LossTerms(NamedTuple):
    """scikit-learn's loss is factor * ours + summand, without the penalty."""

    factor: float
    summand: float

    @classmethod
    def of(cls, network: MLP, targets: NDArray[Any], weights: NDArray[Any]) -> LossTerms:
        """Squared and other errors are means over the outputs; the loss of Poisson's counts is half of their deviance."""
        if network.classes is not None or network.output in ("sigmoid", "softmax"):
            return AS_OURS
        if network.loss_name != "poisson":
            return cls(1.0 / network.layer_sizes[-1], 0.0)
        each = (xlogy(targets, targets) - targets).sum(axis=1)
        return cls(1.0, float((each * weights).mean()))


AS_OURS = LossTerms(1.0, 0.0)


def begin_curves(estimator: Any) -> None:
    """As before the first epoch of a new network."""
    early = estimator.early_stopping
    estimator.loss_curve_, estimator._no_improvement_count = [], 0
    estimator.best_loss_ = None if early else math.inf
    estimator.validation_scores_, estimator.best_validation_score_ = ([], -math.inf) if early else (None, None)
    estimator.validation_loss_curve_ = [] if early else None


def end_epoch(estimator: Any, optimizer: OptimizerState, loss: float, rows: int) -> bool:
    """Notes an epoch over so many rows, whose validation has been noted; whether it was the last one."""
    estimator.n_iter_ += 1
    estimator.t_ += rows
    estimator.loss_ = loss
    estimator.loss_curve_.append(loss)
    if estimator.verbose:
        print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
    if estimator.early_stopping:
        last, best, progress = estimator.validation_scores_[-1], estimator.best_validation_score_, estimator.tol
        if estimator.verbose:
            print(f"Validation score: {last:f}")
        stands = last < best + progress
        estimator.best_validation_score_ = last if last > best else best
    else:
        best = estimator.best_loss_
        stands = loss > best - estimator.tol
        estimator.best_loss_ = loss if loss < best else best
    estimator._no_improvement_count = estimator._no_improvement_count + 1 if stands else 0
    schedule = estimator.learning_rate if estimator.solver in SCHEDULED else "constant"
    if schedule == "invscaling":
        optimizer.learning_rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
    if estimator._no_improvement_count <= estimator.n_iter_no_change:
        return False
    if estimator.verbose:
        print(f"No progress by tol={estimator.tol:f} in {estimator.n_iter_no_change} epochs, at rate {optimizer.learning_rate:g}.")
    if schedule != "adaptive" or optimizer.learning_rate <= ends.LEAST_RATE:
        return True
    optimizer.learning_rate /= ends.LOWER
    estimator._no_improvement_count = 0
    return False


def check_weights(network: MLP, diverged: bool = False) -> None:
    """Rejects a network that has diverged."""
    if diverged or (not surely_finite(network.theta) and not np.isfinite(network.theta).all()):
        advice = "The input data may contain large values and need to be preprocessed. Or learning_rate_init is too large."
        raise ValueError(f"Solver produced non-finite parameter weights. {advice}")


# -- epochs ---------------------------------------------------------------------------------------------------------------------


def penalty_of(network: MLP, l2: float) -> float:
    return 0.5 * l2 * sum(float(np.vdot(weights, weights)) for weights in network.weights) if l2 else 0.0


def _split(estimator: Any, targets: NDArray[Any], random: np.random.RandomState) -> tuple[NDArray[Any], NDArray[Any]]:
    """The numbers of the rows to train on, and of those to measure: of each class alike, where there are enough of each."""
    n, share, strata = len(targets), estimator.validation_fraction, None
    if estimator.model_.output in ("softmax", "sigmoid") and targets.shape[1] == 1:
        held, (classes, counts) = math.ceil(share * n), np.unique(targets, return_counts=True)
        strata = targets[:, 0] if counts.min() > 1 and len(classes) <= min(held, n - held) else None
    train, held = train_test_split(every_row(n), test_size=share, random_state=random, stratify=strata)
    if len(held) < 2:
        raise ValueError(
            f"The validation set is too small: {len(held)} of {n} rows. Increase validation_fraction, or give more rows"
        )
    return train, held


class _Validation:
    """Rows that are measured after each epoch, and the best weights so far."""

    def __init__(self, estimator: Any, rows: Rows, held: NDArray[Any]) -> None:
        self.estimator, self.network = estimator, estimator.model_
        self.x, self.targets = rows.x[held], rows.targets[held]
        self.weights = None if len(rows.weights) == 1 else rows.weights[held]
        self.terms = LossTerms.of(self.network, self.targets, np.ones(1))
        self.best = self.network.theta.copy()

    def note(self, loss: float) -> None:
        """What the network is worth now, by our loss too."""
        estimator, network = self.estimator, self.network
        try:
            found = outputs(network.theta, network.layers, self.x, network.layer_sizes[-1])
            with np.errstate(over="ignore", invalid="ignore"):
                score = float(estimator.score_of(found, self.targets, self.weights))
        except ValueError:  # they are not finite
            score = math.nan
        estimator.validation_scores_.append(score)
        estimator.validation_loss_curve_.append(self.terms.factor * loss + self.terms.summand)
        if score > estimator.best_validation_score_:
            self.best[:] = network.theta


def descend(estimator: Any, rows: Rows, random: np.random.RandomState, optimizer: OptimizerState | None = None) -> None:
    """Trains estimator.model_ up to max_iter epochs; or for one, with an optimizer that has come from somewhere."""
    network, n, once = estimator.model_, len(rows.x), optimizer is not None
    train, held = (every_row(n), None) if once or not estimator.early_stopping else _split(estimator, rows.targets, random)
    if estimator.batch_size != "auto" and estimator.batch_size > len(train):
        warn(f"batch_size={estimator.batch_size} is larger than the {len(train)} rows: it is clipped")
    options = member_options(estimator, len(train), rows.mean_weight)
    validation = None if held is None else _Validation(estimator, rows, held)
    optimizer = estimator._optimizer = optimizer or OptimizerState.new(options, network)
    weights = row_weights(rows.weights, n, train, None)
    seed = drawn_seed(random) if options.shared["shuffle"] and options.own["batch_size"] < len(train) else None
    unscaled = input_scaling(network, rows.x, train, False)
    data = Data(readable(rows.x), rows.targets, weights, *unscaled)
    measured = None if held is None else MeasuredRows(rows.x, rows.targets, held.astype(arrays.numbers_of_rows(n)))
    learned = TrainingData(data, train, seed, measured, None, Parts(*[None] * 5))
    terms = LossTerms.of(network, rows.targets[train], weights if len(weights) == 1 else weights[train])
    by_epoch = estimator.early_stopping or estimator.verbose or options.shared["schedule"] == "invscaling" or terms != AS_OURS
    most = NEVER if by_epoch else min(estimator.n_iter_no_change, NEVER)
    divisor = ends.LOWER if options.shared["schedule"] == "adaptive" else 0.0
    stopping = Stopping(1 if once else options.shared["epochs"], -np.inf, None, estimator.tol, most, divisor)
    rule = optimizer.step_rule(options.own["l2"])
    descent = Descent(network, learned, rule, stopping, options.own["batch_size"], thread_count(options.shared["threads"]))
    optimizer.counters[1] = 0
    descent.moments, descent.counters = optimizer.moments, optimizer.counters
    if not estimator.early_stopping:
        descent.progress[: ends.PENALTY] = estimator.best_loss_, estimator._no_improvement_count
    ended = _go_on(estimator, descent, optimizer, terms, validation, 1 if by_epoch else stopping.epochs)
    if validation is not None:
        network.theta = validation.best
    else:
        check_weights(network, descent.stopped_by == "diverged")
    if not (ended or once):
        message = f"training has come to max_iter={estimator.max_iter} epochs, and the optimization hasn't converged yet"
        warn(message, ConvergenceWarning)


def _go_on(
    estimator: Any, descent: Descent, optimizer: OptimizerState, terms: LossTerms, validation: _Validation | None, step: int
) -> bool:
    """So many epochs at a time; whether it has ended before its last one: as there was no more progress, or by Ctrl-C."""
    halt, l2, ended, interrupted = Stop(), descent.rule.l2, False, False
    estimator.n_iter_ = 0
    with interrupts.noted(halt.set), Workers(descent.workers) as threads:
        while not (ended or interrupted or descent.stopped_by or estimator.n_iter_ == descent.stopping.epochs):
            done = descent.epochs
            descent.rule = optimizer.step_rule(l2)
            try:
                descent.advance(min(done + step, descent.stopping.epochs), threads, halt)
                interrupts.raise_noted()
            except KeyboardInterrupt:
                interrupted = True
                descent.rewind()
                interrupts.forget()
            losses = descent.sums[done : descent.epochs] / descent.rows * terms.factor + terms.summand
            for loss in (losses + descent.penalties[done : descent.epochs]).tolist():
                if validation is not None:
                    validation.note(descent.validation_loss[done] if len(descent.validation_loss) > done else math.nan)
                ended = end_epoch(estimator, optimizer, loss, descent.rows)
    if interrupted:
        message = f"{INTERRUPTED} after {estimator.n_iter_} epochs; this is the network so far"
        warn(message)
    return ended or interrupted
