"""Verdicts as tables of pyarrow: the columns of the CSV, exactly; and any name survives."""

import io
import random
import sys

import numpy as np
import pytest
from verdict_rows import CLASSES, PATHS, verdicts_of

import fastmlp
from fastmlp.images.arrow_rows import as_unicode, from_unicode, read_parquet, write_parquet

pyarrow = pytest.importorskip("pyarrow")


def test_a_table_has_the_columns_of_the_csv():
    scores = np.array([[0.75, 0.25], [np.nan, np.nan], [0.125, 0.875]], np.float32)
    verdicts = fastmlp.Verdicts(["a", "b", "c"], ["x", None, "y"], scores, [None, "b is damaged", None], 0, [1], ["x", "y"])
    table = verdicts.to_arrow()
    assert table.to_pydict() == {
        "path": ["a", "b", "c"],
        "label": ["x", None, "y"],
        "score_x": [0.75, None, 0.125],
        "score_y": [0.25, None, 0.875],
        "status": ["ok", "retry", "ok"],
        "error": [None, "b is damaged", None],
    }
    assert table.schema.field("score_x").type == pyarrow.float32()
    assert pyarrow.types.is_dictionary(table.schema.field("label").type)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read_again_exactly(dtype):
    verdicts, file = verdicts_of(PATHS)._replace(retry=[2], classes=CLASSES), io.BytesIO()
    verdicts = verdicts._replace(scores=verdicts.scores.astype(dtype))
    assert write_parquet(file, [verdicts.to_arrow(), verdicts.to_arrow()]) == 2 * len(PATHS)
    paths, labels, scores, statuses, errors = read_parquet(file.getvalue(), CLASSES)
    assert paths == verdicts.paths * 2 and labels == verdicts.labels * 2 and errors == verdicts.errors * 2
    assert np.array_equal(scores, np.concatenate([verdicts.scores] * 2), equal_nan=True)
    assert statuses[:6] == ["ok", "ok", "retry", "ok", "ok", "failed"]
    with pytest.raises(ValueError, match="its columns are others"):
        read_parquet(file.getvalue(), CLASSES[::-1])


def test_every_name_can_be_told_and_read_again():
    draw = random.Random(0)
    parts = ["\\", "udc", "5c", "ff", "80", r"\udcff", r"\udc5c", "\udcff", "\udc80", "é", "a", "\n"]
    names = list({"".join(draw.choices(parts, k=draw.randrange(8))) for _ in range(5000)})
    told = as_unicode(names)
    assert len(set(told)) == len(names) and [name.encode() for name in told]
    assert from_unicode(told) == names
    assert as_unicode(["a\udcff.png", "é\\n"]) == [r"a\udcff.png", "é\\n"]


def test_of_no_rows_there_are_the_columns():
    table = fastmlp.Verdicts([], [], np.empty((0, 2)), [], classes=["x", "y"]).to_arrow()
    assert table.num_rows == 0 and table.column_names == ["path", "label", "score_x", "score_y", "status", "error"]


def test_verdicts_without_classes_and_a_machine_without_pyarrow_are_told(monkeypatch):
    verdicts = verdicts_of(PATHS)
    with pytest.raises(ValueError, match="verdicts must have a score for each of their classes; got 4 of 0"):
        verdicts.to_arrow()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pyarrow: pip install 'fastmlp\[tables\]'"):
        verdicts._replace(classes=CLASSES).to_arrow()
