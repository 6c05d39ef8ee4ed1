"""A network as functions for other compiled code: what MLP.jit gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks
from fastmlp.kernels import online
from fastmlp.kernels.frozen import MOST_OUTPUTS, frozen
from fastmlp.kernels.live import TargetRange, live
from fastmlp.kernels.tiles import STRIP
from fastmlp.networks.layered import Layered

ON_STACK = 4096  # units of a network whose compiled form keeps them on the stack


class _Functions(NamedTuple):
    predict: Callable[..., Any]
    update: Callable[..., float]


class Learner(_Functions):
    """A network that learns within other Numba code: a pair of functions that share its parameters, a copy of those of an `MLP`.

    Attributes
    ----------
    predict : f(x) -> the output
        As `MLP.jit` describes it, with the parameters as they are when it is called.
    update : f(x, y, learning_rate) -> the loss
        One step of stochastic gradient descent from one sample, as by `MLP.update`; the sample's loss before it, not finite if an
        earlier step was too large. y is a classifier's class number, the place of the label in `MLP.classes`; a regressor's number,
        or array or tuple of K. If x or a regressor's y is not finite, nothing is learnt, and the loss is NaN. A ValueError tells of
        an x or y of another length, of a y that is no such number, and of a learning_rate that is not above 0.
    theta : (P,)
        A copy of the parameters as they are now, in the order of `MLP.theta`: `model.theta = learner.theta` brings what was learnt
        into the network, to be saved. What it is set to is what both go on with.

    Functions that call them are not cached on disk, and keep the parameters for as long as they can be called. Threads may predict
    side by side; while one thread updates, another one may meet parameters of before and after the step.
    """

    _work: online.OnlineMemory

    @property
    def theta(self) -> NDArray[Any]:
        plan, _, memory = self._work
        theta = np.empty(sum((n_in + biased) * n_out for n_in, n_out, _, _, biased, *_ in plan.tolist()), memory.dtype)
        online.spread_out(self._places, plan, theta, True)
        return theta

    @theta.setter
    def theta(self, value: ArrayLike) -> None:
        own = self.theta
        given = arrays.finite("theta", arrays.parameters("theta", value, own.dtype, own.size))
        online.spread_out(self._places, self._work.plan, given, False)

    @property
    def _places(self) -> NDArray[Any]:
        return self._work.memory[: self._work.edges[1]]


def functions_of(network: Layered, *, jacobian: bool, update: bool) -> Callable[..., Any] | Learner:
    """The network as it is now: a function, or two that share it."""
    n_in, *_, n_out = sizes = network.layer_sizes
    checks.at_most("the network's units", sum(sizes), ON_STACK, "to run on the stack")
    checks.at_most("the network's outputs", n_out, MOST_OUTPUTS, "to be returned as a tuple")
    if jacobian:
        checks.at_most("the network's outputs times its inputs", n_out * n_in, MOST_OUTPUTS, "to be returned as tuples")
    theta = arrays.finite("theta", network.theta)
    if not update:
        return frozen(theta, online.online_memory(network.layers, network.dtype, 0), jacobian)
    is_classifier, (low, high) = network.classes is not None, network.loss_row.targets
    targets = TargetRange(
        0 if network.classes is None else len(network.classes),
        low,
        high,
        not is_classifier and network.output == "softmax" and (low, high) == (0, 1),
    )
    work = online.online_memory(network.layers, network.dtype, int(STRIP))
    learner = Learner(*live(theta, work, network.network, targets, jacobian))
    learner._work = work
    return learner
