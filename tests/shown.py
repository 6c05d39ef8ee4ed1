"""Whether what is shown of an output is what came."""

import re

import pytest

FRACTION = re.compile(r"-?\d+\.(\d+)(e[-+]?\d+)?(\.\.\.)?")
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?|nan")
SPEED = re.compile(r"; [\d.]+ s, \d+ files/s")


def agree(shown, came):
    """Fractions need not agree in more than three digits, nor in their last one: processors round differently."""
    words, others = (re.findall(r"[^\s\[\]]+", SPEED.sub("", text)) for text in (shown, came))
    for word, other in zip(words, others, strict=False):
        if fraction := FRACTION.fullmatch(word):
            unit = 10.0 ** -len(fraction[1])
            same = NUMBER.fullmatch(other) and float(other) == pytest.approx(float(word.removesuffix("...")), rel=1e-3, abs=unit)
        else:
            same = word == other
        if not same:
            return False
    return len(words) == len(others)
