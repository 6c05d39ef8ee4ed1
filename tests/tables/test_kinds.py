"""What columns are taken for, and which inputs become of them."""

import numpy as np
import pytest

from fastmlp.tables import kinds
from fastmlp.tables.delimited import read_delimited
from fastmlp.tables.frames import frame_table
from fastmlp.tables.kinds import MOST_LEVELS, encoder_of

N = 1000
DRAWS = np.random.default_rng(0)


def plans(columns, categories=(), ignore=(), impute=False):
    table = frame_table(columns | {"y": np.arange(len(next(iter(columns.values()))))})
    encoder = encoder_of(table, "y", categories, ignore, impute)
    return {plan.name: plan for plan in encoder.plans}, encoder.encode(table), encoder


def rejected(columns, **how):
    with pytest.raises(ValueError) as caught:
        plans(columns, **how)
    return str(caught.value)


def test_kinds_are_found_out():
    found, X, encoder = plans(
        {
            "number": ["1", "2.5"] * 5,
            "date": ["2020-01-01", "2020-01-03"] * 5,
            "category": ["b", "a", "b", "b", "c"] * 2,
            "logic": ["TRUE", "false"] * 5,
            "names": [f"n{i}" for i in range(10)],
            "mostly": [f"n{i % 7}" for i in range(10)],
            "same": ["x"] * 10,
            "same number": [3] * 10,
            "empty": [""] * 10,
        }
    )
    assert {name: (plan.kind, plan.described()) for name, plan in found.items()} == {
        "number": ("number", "1 to 2.5"),
        "date": ("date", "2020-01-01 to 2020-01-03"),
        "category": ("category", "b, a, c"),
        "logic": ("category", "False, True"),
        "names": ("ignored", "all texts are different"),
        "mostly": ("ignored", "7 different texts in 10 rows"),
        "same": ("ignored", "all cells are the same"),
        "same number": ("ignored", "all cells are the same"),
        "empty": ("ignored", "all cells are missing"),
    }
    assert encoder.inputs == ["number", "date", "category=b", "category=a", "category=c", "logic=False", "logic=True"]
    assert X[:2].tolist() == [[1, 18262, 1, 0, 0, 0, 1], [2.5, 18264, 0, 1, 0, 1, 0]]
    assert encoder.places() == {"number": slice(0, 1), "date": slice(1, 2), "category": slice(2, 5), "logic": slice(5, 7)}


def test_kinds_can_be_said():
    found, X, encoder = plans({"zip": [1, 2, 1, 1], "x": [1, 2, 3, 4]}, categories=["zip"], ignore=["x"])
    assert found["zip"].levels == ("1",) and found["zip"].other
    assert encoder.inputs == ["zip=1", "zip=(other)"] and found["x"].described() == "as said"
    assert X.tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]


def test_what_is_rare_is_other():
    texts = ["often"] * 600 + ["seldom"] * 398 + ["once", "only"]
    found, X, encoder = plans({"a": texts})
    assert encoder.inputs == ["a=often", "a=seldom", "a=(other)"] and X.sum(axis=0).tolist() == [600, 398, 2]
    many = [f"l{number % 80}" for number in range(800)] + ["l0"] * 200
    found, X, _ = plans({"a": many})
    assert len(found["a"].levels) == MOST_LEVELS and found["a"].levels[0] == "l0" and X.shape == (N, MOST_LEVELS + 1)


def test_what_is_missing_is_rejected_with_its_place():
    hint = "; impute median fills such cells, ignore leaves the column out"
    assert rejected({"a": [1.0, None, 3, None]}) == f"the table: column 'a' is missing in row 2 (index 1), as are 1 more{hint}"
    assert rejected({"a": ["x", "x", "NA", "x", "y", "y"]}) == f"the table: column 'a' is missing in row 3 (index 2){hint}"
    assert plans({"a": [1.0, None, 3, None], "b": [1, 2, 3, 4]}, ignore=["a"])[0]["a"].kind == "ignored"


def test_the_median_stands_for_missing_numbers_and_a_level_for_missing_categories():
    columns = {
        "a": [1.0, None, 5, 2],
        "d": ["2020-01-01", "", "2020-01-03", "2020-01-05"],
        "c": ["x", "x", "", ""],
        "b": [1, 2, 3, 4],
    }
    found, X, encoder = plans(columns, impute=True)
    assert encoder.inputs == ["a", "a=(missing)", "d", "d=(missing)", "c=x", "c=(missing)", "b"]
    assert X.tolist() == [
        [1, 0, 18262, 0, 1, 0, 1],
        [2, 1, 18264, 1, 1, 0, 2],
        [5, 0, 18264, 0, 0, 1, 3],
        [2, 0, 18266, 0, 0, 1, 4],
    ]
    assert found["a"].described() == "1 to 5; missing ones as 2" and found["c"].described() == "x; missing ones as a level"
    assert found["d"].described() == "2020-01-01 to 2020-01-05; missing ones as 2020-01-03"
    later = encoder.encode(frame_table(columns | {"b": [None, 2, 3, 4]}))
    assert later[0, 6] == 2.5  # though none was missing before


@pytest.mark.filterwarnings("error")
def test_at_prediction_columns_may_be_in_any_order_and_rare_levels_are_other():
    _, _, encoder = plans({"a": ["x"] * 5 + ["y"] * 4 + ["z"], "b": range(10)})
    swapped = {"b": [0, 1], "y": [0, 0], "a": ["x", "z"]}
    assert encoder.encode(frame_table(swapped)).tolist() == [[1, 0, 0, 0], [0, 0, 1, 1]]


def test_new_levels_are_other_and_told():
    _, _, encoder = plans({"a": ["x"] * 5 + ["y"] * 4 + ["z"], "b": range(10), "c": ["p", "q"] * 5})
    told = "the table has categories that were not in the training, which count as others: column 'a' in 2 cells, such as 'new'"
    with pytest.warns(UserWarning, match=f"^{told}$"):
        X = encoder.encode(frame_table({"a": ["new", "x", "newer", "z"], "b": [1] * 4, "c": ["p"] * 4}))
    assert X[:, :3].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]]
    with pytest.warns(UserWarning, match=r"column 'a' in 1 cell, such as 'k'; column 'c' in 1 cell, such as 'r'$"):
        X = encoder.encode(frame_table({"a": ["k"], "b": [1], "c": ["r"]}))
    assert X.tolist() == [[0, 0, 1, 1, 0, 0]]


@pytest.mark.filterwarnings("error")
def test_where_rare_levels_are_too_many_to_be_remembered_none_is_told_as_new(monkeypatch):
    monkeypatch.setattr(kinds, "MOST_DISTINCT", 1)
    found, _, encoder = plans({"a": ["x"] * 5 + ["y"] * 3 + ["z", "w"], "b": range(10)})
    assert found["a"].other and not found["a"].rare
    assert encoder.encode(frame_table({"a": ["new"], "b": [1]})).tolist() == [[0, 0, 1, 1]]


def test_at_prediction_surplus_columns_are_told_and_lacking_ones_rejected():
    _, _, encoder = plans({"a": ["x", "y"] * 5, "b": range(10), "c": ["n"] * 10})
    with pytest.warns(UserWarning, match="the table has columns that the model was not trained with, which are ignored: p, q"):
        encoder.encode(frame_table({"p": [1], "b": [1], "a": ["x"], "q": [1]}))
    for columns, message in (
        ({"b": [1]}, "the table lacks the column 'a', which the model was trained with"),
        ({"c": [1]}, "the table lacks the columns a, b, which the model was trained with"),
        ({"a": ["x"], "b": ["z"]}, "the table: column 'b' must hold numbers; row 1 (index 0) is 'z'"),
        ({"a": ["x"], "b": [np.inf]}, "the table: column 'b' must be finite; row 1 (index 0) is not"),
        (
            {"a": ["x"], "b": [None]},
            "the table: column 'b' is missing in row 1 (index 0), and the model was trained without impute",
        ),
        ({"a": ["x"], "b": ["1", "2,5"]}, "all columns must have as many cells; 'b' has 2, the first one 1"),
        ({"a": ["x"], "b": ["2,5"]}, "the table: column 'b' must hold numbers; row 1 (index 0) is '2,5'"),
        ({"a": [""], "b": [1]}, "the table: column 'a' is missing in row 1 (index 0), and the model was trained without impute"),
    ):
        with pytest.raises(ValueError) as caught:
            encoder.encode(frame_table(columns))
        assert str(caught.value) == message


def test_a_column_of_dates_may_be_all_missing_at_prediction():
    _, _, encoder = plans({"d": ["2020-01-01", "2020-01-03"] * 5}, impute=True)
    assert encoder.encode(frame_table({"d": ["", ""]})).tolist() == [[18263.0], [18263.0]]


def test_of_two_decimal_signs_the_rarer_one_is_told():
    text = "a;y\n" + "1,5;1\n2,5;2\n3,5;3\n" * 20 + "1.5;4\n"
    table = read_delimited(text.encode(), "t.csv")
    with pytest.raises(ValueError, match=r"t.csv: column 'a' is numbers but for one cell: row 61 \(line 62\) is '1.5'"):
        encoder_of(table, "y", (), (), False)


def test_a_column_that_is_numbers_but_for_one_cell_is_told():
    texts = [str(number) for number in range(N)]
    texts[17] = "17a"
    hint = "; mend it, or say that the column is one of the categories"
    assert rejected({"a": texts}) == f"the table: column 'a' is numbers but for one cell: row 18 (index 17) is '17a'{hint}"
    texts[18:20] = ["x", "x"]
    assert rejected({"a": texts}) == f"the table: column 'a' is numbers but for 3 cells: row 18 (index 17) is '17a'{hint}"
    assert plans({"a": ["1", "2", "1", "x"], "b": range(4)}, categories=["a"])[0]["a"].levels == ("1",)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"categories": ["c"]}, "categories must name columns beside the target; got 'c', and the table has a, b, y"),
        ({"ignore": ["y"]}, "ignore must name columns beside the target; got 'y', and the table has a, b, y"),
        ({"ignore": ["a"], "categories": ["a"]}, "a column is a category or ignored; 'a' is said to be both"),
        ({"ignore": ["a", "b"]}, "the table has no column to learn from, beside the target 'y'"),
    ],
)
def test_what_is_said_must_fit(how, message):
    assert rejected({"a": [1, 2], "b": [1, 2]}, **how) == message


def test_a_hundred_thousand_categories_are_ignored_or_rejected():
    texts = [f"l{number}" for number in range(100_000)] * 3
    found, _, _ = plans({"a": texts, "b": np.arange(300_000)})
    assert found["a"].described() == "100000 categories, all of them rare"
    assert rejected({"a": texts}, categories=["a"]) == "the table: column 'a' must have at most 10000 categories; it has 100000"
