"""How good predictions are said to be: what scikit-learn's metrics say, by whatever predicts."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from cases import mlp, network_of, one_sentence, problem
from sklearn import metrics as sklearn

import fastmlp
from fastmlp.images.labelled import labelled_images

DATA = Path(__file__).parents[2] / "data"
ROWS = 200
FOUR = network_of("tanh", "softmax", "cross_entropy", (6,), outputs=4)
LABELS = np.array(["ant", "bee", "cow", "dog"])
TWO = network_of("tanh", "sigmoid", "cross_entropy", (6,), outputs=1)
ONE_OUTPUT = network_of("tanh", "identity", "squared_error", (6,), outputs=1)
TWO_OUTPUTS = network_of("tanh", "identity", "squared_error", (6,), outputs=2)


def classifier(network=FOUR, dtype=np.float64):
    """A network that is right more often than not, rows, and their labels: not all classes occur."""
    theta, X, _ = problem(network, ROWS, dtype)
    model = mlp(network, 2 * theta, classes=LABELS[: max(2, network.sizes[-1])])
    y = model.predict(X)
    y[::3] = np.random.default_rng(1).permutation(model.classes.repeat(ROWS))[: len(y[::3])]
    y[y == "cow"] = "ant"
    return model, X, y


def weights_of(kind):
    return {"none": None, "random": np.random.default_rng(2).random(ROWS), "some-zero": np.arange(ROWS) % 5}[kind]


def population_of(network, thetas, classes):
    history = fastmlp.PopulationHistory(np.ones((len(thetas), 1)), None, np.ones(len(thetas), int), ["epochs"] * len(thetas))
    options = {name: [1] * len(thetas) for name in ("seed", "learning_rate", "l2", "momentum", "batch_size")}
    from fastmlp.networks.population import Group

    template = mlp(network, np.zeros(len(thetas[0])), classes)
    return fastmlp.Population([Group(template, np.arange(len(thetas)), np.array(thetas))], history, options, np.ones(len(thetas)))


def check_classes(evaluation, predicted, scores, y, classes, weights=None):
    options = {"labels": classes, "sample_weight": weights}
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(y, predicted, zero_division=0, **options)
    close = {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(evaluation.precision, precision, **close)
    np.testing.assert_allclose(evaluation.recall, recall, **close)
    np.testing.assert_allclose(evaluation.f1, f1, **close)
    np.testing.assert_allclose(evaluation.support, support, **close)
    np.testing.assert_allclose(evaluation.confusion, sklearn.confusion_matrix(y, predicted, **options), **close)
    assert evaluation.accuracy == pytest.approx(sklearn.accuracy_score(y, predicted, sample_weight=weights), rel=1e-12)
    single = scores.dtype == np.float32  # in which scikit-learn's logarithm is rounded, and added up
    assert evaluation.log_loss == pytest.approx(sklearn.log_loss(y, scores, **options), rel=1e-5 if single else 1e-12)
    assert evaluation.classes.tolist() == list(classes) and evaluation.rows == len(y)


def check_numbers(evaluation, predicted, y, weights=None):
    expected = {"r2": sklearn.r2_score, "mse": sklearn.mean_squared_error, "mae": sklearn.mean_absolute_error}
    for name, function in expected.items():
        assert getattr(evaluation, name) == pytest.approx(function(y, predicted, sample_weight=weights), rel=1e-12), name


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weights", ["none", "random", "some-zero"])
@pytest.mark.parametrize("network", [FOUR, TWO], ids=["four-classes", "two-classes"])
def test_a_classifier_is_as_good_as_scikit_learn_says(network, weights, dtype):
    model, X, y = classifier(network, dtype)
    weights = weights_of(weights)
    evaluation = model.evaluate(X, y, weights)
    check_classes(evaluation, model.predict(X), model.predict_proba(X), y, model.classes, weights)
    assert model.score(X, y, weights) == evaluation.accuracy < 1


@pytest.mark.parametrize("weights", ["none", "random", "some-zero"])
@pytest.mark.parametrize("network", [ONE_OUTPUT, TWO_OUTPUTS], ids=["one-output", "two-outputs"])
def test_a_regressor_is_as_good_as_scikit_learn_says(network, weights):
    theta, X, noise = problem(network, ROWS)
    model = mlp(network, theta)
    y = model.predict(X) + 0.3 * noise.reshape(model.predict(X).shape) * [1, 1e6][: network.sizes[-1]]
    weights = weights_of(weights)
    evaluation = model.evaluate(X, y, weights)
    check_numbers(evaluation, model.predict(X), y, weights)
    assert model.score(X, y, weights) == evaluation.r2
    if network is ONE_OUTPUT:
        assert model.score(X, y[:, None], weights) == evaluation.r2


def test_a_regressor_of_float32_is_compared_with_the_targets_as_they_are():
    theta, X, _ = problem(ONE_OUTPUT, ROWS, np.float32)
    model = mlp(ONE_OUTPUT, theta)
    y = model.predict(X) + np.linspace(1e-12, 1e-10, ROWS)  # which float32 cannot tell from the prediction
    check_numbers(model.evaluate(X, y), model.predict(X).astype(np.float64), y)


@pytest.mark.parametrize("value", [0.5, 0.0, 0.1])  # the mean of seven times 0.1 is something else
def test_r2_of_constant_targets_is_one_or_nothing(value):
    model = fastmlp.MLP.from_weights([[[0.0]]], [[value]])
    X, y = np.ones((7, 1)), np.full(7, value)
    assert (model.score(X, y), model.score(X, y + 1)) == (1, 0)
    if value != 0.1:
        assert (sklearn.r2_score(y, model.predict(X)), sklearn.r2_score(y + 1, model.predict(X))) == (1, 0)
    assert np.isnan(model.score(X[:1], y[:1]))


@pytest.mark.parametrize("unit", [1e-170, 1, 1e170])
def test_r2_does_not_depend_on_the_unit(unit):
    model = fastmlp.MLP.from_weights([[[unit]]])
    assert model.score([[1.0], [2.0], [3.0]], unit * np.array([1, 2, 4])) == pytest.approx(1 - 1 / (14 / 3), rel=1e-12)


@pytest.mark.parametrize("vote", ["mean", "majority"])
def test_an_ensemble_of_classifiers_is_as_good_as_scikit_learn_says(vote):
    model, X, y = classifier()
    thetas = [np.random.default_rng(seed).normal(model.theta, 1) for seed in range(5)]
    population = population_of(FOUR, thetas, LABELS)
    evaluation = population.evaluate(X, y, weights_of("random"), vote)
    scores = population.predict_proba(X, vote)
    check_classes(evaluation, population.predict(X, vote), scores, y, LABELS, weights_of("random"))
    assert population.score(X, y, weights_of("random"), vote) == evaluation.accuracy
    assert population.score(X, y) == population.evaluate(X, y).accuracy


def test_an_ensemble_of_regressors_is_as_good_as_scikit_learn_says():
    theta, X, y = problem(TWO_OUTPUTS, ROWS)
    population = population_of(TWO_OUTPUTS, [theta, 2 * theta, theta - 1], None)
    check_numbers(population.evaluate(X, y), population.predict(X), y)
    assert population.score(X, y) == population.evaluate(X, y).r2
    with one_sentence(["vote='majority' is for classifiers"]):
        population.score(X, y, vote="majority")


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_is_measured_on_a_folder_or_on_features(method):
    classifier = fastmlp.train_folder(DATA, extractor="ink", method=method, epochs=3, hidden=3, seed=0)
    features, labels = labelled_images(DATA, "ink")[2:4]
    scores = classifier.scores(features)
    evaluation = classifier.evaluate(DATA)
    right = np.array(classifier.classes)[scores.argmax(axis=1)] == labels
    assert classifier.score(DATA) == classifier.score(features, labels.tolist()) == evaluation.accuracy == right.mean() < 1
    assert evaluation.confusion.tolist() == classifier.evaluate(features, labels).confusion.tolist()
    if method == "softmax":
        assert evaluation.log_loss == pytest.approx(sklearn.log_loss(labels, scores), rel=1e-12)
    else:
        assert np.isnan(evaluation.log_loss)
    for wrong, said in (
        ((features, None), ["y must hold a label for each image, or row of features; got None"]),
        ((DATA, labels), ["y must be left out where X is a folder"]),
        ((features, ["square"] * 40), ["y[0] is 'square'"]),
        ((features[:, :2], labels), ["X must hold paths", "or rows of 3 features", "(40, 2)"]),
    ):
        with one_sentence(said):
            classifier.evaluate(*wrong)


def test_the_most_confused_come_first():
    model, X, y = classifier()
    evaluation = model.evaluate(X, y)
    pairs = evaluation.most_confused()
    counts = [count for *_, count in pairs]
    assert counts == sorted(counts, reverse=True) and sum(counts) == np.count_nonzero(model.predict(X) != y)
    for true, taken, count in pairs:
        assert true != taken and count == np.count_nonzero((y == true) & (model.predict(X) == taken)) > 0
    assert evaluation.most_confused(2) == pairs[:2]
    assert model.evaluate(X, model.predict(X)).most_confused() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": ["ant"] * (ROWS - 1)}, ["X and y must have the same number of rows; got 200 and 199"]),
        ({"y": ["ant"] * (ROWS - 1) + ["emu"]}, ["y[199] is 'emu'"]),
        ({"X": np.empty((0, 3)), "y": []}, ["X must have at least one row", "got none"]),
        ({"X": np.full((ROWS, 3), np.nan)}, ["X must be finite; X[0, 0] is nan"]),
        ({"sample_weight": np.ones(3)}, ["sample_weight must have shape (200,)", "got (3,)"]),
        ({"sample_weight": np.zeros(ROWS)}, ["sample_weight must not be zero for all rows"]),
        ({"sample_weight": np.arange(ROWS) - 1}, ["sample_weight must not be negative; sample_weight[0] is -1"]),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(change, said):
    model, X, y = classifier()
    for call in (model.evaluate, population_of(FOUR, [model.theta], LABELS).evaluate):
        with one_sentence(said):
            call(**{"X": X, "y": y, **change})


# -- As text -------------------------------------------------------------------------------------------------------------------

FEW_CLASSES = """\
5 rows  accuracy 0.6  log loss 0.693147

      precision  recall     f1  support
no        0.500   0.500  0.500        2
some      1.000   0.500  0.667        2
yes       0.500   1.000  0.667        1

rows of each class by what they were taken for:
      no  some  yes
no     1     0    1
some   1     1    0
yes    0     0    1"""


def test_an_evaluation_prints_as_a_table():
    scores = np.array([[0.5, 0.3, 0.2], [0.3, 0.2, 0.5], [0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5]])
    evaluation = fastmlp.networks.metrics.of_classes(scores, ["no", "no", "some", "some", "yes"], np.array(["no", "some", "yes"]))
    head, *rest = FEW_CLASSES.splitlines()
    assert str(evaluation).splitlines()[1:] == rest
    assert head.rsplit(" ", 1)[0] == str(evaluation).splitlines()[0].rsplit(" ", 1)[0]
    assert repr(evaluation).startswith("<Evaluation of 5 rows: accuracy 0.6, log loss 0.8") and len(repr(evaluation)) < 80


def test_an_evaluation_of_many_classes_still_fits_on_a_screen():
    scores = np.random.default_rng(0).random((5000, 300))
    labels = np.array([f"{number:03d} {'long ' * 30}" for number in range(300)])
    evaluation = fastmlp.networks.metrics.of_classes(scores, labels[np.arange(5000) % 300], labels)
    lines = str(evaluation).splitlines()
    assert len(lines) < 24 and max(map(len, lines)) <= 80
    assert "... and 288 more" in lines and "most often taken:" in lines


def test_the_evaluation_of_a_regressor_prints_and_names_what_it_has():
    evaluation = fastmlp.MLP.from_weights([[[1.0]]]).evaluate([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    assert str(evaluation) == "3 rows  R2 0.785714  MSE 0.333333  MAE 0.333333"
    assert repr(evaluation) == "<Evaluation of 3 rows: R2 0.785714, MSE 0.333333, MAE 0.333333>"
    with pytest.raises(AttributeError, match="the evaluation of a regressor has no 'accuracy'; it has rows, r2, mse, mae"):
        _ = evaluation.accuracy
    for other in (pickle.loads(pickle.dumps(evaluation)), copy.copy(evaluation)):
        assert str(other) == str(evaluation)
