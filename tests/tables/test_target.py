"""The target: what it is taken for, and what cannot be one."""

import numpy as np
import pytest

from fastmlp.tables.frames import frame_table
from fastmlp.tables.target import known_labels, task_and_targets


def targets(cells, task=None):
    return task_and_targets(frame_table({"a": list(range(len(cells))), "y": cells}), "y", task)


@pytest.mark.parametrize(
    ("cells", "task", "dtype"),
    [
        (["a", "b"] * 50, "classification", "U"),
        (["true", "FALSE"] * 50, "classification", "b"),
        ([True, False] * 50, "classification", "b"),
        (["0", "1"] * 5, "classification", "i"),
        ([1.0, 2.0, 3.0, 4.0] * 25, "classification", "i"),
        ([1, 2, 3, 4] * 5, "regression", "f"),
        (list(range(21)) * 50, "regression", "f"),
        ([0.5, 1.5] * 50, "regression", "f"),
    ],
)
def test_the_task_is_found_out(cells, task, dtype):
    found, y = targets(cells)
    assert found == task and y.dtype.kind == dtype and len(y) == len(cells)


def test_the_task_can_be_said():
    assert targets([0, 1] * 5, "regression")[1].tolist() == [0.0, 1.0] * 5
    assert targets([1, 2, 3, 4] * 2, "classification")[1].tolist() == [1, 2, 3, 4] * 2
    assert targets(["0.5", "1.5"] * 5, "classification")[1].tolist() == [0.5, 1.5] * 5


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (["a"] * 9, None, "the table: the target 'y' must vary; all 9 rows have a"),
        ([2.5] * 9, None, "the table: the target 'y' must vary; all 9 rows have 2.5"),
        (["a", "", "b"], None, "the table: column 'y' is missing in row 2 (index 1); the target must be known of all rows"),
        ([1.5, None, 2], None, "the table: column 'y' is missing in row 2 (index 1); the target must be known of all rows"),
        ([*map(str, range(50)), "x"], None, "the table: column 'y' is numbers but for one cell: row 51 (index 50) is 'x'"
                                            "; mend it, or say task classification"),
        (["a", "b"], "regression", "the table: the target 'y' must hold numbers; row 1 (index 0) is 'a'"),
        ([1, np.inf], "regression", "the table: column 'y' must be finite; row 2 (index 1) is not"),
        ([f"n{i}" for i in range(50)], None, "the table: the target 'y' has 50 different texts in 50 rows: no classes"),
        ([1, 2], "clasification", "task must be one of 'classification', 'regression'; got 'clasification'"
                                  " (did you mean 'classification'?)"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_target_is_one_sentence(cells, task, message):
    with pytest.raises(ValueError) as caught:
        targets(cells, task)
    assert str(caught.value) == message


def test_a_target_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(ValueError) as caught:
        task_and_targets(frame_table({"price": [1], "area": [2]}), "prize", None)
    expected = "target must be a column of the table; got 'prize' (did you mean 'price'?), and the table has price, area"
    assert str(caught.value) == expected


def test_labels_are_known_however_they_are_written():
    for classes, cells in (
        (np.array([False, True]), [["true", "False"], [True, False]]),
        (np.array([0, 1]), [["1", "0"], [1, 0], [1.0, 0.0], ["1.0", "0"]]),
        (np.array(["0", "x"]), [["x", "0"]]),
        (np.array([0.5, 1.5]), [["1.5", "0.5"]]),
    ):
        for given in cells:
            table = frame_table({"y": given})
            found = known_labels(table, "y", table.columns["y"], classes)
            assert found.dtype == classes.dtype and found.tolist() == classes[::-1].tolist()
    table = frame_table({"y": ["a", "z"]})
    with pytest.raises(ValueError) as caught:
        known_labels(table, "y", table.columns["y"], np.array(["a", "b"]))
    assert str(caught.value) == "the table: 'y' must be one of a, b; row 2 (index 1) is 'z'"
