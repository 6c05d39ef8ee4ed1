"""grid: all combinations of some options' values, for train_many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, TypedDict, Unpack

from numpy.typing import ArrayLike

from fastmlp import checks
from fastmlp.literals import Activation
from fastmlp.networks.mlp import MLP
from fastmlp.training.many import Each


class Choices(TypedDict, total=False):
    """The options whose values may differ from member to member, and so make a grid."""

    rows: Sequence[ArrayLike]
    seed: Each[int]
    learning_rate: Each[float]
    l2: Each[float]
    momentum: Each[float]
    l1: Each[float]
    dropout: Each[float | tuple[float, ...]]
    clip: Each[float | None]
    average: Each[float]
    hidden: Each[int | Sequence[int]]
    activation: Each[Activation | tuple[Activation, ...]]
    batch_size: Each[int | None]
    epochs: Each[int]
    init: Sequence[MLP]


def grid(**options: Unpack[Choices]) -> dict[str, Any]:
    """All combinations of some options' values, for `train_many(X, y, **grid(...))`.

    Parameters
    ----------
    **options : sequences
        The values of each option; of `hidden`, numbers of units or tuples of them. Those of the last option vary fastest.

    Returns
    -------
    dict of str to list
        For each option, its value in each combination.

    Raises
    ------
    ValueError
        If there is no option, or one has no values.
    """
    if not options:
        raise ValueError("grid must have an option with its values, such as learning_rate=[0.01, 0.1]; got none")
    listed = {name: checks.grid_values(name, values) for name, values in options.items()}
    count = math.prod(map(len, listed.values()))
    checks.enough_memory(f"a grid of {count} combinations", count * len(listed) * 3 * 8)  # as tuples, and as lists
    columns = zip(*product(*listed.values()), strict=True)
    return dict(zip(listed, map(list, columns), strict=True))
