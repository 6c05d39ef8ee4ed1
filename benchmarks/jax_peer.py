"""JAX, as its documentation recommends: one jit around it all, lax.scan over epochs and batches, losses from logits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ACTIVATIONS = {"identity": lambda z: z, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


def mean_loss(parameters, x, t, network, columns):
    """Samples are rows (N, D), or one row (D,); or columns (D, N)."""
    for (w, b), activation in zip(parameters, (*network.activations, "identity"), strict=True):
        x = ACTIVATIONS[activation](w.T @ x + b[:, None] if columns else x @ w + b)
    if network.output == "sigmoid":
        return (jax.nn.softplus(x) - t * x).mean()
    axis = 0 if columns else -1
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


@partial(jax.jit, static_argnames=("network", "epochs", "batch_size", "optimizer", "columns"))
def descend(parameters, x, t, learning_rate, *, network, epochs, batch_size, optimizer, columns):
    def step(carry, batch):
        loss, gradient = jax.value_and_grad(mean_loss)(carry[0], *batch, network, columns)
        return OPTIMIZERS[optimizer](carry[0], gradient, carry[1], learning_rate), loss

    def epoch(carry, _):
        if batch_size is None:
            return step(carry, data)
        carry, losses = lax.scan(step, carry, data)
        return carry, losses.mean()

    data = (x.T, t.T) if columns else (x, t)
    if batch_size not in (None, 1):  # one row needs no dimension for the batch, and is faster without
        data = jax.tree.map(lambda a: a.reshape(-1, batch_size, a.shape[1]), data)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return lax.scan(epoch, (parameters, (zeros, zeros, jnp.zeros((), x.dtype))), length=epochs)[1]


def train(network, theta, X, targets, *, learning_rate, columns=False, **options):
    """The mean loss of every epoch; the batches are whole. `columns` is for the full batch."""
    with jax.enable_x64(X.dtype == np.float64):
        parameters = jax.tree.map(jnp.asarray, network.unpack(theta))
        rate = X.dtype.type(learning_rate)
        x, t = jnp.asarray(X), jnp.asarray(targets)
        return np.asarray(descend(parameters, x, t, rate, network=network, columns=columns, **options))
