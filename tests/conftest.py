"""Tests, as benchmarks, run on kernels that were compiled from their present sources."""

import os

import numpy as np

import benchmarks.kernel_cache  # noqa: F401

if os.environ.get("NUMBA_DISABLE_JIT") == "1":  # compiled code gives no warnings; nor does its interpreted form
    np.seterr(all="ignore")
