"""monitor="accuracy": what of the validation rows decides when a training ends, and which weights are kept."""

import numpy as np
import pytest
from cases import one_sentence, toy
from members import BATCH_SIZES, PRECISIONS, all_bits, check_ends, compare, regression

import fastmlp
from fastmlp.networks.history import best_epoch

BY_ACCURACY = {"monitor": "accuracy", "schedule": "constant", "seed": 0, "hidden": (5,)}


def noisy(classes, rows=90, dtype=np.float64):
    """Rows to learn from, and some to measure."""
    rng = np.random.default_rng(classes)
    X = rng.normal(size=(2 * rows, 3)).astype(dtype)
    y = np.digitize(X[:, 0] + X[:, 1] ** 2 + rng.normal(size=2 * rows), np.linspace(0, 2, classes - 1))
    return X[:rows], y[:rows], (X[rows:], y[rows:])


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("hidden", [(), (5,), (200,)], ids=str)
@pytest.mark.parametrize(("classes", "output"), [(2, "sigmoid"), (2, "softmax"), (3, "softmax")])
def test_the_accuracy_is_the_score_of_the_network_after_each_epoch(classes, output, hidden, batch_size, dtype):
    X, y, validation = noisy(classes, dtype=dtype)
    options = {**BY_ACCURACY, "output": output, "hidden": hidden, "batch_size": batch_size, "validation": validation}
    for optimizer in ("sgd", "adam"):
        found = [fastmlp.train(X, y, epochs=epochs, optimizer=optimizer, **options) for epochs in (1, 2, 3)]
        accuracy = found[-1].history.validation_accuracy
        assert accuracy.tolist() == [network.score(*validation) for network in found]
        plain = fastmlp.train(X, y, epochs=3, optimizer=optimizer, **{**options, "monitor": "loss"})
        assert np.array_equal(plain.theta, found[-1].theta) and plain.history.validation_accuracy is None
        assert np.array_equal(plain.history.validation_loss, found[-1].history.validation_loss)


@BATCH_SIZES
@pytest.mark.parametrize("classes", [2, 3])
def test_patience_keeps_the_weights_of_the_first_epoch_of_the_highest_accuracy(classes, batch_size):
    X, y, validation = noisy(classes)
    options = {**BY_ACCURACY, "validation": validation, "batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.2}
    model = fastmlp.train(X, y, epochs=300, patience=7, **options)
    history, accuracy = model.history, model.history.validation_accuracy
    best = accuracy.tolist().index(accuracy.max())
    assert (history.stopped_by, history.epochs) == ("patience", best + 8) and best_epoch(history) == best
    assert batch_size or best != history.validation_loss.argmin()
    assert np.array_equal(model.theta, fastmlp.train(X, y, epochs=best + 1, **options).theta)
    assert model.score(*validation) == accuracy.max()


@PRECISIONS
@BATCH_SIZES
@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_member_is_measured_as_a_network_alone(classes, patience, batch_size, dtype):
    X, y, validation = noisy(classes, dtype=dtype)
    options = {**BY_ACCURACY, "batch_size": batch_size, "optimizer": "sgd", "epochs": 12, "patience": patience}
    if dtype == np.float32:  # where roundings add up
        options["epochs"] = 4
    for held in (validation, 0.3):
        population = compare(X, y, members=20, validation=held, **{**options, "seed": 1})
        accuracy = population.history.validation_accuracy
        kept = np.nanmax(accuracy, axis=1) if patience else accuracy[np.arange(20), population.history.epochs - 1]
        assert np.array_equal(population.scores, 1 - kept)
        check_ends(population)


def test_members_move_to_other_lanes_with_their_accuracies():
    X, y, validation = noisy(3)
    options = {**BY_ACCURACY, "validation": validation, "patience": 3, "epochs": 40, "data_seed": 1}
    rates = np.geomspace(1e-3, 0.3, 40).tolist()
    together = fastmlp.train_many(X, y, learning_rate=rates, **options)
    calls = fastmlp.train_many(X, y, learning_rate=rates, on_epoch=lambda *_: None, **options)
    assert len(set(together.history.epochs.tolist())) > 5 and all_bits(together) == all_bits(calls)
    one = fastmlp.train_many(X, y, learning_rate=rates, threads=1, **options)
    assert all_bits(together) == all_bits(one)


@pytest.mark.parametrize("hidden", [5, 300])
def test_the_same_bits_for_any_number_of_threads(hidden):
    X, y, validation = noisy(3, 2000)
    options = {**BY_ACCURACY, "hidden": hidden, "validation": validation, "patience": 2, "epochs": 6}
    one, two = (fastmlp.train(X, y, batch_size=None, threads=threads, **options) for threads in (1, 2))
    assert np.array_equal(one.theta, two.theta)
    assert np.array_equal(one.history.validation_accuracy, two.history.validation_accuracy)


@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg-marquardt"])
def test_patience_of_a_solver_goes_by_the_accuracy(optimizer):
    X, y, validation = noisy(2)
    options = {**BY_ACCURACY, "optimizer": optimizer, "validation": validation, "schedule": None, "hidden": (8,), "l2": 0.0}
    options |= {"loss": "squared_error"}
    model = fastmlp.train(X, y, patience=4, epochs=100, **options)
    accuracy = model.history.validation_accuracy
    assert (model.history.stopped_by, model.history.epochs) == ("patience", accuracy.argmax() + 5)
    assert model.score(*validation) == accuracy.max()
    member = fastmlp.train_many(X, y, members=2, patience=4, epochs=100, **options)[0]
    assert np.array_equal(member.theta, model.theta) and np.array_equal(member.history.validation_accuracy, accuracy)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_halving_and_the_best_go_by_the_accuracy(batch_size):
    X, y, validation = noisy(3)
    rates = [0.3, 0.1, 0.001, 0.05, 0.003, 0.0001, 0.03, 0.02, 0.0003]
    options = {**BY_ACCURACY, "optimizer": "sgd", "batch_size": batch_size, "validation": validation, "epochs": 18}
    population = fastmlp.train_many(X, y, learning_rate=rates, halving=3, **options)
    history = population.history
    first = (1 - history.validation_accuracy[:, 1]).argsort(kind="stable")[:3]
    assert set(np.flatnonzero(history.epochs > 2)) == set(first)
    third = np.sort(first)
    assert np.flatnonzero(history.epochs > 6).tolist() == [third[history.validation_accuracy[third, 5].argmax()]]
    told = population.table.columns
    last = history.validation_accuracy[np.arange(9), history.epochs - 1]
    assert np.array_equal(told["validation_accuracy"], last.round(15)) and "validation_loss" not in told
    assert population.table.best(1).columns["member"] == [int(last.argmax())]
    assert np.array_equal(population.best()[0].theta, population[int(last.argmax())].theta)


@BATCH_SIZES
def test_a_rate_is_lowered_where_the_accuracy_stands(batch_size):
    X, y, validation = noisy(2)
    options = {**BY_ACCURACY, "batch_size": batch_size, "validation": validation, "optimizer": "sgd", "shuffle": False}
    rates = [0.05, 0.02]
    population = compare(X, y, learning_rate=rates, epochs=30, n_iter_no_change=1, **{**options, "schedule": "plateau"})
    network, rate, least, stale, lowered = None, 0.05, np.inf, 0, 0
    for _ in range(30):
        network = fastmlp.train(X, y, epochs=1, learning_rate=rate, **options, init=network or "glorot")
        error = 1 - network.history.validation_accuracy[0]
        stale = stale + 1 if error >= least else 0
        least = min(least, error)
        if stale > 1:
            stale, rate, lowered = 0, rate / 10 if rate > 1e-6 else rate, lowered + 1
    assert lowered > 2
    np.testing.assert_allclose(population[0].theta, network.theta, rtol=1e-7, atol=1e-9)


def squares(prediction, target):
    return 0.5 * (prediction - target) ** 2, prediction - target


@pytest.mark.parametrize("classes", [2, 3])
def test_networks_of_a_loss_of_a_callers_own_have_an_accuracy_too(classes):
    X, y, validation = noisy(classes)
    options = {**BY_ACCURACY, "validation": validation, "epochs": 3, "output": "sigmoid" if classes == 2 else "softmax"}
    own, ours = (fastmlp.train(X, y, loss=loss, **options) for loss in (squares, "squared_error"))
    assert own.history.validation_accuracy[-1] == own.score(*validation)
    assert np.array_equal(own.history.validation_accuracy, ours.history.validation_accuracy)
    compare(X, y, loss=squares, members=3, **options)


@BATCH_SIZES
def test_averages_are_measured_and_dropout_is_not(batch_size):
    X, y, validation = noisy(3)
    options = {**BY_ACCURACY, "validation": validation, "batch_size": batch_size, "average": 0.9, "dropout": 0.2, "data_seed": 1}
    found = [fastmlp.train(X, y, epochs=epochs, **options) for epochs in (1, 2, 3)]
    assert found[-1].history.validation_accuracy.tolist() == [network.score(*validation) for network in found]
    options["patience"] = 2
    population = compare(X, y, members=3, **{**options, "epochs": 12})
    best = np.nanmax(population.history.validation_accuracy, axis=1)
    assert [member.score(*validation) for member in population] == best.tolist()


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_ctrl_c_leaves_the_accuracies_of_whole_epochs(optimizer):
    X, y, validation = noisy(2)

    def interrupt(epoch, *_):
        if epoch == 3:
            raise KeyboardInterrupt

    options = {**BY_ACCURACY, "schedule": None, "optimizer": optimizer, "validation": validation, "on_epoch": interrupt}
    with pytest.warns(RuntimeWarning, match="interrupted after 4 of"):
        model = fastmlp.train(X, y, epochs=30, **options)
    assert len(model.history.validation_accuracy) == len(model.history.validation_loss) == model.history.epochs == 4
    assert model.history.validation_accuracy[-1] == model.score(*validation)
    with pytest.warns(RuntimeWarning, match="interrupted after 4 of"):
        population = fastmlp.train_many(X, y, members=3, epochs=30, **options)
    assert np.array_equal(population[0].history.validation_accuracy, model.history.validation_accuracy)
    assert not np.isnan(population.history.validation_accuracy).any() and population.history.validation_accuracy.shape == (3, 4)


def test_a_loss_that_is_not_finite_ends_a_training_as_ever():
    X, y, (Xv, yv) = noisy(2)
    options = {**BY_ACCURACY, "activation": "identity", "standardize": False}
    with pytest.raises(fastmlp.DivergedError, match="epoch 0: the loss became"):
        fastmlp.train(X, y, validation=(np.sign(Xv) * 1.7e308, yv), **options)


@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
def test_what_is_monitored_is_checked(train):
    for options, words in (
        ({"monitor": "accuraccy"}, ["monitor must be one of 'accuracy', 'loss'", "did you mean 'accuracy'"]),
        ({"monitor": "accuracy"}, ["monitor='accuracy' needs validation", "(X, y)"]),
        ({"monitor": None}, ["monitor must be one of", "None"]),
    ):
        with one_sentence(words):
            train(*toy(), **options)
    with one_sentence(["monitor='accuracy' needs a classifier"]):
        train(*regression(), monitor="accuracy", validation=0.2)
