"""JAX, as its documentation recommends: one jit, vmap over networks, scan over epochs and batches, losses from logits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ACTIVATIONS = {"identity": lambda z: z, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
PRODUCTS = {  # by how samples lie; "sums", for one at a time: no products of matrices, 1.4 times as fast as "rows" for 256 x 3-5-1
    "rows": lambda x, w: x @ w,
    "columns": lambda x, w: w.T @ x,
    "sums": lambda x, w: (x[:, None] * w).sum(0),
}


def mean_loss(parameters, x, t, network, form):
    """Samples are rows (N, D), or columns (D, N), or one (D,)."""
    axis = 0 if form == "columns" else -1
    for (w, b), activation in zip(parameters, (*network.activations, "identity"), strict=True):
        z = PRODUCTS[form](x, w)
        if b is not None:
            z += b[:, None] if form == "columns" and x.ndim == 2 else b
        x = ACTIVATIONS[activation](z)
    if network.loss == "squared_error":  # of an identity output
        return 0.5 * ((x - t) ** 2).sum(axis).mean()
    if network.output == "sigmoid":
        return (jax.nn.softplus(x) - t * x).mean()
    return -(t * jax.nn.log_softmax(x, axis)).sum(axis).mean()


def sgd(parameters, gradient, state, rate):
    return jax.tree.map(lambda p, g: p - rate * g, parameters, gradient), state


def adam(parameters, gradient, state, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, v, t = state
    t += 1
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g**2, v, gradient)
    s, r = 1 - beta1**t, 1 - beta2**t
    return jax.tree.map(lambda p, m, v: p - rate * (m / s) / (jnp.sqrt(v / r) + epsilon), parameters, m, v), (m, v, t)


OPTIMIZERS = {"sgd": sgd, "adam": adam}
jit = partial(jax.jit, static_argnames=("network", "epochs", "batch_size", "optimizer", "form"))


def descend(theta, x, t, learning_rate, *, network, epochs, batch_size, optimizer, form):
    def step(carry, batch):
        loss, gradient = jax.value_and_grad(mean_loss)(carry[0], *batch, network, form)
        return OPTIMIZERS[optimizer](carry[0], gradient, carry[1], learning_rate), loss

    def epoch(carry, _):
        if batch_size is None:
            return step(carry, data)
        carry, losses = lax.scan(step, carry, data)
        return carry, losses.mean()

    data = (x.T, t.T) if form == "columns" and batch_size is None else (x, t)
    if batch_size not in (None, 1):  # one row needs no dimension for the batch, and is faster without
        data = jax.tree.map(lambda a: a.reshape(-1, batch_size, a.shape[1]), data)
    parameters = [(w, b if network.bias else None) for w, b in network.unpack(theta)]  # None is no parameter
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return lax.scan(epoch, (parameters, (zeros, zeros, jnp.zeros((), x.dtype))), length=epochs)[1]


descend_one = jit(descend)


@jit
def descend_many(thetas, x, t, learning_rate, **options):
    return jax.vmap(partial(descend, **options), in_axes=(0, None, None, None))(thetas, x, t, learning_rate)


def train(network, theta, X, targets, *, learning_rate, form="rows", **options):
    """The mean loss of every epoch, from theta (P,), or of every network and epoch, from (members, P).

    The batches are whole. "columns" is for the full batch or one row at a time, "sums" for one row.
    """
    with jax.enable_x64(X.dtype == np.float64):
        run = descend_one if theta.ndim == 1 else descend_many
        rate = X.dtype.type(learning_rate)
        return np.asarray(run(*map(jnp.asarray, (theta, X, targets)), rate, network=network, form=form, **options))
