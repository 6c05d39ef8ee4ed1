"""What fastmlp train takes of the options of train and train_many, of one network or of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

import fastmlp
from fastmlp.commands.parser import DTYPES, batch_size, layer_sizes, name_of, number, positive_whole, several, whole


def class_weight(text: str) -> str | None:
    """How classes are weighted by --class-weight."""
    return None if name_of(("balanced", "none"))(text) == "none" else text


# Options of train and train_many: what their values are called, and what reads them. The first ones take several values.
SWEPT: dict[str, tuple[str, Callable[[str], Any]]] = {
    "hidden": ("8,8[/...]", several(layer_sizes, "/")),
    "activation": ("NAME[,...]", several(str)),
    "batch_size": ("N|full[,...]", several(batch_size)),
    "learning_rate": ("RATE[,...]", several(number)),
    "momentum": ("SHARE[,...]", several(number)),
    "l2": ("L2[,...]", several(number)),
    "l1": ("L1[,...]", several(number)),
    "dropout": ("SHARE[,...]", several(number)),
    "clip": ("LENGTH[,...]", several(number)),
    "average": ("SHARE[,...]", several(number)),
}
SINGLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "optimizer": ("NAME", str),
    "loss": ("NAME", str),
    "tolerance": ("T", number),
    "schedule": ("NAME", str),
    "decay": ("D", number),
    "warmup": ("EPOCHS", number),
    "epochs": ("N", whole),
    "patience": ("N", whole),
    "monitor": ("NAME", str),
    "class_weight": ("NAME", class_weight),
    "seed": ("N", whole),
    "data_seed": ("N", whole),
    "members": ("N", positive_whole),
    "halving": ("H", whole),
    "dtype": ("NAME", name_of(DTYPES)),
    "threads": ("N", whole),
}


def each_of_members(swept: Mapping[str, list[Any]], members: int) -> dict[str, list[Any]]:
    """The values of each option by member: the combinations take turns."""
    values = fastmlp.grid(**swept) if swept else {}
    return {name: list(islice(cycle(each), members)) for name, each in values.items()}


def member_count_of(options: dict[str, Any], combinations: int) -> int | None:
    """How many networks are to be compared, if any are; contradictions are rejected."""
    many = combinations > 1 or "members" in options
    members = options.pop("members", combinations)
    method = options.get("method", "softmax")
    if many and method != "softmax":
        raise ValueError(f"--method {method} takes neither --members nor several values of an option")
    if members < combinations:
        raise ValueError(f"--members must be at least {combinations}, one for each combination of values; got {members}")
    for name in ("halving", "ensemble"):
        if name in options and members == 1:
            raise ValueError(f"--{name} needs several networks: give --members, or several values of an option")
    return members if many else None
