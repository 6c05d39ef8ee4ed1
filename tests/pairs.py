"""Of all that parameters can be together, so few that each value still meets each value of any other."""

from itertools import combinations, product

import numpy as np
import pytest


def in_pairs(**parameters):
    """A test's parameters: as pytest.mark.parametrize one above the other, but no more than all pairs of values take."""
    return pytest.mark.parametrize(tuple(parameters), pairs(*map(list, parameters.values())), ids=_name)


def pairs(*parameters):
    """A list of tuples, each a value of each parameter: always one with the most pairs that are missing yet, any of these."""
    places = np.array(list(product(*(range(len(values)) for values in parameters))))
    places = np.random.default_rng(0).permutation(places)
    numbers, count = [], 0  # of the pairs that each tuple has
    for one, other in combinations(range(len(parameters)), 2):
        numbers.append(count + places[:, one] * len(parameters[other]) + places[:, other])
        count += len(parameters[one]) * len(parameters[other])
    numbers, missing, chosen = np.stack(numbers, axis=1), np.ones(count, bool), []
    while missing.any():
        best = missing[numbers].sum(axis=1).argmax()
        missing[numbers[best]] = False
        chosen.append(tuple(places[best].tolist()))
    return [tuple(values[k] for values, k in zip(parameters, one, strict=True)) for one in sorted(chosen)]


def _name(value):
    return str(value) if isinstance(value, tuple) else None
