"""Copied: how models are copied and pickled, and what of them cannot be set."""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import cached_property
from threading import Lock
from typing import Any, ClassVar, Self


class Copied:
    """Its copies share nothing with it; they and its pickles are without what follows from the rest, and what updates write to."""

    FIXED: ClassVar[Collection[str]] = frozenset()
    """Attributes that cannot be set once it is made, as others were laid out by them."""

    def __init__(self) -> None:
        self._updating = Lock()  # held by who writes to its parameters

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if name in kind.FIXED and (name in vars(self) or hasattr(kind, name)):
            raise AttributeError(f"{name} cannot be set, as all else follows from it; make another {kind.__name__}")
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        kept = vars(self).keys() - {"_updating"}
        return {name: vars(self)[name] for name in kept if not isinstance(getattr(type(self), name, None), cached_property)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _updating=Lock())

    def __copy__(self) -> Self:
        return copy.deepcopy(self)
