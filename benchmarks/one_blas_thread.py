"""Importing this, before NumPy, gives OpenBLAS one thread unless the environment says otherwise.

On products of these sizes a second thread gains little, and its spinning costs a factor of ten wherever the cores are shared.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
