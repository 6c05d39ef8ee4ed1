"""The model of clusters: arithmetic and simulation agree, and the tables told are those that come of it."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import cluster_model
from benchmarks.cluster_model import JOBS, MEASURED, Job, cost, modelled, most_workers, simulated, tables

README = Path(cluster_model.__file__).parent / "README.md"
AT_ONCE = replace(MEASURED, begin=0.0, task=0.0, bandwidth=math.inf)


def test_one_worker_by_hand(monkeypatch):
    monkeypatch.setattr(cluster_model, "SPREAD", 0.0)
    job = Job(25, 10, 1.0, 0.1, 0.2, 0.0)
    # The client has listed the first ten at 1, the worker has done all by then 10, 20 and 25 later, and five are taken after that.
    assert simulated(job, 1, AT_ONCE) == pytest.approx(1 + 25 + 5 * 0.2)
    assert modelled(job, 1, AT_ONCE) == (25 + 10, "workers")


def test_many_workers_by_hand(monkeypatch):
    monkeypatch.setattr(cluster_model, "SPREAD", 0.0)
    job = Job(30, 10, 0.01, 1.0, 2.0, 0.0)
    # The client lists ten, twice; as the first are done by then, it takes them; and so on.
    assert simulated(job, 100, AT_ONCE) == pytest.approx(10 + 10 + 20 + 10 + 20 + 0.1 + 20)
    assert modelled(job, 100, AT_ONCE) == (pytest.approx(90 + 0.1), "client")


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("workers", [1, 4, 1024])
def test_the_simulation_is_near_the_model(name, workers):
    job = JOBS[name][0](10**7, MEASURED)
    seconds, limit = modelled(job, workers, MEASURED)
    assert (limit == "workers") == (workers < most_workers(job, MEASURED))
    # The client lists and hands out while the workers begin, which the model does not know.
    least = seconds if limit == "workers" else seconds - MEASURED.begin
    assert 0.99 * least <= simulated(job, workers, MEASURED) <= 1.01 * seconds


def test_a_store_limits_and_costs():
    job = Job(10**6, 1000, 1e-3, 0.0, 0.0, 0.0, served=1000.0, dollars=1e-6)
    assert modelled(job, 64, AT_ONCE) == (1001.0, "store")
    assert simulated(job, 64, AT_ONCE) == pytest.approx(1000, rel=0.05)
    assert cost(job, 64, 900, AT_ONCE) == pytest.approx(16 * AT_ONCE.core_hour + 1)


def test_workers_that_die_take_longer():
    job = Job(10**5, 100, 1.0, 0.0, 0.0, 0.0)
    alone, other = (simulated(job, 10, AT_ONCE, deaths, seed=1) for deaths in (0.0, 6.0))
    assert 1.05 < other / alone < 1.6
    assert simulated(job, 10, AT_ONCE, 6.0, seed=1) == other


def test_the_constants_of_a_machine_are_taken_from_little_work_too():
    pytest.importorskip("distributed")
    constants = cluster_model.measured(files=200, members=2, tasks=4)
    assert all(value > 0 for value in asdict(constants).values())


def test_the_tables_are_those_of_the_readme():
    assert "\n".join(tables(MEASURED)) in README.read_text()
