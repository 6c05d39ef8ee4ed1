"""What a command takes, and how values are read: a parser that says in one sentence what is wrong.

It imports nothing heavy: wrong usage is answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import NoReturn, TypeVar

from fastmlp.commands.console import printable

USAGE = 2  # the exit code after wrong usage
DTYPES = ("float32", "float64")
ON_ERROR = "of images that cannot be read: skip, which names them and goes on, or raise; default: skip"
ONE_FOR_EACH_CORE = "default: one for each core that it may use"

Value = TypeVar("Value")


class Parser(argparse.ArgumentParser):
    """That of a command, or of all of them.

    Attributes
    ----------
    explanations : function
        What the help says of arguments, where that is to be read from tables which are not imported before it is shown.
    """

    explanations: Callable[[], Mapping[str, str]] = dict

    def format_help(self) -> str:
        for name, text in self.explanations().items():
            next(action for action in self._actions if action.dest == name).help = text
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument "):
            message = message.removeprefix("argument ").replace(": ", " ", 1)
        self.exit(USAGE, f"fastmlp: {printable(message)}; see {self.prog} --help\n")

    def check(self, words: Iterable[str]) -> None:
        """Reject the first long option that there is not: its value may pass for something else."""
        for option in (word.partition("=")[0] for word in takewhile("--".__ne__, words) if word.startswith("--")):
            if not any(known.startswith(option) for known in self._option_string_actions):
                self.error(f"{self.prog} has no option {option}{meant(option, self._option_string_actions)}")


def meant(word: str, names: Iterable[str]) -> str:
    """The name that is nearest to a word, as a question."""
    import difflib

    nearest = difflib.get_close_matches(word, names, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def either(names: Iterable[str]) -> str:
    """The names, of which one is to be chosen: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def value_of(kind: Callable[[str], Value], expected: str) -> Callable[[str], Value]:
    """What reads a value, or says what was expected."""

    def read(text: str) -> Value:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}") from None

    return read


def formats_read() -> str:
    """What the help says of the formats of images."""
    from fastmlp.images.image_formats import ALL

    return f"of the images that are read, by their contents: {', '.join(ALL)}; by default all"


def several(kind: Callable[[str], Value], separator: str = ",") -> Callable[[str], list[Value]]:
    """What reads one value or more."""
    return lambda text: [kind(part) for part in text.split(separator)]


def name_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """What takes one of some names."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be {either(names)}; got {text!r}{meant(text, names)}")
        return text

    return read


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def _named(text: str) -> str:
    if text in ("", "-"):  # which many take for stdout
        raise ValueError
    return text


file_name = value_of(_named, "the name of a file")
whole = value_of(int, "a whole number")
positive_whole = value_of(_positive, "a positive whole number")
number = value_of(float, "a number")
layer_sizes = value_of(lambda text: tuple(map(int, text.split(","))), "units of each layer, such as 16 or 16,8")
batch_size = value_of(lambda text: None if text == "full" else int(text), "a whole number or full")
