"""Arrays and data frames as people bring them: taken as what they are, or told in one sentence that names them."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from inputs import BOTH, MODEL, POPULATION, Frame, X, Y, told, train, train_many

import fastmlp

# -- what NumPy would lose ------------------------------------------------------------------------------------------------------


MASKED = np.ma.masked_array(X, mask=X > 2)
NOT_MASKED = np.ma.masked_array(Y)  # the kind of array is told, not what happens to be in it


def takers(rows, labels):
    """Calls that take arrays, each with the name of the argument that is one of these."""
    for train_ in (train, train_many):
        yield "X", lambda train_=train_: train_(rows, Y)
        yield "y", lambda train_=train_: train_(X, labels)
        yield "sample_weight", lambda train_=train_: train_(X, Y, sample_weight=labels)
        yield "validation[0]", lambda train_=train_: train_(X, Y, validation=(rows, Y))
        yield "validation[1]", lambda train_=train_: train_(X, Y, validation=(X, labels))
    for model, names in (
        (MODEL, ("predict", "predict_proba")),
        (POPULATION, ("predict", "predict_proba", "spread", "predict_members", "predict_proba_members")),
    ):
        for name in names:
            yield "X", lambda one=model, name=name: getattr(one, name)(rows)
    for name in ("loss", "gradient"):
        yield "X", lambda name=name: getattr(MODEL, name)(rows, Y)
        yield "y", lambda name=name: getattr(MODEL, name)(X, labels)
    for model in (MODEL, POPULATION):
        for name in ("score", "evaluate"):
            yield "X", lambda one=model, name=name: getattr(one, name)(rows, Y)
            yield "y", lambda one=model, name=name: getattr(one, name)(X, labels)
            yield "sample_weight", lambda one=model, name=name: getattr(one, name)(X, Y, labels)
    yield "x", lambda: MODEL.update(rows[0], 1, 0.1)
    yield "weights[0]", lambda: fastmlp.MLP.from_weights([rows])
    yield "biases[0]", lambda: fastmlp.MLP.from_weights([np.ones((3, 20))], [labels])


def test_masked_arrays_are_rejected_by_name():
    others = (
        ("y", lambda: MODEL.update(X[0], np.ma.masked, 0.1)),
        ("X", lambda: train(list(MASKED), Y)),
        ("an index", lambda: POPULATION[NOT_MASKED[:2]]),
    )
    for name, call in (*takers(MASKED, NOT_MASKED), *others):
        told(call, f"{name} must not be a masked array; fill what is masked, or leave those rows out")


def test_sparse_matrices_are_rejected_by_name():
    class Sparse:
        def __init__(self, shape):
            self.shape = shape

        def __getitem__(self, row):
            return Sparse(self.shape[1:])

        def toarray(self):
            raise AssertionError("it is for the caller to spend the memory")

    for name, call in takers(Sparse((20, 3)), Sparse((20,))):
        shape = {"x": (3,), "X": (20, 3), "validation[0]": (20, 3), "weights[0]": (20, 3)}.get(name, (20,))
        told(call, f"{name} must not be sparse; got Sparse of shape {shape}: give {name}.toarray()")
    scipy = pytest.importorskip("scipy.sparse")
    told(lambda: train(scipy.csr_array(X), Y), "X must not be sparse; got csr_array of shape (20, 3): give X.toarray()")


@BOTH
@pytest.mark.parametrize(
    ("labels", "places"),
    [
        ([1, "a"], "y[0] is 1 and y[1] is 'a'"),
        (["a", np.nan], "y[0] is 'a' and y[1] is nan"),
        (["a", None], "y[0] is 'a' and y[1] is None"),
        ([True, "a"], "y[0] is True and y[1] is 'a'"),
        (["a", b"a"], "y[0] is 'a' and y[1] is b'a'"),
        ([None, "a"], "y[0] is None"),
        ([{}, {}], "y[0] is {}"),
    ],
    ids=str,
)
def test_labels_of_two_kinds_are_told_with_their_places(labels, places, train):
    for y in (labels * 10, np.array(labels * 10, object)):
        told(lambda y=y: train(X, y), f"y must hold numbers alone, strings alone or bytes alone; {places}")


NUL = "y must not hold strings that end in NUL, which NumPy would drop; "


@BOTH
def test_labels_that_numpy_would_make_alike_are_told(train):
    for y in (["a", "a\0"] * 10, np.array(["a", "a\0"] * 10, object), np.array(["a", "a\0"] * 10, np.dtypes.StringDType())):
        told(lambda y=y: train(X, y), NUL + "y[1] is 'a\\x00'")
    told(lambda: train(X, [b"a", b"a\0"] * 10), NUL + "y[1] is b'a\\x00'")
    huge = "y must hold whole numbers that fit in 64 bits; got 18446744073709551616 to 18446744073709551617"
    told(lambda: train(X, [2**64, 2**64 + 1] * 10), huge)


def test_answers_to_labels_of_another_kind_are_told():
    model = train(X, np.array(["0", "1"])[Y])
    for y, got in ((Y, "int64"), (np.array([b"0", b"1"])[Y], "|S1")):
        told(lambda y=y: model.loss(X, y), f"y must hold labels as the classes are, such as '0'; got dtype {got}")
    told(lambda: model.update(X[0], "1\0", 0.1), NUL + "y[0] is '1\\x00'")
    assert MODEL.loss(X, Y.astype(bool)) == MODEL.loss(X, Y)  # True is 1


# -- objects that hold what an array could ---------------------------------------------------------------------------------------


PAIRS = [(1, 2), (True, False), ("a", "bc"), (b"a", b"bc"), (1.5, 2.5), (np.float32(1.5), 2), (3, True)]


@BOTH
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_objects_are_taken_as_what_they_hold(pair, train):
    model, expected = train(X, np.array([pair[k] for k in Y], object)), train(X, np.array(pair)[Y])
    assert model.predict(X).dtype == expected.predict(X).dtype
    assert np.array_equal(model.predict(X), expected.predict(X))
    assert np.array_equal(model.history.loss, expected.history.loss)


@BOTH
def test_numpys_strings_of_any_length_are_labels(train):
    names = ["a", "b" * 100]
    model = train(X, np.array(names, np.dtypes.StringDType())[Y])
    assert model.predict(X).dtype.kind == "U" and set(model.predict(X)) <= set(names)


def test_tables_of_objects_that_are_numbers_are_numbers():
    table = np.array([[1, True], [2.5, Decimal("0.5")], [np.int8(3), Fraction(1, 4)]], object)
    expected = np.array([[1, 1], [2.5, 0.5], [3, 0.25]])
    assert np.array_equal(train(table, [0, 1, 0]).theta, train(expected, [0, 1, 0]).theta)
    for name in ("sample_weight", "y"):
        weights = np.array([1, 2.5, True], object)
        given, plain = ({"y": [0, 1, 0], name: values} for values in (weights, weights.astype(float)))
        assert np.array_equal(train(expected, **given).theta, train(expected, **plain).theta)


@BOTH
@pytest.mark.parametrize("value", ["x", None, 1j, "1.5"], ids=str)
def test_what_is_no_number_is_told_with_its_place_and_column(value, train):
    table, where = X.astype(object), f"must hold real numbers; X[7, 2] is {value!r}"
    table[7, 2] = value
    told(lambda: train(table, Y), f"X {where}")
    told(lambda: train(Frame(table, ["a", "b", "colour"]), Y), f"column 'colour' of X {where}")
    told(lambda: train(Frame(table, [0, 1, 2]), Y), f"X {where}")
    if isinstance(value, str):
        told(lambda: train(table.tolist(), Y), f"X {where}")


# -- columns with names ---------------------------------------------------------------------------------------------------------

NAMED = Frame(X, ["a", "b", "c"])
SWAPPED = NAMED[["b", "a", "c"]]


def row(frame):
    return Frame(frame.values[0], frame.columns)


@pytest.fixture(scope="module")
def named():
    return train(NAMED, Y), train_many(NAMED, Y)


def askers(model, population):
    """Calls that take rows, each with the name of the argument."""
    for one, names in ((model, ("predict", "predict_proba")), (population, ("predict", "spread", "predict_members"))):
        yield from (("X", getattr(one, name)) for name in names)
    yield "X", lambda X: model.loss(X, Y)
    yield "X", lambda X: model.gradient(X, Y)
    yield "X", population[0].predict
    yield "X", population[1:].predict
    yield "x", lambda X: model.update(row(X), 1, 1e-9)
    yield "X", lambda X: train(X, Y, init=model)
    for init in (model, population, list(population)):
        yield "X", lambda X, init=init: train_many(X, Y, init=init)
    for train_ in (train, train_many):
        yield "validation[0]", lambda X, train_=train_: train_(NAMED, Y, validation=(X, Y))
        yield "validation[0]", lambda X, train_=train_: train_(X.values, Y, init=model, validation=(X, Y))


def test_columns_in_another_order_are_told_with_the_first_that_differs(named):
    for name, ask in askers(*named):
        ask(NAMED)
        sentence = f"{name} must have its columns in the order of training; column"
        told(lambda ask=ask: ask(SWAPPED), f"{sentence} 0 must be 'a'; got 'b'")
        told(lambda ask=ask: ask(Frame(X, ["a", "b", "d"])), f"{sentence} 2 must be 'c'; got 'd'")


def test_columns_without_names_are_taken_by_their_place(named):
    for model in named:
        assert np.array_equal(model.predict(X), model.predict(NAMED))
        assert np.array_equal(model.predict(Frame(X, [0, 1, 2])), model.predict(NAMED))  # numbers are places
    for model in (MODEL, POPULATION):
        assert model.feature_names is None
        assert np.array_equal(model.predict(SWAPPED), model.predict(SWAPPED.values))


def test_names_are_kept_by_what_goes_on_from_a_network(named):
    model, population = named
    trained = train(X, Y, init=model), train_many(X, Y, init=population)
    for going_on in (model, population, population[0], population[::-1], *trained):
        assert going_on.feature_names == ("a", "b", "c")
    assert train(NAMED, Y, init=MODEL).feature_names == ("a", "b", "c")
    assert np.array_equal(train(NAMED, Y, init=MODEL).theta, train(X, Y, init=MODEL).theta)


def test_members_with_other_names_each_keep_theirs(named):
    other = train(SWAPPED, Y)
    population = train_many(X, Y, init=[named[0], other])
    assert [member.feature_names for member in population] == [("a", "b", "c"), ("b", "a", "c")]


def test_names_are_saved(named, tmp_path):
    odd = train(Frame(X, ["naïve\0", "", "x" * 1000]), Y)
    for model in (*named, odd, MODEL, POPULATION):
        model.save(tmp_path / "model.npz")
        assert fastmlp.load(tmp_path / "model.npz").feature_names == model.feature_names


def test_a_network_has_a_name_for_each_input_or_none():
    shape = {"activations": (), "output": "identity", "loss_name": "squared_error"}
    for names in ("ab", ["a", "b"], ["a", "b", 3]):
        with pytest.raises(ValueError, match=r"^feature_names must be 3 strings, one for each input; got "):
            fastmlp.MLP((3, 1), np.zeros(4), **shape, feature_names=names)


def test_frames_of_pandas_are_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = train(frame, Y)
    assert model.feature_names == ("a", "b", "c")
    sentence = "X must have its columns in the order of training; column 1 must be 'b'; got 'c'"
    told(lambda: model.predict(frame[["a", "c", "b"]]), sentence)
    model.update(frame.iloc[0], 1, 0.1)
    frame["b"] = ["x"] * 20
    told(lambda: model.predict(frame), "column 'b' of X must hold real numbers; X[0, 1] is 'x'")
    frame["b"], frame["c"] = True, pandas.array([1] * 20, dtype="Int64")
    assert np.array_equal(model.predict(frame), model.predict(frame.to_numpy(float)))
