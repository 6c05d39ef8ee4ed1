"""How columns are scaled for training: each to a mean of 0 and a deviation of 1; and networks as they are for scaled and unscaled
columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import arrays
from fastmlp.networks.mlp import MLP

SQUARES_UNDERFLOW = 1e-150  # a deviation below: its square is no normal number, and those of the differences may be none
LIMITS = {np.dtype(kind): (float(np.finfo(kind).eps), float(np.finfo(kind).tiny)) for kind in (np.float32, np.float64)}


class Scaling(NamedTuple):
    """What is subtracted from each column, and what it is multiplied by then."""

    shift: NDArray[Any]
    scale: NDArray[Any]


def is_standardized(network: MLP, wanted: bool | None) -> bool:
    if wanted and not network.bias:
        raise ValueError("standardize=True needs biases to fold the scaling into; got bias=False")
    return network.bias if wanted is None else bool(wanted)


def input_scaling(network: MLP, x: NDArray[Any], rows: NDArray[np.integer], wanted: bool) -> Scaling:
    if wanted:
        return _scaling("X", x, rows, network.dtype)
    return Scaling(np.zeros(x.shape[1], network.dtype), np.ones(x.shape[1], network.dtype))


def output_scaling(network: MLP, y: NDArray[Any], rows: NDArray[np.integer]) -> Scaling:
    return _scaling("y", y, rows, network.dtype)


def scaled(y: NDArray[Any], outputs: Scaling | None) -> NDArray[Any]:
    return y if outputs is None else (y - outputs.shift) * outputs.scale


def _scaling(name: str, x: NDArray[Any], rows: NDArray[np.integer], dtype: Any) -> Scaling:
    """To a mean of 0 and a deviation of 1 over those rows. A constant column is only shifted."""
    step = max(1, arrays.BLOCK // x.shape[1])
    starts = range(0, len(rows), step)
    whole: NDArray[np.float64] | None = None

    def block(at: int) -> NDArray[np.float64]:
        """Some rows, as the kernels see them. Nobody holds them, nor what they are made of, while the next ones are made."""
        if whole is not None:
            return whole
        return x.take(rows[at : at + step], axis=0).astype(dtype, copy=False).astype(np.float64, copy=False)

    if len(starts) == 1:
        whole = block(0)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = _column_sums(block, starts) / len(rows)
        deviation = np.sqrt(_column_sums(lambda at: np.square(block(at) - mean), starts) / len(rows))
        usual = (deviation >= SQUARES_UNDERFLOW) & (deviation < np.inf)
        if np.count_nonzero(usual) < len(usual):
            largest = np.max([np.abs(block(at) - mean).max(axis=0) for at in starts], axis=0)
            unit = np.where(largest > 0, largest, 1.0)
            deviation = unit * np.sqrt(_column_sums(lambda at: np.square((block(at) - mean) / unit), starts) / len(rows))
            finite = np.isfinite(deviation)
            if not finite.all():
                column = f"column {int(np.argmin(finite))} of {name}"
                raise ValueError(f"{column} is too large to be standardized; scale it down, or give standardize=False")
    epsilon, tiny = LIMITS[np.dtype(dtype)]
    deviation[deviation <= epsilon * np.abs(mean) + tiny] = 1.0
    return Scaling(mean.astype(dtype, copy=False), (1 / deviation).astype(dtype, copy=False))


def _column_sums(of: Callable[[int], NDArray[np.float64]], starts: range) -> NDArray[np.float64]:
    """The sums of columns over blocks of rows, which begin there."""
    total: NDArray[np.float64] = of(starts[0]).sum(axis=0)
    for at in starts[1:]:
        total += of(at).sum(axis=0)
    return total


class RunningColumns(NamedTuple):
    """Means and squares of columns so far."""

    rows: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]  # the sums of those of deviations from the means

    def with_rows(self, values: NDArray[Any]) -> RunningColumns:
        """Those of more rows merged with them: Chan, Golub and LeVeque 1983, equation 2.1."""
        mean, rows = self.mean if self.rows else values[0].astype(np.float64), self.rows + len(values)
        with np.errstate(over="ignore", invalid="ignore"):
            apart = values - mean
            total = apart.sum(axis=0)
            more = np.maximum(np.einsum("ij,ij->j", apart, apart) - total * total / rows, 0)
            return RunningColumns(rows, mean + total / rows, self.squares + more)

    def scaling(self, dtype: Any) -> Scaling:
        deviation = np.sqrt(self.squares / self.rows)
        if not (np.isfinite(self.mean).all() and np.isfinite(deviation).all()):
            raise ValueError("X and y are too large to be standardized; scale them down, or give standardize=False")
        deviation[deviation <= np.finfo(dtype).eps * np.abs(self.mean) + np.finfo(dtype).tiny] = 1.0
        return Scaling(self.mean.astype(dtype), (1 / deviation).astype(dtype))


def no_rows(columns: int) -> RunningColumns:
    return RunningColumns(0, np.zeros(columns), np.zeros(columns))


def fold(network: MLP, theta: NDArray[Any], inputs: Scaling, outputs: Scaling | None) -> None:
    """Rewrites networks, theta (m, P), that were made for scaled inputs and targets as ones for these as they are. What overflows
    then is not finite."""
    with np.errstate(all="ignore"):
        _rescale_inputs(network, theta, *inputs)
        if outputs is not None:
            scale = 1 / outputs.scale.astype(np.float64, copy=False)
            _rescale_outputs(network, theta, scale, outputs.shift.astype(np.float64, copy=False))


def unfold(network: MLP, theta: NDArray[Any], inputs: Scaling, outputs: Scaling | None) -> NDArray[Any]:
    """Networks like this one, theta (m, P), as they begin for scaled inputs and targets: `fold` undone."""
    theta = arrays.finite("init.theta", theta, network.dtype).astype(network.dtype)
    with np.errstate(all="ignore"):
        scale = inputs.scale.astype(np.float64, copy=False)
        _rescale_inputs(network, theta, -inputs.shift * scale, 1 / scale)
        if outputs is not None:
            scale = outputs.scale.astype(np.float64, copy=False)
            _rescale_outputs(network, theta, scale, -outputs.shift * scale)
    if not arrays.all_finite(theta):
        raise ValueError("init has weights that are too large for standardized columns; scale X and y, or give standardize=False")
    return theta


def _rescale_inputs(network: MLP, theta: NDArray[Any], shift: NDArray[Any], scale: NDArray[Any]) -> None:
    """Rewrites first layers that were made for u = (x - shift) * scale as ones for x."""
    if not np.count_nonzero(shift) and not np.count_nonzero(scale != 1):
        return
    n_in, n_out = network.layer_sizes[:2]
    first = theta[:, : n_in * n_out].reshape(len(theta), n_in, n_out)
    rescaled = first * scale.astype(np.float64, copy=False)[:, None]
    first[:] = rescaled
    if network.bias:
        theta[:, n_in * n_out : (n_in + 1) * n_out] -= shift.astype(np.float64, copy=False) @ rescaled


def _rescale_outputs(network: MLP, theta: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]) -> None:
    """Rewrites last layers of outputs v as ones of v * scale + shift."""
    n_out = network.layer_sizes[-1]
    last = theta[:, -(network.layer_sizes[-2] + 1) * n_out :].reshape(len(theta), -1, n_out)
    last[:] = last * scale
    last[:, -1] += shift
