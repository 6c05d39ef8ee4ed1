"""Rows that are never in memory together are learned as the same rows in an array are."""

import signal
from itertools import pairwise

import numpy as np
import pytest
from cases import toy

import fastmlp
from fastmlp import sliced
from fastmlp.training import streaming

X, Y = toy(rows=120)
WORDS = np.where(Y == 1, "yes", "no")
NUMBERS = X @ np.arange(1.0, 1 + X.shape[1]) + 5
WEIGHTS = 1.0 + np.arange(120) % 3
OWN = {"hidden": 5, "epochs": 4, "seed": 3, "shuffle": False}
SMALL = 40 * 8 * 5  # bytes of a buffer of some batches


class Sliced:
    """Rows that are read by slices alone, and a note of the most that were read at once."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.most = max(self.most, len(self.array[rows]))
        return self.array[rows]

    def __array__(self, *_, **__):
        raise TypeError("it does not fit into memory")


def cut(*arrays, sizes=(50, 7, 63)):
    """A function that gives batches of these sizes."""
    edges = np.cumsum([0, *sizes])
    return lambda: (tuple(array[first:last] for array in arrays) for first, last in pairwise(edges))


@pytest.fixture
def small(monkeypatch):
    """Buffers and slices that hold a part of the rows."""
    monkeypatch.setattr(streaming, "BUFFER_BYTES", SMALL)
    monkeypatch.setattr(sliced, "BLOCK_BYTES", 10 * 8 * X.shape[1])


MANNERS = (
    {},
    {"dropout": 0.3, "l1": 0.01, "clip": 0.1, "average": 0.6, "l2": 0.02},
    {"batch_size": 1, "optimizer": "sgd", "learning_rate": 0.01},
    {"batch_size": 500, "schedule": "linear"},
    {"optimizer": "momentum", "schedule": "invscaling", "warmup": 2},
    {"validation": (X[:20], Y[:20]), "patience": 1, "learning_rate": 0.3},
    {"validation": (X[:20], Y[:20]), "schedule": "plateau", "n_iter_no_change": 1, "learning_rate": 0.3, "epochs": 20},
    {"schedule": "adaptive", "tol": 0.1, "n_iter_no_change": 1, "optimizer": "momentum", "epochs": 30},
)


@pytest.mark.parametrize("more", MANNERS)
def test_steps_are_those_from_an_array(small, more):
    options = OWN | {"standardize": False, "batch_size": 7} | more
    model, trained = fastmlp.train(batches=cut(X, Y), **options), fastmlp.train(X, Y, **options)
    assert np.array_equal(model.theta, trained.theta)
    np.testing.assert_allclose(model.history.loss, trained.history.loss, rtol=1e-14)
    assert (model.history.epochs, model.history.stopped_by) == (trained.history.epochs, trained.history.stopped_by)
    if trained.history.validation_loss is not None:
        assert np.array_equal(model.history.validation_loss, trained.history.validation_loss)
    assert model.made_with == trained.made_with


@pytest.mark.parametrize("y", [Y, WORDS, NUMBERS, np.stack([NUMBERS, -NUMBERS], axis=1)], ids=["numbers", "words", "one", "two"])
def test_columns_are_scaled_as_those_of_an_array(small, y):
    model, trained = fastmlp.train(batches=cut(X, y), **OWN), fastmlp.train(X, y, **OWN)
    np.testing.assert_allclose(model.theta, trained.theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.history.loss, trained.history.loss, rtol=1e-9)
    assert repr(model) == repr(trained)
    assert model.classes is None or model.classes.tolist() == trained.classes.tolist()


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_bits_depend_neither_on_how_rows_are_cut_nor_on_threads(small, shuffle):
    options = OWN | {"shuffle": shuffle, "batch_size": 9, "validation": 0.2, "dropout": 0.2}
    known = fastmlp.train(batches=cut(X, NUMBERS, WEIGHTS), threads=1, **options)
    for sizes, threads in (((120,), 2), ((1,) * 120, 1), ((0, 119, 0, 1), 2)):
        model = fastmlp.train(batches=cut(X, NUMBERS, WEIGHTS, sizes=sizes), threads=threads, **options)
        assert np.array_equal(model.theta, known.theta)
        assert np.array_equal(model.history.validation_loss, known.history.validation_loss)


def test_what_a_buffer_holds_is_shuffled_as_an_array():
    options = OWN | {"shuffle": True}
    np.testing.assert_allclose(fastmlp.train(batches=cut(X, Y), **options).theta, fastmlp.train(X, Y, **options).theta, rtol=1e-9)


def test_more_is_shuffled_in_parts(small):
    models = [fastmlp.train(batches=cut(X, Y), **OWN | more) for more in ({}, {"shuffle": True}, {"shuffle": True, "data_seed": 1})]
    assert len({model.theta.tobytes() for model in models}) == 3


@pytest.mark.parametrize("class_weight", [None, "balanced", {"yes": 3.0}])
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_rows_weigh_what_they_weigh(small, class_weight, sample_weight):
    options = OWN | {"class_weight": class_weight}
    given = [X, WORDS] if sample_weight is None else [X, WORDS, sample_weight]
    trained = fastmlp.train(X, WORDS, sample_weight=sample_weight, **options)
    np.testing.assert_allclose(fastmlp.train(batches=cut(*given), **options).theta, trained.theta, rtol=1e-8, atol=1e-11)
    model = fastmlp.train(Sliced(X), WORDS, sample_weight=sample_weight, **options)
    np.testing.assert_allclose(model.theta, trained.theta, rtol=1e-8, atol=1e-11)


def test_rows_are_held_out_by_chance_and_keep_the_best_weights():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 2))
    labels = rows[:, 0] * rows[:, 1] > 0
    seen = []
    model = fastmlp.train(
        batches=cut(rows, labels, sizes=(1000,) * 3), hidden=16, validation=0.3, patience=2, monitor="accuracy", epochs=30, seed=0,
        on_epoch=lambda *told: seen.append(told),
    )  # fmt: skip
    assert model.score(rows, labels) > 0.95
    assert len(seen) == model.history.epochs == len(model.history.validation_accuracy)
    assert model.made_with["rows"] == 3000


def test_float32_stays_so_and_what_is_not_only_that_becomes_float64():
    single = X.astype(np.float32)
    assert fastmlp.train(batches=cut(single, Y), **OWN).dtype == np.float32
    assert fastmlp.train(batches=[(single, Y), (X, Y)], **OWN).dtype == np.float64
    assert fastmlp.train(batches=cut(X, Y), dtype="float32", **OWN).dtype == np.float32
    assert fastmlp.train(Sliced(single), Y, **OWN).dtype == np.float32


def test_it_goes_on_from_a_network():
    first = fastmlp.train(X, WORDS, hidden=5, seed=0)
    model = fastmlp.train(batches=cut(X, WORDS), init=first, epochs=1, learning_rate=1e-300, seed=0)
    np.testing.assert_allclose(model.predict_proba(X), first.predict_proba(X), rtol=1e-9)
    with pytest.raises(ValueError, match="label that the network does not know"):
        fastmlp.train(batches=cut(X, Y.astype(str)), init=first)


def test_what_ends_a_training_ends_this_one(small):
    def until_the_second(epoch, loss, _):
        return epoch == 1

    assert fastmlp.train(batches=cut(X, Y), on_epoch=until_the_second, **OWN).history.stopped_by == "on_epoch"
    assert fastmlp.train(batches=cut(X, Y), target_loss=10, **OWN).history.stopped_by == "target_loss"
    more = OWN | {"tol": 0.1, "n_iter_no_change": 2, "epochs": 100, "l2": 0.1}
    model, trained = fastmlp.train(batches=cut(X, Y), **more), fastmlp.train(X, Y, **more)
    assert model.history.stopped_by == trained.history.stopped_by == "tol"
    with pytest.raises(fastmlp.DivergedError):
        fastmlp.train(batches=cut(X, NUMBERS), optimizer="sgd", learning_rate=1e200, **OWN)


def test_an_interrupt_within_an_epoch_leaves_the_network_of_the_last_whole_one(small):
    passes = []

    def batches():
        passes.append(0)
        for number, batch in enumerate(cut(X, Y)()):
            if len(passes) == 4 and number == 2:
                signal.raise_signal(signal.SIGINT)
            yield batch

    with pytest.warns(RuntimeWarning, match="interrupted after 2 of 4 epochs"):
        model = fastmlp.train(batches=batches, **OWN)
    kept = fastmlp.train(batches=cut(X, Y), on_epoch=lambda epoch, *_: epoch == 1, **OWN)
    assert np.array_equal(model.theta, kept.theta) and model.history.epochs == 2


# -- what is read by slices --------------------------------------------------------------------------------------------------------


def test_no_more_than_a_slice_is_read_at_once(small):
    rows, labels = Sliced(X), Sliced(WORDS)
    trained = fastmlp.train(X, WORDS, **OWN)
    model = fastmlp.train(rows, labels, **OWN)
    np.testing.assert_allclose(model.theta, trained.theta, rtol=1e-9, atol=1e-11)
    fastmlp.train(rows, labels, **OWN | {"shuffle": True, "validation": 0.2})
    population = fastmlp.train_many(X, WORDS, members=3, epochs=2, seed=0)
    for asked in (model, population):
        assert np.array_equal(asked.predict(rows), asked.predict(X))
        assert np.array_equal(asked.predict_proba(rows), asked.predict_proba(X))
        assert asked.score(rows, WORDS) == asked.score(X, WORDS)
        assert asked.evaluate(rows, WORDS).log_loss == pytest.approx(asked.evaluate(X, WORDS).log_loss)
    assert np.array_equal(population.predict_members(rows), population.predict_members(X))
    assert np.array_equal(population.predict(rows, vote="majority"), population.predict(X, vote="majority"))
    assert 0 < rows.most <= 10 and labels.most <= 10


@pytest.mark.parametrize("kind", ["u1", "f2", ">i4", "?", ">f8"])
def test_numbers_of_any_type_are_read_by_slices(small, kind):
    found = np.clip(X * 10, 0, 100).astype(kind)
    rows = Sliced(found)
    model = fastmlp.train(rows, Y, dtype="float32", **OWN)
    trained = fastmlp.train(found.astype("f4"), Y, **OWN)
    np.testing.assert_allclose(model.theta, trained.theta, rtol=1e-3, atol=1e-4)
    assert np.array_equal(trained.predict(rows), trained.predict(found.astype("f4"))) and rows.most <= 10


def test_data_sets_of_other_libraries_are_read_block_by_block(small, tmp_path):
    opened = []
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    dask = pytest.importorskip("dask.array")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        opened.append(file.create_dataset("X", data=X, chunks=(16, X.shape[1])))
        opened.append(zarr.array(X, chunks=(16, X.shape[1])))
        opened.append(dask.from_array(X, chunks=(16, X.shape[1])))
        trained = fastmlp.train(X, Y, **OWN)
        for rows in opened:
            assert [block.stop for block in sliced.row_blocks(rows)][:2] == [16, 32]
            np.testing.assert_allclose(fastmlp.train(rows, Y, **OWN).theta, trained.theta, rtol=1e-9, atol=1e-11)
            assert np.array_equal(trained.predict(rows), trained.predict(X))
        assert fastmlp.train_many(opened[0], Y, members=2, epochs=1, seed=0)[0].layer_sizes[0] == X.shape[1]
        with pytest.raises(ValueError, match="X must know how many rows it has"):
            fastmlp.train(opened[2][opened[2][:, 0] > 0], Y)


def test_batches_are_whatever_can_be_iterated_again(small):
    class Numbered:
        def __getitem__(self, number):
            if number == 3:
                raise IndexError
            return X[number * 40 : number * 40 + 40].tolist(), Y[number * 40 : number * 40 + 40].tolist()

    trained = fastmlp.train(X, Y, **OWN)
    for batches in (list(cut(X, Y)()), Numbered(), Numbered, lambda: iter([(X, Y, None)]), [[X, Y]]):
        np.testing.assert_allclose(fastmlp.train(batches=batches, **OWN).theta, trained.theta, rtol=1e-9, atol=1e-11)


def test_the_names_of_columns_are_those_of_the_first_batch():
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame(part, columns=["a", "b", "c"]) for part in (X, X)]
    assert fastmlp.train(batches=[(frame, Y) for frame in frames], **OWN).feature_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="X of batch 1 must have its columns in the order of training"):
        fastmlp.train(batches=[(frames[0], Y), (frames[1][["b", "a", "c"]], Y)], **OWN)


# -- what makes no sense -----------------------------------------------------------------------------------------------------------

NAN = np.where(X[60, 1] == X, np.nan, X)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "train needs X and y, or batches; X and y are missing"),
        ({"X": X}, "train needs X and y, or batches; y is missing"),
        ({"X": X, "batches": cut(X, Y)}, "batches come in place of X and y; got X, too"),
        ({"X": X, "y": Y, "batches": cut(X, Y)}, "got X and y, too"),
        ({"X": Sliced(X)}, "y must be given with X"),
        ({"X": Sliced(X), "y": Y[1:]}, "X and y must have the same number of rows; got 120 and 119"),
        ({"X": Sliced(X[:, 0]), "y": Y}, "X must be 2-D"),
        ({"X": Sliced(np.ma.masked_less(X, 0)), "y": Y}, "X must not be a masked array"),
        ({"X": Sliced(X[:0]), "y": Y[:0]}, "at least one row"),
        ({"X": Sliced(NAN), "y": Y, "epochs": 1}, r"X\[0:120\] must be finite; X\[0:120\]\[60, 1\] is nan"),
        ({"batches": cut(X, Y)()}, "batches must be a function .* give the function that makes it, without calling it"),
        ({"batches": iter([(X, Y)])}, "of which nothing would be left for a second epoch"),
        ({"batches": 3}, "batches must be an iterable"),
        ({"batches": "XY"}, "batches must be an iterable"),
        ({"batches": lambda: 3}, "batches must be an iterable"),
        ({"batches": []}, "batches must give at least one row"),
        ({"batches": [X]}, r"batches must give \(X, y\) or \(X, y, sample_weight\); batch 0 is ndarray of shape"),
        ({"batches": cut(NAN, Y)}, r"X of batch 2 must be finite; X\[3, 1\] of batch 2 is nan$"),
        ({"batches": cut(X, np.where(NUMBERS[55] == NUMBERS, np.inf, NUMBERS))}, r"y of batch 1 must be finite"),
        ({"batches": [(X, Y), (X[:, 1:], Y)]}, "X of batch 1 must have 3 columns, as that of batch 0; got 2"),
        ({"batches": [(X, Y), (X, Y[1:])]}, "X and y of batch 1 must have the same number of rows; got 120 and 119"),
        ({"batches": [(X, Y), (X, WORDS)]}, "y of batch 1 must hold labels as those before it"),
        ({"batches": [(X, Y), (X, NUMBERS)]}, "y of batch 1 holds floats, and those before labels: give task"),
        ({"batches": [(X, Y, WEIGHTS[1:])]}, "sample_weight of batch 0 must have shape"),
        ({"batches": [(X, Y, -WEIGHTS)]}, "sample_weight of batch 0 must not be negative"),
        ({"batches": [(X, Y, 0 * WEIGHTS)]}, "sample_weight must not be zero"),
        ({"batches": [(X, 0 * Y)]}, "at least two classes"),
        ({"batches": cut(X, Y), "sample_weight": WEIGHTS}, "sample_weight must be the third item of each batch"),
        ({"batches": cut(X, Y), "batch_size": None}, "batch_size must be a number for rows that come in batches"),
        ({"batches": cut(X, Y), "optimizer": "lbfgs"}, "'lbfgs' needs all rows$"),
        ({"X": Sliced(X), "y": Y, "optimizer": "lbfgs"}, r"'lbfgs' needs all rows; X\[:\] reads all of X"),
        ({"batches": cut(X, Y), "bootstrap": True}, "bootstrap must be left out"),
        ({"batches": cut(X, Y), "keep_state": True}, "keep_state must be left out"),
        ({"batches": cut(X, Y), "class_weight": {7: 1.0}}, "class_weight names 7"),
        ({"batches": cut(X, NUMBERS), "monitor": "accuracy", "validation": 0.5}, "needs a classifier"),
        ({"batches": [(X[:3], Y[:3])], "validation": 0.01}, "holds out none; give a larger fraction"),
        ({"batches": cut(X, Y), "hidden": 0}, "hidden"),
    ],
)  # fmt: skip
def test_one_sentence_says_what_is_wrong(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        fastmlp.train(**{"seed": 0, **given})
    assert "\n" not in str(caught.value) and "np." not in str(caught.value)


@pytest.mark.parametrize(
    ("later", "message"), [(90, "pass 3 has 90, the first had 120"), (150, "pass 3 has more than the 120 of the first")]
)
def test_other_rows_in_a_later_pass_are_told(later, message):
    passes = iter([120, 120, later])
    rows, labels = np.concatenate([X, X]), np.concatenate([Y, Y])

    def batches():
        count = next(passes)
        yield rows[:count], labels[:count]

    with pytest.raises(ValueError, match=message):
        fastmlp.train(batches=batches, **OWN)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((NAN[60:90], Y[60:90]), r"^X of batch 1 in pass 3 must be finite; X\[0, 1\] of batch 1 in pass 3 is nan$"),
        ((X[:, 1:], Y), "^X of batch 1 in pass 3 must have 3 columns, as that of batch 0; got 2$"),
        ((X, Y[1:]), "^X and y of batch 1 in pass 3 must have the same number of rows"),
        ((X, np.full(len(X), 9)), r"^y of batch 1 in pass 3 holds a label .* y\[0\] of batch 1 in pass 3 is 9$"),
        ((X, Y, -WEIGHTS), r"^sample_weight of batch 1 in pass 3 must not be negative; sample_weight\[0\] of batch 1 in pass 3 is"),
        (X, "batch 1 in pass 3 is ndarray of shape"),
    ],
)
def test_what_is_wrong_in_a_later_pass_is_told_with_its_number(batch, message):
    passes = iter([(X, Y), (X, Y), batch])
    with pytest.raises(ValueError, match=message):
        fastmlp.train(batches=lambda: [(X, Y), next(passes)], **OWN)


def test_nobody_else_takes_batches():
    for call in (
        lambda: fastmlp.train_many(X, Y, batches=[(X, Y)]),
        lambda: fastmlp.cross_validate(X, Y, batches=[(X, Y)]),
        lambda: fastmlp.train_table({"a": [1, 2], "b": [1, 2]}, "a", batches=[]),
    ):
        with pytest.raises(TypeError, match=r"no option 'batches' \(train has\)$"):
            call()
    with pytest.raises(ValueError, match="X must be an array here; Sliced of shape"):
        fastmlp.train_many(Sliced(X), Y, members=2)


def test_another_order_of_rows_is_noticed_where_a_fraction_is_held_out():
    random = np.random.default_rng(0)

    def shuffled():
        rows = random.permutation(len(X))
        yield X[rows], Y[rows]

    with pytest.raises(ValueError, match=r"in the same order in each pass .* pass 2 has another order"):
        fastmlp.train(batches=shuffled, **OWN | {"validation": 0.3})
    fastmlp.train(batches=shuffled, **OWN | {"validation": (X[:20], Y[:20])})
    used_up = cut(X, Y)()
    with pytest.raises(ValueError, match=r"pass 2 has 0, .* a function must make them anew"):
        fastmlp.train(batches=lambda: used_up, **OWN)
