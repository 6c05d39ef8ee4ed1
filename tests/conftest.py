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
    eleventh is run; and on other versions kernels that take long to compile are compiled for the dtype alone that a mark names."""
    interpreted, asked = os.environ.get("NUMBA_DISABLE_JIT"), config.getoption("markexpr")
    if asked != ("kernels" if interpreted else "versions"):
        return
    chosen = [item for item in items if interpreted or _is_of_the_marks_dtype(item)]
    names = [item.location[0] + item.function.__name__ for item in chosen]
    sizes, turns = Counter(names), Counter()
    items.clear()
    for item, name in zip(chosen, names, strict=True):
        turns[name] += 1
        if sizes[name] <= MANY or turns[name] % EVERY == 0:
            items.append(item)


def _is_of_the_marks_dtype(item):
    """As of @pytest.mark.versions(dtype=np.float64)."""
    mark = item.get_closest_marker("versions")
    wanted = mark and mark.kwargs.get("dtype")
    return wanted is None or not hasattr(item, "callspec") or item.callspec.params.get("dtype", wanted) is wanted
