"""What pictures show, where matplotlib is installed."""

import subprocess
import sys

import numpy as np
import pytest

import fastmlp

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = np.where(X[:, 0] > 0, "right", "left")
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
NUMBERS = X[:, 0] * X[:, 1]


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def classifier():
    return fastmlp.train(X, Y, hidden=(4, 3), epochs=12, validation=0.2, seed=0)


@pytest.fixture(scope="module")
def regressor():
    return fastmlp.train(X, NUMBERS, hidden=4, epochs=5, seed=0)


def test_losses_and_the_best_epoch(classifier, ax):
    assert classifier.plot_loss(ax=ax) is ax
    training, validation, best = (line.get_xydata() for line in ax.get_lines())
    assert np.array_equal(training[:, 1], classifier.history.loss) and training[0, 0] == 1
    assert np.array_equal(validation[:, 1], classifier.history.validation_loss)
    assert best[0, 0] == classifier.history.validation_loss.argmin() + 1
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == "cross entropy"


def test_the_best_epoch_is_that_of_the_accuracy_where_that_decides(ax):
    model = fastmlp.train(X, Y, hidden=4, epochs=12, validation=0.2, monitor="accuracy", seed=0)
    best = model.plot_loss(ax=ax).get_lines()[2].get_xydata()
    assert best[0, 0] == model.history.validation_accuracy.argmax() + 1


@pytest.mark.parametrize("y", [Y, THREE, NUMBERS], ids=["two", "three", "numbers"])
def test_decisions(y, ax):
    model = fastmlp.train(X, y, hidden=4, epochs=3, seed=0)
    model.plot_decision(X, y, ax=ax)
    drawn = sum(len(points.get_offsets()) for points in ax.collections if hasattr(points, "get_sizes"))
    assert drawn == len(X)
    assert ax.get_xlim()[0] <= X[:, 0].min() and ax.get_ylim()[1] >= X[:, 1].max()
    if model.classes is not None:  # each place has the color of the class that is told there
        (image,) = ax.images
        colors, extent = image.get_array(), image.get_extent()
        height, width = colors.shape[:2]
        for row, column in [(0, 0), (height // 2, width // 3), (height - 1, width - 1)]:
            place = [
                extent[0] + (extent[1] - extent[0]) * column / (width - 1),
                extent[2] + (extent[3] - extent[2]) * row / (height - 1),
            ]
            number = model.classes.tolist().index(model.predict([place])[0])
            label = ax.get_legend().legend_handles[number].get_facecolor()[0][:3]
            assert np.argmin(colors[row, column]) == np.argmin(label)


def test_confusion(classifier, ax):
    classifier.plot_confusion(X, Y, ax=ax)
    evaluation = classifier.evaluate(X, Y)
    written = np.array([float(text.get_text()) for text in ax.texts]).reshape(2, 2)
    assert np.array_equal(written, evaluation.confusion)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["left", "right"]
    other = Figure().subplots()
    assert evaluation.plot_confusion(ax=other) is other


def test_predictions(regressor, ax):
    regressor.plot_predictions(X, NUMBERS, ax=ax)
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([NUMBERS, regressor.predict(X)]))
    two = fastmlp.train(X, X, hidden=4, epochs=2, seed=0)
    assert len(two.plot_predictions(X, X, ax=Figure().subplots()).collections) == 2


def test_a_network(classifier, ax):
    classifier.plot_network(ax=ax)
    lines, *units = ax.collections[:3], *ax.collections[3:]
    assert [len(one.get_segments()) for one in lines] == [8, 12, 3]
    assert [len(one.get_offsets()) for one in units] == [2, 4, 3, 1]
    large = fastmlp.train(RNG.normal(size=(9, 40)), np.arange(9) % 3, hidden=(), epochs=1, seed=0)
    assert next(text.get_text() for text in large.plot_network(ax=Figure().subplots()).texts) == "and 16 more"


def test_scores_of_a_population():
    population = fastmlp.train_many(
        X, Y, **fastmlp.grid(learning_rate=[0.001, 0.01, 0.1], hidden=[2, (3, 3)]), epochs=4, validation=0.2, seed=0
    )
    ax = population.plot(ax=Figure().subplots())
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([population.options["learning_rate"], population.scores]))
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "learning_rate" and ax.get_ylabel() == "validation loss"
    ax = population.plot("hidden", ax=Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "3-3"]
    assert fastmlp.train_many(X, Y, members=3, epochs=1, hidden=2, seed=0).plot(ax=Figure().subplots()).get_xlabel() == "seed"


def test_what_cannot_be_drawn_is_told(classifier, regressor):
    three = fastmlp.train(RNG.normal(size=(9, 3)), np.arange(9.0) / 2, hidden=2, epochs=1, seed=0)
    two = fastmlp.train(X, X, hidden=4, epochs=2, seed=0)
    untrained = fastmlp.MLP.from_weights([np.ones((2, 1))], [np.zeros(1)])
    population = fastmlp.train_many(X, Y, members=2, epochs=1, hidden=2, seed=0)
    for draw, message in (
        (untrained.plot_loss, "this one has no history"),
        (lambda: three.plot_decision(np.ones((2, 3)), [1.0, 2.0]), "two inputs; this one has 3"),
        (lambda: two.plot_decision(X, X), "this one has 2 outputs"),
        (lambda: regressor.plot_confusion(X, NUMBERS), "plot_confusion needs a classifier"),
        (lambda: classifier.plot_predictions(X, Y), "plot_predictions needs a regressor"),
        (lambda: population.plot("depth"), "option must be one of"),
        (lambda: classifier.plot_decision(X[:, :1], Y), "2 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            draw()


def test_without_matplotlib_an_extra_is_named():
    program = (
        "import sys; sys.modules['matplotlib'] = None; import fastmlp; fastmlp.MLP.from_weights([[[1.0]]], [[0.0]]).plot_network()"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ImportError: pictures need matplotlib; pip install 'fastmlp[plot]' brings it" in process.stderr
