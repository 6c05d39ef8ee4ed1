"""What callers may give by mistake is told in a sentence."""

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
TABLE = {"size": RNG.normal(size=40).tolist(), "color": [["red", "blue"][k % 2] for k in range(40)], "price": RNG.normal(size=40)}
OPTIONS = {"hidden": 2, "epochs": 2, "seed": 0}


@pytest.mark.parametrize("target", [None, 3, ["price"]])
def test_a_target_is_a_name(target):
    with pytest.raises(TypeError, match="target must be the name of a column"):
        fastmlp.train_table(TABLE, target)


def test_a_column_is_a_sequence_of_cells():
    model = fastmlp.train_table(TABLE, "price", **OPTIONS)
    for row in ({"size": 1.0, "color": ["red"]}, {"size": [1.0], "color": "red"}):
        with pytest.raises(ValueError, match="no sequence of cells"):
            model.predict_table(row)


def test_a_target_that_is_missing_is_told_with_its_row():
    model = fastmlp.train_table(TABLE, "price", **OPTIONS)
    with pytest.raises(ValueError, match="row 4"):
        model.evaluate(TABLE | {"price": [*TABLE["price"][:3], float("nan"), *TABLE["price"][4:]]})


def test_a_date_that_is_none_is_told(tmp_path):
    days = [f"2020-02-{1 + k % 28:02}" for k in range(40)]
    days[7] = "2020-02-30"
    rows = [f"{day},{price}" for day, price in zip(days, TABLE["price"], strict=True)]
    (tmp_path / "days.csv").write_text("\n".join(["day,price", *rows]))
    with pytest.raises(ValueError, match=r"'day' is dates but for one cell: .*line 9.*2020-02-30"):
        fastmlp.train_table(tmp_path / "days.csv", "price", **OPTIONS)
