"""What a trained or hand-made network answers, to rows of whatever kind."""

import copy
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from cases import EVERY_NETWORK, mlp, network_of, problem, slow

import fastmlp
from benchmarks import reference
from fastmlp import MLP
from fastmlp.kernels import inference

SIGMOID = network_of("tanh", "sigmoid", "cross_entropy", (5,), outputs=1)
SOFTMAX = network_of("relu", "softmax", "cross_entropy", (6, 4))
IDENTITY = network_of("sigmoid", "identity", "squared_error", (5,), outputs=2)


# -- Shapes and classes ------------------------------------------------------------------------------------------------


def test_one_sigmoid_output_gives_two_columns_of_probabilities():
    theta, X, _ = problem(SIGMOID, rows=9)
    model = mlp(SIGMOID, theta, classes=np.array(["circle", "line"]))
    p = reference.predict(SIGMOID, theta, X)
    np.testing.assert_allclose(model.predict_proba(X), np.hstack([1 - p, p]), rtol=1e-13)
    assert model.predict(X).tolist() == ["line" if chance > 0.5 else "circle" for chance in p[:, 0]]


def test_softmax_gives_a_column_for_each_class():
    theta, X, _ = problem(SOFTMAX, rows=9)
    model = mlp(SOFTMAX, theta, classes=np.array([10, 20, 30]))
    p = reference.predict(SOFTMAX, theta, X)
    np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-13)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-15)
    assert model.predict(X).tolist() == (10 * (1 + p.argmax(axis=1))).tolist()


def test_a_regressor_gives_its_outputs():
    theta, X, _ = problem(IDENTITY, rows=9)
    model = mlp(IDENTITY, theta)
    np.testing.assert_allclose(model.predict(X), reference.predict(IDENTITY, theta, X), rtol=1e-13)
    with pytest.raises(ValueError, match="classif"):
        model.predict_proba(X)
    single = network_of("tanh", "identity", "squared_error", (5,), outputs=1)
    assert mlp(single, theta[:26]).predict(X).shape == (9,)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, -1, 7]), np.array(["ant", "bee", "cow"]), np.array([2**40, 5, 6]),
        np.array([-100, 127, 5], np.int8), np.array([2**64 - 3, 2**64 - 9, 2**64 - 1], np.uint64),
    ],
    ids=["ints", "strings", "large-ints", "small-ints", "largest-ints"],
)  # fmt: skip
def test_classes_come_back_as_they_went_in(labels):
    X = np.repeat(np.eye(3), 5, axis=0)
    y = np.repeat(labels, 5)
    model = fastmlp.train(X, y, epochs=60, batch_size=None, learning_rate=0.1, seed=0)
    assert model.classes.tolist() == sorted(labels.tolist())
    assert model.output == "softmax" and model.loss_name == "cross_entropy"
    assert model.predict(X).dtype == labels.dtype
    assert np.array_equal(model.predict(X), y)


def test_bools_make_a_binary_classifier():
    X = np.array([[0.0], [1.0]] * 10)
    model = fastmlp.train(X, X[:, 0] > 0.5, epochs=60, batch_size=None, learning_rate=0.1, seed=0)
    assert model.output == "sigmoid" and model.layer_sizes[-1] == 1
    assert model.predict(X).dtype == bool
    assert np.array_equal(model.predict(X), X[:, 0] > 0.5)


@pytest.mark.parametrize("network", [SIGMOID, SOFTMAX, IDENTITY])
def test_no_rows_give_no_answers(network):
    classes = None if network is IDENTITY else np.arange(max(2, network.sizes[-1]))
    model = mlp(network, problem(network, 1)[0], classes=classes)
    nothing = np.empty((0, 3))
    assert len(model.predict(nothing)) == 0
    if classes is not None:
        assert model.predict_proba(nothing).shape == (0, len(classes))
        assert model.predict(nothing).dtype == classes.dtype


# -- Rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", [SIGMOID, SOFTMAX, IDENTITY])
def test_the_answer_to_a_row_does_not_depend_on_the_rows_beside_it(network, dtype):
    theta, X, _ = problem(network, rows=100_000, dtype=dtype)  # enough to be shared out to threads
    model = mlp(network, theta, classes=None if network is IDENTITY else np.arange(max(2, network.sizes[-1])))
    answers = model.predict if network is IDENTITY else model.predict_proba
    whole = answers(X)
    assert whole.dtype == dtype
    for rows in (
        slice(0, 1),
        slice(1, 2),
        slice(511, 514),
        slice(1000, 1007),
        slice(99_990, 100_000),
        slice(17, 60_001),
    ):
        assert np.array_equal(answers(X[rows]), whole[rows])
    order = np.random.default_rng(0).permutation(100_000)
    assert np.array_equal(answers(X[order]), whole[order])


@pytest.fixture
def few_calls(monkeypatch):
    """How many rows each call of the short way for a few rows was given."""
    calls, predict_few = [], inference.predict_few
    monkeypatch.setattr(inference, "predict_few", lambda out, x, *rest: calls.append(len(x)) or predict_few(out, x, *rest))
    return calls


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("network", [SIGMOID, SOFTMAX, IDENTITY])
def test_a_few_rows_have_the_answers_that_they_have_among_many(network, bias, dtype, few_calls):
    network = replace(network, bias=bias)
    theta, X, _ = problem(network, rows=33, dtype=dtype)
    model = mlp(network, theta, classes=None if network.output == "identity" else np.arange(max(2, network.sizes[-1])))
    answers = model.predict if model.classes is None else model.predict_proba
    whole, labels = answers(X), model.predict(X)
    tolerance = 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))  # see tests/test_gradients.py
    np.testing.assert_allclose(
        model.predict(X) if model.classes is None else whole[:, -network.sizes[-1] :],
        reference.predict(network, theta.astype(float), X.astype(float)), rtol=tolerance, atol=tolerance,
    )  # fmt: skip
    few_calls.clear()
    for rows in (slice(0, 1), slice(32, 33), slice(5, 7), slice(0, 32), slice(1, 33)):
        assert np.array_equal(answers(X[rows]), whole[rows])
        assert np.array_equal(model.predict(X[rows]), labels[rows])
    assert few_calls == [1, 1, 1, 1, 2, 2, 32, 32, 32, 32]


def test_a_network_too_large_for_the_short_way_answers_a_few_rows_too(few_calls):
    network = network_of("tanh", "softmax", "cross_entropy", (400,))
    theta, X, _ = problem(network, rows=40)
    model = mlp(network, theta, classes=np.arange(3))
    assert np.array_equal(model.predict_proba(X[:3]), model.predict_proba(X)[:3])
    assert not few_calls


def test_threads_may_ask_one_model_side_by_side():
    theta, X, _ = problem(SOFTMAX, rows=2000)
    expected = mlp(SOFTMAX, theta, classes=np.arange(3)).predict_proba(X)
    model = mlp(SOFTMAX, theta, classes=np.arange(3))  # which has not answered yet
    jobs = [slice(start, start + rows) for rows in (1, 32, 33, 500) for start in range(0, 2000, rows)]
    with ThreadPoolExecutor(4) as pool:
        for rows, answer in zip(jobs, pool.map(lambda rows: model.predict_proba(X[rows]), jobs), strict=True):
            assert np.array_equal(answer, expected[rows])


def test_updates_by_threads_are_made_one_after_the_other():
    network = network_of("tanh", "identity", "squared_error", (300,), inputs=200, outputs=1)
    theta, X, _ = problem(network, rows=1)
    rate = 0.05 / ((X**2).sum() * 300)  # so small that no step goes too far
    alone = mlp(network, theta)
    expected = [alone.update(X[0], 1.0, rate) for _ in range(400)]
    assert len(set(expected)) == 400
    model = mlp(network, theta)  # which has not been updated yet
    with ThreadPoolExecutor(4) as pool:
        losses = list(pool.map(lambda _: model.update(X[0], 1.0, rate), range(400)))
    assert sorted(losses) == sorted(expected)  # a step that was lost or mixed with another would give other ones
    assert np.array_equal(model.theta, alone.theta)


def test_members_of_a_population_are_updated_one_after_the_other_by_whatever_name():
    population = fastmlp.train_many([[0.0], [1.0]], [0.5, 1.5], members=2, hidden=2, epochs=1)
    assert population[0]._updating is population[0]._updating is not copy.copy(population)[0]._updating


def arrays_within(thing):
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from arrays_within(part)
    elif isinstance(thing, dict):
        yield from arrays_within(list(thing.values()))
    elif hasattr(thing, "__dict__"):
        yield from arrays_within(vars(thing))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_share_nothing_and_hold_no_scratch(copied):
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.array(["a", "b"] * 10)
    options = {"hidden": 4, "epochs": 2, "validation": 0.2, "seed": 0}
    model = fastmlp.train(X, y, output="softmax", **options)
    population = fastmlp.train_many(X, y, members=2, **options)
    classifier = fastmlp.ImageClassifier(["a", "b"], (model,), "ink", "softmax")
    new = [len(pickle.dumps(one)) for one in (model, population, classifier)]
    population.predict(X), population.groups[0].network.predict(X)
    model.predict(X), model.update(X[0], "a", 1e-3), model.loss(X, y)
    for original, ask in ((model, "predict"), (population, "spread"), (population[1], "predict_proba"), (classifier, "scores")):
        other = copied(original)
        shared = [np.shares_memory(one, two) for one in arrays_within(original) for two in arrays_within(other)]
        assert shared and not any(shared)
        assert np.array_equal(getattr(original, ask)(X), getattr(other, ask)(X))
    assert [len(pickle.dumps(one)) for one in (model, population, classifier)] == new
    before, other = model.theta.copy(), copied(model)
    other.update(X[0], "b", 0.1)
    assert np.array_equal(model.theta, before) and not np.array_equal(other.theta, before)


def test_rows_of_every_kind_are_the_same_rows(tmp_path):
    theta, _, _ = problem(SIGMOID, rows=1)
    model = mlp(SIGMOID, theta, classes=np.array([0, 1]))
    X = np.arange(120).reshape(40, 3) % 2
    expected = model.predict_proba(X.astype(float))
    read_only = X.astype(float)
    read_only.flags.writeable = False
    wide = np.zeros((80, 7))
    wide[::2, ::3] = X
    mapped = np.memmap(tmp_path / "X", dtype=float, mode="w+", shape=X.shape)
    mapped[:] = X
    kinds = {
        "read-only": read_only,
        "not contiguous": wide[::2, ::3],
        "columns first": np.asfortranarray(X.astype(float)),
        "reversed": X.astype(float)[::-1][::-1],
        "memory-mapped": mapped,
        "integers": X,
        "bytes": X.astype(np.uint8),
        "bools": X.astype(bool),
        "float16": X.astype(np.float16),
        "list": X.tolist(),
        "big-endian": X.astype(">f8"),
    }
    for kind, rows in kinds.items():
        assert np.array_equal(model.predict_proba(rows), expected), kind
        assert np.array_equal(model.predict_proba(rows[:5]), expected[:5]), kind
        trained = fastmlp.train(rows, X[:, 0], init=model, epochs=2, seed=0)
        again = fastmlp.train(X.astype(float), X[:, 0], init=model, epochs=2, seed=0)
        assert np.array_equal(trained.theta, again.theta), kind
    assert np.array_equal(read_only, X)


@pytest.mark.parametrize(
    ("X", "fragments"),
    [
        (np.zeros((4, 2)), ["3", "2"]),
        (np.zeros(3), ["X", "2-D"]),
        (np.zeros((2, 3, 1)), ["X", "2-D"]),
        ([[1, 2, 3], [4, 5]], ["X"]),
        ([[1, 2, np.nan]], ["X[0, 2]", "nan"]),
        ([[1, 2, 3], [4, -np.inf, 6]], ["X[1, 1]", "-inf"]),
        (np.array([[1, 2, np.nan]]), ["X[0, 2]", "nan"]),
        (np.array([[1, 2, 3], [4, -np.inf, 6]]), ["X[1, 1]", "-inf"]),
        (np.full((33, 3), np.inf), ["X[0, 0]", "inf"]),
        (np.zeros((1, 4)), ["3", "4"]),
        (np.zeros((0, 4)), ["3", "4"]),
        ([["a", "b", "c"]], ["X", "number"]),
        (np.zeros((2, 3), complex), ["X", "complex"]),
    ],
)
def test_rows_that_are_none_are_rejected(X, fragments):
    model = mlp(SIGMOID, problem(SIGMOID, 1)[0], classes=np.array([0, 1]))
    for answer in (model.predict, model.predict_proba):
        with pytest.raises((ValueError, TypeError)) as error:
            answer(X)
        for fragment in fragments:
            assert fragment in str(error.value)
        assert "\n" not in str(error.value)


def test_rows_too_large_for_the_type_of_the_network_are_rejected():
    model = mlp(SIGMOID, problem(SIGMOID, 1, np.float32)[0], classes=np.array([0, 1]))
    for rows in (1, 40):
        X = np.zeros((rows, 3))
        X[-1, 1] = 1e300
        with pytest.raises(ValueError, match=rf"^X must be finite; X\[{rows - 1}, 1\] is "):
            model.predict(X)


# -- Parameters --------------------------------------------------------------------------------------------------------


def test_theta_is_live_and_weights_are_its_views():
    theta, X, _ = problem(SOFTMAX, rows=5)
    model = mlp(SOFTMAX, theta, classes=np.arange(3))
    for (w, b), weight, bias in zip(SOFTMAX.unpack(theta), model.weights, model.biases, strict=True):
        assert np.array_equal(w, weight) and np.array_equal(b, bias)
        assert np.shares_memory(model.theta, weight) and np.shares_memory(model.theta, bias)
    before = model.predict_proba(X)
    model.weights[0][0, 0] += 1
    model.biases[-1][:] = 0
    assert model.theta[0] == theta[0] + 1 and not model.theta[-3:].any()
    np.testing.assert_allclose(model.predict_proba(X), reference.predict(SOFTMAX, model.theta, X), rtol=1e-12)
    model.theta[:] = theta
    assert np.array_equal(model.predict_proba(X), before)


@pytest.mark.kernels
@pytest.mark.parametrize(("activation", "output", "loss", "dtype"), EVERY_NETWORK)
def test_an_update_is_one_step_down_the_gradient_of_one_row(activation, output, loss, dtype):
    for number, hidden in enumerate([(), (7,), (8, 9), (17, 1, 8)]):
        one, several = (2, 9) if output == "softmax" else (1, 3)
        check_updates(network_of(activation, output, loss, hidden, outputs=one, bias=number % 2 == 0), dtype)
        check_updates(network_of(activation, output, loss, hidden, outputs=several, bias=number % 2 == 1), dtype)


def check_updates(network, dtype):
    """Three updates of a model, the reference's steps from the same theta beside them."""
    theta, X, targets = problem(network, rows=3, dtype=dtype)
    outputs = network.sizes[-1]
    if network.output == "softmax":
        classes = np.array([f"class {k}" for k in range(outputs)])
        y = classes[targets.argmax(axis=1)]
    elif network.output == "sigmoid" and outputs == 1:
        classes = np.array([False, True])
        y = targets[:, 0] > 0
    else:
        classes, y = None, targets
    model, rate = mlp(network, theta, classes), slow(network, 0.1)
    tolerance = 8 * np.finfo(dtype).eps * len(network.sizes) * np.sqrt(max(network.sizes))  # see tests/test_gradients.py
    for x, label, row, target in zip(X, y, X.astype(float), targets.astype(float), strict=True):
        before = model.theta.astype(float)
        value = model.update(x, label, rate)
        np.testing.assert_allclose(value, reference.loss(network, before, row[None], target[None]), rtol=tolerance)
        expected = before - rate * reference.backward(network, before, row[None], target[None])
        np.testing.assert_allclose(model.theta, expected, rtol=tolerance, atol=tolerance)
    assert not np.array_equal(model.theta, theta)


def test_an_update_takes_inputs_and_labels_of_every_kind():
    theta, X, _ = problem(SIGMOID, rows=1)
    models = []
    read_only = X[0].copy()
    read_only.flags.writeable = False
    for x in (X[0], X[0].tolist(), tuple(X[0]), read_only, np.repeat(X[0], 2)[::2], X[0].astype(">f8")):
        for label in (7, 7.0, np.int64(7), np.float32(7), np.array(7)):
            models.append(mlp(SIGMOID, theta, classes=np.array([3, 7])))
            models[-1].update(x, label, 0.1)
    for model in models:
        assert np.array_equal(model.theta, models[0].theta) and not np.array_equal(model.theta, theta)


@pytest.mark.parametrize(
    ("x", "y", "rate", "fragment"),
    [
        ([1, 2], 0, 0.1, "x must have shape \\(3,\\)"),
        ([1, 2, np.nan], 0, 0.1, "x must be finite"),
        (np.array([1, 2, np.nan]), 0, 0.1, r"x must be finite; x\[2\] is nan"),
        (np.array([1, -np.inf, 2]), 0, 0.1, r"x must be finite; x\[1\] is -inf"),
        (np.zeros((1, 3)), 0, 0.1, "x must have shape \\(3,\\)"),
        ([1, 2, 3], np.nan, 0.1, "y"),
        ([1, 2, 3], "0", 0.1, "y"),
        ([1, 2, 3], None, 0.1, "y"),
        ([1, 2, 3], 5, 0.1, "y"),
        ([1, 2, 3], 0, -0.1, "learning_rate"),
    ],
)
def test_an_update_that_makes_no_sense_changes_nothing(x, y, rate, fragment):
    theta = problem(SIGMOID, rows=1)[0]
    model = mlp(SIGMOID, theta, classes=np.array([0, 1]))
    with pytest.raises(ValueError, match=fragment):
        model.update(x, y, rate)
    assert np.array_equal(model.theta, theta)


def test_an_update_to_a_target_that_is_not_finite_changes_nothing():
    theta, X, _ = problem(IDENTITY, rows=1)
    model = mlp(IDENTITY, theta)
    with pytest.raises(ValueError, match="y must be finite"):
        model.update(X[0], [1.0, np.nan], 0.1)
    assert np.array_equal(model.theta, theta)


def test_loss_and_gradient_take_labels():
    theta, X, targets = problem(SOFTMAX, rows=6)
    model = mlp(SOFTMAX, theta, classes=np.array(["a", "b", "c"]))
    y = np.array(["a", "b", "c"])[targets.argmax(axis=1)]
    np.testing.assert_allclose(model.loss(X, y), reference.loss(SOFTMAX, theta, X, targets), rtol=1e-13)
    np.testing.assert_allclose(model.gradient(X, y), reference.backward(SOFTMAX, theta, X, targets), rtol=1e-11, atol=1e-14)
    with pytest.raises(ValueError, match="'d'"):
        model.loss(X, np.array(["a", "b", "c", "d", "a", "b"]))


@pytest.mark.parametrize("low", [-128, -1, 0, 7, 125])
@pytest.mark.parametrize("step", [1, 3])
def test_labels_that_are_no_class_are_told_whatever_lies_between_the_classes(low, step):
    theta, X, _ = problem(SIGMOID, rows=2)
    classes = np.array([low, min(low + step, 127)], np.int8)
    model = mlp(SIGMOID, theta, classes=classes)
    of_numbers = mlp(SIGMOID, theta, classes=np.array(["a", "b"]))
    assert model.loss(X, classes[::-1]) == model.loss(X, classes[::-1].tolist()) == of_numbers.loss(X, np.array(["b", "a"]))
    for label in {-128, low - 1, low + 1, low + 2, 127} - {*classes.tolist(), -129, 128}:
        for y in (np.array([low, label], np.int8), [low, label]):
            with pytest.raises(ValueError, match=rf"y\[1\] is {label}$"):
                model.loss(X, y)


def test_a_loss_does_not_depend_on_those_before_or_beside_it():
    theta, X, targets = problem(SOFTMAX, rows=400)
    y, model = targets.argmax(axis=1), mlp(SOFTMAX, theta, classes=np.arange(3))
    jobs = [slice(start, start + rows) for rows in (400, 40, 100) for start in range(0, 400, rows)]
    alone = [mlp(SOFTMAX, theta, classes=np.arange(3)) for _ in jobs]
    losses = [one.loss(X[rows], y[rows]) for one, rows in zip(alone, jobs, strict=True)]
    gradients = [one.gradient(X[rows], y[rows]) for one, rows in zip(alone, jobs, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        for measured in (map, pool.map):
            assert list(measured(lambda rows: model.loss(X[rows], y[rows]), jobs)) == losses
            assert np.array_equal(list(measured(lambda rows: model.gradient(X[rows], y[rows]), jobs)), gradients)


def test_rows_are_not_held_once_they_are_measured():
    theta, X, targets = problem(SOFTMAX, rows=40)
    model, held = mlp(SOFTMAX, theta, classes=np.arange(3)), weakref.ref(X)
    model.loss(X, targets.argmax(axis=1))
    del X
    assert held() is None


def test_from_weights_builds_the_network():
    theta, X, _ = problem(SOFTMAX, rows=6)
    weights, biases = zip(*SOFTMAX.unpack(theta), strict=True)
    model = MLP.from_weights(weights, biases, activation="relu", output="softmax", classes=["x", "y", "z"])
    assert model.layer_sizes == (3, 6, 4, 3)
    assert model.activations == ("relu", "relu")
    assert np.array_equal(model.theta, theta)
    assert not np.shares_memory(model.theta, theta)
    assert model.classes.tolist() == ["x", "y", "z"]
    np.testing.assert_allclose(model.predict_proba(X), reference.predict(SOFTMAX, theta, X), rtol=1e-13)
    without = MLP.from_weights(weights, None, activation="relu", output="softmax", classes=["x", "y", "z"])
    assert not without.bias and without.theta.size == theta.size - 13


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"weights": [np.ones((3, 5)), np.ones((4, 1))]}, "weights"),
        ({"biases": [np.ones(5), np.ones(2)]}, "biases"),
        ({"biases": [np.ones(5)]}, "biases"),
        ({"weights": []}, "weights"),
        ({"weights": [np.full((3, 5), np.nan), np.ones((5, 1))]}, "weights"),
        ({"activation": "sigmod"}, "did you mean 'sigmoid'"),
        ({"activation": ("tanh", "tanh")}, "activation"),
        ({"output": "softmx"}, "did you mean 'softmax'"),
        ({"loss": "squared"}, "did you mean 'squared_error'"),
        ({"classes": [1, 2, 3]}, "classes"),
        ({"classes": [2, 1]}, "classes"),
        ({"output": "identity", "loss": "cross_entropy"}, "cross_entropy"),
    ],
    ids=str,
)
def test_weights_that_do_not_fit_are_rejected(change, fragment):
    options = {"weights": [np.ones((3, 5)), np.ones((5, 1))], "biases": [np.ones(5), np.ones(1)]}
    options |= {"activation": "tanh", "output": "sigmoid", "classes": [0, 1]} | change
    with pytest.raises(ValueError, match=fragment):
        MLP.from_weights(options.pop("weights"), options.pop("biases"), **options)


def test_save_and_load_give_the_same_network(tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = fastmlp.train(X, X[:, 0] > 0, hidden=(4, 3), epochs=3, validation=0.2, seed=0)
    model.save(tmp_path / "model.npz")
    loaded = fastmlp.load(tmp_path / "model.npz")
    assert loaded.dtype == np.float32 and np.array_equal(loaded.theta, model.theta)
    assert np.array_equal(loaded.history.loss, model.history.loss)
    assert np.array_equal(loaded.history.validation_loss, model.history.validation_loss)
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
