"""Copied: how models are copied and pickled."""

from __future__ import annotations

import copy
from functools import cached_property
from threading import Lock
from typing import Any, Self


class Copied:
    """Its copies share nothing with it; they and its pickles are without what follows from the rest, and what updates write to."""

    def __getstate__(self) -> dict[str, Any]:
        kept = vars(self).keys() - {"_updating"}
        return {name: vars(self)[name] for name in kept if not isinstance(getattr(type(self), name, None), cached_property)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _updating=Lock())

    def __copy__(self) -> Self:
        return copy.deepcopy(self)
