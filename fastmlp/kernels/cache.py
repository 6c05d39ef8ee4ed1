"""Where compiled kernels are kept, from one process to the next: a file for each kernel and the types that it takes.

Numba's own cache follows a function's own file, and not those that it inlines functions from. A damaged file makes it fail for
ever, and a folder that cannot be written is not read either. Here a file's name tells the sources of all kernels, and whatever else
its machine code depends on; and its first bytes are the checksum of the rest, so that what is damaged counts as missing.
"""

import hashlib
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import llvmlite
import numba
import numpy as np

from fastmlp.kernels.numba_internals import KeptCode, processor, user_cache_folder

CHECKSUM = 16  # bytes
SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")  # of Numba, that change the code
VERSIONS = (sys.implementation.cache_tag, getattr(sys, "abiflags", ""), numba.__version__, llvmlite.__version__, np.__version__)
UNFINISHED = ".new"  # ends the name of a file that is being written
ABANDONED = 3600  # seconds after which nobody writes it any more


def _digest(content, size=8):
    return hashlib.blake2b(content, digest_size=size)


def _sources():
    """A digest of all kernels; None where they do not lie in files."""
    digest = _digest(b"")
    paths = sorted(Path(__file__).parent.rglob("*.py"))
    for path in paths:
        content = path.read_bytes()
        digest.update(b"%b\0%d\0%b" % (path.name.encode(), len(content), content))
    return digest.hexdigest() if paths else None


def _folders():
    """The one that NUMBA_CACHE_DIR names; else that beside the sources, and that of the user."""
    sources = Path(__file__).parent
    own = f"fastmlp-{_digest(str(sources).encode()).hexdigest()}"  # as sources in several places share the others
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR, own)]
    return [sources / "__pycache__", user_cache_folder() / own]


SOURCES = _sources()
FOLDERS = _folders() if SOURCES else []


class KernelCache(KeptCode):
    """Of one kernel."""

    def __init__(self, function):
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"

    def find(self, signature, codegen):
        """What an earlier process has compiled, from the first folder that holds it whole."""
        name = self._file(signature, codegen)
        for folder in FOLDERS:
            with suppress(OSError):
                content = memoryview((folder / name).read_bytes())
                if content[:CHECKSUM] == _digest(content[CHECKSUM:], CHECKSUM).digest():
                    return content[CHECKSUM:]
        return None

    def keep(self, signature, codegen, content):
        """In the first folder that can be written, if any."""
        name = self._file(signature, codegen)
        for folder in FOLDERS:
            with suppress(OSError):
                _write(folder / name, _digest(content, CHECKSUM).digest() + content)
                _clean(folder)
                return

    def _file(self, signature, codegen):
        settings = [str(getattr(numba.config, name, None)) for name in SETTINGS]
        key = repr((signature, processor(codegen), VERSIONS, settings))
        return f"{self.name}-{SOURCES}-{_digest(key.encode()).hexdigest()}.nbc"


def _write(path, content):
    """Beside, and moved into place, as other processes may read it or write it too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}-{uuid.uuid4().hex}{UNFINISHED}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        with suppress(OSError):  # as a rule it is there no more
            beside.unlink()


def _clean(folder):
    """Removes what was made from other sources. A process that still runs on those compiles anew what it has not loaded yet."""
    for path in folder.iterdir():
        stale = path.suffix in (".nbi", ".nbc") and f"-{SOURCES}-" not in path.name
        with suppress(OSError):
            if stale or (path.suffix == UNFINISHED and time.time() - path.stat().st_mtime > ABANDONED):
                path.unlink()
