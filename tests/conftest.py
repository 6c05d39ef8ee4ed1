"""What holds for all tests."""

import os
import signal
from collections import Counter

import numpy as np

# Some tests press Ctrl-C, here or in processes that they start. `nohup pytest &` would have all of them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("NUMBA_DISABLE_JIT") == "1":  # compiled code gives no warnings; nor does its interpreted form
    np.seterr(all="ignore")

MANY, EVERY = 40, 11  # the latter divides no number of words of a vocabulary, so that each of them comes up


def pytest_collection_modifyitems(config, items):
    """Other versions, and kernels as they are interpreted, differ for many parameters alike: there, of a test's many sets, every
    eleventh is run."""
    if config.getoption("markexpr") == ("kernels" if os.environ.get("NUMBA_DISABLE_JIT") else "versions"):
        names = [item.location[0] + item.function.__name__ for item in items]
        sizes, turns = Counter(names), Counter()
        for item, name in zip(list(items), names, strict=True):
            turns[name] += 1
            if sizes[name] > MANY and turns[name] % EVERY:
                items.remove(item)
