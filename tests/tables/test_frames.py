"""Frames of several packages, and dicts of columns: all give the same columns as a file does."""

import datetime
import decimal

import numpy as np
import pytest

from fastmlp.tables.frames import frame_table
from fastmlp.tables.table_reading import read_table

DAY = datetime.date(2020, 2, 29)
COLUMNS = {
    "whole": [1, 2, 3],
    "gaps": [1.5, None, 3.0],
    "text": ["a", None, "b"],
    "logic": [True, False, True],
    "day": [DAY, DAY, None],
    "moment": [datetime.datetime(2020, 2, 29, 12), None, datetime.datetime(1970, 1, 1)],
}


def assert_is_that_table(table):
    columns = table.columns
    assert list(columns) == list(COLUMNS) and table.rows == 3
    assert columns["whole"].numbers.tolist() == [1, 2, 3] and columns["whole"].levels.texts == ["1", "2", "3"]
    np.testing.assert_array_equal(columns["gaps"].numbers, [1.5, np.nan, 3])
    assert columns["gaps"].levels.texts == ["1.5", "3"] and columns["gaps"].levels.codes.tolist() == [0, -1, 1]
    assert columns["text"].levels.texts == ["a", "b"] and columns["text"].levels.codes.tolist() == [0, -1, 1]
    assert columns["logic"].is_logical and [columns["logic"].levels.texts[c] for c in columns["logic"].levels.codes] == [
        "True",
        "False",
        "True",
    ]
    np.testing.assert_array_equal(columns["day"].days, [18321, 18321, np.nan])
    np.testing.assert_array_equal(columns["moment"].days, [18321.5, np.nan, 0])
    assert columns["moment"].levels.texts == ["1970-01-01", "2020-02-29T12:00:00"]
    assert table.place(1) == "row 2 (index 1)"


def test_a_dict_of_lists():
    assert_is_that_table(frame_table(COLUMNS))


def test_a_dict_of_arrays():
    arrays = {"i": np.array([1, 2], np.uint8), "f": np.float32([0.5, np.nan]), "d": np.array(["2020-02-29", "NaT"], "M8[s]")}
    columns = frame_table(
        arrays | {"b": np.array([True, False]), "s": np.array(["x", ""]), "o": [decimal.Decimal("1.5"), None]}
    ).columns
    assert columns["i"].numbers.tolist() == [1, 2] and columns["f"].numbers[0] == 0.5 and columns["b"].is_logical
    np.testing.assert_array_equal(columns["d"].days, [18321, np.nan])
    assert columns["s"].levels.codes.tolist() == [0, -1] and columns["o"].numbers[0] == 1.5


def test_a_frame_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    assert_is_that_table(frame_table(frame))
    assert_is_that_table(frame_table(frame.convert_dtypes()))
    assert_is_that_table(frame_table(frame.astype({"text": "category", "day": "datetime64[ns]"})))
    zoned = pandas.DataFrame({"t": pandas.to_datetime(["2020-02-29T13:00+01:00"])})
    assert frame_table(zoned).columns["t"].days.tolist() == [18321.5]
    with pytest.raises(ValueError, match="the table has two columns of the name 'a'"):
        frame_table(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_frame_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(COLUMNS)
    assert_is_that_table(frame_table(frame))
    assert_is_that_table(frame_table(frame.with_columns(polars.col("text").cast(polars.Categorical))))


def test_a_table_of_pyarrow_and_a_parquet_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table(COLUMNS)
    assert_is_that_table(frame_table(table))
    assert_is_that_table(frame_table(table.set_column(2, "text", table["text"].dictionary_encode())))
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    read = read_table(path)
    assert read.name == str(path) and read.place(1) == "row 2" and read.columns["whole"].numbers.tolist() == [1, 2, 3]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"t\.parquet cannot be read: as a Parquet file it is damaged"):
        read_table(path)
    with pytest.raises(ValueError, match="column 'l' must hold numbers, dates, booleans or texts; it is of type list"):
        frame_table(pyarrow.table({"l": [[1], [2]]}))


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1....")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"is a Parquet file, which pyarrow reads: pip install 'fastmlp\[tables\]'"):
        read_table(path)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            3,
            TypeError,
            "a table must be the path of a file, a data frame of pandas, polars or pyarrow, or a dict of columns; got 3",
        ),
        ({}, ValueError, "the table must have at least one column and one row"),
        ({"a": []}, ValueError, "the table must have at least one column and one row"),
        ({"a": [1], "b": [1, 2]}, ValueError, "all columns must have as many cells; 'b' has 2, the first one 1"),
        ({"a": [object()]}, ValueError, "column 'a' must hold numbers, dates, booleans or texts; it is of objects of type object"),
        ({"a": np.zeros((2, 2))}, ValueError, "column 'a' must hold numbers, dates, booleans or texts; it is of shape (2, 2)"),
    ],
)
def test_what_is_no_table_is_one_sentence(table, error, message):
    with pytest.raises(error) as caught:
        frame_table(table)
    assert str(caught.value) == message


def test_signs_are_checked(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\tb\n1\t2\n")
    assert list(read_table(path, delimiter="tab").columns) == ["a", "b"]
    for how, message in (
        ({"delimiter": "::"}, "delimiter must be one character, or tab; got '::'"),
        ({"decimal": "'"}, "decimal must be one of "),
        ({"decimal": ",", "delimiter": ","}, "decimal and delimiter must differ"),
    ):
        with pytest.raises(ValueError, match=message):
            read_table(path, **how)
    with pytest.raises(ValueError, match="delimiter and decimal are for files"):
        read_table({"a": [1]}, decimal=",")
    with pytest.raises(ValueError, match="is a folder, not a table"):
        read_table(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        read_table(tmp_path / "none.csv")
    assert caught.value.filename == str(tmp_path / "none.csv")
