"""Training, whole: fastmlp beside plain NumPy and its peers, which begin with the same weights and come to the same losses."""

from dataclasses import replace

import pytest

from benchmarks.work import CORES, DTYPES, Training

UNIT = "row and epoch"
MINI_BATCHES = [  # some 300 steps: what is done once for a training does not count
    Training((16, 16, 2), "tanh", 4000, 3, 32, "adam", 0.001),
    Training((64, 32, 10), "tanh", 4000, 3, 32, "adam", 0.001),
    Training((64, 100, 10), "relu", 2000, 30, 200, "adam", 0.001),
    Training((784, 128, 10), "relu", 1280, 8, 32, "adam", 0.001),
    Training((784, 128, 10), "relu", 1280, 30, 128, "adam", 0.001),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_batch_3_5_1(versus, short, dtype):
    work = Training((3, 5, 1), "sigmoid", 8000, 5 if short else 500, None, "sgd", 1.0, dtype)
    rivals = {
        "lean NumPy": work.lean_numpy,
        "plain NumPy": replace(work, epochs=work.epochs // 5).numpy,
        "PyTorch eager": work.torch,
        "JAX jit+scan": work.jax,
        "JAX jit+scan, samples as columns": work.jax_columns,
    }
    versus(f"full batch {work}", work.fastmlp(), rivals, UNIT)


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_batch_adam(benchmark, versus, short, dtype):
    work = Training((4, 32, 16, 4), "tanh", 10_000, 1 if short else 60, None, "adam", 0.01, dtype)
    rivals = {
        "plain NumPy": work.numpy,
        "PyTorch eager": work.torch,
        "JAX jit+scan": work.jax,
        "JAX jit+scan, samples as columns": work.jax_columns,
    }
    seconds = versus(f"full batch, Adam, {work}", work.fastmlp(), rivals, UNIT)
    benchmark.extra_info["core-ns per sample and step"] = 1e9 * seconds * CORES


@pytest.mark.parametrize("dtype", DTYPES)
def test_per_sample(versus, short, dtype):
    work = Training((3, 5, 1), "sigmoid", 800 if short else 8000, 1 if short else 5, 1, "sgd", 0.05, dtype)
    fewer = replace(work, rows=50 if short else 500, epochs=1)  # for those who need a thousand times as long
    rivals = {
        "plain NumPy": fewer.numpy,
        "PyTorch eager": fewer.torch,
        "JAX jit+scan": work.jax,
        "scikit-learn": fewer.sklearn,
    }
    versus(f"per-sample SGD {work}", work.fastmlp(), rivals, UNIT)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("work", MINI_BATCHES, ids=lambda work: f"{work.batch_size} of {work.shape}")
def test_mini_batches(versus, short, work, dtype):
    work = replace(work, dtype=dtype)
    if short:
        work = replace(work, rows=2 * work.batch_size, epochs=1)
    rivals = {"plain NumPy": work.numpy, "PyTorch eager": work.torch, "JAX jit+scan": work.jax, "scikit-learn": work.sklearn}
    versus(f"batches of {work.batch_size}, Adam, {work}", work.fastmlp(), rivals, UNIT)
