"""A table: the formats of images that are read, what a file of each begins with, and which of them somebody wants."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple, cast, get_args

from fastmlp import checks
from fastmlp.literals import FormatName

HEAD = 32  # bytes of a file that tell its format


class ImageFormat(NamedTuple):
    """A format of images."""

    spelled: str
    suffixes: tuple[str, ...]
    """What names of such files end with, mostly; it is the contents that tell."""
    beginning: bytes
    """A regular expression for it."""
    shortest: tuple[bytes, ...]
    """What it matches, and no part of that: of each way to begin, one."""


# Formats of which Pillow runs no other program and follows no links; what is not here is no image, be it one to Pillow.
FORMATS: dict[FormatName, ImageFormat] = {
    "png": ImageFormat("PNG", (".png",), rb"\x89PNG\r\n\x1a\n", (b"\x89PNG\r\n\x1a\n",)),
    "jpeg": ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), rb"\xff\xd8\xff", (b"\xff\xd8\xff",)),
    "bmp": ImageFormat(
        "BMP", (".bmp", ".dib"), rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", (b"BM" + bytes(12) + b"\x28\0\0\0",)
    ),
    "gif": ImageFormat("GIF", (".gif",), rb"GIF8[79]a", (b"GIF87a",)),
    "webp": ImageFormat("WebP", (".webp",), rb"RIFF.{4}WEBPVP8[ LX]", (b"RIFF\0\0\0\0WEBPVP8 ",)),
    "tiff": ImageFormat("TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", (b"II*\0", b"MM\0*")),
    "ppm": ImageFormat("PPM", (".ppm", ".pgm", ".pbm", ".pnm"), rb"P[1-6]\s+[#\d]", (b"P5 1",)),
}
BEGINNINGS = re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), row.beginning) for name, row in FORMATS.items()), re.DOTALL)
ALL: tuple[FormatName, ...] = get_args(FormatName)
SUFFIXES = {suffix: name for name, row in FORMATS.items() for suffix in row.suffixes}


def image_format_of(head: bytes) -> FormatName | None:
    """The format of a file that begins with these bytes, HEAD of them, or all that it has."""
    match = BEGINNINGS.match(head)
    return None if match is None else cast(FormatName, match.lastgroup)


def is_cut_off(name: str, data: bytes, formats: Collection[FormatName]) -> bool:
    """Whether all bytes of a file are a part of what its name lets expect it to begin with, where such files are wanted."""
    own = suffix_format(name)
    if own is None or own not in formats or not data:
        return False
    return any(image_format_of(data + whole[len(data) :]) == own for whole in FORMATS[own].shortest)


def suffix_format(name: str) -> FormatName | None:
    """The format that a name says."""
    return SUFFIXES.get(os.path.splitext(name)[1].lower())


def chosen_formats(value: Any) -> tuple[FormatName, ...]:
    """The formats that somebody wants, in the order of the table: names, or one text with commas between them; None for all."""
    if value is None:
        return ALL
    names = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    lower = [name.strip().lower() if isinstance(name, str) else name for name in names]
    chosen = {checks.one_of("formats", SUFFIXES.get(f".{name}", name), ALL) for name in lower}
    if not chosen:
        raise ValueError(f"formats must name one format at least; got {checks.shown(value)}")
    return tuple(name for name in ALL if name in chosen)


def wanted(formats: Iterable[FormatName]) -> str:
    """What messages call a file of these formats: "image file (PNG, JPEG)"."""
    return f"image file ({', '.join(FORMATS[name].spelled for name in formats)})"
