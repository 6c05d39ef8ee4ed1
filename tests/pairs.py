"""Of all that parameters can be together, so few that each value still meets each value of any other."""

from itertools import combinations, product

import numpy as np
import pytest


def in_pairs(**parameters):
    """A test's parameters: as pytest.mark.parametrize one above the other, but no more than all pairs of values take."""
    return pytest.mark.parametrize(tuple(parameters), pairs(*map(list, parameters.values())), ids=_name)


def pairs(*parameters):
    """A list of tuples, each a value of each parameter; always the one with the most pairs that are missing yet."""
    every = list(product(*parameters))
    places = np.array(list(product(*(range(len(values)) for values in parameters))))
    numbers, count = [], 0  # of the pairs of values that each tuple has
    for one, other in combinations(range(len(parameters)), 2):
        numbers.append(count + places[:, one] * len(parameters[other]) + places[:, other])
        count += len(parameters[one]) * len(parameters[other])
    numbers, missing, chosen = np.stack(numbers, axis=1), np.ones(count, bool), []
    while missing.any():
        best = missing[numbers].sum(axis=1).argmax()
        missing[numbers[best]] = False
        chosen.append(every[best])
    return chosen


def _name(value):
    return str(value) if isinstance(value, tuple) else None
