"""What an open folder holds, as names: by the system call getdents64, without a Python object for an entry.

Linux fills a block with records one after another: eight bytes for each of the file's number and the place of the next record, the
record's length (2 bytes), the kind of the entry (1), and its name, ended by a zero byte, all in the order of the machine.
"""

import ctypes
import os
import platform
import sys

import numpy as np
from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit
from fastmlp.kernels.numba_internals import call
from fastmlp.kernels.simd import compiles, pointer_to

GETDENTS64 = {"x86_64": 217, "aarch64": 61}.get(platform.machine(), 0)  # the number of the call
POSSIBLE = sys.platform == "linux" and GETDENTS64 > 0  # elsewhere Python lists them
FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
LENGTH, KIND, NAME = 16, 18, 19  # where these begin in a record
FOLDER, FILE = 4, 8  # kinds
DOT, SLASH = ord("."), ord("/")
BLOCK, BLOCKS = 1 << 15, 8  # bytes, as many as Python asks for; and how many blocks at a time: some thousand names, some ms
MORE, END, OTHER = 0, 1, 2  # why a listing ends: for now, for good, or as there is what Python has to look at


def _next_records(folder, records):
    """Fills the beginning of `records` with the next ones of an open folder; how many bytes: 0 at its end, less if it fails."""
    return ctypes.CDLL(None).syscall(GETDENTS64, folder, ctypes.c_void_p(records.ctypes.data), ctypes.c_size_t(records.size))


_INT, _LONG = ir.IntType(32), ir.IntType(64)


@compiles(_next_records, result=lambda folder, records: types.int64, kinds=[(types.Integer, types.Array)])
def _(context, builder, signature, folder, records):
    start = pointer_to(context, builder, signature.args[1], records, _LONG(0))
    return call(builder, "syscall", _LONG, [_LONG(GETDENTS64), builder.trunc(folder, _INT), start, _LONG(BLOCK)], more=True)


@jit
def list_entries(names, records, folder):
    """The next names of an open folder, and MORE, END or OTHER: (bytes of names, why that is all).

    names (BLOCKS * BLOCK,) and records (BLOCK,) uint8. Each name is ended by a zero byte, and that of a folder by "/" before it;
    what is hidden is left out. OTHER tells that something is neither a file nor a folder, or of unknown kind, or that the call
    failed.
    """
    size = np.int64(0)
    for _ in range(BLOCKS):
        count = _next_records(folder, records)
        if count <= 0:
            return size, END if count == 0 else OTHER
        at = np.int64(0)
        while at < count:
            kind, i = records[at + KIND], at + NAME
            if records[i] != DOT:
                if kind != FILE and kind != FOLDER:
                    return size, OTHER
                while records[i] != 0:
                    names[size] = records[i]
                    size += 1
                    i += 1
                if kind == FOLDER:
                    names[size] = SLASH
                    size += 1
                names[size] = 0
                size += 1
            at += np.int64(records[at + LENGTH]) | np.int64(records[at + LENGTH + 1]) << 8
    return size, MORE
