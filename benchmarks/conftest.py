"""How the benchmarks run: `pytest benchmarks --benchmark-only`, or in a short form with `--short`."""

import benchmarks.one_blas_thread  # noqa: F401

# isort: split
import os
import platform
import time
from importlib import metadata

import cpuinfo  # pytest-benchmark brings it
import numpy as np
import pytest

from benchmarks.work import CORES

LIBRARIES = {
    "numpy": "NumPy",
    "numba": "Numba",
    "pillow": "Pillow",
    "torch": "PyTorch",
    "jax": "JAX",
    "scikit-learn": "scikit-learn",
    "opencv-python-headless": "OpenCV",
}
PEERS = {"torch", "jax", "sklearn", "cv2"}  # as modules
TURN = 0.005  # seconds at least: then neither the clock nor a single interruption decides
ALL_TURNS = 5.0  # seconds, about, of all rounds of a work
HEADINGS = ("work", "fastmlp", "beside", "times as fast (quartiles)")
TABLE = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="small sizes and few rounds: shows that the benchmarks work")


def pytest_configure(config):
    config.stash[TABLE] = []


@pytest.fixture
def short(request):
    return request.config.getoption("--short")


@pytest.fixture
def table(request):
    """Adds a row to the table that ends the run."""
    return lambda *row: request.config.stash[TABLE].append(row)


@pytest.fixture
def versus(benchmark, short, table):
    """Times our side of a work and its rivals, all in turn in each round; the figure is the median over rounds of rival / ours.

    A rival is a function that gives its forms, Sides whose results are checked, of which the fastest counts; where its library is
    missing, its row says so. Times are for a unit of work. Returns ours, in seconds.
    """

    def run(work, ours, rivals, unit="call"):
        names, sides = [], []
        for name, prepare in rivals.items():
            try:
                forms = prepare()
            except ModuleNotFoundError as error:
                if error.name not in PEERS:
                    raise
                forms = []
            names += [name] * len(forms)
            sides += forms
        if not short:
            ours, *sides = (side.lasting(TURN) for side in (ours, *sides))
        rounds = []  # the times of one: of each side, then ours

        def others_turn():
            rounds.append([])
            for side in sides:
                side.prepare()
                rounds[-1].append(side.seconds())
            ours.prepare()

        def our_turn():
            rounds[-1].append(ours.seconds())

        began = time.perf_counter()
        others_turn()
        our_turn()
        count = 2 if short else np.clip(ALL_TURNS / (time.perf_counter() - began), 5, 25)
        benchmark.pedantic(our_turn, setup=others_turn, rounds=int(count))

        *others, own = np.array(rounds[1:]).T  # the first round was to warm up
        seconds = float(np.median(own))
        benchmark.extra_info |= {"work": work, f"seconds per {unit}": seconds}
        ratios = [np.quantile(times / own, [0.5, 0.25, 0.75]).tolist() for times in others]
        for rival in rivals:
            forms = [(ratio, side.note) for name, ratio, side in zip(names, ratios, sides, strict=True) if name == rival]
            figure, note = "", "not installed"
            if forms:
                (median, low, high), note = min(forms)
                figure = f"{digits(median)}x ({digits(low)} to {digits(high)})"
                benchmark.extra_info[rival] = {"times as fast": median, "quartiles": [low, high], "form": note}
            table(work, f"{with_prefix(seconds)}s per {unit}", ", ".join(filter(None, (rival, note))), figure)
        return seconds

    return run


def digits(x):
    """x with three significant digits."""
    return np.format_float_positional(x, precision=3, fractional=False, trim="-")


def with_prefix(x):
    """x with the prefix of its unit: 2.5e-9 gives '2.5 n'."""
    factor, prefix = next(((f, p) for f, p in ((1, ""), (1e-3, "m"), (1e-6, "u")) if x >= f), (1e-9, "n"))
    return f"{digits(x / factor)} {prefix}"


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[TABLE]
    if not rows:
        return
    write = terminalreporter.write_line
    terminalreporter.section("fastmlp beside others")
    if config.getoption("--short"):
        write("The short form: these figures mean nothing.")
    versions = ", ".join(f"{title} {version(name)}" for name, title in LIBRARIES.items())
    processor = cpuinfo.get_cpu_info().get("brand_raw", platform.machine())
    write(f"{processor}, {CORES} cores; Python {platform.python_version()}, {versions}")
    blas = os.environ["OPENBLAS_NUM_THREADS"]
    write(f"threads: fastmlp up to {CORES}; PyTorch and OpenCV as their rows say; JAX as it likes; NumPy and scikit-learn {blas}")
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        write(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
