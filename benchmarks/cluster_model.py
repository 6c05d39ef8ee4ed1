"""How long many files, or many networks, take on a cluster, what they cost, and what is the limit: a model and a simulation.

    python -m benchmarks.cluster_model            the tables of benchmarks/README.md, from the constants below
    python -m benchmarks.cluster_model --measure  the same from constants of this machine, which are printed first

A job has n items, files or networks, in tasks of k. W workers, each a core, do them. One client lists the items, hands the tasks
out, and takes the results, one after the other; results come to it by one network, and files from a store that serves so many a
second. The model is arithmetic: the time is what the busiest of these four has to do, with the time that the workers take to begin,
and that of one task, as the last ones are waited for.

    workers   n * work / W
    client    n * (listing + taking + overhead / k)
    network   (n * bytes + W * data) / bandwidth
    store     n / served

The simulation plays the same task by task, which arithmetic cannot: tasks differ in length, so many are under way and no more,
results are taken in order, and workers die, whose tasks are done again.
"""

import argparse
import heapq
import math
import os
import pickle
import random
import sys
from collections import deque
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from PIL import Image

import fastmlp
from fastmlp.commands.classification.rows import CsvRows
from fastmlp.executors import InTasks, engine_of
from fastmlp.images.sources.source import Chunks

IN_FLIGHT = 2  # tasks for each worker, as fastmlp/executors.py has them
FILES, PHOTOGRAPHS, SECONDS = 20_000, 1000, 1.0  # small files in a task, large ones; seconds that a task of networks takes
SPREAD = 0.2  # standard deviation of the logarithm of how long a task takes
AWAY = 30.0  # seconds until there is another worker in place of one that died
DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Constants:
    """Seconds, bytes and dollars."""

    # Measured, by --measure.
    list_file: float  # for the client to list one of a folder
    classify_file: float  # for a worker to read a small PNG of a local disk and to classify it
    classify_photograph: float  # the same of a JPEG of 640x480
    take_row: float  # for the client to unpack a verdict and to write it as CSV
    row_bytes: float  # of a verdict as it is sent, with the name of its file as that was sent before
    train_network: float  # for a worker, the 64-32-10 of `a_population`
    take_network: float  # for the client to unpack one
    network_bytes: float  # as it is sent
    data_bytes: float  # of what the networks are trained on, which each worker is sent once
    task: float  # for the client and its scheduler to hand out a task, whatever it does

    # Assumed.
    list_object: float = 1e-4  # a file in an object store: 1000 names in a request of 0.1 s
    get_object: float = 0.03 / 32  # for a worker: 30 ms from the request to the contents, 32 requests at a time
    served: float = 50_000.0  # objects per second: ten prefixes of some 5000 each
    bandwidth: float = 1.25e8  # bytes per second: 1 Gbit/s
    core_hour: float = 0.04  # dollars
    request: float = 4e-7  # dollars
    begin: float = 60.0  # seconds until all workers are there, and have their compiled code


@dataclass(frozen=True)
class Job:
    """n items in tasks of k; for each item the seconds of a worker and of the client, bytes, and dollars."""

    n: int
    k: int
    work: float
    listing: float
    taking: float
    bytes: float
    data: float = 0.0  # bytes that each worker is sent once
    served: float = math.inf  # items per second
    dollars: float = 0.0


def folder_job(n, c):
    """Small PNGs in a folder that all workers see as fast as a disk of their own."""
    return Job(n, FILES, c.classify_file, c.list_file, c.take_row, c.row_bytes)


def bucket_job(n, c):
    """Small PNGs in an object store."""
    work = c.classify_file + c.get_object
    return Job(n, FILES, work, c.list_object, c.take_row, c.row_bytes, served=c.served, dollars=c.request)


def photograph_job(n, c):
    """JPEGs in an object store."""
    work = c.classify_photograph + c.get_object
    return Job(n, PHOTOGRAPHS, work, c.list_object, c.take_row, c.row_bytes, served=c.served, dollars=c.request)


def network_job(n, c):
    """Networks, all trained on the same rows."""
    k = max(1, round(SECONDS / c.train_network))
    return Job(n, k, c.train_network, 0.0, c.take_network, c.network_bytes, c.data_bytes)


# -- the model ---------------------------------------------------------------------------------------------------------------------


def needs(job, workers, c):
    """Seconds that each of the four is busy."""
    return {
        "workers": job.n * job.work / workers,
        "client": job.n * (job.listing + job.taking + c.task / job.k),
        "network": (job.n * job.bytes + workers * job.data) / c.bandwidth,
        "store": job.n / job.served,
    }


def modelled(job, workers, c):
    """Seconds for a job, and what limits it."""
    busy = needs(job, workers, c)
    limit = max(busy, key=busy.__getitem__)
    return c.begin + busy[limit] + min(job.k, job.n) * job.work, limit


def most_workers(job, c):
    """How many workers can be kept busy, were there no end of items."""
    others = needs(job, 1, c)
    return job.n * job.work / max(others[name] for name in ("client", "network", "store"))


def cost(job, workers, seconds, c):
    """Dollars."""
    return workers * seconds / 3600 * c.core_hour + job.n * job.dollars


# -- the simulation ----------------------------------------------------------------------------------------------------------------


def simulated(job, workers, c, deaths_per_hour=0.0, seed=0):
    """Seconds until the last result is taken, where of each worker so many die in an hour."""
    draw = random.Random(seed)
    free = [c.begin + number * job.data / c.bandwidth for number in range(workers)]  # when each worker can begin
    heapq.heapify(free)
    client = network = store = 0.0  # when each has done all that it has been given
    jobs = deque()  # those under way, in order: when each ends, and how many items it has

    def work(size):
        nonlocal store
        begin = max(client, heapq.heappop(free))
        took = size * job.work * draw.lognormvariate(-(SPREAD**2) / 2, SPREAD)
        while draw.random() < -math.expm1(-took / 3600 * deaths_per_hour):  # it dies, somewhere on the way, and another does it
            died = begin + draw.random() * took
            heapq.heappush(free, died + AWAY)
            begin = max(died, heapq.heappop(free))
        store = max(store, begin) + size / job.served
        end = max(begin + took, store)
        heapq.heappush(free, end)
        jobs.append((end, size))

    def arrival():
        end, size = jobs[0]
        return max(network, end) + size * job.bytes / c.bandwidth

    def take():
        nonlocal client, network
        network = arrival()
        client = max(client, network) + jobs.popleft()[1] * job.taking

    for first in range(0, job.n, job.k):
        size = min(job.k, job.n - first)
        client += size * job.listing + c.task
        work(size)
        while len(jobs) >= IN_FLIGHT * workers or (jobs and arrival() <= client):
            take()
    while jobs:
        take()
    return client


# -- constants ---------------------------------------------------------------------------------------------------------------------


def seconds_of(function, rounds=5):
    """The median of some calls, after one that may compile."""
    taken = []
    for _ in range(rounds + 1):
        began = perf_counter()
        function()
        taken.append(perf_counter() - began)
    return median(taken[1:])


def nothing(value, item):
    """The task of which only the overhead is left."""
    return item


def seconds_of_a_task(count):
    """For a client and a scheduler to have a task done that does nothing, where workers are not what they wait for."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        return seconds_of(lambda: list(InTasks(engine_of(client), nothing, range(count))), 3) / count


def a_population(members):
    """Networks 64-32-10, as they are trained on 2000 rows for 20 epochs."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 64), np.float32), rng.integers(0, 10, 2000)
    how = {"hidden": 32, "epochs": 20, "batch_size": 32, "learning_rate": 0.01, "dtype": "float32", "seed": 0, "threads": 1}
    return X, fastmlp.train_many(X, y, members=members, **how)


def a_photograph():
    """A JPEG of 640x480 with shades and edges, as a file has it."""
    y, x = np.mgrid[:480, :640]
    shades = np.stack([(x * y // 97) % 256, 128 + 100 * np.sin(x / 37) * np.cos(y / 23), (x // 16 + y // 16) % 2 * 200], axis=-1)
    file = BytesIO()
    Image.fromarray(shades.astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def seconds_of_a_file(model, contents, count):
    """To list one, and to classify it by one thread, where there are so many; the verdicts; and bytes of a name as it is sent."""
    with TemporaryDirectory() as folder:
        for number, content in zip(range(count), cycle(contents)):
            Path(folder, f"drawing-{number:08}").write_bytes(content)
        listing = seconds_of(lambda: list(Chunks(folder))) / count
        whole = seconds_of(lambda: fastmlp.classify_folder(model, folder, 1)) / count
        names = len(pickle.dumps(list(Chunks(folder)))) / count
        return listing, whole - listing, fastmlp.classify_folder(model, folder, 1), names


def measured(files=20_000, members=256, tasks=500):
    """The constants of this machine, from so many files, networks and tasks."""
    contents = [path.read_bytes() for path in sorted((DATA / "train-images").glob("*.png"))]
    model = fastmlp.train_folder(DATA, hidden=8, epochs=50, seed=0, validation=None)
    listing, classify, verdicts, names = seconds_of_a_file(model, contents, files)
    _, photograph, *_ = seconds_of_a_file(model, [a_photograph()], files // 50)
    rows, sent = CsvRows(model.classes), pickle.dumps(verdicts)
    with open(os.devnull, "w") as null:
        take = seconds_of(lambda: null.write(rows.text(pickle.loads(sent)))) / files
    X, population = a_population(members)
    sent_networks = pickle.dumps(population)
    return Constants(
        list_file=listing,
        classify_file=classify,
        classify_photograph=photograph,
        take_row=take,
        row_bytes=len(sent) / files + names,
        train_network=seconds_of(lambda: a_population(members), 1) / members,
        take_network=seconds_of(lambda: pickle.loads(sent_networks)) / members,
        network_bytes=len(sent_networks) / members,
        data_bytes=X.nbytes,
        task=seconds_of_a_task(tasks),
    )


# Of an AMD EPYC, 2 cores, Python 3.11, on 30 November 2026.
MEASURED = Constants(1e-6, 1.4e-5, 1.1e-3, 1e-6, 62, 1.1e-2, 7e-7, 9920, 512_000, 7e-3)


# -- tables ------------------------------------------------------------------------------------------------------------------------

JOBS = {
    "a folder": (folder_job, (10**5, 10**7, 10**9)),
    "an object store": (bucket_job, (10**5, 10**7, 10**9)),
    "photographs": (photograph_job, (10**5, 10**7)),
    "networks": (network_job, (10**4, 10**6)),
}
WORKERS = (1, 16, 256, 1024)


def duration(seconds):
    """'12 s', '3.4 min', '5.6 h' or '7.8 days'."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def tables(c):
    """Lines of Markdown: for each kind of work and number of workers the time of either, the limit, and the cost."""
    yield "| work | workers | model | simulation | 1 death per worker and hour | limit | dollars |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, (job_of, sizes) in JOBS.items():
        for n in sizes:
            for workers in WORKERS:
                job = job_of(n, c)
                seconds, limit = modelled(job, workers, c)
                quiet, deadly = (simulated(job, workers, c, deaths) for deaths in (0.0, 1.0))
                times = " | ".join(map(duration, (seconds, quiet, deadly)))
                yield f"| {name}: 10^{round(math.log10(n))} | {workers} | {times} | {limit} | {cost(job, workers, quiet, c):,.2f} |"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help="take the constants of this machine")
    constants = measured() if parser.parse_args(arguments).measure else MEASURED
    print("\n".join(f"{name:20}{value:.3g}" for name, value in asdict(constants).items()), end="\n\n")
    for name, (job_of, (*_, n)) in JOBS.items():
        print(f"{name}: at most {most_workers(job_of(n, constants), constants):.0f} workers have enough to do")
    print("", *tables(constants), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
