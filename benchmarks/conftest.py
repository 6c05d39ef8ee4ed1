"""How the benchmarks run: `pytest benchmarks --benchmark-only`, or in a short form with `--short`."""

import pytest

import benchmarks.kernel_cache  # noqa: F401


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="small sizes and few rounds: shows that the benchmarks work")


@pytest.fixture
def short(request):
    return request.config.getoption("--short")


@pytest.fixture
def measure(benchmark, short):
    """Times a function, warmed up: the median over some rounds. The group's name stands for the work."""

    def run(group, function, rounds=15):
        benchmark.group = group
        benchmark.pedantic(function, rounds=2 if short else rounds, warmup_rounds=1)

    return run
