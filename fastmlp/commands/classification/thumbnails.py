"""Images made small, as HTML, with what is said of them and a link to the original."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.page import PATH_LENGTH, TEXT_LENGTH, escaped
from fastmlp.images.pillow import as_png, read_image
from fastmlp.images.sources.urls import is_web

THUMBNAIL_SIDE = 96  # pixels

Read = Callable[[str], bytes]


class Thumbnail(NamedTuple):
    """An image for a page."""

    html: str
    small: NDArray[np.uint8] | None
    """Its gray levels (H, W), made small; None if it cannot be read."""


def picture(read: Read, path: str, alt: str) -> Thumbnail:
    """The image at a path, of which `read` gives the bytes; where it cannot be read, why. `alt` may hold no marks of HTML."""
    try:
        gray = read_image(read(path), reduced=True)
    except Exception as error:  # whatever reading raises: a page is more than one of its images
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Thumbnail(f'<div class="gone"><span>{escaped(reason)}</span></div>', None)
    tiny = ' class="tiny"' if max(gray.shape) < THUMBNAIL_SIDE else ""
    small = thumbnail(gray)
    return Thumbnail(f'<img{tiny} alt="{alt}" src="data:image/png;base64,{b64encode(as_png(small)).decode()}">', small)


def figure(image: str, verdict: str, path: str, link: str | None, name: str | None = None) -> str:
    """An image with what is said of it, as HTML, its path or a shorter name, and a link to where it is."""
    caption = f'<figcaption>{verdict}<span class="path">{escaped(name or path, PATH_LENGTH)}</span></figcaption>'
    linked = image if link is None else f'<a href="{link}">{image}</a>'
    return f'<figure title="{escaped(path, TEXT_LENGTH)}">{linked}{caption}</figure>\n'


def link_to(place: str, folder: str) -> str:
    """Where a file is, as seen from a page in a folder, or a URL; percents stand for all that could be a mark of HTML."""
    if is_web(place):
        return quote(place, safe=":/?=%&").replace("&", "&amp;")
    place = os.path.realpath(place)
    try:
        place = os.path.relpath(place, folder)
    except ValueError:  # on another drive
        return "file:///" + quote(os.fsencode(place.replace(os.sep, "/")), safe="/:")
    return quote(os.fsencode(place.replace(os.sep, "/")))


def thumbnail(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray levels (H, W) made small enough, each one the mean over the area that it stands for."""
    levels: NDArray = gray
    if (side := max(gray.shape) // (2 * THUMBNAIL_SIDE)) > 1:  # first by whole blocks, as the product below is of floats
        tops, lefts = (np.arange(0, size, side) for size in gray.shape)
        sums = np.add.reduceat(np.add.reduceat(gray, tops, axis=0, dtype=np.uint32), lefts, axis=1)
        levels = sums / np.outer(np.diff(tops, append=gray.shape[0]), np.diff(lefts, append=gray.shape[1]))
    shrink = max(gray.shape) / THUMBNAIL_SIDE
    if shrink <= 1:
        return gray
    rows, columns = (max(1, round(size / shrink)) for size in gray.shape)
    return np.rint(area_means(levels, rows, columns)).astype(np.uint8)


def area_means(levels: NDArray, rows: int, columns: int) -> NDArray[np.float64]:
    """A picture (H, W) cut into equal parts, (rows, columns): the mean of each."""
    down, across = (_means(size, count) for size, count in zip((rows, columns), levels.shape, strict=True))
    return down @ levels @ across.T


def _means(size: int, count: int) -> NDArray[np.float64]:
    """(size, count): row i holds how much of each of `count` values is in the i-th of `size` equal parts of their line."""
    edges = np.linspace(0, count, size + 1)
    value = np.arange(count)
    inside = np.minimum(edges[1:, np.newaxis], value + 1) - np.maximum(edges[:-1, np.newaxis], value)
    return np.maximum(inside, 0) * size / count
