"""What tests of arguments share: rows and trained networks, small trainings, a data frame of nobody's, and errors to the letter."""

import re

import numpy as np
import pytest
from cases import toy

import fastmlp

X, Y = toy(20)
OPTIONS = {"hidden": 2, "epochs": 1, "seed": 0}


def train(X, y, **options):
    return fastmlp.train(X, y, **{**OPTIONS, **options})


def train_many(X, y, **options):
    return fastmlp.train_many(X, y, members=2, **{**OPTIONS, **options})


BOTH = pytest.mark.parametrize("train", [train, train_many])
MODEL, POPULATION = train(X, Y), train_many(X, Y)
PNG = b"\x89PNG" * 100  # as if a picture stood in it


class Frame:
    """What fastmlp asks of a data frame, or of one of its rows, whoever made it."""

    def __init__(self, values, columns):
        self.values = np.asarray(values)
        if self.values.ndim == 2:
            self.columns = columns
        else:
            self.index = columns

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)

    def __getitem__(self, names):
        return Frame(self.values[:, [self.columns.index(name) for name in names]], list(names))


def told(call, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        call()
