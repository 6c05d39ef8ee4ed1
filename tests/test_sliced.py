"""What is read by slices: what counts as such, how much of it is read at once, and what is told of it."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp
from fastmlp import arrays, sliced


class Rows:
    """Numbers that are read by slices, in chunks of so many rows."""

    def __init__(self, array, chunks=None, **more):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        vars(self).update(more)

    def __getitem__(self, rows):
        return self.array[rows]


X = np.arange(300.0).reshape(100, 3)


def test_what_is_in_memory_is_not_read_by_slices(tmp_path):
    assert arrays.is_sliced(Rows(X)) and arrays.is_sliced(Rows(X[:, 0]))
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    for value in (X, mapped, X.tolist(), X[0, 0], "X", None, SimpleNamespace(shape=(3, 2), dtype=X.dtype), range(3)):
        assert not arrays.is_sliced(value)
    for name in ("__dlpack__", "to_numpy", "toarray", "__array_interface__"):  # tensors, frames and sparse matrices
        assert not arrays.is_sliced(Rows(X, **{name: None}))
    for changed in ({"shape": ()}, {"shape": [100, 3]}, {"dtype": object()}):
        assert not arrays.is_sliced(Rows(X, **changed))


@pytest.mark.parametrize(
    ("chunks", "rows"), [(None, 10), ((4, 3), 8), ((7, 1), 7), ((16, 3), 16), ((1000, 3), 10), (((20, 80), (3,)), 20), ((0, 0), 10)]
)
def test_whole_chunks_are_read_if_they_are_not_too_large(chunks, rows, monkeypatch):
    monkeypatch.setattr(sliced, "BLOCK_BYTES", 10 * 8 * 3)
    blocks = sliced.row_blocks(Rows(X, chunks))
    assert blocks[0] == slice(0, rows) and blocks[-1].stop == 100
    assert np.array_equal(np.concatenate([part for _, part in sliced.matrices("X", Rows(X, chunks))]), X)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Rows(X[:, :2]), "X must have 3 columns, one for each input of the network; got 2"),
        (Rows(X[:, 0]), r"X must be 2-D \(rows, columns\); got shape \(100,\)"),
        (Rows(X, shape=(float("nan"), 3)), r"X must know how many rows it has; got shape \(nan, 3\)"),
        (
            Rows(X, shape=(120, 3)),
            r"X\[0:120\] must give the rows of a slice; Rows of shape \(120, 3\) gives shape \(100, 3\) for \(120, 3\)",
        ),
        (Rows(X.astype(str)), r"X\[0:100\] must hold real numbers"),
        (Rows(X, columns=["a", "c", "b"]), "X must have its columns in the order of training; column 1 must be 'b'; got 'c'"),
        (Rows(np.where(X == 7, np.nan, X)), r"X\[0:100\] must be finite; X\[0:100\]\[2, 1\] is nan"),
        (Rows(1e300 * X), r"outputs must be finite; that for X\[\d+\] is"),
    ],
)
def test_one_sentence_says_what_is_wrong(value, message):
    network = fastmlp.MLP(
        (3, 1), [1e10, 1e10, 1e10, 0.0], activations=(), output="identity", loss_name="squared_error", feature_names=["a", "b", "c"]
    )
    with pytest.raises(ValueError, match=message):
        network.predict(value)


def test_no_rows_give_no_outputs():
    network = fastmlp.MLP.from_weights([np.ones((3, 2))])
    assert network.predict(Rows(X[:0])).shape == (0, 2)
