"""How the benchmarks run: `pytest benchmarks --benchmark-only`, or in a short form with `--short`."""

import benchmarks.one_blas_thread  # noqa: F401

# isort: split
import os
import platform
import time
from contextlib import suppress
from importlib import metadata

import cpuinfo  # pytest-benchmark brings it
import numpy as np
import pytest

import fastmlp
from benchmarks.tables import SPEED, duration, machine_line, times
from benchmarks.work import CORES

LIBRARIES = {
    "numpy": "NumPy",
    "numba": "Numba",
    "pillow": "Pillow",
    "torch": "PyTorch",
    "torch-levenberg-marquardt": "torch-levenberg-marquardt",
    "jax": "JAX",
    "scikit-learn": "scikit-learn",
    "opencv-python-headless": "OpenCV",
    "pyarrow": "pyarrow",
}
PEERS = {"torch", "torch_levenberg_marquardt", "jax", "sklearn", "cv2"}  # as modules
TURN = 0.005  # seconds at least: then neither the clock nor a single interruption decides
ALL_TURNS = 5.0  # seconds, about, of all rounds of a work
LONG_ROUND = 30.0  # seconds
HEADINGS = ("work", "fastmlp", "beside", SPEED)
RESULTS = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="small sizes and few rounds: shows that the benchmarks work")


def pytest_configure(config):
    config.stash[RESULTS] = []


@pytest.fixture
def short(request):
    return request.config.getoption("--short")


@pytest.fixture
def measured(benchmark, request):
    """Keeps what was measured of a work, for the table that ends the run and for those of the README.

    `ours` is a text; a rival has a name, a form, and a text as its figure, which is empty where its library is not installed.
    """

    def keep(work, ours, rivals=(), **more):
        benchmark.extra_info |= {"work": work, "ours": ours, "rivals": rivals} | more
        request.config.stash[RESULTS].append(benchmark.extra_info)

    return keep


@pytest.fixture
def versus(benchmark, short, measured):
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

        count = 1
        if not short:
            began = time.perf_counter()
            others_turn()
            our_turn()
            taken = time.perf_counter() - began
            count = np.clip(ALL_TURNS / taken, 5 if taken < LONG_ROUND else 3, 25)
            rounds.clear()  # that was to warm up
        benchmark.pedantic(our_turn, setup=others_turn, rounds=int(count))

        *others, own = np.array(rounds).T
        results = []
        for rival in rivals:
            title, _, bar = rival.partition(", bar ")
            results.append({"name": title, "bar": bar, "form": "not installed", "figure": ""})
            forms = [(theirs / own, side.note) for name, theirs, side in zip(names, others, sides, strict=True) if name == rival]
            if forms:
                ratios, form = min(forms, key=lambda form: np.median(form[0]))
                results[-1] |= {"form": form, "figure": times(ratios), "times as fast": np.median(ratios)}
        seconds = float(np.median(own))
        measured(work, f"{duration(seconds)} per {unit}", results, **{f"seconds per {unit}": seconds})
        return seconds

    return run


def machine(config):
    """What the figures come from; a library that is not installed is None."""
    versions = {"Python": platform.python_version(), "fastmlp": fastmlp.__version__}
    for name, title in LIBRARIES.items():
        with suppress(metadata.PackageNotFoundError):
            versions[title] = metadata.version(name)
    return {
        "processor": cpuinfo.get_cpu_info().get("brand_raw", platform.machine()),
        "cores": CORES,
        "versions": versions,
        "short": config.getoption("--short"),
    }


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["fastmlp"] = machine(config)


def pytest_terminal_summary(terminalreporter, config):
    results = config.stash[RESULTS]
    if not results:
        return
    write = terminalreporter.write_line
    terminalreporter.section("fastmlp beside others")
    if config.getoption("--short"):
        write("The short form: these figures mean nothing.")
    write(machine_line(machine(config)))
    blas = os.environ["OPENBLAS_NUM_THREADS"]
    write(f"threads: fastmlp up to {CORES}; PyTorch and OpenCV as their rows say; JAX as it likes; NumPy and scikit-learn {blas}")
    rows = [HEADINGS]
    for result in results:
        for rival in result["rivals"] or [{"name": "", "form": "", "figure": ""}]:
            bar = f"bar {rival['bar']}" if rival.get("bar") else ""
            beside = ", ".join(filter(None, (rival["name"], bar, rival["form"])))
            rows.append((result["work"], result["ours"], beside, rival["figure"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        write(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
