"""Networks on their way through the epochs: who is told of each, who ends them, and what Ctrl-C leaves."""

import _thread
import itertools
import signal
import threading
import time
import warnings
from functools import partial

import numpy as np
import pytest
from cases import toy
from members import BATCH_SIZES, check_ends, regression

import fastmlp
from fastmlp.networks import objective
from fastmlp.training import descent, lanes, many, pace, population_training
from fastmlp.training.epochs import Training

# -- One network ---------------------------------------------------------------------------------------------------------------


def test_on_epoch_is_told_every_epoch_and_stops_when_it_returns_true():
    X, y = toy()
    told = []
    model = fastmlp.train(X, y, epochs=50, seed=0, schedule="constant", on_epoch=lambda *news: told.append(news) or len(told) == 4)
    assert (model.history.epochs, model.history.stopped_by) == (4, "on_epoch")
    assert [epoch for epoch, _, _ in told] == [0, 1, 2, 3]
    assert [loss for _, loss, _ in told] == model.history.loss.tolist()
    assert [validation for _, _, validation in told] == [None] * 4
    assert np.array_equal(model.theta, fastmlp.train(X, y, epochs=4, seed=0, schedule="constant").theta)


@pytest.mark.parametrize("yes", [True, np.True_])
def test_any_kind_of_true_stops(yes):
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: yes).history.epochs == 1
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: not yes).history.epochs == 5
    assert fastmlp.train(*toy(), epochs=5, on_epoch=lambda *_: None).history.epochs == 5


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
def test_an_error_in_on_epoch_is_the_callers(train):
    def fail(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(*toy(), epochs=5, on_epoch=fail)


@pytest.mark.parametrize("train", [fastmlp.train, partial(fastmlp.train_many, members=2)], ids=["train", "train_many"])
def test_progress_writes_one_line_to_stderr(train, capsys):
    train(*toy(), epochs=3)
    assert capsys.readouterr() == ("", "")
    train(*toy(), epochs=3, progress=True)
    out, err = capsys.readouterr()
    assert not out and "3" in err and err.count("\n") == 1


def test_ctrl_c_in_on_epoch_gives_the_network_so_far():
    X, y = toy()

    def interrupt(*_):
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        calls.append(None)

    calls = []
    with pytest.warns(RuntimeWarning, match="interrupted") as warned:
        model = fastmlp.train(X, y, epochs=1000, seed=0, schedule="constant", on_epoch=interrupt)
    assert warned[0].filename == __file__  # it points to the call
    assert model.history.stopped_by == "interrupt"
    assert model.history.epochs == len(model.history.loss) == 3
    assert np.array_equal(model.theta, fastmlp.train(X, y, epochs=3, seed=0, schedule="constant").theta)


@pytest.mark.parametrize("batch_size", [1, None])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_the_kernels_gives_the_network_so_far(batch_size, threads):
    X, y = toy(rows=30_000)
    options = {"batch_size": batch_size, "seed": 0, "threads": threads, "schedule": "constant"}
    fastmlp.train(X, y, epochs=1, **options)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    deadline = time.monotonic() + 20
    with pytest.warns(RuntimeWarning, match="interrupted"):
        model = fastmlp.train(X, y, epochs=10**6, on_epoch=lambda *_: time.monotonic() > deadline, **options)
    timer.join()
    assert model.history.stopped_by == "interrupt"
    assert 0 < model.history.epochs == len(model.history.loss) < 10**6
    assert np.isfinite(model.theta).all()
    again = fastmlp.train(X, y, epochs=model.history.epochs, **options)
    assert np.array_equal(model.history.loss, again.history.loss)
    assert np.array_equal(model.theta, again.theta)


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("options", [{"batch_size": 1, "optimizer": "sgd"}, {"batch_size": 16}, {"batch_size": None}], ids=str)
@pytest.mark.parametrize(
    "where",
    [
        (descent.Descent, "_advance"),
        (descent.Descent, "_validate"),
        (objective.ChunkedLoss, "sum_loss"),
        (descent.batch, "end_batch"),
    ],
    ids=lambda where: where[1],
)
def test_after_ctrl_c_weights_history_and_message_are_of_the_same_epoch(where, options, validation, monkeypatch):
    """Wherever it comes: after a kernel call, within an epoch or at its end; before an epoch is measured; before a step counts."""
    X, y = toy(rows=100)
    options = {"seed": 0, "validation": validation, "schedule": "constant", **options}
    if where[1] in ("sum_loss", "end_batch"):  # of batches so large that Python goes from one to the next
        monkeypatch.setattr(objective, "LONGEST_BATCH", 0)
    whole = {epochs: fastmlp.train(X, y, epochs=epochs, **options) for epochs in range(1, 5)}
    monkeypatch.setattr(descent.Pace, "next", lambda *_: (1, 3))
    function, kept = getattr(*where), []
    for calls in range(15):
        left = iter(range(calls))

        def interrupted(*args, left=left, **how):
            result = function(*args, **how)
            if next(left, None) is None:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(*where, interrupted)
        with warnings.catch_warnings(record=True, action="always") as caught:
            model = fastmlp.train(X, y, epochs=4, **options)
        epochs = model.history.epochs
        if model.history.stopped_by == "interrupt":
            assert f"after {epochs} of 4 epochs" in str(caught[0].message)
        kept.append(epochs)
        if epochs == 0:
            continue
        assert np.array_equal(model.theta, whole[epochs].theta)
        assert np.array_equal(model.history.loss, whole[epochs].history.loss)
        assert validation is None or np.array_equal(model.history.validation_loss, whole[epochs].history.validation_loss)
    assert kept == sorted(kept) and (kept[0] < kept[-1] or options["batch_size"] == 1)


# -- Many networks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [None, 0.3])
def test_on_epoch_is_told_of_all_members_once_an_epoch(validation):
    X, y = regression()
    told = []
    options = {"hidden": [(5,), (3,)] * 10, "batch_size": [1, 7, None, 7] * 5, "target_loss": 0.08, "epochs": 40}
    options |= {"optimizer": "sgd", "learning_rate": np.resize([0.1, 0.02, 0.05], 20), "validation": validation, "seed": range(20)}
    population = fastmlp.train_many(X, y, on_epoch=lambda *news: told.append(news), **options)
    assert [epoch for epoch, _, _ in told] == list(range(40))
    assert {"target_loss", "epochs"} <= set(population.history.stopped_by)
    for place, losses in ((1, population.history.loss), (2, population.history.validation_loss)):
        if losses is None:
            assert all(news[place] is None for news in told)
        else:
            assert np.array_equal(np.array([news[place] for news in told]).T, losses, equal_nan=True)


@pytest.mark.parametrize("yes", [True, np.True_])
def test_on_epoch_stops_all_that_have_not_ended(yes):
    X, y = regression()
    options = {"learning_rate": [1e-4, 0.1, 1e9, 2e-4], "optimizer": "sgd", "seed": 0, "batch_size": 1, "target_loss": 0.2}
    population = fastmlp.train_many(X, y, epochs=200, on_epoch=lambda epoch, *_: yes if epoch == 4 else None, **options)
    shorter = fastmlp.train_many(X, y, epochs=5, **options)
    assert population.history.stopped_by == [w if w != "epochs" else "on_epoch" for w in shorter.history.stopped_by]
    assert {"on_epoch", "target_loss", "diverged"} == set(population.history.stopped_by)
    for i in (0, 1, 3):
        assert np.array_equal(population[i].theta, shorter[i].theta)
    check_ends(population)


def test_on_epoch_is_told_of_an_epoch_no_more_when_all_have_ended():
    told = []
    options = {"members": 3, "epochs": 500, "target_loss": 0.05, "seed": 0}
    population = fastmlp.train_many(*regression(), on_epoch=lambda *news: told.append(news), **options)
    assert set(population.history.stopped_by) == {"target_loss"}
    assert len(told) == population.history.epochs.max()


@BATCH_SIZES
def test_ctrl_c_in_on_epoch_gives_the_population_so_far(batch_size):
    def interrupt(epoch, *_):
        if epoch == 4:
            raise KeyboardInterrupt

    X, y = regression()
    options = {"learning_rate": [1e-4, 0.1, 1e9, 2e-4], "optimizer": "sgd", "seed": 0, "batch_size": batch_size, "target_loss": 0.2}
    with pytest.warns(RuntimeWarning, match="interrupted") as warned:
        population = fastmlp.train_many(X, y, epochs=200, on_epoch=interrupt, **options)
    assert warned[0].filename == __file__  # it points to the call
    shorter = fastmlp.train_many(X, y, epochs=5, **options)
    assert population.history.stopped_by == [w if w != "epochs" else "interrupt" for w in shorter.history.stopped_by]
    assert "interrupt" in population.history.stopped_by
    for i, stopped_by in enumerate(shorter.history.stopped_by):
        if stopped_by != "diverged":
            assert population.history.epochs[i] == shorter.history.epochs[i]
            assert np.array_equal(population[i].theta, shorter[i].theta)
    check_ends(population)


@BATCH_SIZES
def test_ctrl_c_in_a_training_that_on_epoch_begins_ends_that_one_alone(batch_size, monkeypatch):
    X, y = toy(300)
    options = {"members": 3, "epochs": 4, "seed": 0, "batch_size": batch_size}
    advance = Training._advance

    def pressed(*how):
        signal.raise_signal(signal.SIGINT)
        advance(*how)

    def train_another(*_):
        with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="interrupted"):
            patch.setattr(Training, "_advance", pressed)
            fastmlp.train(X, y, epochs=2, seed=0)

    population = fastmlp.train_many(X, y, on_epoch=train_another, **options)
    assert population.history.stopped_by == ["epochs"] * 3
    assert np.array_equal(population.history.loss, fastmlp.train_many(X, y, **options).history.loss)


@BATCH_SIZES
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_the_kernels_gives_the_population_so_far(batch_size, threads):
    X, y = toy(20_000)
    options = {"members": 64, "seed": 0, "batch_size": batch_size, "threads": threads}
    fastmlp.train_many(X[:100], y[:100], epochs=1, **options)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        population = fastmlp.train_many(X, y, epochs=5000, **options)  # a minute's work, and more
    timer.join()
    assert "interrupt" in population.history.stopped_by
    check_ends(population)


@pytest.mark.parametrize("batch_size", [16, 256])
def test_members_that_have_not_begun_are_as_they_began(batch_size, monkeypatch):
    X, y = toy(400)
    options = {"members": 6, "seed": 0, "batch_size": batch_size, "hidden": 4, "init": "he"}
    whole, still = (fastmlp.train_many(X, y, epochs=2, learning_rate=rate, **options) for rate in (None, 1e-300))
    monkeypatch.setattr(population_training, "WAVE_MEMBERS", 2)
    monkeypatch.setattr(population_training, "WAVE_BYTES", 1)
    to_last_epoch = Training._to_last_epoch

    def interrupted(self, threads):
        if self.begun > 2:
            raise KeyboardInterrupt
        to_last_epoch(self, threads)

    monkeypatch.setattr(Training, "_to_last_epoch", interrupted)
    for train, made in (fastmlp.train_many, True), (many.train_begun, False):
        with pytest.warns(RuntimeWarning, match="training of 4 of 6 networks was interrupted after 0 of 2 epochs") as caught:
            population = train(X, y, epochs=2, **options)
        assert not made or caught[0].filename == __file__
        check_ends(population)
        assert population.history.epochs.tolist() == [2, 2, 0, 0, 0, 0]
        assert population.history.stopped_by == ["epochs"] * 2 + ["interrupt"] * 4
        for member in range(2):
            assert np.array_equal(population[member].theta, whole[member].theta)
        for member in range(2, 6) if made else ():
            np.testing.assert_allclose(population[member].theta, still[member].theta, rtol=0, atol=1e-200)


@pytest.mark.parametrize("options", [{}, {"validation": 0.25}, {"validation": 0.25, "patience": 1}], ids=str)
@pytest.mark.parametrize(
    ("batch_size", "where"),
    [
        (1, (lanes.many_online, "train_lanes_by_samples")),
        (16, (lanes.many_batches, "train_lanes_by_batches")),
        (256, (descent.Descent, "_advance")),
    ],
    ids=["1", "16", "256"],
)
def test_after_ctrl_c_each_member_is_what_its_history_says(batch_size, where, options, monkeypatch):
    """Right after a kernel call, within an epoch or at the end of some, before anything of it is noted."""
    X, y = toy(400)
    options = {"members": 3, "seed": 0, "batch_size": batch_size, "optimizer": "sgd", "learning_rate": 0.3, **options}
    whole = {epochs: fastmlp.train_many(X, y, epochs=epochs, **options) for epochs in range(1, 7)}
    function, seen = getattr(*where), set()
    monkeypatch.setattr(pace, "WORTH_A_TRIAL", 0)
    for room in (lanes, pace):
        monkeypatch.setattr(room, "CALL_SECONDS", 0)  # a batch each, but for the first call, which may have several epochs
    for first, calls in itertools.product((1, 10**6), (1, 2, 3, 7, 60, 130)):
        for room in (lanes, pace):
            monkeypatch.setattr(room, "FIRST_CALL", first)
        left = iter(range(calls))

        def interrupted(*args, left=left):
            result = function(*args)
            if next(left, None) is None:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(*where, interrupted)
        with warnings.catch_warnings(record=True, action="always") as caught:
            population = fastmlp.train_many(X, y, epochs=6, **options)
        check_ends(population)
        history, epochs = population.history, set()
        for member, stopped_by in enumerate(history.stopped_by):
            if done := history.epochs[member]:
                expected = whole[done]
                assert np.array_equal(population[member].theta, expected[member].theta)
                assert np.array_equal(history.loss[member, :done], expected.history.loss[member, :done])
            if stopped_by == "interrupt":
                epochs.add(int(done))
        if epochs:
            assert f"after {' to '.join(map(str, sorted({min(epochs), max(epochs)})))} of 6 epochs" in str(caught[0].message)
            seen |= epochs
    assert len(seen) > 1
