"""Memory beside which nothing can be touched: what is read or written out of bounds ends the process at once."""

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
NO_ACCESS = 0  # PROT_NONE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def guarded(size: int) -> np.ndarray:
    """An array (size,) uint8 that ends where a page begins that nobody may touch; so does any `array[-count:]` of it."""
    return _between(size)[2 * PAGE + -size % PAGE :][:size]


def guarded_before(size: int) -> np.ndarray:
    """An array (size,) uint8 that begins where a page ends that nobody may touch; so does any `array[:count]` of it."""
    return _between(size)[2 * PAGE :][:size]


def guarded_copy(data: bytes) -> np.ndarray:
    """Such a copy of bytes, guarded behind its end."""
    copy = guarded(len(data))
    copy[:] = np.frombuffer(data, np.uint8)
    return copy


def _between(size: int) -> np.ndarray:
    """Pages for so many bytes, behind two and before two pages of which the inner ones may not be touched."""
    pages = -(-size // PAGE)
    whole = np.frombuffer(mmap.mmap(-1, (pages + 4) * PAGE), np.uint8)  # which lives as long as any part of it
    for page in (1, pages + 2):
        if _libc.mprotect(whole.ctypes.data + page * PAGE, PAGE, NO_ACCESS):
            raise OSError(ctypes.get_errno(), "mprotect failed")
    return whole
