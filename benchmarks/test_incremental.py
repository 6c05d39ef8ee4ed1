"""Rows that come bit by bit: a call of partial_fit beside the same rows within a training."""

import pytest

import fastmlp
from benchmarks.work import DTYPES, Side, Training, mlp


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(3, 5, 1), (64, 32, 10)], ids=lambda sizes: "-".join(map(str, sizes)))
def test_partial_fit(versus, short, sizes, dtype):
    """Of a training the epochs after the first ones count, as what a call of train costs in itself is not asked for."""
    work = Training(sizes, "tanh", 1000, 2 if short else 200, 32, "adam", 0.001, dtype, threads=1)
    X, labels, _, theta = work.data
    trainer = fastmlp.Trainer(init=mlp(work.network, theta), learning_rate=0.001, seed=0)

    def ours():
        for _ in range(work.epochs):
            trainer.partial_fit(X, labels)
        return trainer.losses[-work.epochs :]

    def within():
        return fastmlp.train(
            X, labels, init=mlp(work.network, theta), epochs=work.epochs, learning_rate=0.001, l2=0, threads=1, seed=0
        ).history.loss

    rivals = {"itself within a training": lambda: [Side(within, work.units)]}
    versus(f"partial_fit of 1000 rows, batches of 32, Adam, {work.shape}, {dtype}", Side(ours, work.units), rivals, "row")
