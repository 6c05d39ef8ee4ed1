"""Networks as records of a model's file, and back.

Of network i of the header's list `networks` stand in the file, as far as it has them,

    theta_i                     its parameters
    classes_i                   its labels, if it is a classifier
    loss_i, validation_loss_i   its history, if it was trained, and with a validation set
    validation_accuracy_i       of that, if it was monitored
    state_theta_i, state_moments_i, state_scaling_i     what `keep_state=True` kept, see TrainingState

and its entry in the list says what it is, and which of them there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import checks, labels
from fastmlp.kernels.custom_loss import CustomLoss
from fastmlp.kernels.optimizers import OPTIMIZERS
from fastmlp.networks.architecture import parameter_count
from fastmlp.networks.history import History, TrainingState
from fastmlp.storage import Expected, Fields, Record, check_fields, check_finite, check_nesting, check_type

if TYPE_CHECKING:
    from fastmlp.networks.mlp import MLP

ARCHITECTURE_FIELDS: Fields = {
    "layer_sizes": list, "activations": list, "output": str, "loss_name": str, "bias": bool, "dtype": str, "classes": bool,
}  # fmt: skip
HISTORY_FIELDS: Fields = {"epochs": int, "stopped_by": str, "validation": bool}
STATE_FIELDS: Fields = {"optimizer": str, "seed": int, "epochs": int, "steps": int, "outputs": bool}
ACCURACY_FIELDS: Fields = {"accuracy": bool}  # of a history, that may be missing
MORE_FIELDS: Fields = {"feature_names": list, "huber_delta": float}  # of an architecture, that may be missing
MADE_WITH_FIELDS: Fields = {"made_with": dict}  # that may be missing
MOST_COUNTED = 1 << 53  # epochs and steps, of which float64 still knows each
OF_FUNCTION = "()"  # ends the name of a loss that is a function, of which nothing else is in a file
LONGEST_WORD = 24  # characters of the word for why a training ended

# -- written ----------------------------------------------------------------------------------------------------------------------


def of_networks(kind: str, networks: Iterable[MLP], **more: Any) -> Record:
    """What stands in the file of a model of that kind that is made of networks, with more fields of its header."""
    entries: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for index, network in enumerate(networks):
        if not np.isfinite(network.theta).all():
            raise ValueError("the model cannot be saved: its theta has a value that is not finite")
        entries.append(architecture_entry(network) | _history_entry(network) | made_with_entry(network) | _state_entry(network))
        arrays |= {f"{name}_{index}": array for name, array in _arrays(network).items()}
    return Record({"kind": kind, "networks": entries, **more}, arrays)


def architecture_entry(network: MLP) -> dict[str, Any]:
    """What a network is, whatever its parameters are."""
    names = {} if network.feature_names is None else {"feature_names": list(network.feature_names)}
    parameter = network.loss_row.parameter
    return (
        names
        | ({} if parameter is None else {parameter: float(getattr(network, parameter))})
        | {
            "layer_sizes": [int(size) for size in network.layer_sizes],
            "activations": list(network.activations),
            "output": network.output,
            "loss_name": network.loss_name + OF_FUNCTION * (network.custom_loss is not None),
            "bias": bool(network.bias),
            "dtype": network.theta.dtype.name,
            "classes": network.classes is not None,
        }
    )


def made_with_entry(model: Any) -> dict[str, Any]:
    return {"made_with": model.made_with} if model.made_with else {}


def _history_entry(network: MLP) -> dict[str, Any]:
    history = network.history
    if history is None:
        return {"trained": False}
    validated = history.validation_loss is not None
    entry = {"trained": True, "epochs": int(history.epochs), "stopped_by": history.stopped_by, "validation": validated}
    return entry | ({} if history.validation_accuracy is None else {"accuracy": True})


def _state_entry(network: MLP) -> dict[str, Any]:
    state = network.state
    if state is None:
        return {}
    fields = {name: getattr(state, name) for name in ("optimizer", "seed", "epochs", "steps")}
    own = {} if state.data_seed is None else {"data_seed": state.data_seed}
    averaged = {"averaged": True} if len(state.moments) > 2 else {}
    return {"state": fields | own | averaged | {"outputs": len(state.scaling) > 2}}


def _arrays(network: MLP) -> dict[str, np.ndarray]:
    """A network's arrays, under the names that they have in the file."""
    arrays = {"theta": network.theta, "classes": network.classes}
    if network.history is not None:
        arrays |= {"loss": network.history.loss, "validation_loss": network.history.validation_loss}
        arrays["validation_accuracy"] = network.history.validation_accuracy
    if network.state is not None:
        arrays["state_theta"], arrays["state_moments"] = network.state.theta, network.state.moments.ravel()
        arrays["state_scaling"] = np.concatenate(network.state.scaling)
    return {name: array for name, array in arrays.items() if array is not None}


# -- read -------------------------------------------------------------------------------------------------------------------------


def expected_network(header: dict[str, Any]) -> dict[str, Expected]:
    """The arrays of the one network of the list, as its entry says."""
    if len(header["networks"]) > 1:
        raise ValueError(f"its header declares {len(header['networks'])} networks")
    return expected_networks(header)


def expected_networks(header: dict[str, Any]) -> dict[str, Expected]:
    """The arrays of all networks of the list, as its entries say."""
    return numbered(_expected_entry(entry) for entry in header["networks"])


def numbered(networks: Iterable[dict[str, Expected]]) -> dict[str, Expected]:
    """The arrays of all under their names in the file; of at least one."""
    found = list(networks)
    if not found:
        raise ValueError("its header declares 0 networks")
    return {f"{name}_{index}": expected for index, network in enumerate(found) for name, expected in network.items()}


def _expected_entry(entry: Any) -> dict[str, Expected]:
    trained = isinstance(entry, dict) and entry.get("trained") is True
    fields = {**ARCHITECTURE_FIELDS, "trained": bool, **(HISTORY_FIELDS if trained else {})}
    more = {**MADE_WITH_FIELDS, **MORE_FIELDS, **(ACCURACY_FIELDS if trained else {}), "state": dict}
    check_fields("a network in its header", entry, fields, more)
    check_made_with(entry)
    expected = expected_architecture(entry)
    if "state" in entry:
        _check_state(entry["state"])
        theta, inputs, outputs = expected["theta"], entry["layer_sizes"][0], entry["layer_sizes"][-1] * entry["state"]["outputs"]
        expected["state_theta"] = theta
        expected["state_moments"] = Expected(theta.dtype, (2 + entry["state"].get("averaged", False)) * (theta.length or 0))
        expected["state_scaling"] = Expected(theta.dtype, 2 * (inputs + outputs))
    if trained:
        check_reason(entry["stopped_by"])
        expected["loss"] = Expected(np.dtype(np.float64), entry["epochs"])
        if entry["validation"]:
            expected["validation_loss"] = expected["loss"]
        if entry.get("accuracy"):
            expected["validation_accuracy"] = expected["loss"]
    return expected


def _check_state(state: Any) -> None:
    check_fields("a state in its header", state, STATE_FIELDS, {"data_seed": int, "averaged": bool})
    checks.one_of("optimizer", state["optimizer"], OPTIMIZERS)
    for name in state.keys() & {"seed", "data_seed"}:
        checks.seed(name, state[name])
    for name in ("epochs", "steps"):
        if not 0 <= state[name] <= MOST_COUNTED:
            raise ValueError(f"{name} in its header must be from 0 to {MOST_COUNTED}; got {checks.shown(state[name])}")


def check_reason(word: str) -> None:
    if not word.isidentifier() or len(word) > LONGEST_WORD:
        raise ValueError(f"stopped_by in its header must be a word; got {checks.shown(word)}")


def expected_architecture(entry: dict[str, Any], copies: int = 1) -> dict[str, Expected]:
    """The arrays of so many networks of one architecture."""
    sizes = entry["layer_sizes"]
    for size in sizes:
        check_type("a layer size in its header", size, int)
    for name in entry["activations"]:
        check_type("an activation in its header", name, str)
    if len(sizes) < 2 or min(sizes) < 1 or len(entry["activations"]) != len(sizes) - 2:
        raise ValueError("its header must declare at least two layers, none empty, with activations between")
    if entry["dtype"] not in ("float32", "float64"):
        raise ValueError(f"dtype in its header must be float32 or float64; got {checks.shown(entry['dtype'])}")
    expected = {"theta": Expected(np.dtype(entry["dtype"]), copies * parameter_count(sizes, entry["bias"]))}
    if entry["classes"]:
        expected["classes"] = Expected(None, max(sizes[-1], 2))
    return expected


def check_made_with(record: dict[str, Any]) -> None:
    made = record.get("made_with", {})
    check_type("the options in its header", made.get("options", {}), dict)
    check_nesting("made_with in its header", made)


def network_arguments(record: Record, index: int = 0) -> dict[str, Any]:
    """What to make network `index` with: the arguments of MLP."""
    entry, theta = record.header["networks"][index], record.arrays[f"theta_{index}"]
    check_finite(f"theta_{index}", theta)
    history = None
    if entry["trained"]:
        names = ("loss", "validation_loss", "validation_accuracy")
        loss, *measured = (record.arrays.get(f"{name}_{index}") for name in names)
        assert loss is not None
        history = History(loss, measured[0], entry["epochs"], entry["stopped_by"], measured[1])
    more = {"history": history, "made_with": entry.get("made_with"), "state": _state(record, index)}
    return architecture_arguments(record, index) | {"theta": theta} | more


def architecture_arguments(record: Record, index: int) -> dict[str, Any]:
    """Those of them that do not depend on its parameters."""
    entry = record.header["networks"][index]
    classes = record.arrays.get(f"classes_{index}")
    loss = entry["loss_name"]
    return {name: entry[name] for name in ("layer_sizes", "activations", "output", "bias")} | {
        "loss_name": CustomLoss(loss.removesuffix(OF_FUNCTION), None) if loss.endswith(OF_FUNCTION) else loss,
        "classes": None if classes is None else labels.ascending_classes(classes),
        "feature_names": entry.get("feature_names"),
        "huber_delta": entry.get("huber_delta", 1.0),
    }


def _state(record: Record, index: int) -> TrainingState | None:
    entry = record.header["networks"][index]
    if "state" not in entry:
        return None
    names = ("state_theta", "state_moments", "state_scaling")
    theta, moments, scaling = (record.arrays[f"{name}_{index}"] for name in names)
    for name, array in zip(names, (theta, moments, scaling), strict=True):
        check_finite(name, array)
    state, inputs, outputs = entry["state"], entry["layer_sizes"][0], entry["layer_sizes"][-1]
    lengths = [inputs, inputs] + [outputs, outputs] * state["outputs"]
    return TrainingState(
        state["optimizer"], state["seed"], state.get("data_seed"), state["epochs"], state["steps"],
        moments.reshape(-1, theta.size), theta, tuple(np.split(scaling, np.cumsum(lengths)[:-1])),
    )  # fmt: skip
