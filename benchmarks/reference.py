"""The oracle: a multilayer perceptron in plain NumPy, to be checked by hand. It imports nothing of fastmlp.

Letters: N samples, D inputs, K outputs. Samples are rows here. `theta` is the flat vector W0, b0, W1, b1, ... with
W[l] of shape (n_in, n_out); the biases are absent when `bias` is False.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

# -- Activations, each with its derivative beside it ------------------------------------------------------------------


def identity(z):
    return z


def identity_derivative(z):
    return np.ones_like(z)


def relu(z):
    return np.maximum(z, 0)


def relu_derivative(z):
    return (z > 0).astype(z.dtype)


def leaky_relu(z):
    return np.where(z > 0, z, 0.01 * z)


def leaky_relu_derivative(z):
    return np.where(z > 0, 1, 0.01)


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_derivative(z):
    return np.exp(np.minimum(z, 0))


def softplus(z):
    return np.logaddexp(0, z)


def softplus_derivative(z):
    return sigmoid(z)


def gelu(z):
    """z times the share of the standard normal distribution below z."""
    return z * normal_share(z)


def gelu_derivative(z):
    return normal_share(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def normal_share(z):
    return np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=[float])(z)


def gelu_tanh(z):
    return z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2


def gelu_tanh_derivative(z):
    t = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2) / 2


def silu(z):
    return z * sigmoid(z)


def silu_derivative(z):
    s = sigmoid(z)
    return s + z * s * (1 - s)


def exp(z):
    return np.exp(z)


def exp_derivative(z):
    return np.exp(z)


def sigmoid(z):
    e = np.exp(-np.abs(z))  # at most 1, so nothing overflows
    return np.where(z >= 0, 1, e) / (1 + e)


def sigmoid_derivative(z):
    return sigmoid(z) * (1 - sigmoid(z))


def tanh(z):
    return np.tanh(z)


def tanh_derivative(z):
    return 1 - np.tanh(z) ** 2


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


ACTIVATIONS = {
    "elu": (elu, elu_derivative),
    "exp": (exp, exp_derivative),
    "gelu": (gelu, gelu_derivative),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative),
    "identity": (identity, identity_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "relu": (relu, relu_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "silu": (silu, silu_derivative),
    "softplus": (softplus, softplus_derivative),
    "tanh": (tanh, tanh_derivative),
}
OUTPUTS = {name: ACTIVATIONS[name][0] for name in ("exp", "identity", "sigmoid", "softplus")} | {"softmax": softmax}


# -- Losses of outputs y for targets t, each with its derivative by y beside it; cross entropy is taken from the logits -----


def squared_error(y, t, delta):
    return 0.5 * (y - t) ** 2


def squared_error_derivative(y, t, delta):
    return y - t


def absolute_error(y, t, delta):
    return np.abs(y - t)


def absolute_error_derivative(y, t, delta):
    return np.sign(y - t)


def huber(y, t, delta):
    e = np.abs(y - t)
    return np.where(e <= delta, 0.5 * e**2, delta * (e - 0.5 * delta))


def huber_derivative(y, t, delta):
    return np.clip(y - t, -delta, delta)


def poisson(y, t, delta):
    return y - t * np.log(y)


def poisson_derivative(y, t, delta):
    return 1 - t / y


LOSSES = {
    "absolute_error": (absolute_error, absolute_error_derivative),
    "huber": (huber, huber_derivative),
    "poisson": (poisson, poisson_derivative),
    "squared_error": (squared_error, squared_error_derivative),
}


def loss_functions(network):
    """The loss of an output, and its derivative by it; of a function of numbers, if that is the loss, what it gives for each."""
    if not callable(network.loss):
        return LOSSES[network.loss]
    each = np.vectorize(network.loss, otypes=[float, float])
    return lambda y, t, delta: each(y, t)[0], lambda y, t, delta: each(y, t)[1]


# -- The network -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """What a theta means: layer sizes (D, H1, ..., K), one activation per hidden layer, the output, the loss."""

    sizes: tuple
    activations: tuple
    output: str
    loss: str  # or a function (prediction, target) -> (loss, gradient) of numbers
    bias: bool = True
    huber_delta: float = 1.0

    def unpack(self, theta):
        """theta as a list of (W, b); a missing bias is zeros."""
        layers, at = [], 0
        for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            w = theta[at : at + n_in * n_out].reshape(n_in, n_out)
            at += n_in * n_out
            b = theta[at : at + n_out] if self.bias else np.zeros(n_out, theta.dtype)
            at += n_out * self.bias
            layers.append((w, b))
        assert at == theta.size
        return layers

    def pack(self, layers):
        """The inverse of unpack."""
        return np.concatenate([part.ravel() for w, b in layers for part in ((w, b) if self.bias else (w,))])


def forward(network, theta, X, kept=None):
    """Activations of every layer, the input first, and what they are the activations of, z; the last are the logits (N, K).

    kept, if given, has for each hidden layer what its activations (N, H) are multiplied by: see dropout_factors.
    """
    functions = [ACTIVATIONS[name][0] for name in network.activations] + [OUTPUTS[network.output]]
    a, z = [X], []
    for (w, b), f in zip(network.unpack(theta), functions, strict=True):
        z.append(a[-1] @ w + b)
        a.append(f(z[-1]))
        if kept is not None and len(a) <= len(kept) + 1:
            a[-1] = a[-1] * kept[len(a) - 2]
    return a, z


def predict(network, theta, X):
    """Outputs (N, K)."""
    return forward(network, theta, X)[0][-1]


def sample_losses(network, output, logits, targets):
    """Loss of each sample (N,); targets (N, K), one-hot for softmax. Cross entropy is taken from the logits."""
    if callable(network.loss) or network.loss in LOSSES:
        return loss_functions(network)[0](output, targets, network.huber_delta).sum(axis=1)
    if network.output == "sigmoid":  # -t ln p - (1 - t) ln(1 - p), with p = 1 / (1 + exp(-z))
        nats = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
    else:  # -ln p of the right class
        largest = logits.max(axis=1)
        nats = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)) - (targets * logits).sum(axis=1)
    return nats / np.log(2).astype(nats.dtype) if network.loss == "cross_entropy_bits" else nats


def loss(network, theta, X, targets, weights=None, kept=None):
    """Mean loss of the samples; with weights, the sum of weight times loss divided by N."""
    a, z = forward(network, theta, X, kept)
    losses = sample_losses(network, a[-1], z[-1], targets)
    return (losses if weights is None else weights * losses).mean()


def output_backward(network, output, logits, targets):
    """Derivative of each sample's loss by its logits (N, K)."""
    if network.loss == "cross_entropy":
        return output - targets  # for sigmoid and softmax alike
    if network.loss == "cross_entropy_bits":
        return (output - targets) / np.log(2).astype(output.dtype)
    by_output = loss_functions(network)[1](output, targets, network.huber_delta)
    if network.output == "softmax":
        return output * (by_output - (by_output * output).sum(axis=1, keepdims=True))  # the softmax's Jacobian times it
    return by_output * ACTIVATIONS[network.output][1](logits)


def backward(network, theta, X, targets, weights=None, kept=None):
    """Gradient of `loss`, flat, in the order of theta."""
    a, z = forward(network, theta, X, kept)
    layers = network.unpack(theta)
    dz = output_backward(network, a[-1], z[-1], targets) / X.dtype.type(len(X))
    if weights is not None:
        dz = dz * weights[:, None]
    gradients = [(a[-2].T @ dz, dz.sum(axis=0))]
    for layer in range(len(layers) - 1, 0, -1):
        derivative = ACTIVATIONS[network.activations[layer - 1]][1]
        dz = (dz @ layers[layer][0].T) * derivative(z[layer - 1])
        if kept is not None:
            dz = dz * kept[layer - 1]
        gradients.append((a[layer - 1].T @ dz, dz.sum(axis=0)))
    return network.pack(gradients[::-1])


def l2_gradient(network, theta, l2):
    """Gradient of l2/2 times the sum of squared weights; the biases go free."""
    return network.pack([(l2 * w, 0 * b) for w, b in network.unpack(theta)])


def l1_gradient(network, theta, l1):
    """Gradient of l1 times the sum of the magnitudes of the weights; 0 where a weight is 0."""
    return network.pack([(l1 * np.sign(w), 0 * b) for w, b in network.unpack(theta)])


def dropout_factors(network, shares, seed, epoch, rows):
    """For each hidden layer (N, H): 0 for the units that those rows are trained without in that epoch, 1 / (1 - share) for others.

    A unit stays where a hash of seed, epoch, row and unit, a number of 32 bits, is at least share * 2^32, which is no more than the
    largest of these; units are counted over all hidden layers.
    """
    key = _hash(_hash(np.array([seed], np.uint64), epoch), np.asarray(rows)) >> np.uint64(32)
    units = np.arange(sum(network.sizes[1:-1]), dtype=np.uint64) * np.uint64(0x9E3779B9)
    bits = _mix((key[:, None] + units).astype(np.uint32), (16, 15, 16), (0x7FEB352D, 0x846CA68B))
    factors, first = [], 0
    for share, width in zip(shares, network.sizes[1:-1], strict=True):
        limit = min(round(share * 2**32), 2**32 - 1)
        factors.append(np.where(bits[:, first : first + width] >= limit, 1 / (1 - limit / 2**32), 0.0))
        first += width
    return factors


def _hash(x, y):
    """64 bits of two whole numbers: what SplitMix64 draws after y steps from x (Steele, Lea and Flood 2014)."""
    state = x + np.asarray(y).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return _mix(state, (30, 27, 31), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mix(bits, shifts, multipliers):
    for shift, multiplier in zip(shifts, (*multipliers, 1), strict=True):
        bits = (bits ^ (bits >> bits.dtype.type(shift))) * bits.dtype.type(multiplier)
    return bits


# -- Optimisers: each changes theta in place; `state` is a dict that lives as long as the training ---------------------


def sgd(theta, gradient, state, learning_rate, mu):
    theta -= learning_rate * gradient


def momentum(theta, gradient, state, learning_rate, mu):
    v = state["v"] = mu * state.get("v", 0) - learning_rate * gradient
    theta += v


def nesterov(theta, gradient, state, learning_rate, mu):
    v = state["v"] = mu * state.get("v", 0) - learning_rate * gradient
    theta += mu * v - learning_rate * gradient


def rmsprop(theta, gradient, state, learning_rate, mu, rho=0.9, epsilon=1e-8):
    """Tieleman & Hinton (2012)."""
    s = state["s"] = rho * state.get("s", 0) + (1 - rho) * gradient**2
    theta -= learning_rate * gradient / (np.sqrt(s) + epsilon)


def adam(theta, gradient, state, learning_rate, mu, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Kingma & Ba (2015), algorithm 1."""
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * gradient
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * gradient**2
    theta -= learning_rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def nadam(theta, gradient, state, learning_rate, mu, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Dozat (2016), with a constant beta1."""
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * gradient
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * gradient**2
    ahead = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * gradient / (1 - beta1**t)
    theta -= learning_rate * ahead / (np.sqrt(v / (1 - beta2**t)) + epsilon)


OPTIMIZERS = {
    "adam": adam,
    "adamw": adam,
    "momentum": momentum,
    "nadam": nadam,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "sgd": sgd,
}


def step(network, theta, gradient, state, optimizer, learning_rate, mu, l2, l1=0.0, clip=np.inf, average=0.0):
    """One step down the gradient, in place; adamw takes learning_rate * l2 of the weights, for the others l2 is in the gradient.

    A gradient longer than clip is cut down to that. state["average"] becomes the average of theta after all steps so far, each
    weighing `average` times as much as the one after it.
    """
    length = np.sqrt((gradient**2).sum())
    gradient = gradient * (clip / length if length > clip else 1.0)
    penalty = l2_gradient(network, theta, l2)
    if optimizer == "adamw":
        theta -= learning_rate * penalty
        penalty = 0
    OPTIMIZERS[optimizer](theta, gradient + penalty + l1_gradient(network, theta, l1), state, learning_rate, mu)
    steps = state["steps"] = state.get("steps", 0) + 1
    part = (1 - average) / (1 - average**steps)
    state["average"] = state.get("average", 0) * (1 - part) + part * theta


def rate_factors(schedule, epochs, warmup=0, rows=1, power=0.5, decay=None):
    """(epochs,) factors of the learning rate: for each epoch, what the schedule gives for its middle, or for the epochs or rows
    before it."""
    factors = []
    for epoch in range(epochs):
        middle = epoch + 0.5
        part = (middle - warmup) / (epochs - warmup)  # of what comes after the warmup
        past = max(epoch - warmup, 0)
        falling = {"constant": 1.0, "linear": 1 - part, "cosine": (1 + np.cos(np.pi * part)) / 2}
        falling |= {"invscaling": 1 / (1 + past * rows) ** power, "adaptive": 1.0, "plateau": 1.0}
        falling |= {"exponential": decay**past if decay else 0.01**part}
        factors.append(middle / warmup if middle < warmup else falling[schedule])
    return np.array(factors)


def train(
    network,
    theta,
    X,
    targets,
    *,
    row_orders,
    batch_size,
    optimizer="sgd",
    learning_rate,
    mu=0.9,
    l2=0.0,
    sample_weight=None,
    schedule="constant",
    warmup=0,
    l1=0.0,
    clip=np.inf,
    average=0.0,
    dropout=None,
    seed=0,
):
    """Train from theta, one epoch for each order of the rows; gives the new theta and the loss of every epoch.

    batch_size None is the full batch; the last batch of an epoch may be smaller. Sample weights are scaled to mean 1.
    The loss of an epoch is the mean over the samples as each was seen, before the update that it caused, without the
    penalties. With dropout, shares of the units of each hidden layer, both are of what is left of the network; row numbers are
    those of X. With an average, theta is that.
    """
    theta, state, history = theta.copy(), {}, []
    size = batch_size or len(X)
    weights = np.ones(len(X)) if sample_weight is None else sample_weight / np.mean(sample_weight)
    weights = weights.astype(X.dtype)
    factors = rate_factors(schedule, len(row_orders), warmup)
    for epoch, (order, factor) in enumerate(zip(row_orders, factors, strict=True)):
        total = 0.0
        for start in range(0, len(X), size):
            rows = order[start : start + size]
            kept = None if dropout is None else dropout_factors(network, dropout, seed, epoch, rows)
            batch = X[rows], targets[rows], weights[rows], kept
            total += loss(network, theta, *batch) * len(rows)
            gradient = backward(network, theta, *batch)
            step(network, theta, gradient, state, optimizer, factor * learning_rate, mu, l2, l1, clip, average)
        history.append(total / len(X))
    return state["average"] if average else theta, np.array(history)


# -- Full batch, 3-5-1, as lean as NumPy allows: what the speed of fastmlp is measured against -------------------------


def train_351(theta, X, targets, epochs, learning_rate):
    """3-5-1, sigmoids, cross entropy, full batch, in the dtype of X (N, 3); targets (N,) of 0 and 1.

    Samples are columns, so that every row is contiguous and NumPy's loops are long; a row of ones carries the biases;
    one sigmoid per unit and epoch; all large arrays are allocated once. Equal to `train` with sgd and batch_size=None.
    """
    N = len(X)
    v = np.hstack([theta[:15].reshape(3, 5).T, theta[15:20, None]])  # (5, 4): a row for each hidden unit, its bias last
    w = theta[20:].copy()  # (6,): the bias last
    x = np.vstack([X.T, np.ones(N, X.dtype)])
    h, dh = np.ones((6, N), X.dtype), np.empty((5, N), X.dtype)
    hidden = h[:5]
    p, right = np.empty(N, X.dtype), np.empty(N, X.dtype)
    sign, offset = 2 * targets - 1, 1 - targets
    step = X.dtype.type(learning_rate / N)
    history = np.empty(epochs)
    for epoch in range(epochs):
        sigmoid_of_minus(np.matmul(-v, x, out=hidden))
        sigmoid_of_minus(np.matmul(-w, h, out=p))

        np.multiply(p, sign, out=right)  # the chance given to the right class: p for a target of 1, 1 - p for 0
        right += offset
        history[epoch] = -np.log(right, out=right).mean()

        p -= targets
        np.multiply(w[:5, None], p, out=dh)
        w -= step * (h @ p)
        dh *= hidden
        dh *= np.subtract(1, hidden, out=hidden)
        v -= step * (dh @ x.T)
    return np.concatenate([v[:, :3].T.ravel(), v[:, 3], w]), history


def sigmoid_of_minus(z):
    """1 / (1 + exp(z)) in place, the short form: fit for z of moderate size."""
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


# -- The two tutorials, written from their description ----------------------------------------------------------------


def tutorial_a(features, targets, hidden_weights, output_weights, rate=0.2, max_epochs=100, enough=2.0):
    """One 3-3-1 network of the circles and lines: no biases, logistic hidden units, linear output, sample after sample.

    features (N, 3), targets (N,), hidden_weights (3, 3) with a column for each hidden unit, output_weights (3,). The
    loss of a sample is (t - y)^2. Gives both weights and the summed squared error of each epoch; stops when that is
    <= enough.
    """
    v, w = hidden_weights.copy(), output_weights.copy()
    errors = []
    for _ in range(max_epochs):
        summed = 0.0
        for x, t in zip(features, targets, strict=True):
            h = 1 / (1 + np.exp(-(x @ v)))
            y = h @ w
            summed += (t - y) ** 2
            dy = -2 * (t - y)
            dw = dy * h
            dv = np.outer(x, dy * w * h * (1 - h))  # w as it was in the forward pass
            w -= rate * dw
            v -= rate * dv
        errors.append(summed)
        if summed <= enough:
            break
    return v, w, np.array(errors)


def tutorial_b_classifier(X, y, v, b, w, c, rate=1.0, epochs=2000):
    """3-5-1, sigmoids, full batch; X (N, 3), y (N,) of 0 and 1, v (3, 5), b (5,), w (5,), c a number.

    Gives the weights and the mean cross entropy in bits, -y log2 p - (1 - y) log2(1 - p), before each update.
    """
    history = []
    for _ in range(epochs):
        h = 1 / (1 + np.exp(-(X @ v + b)))
        p = 1 / (1 + np.exp(-(h @ w + c)))
        history.append(np.mean(-y * np.log2(p) - (1 - y) * np.log2(1 - p)))
        dz = (p - y) / np.log(2) / len(X)
        dh = np.outer(dz, w) * h * (1 - h)
        v, b, w, c = v - rate * X.T @ dh, b - rate * dh.sum(axis=0), w - rate * h.T @ dz, c - rate * dz.sum()
    return v, b, w, c, np.array(history)


def tutorial_b_regressor(X, y, v, b, w, c, rate=0.01, epochs=1500):
    """3-5-2, sigmoid hidden and linear outputs, full batch; y (N, 2), v (3, 5), b (5,), w (5, 2), c (2,).

    Gives the weights and the mean over the samples of 0.5 (y - y')^2, summed over the outputs, before each update.
    """
    history = []
    for _ in range(epochs):
        h = 1 / (1 + np.exp(-(X @ v + b)))
        error = h @ w + c - y
        history.append(np.mean(np.sum(0.5 * error**2, axis=1)))
        dz = error / len(X)
        dh = dz @ w.T * h * (1 - h)
        v, b, w, c = v - rate * X.T @ dh, b - rate * dh.sum(axis=0), w - rate * h.T @ dz, c - rate * dz.sum(axis=0)
    return v, b, w, c, np.array(history)


# -- Images: one at a time, gray (H, W) uint8 -------------------------------------------------------------------------


def contrast(gray):
    """How far each ink pixel is from the ground; elsewhere 0."""
    distance = from_ground(gray)
    return np.where(distance > 255 / 4, distance, 0)


def from_ground(gray):
    """How far each pixel is from the ground, the most frequent level (the lightest of several)."""
    counts = np.bincount(gray.ravel(), minlength=256)
    ground = 255 - int(counts[::-1].argmax())
    return np.abs(gray.astype(int) - ground)


def ink_features(gray):
    """Shares of a drawing's cells on a 16 x 16 grid (3,): of all cells, in the central 4 x 4, in the ring three cells wide."""
    # Cell i ends where cell i + 1 begins; where both begin at one row, as in an image of fewer than 16 rows, reduceat
    # takes that row alone.
    cells = contrast(gray) > 0
    for axis in (0, 1):
        cells = np.logical_or.reduceat(cells, np.arange(16) * gray.shape[axis] // 16, axis=axis)
    cells = thinned(cells)
    inner = cells[3:13, 3:13]
    return np.array([cells.sum() / 256, cells[6:10, 6:10].sum() / 16, (cells.sum() - inner.sum()) / 156])


def thinned(cells):
    """The strokes of a drawing (H, W) bool, worn down to lines one cell wide.

    A cell is spare where those around it that are ink follow each other, and are two at least: the drawing hangs together without
    it, and it does not end a stroke. All spare cells with none above go at once, then all with none below, to the right, to the
    left, and so on.
    """
    for side in itertools.cycle((2, 6, 0, 4)):
        padded = np.pad(cells, 1)
        around = [padded[1 + y : 1 + y + len(cells), 1 + x : 1 + x + cells.shape[1]] for y, x in AROUND]
        # Yokoi's connectivity number: how many runs of ink begin behind one of the four direct neighbours.
        runs = sum((~around[k] & (around[k + 1] | around[(k + 2) % 8])).astype(int) for k in (0, 2, 4, 6))
        spare = cells & (runs == 1) & (sum(each.astype(int) for each in around) > 1)
        if not spare.any():
            return cells
        cells = cells & ~(spare & ~around[side])


AROUND = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]  # right, above right, above, and on round


def pixel_features(gray):
    """The drawing alone on a grid of 16 x 16 square cells, centred, its longer side 14 cells; (256,), at most 1."""
    weight = contrast(gray)
    if not weight.any():
        return np.zeros(256)
    rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
    top, bottom = rows[0], rows[-1] + 1
    left, right = columns[0], columns[-1] + 1
    s = max(bottom - top, right - left)
    cells = overlaps(top + bottom, s, gray.shape[0]).T @ weight @ overlaps(left + right, s, gray.shape[1])
    return cells.ravel() / cells.max()


def overlaps(ends, s, pixels):
    """Length of pixel y inside cell i (pixels, 16), in fourteenths of a pixel, so that all of it is whole numbers."""
    pixel = 14 * np.arange(pixels)[:, None]
    cell = 7 * ends + (np.arange(16) - 8) * s
    return np.maximum(0, np.minimum(pixel + 14, cell + s) - np.maximum(pixel, cell))


def stroke_features(gray):
    """Of 6 x 6 cells of the drawing, upright and centred, each one's gray and its gradients in eight directions; (324,)."""
    ink = contrast(gray) > 0
    if not ink.any():
        return np.zeros(324)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    ink, weight = ink[box], from_ground(gray)[box]
    weight[weight < 32] = 0
    return cell_features(levels_of(upright(weight, ink)))


def upright(weight, ink):
    """Gray of a drawing on 24 x 24 square cells: most of its slant taken out, its longer side 20 cells.

    The centroid is in the middle, or as near to it as there is room. All lengths are in twentieths of a pixel, whole numbers.
    """
    h, w = weight.shape
    y, x = np.arange(h), np.arange(w)
    total, down, across = (int(each.sum()) for each in (weight, weight.sum(axis=1) * y, weight.sum(axis=0) * x))
    cov = int((weight @ x * y).sum()) / total - down / total * (across / total)
    var = max(int((weight.sum(axis=1) * y * y).sum()) / total - (down / total) ** 2, 0) + 1 / 12
    slant = math.floor(192 * min(max(cov / var, -1), 1) + 0.5)

    def shift(height):
        return slant * (10 * h - height) // 256

    shifts = shift(20 * y + 10)
    inked = np.flatnonzero(ink.any(axis=1))
    left = min(shifts[i] + 20 * int(ink[i].argmax()) for i in inked)
    right = max(shifts[i] + 20 * (w - int(ink[i, ::-1].argmax())) for i in inked)
    side = max(h, -((left - right) // 20))
    middle = (20 * down + 10 * total) // total
    centre = (20 * across + 10 * total) // total + shift(middle)
    top = min(max(middle - 12 * side, 20 * h - 24 * side), 0)
    left = min(max(centre - 12 * side, right - 24 * side), left)
    return sum(
        np.outer(spans(20 * i, 1, top, side)[0], weight[i] @ spans(shifts[i], w, left, side)) for i in range(h) if weight[i].any()
    )


def spans(start, pixels, begin, side):
    """Of so many pixels from `start` on, how much of each lies in each of 24 cells from `begin` on; (pixels, 24)."""
    pixel = start + 20 * np.arange(pixels)[:, None]
    cell = begin + side * np.arange(24)
    return np.maximum(0, np.minimum(pixel + 20, cell + side) - np.maximum(pixel, cell))


def levels_of(picture):
    """A picture (24, 24) as levels of at most 255, with a border of zeros (26, 26)."""
    return np.pad(np.floor(255 * picture / picture.max()), 1)


def gray_features(gray):
    """Of 6 x 6 cells of the whole page, each one's gray and its gradients in eight directions; (324,)."""
    return cell_features(page_levels(gray))


def page_levels(gray):
    """The mean levels of 24 x 24 cells of the whole page in steps of 1/64, with a border that repeats the outermost (26, 26)."""
    sums = parts(gray.shape[0]).T @ gray.astype(int) @ parts(gray.shape[1])
    return np.pad(64 * sums // gray.size, 1, mode="edge")


def colour_features(image):
    """The same of red, green and blue (H, W, 3), or of gray levels (H, W) three times; (972,).

    The grays are relative to the lightest cell of all.
    """
    planes = [page_levels(plane) for plane in (np.moveaxis(image, 2, 0) if image.ndim == 3 else [image] * 3)]
    lightest = max(gray_of_cells(levels).max() for levels in planes)
    return np.concatenate([cell_features(levels, lightest) for levels in planes])


def parts(pixels):
    """How much of each pixel lies in each of 24 equal cells, in parts of 24; (pixels, 24)."""
    pixel, cell = 24 * np.arange(pixels)[:, None], pixels * np.arange(24)
    return np.maximum(0, np.minimum(pixel + 24, cell + pixels) - np.maximum(pixel, cell))


WITHIN = np.maximum(0, 8 - abs(2 * np.arange(24)[:, None] + 1 - 8 * np.arange(6) - 4))  # 1, 3, 5, 7, 7, 5, 3, 1, of each cell


def gray_of_cells(levels):
    return WITHIN.T @ levels[1:-1, 1:-1] @ WITHIN


def cell_features(levels, lightest=0):
    """Gray and gradients in eight directions (Dalal and Triggs 2005) of 6 x 6 cells that overlap, of levels (26, 26); (324,).

    The gray is relative to that of the lightest cell, of these or of others.
    """
    dx, dy = levels[1:-1, 2:] - levels[1:-1, :-2], levels[2:, 1:-1] - levels[:-2, 1:-1]
    # (dx, dy) as a sum of the next two of eight directions, (1, 0), (1, 1), (0, 1), ...; the others have no share.
    straight = [along - abs(beside) for along, beside in ((dx, dy), (dy, dx), (-dx, -dy), (-dy, -dx))]
    slanted = [np.minimum(one, other) for one, other in ((dx, dy), (-dx, dy), (-dx, -dy), (dx, -dy))]
    shares = np.maximum(0, [each for pair in zip(straight, slanted, strict=True) for each in pair])
    gray, sums = gray_of_cells(levels), [WITHIN.T @ plane @ WITHIN for plane in shares]
    strength = sum(sums)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(strength, 1), (3, 3)).sum(axis=(2, 3))
    norm = 8 * around + strength.sum()
    cells = [gray / max(gray.max(), lightest, 1), *(np.sqrt(8 * each / np.maximum(norm, 1)) for each in sums)]
    return np.stack(cells, axis=-1).ravel()


EXTRACTORS = {
    "ink": ink_features,
    "pixels": pixel_features,
    "strokes": stroke_features,
    "gray": gray_features,
    "colour": colour_features,
}


# The largest of what makes copies differ: the tangent of half of the angle, scale, slant, shift, and share of 256.
HALF_TURN, SCALE, SLANT, SHIFT, THICKEN = 0.1316, 0.2, 0.2, 0.08, 192


def distort(gray, ground, seed, number, copy):
    """A copy of an image, of so many: turned, scaled, slanted and shifted; with a ground, not None, thickened or thinned, too.

    Coordinates are whole numbers of 2^-16 pixel, of which sampling takes eight bits.
    """
    key = _hash(_hash(_hash(np.array([seed], np.uint64), number), copy), np.arange(7))
    tangent, tall, wide, slant, down, right, thicker = (key.view(np.int64) >> 11 & 2**53 - 1) / 2**52 - 1
    tangent *= HALF_TURN
    cosine, sine = (1 - tangent * tangent) / (1 + tangent * tangent), 2 * tangent / (1 + tangent * tangent)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    lean = np.array([[1, 0], [SLANT * slant, 1]])
    size = np.diag([1 / (1 + SCALE * tall), 1 / (1 + SCALE * wide)])
    shape = np.array(gray.shape)
    (a, b), (c, d) = _to_whole(2**16 * (turn @ lean @ size))
    top, left = _to_whole(2**16 * (0.5 * shape - 0.5 + SHIFT * shape * [down, right]))
    u, v = np.ogrid[1 - shape[0] : shape[0] : 2, 1 - shape[1] : shape[1] : 2]  # twice the way from the middle
    y, x = (2 * top + a * u + b * v) >> 1, (2 * left + c * u + d * v) >> 1
    lower, right = y >> 8 & 255, x >> 8 & 255

    def level(i, j):
        inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
        nearest = gray[i.clip(0, shape[0] - 1), j.clip(0, shape[1] - 1)].astype(int)
        return nearest if ground is None else np.where(inside, nearest, ground)

    i, j = y >> 16, x >> 16
    above = (256 - right) * level(i, j) + right * level(i, j + 1)
    below = (256 - right) * level(i + 1, j) + right * level(i + 1, j + 1)
    out = ((256 - lower) * above + lower * below + 2**15) >> 16
    if ground is not None:
        share = int(_to_whole((THICKEN + 0.5) * thicker))
        around = np.pad(out, 1, mode="edge")
        cross = np.stack([out, around[:-2, 1:-1], around[1:-1, :-2], around[1:-1, 2:], around[2:, 1:-1]])
        most = np.take_along_axis(cross, (np.sign(share) * abs(cross - ground)).argmax(axis=0)[None], axis=0)[0]
        out = out + ((abs(share) * (most - out) + 128) >> 8)
    return out.astype(np.uint8)


def _to_whole(values):
    return np.floor(values + 0.5).astype(int)


def classify_files(paths, network, theta, classes):
    """The class of each PNG, by its three ink features and the largest output."""
    grays = []
    for path in paths:
        with Image.open(path) as image:
            grays.append(np.asarray(image.convert("L")))
    scores = predict(network, theta, np.array([ink_features(gray) for gray in grays]))
    return [classes[k] for k in scores.argmax(axis=1)]
