"""Warnings name the line of the caller's program."""

import pytest

from fastmlp.warning import warn


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_warning_names_the_first_line_that_is_not_of_the_package(depth):
    within = {"__name__": "fastmlp.somewhere.deep", "warn": warn}
    exec("def call(depth): return call(depth - 1) if depth else warn('of old', DeprecationWarning)", within)
    with pytest.warns(DeprecationWarning, match="of old") as warned:
        within["call"](depth)
    assert warned[0].filename == __file__
