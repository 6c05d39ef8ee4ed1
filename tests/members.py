"""What the tests of populations share: data, options of which some members fail, and what has to be the same."""

import numba
import numpy as np
import pytest
from cases import labels_of, problem, toy

import fastmlp

ROWS, EPOCHS, MEMBERS = (9, 2, 3) if numba.config.DISABLE_JIT else (61, 4, 17)
BATCH_SIZES = pytest.mark.parametrize("batch_size", [1, 7, None])
PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def shape_of(network):
    """The options that make such a network."""
    _, *hidden, _ = network.sizes
    return {
        "hidden": tuple(hidden),
        "activation": network.activations,
        "output": network.output,
        "loss": network.loss,
        "bias": network.bias,
    }


def data_of(network, rows=ROWS, dtype=np.float64):
    """X, and y as train_many takes it where all members have the same targets."""
    _, X, targets = problem(network, rows, dtype)
    y, _ = labels_of(network, targets)
    return X, y if y.ndim == 1 else y[:, None]


def own_options(options, i):
    """What train is given for member i."""
    own = {name: value for name, value in options.items() if name != "members"}
    for name in ("learning_rate", "l2", "momentum", "epochs", "seed"):
        if np.ndim(own.get(name)) == 1:
            own[name] = own[name][i]
    for name in ("hidden", "activation", "batch_size"):
        if isinstance(own.get(name), list):
            own[name] = own[name][i]
    if np.ndim(own.get("sample_weight")) == 2:
        own["sample_weight"] = own["sample_weight"][:, i]
    if "rows" in own and "sample_weight" in own:
        own["sample_weight"] = own["sample_weight"][own["rows"][i]]
    if isinstance(own.get("validation"), tuple):
        own["validation"] = own["validation"][0], own_targets(own["validation"][1], i)
    if "members" in options and np.ndim(options["seed"]) == 0:
        own["seed"] = options["seed"] + i
    return own


def own_targets(y, i):
    y = np.asarray(y)
    return y if y.ndim == 1 else y[:, min(i, y.shape[1] - 1)]


def check_member(member, alone, tolerance, slack=0.0):
    for name in ("layer_sizes", "activations", "output", "loss_name", "bias", "dtype"):
        assert getattr(member, name) == getattr(alone, name), name
    assert (member.classes is None) == (alone.classes is None)
    assert member.classes is None or member.classes.tolist() == alone.classes.tolist()
    assert np.abs(member.theta - alone.theta).max() <= tolerance * np.abs(alone.theta).max() + slack
    assert (member.history.epochs, member.history.stopped_by) == (alone.history.epochs, alone.history.stopped_by)
    np.testing.assert_allclose(member.history.loss, alone.history.loss, rtol=tolerance)
    assert (member.history.validation_loss is None) == (alone.history.validation_loss is None)
    if alone.history.validation_loss is not None:
        np.testing.assert_allclose(member.history.validation_loss, alone.history.validation_loss, rtol=tolerance)
    assert (member.history.validation_accuracy is None) == (alone.history.validation_accuracy is None)
    if alone.history.validation_accuracy is not None:
        assert np.array_equal(member.history.validation_accuracy, alone.history.validation_accuracy)


def compare(X, y, **options):
    """Train many, and each of them alone; the same but for rounding.

    float64: 1e-9 of the largest parameter. float32: in each update either of the two rounds every parameter to half an ulp and its
    gradient to a few; in the worst case, all in one direction. Adam divides by the size of a gradient: of one that nearly cancels
    little is left but rounding, and that may be a part of a step.
    """
    options = {"epochs": EPOCHS, "hidden": (5,), "seed": 0, **options}
    population = fastmlp.train_many(X, y, **options)
    for i in range(len(population)):
        own = own_options(options, i)
        mine, targets = X, own_targets(y, i)
        if "rows" in own:
            rows = own.pop("rows")[i]
            mine, targets = X[rows], targets[rows]
        alone = fastmlp.train(mine, targets, **own)
        updates = alone.history.epochs * -(-len(mine) // (own.get("batch_size", 32) or len(mine)))
        if alone.dtype == np.float64:
            check_member(population[i], alone, 1e-9)
        else:
            slack = 0.1 * population.options["learning_rate"][i] if own.get("optimizer", "adam") == "adam" else 0.0
            check_member(population[i], alone, 8 * updates * np.finfo(np.float32).eps, slack)
    return population


def bits(population, i):
    """All that became of member i."""
    history = population.history
    epochs, stopped_by = int(history.epochs[i]), history.stopped_by[i]
    if stopped_by == "diverged":
        return epochs, stopped_by
    measured = history.loss, history.validation_loss, history.validation_accuracy
    losses = [loss[i, :epochs].tobytes() for loss in measured if loss is not None]
    return epochs, stopped_by, population.scores[i], population[i].theta.tobytes(), *losses


def all_bits(population):
    return [bits(population, i) for i in range(len(population))]


def regression(rows=60):
    X, _ = toy(rows)
    return X, np.sin(X[:, 0]) + X[:, 1]


def unruly(members):
    """Options of so many members, some of which diverge, some of which stop early, and some of which go on to the end."""
    rates = np.resize([0.03, 1e30, 1e-3, 0.2, 0.01], members)
    l2 = np.resize([0.0, 0.01], members)
    return {"learning_rate": rates.tolist(), "l2": l2.tolist(), "seed": list(range(members))}


def chosen(options, places):
    return {name: [values[i] for i in places] for name, values in options.items()}


NOISY = regression(31)[0], regression(31)[1] + 4 * np.random.default_rng(0).normal(size=31)

UNRULY = {
    "epochs": 16, "optimizer": "sgd", "hidden": (5,), "activation": "tanh", "target_loss": 0.05, "validation": NOISY, "patience": 5,
}  # fmt: skip


def check_ends(population):
    """Losses of the epochs that a member completed, then NaN."""
    history = population.history
    for losses in (history.loss, history.validation_loss, history.validation_accuracy):
        if losses is None:
            continue
        assert losses.dtype == np.float64
        for row, epochs, stopped_by in zip(losses, history.epochs, history.stopped_by, strict=True):
            assert np.isnan(row[epochs:]).all()
            assert stopped_by == "diverged" or np.isfinite(row[:epochs]).all()
    for i, stopped_by in enumerate(history.stopped_by):
        if stopped_by == "diverged":
            assert not np.isfinite(population.scores[i])
            with pytest.raises(fastmlp.DivergedError, match="diverged"):
                _ = population[i]
        else:
            member = population[i].history
            assert (member.epochs, member.stopped_by) == (history.epochs[i], stopped_by)
            assert np.array_equal(member.loss, history.loss[i, : member.epochs])
