"""Model files, whole ones damaged by structure: a model that works comes of each, or one sentence that names the file. And so of
what models have said of images, which a later run goes on with."""

import contextlib
import copy
import io
import json
import os
import resource
import warnings
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp.commands.console import tell
from fastmlp.commands.info import print_model
from fastmlp.commands.table_lines import columns_as_text
from tests.torture import rows
from tests.torture.attack import Base, Found
from tests.torture.npz import damaged, npy, zipped
from tests.torture.values import ODD, at_random

BATCH = 200  # files of a case
MODELS = 3000  # that are damaged
ROWS = 0.05  # of the cases are outputs of a model
SAVED = 0.1  # of the models that are loaded are saved again
LONGEST = 500  # characters of a message, beside the path
SECONDS, MEMORY = 5.0, 1 << 30  # of a file, at most; the memory in bytes
TAME = 1e3  # weights below it give finite outputs

WORDS = (
    "tanh",
    "sigmoid",
    "identity",
    "cross_entropy",
    "squared_error",
    "float32",
    "float64",
    "epochs",
    "diverged",
    "ensemble",
    2,
    3,
)
WAYS = {"header": 0.3, "array": 0.2, "npy": 0.2, "zip": 0.15, "bytes": 0.1, "none": 0.05}  # of damaging a file, and how often

Header = dict[str, Any]
Arrays = dict[str, np.ndarray]
Parts = tuple[Header, Arrays]


def a_network(rng: np.random.Generator, sizes: list[int], output: str, loss: str, labels: np.ndarray | None) -> Parts:
    """An entry of a header, and its arrays."""
    bias, dtype = bool(rng.random() < 0.7), str(rng.choice(["float32", "float64"]))
    count = sum((a + bias) * b for a, b in pairwise(sizes))
    entry: Header = {
        "layer_sizes": sizes,
        "activations": [str(rng.choice(["tanh", "relu", "sigmoid", "silu"])) for _ in sizes[2:]],
        "output": output,
        "loss_name": loss,
        "bias": bias,
        "dtype": dtype,
        "classes": labels is not None,
    }
    arrays = {"theta": rng.normal(size=count).astype(dtype)}
    if labels is not None:
        arrays["classes"] = labels
    if rng.random() < 0.2:
        entry["feature_names"] = [f"column {k}" for k in range(sizes[0])]
    return entry, arrays


def with_a_past(rng: np.random.Generator, entry: Header, arrays: Arrays) -> None:
    """A network's training, its record, and what is kept for going on."""
    entry["trained"] = bool(rng.random() < 0.7)
    if entry["trained"]:
        epochs = int(rng.integers(0, 4))
        entry |= {"epochs": epochs, "stopped_by": "epochs", "validation": bool(rng.random() < 0.5)}
        arrays["loss"] = rng.random(epochs)
        if entry["validation"]:
            arrays["validation_loss"] = rng.random(epochs)
    if rng.random() < 0.5:
        options = {"epochs": 3, "patience": 2, "hidden": [3], "l2": 0.1, "batch_size": None}
        entry["made_with"] = {"seed": 1, "rows": 9, "options": options, "versions": {"fastmlp": "0.2.0"}}
    if rng.random() < 0.3:
        theta, outputs = arrays["theta"], bool(rng.random() < 0.5)
        entry["state"] = {"optimizer": "adam", "seed": 1, "epochs": 3, "steps": 12, "outputs": outputs}
        arrays["state_theta"], arrays["state_moments"] = theta, np.tile(theta, 2)
        arrays["state_scaling"] = np.ones(2 * (entry["layer_sizes"][0] + entry["layer_sizes"][-1] * outputs), theta.dtype)


def some_labels(rng: np.random.Generator, count: int) -> np.ndarray:
    words = np.array([f"class {k}" for k in range(count)])
    return [words, words.astype("S"), np.arange(count), np.arange(count) / 2, np.arange(count) > 0][
        rng.integers(5 if count == 2 else 4)
    ]


def an_mlp(rng: np.random.Generator) -> Parts:
    hidden = [int(size) for size in rng.integers(1, 6, rng.integers(0, 3))]
    inputs, outputs = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    entry, arrays = [
        lambda: a_network(rng, [inputs, *hidden, outputs], "identity", str(rng.choice(["squared_error", "huber"])), None),
        lambda: a_network(rng, [inputs, *hidden, 1], "sigmoid", "cross_entropy", some_labels(rng, 2)),
        lambda: a_network(rng, [inputs, *hidden, outputs + 1], "softmax", "cross_entropy", some_labels(rng, outputs + 1)),
    ][rng.integers(3)]()
    if entry["loss_name"] == "huber":
        entry["huber_delta"] = 0.5
    with_a_past(rng, entry, arrays)
    return {"kind": "mlp", "networks": [entry]}, {f"{name}_0": array for name, array in arrays.items()}


def an_image_classifier(rng: np.random.Generator) -> Parts:
    method, classes = str(rng.choice(["softmax", "one-vs-rest", "ensemble"])), ["circle", "line", "é, \udcff"][: rng.integers(2, 4)]
    count = {"softmax": 1, "one-vs-rest": len(classes), "ensemble": int(rng.integers(1, 4))}[method]
    header: Header = {"kind": "image-classifier", "networks": [], "classes": classes, "extractor": "ink", "method": method}
    found: Arrays = {}
    for number in range(count):
        if method == "one-vs-rest":
            entry, arrays = a_network(rng, [3, 2, 1], "identity", "squared_error", None)
        else:
            entry, arrays = a_network(rng, [3, 2, len(classes)], "softmax", "cross_entropy", np.array(classes))
        with_a_past(rng, entry, arrays)
        header["networks"].append(entry)
        found |= {f"{name}_{number}": array for name, array in arrays.items()}
    return header, found


def a_population(rng: np.random.Generator) -> Parts:
    groups, epochs = int(rng.integers(1, 3)), int(rng.integers(0, 4))
    members = [int(rng.integers(1, 4)) for _ in range(groups)]
    count, labels = sum(members), some_labels(rng, 2) if rng.random() < 0.5 else None
    validated, places, arrays, entries = bool(rng.random() < 0.5), rng.permutation(count), {}, []
    for number, size in enumerate(members):
        output, loss = ("identity", "squared_error") if labels is None else ("softmax", "cross_entropy")
        entry, own = a_network(rng, [3, number + 1, 2], output, loss, labels)
        entries.append(entry | {"members": size})
        own |= {"theta": np.tile(own["theta"], size), "members": np.sort(places[:size])}
        places = places[size:]
        arrays |= {f"{name}_{number}": array for name, array in own.items()}
    arrays |= {name: rng.random(count) for name in ("scores", "learning_rate", "l2", "momentum")}
    arrays |= {"epochs": np.full(count, epochs), "batch_size": np.arange(count), "seed": np.arange(count).astype(str)}
    arrays["stopped_by"] = rng.choice(["epochs", "patience", "diverged"], count)
    arrays |= {name: rng.random(count * epochs) for name in ("loss", "validation_loss")[: 1 + validated]}
    header = {"kind": "population", "networks": entries, "epochs": epochs, "validation": validated, "same_targets": True}
    return header, arrays


def a_table_model(rng: np.random.Generator) -> Parts:
    plans: list[Header] = [
        {"name": "a", "kind": "number", "low": -1.5, "high": 2.0, "fill": 0.5, "indicator": True},
        {"name": "b", "kind": "category", "levels": ["x", "é\x1b"], "other": True, "indicator": bool(rng.random() < 0.5)},
        {"name": "c", "kind": "date", "low": -3.0, "high": 18321.5, "indicator": False},
        {"name": "d", "kind": "ignored", "note": "as said"},
    ]
    inputs, labels = 6 + plans[1]["indicator"], some_labels(rng, 2) if rng.random() < 0.5 else None
    output, loss, sizes = ("identity", "squared_error", 1) if labels is None else ("softmax", "cross_entropy", 2)
    header: Header = {"kind": "table-model", "networks": [], "target": "y", "impute": bool(rng.random() < 0.5), "columns": plans}
    validation = {"rows": 9, "accuracy": 0.5, "most_frequent": 0.25, "refit": True}
    header["made_with"] = {"options": {}, "validation": validation, "importance": {"a": 0.25, "c": 0.0}}
    found: Arrays = {}
    for number in range(rng.integers(1, 3)):
        entry, arrays = a_network(rng, [inputs, 2, sizes], output, loss, labels)
        with_a_past(rng, entry, arrays)
        header["networks"].append(entry)
        found |= {f"{name}_{number}": array for name, array in arrays.items()}
    return header, found


def another(rng: np.random.Generator, value: Any) -> Any:
    """A value of the same type, or any."""
    alike = [odd for odd in (*ODD, *WORDS) if type(odd) is type(value)]
    if isinstance(value, list) and value:
        alike += [value[:-1], value * 2, value[::-1], [another(rng, part) for part in value]]
    chosen = alike if alike and rng.random() < 0.7 else ODD
    return copy.deepcopy(chosen[rng.integers(len(chosen))])


def damage_header(rng: np.random.Generator, header: Header) -> bytes:
    """Text of the header with some values replaced, left out, repeated or renamed; or deep or torn text."""
    for _ in range(rng.integers(1, 3)):
        where, key = at_random(rng, header)
        match rng.integers(5):
            case 0 | 1:
                where[key] = another(rng, where[key])
            case 2:
                del where[key]
                if not header:
                    return b"{}"
            case 3:
                where[key] = [where[key]] * int(rng.integers(1, 4))
            case 4 if isinstance(where, dict):
                where[f"{key}x"] = where.pop(key)
    text = json.dumps(header).encode()
    match rng.integers(40):
        case 0:
            text = text[:-1] + b', "made_with": ' + b"[" * 5000 + b"]" * 5000 + b"}"
        case 1:
            text = text.replace(b"1", b"9" * 5000, 1)
        case 2 | 3 | 4:
            text = damaged(text, rng)
        case 5 if rng.random() < 0.02:
            text = text.replace(b'"ink"', b'"' + b"i" * 15_000_000 + b'"')
        case 6:
            text = text.decode().encode(str(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))
    return text


def damage_array(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Other values, dtype, byte order or shape."""
    array = array.copy()
    match rng.integers(6):
        case 0 if array.size and array.dtype.kind == "f":
            odd = [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0, -0.0]
            with np.errstate(over="ignore"):
                array[rng.integers(array.size)] = odd[rng.integers(len(odd))]
        case 1 if array.size:
            array[rng.integers(array.size)] = array[rng.integers(array.size)]
        case 2:
            kind = ["f8", "f4", "f2", "i8", "u1", "?", "U3", "S3"][rng.integers(8)]
            with contextlib.suppress(ValueError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = array.astype(kind)
        case 3:
            array = array.astype(array.dtype.newbyteorder())
        case 4:
            array = array[: rng.integers(array.size + 1)] if rng.random() < 0.5 else np.tile(array, 2)
        case 5 if array.size:
            raw = array.view(np.uint8)
            raw[rng.integers(raw.size)] ^= 1 << int(rng.integers(8))
    return array


@cache
def whole(seed: int) -> tuple[bytes, Arrays, dict[str, bytes]]:
    """A model: its header, its arrays, and the members of its file."""
    header, arrays = [an_mlp, an_image_classifier, a_population, a_table_model][seed % 4](np.random.default_rng(seed))
    text = json.dumps(header | {"format": "fastmlp", "version": 2}).encode()
    arrays = {"header": np.frombuffer(text, np.uint8), **arrays}
    return text, arrays, {f"{name}.npy": npy(array) for name, array in arrays.items()}


def a_file(rng: np.random.Generator) -> bytes:
    """A model's file, damaged in one way, or in two."""
    text, arrays, members = whole(int(rng.integers(MODELS)))
    members = dict(members)
    ways = set(rng.choice(list(WAYS), rng.integers(1, 3), p=list(WAYS.values())))
    if "header" in ways:
        members["header.npy"] = npy(np.frombuffer(damage_header(rng, json.loads(text)), np.uint8))
    if "array" in ways:
        name = str(rng.choice(list(arrays)))
        members[f"{name}.npy"] = npy(damage_array(rng, arrays[name]))
        if rng.random() < 0.1:
            members[f"{name}x.npy"] = members.pop(f"{name}.npy")
    if "npy" in ways:
        name = str(rng.choice(list(arrays)))
        members[f"{name}.npy"] = npy(arrays[name], rng)
    data = zipped(members, rng if "zip" in ways else None)
    return damaged(data, rng) if "bytes" in ways else data


class Attack(Base):
    """Files are loaded, told, asked and saved again."""

    LIMIT = 120.0

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else scratch  # where nothing waits for a disk
        self.path, self.again = (folder / f"fastmlp-torture-{os.getpid()}-{name}.npz" for name in ("given", "again"))
        self.seconds = self.LIMIT
        for seed in range(36):  # so that all is compiled, or loaded, before time and memory are limited
            self.judge(zipped(whole(seed)[2]), saved=True)
        self.seconds = SECONDS
        with open("/proc/self/statm") as statm:
            limit = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def case(self, rng: np.random.Generator) -> Counter[str]:
        if rng.random() < ROWS:
            return Counter(rows.read_again(rng, self.path) for _ in range(BATCH))
        try:
            return Counter(self.judge(a_file(rng), saved=rng.random() < SAVED) for _ in range(BATCH))
        finally:
            for path in self.path, self.again:
                path.unlink(missing_ok=True)

    def judge(self, data: bytes, saved: bool) -> str:
        """What came of a file."""
        self.path.write_bytes(data)
        began = os.times()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = fastmlp.load(self.path)
        except ValueError as error:
            message = str(error).removeprefix(f"{self.path} cannot be read as a fastmlp model: ")
            message = message.removeprefix(f"{self.path} was trained with an extractor of one's own, ")
            if (
                type(error) is not ValueError
                or len(message) == len(str(error))
                or len(message) > LONGEST
                or not message.isprintable()
            ):
                raise Found(f"a message: {type(error).__name__}: {str(error)[: 2 * LONGEST]!r}", model=data) from error
            outcome = "refused"
        except BaseException as error:
            raise Found(f"load raises {error!r:.500}", model=data) from error
        else:
            try:
                self.use(model, saved)
            except Found as found:
                raise Found(str(found), model=data) from found
            except BaseException as error:
                raise Found(f"what was loaded raises {error!r:.500}", model=data) from error
            outcome = "loaded"
        if sum(os.times()[:2]) - sum(began[:2]) > self.seconds:
            raise Found("it takes too long", model=data)
        return outcome

    def use(self, model: Any, saved: bool) -> None:
        """Whatever can be done with a model."""
        with contextlib.redirect_stdout(io.StringIO()) as told:
            print_model(model)
            if isinstance(model, fastmlp.TableModel):
                tell(columns_as_text(model.encoder))
        if any(not (one.isprintable() or one == "\n") for one in told.getvalue()):
            raise Found(f"what info tells would be obeyed by a terminal: {told.getvalue()!r:.500}")
        repr(model)
        networks = [model] if isinstance(model, fastmlp.MLP) else list(getattr(model, "networks", ()))
        if isinstance(model, fastmlp.Population):
            networks = list(model[~model.diverged]) if not model.diverged.all() else []
        for network in networks[:3]:
            X = np.linspace(-1, 1, 3 * network.layer_sizes[0]).reshape(3, -1)
            try:
                outputs = network.predict(X) if network.classes is None else network.predict_proba(X)
            except ValueError as error:
                if np.abs(network.theta).max() < TAME or "finite" not in str(error):
                    raise
                continue
            if len(outputs) != 3 or len(network.predict(X)) != 3 or not np.isfinite(outputs).all():
                raise Found(f"outputs {outputs!r:.300}")
        if saved:
            model.save(self.again)
            fastmlp.load(self.again).save(self.again)
