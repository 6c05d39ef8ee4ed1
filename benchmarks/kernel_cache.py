"""Importing this sets NUMBA_CACHE_DIR: compiled kernels of tests and benchmarks live in a folder of their own.

Numba notices a change of a function's own file, not of a function that it inlines from another one. So the folder's name carries a
digest of all kernels, and it has to be set before anything imports numba.
"""

import hashlib
import os
import tempfile
from pathlib import Path

KERNELS = Path(__file__).parent.parent / "fastmlp" / "kernels"


def kernels_digest():
    digest = hashlib.sha256()
    for path in sorted(KERNELS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def own_folder():
    """A folder for this user alone: what is cached there gets executed."""
    user = getattr(os, "getuid", lambda: 0)()  # on Windows the temporary folder itself is the user's
    folder = Path(tempfile.gettempdir()) / f"fastmlp-tests-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == user, f"{folder} belongs to somebody else"
    return folder


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(own_folder() / kernels_digest())
