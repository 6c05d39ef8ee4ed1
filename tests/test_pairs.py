"""The few that stand for all hold every pair, and are no more than that takes."""

from itertools import combinations, product

from pairs import pairs


def test_each_value_meets_each_value_of_any_other_parameter():
    parameters = list(range(7)), [True, False], ["a", "b", "c"], [None, 1, 2, 3]
    chosen = pairs(*parameters)
    assert len(chosen) < 7 * 4 + 4
    for one, other in combinations(range(4), 2):
        assert {(each[one], each[other]) for each in chosen} == set(product(parameters[one], parameters[other]))


def test_of_two_parameters_all_are_taken_and_always_the_same():
    assert pairs("ab", "cde") == pairs("ab", "cde") == list(product("ab", "cde"))
