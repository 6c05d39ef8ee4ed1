"""Arrays of files are not copied: kernels read them where they are, large ones in their own type, and write to none of them.

What is written to memory that was mapped to be read ends the process.
"""

import re
import tarfile
import tracemalloc

import numba
import numpy as np
import pytest
from PIL import Image

import fastmlp
from fastmlp import arrays
from fastmlp.images.extractors import extract

ROWS = 60
NATIVE = ("f4", "f8", "u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8", "?", "f2")
FOREIGN = tuple(np.dtype(kind).newbyteorder().str for kind in NATIVE if np.dtype(kind).itemsize > 1)
# Kernels are compiled for each, so it is some in every way; interpreted, it is each in one way. How a number of each is read is
# in tests/kernels/test_simd.py, and training on small integers in tests/training/test_groups.py.
INTERPRETED = numba.config.DISABLE_JIT
KINDS = (*NATIVE, *FOREIGN) if INTERPRETED else ("f4", "f8", np.dtype("f2").newbyteorder().str)


def rows_of(kind):
    """Rows of a type; such as have to be rounded, where float32 does not hold all its numbers."""
    rng = np.random.default_rng(0)
    plain = np.dtype(kind).str[1:]
    if plain[0] == "f":
        return rng.normal(100, 30, size=(ROWS, 5)).astype(kind)
    X = rng.integers(0, 2 if plain == "b1" else 100, size=(ROWS, 5)).astype(plain)
    if plain in (far := {"u2": 2**15, "i4": 2**30, "u4": 2**31}):
        X += far[plain]
    if plain in ("i8", "u8"):  # a little more than halfway between two float32: float64 would lose it
        X = X * 2**37 + (2**60 + 2**36 + 1)
    return X.astype(kind)


def labels_of(X):
    return (X[:, 0] > X[:, 0].astype(np.float64).mean()).astype(int)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """A function that gives an array as a read-only file, which then counts as large and as many blocks."""

    def from_file(X):
        monkeypatch.setattr(arrays, "LARGE", 0)
        path = tmp_path / "X"
        X.tofile(path)
        return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)

    monkeypatch.setattr(arrays, "BLOCK", 64)
    return from_file


def assert_same_training(model, other):
    assert model.dtype == other.dtype
    assert np.array_equal(model.theta, other.theta)
    assert np.array_equal(model.history.loss, other.history.loss)
    assert np.array_equal(model.history.validation_loss, other.history.validation_loss)


@pytest.mark.kernels
@pytest.mark.parametrize("standardize", [True] if INTERPRETED else [True, False])
@pytest.mark.parametrize("batch_size", [7] if INTERPRETED else [1, 7, None])
@pytest.mark.parametrize("kind", KINDS)
def test_training_in_float32_is_that_on_a_copy_in_float32(kind, batch_size, standardize, mapped):
    X = rows_of(kind)
    y = labels_of(X)
    options = {"batch_size": batch_size, "optimizer": "sgd", "learning_rate": 1e-3, "epochs": 2, "seed": 0, "threads": 1}
    options |= {"activation": "tanh", "standardize": standardize, "validation": 0.25, "sample_weight": 1 + np.arange(ROWS) % 3}
    copy = fastmlp.train(X.astype(np.float32), y, **options)
    assert_same_training(fastmlp.train(mapped(X), y, dtype="float32", **options), copy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_takes_them_as_a_copy(kind, mapped):
    X = rows_of(kind)
    y, copy = labels_of(X), X.astype(np.float32)
    model = fastmlp.train(copy, y, epochs=3, seed=0)
    validated = fastmlp.train(copy, y, validation=(copy, y), epochs=3, seed=0)
    answers = (model.predict(copy), model.predict_proba(copy), model.loss(copy, y), model.gradient(copy, y))
    X = mapped(X)
    for answer, expected in zip(
        (model.predict(X), model.predict_proba(X), model.loss(X, y), model.gradient(X, y)), answers, strict=True
    ):
        assert np.array_equal(answer, expected)
    assert_same_training(fastmlp.train(X, y, validation=(X, y), epochs=3, seed=0, dtype="float32"), validated)


@pytest.mark.kernels
@pytest.mark.parametrize("kind", KINDS[-1:])
def test_populations_are_trained_on_them_as_on_a_copy(kind, mapped):
    X = rows_of(kind)
    y = labels_of(X)
    options = {"epochs": 2, "dtype": "float32", "validation": 0.25, "threads": 1}
    for order in ({"seed": [1, 2, 3]}, {"seed": [1, 2, 3], "data_seed": 0}):  # an order for each, and one for all
        copies = fastmlp.train_many(X.astype(np.float32), y, **options, **order)
        population = fastmlp.train_many(mapped(X), y, **options, **order)
        assert np.array_equal(population.thetas(range(3)), copies.thetas(range(3)))
        assert np.array_equal(population.history.validation_loss, copies.history.validation_loss)
        assert np.array_equal(population.predict_proba(mapped(X)), copies.predict_proba(X.astype(np.float32)))


def test_what_kernels_cannot_read_is_converted(mapped):
    X = rows_of("f8")
    y = labels_of(X)
    model = fastmlp.train(X, y, epochs=3, seed=0)
    for kind in (
        mapped(X.astype(np.longdouble)),
        np.asfortranarray(X),
        X.repeat(2, axis=1)[:, ::2],
        X.tolist(),
    ):
        assert np.array_equal(fastmlp.train(kind, y, epochs=3, seed=0).theta, model.theta)
        assert np.array_equal(model.predict_proba(kind), model.predict_proba(X))


@pytest.mark.parametrize(("value", "what"), [(1e300, "1e+300, too large for float32"), (-np.inf, "-inf"), (np.nan, "nan")])
def test_a_number_that_the_network_cannot_hold_is_named_with_its_place(value, what, mapped):
    X = rows_of("f8")
    y = labels_of(X)
    model = fastmlp.train(X.astype(np.float32), y, epochs=1)
    X[37, 2] = value
    X = mapped(X)
    for call in (lambda: fastmlp.train(X, y, dtype="float32"), lambda: model.predict(X), lambda: model.loss(X, y)):
        with pytest.raises(ValueError, match=rf"^X must be finite; X\[37, 2\] is {re.escape(what)}$"):
            call()


def peak_of(call):
    """Bytes that were allocated at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module", params=["f8", np.dtype("f2").newbyteorder().str])
def file(request, tmp_path_factory):
    """Rows in a file that counts as large, and labels."""
    path, shape = tmp_path_factory.mktemp("large") / "X", (100_000, 60)
    written = np.memmap(path, dtype=request.param, mode="w+", shape=shape)
    written[:] = np.arange(60) - np.arange(100_000)[:, None] % 7
    written.flush()
    assert written.size > arrays.LARGE
    return np.memmap(path, dtype=request.param, mode="r", shape=shape), np.arange(100_000) % 2


@pytest.mark.parametrize("batch_size", [1, 256])
def test_training_on_a_file_makes_no_copy_of_it(batch_size, file):
    X, y = file

    def train():
        fastmlp.train(X, y, hidden=2, batch_size=batch_size, optimizer="sgd", epochs=1, dtype="float32")

    train()  # compiles
    assert peak_of(train) < X.size  # a copy would have two bytes for each number at least, one in float32 four


def test_answers_to_a_file_make_no_copy_of_it(file):
    X, y = file
    model = fastmlp.train(X[:100].astype(np.float32), y[:100], hidden=2, epochs=1)
    for answer in (lambda: model.predict(X), lambda: model.loss(X, y), lambda: model.score(X, y)):
        answer()  # compiles
        assert peak_of(answer) < X.size


# -- What kernels read is not written to ------------------------------------------------------------------------------------------


class Files:
    """Arrays in files that are mapped to be read, and whether their bytes are what they were."""

    def __init__(self, folder):
        self.folder, self.written = folder, {}

    def __call__(self, array):
        path = self.folder / str(len(self.written))
        self.written[path] = array.tobytes()
        path.write_bytes(self.written[path])
        return np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)

    def unchanged(self):
        return all(path.read_bytes() == written for path, written in self.written.items())


@pytest.fixture
def in_file(tmp_path):
    files = Files(tmp_path)
    yield files
    assert files.written and files.unchanged()


def problem_in(in_file, dtype, classes, rows=300):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 5)).astype(dtype)
    y = X[:, 0] ** 2 if classes is None else np.arange(rows) % classes
    return in_file(X), in_file(y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_of_the_right_type_is_read_where_it_is(dtype, in_file):
    X, y = problem_in(in_file, dtype, None)
    assert np.shares_memory(arrays.matrix("X", X), X)
    assert np.shares_memory(arrays.targets("y", y, len(X), 1, dtype), y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, None])
def test_nothing_writes_to_the_inputs_of_a_training(classes, dtype, in_file):
    X, y = problem_in(in_file, dtype, classes)
    weights = in_file(np.linspace(0.5, 1.5, len(X)).astype(dtype))
    common = {"hidden": 4, "epochs": 2, "seed": 0, "validation": (X[:50], y[:50]), "sample_weight": weights}
    for options in (
        {"batch_size": 1, "optimizer": "sgd", "learning_rate": 1e-3},
        {"batch_size": 16},
        {"batch_size": None, "standardize": False},
        {"batch_size": None, "optimizer": "momentum", "bootstrap": True},
    ):
        started = fastmlp.train(X, y, **common, **options)
        fastmlp.train(X, y, **common, **options, init=started)
        fastmlp.train_many(X, y, members=3, **common, **options)
        fastmlp.train_many(X, y, members=3, data_seed=0, **common, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, None])
def test_nothing_writes_to_what_a_network_is_asked_about(classes, dtype, in_file):
    X, y = problem_in(in_file, dtype, classes)
    model = fastmlp.train(np.array(X), np.array(y), hidden=4, epochs=1, seed=0)
    population = fastmlp.train_many(np.array(X), np.array(y), hidden=4, epochs=1, members=2, seed=0)
    objective = fastmlp.Objective(model, X, y, sample_weight=in_file(np.ones(len(X), dtype)))
    objective.value_and_gradient(in_file(model.theta.copy()))
    for rows, targets in ((X, y), (X[:7], y[:7])):
        model.predict(rows), model.loss(rows, targets), model.gradient(rows, targets), model.evaluate(rows, targets)
        model.jacobian(rows), model.jvp(rows, rows), model.jvp(rows, in_file(model.theta.copy()), parameters=True)
        weights = in_file(np.ones((len(rows), model.layer_sizes[-1]), dtype))
        model.parameter_jacobian(rows), model.vjp(rows, weights), model.vjp(rows, weights, parameters=True)
        population.predict(rows), population.predict_members(rows), population.spread(rows), population.evaluate(rows, targets)
    for x, target in zip(X[:5], y[:5], strict=True):
        model.update(x, target, 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_writes_to_the_parameters_of_a_network_that_is_asked(dtype, in_file):
    X, y = problem_in(in_file, dtype, 3)
    model = fastmlp.train(np.array(X), np.array(y), hidden=4, epochs=1, seed=0)
    weights, biases = [in_file(w) for w in model.weights], [in_file(b) for b in model.biases]
    again = fastmlp.MLP.from_weights(weights, biases, activation="relu", output="softmax", classes=in_file(model.classes))
    assert np.array_equal(again.predict(X), model.predict(X)) and again.loss(X, y) == model.loss(X, y)


@pytest.mark.parametrize("extractor", ["ink", "pixels"])
def test_nothing_writes_to_pictures_and_archives(extractor, in_file, tmp_path):
    gray = np.full((16, 20), 255, np.uint8)
    gray[3:12, 5] = 0
    assert extract([in_file(gray)], extractor).any()
    Image.fromarray(gray).save(tmp_path / "a.png")
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        archive.add(tmp_path / "a.png", "a.png")
    before = (tmp_path / "pictures.tar").read_bytes()
    assert fastmlp.extract_features(tmp_path / "pictures.tar", extractor).names == ["a.png"]
    assert (tmp_path / "pictures.tar").read_bytes() == before
