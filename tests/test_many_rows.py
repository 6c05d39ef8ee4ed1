"""More rows than numbers of four bytes tell: their numbers have eight, and what does not fit in memory is told beforehand."""

import numba
import numpy as np
import pytest
from cases import one_sentence, toy

import fastmlp
from fastmlp import arrays, checks
from fastmlp.kernels.tiles import Data, pack
from fastmlp.networks.layout import empty_tiles, layer_table

N = 2**31 + 5
X, Y = toy(60)
INTERPRETED = pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="kernels would be compiled for each")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of that many rows, of which nothing is on disk; and the targets of a regressor."""
    monkeypatch.setattr(checks, "machine_memory", lambda: 16e9)
    path = tmp_path / "X"
    with open(path, "wb") as file:
        file.truncate(N)
    return np.memmap(path, np.int8, "r", shape=(N, 1)), np.broadcast_to(np.float64(1), N)


@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
def test_a_training_on_too_many_rows_is_told(train, rows):
    with one_sentence([f"training a network of 10 parameters on {N} rows would need 77.3 GB of memory; this machine has 16.0 GB"]):
        train(*rows, hidden=3, batch_size=1, optimizer="sgd")


@pytest.mark.parametrize("ask", ["loss", "gradient", "evaluate", "predict"])
def test_a_network_that_is_asked_about_too_many_rows_says_so(ask, rows):
    model = fastmlp.MLP.from_weights([np.ones((1, 1))])
    more = () if ask == "predict" else rows[1:]
    what, size = (f"a loss over {N} rows", "34.4") if ask in ("loss", "gradient") else (f"the outputs for {N} rows", "17.2")
    with one_sentence([f"{what} would need {size} GB of memory; this machine has 16.0 GB"]):
        getattr(model, ask)(rows[0], *more)


def test_numbers_of_rows_have_eight_bytes_where_four_do_not_tell_them():
    assert arrays.numbers_of_rows(2**31 - 1) is np.int32 and arrays.numbers_of_rows(2**31) is np.int64


@INTERPRETED
@pytest.mark.kernels
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": None},
        {"batch_size": 7, "validation": 0.25},
        {"batch_size": 1, "optimizer": "sgd", "learning_rate": 0.1, "validation": (X[:20], Y[:20])},
    ],
    ids=["full batch", "batches", "by samples"],
)
@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
def test_a_training_by_long_numbers_has_the_bits_of_one_by_short_ones(train, options, monkeypatch):
    options = {"hidden": 3, "epochs": 2, "seed": 0, "threads": 1, **options}
    short = train(X, Y, **options)
    monkeypatch.setattr(arrays, "SHORT_NUMBERS", 10)
    long = train(X, Y, **options)
    thetas = [model.theta if isinstance(model, fastmlp.MLP) else model.thetas([0]) for model in (short, long)]
    assert np.array_equal(*thetas) and np.array_equal(short.history.loss, long.history.loss)


@INTERPRETED
@pytest.mark.kernels
def test_a_loss_by_long_numbers_has_the_bits_of_one_by_short_ones(monkeypatch):
    model = fastmlp.train(X, Y, hidden=3, epochs=1, seed=0)
    loss, gradient = model.loss(X, Y), model.gradient(X, Y)
    monkeypatch.setattr(arrays, "SHORT_NUMBERS", 10)
    assert model.loss(X, Y) == loss and np.array_equal(model.gradient(X, Y), gradient)


@pytest.mark.kernels
def test_rows_are_packed_by_long_numbers_as_by_short_ones():
    layers, rng = layer_table((3, 1), (), "identity", True), np.random.default_rng(0)
    data = Data(X, rng.normal(size=(60, 1)), rng.random(60), np.zeros(3), np.ones(3))
    order, packed = rng.permutation(60), []
    for kind in (np.int32, np.int64):
        packed.append(empty_tiles(layers, np.float64, 32))
        pack(packed[-1], np.int64(0), data, order.astype(kind), 20, 30)
    assert packed[0].inputs.any() and all(map(np.array_equal, *packed))
