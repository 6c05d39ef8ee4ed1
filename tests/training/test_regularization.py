"""Dropout, l1, clip and average: in one network or many, whatever the lanes are, as the reference has them."""

import numpy as np
import pytest
from cases import BINARY, REGRESSOR, SOFTMAX, network_of, problem
from pairs import in_pairs

import fastmlp
from benchmarks import reference
from fastmlp.networks import objective

WIDE = network_of("tanh", "softmax", "cross_entropy", (90, 83))
NETWORKS = {
    "binary": BINARY,
    "softmax": SOFTMAX,
    "regressor": REGRESSOR,
    "wide": WIDE,
    "none": network_of("tanh", "softmax", "cross_entropy", ()),
}
OPTIONS = {
    "dropout": {"dropout": 0.3},
    "l1": {"l1": 0.02},
    "clip": {"clip": 0.05},
    "average": {"average": 0.8},
    "all": {"dropout": 0.2, "l1": 0.01, "clip": 0.3, "average": 0.5, "l2": 0.02},
}
ROWS, SEED = 41, 2**64 - 5
by_options = pytest.mark.parametrize("options", OPTIONS)
by_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def given(network, dtype, rows=ROWS):
    """The network with its first weights, X, and y as a caller gives it, beside targets as the reference takes them."""
    theta, X, targets = problem(network, rows, dtype)
    theta *= dtype(2 / max((2, *network.sizes[1:-1]))) ** dtype(0.5)  # sums over wide layers are not to be large
    y = targets
    if network.output != "identity":
        y = targets.argmax(axis=1) if network.output == "softmax" else targets[:, 0].astype(int)
    classes = None if network.output == "identity" else np.arange(max(2, network.sizes[-1]))
    start = fastmlp.MLP(
        network.sizes, theta, activations=network.activations, output=network.output, loss_name=network.loss, classes=classes
    )
    return start, X, y, targets


def by_reference(network, start, X, targets, *, epochs, **options):
    """What the reference makes of it, in float64."""
    options = {"optimizer": "momentum", "learning_rate": 0.003, **options}
    options["mu"] = options.pop("momentum", 0.9)
    if share := options.pop("dropout", 0.0):
        options["dropout"] = share if isinstance(share, tuple) else (share,) * (len(network.sizes) - 2)
    orders = [np.arange(len(X))] * epochs
    theta, X, targets = (array.astype(float) for array in (start.theta, X, targets))
    return reference.train(network, theta, X, targets, row_orders=orders, seed=SEED, **options)


def trained(start, X, y, **options):
    fixed = {"standardize": False, "shuffle": False, "seed": SEED, "init": start}
    return fastmlp.train(X, y, **{"optimizer": "momentum", "learning_rate": 0.003, **fixed, **options})


def many(start, X, y, **options):
    fixed = {"standardize": False, "shuffle": False, "seed": [SEED, 1, SEED], "init": start}
    targets = y[:, None] if y.ndim == 2 else y
    return fastmlp.train_many(X, targets, **{"optimizer": "momentum", "learning_rate": 0.003, **fixed, **options})


def same(theta, history, expected, losses, dtype):
    tolerance = 2e-4 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(history, losses, rtol=tolerance)
    np.testing.assert_allclose(theta, expected, rtol=tolerance, atol=tolerance)


@in_pairs(network=NETWORKS, options=OPTIONS, batch_size=[1, 7, None], dtype=[np.float32, np.float64])
def test_a_training_is_that_of_the_reference(network, options, batch_size, dtype):
    network, options = NETWORKS[network], {"batch_size": batch_size, "epochs": 3, **OPTIONS[options]}
    start, X, y, targets = given(network, dtype)
    expected = by_reference(network, start, X, targets, **options)
    one = trained(start, X, y, **options)
    same(one.theta, one.history.loss, *expected, dtype)
    members = many(start, X, y, **options)
    same(members[0].theta, members.history.loss[0], *expected, dtype)
    assert np.array_equal(members[0].theta, members[2].theta)
    if "dropout" in options and len(network.sizes) > 2:
        assert not np.array_equal(members[0].theta, members[1].theta)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "rmsprop", "adam", "adamw", "nadam"])
def test_with_every_optimizer(optimizer):
    start, X, y, targets = given(BINARY, np.float64)
    options = {**OPTIONS["all"], "optimizer": optimizer, "batch_size": 5, "epochs": 3}
    expected = by_reference(BINARY, start, X, targets, **options)
    one, members = trained(start, X, y, **options), many(start, X, y, **options)
    same(one.theta, one.history.loss, *expected, np.float64)
    same(members[0].theta, members.history.loss[0], *expected, np.float64)


@by_dtype
def test_layers_have_shares_of_their_own(dtype):
    start, X, y, targets = given(SOFTMAX, dtype)
    for shares in [(0.5, 0.0), (0.0, 0.5), [0.1, 0.7]]:
        expected = by_reference(SOFTMAX, start, X, targets, dropout=tuple(shares), batch_size=9, epochs=3)
        one, members = (train(start, X, y, dropout=tuple(shares), batch_size=9, epochs=3) for train in (trained, many))
        same(one.theta, one.history.loss, *expected, dtype)
        same(members[0].theta, members.history.loss[0], *expected, dtype)


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("hidden", [(30, 20), (160, 90)])
def test_bits_are_the_same_for_any_number_of_threads(hidden, in_kernel, monkeypatch):
    network = network_of("relu", "softmax", "cross_entropy", hidden, inputs=20)
    start, X, y, _ = given(network, np.float32, 1000)
    if not in_kernel:  # Python goes from batch to batch
        monkeypatch.setattr(objective, "LONGEST_BATCH", 1)
    for batch_size in (64, 500):
        options = {**OPTIONS["all"], "batch_size": batch_size, "epochs": 3, "shuffle": True}
        one, *others = (trained(start, X, y, threads=threads, **options) for threads in (1, 2, 3))
        for other in others:
            assert np.array_equal(one.theta, other.theta) and np.array_equal(one.history.loss, other.history.loss)


def test_rows_lose_the_same_units_in_whatever_order_they_come():
    start, X, y, _ = given(SOFTMAX, np.float64)
    losses = [
        trained(start, X, y, dropout=0.4, epochs=1, batch_size=ROWS, shuffle=shuffle, seed=3).history.loss
        for shuffle in (False, True)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-12)
    other = trained(start, X, y, dropout=0.4, epochs=2, batch_size=None, optimizer="sgd", learning_rate=1e-12, seed=3).history.loss
    assert abs(other[1] / other[0] - 1) > 1e-3  # another epoch, other units


def test_validation_measures_the_average_and_drops_nothing():
    start, X, y, _ = given(BINARY, np.float64)
    options = {**OPTIONS["all"], "validation": (X, y), "epochs": 6, "batch_size": 5}
    one, members = trained(start, X, y, **options), many(start, X, y, **options)
    assert one.history.validation_loss[-1] == pytest.approx(one.loss(X, y), rel=1e-12)
    assert members.history.validation_loss[0, -1] == pytest.approx(one.loss(X, y), rel=1e-10)
    best = trained(start, X, y, **{**options, "patience": 50, "learning_rate": 0.5, "epochs": 30})
    assert best.loss(X, y) == pytest.approx(best.history.validation_loss.min(), rel=1e-12)
    bests = many(start, X, y, **{**options, "patience": 50, "learning_rate": 0.5, "epochs": 30})
    assert bests[0].loss(X, y) == pytest.approx(bests.history.validation_loss[0].min(), rel=1e-10)


@by_options
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_training_goes_on_as_if_it_had_never_stopped(batch_size, options, tmp_path):
    _, X, y, _ = given(BINARY, np.float32)
    options = {
        **OPTIONS[options],
        "hidden": 6,
        "batch_size": batch_size,
        "schedule": "constant",
        "seed": 3,
        "optimizer": "momentum",
    }
    whole = fastmlp.train(X, y, epochs=6, **options)
    half = fastmlp.train(X, y, epochs=3, keep_state=True, **options)
    half.save(tmp_path / "half.npz")
    for start in (half, fastmlp.load(tmp_path / "half.npz")):
        assert np.array_equal(fastmlp.train(X, y, epochs=3, init=start, **options).theta, whole.theta)


def test_a_state_without_an_average_is_of_no_use_to_one():
    _, X, y, _ = given(BINARY, np.float32)
    options = {"hidden": 6, "schedule": "constant", "epochs": 2, "learning_rate": 0.01}
    half = fastmlp.train(X, y, keep_state=True, seed=1, **options)
    on, anew = fastmlp.train(X, y, init=half, average=0.9, seed=1, **options), half
    anew = fastmlp.MLP(
        half.layer_sizes,
        half.theta,
        activations=half.activations,
        output=half.output,
        classes=half.classes,
        loss_name=half.loss_name,
    )
    assert np.array_equal(on.theta, fastmlp.train(X, y, init=anew, average=0.9, seed=1, **options).theta)


def test_a_training_that_is_ended_is_left_with_its_average():
    start, X, y, _ = given(BINARY, np.float64)
    options = {"average": 0.9, "batch_size": 5}
    for train in (trained, many):
        whole = train(start, X, y, epochs=2, schedule="constant", **options)
        ended = train(start, X, y, epochs=9, schedule="constant", on_epoch=lambda epoch, *_: epoch == 1, **options)
        theta, cut = (model.theta if train is trained else model[0].theta for model in (whole, ended))
        assert np.array_equal(theta, cut)
    none = fastmlp.train_many(X, y, init=start, standardize=False, average=0.9, epochs=4, halving=2, members=4, seed=0)
    assert np.isfinite(none.scores).all()


def test_penalties_count_for_tol():
    _, X, y, _ = given(BINARY, np.float64)
    options = {"hidden": 4, "optimizer": "sgd", "batch_size": 8, "learning_rate": 0.05, "epochs": 300, "tol": 1e-3, "seed": 0}
    for own in ({"l1": 0.05}, {"l1": 0.05, "l2": 0.01}):
        one, members = fastmlp.train(X, y, **options, **own), fastmlp.train_many(X, y, members=2, **options, **own)
        assert one.history.epochs == members.history.epochs[0] != fastmlp.train(X, y, **options).history.epochs


@pytest.mark.parametrize("share", [1 - 1e-15, 1e-15])
def test_the_largest_and_the_smallest_share_are_shares(share):
    _, X, y, _ = given(BINARY, np.float32)
    model = fastmlp.train(X, y, hidden=4, dropout=share, epochs=2, seed=0)
    assert np.isfinite(model.history.loss).all()


def test_a_table_tells_what_is_not_clipped():
    _, X, y, _ = given(BINARY, np.float64)
    members = fastmlp.train_many(X, y, hidden=3, clip=[None, 1.5], batch_size=[None, 8], epochs=1, seed=0)
    header, first, second = members.table.csv().splitlines()
    values = dict(zip(header.split(","), first.split(","), strict=True))
    assert (values["clip"], values["batch_size"]) == ("none", "all") and ",1.5," in second


def test_l1_makes_weights_small_that_are_of_no_use():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 8))
    model = fastmlp.train(X, X[:, 0], hidden=8, l1=0.02, l2=0, epochs=100, seed=0)
    used, *others = np.abs(model.weights[0]).sum(axis=1)
    assert used > 20 * max(others)


WRONG = [
    ({"dropout": 1.0}, "dropout must be from 0 to below 1; got 1.0"),
    ({"dropout": -0.1}, "dropout must be a number of at least 0; got -0.1"),
    ({"dropout": "half"}, "dropout must be a number of at least 0; got 'half'"),
    ({"dropout": (0.1, 0.2, 0.3)}, "dropout must be one number, or one for each of 1 hidden layers; got 3"),
    ({"l1": -1}, "l1 must be a number of at least 0; got -1"),
    ({"clip": 0}, "clip must be a positive number; got 0"),
    ({"average": 1}, "average must be from 0 to below 1; got 1"),
    ({"average": None}, "average must be a number of at least 0; got None"),
    ({"dropout": 0.2, "optimizer": "lbfgs"}, "dropout must be left out for the optimizer 'lbfgs'"),
    ({"clip": 1, "optimizer": "levenberg-marquardt"}, "clip must be left out for the optimizer 'levenberg-marquardt'"),
    ({"average": 0.9, "optimizer": "lbfgs"}, "average must be left out"),
    ({"l1": 0.1, "optimizer": "lbfgs"}, "l1 must be left out"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG)
@pytest.mark.parametrize("train", [fastmlp.train, fastmlp.train_many])
def test_what_makes_no_sense_is_told(train, options, message):
    X, y = np.zeros((9, 2)), np.arange(9) / 2
    members = {} if train is fastmlp.train else {"members": 2}
    with pytest.raises(ValueError) as caught:
        train(X, y, hidden=4, **members, **options)
    assert message in str(caught.value)


SWEPT = {
    "dropout": [0.0, 0.3, 0.3, (0.1,)],
    "l1": [0.0, 0.01, 0.01, 0.02],
    "clip": [None, 0.1, 0.1, 1.0],
    "average": [0.0, 0.9, 0.9, 0.5],
}


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("names", [("dropout",), ("l1",), ("clip",), ("average",), tuple(SWEPT)])
def test_members_may_have_their_own(names, batch_size, tmp_path):
    _, X, y, _ = given(BINARY, np.float64)
    options = {"hidden": 6, "epochs": 3, "batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.01}
    own = {name: SWEPT[name] for name in names}
    members = fastmlp.train_many(X, y, members=4, seed=2, **own, **options)
    members.save(tmp_path / "members.npz")
    for population in (members, fastmlp.load(tmp_path / "members.npz"), members[[0, 1, 2, 3]]):
        for name in names:
            assert population.options[name] == own[name] == population.table.columns[name]
        for place, member in enumerate(population):
            alone = fastmlp.train(X, y, seed=2 + place, **{name: values[place] for name, values in own.items()}, **options)
            np.testing.assert_allclose(member.theta, alone.theta, rtol=1e-9, atol=1e-12)
            assert {name: member.made_with["options"][name] for name in names} == {
                name: list(value) if isinstance(value := values[place], tuple) else value for name, values in own.items()
            }
    assert names[0] in repr(members.table)


def test_a_grid_of_them_is_a_population():
    _, X, y, _ = given(BINARY, np.float64)
    members = fastmlp.train_many(X, y, **fastmlp.grid(dropout=[0.0, 0.2], l1=[0.0, 0.1]), hidden=3, epochs=2, seed=0)
    assert members.options["dropout"] == [0.0, 0.0, 0.2, 0.2] and members.options["l1"] == [0.0, 0.1] * 2
    with pytest.raises(ValueError, match="the layers of one network are a tuple"):
        fastmlp.train_many(X, y, members=3, hidden=(4, 4), dropout=[0.1, 0.2])


def test_shares_may_be_an_array():
    _, X, y, _ = given(BINARY, np.float64)
    options = {"hidden": (3, 4), "epochs": 2, "seed": 0}
    one, other = (fastmlp.train(X, y, dropout=shares, **options) for shares in (np.array([0.1, 0.2]), (0.1, 0.2)))
    assert np.array_equal(one.theta, other.theta)
    assert fastmlp.train_many(X, y, dropout=np.array([0.1, 0.2]), **options).options["dropout"] == [0.1, 0.2]
