"""What attacks have in common: cases, and what they find."""

from collections import Counter
from pathlib import Path

import numpy as np


class Found(Exception):
    """What must not be: in words, and with the files that lead to it."""

    def __init__(self, what: str, **files: bytes) -> None:
        super().__init__(what)
        self.files = files


class Base:
    """One kind of attack; it is made in a process of its own, which a case may bring down."""

    LIMIT = 60.0
    """Seconds after which a case hangs."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        """An empty folder."""

    def case(self, rng: np.random.Generator) -> Counter[str]:
        """Tries something that follows from `rng` alone, and counts what came of it; or raises Found."""
        raise NotImplementedError
