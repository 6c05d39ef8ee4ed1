"""Warnings that name the line of the caller's program, from however deep in the package they come."""

import sys
import warnings
from types import FrameType


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn whoever called the package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastmlp":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
