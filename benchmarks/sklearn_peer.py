"""scikit-learn: MLPClassifier with the settings of the work; it draws its first weights itself."""

import warnings

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neural_network import MLPClassifier

ACTIVATIONS = {"sigmoid": "logistic"}  # the others have our names


def classifier(network, **options):
    return MLPClassifier(network.sizes[1:-1], activation=ACTIVATIONS.get(network.activations[0], network.activations[0]), **options)


def untrained(network, epochs, **options):
    """A classifier that stops after the epochs, converged or not."""
    return classifier(network, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1, random_state=0, **options)


def fit(model, X, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, labels)


def train(network, theta, X, targets, *, epochs, batch_size, optimizer, learning_rate):
    """The mean loss of every epoch."""
    labels = targets[:, 0] if network.output == "sigmoid" else targets.argmax(axis=1)
    model = untrained(
        network, epochs, solver=optimizer, batch_size=batch_size or len(X), learning_rate_init=learning_rate,
        momentum=0, alpha=0, shuffle=False,
    )  # fmt: skip
    return np.array(fit(model, X, labels).loss_curve_)


def search(network, X, labels, held_out, *, learning_rate, l2, epochs, batch_size, optimizer, processes):
    """The best accuracy on the rows held out, of a classifier for each pair of the rates and the penalties."""
    points = {"learning_rate_init": learning_rate, "alpha": [batch_size * x for x in l2]}  # alpha is for a sum over the batch
    model = untrained(network, epochs, solver=optimizer, batch_size=batch_size)
    split = PredefinedSplit(np.where(held_out, 0, -1))
    return fit(GridSearchCV(model, points, cv=split, n_jobs=processes, refit=False), X, labels).best_score_


def digits():
    """The test set of handwritten digits: (1797, 64) pixels from 0 to 1, and (1797,) labels."""
    X, labels = datasets.load_digits(return_X_y=True)
    return X / 16, labels


def predictor(network, theta, X):
    """A function that gives the probabilities of both classes for the rows."""
    model = classifier(network).partial_fit(np.eye(2, X.shape[1], dtype=X.dtype), [0, 1], classes=[0, 1])
    weights, biases = zip(*network.unpack(theta), strict=True)
    model.coefs_, model.intercepts_ = list(weights), list(biases)
    return lambda: model.predict_proba(X)
