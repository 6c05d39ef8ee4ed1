"""Files to rows of features: a chunk of names, or of places in an archive, in one call, with no Python object for an image.

Names lie one after another, each ended by a zero byte, as the system takes them. They are opened as seen from an open folder, and
never waited for, nor is anything taken out of it, should one of them have become a pipe. A file that does not fit the scratch is
read in part and then refused, as the end of the picture is missing.
"""

import os
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from fastmlp.kernels.compile import jit, jit_part
from fastmlp.kernels.images import png
from fastmlp.kernels.images.features import COLOUR, INK, PIXELS, STROKES, feature_scratch, ink_features, pixel_features
from fastmlp.kernels.images.gray import gray_features
from fastmlp.kernels.images.strokes import stroke_features
from fastmlp.kernels.numba_internals import call
from fastmlp.kernels.simd import compiles, pointer_to

POSSIBLE = os.name == "posix"  # elsewhere Python reads the files
READ, NO_PNG, REFUSED = 0, 1, 2  # what became of a file; Pillow has to say what is wrong with a refused one


class FileScratch(NamedTuple):
    """What a thread needs for its files."""

    png: png.PngScratch
    features: Any  # see features.py
    shape: Any  # (2,) int64: height and width of the last image


def file_scratch():
    return FileScratch(png.png_scratch(), feature_scratch(png.PIXELS), np.zeros(2, np.int64))


class InFolder(NamedTuple):
    """Files by their names."""

    folder: Any  # an open one, or -1 where the files are at places
    names: Any  # uint8, as seen from the folder
    starts: Any  # (n,) int64: where each name begins


class AtPlaces(NamedTuple):
    """Files by their places in an archive, or in memory."""

    archive: Any  # an open one, or -1 where they are in memory
    data: Any  # uint8, the memory
    places: Any  # (n, 4) int64, see fastmlp/images/sources/archives.py


# -- system calls: -1 tells that one failed ----------------------------------------------------------------------------------------


def _open_at(folder, names, start):
    """Opens the file whose name begins at that place, seen from an open folder."""
    name = names[start:].tobytes()
    try:
        return os.open(name[: name.index(0)], OPEN_FLAGS, dir_fd=int(folder))
    except OSError:
        return -1


def _read_at(file, out, count, at):
    """Reads up to so many bytes, from a place of the file on, to the beginning of `out`; how many came. A pipe has no places."""
    try:
        return os.preadv(file, [out[:count]], at)
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
    value = call(builder, name, result, arguments, more=more)
    return value if result is _LONG else builder.sext(value, _LONG)


def _address(context, builder, kind, array, i):
    return builder.bitcast(pointer_to(context, builder, kind, array, i), ir.IntType(8).as_pointer())


@compiles(_open_at, result=lambda folder, names, start: types.int64, kinds=[(types.Integer, types.Array, types.Integer)])
def _(context, builder, signature, folder, names, start):
    name = _address(context, builder, signature.args[1], names, start)
    return _call(builder, "openat", _INT, [builder.trunc(folder, _INT), name, _INT(OPEN_FLAGS)], more=True)


@compiles(
    _read_at,
    result=lambda file, out, count, at: types.int64,
    kinds=[(types.Integer, types.Array, types.Integer, types.Integer)],
)
def _(context, builder, signature, file, out, count, at):
    start = _address(context, builder, signature.args[1], out, _LONG(0))
    return _call(builder, "pread", _LONG, [builder.trunc(file, _INT), start, count, at])


@compiles(_close, result=lambda file: types.int64, kinds=[(types.Integer,)])
def _(context, builder, signature, file):
    return _call(builder, "close", _INT, [builder.trunc(file, _INT)])


# -- places ------------------------------------------------------------------------------------------------------------------------

WINDOW, GAP = 1 << 18, 1 << 12  # bytes that members are read together in, at most, and that may lie between them


@jit_part
def _together(places, k):
    """Where the members end that follow a member at once, and can be read together with it."""
    begin = places[k, 0]
    end = begin + places[k, 1]
    for other in range(k + 1, places.shape[0]):
        after = places[other, 0] + places[other, 1]
        if not 0 <= places[other, 0] - end <= GAP or after - begin > WINDOW:
            break
        end = after
    return end


# -- chunks ------------------------------------------------------------------------------------------------------------------------


@jit
def read_files(features, outcomes, scratch, stop, in_folder, at_places, extractor, max_pixels):
    """The features of files, and what became of each; gray levels of the last one and their shape are left in the scratch.

    features (n, size) float64; outcomes (n,) uint8; where it is not READ, a row of features means nothing. The files are those in
    an InFolder, or those AtPlaces where its folder is -1. Once stop (1,) uint8 is not 0 no further one is looked at.
    """
    folder, names, starts = in_folder
    archive, data, places = at_places
    held, held_end = np.int64(0), np.int64(0)  # what is in the scratch of the archive
    for k in range(outcomes.shape[0]):
        if stop[0] != 0:
            break
        content, start, end = scratch.png.file, np.int64(0), np.int64(-1)
        if folder >= 0:
            file = _open_at(folder, names, starts[k])
            if file >= 0:
                end = _read_at(file, content, np.int64(content.shape[0]), np.int64(0))
                _close(file)
        elif places[k, 2] == 0 and places[k, 1] == places[k, 3]:  # not compressed
            offset, size = places[k, 0], places[k, 1]
            if archive < 0 and offset + size <= data.shape[0]:
                content, start, end = data, offset, offset + size
            elif archive >= 0 and size <= content.shape[0]:
                if offset < held or offset + size > held_end:
                    held, held_end = offset, offset + _read_at(archive, content, _together(places, k) - offset, offset)
                if offset + size <= held_end:
                    start, end = offset - held, offset + size - held
        outcomes[k] = REFUSED
        if end >= start:
            outcomes[k] = NO_PNG
            if png.is_png(content, start, end):
                planes = 3 if extractor == COLOUR else 1
                height, width = png.read_png(scratch.png, content, start, end, max_pixels, planes)
                scratch.shape[0], scratch.shape[1] = height, width
                outcomes[k] = REFUSED
                if height > 0:
                    image = scratch.png.gray[: planes * height * width]
                    if extractor == INK:
                        ink_features(features[k], scratch.features, image, height, width)
                    elif extractor == PIXELS:
                        pixel_features(features[k], scratch.features, image, height, width)
                    elif extractor == STROKES:
                        stroke_features(features[k], scratch.features, image, height, width)
                    else:
                        gray_features(features[k], scratch.features, image, height, width)
                    outcomes[k] = READ
