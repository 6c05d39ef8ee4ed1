"""Files to rows of features: a chunk of names, or of places in an archive, in one call, with no Python object for an image.

Names lie one after another, each ended by a zero byte, as the system takes them. They are opened as seen from an open folder, and
never waited for, should one of them have become a pipe. A file that does not fit the scratch is read in part and then refused, as
the end of the picture is missing.
"""

import os
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastmlp.kernels import ink, png
from fastmlp.kernels.jit import jit, jit_part
from fastmlp.kernels.simd import compiles, pointer_to

POSSIBLE = os.name == "posix"  # elsewhere Python reads the files
READ, NO_PNG, REFUSED = 0, 1, 2  # what became of a file; Pillow has to say what is wrong with a refused one


class Scratch(NamedTuple):
    """What a thread needs for its files."""

    png: png.Scratch
    histogram: Any  # (256,) int64
    marks: Any  # uint8, see kernels/ink.py


def scratch():
    return Scratch(png.scratch(), np.empty(256, np.int64), np.empty(ink.places_for(png.PIXELS), np.uint8))


# -- system calls: -1 tells that one failed ----------------------------------------------------------------------------------------


def _open_at(folder, names, start):
    """Opens the file whose name begins at that place, seen from an open folder."""
    name = names[start:].tobytes()
    try:
        return os.open(name[: name.index(0)], OPEN_FLAGS, dir_fd=int(folder))
    except OSError:
        return -1


def _read(file, out, count):
    """Reads up to so many bytes to the beginning of `out`; how many came."""
    try:
        return os.readv(file, [out[:count]])
    except OSError:
        return -1


def _close(file):
    """Closes it, and it is of no interest whether that went well."""
    os.close(file)
    return 0


OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)  # to open from
_INT, _LONG = ir.IntType(32), ir.IntType(64)


def _call(builder, name, result, arguments, *, more=False):
    """Calls a function of the C library, which may take more arguments than are given."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments], more)
    value = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
    return value if result is _LONG else builder.sext(value, _LONG)


def _address(context, builder, kind, array, i):
    return builder.bitcast(pointer_to(context, builder, kind, array, i), cgutils.voidptr_t)


@compiles(_open_at, result=lambda folder, names, start: types.int64, kinds=[(types.Integer, types.Array, types.Integer)])
def _(context, builder, signature, folder, names, start):
    name = _address(context, builder, signature.args[1], names, start)
    return _call(builder, "openat", _INT, [builder.trunc(folder, _INT), name, _INT(OPEN_FLAGS)], more=True)


@compiles(_read, result=lambda file, out, count: types.int64, kinds=[(types.Integer, types.Array, types.Integer)])
def _(context, builder, signature, file, out, count):
    start = _address(context, builder, signature.args[1], out, _LONG(0))
    return _call(builder, "read", _LONG, [builder.trunc(file, _INT), start, count])


@compiles(_close, result=lambda file: types.int64, kinds=[(types.Integer,)])
def _(context, builder, signature, file):
    return _call(builder, "close", _INT, [builder.trunc(file, _INT)])


# -- chunks ------------------------------------------------------------------------------------------------------------------------


@jit_part
def _features(row, scratch, data, start, stop, extractor, max_pixels):
    """The features of the file data[start:stop], and what became of it."""
    if not png.is_png(data, start, stop):
        return NO_PNG
    height, width = png.read(scratch.png, data, start, stop, max_pixels)
    if height == 0:
        return REFUSED
    image = scratch.png.gray[: height * width]
    if extractor == ink.INK:
        ink.ink_features(row, scratch.histogram, scratch.marks, image, height, width)
    else:
        ink.pixel_features(row, scratch.histogram, scratch.marks, image, height, width)
    return READ


@jit
def read_files(features, outcomes, scratch, folder, names, starts, first, last, extractor, max_pixels):
    """The features of the files whose names begin at starts[first:last], seen from an open folder.

    features (n, size) float64; outcomes (n,) uint8; names uint8; starts (n,) int64. A row of features means something where READ.
    """
    data = scratch.png.file
    for k in range(first, last):
        outcomes[k] = REFUSED
        file = _open_at(folder, names, starts[k])
        if file >= 0:
            size = _read(file, data, data.shape[0])
            _close(file)
            if size >= 0:
                outcomes[k] = _features(features[k], scratch, data, np.int64(0), size, extractor, max_pixels)


@jit
def read_members(features, outcomes, scratch, data, places, first, last, extractor, max_pixels):
    """The same for files that lie at places[first:last] of data. places (n, 4) int64 are as in fastmlp/archives.py."""
    for k in range(first, last):
        outcomes[k] = REFUSED
        if places[k, 2] == 0:  # not compressed
            outcomes[k] = _features(features[k], scratch, data, places[k, 0], places[k, 0] + places[k, 1], extractor, max_pixels)
