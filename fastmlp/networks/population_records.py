"""A population as a record of a model's file, and back.

The header's list `networks` has an entry for each group of members of one architecture. Of M members and at most E epochs there are

    theta_i, classes_i, members_i       of group i: the parameters, member after member; the labels; the members' places
    scores, epochs, stopped_by, seed, learning_rate, l2, momentum, batch_size   (M,); seeds as decimal digits, a full batch as 0
    loss, validation_loss, validation_accuracy      (M * E,), row by row
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.networks.ensemble import Group
from fastmlp.networks.history import PopulationHistory
from fastmlp.networks.mlp import MLP
from fastmlp.networks.records import (
    ARCHITECTURE_FIELDS,
    MORE_FIELDS,
    architecture_arguments,
    architecture_entry,
    check_made_with,
    check_reason,
    expected_architecture,
    made_with_entry,
    numbered,
)
from fastmlp.storage import Expected, Fields, Record, check_fields, check_finite

if TYPE_CHECKING:
    from fastmlp.networks.population import Population

GROUP_FIELDS: Fields = {**ARCHITECTURE_FIELDS, "members": int}
ACCURACY = "validation_accuracy"
SEED_DIGITS = 40  # at most
NUMBERS = ("learning_rate", "l2", "momentum")  # options of members that are numbers


def of_population(population: Population) -> Record:
    """What stands in the file of a population."""
    check_parameters(population.groups, population.diverged, "the population cannot be saved: ")
    history, options = population.history, population.options
    arrays = {
        "scores": population.scores,
        "epochs": history.epochs,
        "stopped_by": np.array(history.stopped_by),
        "seed": np.array([str(seed) for seed in options["seed"]]),
        **{name: np.array(options[name]) for name in NUMBERS},
        "batch_size": np.array([size or 0 for size in options["batch_size"]], np.int64),
        "loss": history.loss.ravel(),
    }
    if history.validation_loss is not None:
        arrays["validation_loss"] = history.validation_loss.ravel()
    if history.validation_accuracy is not None:
        arrays["validation_accuracy"] = history.validation_accuracy.ravel()
    for index, (network, members, theta, _) in enumerate(population.groups):
        arrays |= {f"theta_{index}": theta.ravel(), f"members_{index}": members.astype(np.int64)}
        if network.classes is not None:
            arrays[f"classes_{index}"] = network.classes
    header = {
        "kind": "population",
        "networks": [_group_entry(group) for group in population.groups],
        "epochs": history.loss.shape[1],
        "validation": history.validation_loss is not None,
        **({} if history.validation_accuracy is None else {"accuracy": True}),
        "same_targets": bool(population.same_targets),
        **made_with_entry(population),
    }
    return Record(header, arrays)


def _group_entry(group: Group) -> dict[str, Any]:
    """What a group is, and what its members have in common."""
    entry = architecture_entry(group.network) | {"members": len(group.members)}
    return entry | ({"own": dict(group.own)} if group.own else {})


def _option(name: str, value: Any) -> Any:
    """The value of an option of a group, whose several numbers are those of layers."""
    numbers = value if isinstance(value, list) else [value]
    if not all(type(number) in (int, float) or (number is None and name == "clip") for number in numbers):
        raise ValueError(f"{name} of a group in its header must be a number; got {checks.shown(value)}")
    return tuple(value) if isinstance(value, list) else value


def check_parameters(groups: Sequence[Group], diverged: NDArray[np.bool_], what: str = "") -> None:
    """Rejects parameters that are not finite, of members that did not diverge."""
    bad = np.zeros(len(diverged), bool)
    for _, members, theta, _ in groups:
        bad[members] = ~np.isfinite(theta).all(axis=1)
    bad &= ~diverged
    if bad.any():
        raise ValueError(f"{what}theta of member {int(bad.argmax())} has a value that is not finite")


def expected_population(header: dict[str, Any]) -> dict[str, Expected]:
    """The arrays of a population, as its header says."""
    check_made_with(header)
    groups = numbered(_expected_group(entry) for entry in header["networks"])
    count = sum(entry["members"] for entry in header["networks"])
    numbers, whole, text = (Expected(dtype, count) for dtype in (np.dtype(np.float64), np.dtype(np.int64), None))
    losses = Expected(np.dtype(np.float64), count * header["epochs"])
    expected = groups | dict.fromkeys(("scores", *NUMBERS), numbers) | {"epochs": whole, "batch_size": whole}
    expected |= {"stopped_by": text, "seed": text, "loss": losses}
    measured = [name for name, there in (("validation_loss", header["validation"]), (ACCURACY, header.get("accuracy"))) if there]
    return expected | dict.fromkeys(measured, losses)


def _expected_group(entry: Any) -> dict[str, Expected]:
    check_fields("a group in its header", entry, GROUP_FIELDS, {**MORE_FIELDS, "own": dict})
    if entry["members"] < 1:
        raise ValueError(f"a group in its header must have members; got {checks.shown(entry['members'])}")
    return {**expected_architecture(entry, entry["members"]), "members": Expected(np.dtype(np.int64), entry["members"])}


def population_arguments(record: Record) -> dict[str, Any]:
    """What to make a population with."""
    header, arrays = record.header, record.arrays
    groups = []
    for index, entry in enumerate(header["networks"]):
        theta = arrays[f"theta_{index}"].reshape(entry["members"], -1)
        own = {name: _option(name, value) for name, value in entry.get("own", {}).items()}
        groups.append(Group(MLP(theta=theta[0], **architecture_arguments(record, index)), arrays[f"members_{index}"], theta, own))
    seeds, stopped_by = arrays["seed"], arrays["stopped_by"]
    if seeds.dtype.kind != "U" or stopped_by.dtype.kind != "U" or not np.strings.isdecimal(seeds).all():
        raise ValueError("its seeds must be text of decimal digits, and stopped_by text")
    if np.strings.str_len(seeds).max() > SEED_DIGITS:
        raise ValueError(f"its seeds must have {SEED_DIGITS} digits at most")
    for reason in set(stopped_by.tolist()):
        check_reason(reason)
    for name in NUMBERS:
        check_finite(name, arrays[name])
    if arrays["batch_size"].min() < 0:
        raise ValueError("batch_size has a negative value")
    shape = (len(seeds), header["epochs"])
    validation, accuracy = arrays.get("validation_loss"), arrays.get(ACCURACY)
    return {
        "groups": groups,
        "history": PopulationHistory(
            arrays["loss"].reshape(shape),
            None if validation is None else validation.reshape(shape),
            arrays["epochs"],
            stopped_by.tolist(),
            None if accuracy is None else accuracy.reshape(shape),
        ),
        "options": {
            "seed": [int(seed) for seed in seeds.tolist()],
            **{name: arrays[name].tolist() for name in NUMBERS},
            "batch_size": [size or None for size in arrays["batch_size"].tolist()],
        },
        "scores": arrays["scores"],
        "same_targets": header["same_targets"],
        "made_with": header.get("made_with"),
    }
