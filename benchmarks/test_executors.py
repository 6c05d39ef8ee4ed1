"""Two worker processes of one thread each, as executors have them, beside two threads of one process.

A rival's name tells the bar: the least ratio that fastmlp is to reach where two cores are free and the files are in memory.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

import fastmlp
from benchmarks.test_images import DATA, folder_of
from benchmarks.test_population import UNIT, FromSeeds, sized
from benchmarks.work import Side
from fastmlp.executors import InTasks, engine_of
from fastmlp.images.sharing_out import joined
from fastmlp.images.sources.source import Chunks

FILES = 200_000
POPULATION = FromSeeds((64, 32, 10), "relu", 1000, 10, 32, "adam", 0.001, members=4096)
WORKERS = 2
BESIDE = "itself, two threads, bar 0.87x"


@contextmanager
def dask_client():
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster) as client:
        yield client


ENGINES = {"ProcessPoolExecutor": partial(ProcessPoolExecutor, WORKERS, get_context("spawn")), "Dask": dask_client}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    with ENGINES[request.param]() as executor:
        yield request.param, executor


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    images = [path.read_bytes() for path in sorted((DATA / "train-images").glob("*.png"))]
    with folder_of(images, 2000 if request.config.getoption("--short") else FILES, tmp_path_factory.getbasetemp()) as path:
        yield path


@pytest.fixture(scope="module")
def classifier():
    return fastmlp.train_folder(DATA, seed=0)


def test_classify_folder(versus, classifier, folder, engine):
    name, executor = engine
    expected = fastmlp.classify_folder(classifier, folder, threads=1)

    def classify(**how):
        found = fastmlp.classify_folder(classifier, folder, **how)
        assert found.scores.tobytes() == expected.scores.tobytes()

    count = len(expected.paths)
    rivals = {BESIDE: lambda: [Side(partial(classify, threads=WORKERS), count)]}
    ours = Side(partial(classify, executor=executor), count)
    versus(f"classify_folder by {name}, two processes, PNGs 16x16", ours, rivals, "file")


def test_train_many(versus, engine, short):
    name, executor = engine
    work = sized(POPULATION, short)
    ours, threads = work.fastmlp(executor=executor), work.fastmlp(threads=WORKERS)
    np.testing.assert_array_equal(ours.function(), threads.function())
    named = f"train_many by {name}, two processes, batches of {work.batch_size}, Adam, {work}"
    versus(named, ours, {BESIDE: lambda: [threads]}, UNIT)


def at_work(work, chunks):
    began = time.thread_time()
    for chunk in chunks:
        work(chunk)
    return time.thread_time() - began


def handed_back(verdicts, _):
    return verdicts


def test_overhead(benchmark, measured, classifier, folder, engine, short):
    """What it takes to send a task and to get its verdicts, beside what a worker has to do; the one is not hidden by the other."""
    name, executor = engine
    engine = engine_of(executor)
    tasks = list(joined(Chunks(folder), engine))
    task = max(tasks, key=lambda chunks: sum(chunk.length for chunk in chunks))
    work = min(InTasks(engine, at_work, [task] * (2 if short else 6), classifier.verdicts))
    count = 4 if short else 20
    with closing(engine.shared([classifier.verdicts(chunk) for chunk in task])) as verdicts:

        def send(count):
            assert len(list(InTasks(engine, handed_back, [task] * count, verdicts))) == count

        send(WORKERS)
        benchmark.pedantic(send, (count,), rounds=1 if short else 7)
    overhead = benchmark.stats.stats.median / count
    files = sum(chunk.length for chunk in task)
    figure = f"{1e3 * overhead:.1f} ms, {100 * overhead / work:.1f} % of its work"
    measured(f"to send a task of {files} files and get its verdicts, by {name}, bar 2 %", figure, share=overhead / work)
