"""Every rejection of an option, with its message: the name, what was expected, what came."""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set, Sized
from contextlib import suppress
from functools import wraps
from inspect import Parameter, signature
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.activations import HIDDEN
from fastmlp.kernels.custom_loss import CustomLoss, is_function, takes_two
from fastmlp.kernels.losses import LOSSES
from fastmlp.literals import Activation, Loss

Name = TypeVar("Name", bound=str)
SHOWN = 60  # characters of a value that a message shows
MOST = 1 << 53  # beyond which a float misses whole numbers, and products of two are none of 64 bits
MOST_LAYERS = 1000
IN_A_LIST = 40  # bytes of an integer, at least
LITTLE = 1 << 26  # bytes that any machine has
NO_NUMBERS = (bool, np.bool_, str, bytes, bytearray, np.complexfloating)  # though some have a float


def shown(value: Any) -> str:
    """A value as a message shows it: what is large, or has a shape, by its kind and size alone, since it may be anybody's data."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    value = value.item() if isinstance(value, np.ndarray) else value
    if isinstance(value, Sized) and length(value) > SHOWN:
        return f"{value[:SHOWN]!r}..." if isinstance(value, str) else f"{type(value).__name__} of length {length(value)}"
    if isinstance(value, list | tuple | set | frozenset | Mapping) and not all(isinstance(one, SCALARS) for one in value):
        return f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, int) and value.bit_length() > 3 * SHOWN:
        return f"an int of {value.bit_length()} bits"
    with suppress(ValueError):  # Python makes no text of very many digits
        text = " ".join(repr(value).split())
        if len(text) <= SHOWN or isinstance(value, str):
            return text
    return f"{type(value).__name__} of length {len(value)}" if isinstance(value, Sized) else type(value).__name__


def length(value: Sized) -> int:
    """Its length, which of a range may be more than `len` can tell."""
    return len(value) if not isinstance(value, range) else max(0, -((value.start - value.stop) // value.step))


DATA = frozenset(("X", "y", "batches"))  # what a training is of: no options, and so never handed on
P = ParamSpec("P")
R = TypeVar("R")


def takes_options(*others: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function reject an option that neither it knows nor one of the others, to which it hands its options on."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        known = {name for name, option in signature(function).parameters.items() if option.kind in named}
        handed_on = {name: option for other in others for name, option in signature(other).parameters.items()}
        known |= {name for name, option in handed_on.items() if option.default is not Parameter.empty} - DATA

        first = next(iter(signature(function).parameters), "")

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= known:
                owner = function.__qualname__
                if first in ("self", "cls") and args:  # of whom it is, which may have inherited it
                    kind: Any = args[0] if first == "cls" else type(args[0])
                    owner = f"{kind.__name__}.{function.__name__}" if hasattr(kind, function.__name__) else owner
                known_options(owner, kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorate


OF_TRAIN = frozenset({"batches"})  # which is no misspelled batch_size


def known_options(owner: str, given: Iterable[str], known: Set[str], of_train: Set[str] = OF_TRAIN) -> None:
    """A TypeError that names the first option that its owner does not know, and `train` perhaps does."""
    for strange in given:
        if strange not in known:
            nearest = difflib.get_close_matches(strange, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(sorted(known - {'self', 'cls'}))}"
            hint = "train has" if strange in of_train else hint
            raise TypeError(f"{owner} has no option {strange!r} ({hint})")


SCALARS = (str, int, float, type(None), np.generic)


def one_of(name: str, value: Any, known: Collection[Name]) -> Name:
    """The value, if it is one of the known names; else a ValueError that lists them and suggests the nearest."""
    if isinstance(value, str):
        for one in known:
            if value == one:
                return one
    names = sorted(known)
    nearest = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) and len(value) <= SHOWN else []
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}; got {shown(value)}{hint}")


def loss(name: str, value: Any) -> Loss | CustomLoss:
    """A known name, or a function that a caller brings."""
    if isinstance(value, CustomLoss):
        return value
    if isinstance(value, str):
        return one_of(name, value, LOSSES)
    if not is_function(value):
        raise ValueError(f"{name} must be a name, or a function (prediction, target) -> (loss, gradient); got {shown(value)}")
    if not takes_two(value):
        raise ValueError(f"{name} must be a function of two numbers, the prediction and the target; {value.__name__!r} is not")
    custom = CustomLoss(value.__name__, value)
    loss_address(custom)
    return custom


def loss_address(custom: CustomLoss) -> int:
    """The address of a function that kernels can call."""
    if custom.function is None:
        raise ValueError(
            f"the loss of this network is the function {custom.name!r}, which is not in its file: give loss= where it is"
            " trained, or set loss_function of the model to it"
        )
    if isinstance(custom.found, str):
        raise ValueError(f"the loss function {custom.name!r} {custom.found}")
    return custom.found.address


def positive_int(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a positive whole number; got {shown(value)}")
    if number > MOST:
        raise ValueError(f"{name} must be a positive whole number of at most 2**53; got {shown(value)}")
    return number


def whole_number(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number <= MOST or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number from 0 to 2**53; got {shown(value)}")
    return number


def positive_number(name: str, value: Any) -> float:
    number = _number(name, value, "a positive number")
    if not number > 0:
        raise ValueError(f"{name} must be a positive number; got {shown(value)}")
    return number


def not_negative(name: str, value: Any) -> float:
    number = _number(name, value, "a number of at least 0")
    if not number >= 0:
        raise ValueError(f"{name} must be a number of at least 0; got {shown(value)}")
    return number


def _number(name: str, value: Any, expected: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = math.nan if isinstance(value, NO_NUMBERS) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be {expected}; got {shown(value)}")
    return number


def machine_memory() -> float:
    """The bytes that the machine has, or that its control group leaves us; infinity where that is not known."""
    found = [math.inf]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found)


def enough_memory(what: str, needed: int) -> None:
    """Rejects what would need more bytes than the machine has, where that is known."""
    if needed > LITTLE and needed > (has := machine_memory()):
        raise ValueError(f"{what} would need {needed / 1e9:.1f} GB of memory; this machine has {has / 1e9:.1f} GB")


def dtype(value: Any) -> Any:
    """float32 or float64, or None if nothing is said."""
    if value is None:
        return None
    try:
        kind = np.dtype(value)
    except (TypeError, ValueError):
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32' or 'float64'; got {shown(value)}")
    return kind.newbyteorder("=")


def hidden_sizes(name: str, value: Any) -> tuple[int, ...]:
    """The units of each hidden layer."""
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    many = many or (isinstance(value, np.ndarray) and value.ndim == 1)
    if many and length(value) > MOST_LAYERS:
        raise ValueError(f"{name} must have at most {MOST_LAYERS} layers; got {length(value)}")
    sizes = tuple(value) if many else (value,)
    return tuple(positive_int(name, size) for size in sizes)


def at_most(name: str, value: int, limit: int, purpose: str) -> None:
    if value > limit:
        raise ValueError(f"{name} must be at most {limit} {purpose}; got {value}")


def fraction(name: str, value: Any) -> float:
    number = not_negative(name, value)
    if number >= 1:
        raise ValueError(f"{name} must be from 0 to below 1; got {shown(value)}")
    return number


def part(name: str, value: Any) -> float:
    number = _number(name, value, "a number between 0 and 1")
    if not 0 < number < 1:
        raise ValueError(f"{name} must be a number between 0 and 1; got {shown(value)}")
    return number


def dropout_shares(name: str, value: Any) -> float | tuple[float, ...]:
    """One for all hidden layers, or one for each."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(fraction(name, one) for one in value) if isinstance(value, list | tuple) else fraction(name, value)


def from_0_to_1(name: str, value: Any) -> float:
    number = _number(name, value, "a number from 0 to 1")
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1; got {shown(value)}")
    return number


def share(name: str, value: Any) -> float:
    number = _number(name, value, "a fraction between 0 and 1, or (X, y)")
    if not 0 < number < 1:
        raise ValueError(f"{name} must be a fraction between 0 and 1, or (X, y); got {shown(value)}")
    return number


def rows_beside(name: str, value: Any) -> Any:
    """Rows to measure as (X, y), or a fraction of the rows."""
    if not isinstance(value, list | tuple):
        return share(name, value)
    if len(value) != 2:
        raise ValueError(f"{name} must be a fraction or (X, y); got {shown(value)}")
    return tuple(value)


def yes_or_no(name: str, value: Any) -> bool | None:
    """True or false; or None, for what is then inferred."""
    if value is None:
        return None
    if not isinstance(value, bool | np.bool_) and not (type(value) is int and value in (0, 1)):
        raise ValueError(f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def callback(name: str, value: Any) -> Any:
    """A function to call, or None."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} must be a function, or None; got {shown(value)}")
    return value


def path(name: str, value: Any) -> Any:
    """A path as the system takes it."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be a str or an os.PathLike; got {shown(value)}")
    return os.fspath(value)


def seed(name: str, value: int | None) -> int:
    """The seed as given, or a fresh one."""
    if value is None:
        return int.from_bytes(os.urandom(4), "little")
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 1 << 64:
        raise ValueError(f"{name} must be a whole number from 0 to below 2**64, or None; got {shown(value)}")
    return int(value)


def same(name: str, value: Any, own: Any) -> None:
    """Rejects an option that contradicts the network to go on from."""
    if value != own:
        raise ValueError(f"{name}={shown(value)} contradicts init, a network with {name}={shown(own)}")


def is_many(value: Any) -> bool:
    """Whether it is a sequence of values, or one."""
    return (isinstance(value, Sequence) and not isinstance(value, str)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def member_count(members: int | None, each: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | None]) -> int:
    """How many members there are, by all that says so: a number, sequences of values, and columns."""
    lengths = {} if members is None else {"members": positive_int("members", members)}
    lengths |= {name: length(value) for name, value in each.items() if is_many(value)}
    lengths |= {name: array.shape[1] for name, array in arrays.items() if array is not None and array.shape[1:2] > (1,)}
    for (first, count), (name, other) in pairwise(lengths.items()):
        if other != count:
            by = f"members={count}" if first == "members" else f"{count}, for which {first} has values"
            hint = "; the layers of one network are a tuple" if name in ("hidden", "activation", "dropout") else ""
            raise ValueError(f"{name} must have one value for each member, {by}; got {other}{hint}")
    first, count = next(iter(lengths.items()), ("members", 1))
    if count < 1:
        raise ValueError(f"{first} must have one value for each member; got none")
    return positive_int("members", count)


def ways(name: str, value: Any) -> int:
    number = positive_int(name, value)
    if number > 1:
        return number
    raise ValueError(f"{name} must be a whole number of at least 2; got {shown(value)}")


def grid_values(name: str, value: Any) -> list[Any]:
    """The values of an option that a grid is made of."""
    if isinstance(value, str) or not isinstance(value, Iterable) or (isinstance(value, np.ndarray) and not value.ndim):
        raise ValueError(f"{name} must be a sequence of values for grid; got {shown(value)}")
    enough_memory(f"a grid of {name}={shown(value)}", length(value) * IN_A_LIST if isinstance(value, Sized) else 0)
    found = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if not found:
        raise ValueError(f"{name} must have at least one value for grid; got none")
    return found


def activation_names(name: str, value: Any) -> Activation | tuple[Activation, ...]:
    """One known name, or several."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"{name} must be a name, or a sequence of names; got {shown(value)}")
    if isinstance(value, str):
        return one_of(name, value, HIDDEN)
    return tuple(one_of(name, one, HIDDEN) for one in value)
