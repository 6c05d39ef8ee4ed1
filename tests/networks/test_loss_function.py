"""A network whose loss is a function keeps it, wherever it goes but to a file; and says what is missing when it comes from one."""

import copy
import pickle

import numba
import numpy as np
import pytest
from cases import one_sentence

import fastmlp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X.sum(axis=1)


def half_square(prediction, target):
    """What squared_error is."""
    e = prediction - target
    return e * e / 2, e


def squared_error(prediction, target):
    """Another one, with a name of ours."""
    return 3 * (prediction - target), 3.0


def model_of(loss=half_square):
    rng = np.random.default_rng(1)
    return fastmlp.MLP.from_weights([rng.normal(size=(3, 4)), rng.normal(size=(4, 1))], loss=loss)


def from_file(model, folder):
    model.save(folder / "model.npz")
    return fastmlp.load(folder / "model.npz")


def test_loss_gradient_objective_and_steps_are_those_of_the_function():
    own, ours = model_of(), model_of("squared_error")
    assert (own.loss_name, own.loss_function, ours.loss_function) == ("half_square", half_square, None)
    np.testing.assert_allclose(own.loss(X, Y), ours.loss(X, Y), rtol=1e-14)
    np.testing.assert_allclose(own.gradient(X, Y), ours.gradient(X, Y), rtol=1e-12)
    weights = RNG.random(40)
    for one, other in zip(*(fastmlp.Objective(m, X, Y, weights).value_and_gradient() for m in (own, ours)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    learner = own.jit(update=True)
    for x, y in zip(X, Y, strict=True):
        loss = own.update(x, y, 0.01)
        assert loss == pytest.approx(ours.update(x, y, 0.01), rel=1e-12)
        assert learner.update(x, y, 0.01) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(own.theta, ours.theta, rtol=1e-10)
    np.testing.assert_allclose(learner.theta, ours.theta, rtol=1e-10)


def test_compiled_code_goes_on_with_it_when_the_network_is_gone():
    update = model_of(lambda prediction, target: (prediction, 1.0)).jit(update=True).update

    @numba.njit
    def learn(X, Y):
        return sum([update(X[i], Y[i], 1e-3) for i in range(len(X))])

    assert np.isfinite(learn(X, Y))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("loss", [half_square, numba.njit(half_square), lambda prediction, target: (prediction, 1.0)])
def test_copies_and_pickles_have_it(loss, copied):
    model = model_of(loss)
    other = copied(model)
    assert other.loss_name == model.loss_name == loss.__name__
    assert other.loss(X, Y) == model.loss(X, Y)
    assert str(other) == str(model)


@pytest.mark.parametrize("loss", [half_square, squared_error])
def test_a_file_leaves_it_out(loss, tmp_path):
    model = from_file(model_of(loss), tmp_path)
    assert (model.loss_name, model.loss_function) == (loss.__name__, None)
    assert np.array_equal(model.predict(X), model_of(loss).predict(X))
    assert model.evaluate(X, Y) is not None
    again = from_file(copy.deepcopy(pickle.loads(pickle.dumps(model))), tmp_path)
    for one in (model, again):
        for ask in (
            lambda one=one: one.loss(X, Y),
            lambda one=one: one.gradient(X, Y),
            lambda one=one: one.update(X[0], Y[0], 0.1),
            lambda one=one: one.jit(update=True),
            lambda one=one: fastmlp.Objective(one, X, Y),
            lambda one=one: fastmlp.train(X, Y, init=one),
            lambda one=one: fastmlp.train_many(X, Y, init=[one, one]),
        ):
            advice = "set loss_function of the model to it"
            with one_sentence([f"is the function '{loss.__name__}', which is not in its file", advice]):
                ask()


def test_it_can_be_given_to_a_network_from_a_file(tmp_path):
    model = from_file(model_of(), tmp_path)
    with one_sentence(["loss_function must be the function 'half_square'; got <function squared_error"]):
        model.loss_function = squared_error
    with one_sentence(["loss_function must be the function 'half_square'; got 'squared_error'"]):
        model.loss_function = "squared_error"
    model.loss_function = half_square
    assert model.loss(X, Y) == model_of().loss(X, Y)
    for known in (model, model_of("squared_error")):
        with pytest.raises(AttributeError, match="loss_function can be set only where a file has left it out"):
            known.loss_function = half_square


def test_a_training_goes_on_with_it_or_with_what_it_is_given(tmp_path):
    options = {"epochs": 2, "keep_state": True}
    first = fastmlp.train(X, Y, hidden=3, loss=half_square, seed=0, **options)
    on = fastmlp.train(X, Y, init=first, **options)
    again = fastmlp.train(X, Y, init=from_file(first, tmp_path), loss=half_square, **options)
    assert on.loss_function is half_square and np.array_equal(on.theta, again.theta)
    assert fastmlp.train(X, Y, init=first, loss="huber", **options).loss_function is None


def test_a_population_and_its_file_have_it_and_have_not(tmp_path):
    population = fastmlp.train_many(X, Y, members=2, hidden=3, loss=half_square, epochs=2, seed=0)
    assert [member.loss_function for member in population] == [half_square] * 2
    assert [member.loss_function for member in pickle.loads(pickle.dumps(population))] != [None, None]
    population.save(tmp_path / "population.npz")
    loaded = fastmlp.load(tmp_path / "population.npz")
    assert [(member.loss_name, member.loss_function) for member in loaded] == [("half_square", None)] * 2
    assert np.array_equal(loaded.predict(X), population.predict(X))
    with one_sentence(["is the function 'half_square', which is not in its file"]):
        fastmlp.train_many(X, Y, init=loaded, epochs=1)
    assert fastmlp.train_many(X, Y, init=loaded, loss=half_square, epochs=1)[0].loss_function is half_square


def test_it_can_be_given_to_a_population_from_a_file(tmp_path):
    def other(prediction, target):
        return prediction - target, 1.0

    networks = [model_of(), model_of(other), model_of()]
    population = fastmlp.train_many(X, Y, init=networks, epochs=1, learning_rate=1e-6)
    assert population.loss_function is None and population[[0, 2]].loss_function is half_square
    loaded = from_file(population, tmp_path)
    with one_sentence(["loss_function must be the function 'half_square'; got <function squared_error"]):
        loaded.loss_function = squared_error
    loaded.loss_function = half_square
    loaded.loss_function = other
    assert [member.loss_function for member in loaded] == [half_square, other, half_square]
    assert [member.loss(X, Y) for member in loaded] == [member.loss(X, Y) for member in population]
    assert len(fastmlp.train_many(X, Y, init=loaded, epochs=1)) == 3
    with pytest.raises(AttributeError, match="loss_function can be set only where a file has left it out"):
        loaded.loss_function = half_square


def test_networks_of_different_functions_of_one_name_go_on_side_by_side():
    def of(factor):
        def scaled(prediction, target):
            return factor * (prediction - target) ** 2, 2 * factor * (prediction - target)

        return scaled

    networks = [model_of(of(1.0)), model_of(of(5.0))]
    options = {"epochs": 2, "optimizer": "sgd", "learning_rate": 1e-3, "seed": 0}
    for member, network in zip(fastmlp.train_many(X, Y, init=networks, **options), networks, strict=True):
        alone = fastmlp.train(X, Y, init=network, **options)
        np.testing.assert_allclose(member.theta, alone.theta, rtol=1e-9)
        assert member.loss_function is network.loss_function


def test_folds_and_classifiers_of_images_take_it():
    result = fastmlp.cross_validate(X, Y, cv=2, hidden=3, loss=half_square, epochs=2, seed=0)
    assert np.isfinite(result.predictions).all()
    classifier = fastmlp.train_folder("data", hidden=3, epochs=2, seed=0, loss=half_square)
    assert classifier.get_params()["loss"] is half_square
    assert classifier.networks[0].loss_function is half_square
