"""Temperature scaling: probabilities that come true as often as they say (Guo, Pleiss, Sun and Weinberger 2017, section 4.2).

A network that is too sure of itself, or not sure enough, has its logits divided by one number, the temperature, found on rows that
it was not trained on. Which class it decides for stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp.networks.mlp import MLP

SPREAD = 0.5  # the deviation of log temperature that is expected: of few rows, or such as are all right, the temperature is near 1
LIMIT = 3.0  # of log temperature
STEPS = 40  # of the search, each of which leaves 0.618 of the interval
ENOUGH = 1 << 17  # rows times classes that are looked at
GOLDEN = (5**0.5 - 1) / 2


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Probabilities (..., N, K) as they are with their logits divided by the temperature."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def best_temperature(probabilities: Sequence[NDArray[np.floating]], numbers: NDArray[np.intp]) -> float:
    """The temperature that rows speak for which networks have not learned: the most probable one, where log temperature is
    normally distributed around 0.

    probabilities: of each network (N, K), whose mean decides; numbers (N,): the columns of their classes.
    """
    every = np.stack(probabilities)
    step = max(1, every.size // ENOUGH)
    every, numbers = every[:, ::step], numbers[::step]
    rows = np.arange(len(numbers))

    def cost(log_temperature: float) -> float:
        chances = at_temperature(every, np.exp(log_temperature)).mean(axis=0)[rows, numbers]
        loss = -np.log(np.maximum(chances, np.finfo(np.float64).tiny)).sum()
        return float(loss) + (log_temperature / SPREAD) ** 2 / 2

    low, high = -LIMIT, LIMIT  # by golden section: Kiefer 1953
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    of_left, of_right = cost(left), cost(right)
    for _ in range(STEPS):
        if of_left < of_right:
            high, right, of_right = right, left, of_left
            left = high - GOLDEN * (high - low)
            of_left = cost(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + GOLDEN * (high - low)
            of_right = cost(right)
    return float(np.exp((low + high) / 2))


def set_temperature(network: MLP, temperature: float) -> None:
    """Divides the logits of a network: its last layer is rewritten, so that prediction pays nothing for it."""
    *_, n_in, n_out = network.layer_sizes
    theta = network.theta.copy()
    theta[-(n_in + network.bias) * n_out :] /= temperature
    network.theta = theta
