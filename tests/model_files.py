"""What tests of saved models share: networks to save, their files looked into and rewritten, and whether two are the same."""

import json
from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from fastmlp.images.classifier import ImageClassifier
from fastmlp.networks.history import History
from fastmlp.networks.mlp import MLP


def same_array(a, b):
    return (a is None and b is None) or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def members_of(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def header_of(path):
    return json.loads(members_of(path)["header"].tobytes())


def rewrite(path, **arrays):
    """The file again, as numpy.savez writes it, with some of its arrays replaced, and without those that are None."""
    members = members_of(path) | arrays
    np.savez(path, **{name: array for name, array in members.items() if array is not None})


def rewrite_header(path, **fields):
    rewrite(path, header=np.frombuffer(json.dumps(header_of(path) | fields).encode(), np.uint8))


def rewrite_entry(path, **fields):
    """The file again, with some fields of its first network's entry replaced."""
    entry, *others = header_of(path)["networks"]
    rewrite_header(path, networks=[entry | fields, *others])


def assert_refused(path, reason="cannot be read"):
    with pytest.raises(ValueError, match=reason) as caught:
        fastmlp.load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 400


def network(layer_sizes=(3, 4, 2), *, dtype=np.float64, bias=True, output="identity", loss="squared_error", **more):
    count = sum((n_in + bias) * n_out for n_in, n_out in pairwise(layer_sizes))
    theta = np.random.default_rng(7).normal(size=count).astype(dtype)
    activations = ("tanh", "relu", "sigmoid")[: len(layer_sizes) - 2]
    return MLP(layer_sizes, theta, activations=activations, output=output, loss_name=loss, bias=bias, **more)


def history(epochs=3, validated=True, by_accuracy=False):
    losses = np.random.default_rng(8).random((3, epochs))
    return History(losses[0], losses[1] if validated else None, epochs, "epochs", losses[2] if by_accuracy else None)


def image_classifier(method):
    if method == "softmax":
        labels = np.array(["circle", "line"])
        networks = (network((3, 5, 2), output="softmax", loss="cross_entropy", classes=labels, history=history()),)
    else:
        networks = tuple(network((3, 3, 1), bias=False, history=history(epochs)) for epochs in (2, 5))
    return ImageClassifier(["circle", "line"], networks, "ink", method)


def same_network(a, b):
    named = ("layer_sizes", "activations", "output", "loss_name", "bias", "dtype")
    return (
        all(getattr(a, name) == getattr(b, name) for name in named)
        and same_array(a.theta, b.theta)
        and same_array(a.classes, b.classes)
        and (a.history is None) == (b.history is None)
        and (a.history is None or same_history(a.history, b.history))
    )


def same_history(a, b):
    return (
        same_array(a.loss, b.loss)
        and same_array(a.validation_loss, b.validation_loss)
        and same_array(a.validation_accuracy, b.validation_accuracy)
        and (a.epochs, a.stopped_by) == (b.epochs, b.stopped_by)
    )


def round_trip(model, folder):
    model.save(folder / "m.npz")
    return fastmlp.load(folder / "m.npz")
