"""What holds for all tests."""

import os
import signal

import numpy as np

# Some tests press Ctrl-C, here or in processes that they start. `nohup pytest &` would have all of them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("NUMBA_DISABLE_JIT") == "1":  # compiled code gives no warnings; nor does its interpreted form
    np.seterr(all="ignore")
