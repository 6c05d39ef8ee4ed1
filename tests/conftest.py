"""What holds for all tests."""

import os

import numpy as np

if os.environ.get("NUMBA_DISABLE_JIT") == "1":  # compiled code gives no warnings; nor does its interpreted form
    np.seterr(all="ignore")
