"""Tasks as workers of an executor do them: a function of an item, and of a value that all tasks share."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fastmlp.kernels.notice import asked_for
from fastmlp.threads import one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

PICKLE = pickle.HIGHEST_PROTOCOL


class Sent(NamedTuple):
    """A value that a task carries; or its name alone, for a process that has got it."""

    name: str
    pickled: bytes

    @staticmethod
    def of(value: Any) -> Sent:
        return Sent(uuid4().hex, _bytes_to_send(value))

    def read(self) -> bytes:
        return self.pickled


class InFile(NamedTuple):
    """A value that lies in a file of this machine."""

    name: str

    @staticmethod
    def of(value: Any) -> InFile:
        content = _bytes_to_send(value)
        descriptor, path = tempfile.mkstemp(prefix="fastmlp-", suffix=".pickle")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            os.remove(path)
            raise
        return InFile(path)

    def read(self) -> bytes:
        with open(self.name, "rb") as file:
            return file.read()


def _bytes_to_send(value: Any) -> bytes:
    try:
        return pickle.dumps(value, PICKLE)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"what is given to an executor must be such as can be sent to workers: {error}") from error


class Asked(NamedTuple):
    """What a process answers that has not got the value which a task needs."""

    item: Any


_kept: list[tuple[str, Any]] = [("", None)]  # by this process: the last value that it has got, and its name before it

_for_life = ExitStack()  # of what a process is in as a worker


@lru_cache(maxsize=1)
def _tell_what_compiles() -> None:
    """On the stderr of this process, once for each kernel that its cache does not hold."""
    _for_life.enter_context(asked_for(True))


def do_task(function: Callable[[Any, Item], Result], value: Any, item: Item, sender: int) -> Result | Asked:
    """function(value, item) with one thread, where something may stand for the value; sender is the process that has sent it."""
    if os.getpid() != sender:
        _tell_what_compiles()
    if isinstance(value, Sent | InFile):
        stand_in = value
        name, value = _kept[0]
        if name != stand_in.name:
            if isinstance(stand_in, Sent) and not stand_in.pickled:
                return Asked(item)
            value = pickle.loads(stand_in.read())
            _kept[0] = stand_in.name, value
    with one_thread():
        return function(value, item)


def pickled(item: Any) -> NDArray[np.uint8]:
    """As an array: Dask would look through other things, and copies even bytes several times."""
    return np.frombuffer(pickle.dumps(item, PICKLE), np.uint8)


def do_pickled_task(function: Callable[[Any, Any], Any], value: Any, item: NDArray[np.uint8], sender: int) -> bytes:
    """The same for an item, and to a result, that are pickled."""
    return pickle.dumps(do_task(function, value, pickle.loads(item.data), sender), PICKLE)
