"""Populations that the workers of an executor train: the same bits, how members are shared out, what cannot be sent, Ctrl-C."""

import pickle
import signal
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from cases import one_sentence, toy
from members import UNRULY, all_bits, check_ends, regression, unruly
from populations import same_population

import fastmlp
from fastmlp.executors import Engine
from fastmlp.training import population_tasks
from fastmlp.training.many import train_begun

X, LABELS = toy()
NUMBERS = regression()[1]
SMALL = {"hidden": 4, "epochs": 4, "seed": 0, "task": "classification"}


class Here(Executor):
    """Does what it is given at once, as it would arrive elsewhere, and remembers it."""

    def __init__(self, workers=2):
        self._max_workers = workers
        self.tasks, self.sizes = [], []

    def submit(self, function, *args):
        sent = pickle.dumps((function, args[0], args[2]))
        self.sizes.append(len(sent))
        self.tasks.append(args[2])
        future = Future()
        try:
            function, *_ = pickle.loads(sent)
            future.set_result(pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(args))))))
        except BaseException as error:
            future.set_exception(error)
        return future


class Interrupted(Here):
    """Somebody presses Ctrl-C while it does a task, from the third one on."""

    def __init__(self, until=None):
        super().__init__()
        self.until = until  # some epoch, or any

    def submit(self, *args):
        if len(self.tasks) < 2 or self.until not in (None, args[3].until):
            return super().submit(*args)
        future = Future()
        future.set_exception(KeyboardInterrupt())
        return future


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch):
    monkeypatch.setattr(population_tasks, "SECOND", 20_000)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


def pinball(prediction, target):
    e = target - prediction
    return (0.9 * e, -0.9) if e > 0 else (-0.1 * e, 0.1)


FIRST = fastmlp.train_many(X, LABELS, members=20, **{**SMALL, "epochs": 1})
KINDS = {
    "members": (LABELS, {"members": 50}),
    "float32": (LABELS, {"members": 50, "dtype": "float32"}),
    "rates, validation and patience": (
        LABELS,
        {"learning_rate": np.geomspace(1e-3, 0.3, 30), "validation": 0.25, "patience": 1, "epochs": 8},
    ),
    "those that diverge or end early": (NUMBERS, {**unruly(30), **UNRULY, "task": "regression"}),
    "all rows as a batch": (LABELS, {"members": 9, "batch_size": None}),
    "single samples": (LABELS, {"members": 70, "batch_size": 1, "optimizer": "sgd", "learning_rate": 0.01}),
    "architectures": (
        LABELS,
        {"hidden": [3, 4, (4, 2)] * 9, "batch_size": [7, 7, None] * 9, "dropout": [0, 0.3, 0.3] * 9, "l1": [0, 0, 0.1] * 9},
    ),
    "targets of their own": (
        np.column_stack([LABELS, 1 - LABELS] * 10),
        {"validation": (X, np.column_stack([LABELS, 1 - LABELS] * 10)), "sample_weight": np.linspace(1, 2, 1200).reshape(60, 20)},
    ),
    "rows of their own": (LABELS, {"rows": [np.arange(at, 60) for at in (0, 5, 10) * 6], "members": 18, "bootstrap": True}),
    "networks to go on from": (LABELS, {"init": FIRST, "hidden": None, "members": 20}),
    "a list of these": (LABELS, {"init": list(FIRST), "hidden": None}),
    "halving": (LABELS, {"members": 30, "halving": 3, "epochs": 9, "validation": 0.25, "patience": 2}),
    "halving of networks to go on from": (LABELS, {"init": FIRST, "hidden": None, "halving": 2, "epochs": 8, "target_loss": 0.3}),
    "a function as loss": (NUMBERS, {"members": 8, "loss": pinball, "task": "regression"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_as_by_one_thread(kind, pool):
    y, options = KINDS[kind]
    options = {**SMALL, **options}
    alone, here = fastmlp.train_many(X, y, threads=1, **options), Here()
    with ThreadPoolExecutor(2) as threads:
        for executor in threads, pool, *[here] * ("loss" not in options):  # which would be compiled for each task
            trained = fastmlp.train_many(X, y, executor=executor, **options)
            assert same_population(trained, alone) and trained.made_with == alone.made_with
            assert trained.loss_function is alone.loss_function
            check_ends(trained)
    assert len(here.tasks) > 1 or "loss" in options


def test_a_client_of_dask_and_its_executor():
    distributed = pytest.importorskip("distributed")
    alone = fastmlp.train_many(X, LABELS, members=40, halving=2, **SMALL)
    local = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster) as client:
        for executor in client, client.get_executor():
            assert same_population(fastmlp.train_many(X, LABELS, members=40, halving=2, executor=executor, **SMALL), alone)


def test_folds_of_a_cross_validation(pool):
    alone, trained = (
        fastmlp.cross_validate(X, LABELS, cv=3, **{**SMALL, "batch_size": None}, **more) for more in ({}, {"executor": pool})
    )
    assert same_population(trained.members, alone.members)
    assert np.array_equal(trained.predictions, alone.predictions) and np.array_equal(trained.scores, alone.scores)
    fastmlp.cross_validate(X, LABELS, cv=3, executor=(here := Here()), **{**SMALL, "hidden": (64, 64), "batch_size": None})
    assert [len(task.members) for task in here.tasks] == [1, 1, 1]


@pytest.mark.parametrize("how", [{"members": 6}, {"members": 6, "ensemble": True}, {"cv": 3}], ids=str)
def test_models_of_tables(how, pool):
    table = {"a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "c": np.where(LABELS, "yes", "no").tolist()}
    alone, trained = (
        fastmlp.train_table(table, "c", hidden=4, epochs=4, seed=0, **how, **more) for more in ({}, {"executor": pool})
    )
    assert [one.theta.tobytes() for one in trained.networks] == [one.theta.tobytes() for one in alone.networks]
    assert trained.made_with == alone.made_with


# -- Shared out ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "workers", "least", "most"), [(1e9, 4, 1, 1), (1e7, 4, 8, 12), (2e6, 4, 48, 64), (1e4, 4, 128, 128)]
)
def test_tasks_are_as_many_as_are_worth_it(second, workers, least, most, monkeypatch):
    monkeypatch.setattr(population_tasks, "SECOND", second)
    here = Here(workers)
    fastmlp.train_many(X, LABELS, members=1024, executor=here, **SMALL)
    assert least <= len(here.tasks) <= most
    assert len(here.tasks) % workers == 0 or len(here.tasks) == 1
    members = [member for task in here.tasks for member in task.members.tolist()]
    assert members == list(range(1024))
    lengths = [len(task.members) for task in here.tasks]
    assert max(lengths) - min(lengths) <= 8 or max(lengths) <= 8


def test_what_is_sent_with_a_task_is_small():
    wide = np.random.default_rng(0).normal(size=(60, 2000))
    fastmlp.train_many(wide, LABELS, members=64, executor=(here := Here()), **{**SMALL, "epochs": 1, "batch_size": None})
    assert len(here.tasks) > 8 and max(here.sizes) < 1000
    fastmlp.train_many(X, LABELS, init=FIRST, executor=(other := Here()), **{**SMALL, "hidden": None})
    assert sum(len(task.parts[0].theta) for task in other.tasks) == len(FIRST)


# -- What cannot be ------------------------------------------------------------------------------------------------------------


def test_what_has_no_place_with_an_executor_is_told():
    with one_sentence(["threads", "executor", "got 2"]):
        fastmlp.train_many(X, LABELS, executor=Here(), threads=2, **SMALL)
    with one_sentence(["on_epoch", "executor"]):
        fastmlp.train_many(X, LABELS, executor=Here(), on_epoch=print, **SMALL)
    with one_sentence(["executor must be a concurrent.futures.Executor or a Dask client; got 'dask'"], TypeError):
        fastmlp.train_many(X, LABELS, executor="dask", **SMALL)


def test_errors_are_those_of_one_machine(pool):
    with one_sentence(["sample_weight must not be zero for all rows"]):
        fastmlp.train_many(X, LABELS, members=20, validation=0.2, sample_weight=np.zeros(60), executor=pool, **SMALL)
    with pytest.raises(fastmlp.DivergedError, match="all 20 networks diverged"):
        fastmlp.train_many(X, NUMBERS, members=20, learning_rate=1e300, executor=pool, hidden=4, epochs=4, optimizer="sgd", seed=0)


# -- Ctrl-C --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"halving": 2, "epochs": 8}, {"init": list(FIRST) * 4, "hidden": None}], ids=["", "halving", "init"]
)
def test_after_ctrl_c_members_are_as_those_of_tasks_that_ended_or_as_they_began(options):
    options = {**SMALL, "seed": list(range(80)), **options}
    whole, still = (fastmlp.train_many(X, LABELS, learning_rate=rate, **options) for rate in (None, 1e-300))
    with pytest.warns(RuntimeWarning, match="training .*was interrupted after 0 ") as caught:
        population = fastmlp.train_many(X, LABELS, executor=(here := Interrupted()), **options)
    assert caught[0].filename == __file__
    done = sorted({member for task in here.tasks[:2] for member in task.members.tolist()})
    assert 0 < len(done) < 80
    reasons = np.array(population.history.stopped_by)
    rest = np.setdiff1d(np.arange(80), done)
    assert set(reasons[rest]) == {"interrupt"} and set(reasons[done]) <= {"epochs", "interrupt"}
    check_ends(population)
    for member in rest.tolist():
        np.testing.assert_allclose(population[member].theta, still[member].theta, rtol=0, atol=1e-200)
    if "halving" not in options:
        for member in done:
            assert np.array_equal(population[member].theta, whole[member].theta)


def test_after_ctrl_c_in_a_later_rung_members_are_as_after_the_one_before():
    options = {**SMALL, "members": 40, "epochs": 8}
    with pytest.warns(RuntimeWarning, match="training of .* of 40 networks was interrupted after 4 of 8 epochs"):
        population = fastmlp.train_many(X, LABELS, executor=Interrupted(8), halving=2, **options)
    reasons, epochs = population.history.stopped_by, population.history.epochs
    assert {"halving", "interrupt"} == set(reasons) and epochs.max() == 4
    assert all(count == 4 for count, reason in zip(epochs, reasons, strict=True) if reason == "interrupt")
    check_ends(population)


@pytest.mark.parametrize(("until", "epochs"), [(1, 0), (8, 4)])
def test_ctrl_c_while_no_task_is_under_way_leaves_networks_too(until, epochs, monkeypatch):
    cut = population_tasks.TrainingInTasks._cut

    def pressed(training, left, epoch):
        if epoch == until:
            signal.raise_signal(signal.SIGINT)
        return cut(training, left, epoch)

    monkeypatch.setattr(population_tasks.TrainingInTasks, "_cut", pressed)
    with pytest.warns(RuntimeWarning, match=f"^training .*was interrupted after {epochs} of 8 epochs"):
        population = fastmlp.train_many(X, LABELS, executor=Here(), halving=2, **{**SMALL, "members": 40, "epochs": 8})
    assert population.history.epochs.max() == epochs
    check_ends(population)


def test_rungs_share_their_data_once(monkeypatch):
    values, shared = [], Engine.shared
    monkeypatch.setattr(Engine, "shared", lambda engine, value: values.append(value) or shared(engine, value))
    fastmlp.train_many(X, LABELS, executor=(here := Here()), halving=2, **{**SMALL, "members": 40, "epochs": 8})
    assert len(values) == 1 and len(here.tasks) > 2


def test_after_ctrl_c_those_who_drop_members_wait_for_none():
    with pytest.warns(RuntimeWarning, match="interrupted"):
        population = train_begun(X, LABELS, members=80, executor=Interrupted(), **SMALL)
    assert "interrupt" in population.history.stopped_by


def test_ctrl_c_while_a_pool_of_processes_is_at_work(pool):
    class Pressed(Executor):
        _max_workers, begun = 2, 0

        def submit(self, *args):
            self.begun += 1
            if self.begun == 9:
                signal.raise_signal(signal.SIGINT)
            return pool.submit(*args)

    with pytest.warns(RuntimeWarning, match="training of .* of 200 networks was interrupted after"):
        population = fastmlp.train_many(X, LABELS, members=200, executor=(pressed := Pressed()), **SMALL)
    assert 9 <= pressed.begun < 25  # tasks that there are
    whole = fastmlp.train_many(X, LABELS, members=200, executor=pool, **SMALL)  # its workers are there still
    reasons = population.history.stopped_by
    done = reasons.count("epochs")
    assert done > 0 and reasons == ["epochs"] * done + ["interrupt"] * (200 - done)
    assert all_bits(population)[:done] == all_bits(whole)[:done]


# -- Told ----------------------------------------------------------------------------------------------------------------------


def test_progress_counts_members_that_have_ended(capsys):
    fastmlp.train_many(X, LABELS, members=40, executor=Here(), progress=True, **SMALL)
    assert "40 of 40 networks done" in capsys.readouterr().err
