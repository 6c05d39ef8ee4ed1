"""A model and one .npz file: written beside and moved into place, read without trusting a byte of it. And what may be written over.

The file is the zip archive that numpy.savez writes, uncompressed, so that any NumPy program can look into it:

    header              UTF-8 JSON as uint8: format, version, kind, for each network what its arrays mean, what all was made with
    theta_0             the parameters of network 0
    classes_0           its labels, if it is a classifier
    loss_0              its history, if it was trained
    validation_loss_0   the same, if it was trained with a validation set
    state_theta_0, state_moments_0, state_scaling_0     what `keep_state=True` kept, see TrainingState in model.py
    theta_1, ...        the next network, where an image classifier has one network for each class

Of a population of M members, theta_0, theta_1, ... are groups of one architecture, theta after theta, and there are also

    members_0, ...      the places of the group's members
    scores, epochs, stopped_by, seed, learning_rate, l2, momentum, batch_size   (M,); seeds as decimal digits, a full batch as 0
    loss                (M * E,), row by row, and validation_loss
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, pairwise
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp import checks

if TYPE_CHECKING:
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.networks.mlp import MLP, History, TrainingState
    from fastmlp.networks.population import Population

FORMAT = "fastmlp"
VERSION = 2  # 1 knew nothing of made_with, state and feature_names, and had another extractor by the name of ink
HEADER_LIMIT = 1 << 24  # bytes; some twenty thousand networks
NPY_HEADER_LIMIT = 1 << 10  # bytes; that of a 1-D array has 128
LABEL_KINDS = "biufSU"  # numpy's letters for what can be a label

# The fields of the header and of its parts, each with the type that it must have.
MODEL_FIELDS = {"format": str, "version": int, "kind": str, "networks": list}
CLASSIFIER_FIELDS = {"classes": list, "extractor": str, "method": str}
POPULATION_FIELDS = {"epochs": int, "validation": bool, "same_targets": bool}
KINDS = {"mlp": MODEL_FIELDS, "image-classifier": MODEL_FIELDS | CLASSIFIER_FIELDS, "population": MODEL_FIELDS | POPULATION_FIELDS}
ARCHITECTURE_FIELDS = {
    "layer_sizes": list, "activations": list, "output": str, "loss_name": str, "bias": bool, "dtype": str, "classes": bool,
}  # fmt: skip
NETWORK_FIELDS = ARCHITECTURE_FIELDS | {"trained": bool}
GROUP_FIELDS = ARCHITECTURE_FIELDS | {"members": int}
HISTORY_FIELDS = {"epochs": int, "stopped_by": str, "validation": bool}
NO_FIELDS: dict[str, type] = {}
STATE_FIELDS = {"optimizer": str, "seed": int, "epochs": int, "steps": int, "outputs": bool}
NAMES_FIELDS: dict[str, type] = {"feature_names": list}  # that may be missing: of an architecture
RECORD_FIELDS: dict[str, type] = {"made_with": dict}  # that may be missing: of a network, an image classifier, a population

# What zipfile, json and numpy raise over a damaged file.
DAMAGE = (ValueError, OSError, RuntimeError, LookupError, EOFError, OverflowError, struct.error, zipfile.BadZipFile)


StrPath = str | os.PathLike[str]


class Kind(NamedTuple):
    """A kind of file that is written, and may be written over: what one is called, how its name ends, what it begins with."""

    name: str
    suffixes: tuple[str, ...]
    beginning: bytes
    """A regular expression for its first bytes."""


MODEL = Kind("a fastmlp model", (".npz",), rb'PK\x03\x04.{26}header\.npy.*"format": "fastmlp"')
BEGINNING = 1 << 10  # bytes by which a kind is known


class Expected(NamedTuple):
    """What the header says of a 1-D array; None where it is for the array to say."""

    dtype: np.dtype | None
    length: int | None


def save_model(path: StrPath, model: MLP | ImageClassifier | Population) -> None:
    """Save a model to one .npz file; what stands at `path` is replaced at the end, or not at all.

    Equal models give equal bytes.

    Raises
    ------
    ValueError
        A parameter is not finite (of a member that did not diverge), or `path` is there and is no model.
    OSError
        The file cannot be written.
    """
    fields, arrays = _of_population(model) if hasattr(model, "groups") else _of_networks(model)
    header = json.dumps({"format": FORMAT, "version": VERSION, **fields}).encode()
    if len(header) > HEADER_LIMIT - NPY_HEADER_LIMIT:
        raise ValueError(f"the model cannot be saved: its {len(fields['networks'])} architectures are too many for one file")
    arrays = {"header": np.frombuffer(header, np.uint8), **arrays}
    with replacing(path, MODEL) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def load_model(path: StrPath) -> Any:
    """Load a model that `save` wrote, exactly as it was: an MLP, an ImageClassifier or a Population.

    Which one, the file alone knows; to a type checker it is Any, or what a variable is declared as.

    Nothing in the file is executed, and nothing is allocated before its declared size has been checked against the
    file's own.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not a model, is damaged, or was written by a newer fastmlp.
    """
    path = checks.path("path", path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its writer
        raise ValueError(f"{os.fspath(path)} cannot be read as a fastmlp model: it is not a regular file")
    with open(path, "rb") as file:
        try:
            return _read_model(file)
        except DAMAGE as error:
            reason = error if type(error) is ValueError else "it is damaged, or something else than a model"
            raise ValueError(f"{os.fspath(path)} cannot be read as a fastmlp model: {reason}") from error


def check_writable(path: StrPath, kind: Kind) -> None:
    """Raise the OSError or ValueError that writing a file at `path` would end in, as far as can be told beforehand.

    What is there may be replaced if it is of the same kind, or empty.
    """
    folder = os.path.dirname(os.path.realpath(checks.path("path", path)))
    if os.path.exists(path):
        if not os.path.isfile(path):  # replacing a device would destroy it
            raise ValueError(f"{os.fspath(path)} cannot be written: it is there and is not a regular file")
        with open(path, "rb") as file:
            beginning = file.read(BEGINNING)
        if beginning and not re.match(kind.beginning, beginning, re.DOTALL):
            raise ValueError(f"{os.fspath(path)} cannot be written: it is there and is not {kind.name}")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{os.fspath(path)} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{os.fspath(path)} cannot be written: no permission to write in {folder}")


@contextmanager
def replacing(path: StrPath, kind: Kind, mode: str = "wb", **how: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path`, as open() would, and move it there at the end; after a failure it is gone."""
    check_writable(path, kind)
    beside = os.path.join(os.path.dirname(os.path.realpath(path)), f".fastmlp-{secrets.token_hex(8)}")
    try:
        with open(beside, mode, **how) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            os.remove(beside)
        if isinstance(error, OSError) and error.filename == beside:
            error.filename = os.fspath(path)
        raise


def replace(beside: str, path: StrPath) -> None:
    """Move a file to where an older one may be, whose permissions it gets; a symbolic link stays one."""
    with suppress(FileNotFoundError):
        os.chmod(beside, stat.S_IMODE(os.stat(path).st_mode))
    os.replace(beside, os.path.realpath(path))


def unfinished(path: StrPath, number: int = 1) -> str:
    """What a file is called that may become the one at `path` when it is whole, in the same folder."""
    stem, suffix = os.path.splitext(os.path.realpath(path) if os.path.islink(path) else os.fspath(path))
    return f"{stem}.unfinished{f'-{number}' if number > 1 else ''}{suffix}"


def free_unfinished(path: StrPath) -> str:
    """Such a name that no file has yet."""
    return next(name for number in count(1) if not os.path.lexists(name := unfinished(path, number)))


def _of_networks(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header's fields, and the arrays, of a network or an image classifier."""
    networks: tuple[MLP, ...] = getattr(model, "networks", (model,))
    arrays: dict[str, np.ndarray] = {}
    for index, network in enumerate(networks):
        if not np.isfinite(network.theta).all():
            raise ValueError("the model cannot be saved: its theta has a value that is not finite")
        arrays |= {f"{name}_{index}": array for name, array in _arrays(network).items()}
    fields = {
        "kind": "mlp",
        "networks": [
            _describe(network) | _describe_history(network.history) | _record(network) | _describe_state(network)
            for network in networks
        ],
    }
    if hasattr(model, "networks"):
        fields |= {"kind": "image-classifier", **{name: getattr(model, name) for name in CLASSIFIER_FIELDS}, **_record(model)}
    return fields, arrays


def _of_population(population: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The same, of a population."""
    broken = _first_not_finite(population)
    if broken is not None:
        raise ValueError(f"the population cannot be saved: theta of member {broken} has a value that is not finite")
    history, options = population.history, population.options
    arrays = {
        "scores": population.scores,
        "epochs": history.epochs,
        "stopped_by": np.array(history.stopped_by),
        "seed": np.array([str(seed) for seed in options["seed"]]),
        **{name: np.array(options[name]) for name in ("learning_rate", "l2", "momentum")},
        "batch_size": np.array([size or 0 for size in options["batch_size"]], np.int64),
        "loss": history.loss.ravel(),
    }
    if history.validation_loss is not None:
        arrays["validation_loss"] = history.validation_loss.ravel()
    for index, (network, members, theta) in enumerate(population.groups):
        arrays |= {f"theta_{index}": theta.ravel(), f"members_{index}": members.astype(np.int64)}
        if network.classes is not None:
            arrays[f"classes_{index}"] = network.classes
    fields = {
        "kind": "population",
        "networks": [_describe(network) | {"members": len(members)} for network, members, _ in population.groups],
        "epochs": history.loss.shape[1],
        "validation": history.validation_loss is not None,
        "same_targets": bool(population.same_targets),
        **_record(population),
    }
    return fields, arrays


def _record(model: Any) -> dict[str, Any]:
    return {"made_with": model.made_with} if model.made_with else {}


def _first_not_finite(population: Population) -> int | None:
    """The first member that did not diverge and whose parameters are not all finite."""
    bad = np.zeros(len(population), bool)
    for _, members, theta in population.groups:
        bad[members] = ~np.isfinite(theta).all(axis=1)
    bad &= ~population.diverged
    return int(bad.argmax()) if bad.any() else None


def _describe(network: MLP) -> dict[str, Any]:
    """The network's architecture for the header."""
    names = {} if network.feature_names is None else {"feature_names": list(network.feature_names)}
    return names | {
        "layer_sizes": [int(size) for size in network.layer_sizes],
        "activations": list(network.activations),
        "output": network.output,
        "loss_name": network.loss_name,
        "bias": bool(network.bias),
        "dtype": network.theta.dtype.name,
        "classes": network.classes is not None,
    }


def _describe_history(history: History | None) -> dict[str, Any]:
    if history is None:
        return {"trained": False}
    validated = history.validation_loss is not None
    return {"trained": True, "epochs": int(history.epochs), "stopped_by": history.stopped_by, "validation": validated}


def _describe_state(network: MLP) -> dict[str, Any]:
    state = network.state
    if state is None:
        return {}
    fields = {name: getattr(state, name) for name in ("optimizer", "seed", "epochs", "steps")}
    own = {} if state.data_seed is None else {"data_seed": state.data_seed}
    return {"state": fields | own | {"outputs": len(state.scaling) > 2}}


def _arrays(network: MLP) -> dict[str, np.ndarray]:
    """The network's arrays, under the names that they have in the file."""
    arrays = {"theta": network.theta, "classes": network.classes}
    if network.history is not None:
        arrays |= {"loss": network.history.loss, "validation_loss": network.history.validation_loss}
    if network.state is not None:
        arrays["state_theta"], arrays["state_moments"] = network.state.theta, network.state.moments.ravel()
        arrays["state_scaling"] = np.concatenate(network.state.scaling)
    return {name: array for name, array in arrays.items() if array is not None}


def _read_model(file: IO[bytes]) -> MLP | ImageClassifier | Population:
    with zipfile.ZipFile(file) as archive:
        _check_archive(archive, os.fstat(file.fileno()).st_size)
        header = _read_header(archive)
        is_population = header["kind"] == "population"
        entries = header["networks"]
        plans = [_group_plan(entry) if is_population else _plan(entry) for entry in entries]
        plan = {f"{name}_{index}": expected for index, plan in enumerate(plans) for name, expected in plan.items()}
        if is_population:
            plan |= _population_plan(header)
        if sorted(archive.namelist()) != sorted(["header.npy", *(f"{name}.npy" for name in plan)]):
            raise ValueError("its arrays are not those that its header declares")
        arrays = {name: _read_array(archive, name, expected) for name, expected in plan.items()}
    if is_population:
        return _population(header, arrays)
    networks = tuple(_network(index, entry, arrays) for index, entry in enumerate(entries))
    if header["kind"] == "mlp":
        return networks[0]

    # An import that points up the list of rooms, as those below: who loads a model must be able to make one.
    from fastmlp.images.classifier import ImageClassifier

    if header["version"] == 1 and header["extractor"] == "ink":
        warnings.warn(
            f"{file.name} comes from an earlier version, to whose 'ink' a thick stroke was more than a line: where strokes are"
            " thicker than a cell of 16 x 16 its verdicts may differ; train it again",
            UserWarning,
            stacklevel=3,
        )
    return ImageClassifier(header["classes"], networks, header["extractor"], header["method"], header.get("made_with", {}))


def _check_archive(archive: zipfile.ZipFile, file_size: int) -> None:
    """Uncompressed members that fit into the file: whatever is read from it, it is never more than was stored."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it has a compressed member")
    if sum(max(member.file_size, member.compress_size) for member in members) > file_size:
        raise ValueError("its members claim more bytes than the file has")


def _read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo("header.npy").file_size > HEADER_LIMIT:
        raise ValueError("its header is too large")
    header = json.loads(_read_array(archive, "header", Expected(np.dtype(np.uint8), None)).tobytes())
    if not isinstance(header, dict) or header.get("format") != FORMAT or type(header.get("version")) is not int:
        raise ValueError("its header is not that of a model")
    if header["version"] > VERSION:
        raise ValueError(f"it was written by a newer fastmlp (format {header['version']}; this one reads up to {VERSION})")
    kind = header.get("kind")
    if kind not in list(KINDS) or header["version"] < 1:  # a list, since not all that JSON can say has a hash
        raise ValueError(f"its header declares an unknown kind or version: {checks.shown(kind)}, {header['version']}")
    _check_fields("its header", header, KINDS[kind], NO_FIELDS if kind == "mlp" else RECORD_FIELDS)
    if not header["networks"] or (kind == "mlp" and len(header["networks"]) > 1):
        raise ValueError(f"its header declares {len(header['networks'])} networks")
    for name in header.get("classes", ()):
        _check_type("a class in its header", name, str)
    return header


def _plan(entry: Any) -> dict[str, Expected]:
    """What the arrays of a network must be, from its entry in the header."""
    trained = isinstance(entry, dict) and entry.get("trained") is True
    fields = NETWORK_FIELDS | (HISTORY_FIELDS if trained else {})
    _check_fields("a network in its header", entry, fields, RECORD_FIELDS | NAMES_FIELDS | {"state": dict})
    plan = _architecture_plan(entry)
    if "state" in entry:
        _check_fields("a state in its header", entry["state"], STATE_FIELDS, {"data_seed": int})
        theta, inputs, outputs = plan["theta"], entry["layer_sizes"][0], entry["layer_sizes"][-1] * entry["state"]["outputs"]
        plan["state_theta"] = theta
        plan["state_moments"] = Expected(theta.dtype, 2 * (theta.length or 0))
        plan["state_scaling"] = Expected(theta.dtype, 2 * (inputs + outputs))
    if trained:
        plan["loss"] = Expected(np.dtype(np.float64), entry["epochs"])
        if entry["validation"]:
            plan["validation_loss"] = plan["loss"]
    return plan


def _architecture_plan(entry: dict[str, Any], copies: int = 1) -> dict[str, Expected]:
    """What the arrays of so many networks of one architecture must be."""
    sizes = entry["layer_sizes"]
    for size in sizes:
        _check_type("a layer size in its header", size, int)
    for name in entry["activations"]:
        _check_type("an activation in its header", name, str)
    if len(sizes) < 2 or min(sizes) < 1 or len(entry["activations"]) != len(sizes) - 2:
        raise ValueError("its header must declare at least two layers, none empty, with activations between")
    if entry["dtype"] not in ("float32", "float64"):
        raise ValueError(f"dtype in its header must be float32 or float64; got {checks.shown(entry['dtype'])}")
    parameters = sum((n_in + entry["bias"]) * n_out for n_in, n_out in pairwise(sizes))
    plan = {"theta": Expected(np.dtype(entry["dtype"]), copies * parameters)}
    if entry["classes"]:
        plan["classes"] = Expected(None, max(sizes[-1], 2))
    return plan


def _group_plan(entry: Any) -> dict[str, Expected]:
    """What the arrays of a population's group must be."""
    _check_fields("a group in its header", entry, GROUP_FIELDS, NAMES_FIELDS)
    if entry["members"] < 1:
        raise ValueError(f"a group in its header must have members; got {entry['members']}")
    return {**_architecture_plan(entry, entry["members"]), "members": Expected(np.dtype(np.int64), entry["members"])}


def _population_plan(header: dict[str, Any]) -> dict[str, Expected]:
    """What the arrays of a population as a whole must be."""
    count = sum(entry["members"] for entry in header["networks"])
    numbers, whole, text = (Expected(dtype, count) for dtype in (np.dtype(np.float64), np.dtype(np.int64), None))
    plan = {"scores": numbers, "learning_rate": numbers, "l2": numbers, "momentum": numbers, "epochs": whole, "batch_size": whole}
    plan |= {"stopped_by": text, "seed": text, "loss": Expected(np.dtype(np.float64), count * header["epochs"])}
    if header["validation"]:
        plan["validation_loss"] = plan["loss"]
    return plan


def _network(index: int, entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> MLP:
    from fastmlp.networks.mlp import History

    theta = arrays[f"theta_{index}"]
    if not np.isfinite(theta).all():
        raise ValueError(f"theta_{index} has a value that is not finite")
    history = None
    if entry["trained"]:
        history = History(arrays[f"loss_{index}"], arrays.get(f"validation_loss_{index}"), entry["epochs"], entry["stopped_by"])
    network = _mlp(entry, theta, arrays.get(f"classes_{index}"), history, entry.get("made_with"))
    network.state = _state(entry, *(arrays.get(f"state_{name}_{index}") for name in ("theta", "moments", "scaling")))
    return network


def _state(entry: dict[str, Any], theta: Any, moments: Any, scaling: Any) -> TrainingState | None:
    from fastmlp.networks.mlp import TrainingState

    if theta is None:
        return None
    for name, array in (("state_theta", theta), ("state_moments", moments), ("state_scaling", scaling)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has a value that is not finite")
    state, inputs, outputs = entry["state"], entry["layer_sizes"][0], entry["layer_sizes"][-1]
    lengths = [inputs, inputs] + [outputs, outputs] * state["outputs"]
    return TrainingState(
        state["optimizer"], state["seed"], state.get("data_seed"), state["epochs"], state["steps"],
        moments.reshape(2, -1), theta, tuple(np.split(scaling, np.cumsum(lengths)[:-1])),
    )  # fmt: skip


def _mlp(
    entry: dict[str, Any],
    theta: np.ndarray,
    classes: np.ndarray | None,
    history: History | None = None,
    made_with: dict[str, Any] | None = None,
) -> MLP:
    from fastmlp.networks.mlp import MLP

    return MLP(
        tuple(entry["layer_sizes"]),
        theta,
        activations=tuple(entry["activations"]),
        output=entry["output"],
        loss_name=entry["loss_name"],
        bias=entry["bias"],
        classes=classes,
        history=history,
        made_with=made_with,
        feature_names=entry.get("feature_names"),
    )


def _population(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Population:
    from fastmlp.networks.population import Group, Population, PopulationHistory

    groups = []
    for index, entry in enumerate(header["networks"]):
        theta = arrays[f"theta_{index}"].reshape(entry["members"], -1)
        groups.append(Group(_mlp(entry, theta[0], arrays.get(f"classes_{index}")), arrays[f"members_{index}"], theta))
    seeds, stopped_by = arrays["seed"], arrays["stopped_by"]
    if seeds.dtype.kind != "U" or stopped_by.dtype.kind != "U" or not np.strings.isdecimal(seeds).all():
        raise ValueError("its seeds must be text of decimal digits, and stopped_by text")
    for name in ("learning_rate", "l2", "momentum"):
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has a value that is not finite")
    if arrays["batch_size"].min() < 0:
        raise ValueError("batch_size has a negative value")
    shape = (len(seeds), header["epochs"])
    losses, validation = arrays["loss"].reshape(shape), arrays.get("validation_loss")
    options = {
        "seed": [int(seed) for seed in seeds.tolist()],
        **{name: arrays[name].tolist() for name in ("learning_rate", "l2", "momentum")},
        "batch_size": [size or None for size in arrays["batch_size"].tolist()],
    }
    history = PopulationHistory(
        losses, None if validation is None else validation.reshape(shape), arrays["epochs"], stopped_by.tolist()
    )
    population = Population(
        groups, history, options, arrays["scores"], same_targets=header["same_targets"], made_with=header.get("made_with")
    )
    broken = _first_not_finite(population)
    if broken is not None:
        raise ValueError(f"theta of member {broken} has a value that is not finite")
    return population


def _read_array(archive: zipfile.ZipFile, name: str, expected: Expected) -> np.ndarray:
    dtype, length = expected
    member = archive.getinfo(f"{name}.npy")
    if dtype is not None and length is not None:
        excess = member.file_size - length * dtype.itemsize
        if not 0 < excess <= NPY_HEADER_LIMIT:
            raise ValueError(f"{name} has {member.file_size} bytes; its header declares {length} values")
    data = archive.read(member)  # whole, so that its checksum is known to be right before anything is parsed
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an array of the first npy format")
    shape, _, stored = np.lib.format.read_array_header_1_0(stream, max_header_size=NPY_HEADER_LIMIT)
    native = stored.newbyteorder("=")
    if not (native.kind in LABEL_KINDS if dtype is None else native == dtype):
        raise ValueError(f"{name} has values of dtype {native}, not of {dtype or 'labels'}")
    if len(shape) != 1 or length not in (None, shape[0]):
        raise ValueError(f"{name} has shape {shape}; its header declares {length} values")
    if shape[0] * stored.itemsize != len(data) - stream.tell():
        raise ValueError(f"{name} is not of the size that it declares")
    return np.frombuffer(data, stored, offset=stream.tell()).astype(native)


def _check_fields(what: str, record: Any, fields: dict[str, type], optional: Mapping[str, type] = NO_FIELDS) -> None:
    if not isinstance(record, dict) or record.keys() - optional.keys() != fields.keys():
        raise ValueError(f"{what} must have the fields {', '.join(fields)}")
    for name, value in record.items():
        _check_type(f"{name} in its header", value, {**fields, **optional}[name])
    _check_type("the options in its header", record.get("made_with", {}).get("options", {}), dict)


def _check_type(what: str, value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise ValueError(f"{what} must be of type {kind.__name__}; got {type(value).__name__}")
