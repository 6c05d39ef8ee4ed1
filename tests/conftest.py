"""Tests, as benchmarks, run on kernels that were compiled from their present sources."""

import benchmarks.kernel_cache  # noqa: F401
