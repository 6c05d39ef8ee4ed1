"""Text with a line for each row: what both readers make of it, and what is no table."""

import gzip
import random

import numpy as np
import pytest

from fastmlp.tables import by_arrow, delimited
from fastmlp.tables.cells import numbers_of
from fastmlp.tables.delimited import read_delimited

TOKENS = [
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    "\r",
    " ",
    "a",
    "1",
    "-2.5",
    "NA",
    "",
    "é",
    "\t",
    "1,5",
    ";",
    "true",
    "2020-01-02",
    "_",
    "٣",
]


def cells(table):
    """All that there is to know of the columns."""
    return [
        (name, None if c.numbers is None else c.numbers.tobytes(), None if c.days is None else c.days.tobytes(),
         c.levels.texts, c.levels.codes.tolist())
        for name, c in table.columns.items()
    ]  # fmt: skip


def outcome(data, **how):
    try:
        table = read_delimited(data, "t.csv", **how)
        return cells(table), table.rows, table.place(table.rows - 1)
    except ValueError as error:
        return str(error)


def test_both_readers_make_the_same_of_nasty_files(monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(by_arrow, "SMALL", 0)
    draws, by_pyarrow, whole = random.Random(0), [], by_arrow.delimited_columns

    def watched(*text):
        by_pyarrow.append(whole(*text))
        return by_pyarrow[-1]

    for number in range(3000):
        monkeypatch.setattr(by_arrow, "LARGE", 0 if number % 2 else 1 << 22)
        data = (
            draws.choice(["", "", "\n", "\r\n\n", " \n"])
            + "a,b\n"
            + "".join(draws.choice(TOKENS) for _ in range(draws.randrange(1, 14)))
        ).encode()
        for how in ({"delimiter": ","}, {}, {"delimiter": ";", "decimal": ","}):
            monkeypatch.setattr(by_arrow, "delimited_columns", watched)
            one = outcome(data, **how)
            monkeypatch.setattr(by_arrow, "delimited_columns", lambda *text: None)
            assert one == outcome(data, **how), data
    assert sum(columns is not None for columns in by_pyarrow) > 1000


def test_quotes_hold_delimiters_newlines_and_quotes(reader):
    table = reader(b'\xef\xbb\xbf"name, full",n\r\n"a, ""b""\r\nc",1\r\nd,2\r\n', "t.csv")
    assert list(table.columns) == ["name, full", "n"]
    assert table.columns["name, full"].levels.texts == ['a, "b"\r\nc', "d"]
    assert table.columns["n"].numbers.tolist() == [1, 2]
    assert (table.place(0), table.place(1)) == ("row 1 (line 3)", "row 2 (line 4)")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(reader, delimiter):
    text = f"a{delimiter}b\n1{delimiter}x y\n2{delimiter}z\n"
    assert list(reader(text.encode(), "t.csv").columns) == ["a", "b"]


def test_commas_in_numbers_are_taken_for_decimal_where_all_cells_fit(reader):
    table = reader(b"a;b;c;d\n1,5;1.5;1,5;1\n2;2;2.5;2\n", "t.csv")
    numbers = {name: column.numbers for name, column in table.columns.items()}
    assert numbers["a"].tolist() == numbers["b"].tolist() == [1.5, 2]
    assert numbers["c"] is None and numbers["d"].tolist() == [1, 2]
    assert reader(b"a;b\n1.5;1,5\n", "t.csv", decimal=",").columns["a"].numbers is None
    assert reader(b"a\tb\n1,5\t2\n", "t.tsv", decimal=",").columns["a"].numbers.tolist() == [1.5]
    assert reader(b"a\tb\n1,5\t2\n", "t.tsv").columns["a"].numbers is None


def test_missing_cells_and_blank_lines(reader):
    table = reader(b"a,b\n\n1,\n NA , x \n\nnan,null\n", "t.csv")
    assert table.rows == 3 and np.isnan(table.columns["a"].numbers).tolist() == [False, True, True]
    assert table.columns["b"].levels.texts == ["x"] and table.columns["b"].levels.codes.tolist() == [-1, 0, -1]


def test_a_column_that_is_numbers_for_many_rows_keeps_its_texts(reader):
    rows = [f"{number},{number}" for number in range(3 * delimited.CHUNK)]
    table = reader("\n".join(["a,b", *rows, "007,x"]).encode(), "t.csv")
    assert table.columns["a"].numbers[-1] == 7 and table.columns["a"].levels.texts[-1] == "007"
    assert table.columns["b"].numbers is None
    assert table.columns["b"].levels.texts == [*map(str, range(3 * delimited.CHUNK)), "x"]


def test_dates_are_days_since_1970(reader):
    text = b"a,b,c\n1970-01-02,2020-02-29T12:00:00Z,2020-02-30\n1969-12-31 06:00,2020-02-29T13:00:00+01:00,2020-01-01\n"
    columns = reader(text, "t.csv").columns
    assert columns["a"].days.tolist() == [1, -0.75]
    assert columns["b"].days.tolist() == [18321.5, 18321.5]
    assert columns["c"].days is None


def test_gzip_is_known_by_its_bytes(reader):
    assert reader(gzip.compress(b"a,b\n1,2\n"), "t.csv").columns["b"].numbers.tolist() == [2]
    with pytest.raises(ValueError, match=r"t.csv cannot be read: as a gzip file it is damaged"):
        reader(gzip.compress(b"a,b\n1,2\n")[:-9], "t.csv")


def test_a_header_may_be_long(reader):
    names = [f"column with the number {number}" for number in range(5000)]
    table = reader(f"{','.join(names)}\n{','.join(['1'] * 5000)}\n".encode(), "t.csv")
    assert list(table.columns) == names and table.columns[names[-1]].numbers.tolist() == [1]


def test_a_cell_may_be_long(reader):
    text = f'a,b\n1,"{"x" * 200_000}"\n2,y\n'.encode()
    assert len(reader(text, "t.csv").columns["b"].levels.texts[0]) == 200_000


def test_columns_without_a_name_are_called_by_their_place(reader):
    assert list(reader(b",b\n1,2\n", "t.csv").columns) == ["column 1", "b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "t.csv is empty"),
        (b"\xef\xbb\xbf \n\n", "t.csv is empty"),
        (b"a,b\n", "t.csv has a header alone, and no rows"),
        (b"a,b\n1,2\n3\n", "t.csv has 2 columns, but 1 cells in line 3"),
        (b"a,b\n1,2\n\n3,4,5\n", "t.csv has 2 columns, but 3 cells in line 4"),
        (b"a,b,a\n1,2,3\n", "t.csv has two columns of the name 'a'"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "t.csv has a quote that is not closed, in the row that begins in line 3"),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv seems to be in UTF-16: save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "t.csv seems to be in UTF-16: save it as UTF-8"),
        (b"PK\x03\x04\0\0" + bytes(range(256)), "t.csv cannot be read: it is no text; save it as CSV in UTF-8"),
        ("a,b\n1,2\né,3\n".encode("latin-1"), "t.csv must be text in UTF-8; the byte 0xe9 in line 3 is not"),
        (b"5.1,3.5\n4.9,3.0\n", "t.csv must begin with a line that names its columns; got '5.1,3.5'"),
    ],
)
def test_what_is_no_table_is_one_sentence(reader, data, message):
    with pytest.raises(ValueError) as caught:
        reader(data, "t.csv", delimiter=",")
    assert str(caught.value) == message


def test_numbers_are_those_that_are_written_with_digits_and_signs():
    assert numbers_of(["1", "-.5", "+1e3", " 2 ", "1."], ".").tolist() == [1, -0.5, 1000, 2, 1]
    for text in "1_0", "١", "0x1", "1 2", "a", "1,5":
        assert numbers_of(["1", text], ".") is None
