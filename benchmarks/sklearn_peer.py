"""scikit-learn: MLPClassifier with the settings of the work; it draws its first weights itself."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

ACTIVATIONS = {"sigmoid": "logistic"}  # the others have our names


def classifier(network, **options):
    return MLPClassifier(network.sizes[1:-1], activation=ACTIVATIONS.get(network.activations[0], network.activations[0]), **options)


def train(network, theta, X, targets, *, epochs, batch_size, optimizer, learning_rate):
    """The mean loss of every epoch."""
    labels = targets[:, 0] if network.output == "sigmoid" else targets.argmax(axis=1)
    model = classifier(
        network, solver=optimizer, batch_size=batch_size or len(X), learning_rate_init=learning_rate, max_iter=epochs,
        momentum=0, alpha=0, shuffle=False, tol=0, n_iter_no_change=epochs + 1, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after the epochs, converged or not
        return np.array(model.fit(X, labels).loss_curve_)


def predictor(network, theta, X):
    """A function that gives the probabilities of both classes for the rows."""
    model = classifier(network).partial_fit(np.eye(2, X.shape[1], dtype=X.dtype), [0, 1], classes=[0, 1])
    weights, biases = zip(*network.unpack(theta), strict=True)
    model.coefs_, model.intercepts_ = list(weights), list(biases)
    return lambda: model.predict_proba(X)
