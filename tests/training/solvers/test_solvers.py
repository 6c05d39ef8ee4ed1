"""The solvers: the same numbers as the reference, when they stop, the same bits whoever works on it, and what they reject."""

from functools import partial

import numba
import numpy as np
import pytest
from cases import BINARY, REGRESSOR, SOFTMAX, labels_of, mlp, network_of, one_sentence, problem, toy, without_bias

import fastmlp
from benchmarks import reference_solvers
from fastmlp.kernels import levenberg_marquardt
from fastmlp.kernels.optimizers import SOLVERS
from fastmlp.training.solvers.least_squares import LeastSquares

ROWS, ITERATIONS = (10, 2) if numba.config.DISABLE_JIT else (75, 8)
SHAPES = [("identity", (4,), 2), ("sigmoid", (3, 5), 1), ("softmax", (4,), 3), ("identity", (), 1), ("softplus", (6,), 2)]
LEAST_SQUARES = [network_of("tanh", output, "squared_error", hidden, outputs=outputs) for output, hidden, outputs in SHAPES]
trained = partial(fastmlp.train, task="regression", activation="tanh", hidden=6, seed=0)
X, TOY = toy()
Y = np.sin(X[:, 0]) * X[:, 1] + X[:, 2] ** 2


def compare(network, optimizer, dtype=np.float64, rows=ROWS, iterations=ITERATIONS, tolerance=1e-6, **options):
    theta, x, targets = problem(network, rows, dtype)
    y, classes = labels_of(network, targets)
    options = {"optimizer": optimizer, "l2": 0.0, "epochs": iterations, "tolerance": 1e-30, **options}
    model = fastmlp.train(x, y, init=mlp(network, theta, classes), standardize=False, **options)
    weights = options.get("sample_weight")
    solve = reference_solvers.lbfgs if optimizer == "lbfgs" else reference_solvers.levenberg_marquardt
    arrays = (array.astype(float) for array in (theta, x, targets))
    weights = None if weights is None else weights / weights.mean()
    expected, history = solve(network, *arrays, iterations, l2=options["l2"], weights=weights)
    np.testing.assert_allclose(model.history.loss, history, rtol=tolerance)
    np.testing.assert_allclose(model.theta, expected, rtol=10 * tolerance, atol=10 * tolerance * np.abs(expected).max())
    assert model.history.epochs == iterations and model.history.stopped_by == "epochs"


@pytest.mark.versions
@pytest.mark.kernels
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("network", [BINARY, SOFTMAX, REGRESSOR], ids=["binary", "softmax", "regressor"])
def test_lbfgs_is_that_of_the_reference(network, bias):
    network = network if bias else without_bias(network)
    compare(network, "lbfgs")
    compare(network, "lbfgs", l2=0.05, sample_weight=np.arange(ROWS) % 4.0)


@pytest.mark.versions
@pytest.mark.kernels
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("network", LEAST_SQUARES, ids=lambda network: network.output)
def test_levenberg_marquardt_is_that_of_the_reference(network, bias):
    network = network if bias else without_bias(network)
    iterations = ITERATIONS if network.activations else 2  # after which a linear one is at its best
    compare(network, "levenberg-marquardt", iterations=iterations)
    compare(network, "levenberg-marquardt", iterations=min(4, iterations), l2=0.01, sample_weight=np.arange(ROWS) % 4.0)


@pytest.mark.kernels
def test_lbfgs_in_float32_is_that_of_the_reference_for_a_few_iterations():
    compare(REGRESSOR, "lbfgs", np.float32, iterations=3, tolerance=1e-4)
    compare(BINARY, "lbfgs", np.float32, iterations=3, tolerance=1e-4)


# -- Large and wide ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(16,), (80,), (50, 40)], ids=str)
def test_lbfgs_is_that_of_the_reference_whatever_the_lanes_are(hidden):
    network = network_of("tanh", "identity", "squared_error", hidden, inputs=11, outputs=3)
    compare(network, "lbfgs", rows=300, iterations=12)
    compare(network, "lbfgs", np.float32, rows=300, iterations=3, tolerance=1e-3, l2=0.01)


def test_lbfgs_takes_rows_in_parts_where_they_are_too_many_for_a_call(monkeypatch):
    options = {"optimizer": "lbfgs", "epochs": 8}
    whole = trained(X, Y, **options)
    for name in ("networks.objective.LONGEST_BATCH", "networks.objective.CHUNK_WORK", "networks.objective.GRADIENT_BYTES"):
        monkeypatch.setattr(f"fastmlp.{name}", 1)
    parts = trained(X, Y, **options)
    np.testing.assert_allclose(parts.theta, whole.theta, rtol=1e-6)
    assert len(parts.history.loss) == 8


def test_levenberg_marquardt_takes_tiles_in_turn_and_has_many_parameters():
    network = network_of("tanh", "identity", "squared_error", (23,), outputs=2)  # several blocks of rows, and a rest
    compare(network, "levenberg-marquardt", rows=700, iterations=4)


def test_a_call_ends_after_a_solution_that_takes_long(monkeypatch):
    """Ctrl-C waits for the end of a call: where many parameters meet few rows, equations take all of the time."""
    calls, iterate = [], LeastSquares._iterate

    def counted(solver, last, work, *rest):
        losses = solver.losses_found
        iterate(solver, last, 3 * levenberg_marquardt.UNITS, *rest)
        calls.append(solver.losses_found - losses)

    monkeypatch.setattr(LeastSquares, "_iterate", counted)
    trained(X, Y, optimizer="levenberg-marquardt", hidden=60, epochs=4, l2=0.0)
    assert sum(calls) > 4 and max(calls) == 1


def test_levenberg_marquardt_needs_no_rows_laid_out_beforehand(monkeypatch):
    options = {"optimizer": "levenberg-marquardt", "epochs": 6}
    kept = trained(X, Y, **options)
    monkeypatch.setattr("fastmlp.networks.objective.TILE_BYTES", 1)
    assert trained(X, Y, **options).theta.tobytes() == kept.theta.tobytes()


# -- Who works on it, and when it stops ----------------------------------------------------------------------------------------


@pytest.mark.versions
@pytest.mark.parametrize("optimizer", SOLVERS)
def test_the_same_bits_come_for_any_number_of_threads(optimizer, monkeypatch):
    x = np.random.default_rng(0).normal(size=(20_000, 3))
    y = np.sin(x).sum(axis=1)
    options = {"optimizer": optimizer, "epochs": 6}
    alone = trained(x, y, threads=1, **options)
    monkeypatch.setattr("fastmlp.training.pace.Pace.next", lambda pace, left, most: (max(pace.teams), 7))
    for threads in (2, 3):
        together = trained(x, y, threads=threads, **options)
        assert together.theta.tobytes() == alone.theta.tobytes()
        assert together.history.loss.tobytes() == alone.history.loss.tobytes()


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_an_iteration_never_raises_the_loss_and_the_last_is_that_of_the_network(optimizer):
    model = trained(X, Y, optimizer=optimizer, l2=0.0, standardize=False)
    assert (np.diff(model.history.loss) <= 0).all()
    assert model.history.loss[-1] == pytest.approx(model.loss(X, Y), rel=1e-12)
    assert model.history.loss[-1] < model.history.loss[0] / 2
    assert trained(X, Y, optimizer=optimizer, l2=0.0).history.loss[-1] < 0.005


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_it_stops_where_there_is_nothing_to_gain(optimizer):
    linear = X @ [1.0, 2.0, 3.0]
    model = trained(X, linear, optimizer=optimizer, hidden=(), activation=None, l2=0.0)
    assert model.history.stopped_by == "tolerance" and model.history.epochs < 30
    np.testing.assert_allclose(model.weights[0][:, 0], [1.0, 2.0, 3.0], rtol=1e-6)
    again = trained(X, linear, optimizer=optimizer, init=model, hidden=(), activation=None, l2=0.0, tolerance=1e-5)
    assert again.history.stopped_by == "tolerance" and again.history.epochs == 1


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_it_stops_by_what_it_is_told(optimizer):
    options = {"optimizer": optimizer, "l2": 0.0}
    whole = trained(X, Y, **options)
    some = trained(X, Y, target_loss=float(whole.history.loss[4]), **options)
    assert some.history.stopped_by == "target_loss" and some.history.epochs == 5
    np.testing.assert_array_equal(some.history.loss, whole.history.loss[:5])
    slow = trained(X, Y, tol=0.05, n_iter_no_change=2, **options)
    assert slow.history.stopped_by == "tol" and slow.history.epochs < whole.history.epochs
    told = []
    few = trained(X, Y, on_epoch=lambda *what: told.append(what) or len(told) == 3, **options)
    assert few.history.stopped_by == "on_epoch" and few.history.epochs == 3
    assert [what[1] for what in told] == whole.history.loss[:3].tolist()
    loose = trained(X, Y, tolerance=0.02, **options)
    assert loose.history.stopped_by == "tolerance" and loose.history.epochs < whole.history.epochs


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_rows_that_are_held_out_decide(optimizer):
    noisy = Y + np.random.default_rng(1).normal(size=len(Y))
    model = trained(X, noisy, optimizer=optimizer, l2=0.0, hidden=12, validation=0.3, patience=4)
    history = model.history
    assert history.stopped_by == "patience" and len(history.validation_loss) == history.epochs
    assert history.epochs - 1 - int(np.argmin(history.validation_loss)) == 4
    best = trained(X, noisy, optimizer=optimizer, l2=0.0, hidden=12, validation=0.3, epochs=history.epochs - 4)
    np.testing.assert_array_equal(model.theta, best.theta)


@pytest.mark.parametrize("validation", [None, 0.2])
@pytest.mark.parametrize("optimizer", SOLVERS)
def test_ctrl_c_leaves_the_network_of_the_last_whole_iteration(optimizer, validation, monkeypatch):
    from fastmlp.training.solvers.solver import Solver

    def pressed(solver, *call, advance=Solver._end_epoch):
        if solver.epochs == 3:
            raise KeyboardInterrupt
        advance(solver, *call)

    monkeypatch.setattr("fastmlp.training.pace.Pace.next", lambda *_: (1, 1))
    options = {"optimizer": optimizer, "validation": validation}
    monkeypatch.setattr(Solver, "_end_epoch", pressed)
    with pytest.warns(RuntimeWarning, match="interrupted after"):
        model = trained(X, Y, **options)
    done = 3 if validation is None else 2
    monkeypatch.undo()
    assert model.history.stopped_by == "interrupt" and model.history.epochs == done
    np.testing.assert_array_equal(model.theta, trained(X, Y, epochs=done, **options).theta)


# -- Many ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_members_are_what_train_makes(optimizer):
    options = {"optimizer": optimizer, "task": "regression", "activation": "tanh", "epochs": 12}
    population = fastmlp.train_many(X, Y, members=3, hidden=[4, 5, (3, 4)], l2=[0.0, 0.01, 0.1], seed=7, **options)
    for member, (hidden, l2) in enumerate(zip([4, 5, (3, 4)], [0.0, 0.01, 0.1], strict=True)):
        alone = fastmlp.train(X, Y, hidden=hidden, l2=l2, seed=7 + member, **options)
        assert population[member].theta.tobytes() == alone.theta.tobytes()
        np.testing.assert_array_equal(population[member].history.loss, alone.history.loss)
        assert population[member].history.stopped_by == alone.history.stopped_by


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_the_options_of_a_population_make_it_anew(optimizer):
    options = {"optimizer": optimizer, "task": "regression", "epochs": 3}
    population = fastmlp.train_many(X, Y, members=2, hidden=[3, 4], l2=[0.0, 0.1], seed=7, **options)
    again = fastmlp.train_many(X, Y, **population.options, **options)
    for member, other in zip(population, again, strict=True):
        assert member.theta.tobytes() == other.theta.tobytes()


def test_the_best_of_many_go_on():
    options = {"optimizer": "lbfgs", "task": "regression", "activation": "tanh", "hidden": 5, "epochs": 16}
    population = fastmlp.train_many(X, Y, members=8, halving=2, seed=0, **options)
    assert sorted(population.history.epochs.tolist()) == [2, 2, 2, 2, 4, 4, 8, 16]
    best = int(np.argmax(population.history.epochs))
    assert population[best].theta.tobytes() == fastmlp.train(X, Y, seed=best, **options).theta.tobytes()


# -- What is rejected ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
@pytest.mark.parametrize(
    ("optimizer", "options", "expected"),
    [
        ("lbfgs", {"learning_rate": 0.1}, ["learning_rate", "lbfgs"]),
        ("lbfgs", {"learning_rate": [1.0, 0.1]}, ["learning_rate"]),
        ("lbfgs", {"batch_size": [None, 64]}, ["batch_size"]),
        ("lbfgs", {"momentum": 0.5}, ["momentum", "lbfgs"]),
        ("lbfgs", {"schedule": "cosine"}, ["schedule", "lbfgs"]),
        ("lbfgs", {"warmup": 1.0}, ["warmup", "lbfgs"]),
        ("levenberg-marquardt", {"batch_size": 64}, ["batch_size", "levenberg-marquardt", "64"]),
        ("levenberg-marquardt", {"loss": "huber"}, ["loss", "'squared_error'", "huber", "lbfgs"]),
        ("levenberg-marquardt", {"hidden": (100, 100)}, ["2048", "10601", "lbfgs"]),
        ("levenberg-marquardt", {"dtype": "float32"}, ["dtype", "float64"]),
        ("levenberg-marquardt", {"tolerance": 0.0}, ["tolerance", "0"]),
        ("adam", {"tolerance": 0.1}, ["tolerance", "lbfgs", "adam"]),
        ("sgdd", {"tolerance": 0.1}, ["optimizer", "sgdd"]),
    ],
)
def test_what_means_nothing_to_a_solver_is_rejected(function, optimizer, options, expected):
    with one_sentence(expected):
        function(X, Y, task="regression", optimizer=optimizer, **options)


def test_nothing_is_kept_of_a_solver():
    with pytest.raises(ValueError, match="keep_state must be left out for the optimizer 'lbfgs'"):
        trained(X, Y, optimizer="lbfgs", keep_state=True)


def test_classes_are_learned_by_squared_errors_if_that_is_said():
    with pytest.raises(ValueError, match=r"squared_error.*got 'cross_entropy'"):
        fastmlp.train(X, TOY, optimizer="levenberg-marquardt", hidden=3)
    model = fastmlp.train(X, TOY, optimizer="levenberg-marquardt", loss="squared_error", hidden=3, activation="tanh", seed=0)
    assert model.score(X, TOY) > 0.9


def test_float32_rows_are_computed_in_float64_by_levenberg_marquardt():
    model = trained(X.astype(np.float32), Y, optimizer="levenberg-marquardt", epochs=2)
    assert model.dtype == np.float64
    assert trained(X.astype(np.float32), Y.astype(np.float32), optimizer="lbfgs", epochs=2).dtype == np.float32
