"""What work costs: a training, time in proportion to rows, epochs and parameters, and memory; many files and names, memory."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import fastmlp
from benchmarks.work import Training
from fastmlp.kernels.images import entries

DATA = Path(__file__).parent.parent / "data"
FULL_BATCH = Training((3, 5, 1), "sigmoid", 100_000, 5, None, "sgd", 0.1, threads=1)
MINI_BATCHES = replace(FULL_BATCH, batch_size=32, optimizer="adam", learning_rate=0.01)
CHANGES = [
    {"rows": 1000, "epochs": 500},  # few rows for many epochs: what a call of train costs in itself is not to count
    {"rows": 10_000, "epochs": 50},
    {"rows": 1_000_000},
    {"rows": 10_000_000},
    {"epochs": 1},
    {"epochs": 50},
    {"sizes": (3, 50, 1)},
    {"sizes": (3, 500, 1)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("base", [FULL_BATCH, MINI_BATCHES], ids=["full-batch", "mini-batches"])
def test_cost_is_linear(versus, short, base, change):
    if short and change.get("rows", 0) > base.rows:
        pytest.skip("too large for --short")

    def side(work):
        work = replace(work, epochs=max(1, work.epochs // 10)) if short else work
        return work.fastmlp()._replace(units=work.units * work.parameters)

    name = "full batch" if base.batch_size is None else f"batches of {base.batch_size}"
    changed = ", ".join(f"{key} {value}" for key, value in change.items())
    rivals = {f"itself: {base.shape}, {base.rows} rows, {base.epochs} epochs": lambda: [side(base)]}
    versus(f"cost, {name}: {changed}", side(replace(base, **change)), rivals, "row, epoch and parameter")


PEAK = """
import sys, threading, time
import numpy as np
import fastmlp

def anonymous():
    "Memory that is no file's: pages of the map do not count."
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon"))

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.001)

def growth(train, few, many):
    "What train(many) gives, and the most bytes beyond those before it."
    global peak
    train(few)  # the memory of the compiled code does not count
    peak = before = anonymous()
    threading.Thread(target=watch, daemon=True).start()
    return train(many), peak - before
"""
TRAIN = f"""{PEAK}
def train(rows):
    return fastmlp.train(X[:rows], y[:rows], batch_size=256, epochs=1, seed=0, dtype="float32")

X = np.load(sys.argv[1], mmap_mode="r")
y = np.random.default_rng(0).integers(0, 2, len(X))
model, grown = growth(train, 1000, len(X))
print(grown - model.theta.nbytes)
"""
TRAIN_MANY = f"""{PEAK}
from benchmarks.test_population import MINI_BATCHES, PER_SAMPLE

def train(members):
    return fastmlp.train_many(X, y, members=members, seed=0, hidden=work.sizes[1:-1], activation=work.activation, **work.options)

work = dict(PER_SAMPLE=PER_SAMPLE, MINI_BATCHES=MINI_BATCHES)[sys.argv[1]]
X, y, _, _ = work.data
population, grown = growth(train, 100, int(sys.argv[2]))
print(grown - sum(model.theta.nbytes for model in population) - population.history.loss.nbytes)
"""


def output(program, *arguments):
    """The number that a program prints, run on its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory(benchmark, measured, short, tmp_path, dtype):
    n = 100_000 if short else 2_000_000
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=dtype, shape=(n, 32))
    rng = np.random.default_rng(0)
    for start in range(0, n, 100_000):
        X[start : start + 100_000] = rng.standard_normal((min(n - start, 100_000), 32), "float32")
    del X
    peak = benchmark.pedantic(output, args=(TRAIN, tmp_path / "X.npy")) / 2**20
    measured(f"batches of 256 of a {dtype} map of {n} x 32, in float32", f"{peak:.1f} MB beside the caller's arrays")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["PER_SAMPLE", "MINI_BATCHES"])
def test_memory_of_a_population(benchmark, measured, short, name):
    few, many = (100, 200) if short else (1000, 8000)
    before = output(TRAIN_MANY, name, few) / 2**20
    most = benchmark.pedantic(output, args=(TRAIN_MANY, name, many)) / 2**20
    kind = name.lower().replace("_", "-")
    fewer = {"name": f"{few} members", "form": "", "figure": f"{before:.1f} MB"}
    measured(f"{kind}, {many} members", f"{most:.1f} MB beside parameters and history", [fewer])


CLASSIFY = """
import sys
import fastmlp

batches = fastmlp.load(sys.argv[1]).classify(sys.argv[2])
assert sum(batch.labels.count("circle") + batch.labels.count("line") for batch in batches) == int(sys.argv[3])
with open("/proc/self/status") as status:  # ru_maxrss would count what the parent had at the fork
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_large_folder(benchmark, measured, short, tmp_path):
    fastmlp.train_folder(DATA, extractor="ink", seed=0).save(tmp_path / "classifier.npz")
    originals = [shutil.copy(path, tmp_path) for path in (DATA / "train-images").glob("*.png")]  # a file has 65,000 links at most
    few = 5000

    def peak(n):
        return output(CLASSIFY, tmp_path / "classifier.npz", folder, n) / 2**10

    def link(first, last):
        for number in range(first, last):
            os.link(originals[number % len(originals)], os.path.join(folder, f"{number:07}.png"))

    with TemporaryDirectory(dir=tmp_path) as folder:
        link(0, few)
        peak(few)  # the memory that compiling takes does not count
        count, before = few, peak(few)
        if not short:
            count = 1_000_000
            link(few, count)
        most = benchmark.pedantic(peak, args=(count,))
    fewer = {"name": f"{few} files", "form": "", "figure": f"{before:.0f} MB"}
    measured(f"folder of {count} files classified, bar 300 MB", f"{most:.0f} MB at the peak", [fewer])


LIST_NAMES = """
import os
import sys
from types import SimpleNamespace
import numpy as np
import distributed
import fastmlp
from fastmlp.images import classifier, folders, sharing_out
from fastmlp.images.sources import walk
from fastmlp.kernels.images import entries, names

def list_entries(room, records, folder):
    "Some more names as the system would give them, in no order."
    global listed
    numbers = np.arange(listed, min(listed + 10_000, count))
    listed += len(numbers)
    digits = (numbers * 7368787 % 10_000_000)[:, None] // 10 ** np.arange(6, -1, -1) % 10
    rows = room[: 12 * len(numbers)].reshape(-1, 12)
    rows[:, :7], rows[:, 7:] = digits + ord("0"), np.frombuffer(b".png\\0", np.uint8)
    return rows.size, entries.MORE if listed < count else entries.END

entries.list_entries = list_entries
walk.Walk._listings = lambda *_: iter((b"a\\0", b"b\\0"))  # what Python lists before it finds that there are many
names.sorted_starts(np.zeros(2, np.uint8), run=1)  # compiled for many, too
listed, count = 0, int(sys.argv[1])
chunks = walk.walked_chunks(walk.Walk(os.curdir, True, True, False, 4096))
assert sum(chunk.length for task in sharing_out.joined(chunks, SimpleNamespace(workers=lambda: 8)) for chunk in task) == count
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not entries.POSSIBLE, reason="the system has no getdents64")
def test_memory_of_many_names(benchmark, measured, short):
    pytest.importorskip("distributed")
    few, many = 5000, 100_000 if short else 10_000_000
    output(LIST_NAMES, few)  # the memory that compiling takes does not count
    before = output(LIST_NAMES, few) / 2**10
    most = benchmark.pedantic(output, args=(LIST_NAMES, many)) / 2**10
    fewer = {"name": f"{few} names", "form": "", "figure": f"{before:.0f} MB"}
    measured(f"{many} names of a folder, made up, for an executor, bar 500 MB", f"{most:.0f} MB at the peak", [fewer])
