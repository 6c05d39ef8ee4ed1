"""Derivatives of a network's outputs, by its inputs and by its parameters, for rows: Differentiable, a part of MLP.

Rows are cut in chunks whose size follows from the network and the number of rows, and what is summed is added chunk by chunk, in
their order: the result has the same bits however many threads take part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import arrays, checks, interrupts
from fastmlp.kernels import jacobian
from fastmlp.kernels.jacobian import DerivativeScratch
from fastmlp.networks.layered import Layered
from fastmlp.networks.layout import aligned, batch_scratch, block_lanes, stride_of
from fastmlp.networks.prediction import outputs
from fastmlp.threads import Workers, threads_for

CHUNK_WORK = 4_000_000  # parameters times rows, and times the ways through the network: some milliseconds
WAVE = 8  # chunks for each thread whose sums are held at a time


class Differentiable(Layered):
    """The derivatives of a network's outputs.

    The K outputs are those of the network, after their activation: what `predict` gives of a regressor, and `predict_proba` of a
    classifier; of two classes with one sigmoid output, K is 1, the probability of the second class. Where an activation has a bend,
    as "relu" at 0, its slope there is that of its left side. What is not finite raises, as in `predict`. See Griewank and Walther
    2008, Evaluating Derivatives, ch. 3, for the two ways of computing them.
    """

    def jacobian(self, X: ArrayLike) -> NDArray[Any]:
        """The derivatives (N, K, D) of each output by each input, in the network's dtype.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.

        Raises
        ------
        ValueError
            As `predict` does; if a derivative is not finite, or all of them would not fit in the machine's memory.
        """
        return self._every_derivative(X, self.layer_sizes[0], "inputs")

    def parameter_jacobian(self, X: ArrayLike) -> NDArray[Any]:
        """The derivatives (N, K, P) of each output by each parameter, in the order of `theta`: W0, b0, W1, b1, ...

        Parameters
        ----------
        X : (N, D)
            Rows of inputs; no rows give an empty result.

        Raises
        ------
        ValueError
            As `jacobian` does. `jvp` and `vjp` need no such memory.
        """
        return self._every_derivative(X, self._theta.size, "parameters")

    @checks.takes_options()
    def jvp(self, X: ArrayLike, V: ArrayLike, *, parameters: bool = False) -> NDArray[Any]:
        """The Jacobian times vectors, which is not formed: how the outputs (N, K) change along V.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs.
        V : (N, D), or (P,) with parameters=True
            Of each row a direction of its inputs; or one of the parameters, in the order of `theta`.
        parameters : bool
            Whether the derivatives are those by the parameters.

        Raises
        ------
        ValueError
            As `predict` does; if V has another shape, or holds NaN or infinity; if a product is not finite.
        """
        x, dtype = self._rows(X), self.dtype
        if checks.yes_or_no("parameters", parameters):
            v = arrays.finite("V", arrays.parameters("V", V, dtype, self._theta.size))
        else:
            v = arrays.matrix("V", V, dtype, columns=self.layer_sizes[0], empty=True)
            arrays.same_length("V", v, len(x))
        out = self._room("the products", len(x), self.layer_sizes[-1])

        def multiply(scratch: DerivativeScratch, part: slice, some: NDArray[Any]) -> bool:
            along = v if parameters else _flat(v[part], dtype)
            into = out[part].reshape(-1)
            return jacobian.forward_products(into, bool(parameters), scratch, some, along, len(out[part]), self._theta, self.layers)

        self._by_chunks(x, out, multiply, 2)
        return out

    @checks.takes_options()
    def vjp(self, X: ArrayLike, U: ArrayLike, *, parameters: bool = False) -> NDArray[Any]:
        """Vectors times the Jacobian, which is not formed: the derivatives of the sum over k of U[:, k] times output k.

        Parameters
        ----------
        X : (N, D)
            Rows of inputs.
        U : (N, K), or (N,) for one output
            What each output of each row counts.
        parameters : bool
            Whether the derivatives are those by the parameters.

        Returns
        -------
        (N, D), of each row by its inputs; or (P,) with parameters=True, by the parameters, summed over the rows.

        Raises
        ------
        ValueError
            As `predict` does; if U has another shape, or holds NaN or infinity; if a product is not finite.
        """
        x, dtype, theta = self._rows(X), self.dtype, self._theta
        u = arrays.targets("U", U, len(x), self.layer_sizes[-1], dtype)
        if checks.yes_or_no("parameters", parameters):
            return self._sum_by_parameters(x, u)
        out = self._room("the products", len(x), self.layer_sizes[0])

        def multiply(scratch: DerivativeScratch, part: slice, some: NDArray[Any]) -> bool:
            into = out[part].reshape(-1)
            return jacobian.backward_products(into, False, scratch, some, _flat(u[part], dtype), len(out[part]), theta, self.layers)

        self._by_chunks(x, out, multiply, 2)
        return out

    def _rows(self, X: ArrayLike) -> NDArray[Any]:
        return arrays.matrix("X", X, self.dtype, columns=self.layer_sizes[0], names=self.feature_names, empty=True)

    def _room(self, what: str, *shape: int) -> NDArray[Any]:
        checks.enough_memory(f"{what} {shape}", math.prod(shape) * self.dtype.itemsize)
        return np.empty(shape, self.dtype)

    def _every_derivative(self, X: ArrayLike, columns: int, by: str) -> NDArray[Any]:
        x, n_out, by_parameters = self._rows(X), self.layer_sizes[-1], by == "parameters"
        out = self._room(f"the derivatives by {by}", len(x), n_out, columns)

        def differentiate(scratch: DerivativeScratch, part: slice, some: NDArray[Any]) -> bool:
            into = out[part].reshape(-1)
            return jacobian.jacobian_of_rows(into, by_parameters, scratch, some, len(out[part]), self._theta, self.layers)

        self._by_chunks(x, out, differentiate, 1 + n_out)
        return out

    def _by_chunks(
        self,
        x: NDArray[Any],
        out: NDArray[Any],
        fill: Callable[[DerivativeScratch, slice, NDArray[Any]], bool],
        ways: int,
    ) -> None:
        """Has the rows of out filled, chunk by chunk; `fill` goes so many ways through the network, and returns whether the outputs
        are finite."""
        rows, threads = self._chunk(len(x), ways)

        def work(first: int) -> bool:
            part = slice(first, first + rows)
            finite = fill(self._scratch(len(x)), part, _flat(x[part], self.dtype))
            return finite and arrays.all_finite(out[part])

        if len(x) <= rows:
            finite = [work(0)]
        else:
            with interrupts.noted(), Workers(threads) as share_out:
                finite = share_out(work, list(range(0, len(x), rows)))
        if not all(finite):
            self._explain(x)
            row = next(row for row in range(len(x)) if not arrays.all_finite(out[row]))
            raise ValueError(f"derivatives must be finite; one for X[{row}] is not: numbers are too large for such rows")

    def _sum_by_parameters(self, x: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        theta = self._theta
        rows, threads = self._chunk(len(x), 3)
        starts, whole = range(0, len(x), rows), np.zeros_like(theta)

        def work(first: int) -> NDArray[Any] | None:
            part, (out,) = slice(first, first + rows), aligned(theta.dtype, theta.size)
            some, weights = _flat(x[part], theta.dtype), _flat(u[part], theta.dtype)
            finite = jacobian.backward_products(
                out, True, self._scratch(len(x)), some, weights, len(x[part]), theta, self.layers
            )  # fmt: skip
            return out if finite and arrays.all_finite(out) else None

        with interrupts.noted(), Workers(threads) as share_out, np.errstate(over="ignore", invalid="ignore"):
            for wave in range(0, len(starts), WAVE * threads):
                for out in share_out(work, list(starts[wave : wave + WAVE * threads])):
                    whole += np.inf if out is None else out
        if not arrays.all_finite(whole):
            self._explain(x)
            raise ValueError("derivatives must be finite; their sum over the rows of X is not: numbers are too large")
        return whole

    def _explain(self, x: NDArray[Any]) -> None:
        """Raises what `predict` does, if an output is not finite."""
        outputs(self._theta, self.layers, x, self.layer_sizes[-1])

    def _chunk(self, n: int, ways: int) -> tuple[int, int]:
        """How many rows a chunk has, and how many threads are worth sending."""
        work, lanes = self._theta.size * ways, block_lanes(self.layers, self.dtype.itemsize, n)
        rows = lanes * max(1, CHUNK_WORK // (work * lanes))
        return rows, max(1, min(threads_for(n * work), -(-n // rows)))

    def _scratch(self, n: int) -> DerivativeScratch:
        dtype, lanes = self.dtype, block_lanes(self.layers, self.dtype.itemsize, n)
        block, tiles = batch_scratch(self.layers, dtype, lanes)
        tiles.weights[:] = 1
        widest = max(self.layer_sizes) * stride_of(lanes)
        made = aligned(dtype, 2 * widest, 2 * self.layer_sizes[-1] * stride_of(lanes), 3 * widest)
        deltas, both, tangents = made
        return DerivativeScratch(block._replace(deltas=deltas), tiles, both, tangents)


def _flat(rows: NDArray[Any], dtype: Any) -> NDArray[Any]:
    return arrays.floating(rows, dtype).reshape(-1)
