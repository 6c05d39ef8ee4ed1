"""How much memory a training takes, before it takes any: of one network, and of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastmlp import arrays, checks
from fastmlp.kernels import lbfgs, optimizers
from fastmlp.kernels.many_batches import MOST_LANES
from fastmlp.networks.architecture import parameter_count
from fastmlp.networks.layout import layer_table
from fastmlp.networks.objective import ChunkPlan
from fastmlp.threads import thread_count
from fastmlp.training.options import ACTIVATION, Options

if TYPE_CHECKING:
    from fastmlp.training.data import Dataset

WAVE_BYTES = 1 << 24  # of what members need while they are trained, beside their parameters and their history
WAVE_MEMBERS = 64  # that are trained at a time, at least
OF_A_MEMBER = 6  # of these, so many numbers for each parameter: itself, its gradient, two moments, an average, the best so far
OF_ONE = 9  # beside its gradient: itself, two moments, an average, the best so far, and four as the epoch began
OF_A_STATE = 4  # that is kept: itself, two moments, an average
OF_LBFGS = 2 * lbfgs.MEMORY + 5
SMALL = 64  # more than all of these
DRAWN = 16  # bytes of each parameter while its first value is drawn


def check_network(sizes: Sequence[int], bias: bool, dtype: np.dtype, rows: int, options: Options) -> None:
    """Rejects a network that the machine cannot train."""
    parameters = parameter_count(sizes, bias)
    if SMALL * dtype.itemsize * (parameters + rows * sizes[-1]) < checks.LITTLE:  # to count the rest would take too long
        return
    what = f"training a network of {parameters} parameters on {rows} rows"
    checks.enough_memory(what, (OF_ONE + 1) * parameters * dtype.itemsize)  # of more, no array could tell the rest
    needed = _of_network(sizes, bias, dtype.itemsize, rows, options) + _of_rows(sizes, dtype.itemsize, rows, options)
    checks.enough_memory(what, needed)


def _of_network(sizes: Sequence[int], bias: bool, itemsize: int, rows: int, options: Options) -> int:
    """Bytes for the parameters of a network, and for what is as large."""
    parameters = parameter_count(sizes, bias)
    batch_size = min(rows, options.batch_size) if isinstance(options.batch_size, int) else rows
    if batch_size == 1 and not options.dropout and optimizers.is_plain(options.method(1, 1)):
        beside = parameters
    else:
        layers = layer_table(sizes, (ACTIVATION,) * (len(sizes) - 2), "identity", bias)
        plan = ChunkPlan.of(layers, itemsize, batch_size, thread_count(options.threads), keep_tiles=batch_size == rows)
        beside = plan.numbers(layers)
    if options.optimizer == "lbfgs":
        beside += OF_LBFGS * parameters
    elif options.optimizer in optimizers.SOLVERS:
        beside += 2 * parameters**2
    numbers = (OF_ONE + OF_A_STATE * bool(options.keep_state)) * parameters + beside
    return max(itemsize * numbers, (2 * itemsize + DRAWN) * parameters)


def _of_rows(sizes: Sequence[int], itemsize: int, rows: int, options: Options) -> int:
    """Bytes for rows: their numbers, as they are and shuffled by random numbers half as long; their targets, as given and scaled;
    their weights; and whether they are held out, as they are permuted."""
    numbers = np.dtype(arrays.numbers_of_rows(rows)).itemsize
    weighted = options.sample_weight is not None or options.class_weight is not None or bool(options.bootstrap)
    held_out = options.validation is not None and not isinstance(options.validation, tuple)
    return rows * (2 * numbers + 4 + 2 * sizes[-1] * itemsize + 24 * weighted + 17 * held_out)


def check_members(kinds: Sequence[tuple[int, int]], itemsize: int, dataset: Dataset, lockstep: bool) -> None:
    """Rejects members that the machine cannot train: of each kind, so many of so many bytes of parameters; all side by side, or as
    many at a time as WAVE_BYTES hold."""
    options, rows, threads = dataset.options, len(dataset.x), thread_count(dataset.options.threads)
    count = sum(members for members, _ in kinds)
    parameters = sum(members * size for members, size in kinds)
    history = 8 * count * options.most_epochs * (1 + (options.validation is not None) + (options.monitor == "accuracy"))
    least = max(min(members, WAVE_MEMBERS) * size for members, size in kinds)
    at_once = parameters if lockstep else min(parameters, max(WAVE_BYTES // OF_A_MEMBER, least))
    own = (count if lockstep else min(count, WAVE_MEMBERS)) * dataset.own_columns * itemsize
    own_orders = bool(options.shuffle) and dataset.own_orders and options.batch_size is not None
    orders = min(count, threads * MOST_LANES) * np.dtype(arrays.numbers_of_rows(rows)).itemsize * own_orders
    checks.enough_memory(f"a population of {count}", parameters + history + OF_ONE * at_once + rows * (own + orders))
