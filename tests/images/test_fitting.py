"""How a classifier is trained: one network or one for each class, what is held out, and all images after that."""

import numpy as np
import pytest
from drawings import QUICK, bar, calibrated, write_bars

from fastmlp import DivergedError
from fastmlp.images import fitting
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.extractors import extract
from fastmlp.images.folders import train_folder
from fastmlp.images.labelled import labelled_images
from fastmlp.training.data import split
from fastmlp.training.many import train_many
from fastmlp.training.train import train


def test_one_vs_rest_trains_each_class_towards_one(flat):
    classifier = train_folder(flat, extractor="ink", method="one-vs-rest", **QUICK)
    features = extract([bar(False, 2), bar(True, 0), bar(False, 3), bar(True, 1)])
    for index, targets in enumerate([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]):
        own = train(features, np.array(targets), task="regression", **QUICK | {"seed": QUICK["seed"] + index})
        # Side by side, sums may be rounded otherwise: train_many promises 1e-9 for a short training in float64.
        np.testing.assert_allclose(classifier.networks[index].theta, own.theta, rtol=1e-9)
        np.testing.assert_allclose(classifier.scores(features)[:, index], own.predict(features), rtol=0, atol=1e-9)


def test_a_list_describes_the_layers_of_each_network_of_one_vs_rest(flat):
    options = {"hidden": [4, 3], "activation": ["tanh", "relu"], "epochs": 1}
    for network in train_folder(flat, method="one-vs-rest", **options).networks:
        assert (network.layer_sizes, network.activations) == ((256, 4, 3, 1), ("tanh", "relu"))


def test_a_network_of_one_vs_rest_that_diverges_is_an_error(flat):
    rates = {"optimizer": "sgd", "activation": "identity", "learning_rate": [0.01, 1e300]}
    with pytest.raises(DivergedError):
        train_folder(flat, method="one-vs-rest", seed=0, epochs=5, **rates)


def test_one_vs_rest_also_takes_networks_that_classify(class_folders):
    classifier = train_folder(class_folders, extractor="pixels", method="one-vs-rest", task="classification", **QUICK)
    scores = classifier.scores(extract([bar(False, 2), bar(True, 5)], "pixels"))
    assert scores.shape == (2, 2)
    assert scores.argmax(axis=1).tolist() == [0, 1]
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_ctrl_c_leaves_the_classifier_of_the_whole_epochs(class_folders, method):
    def interrupt(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted after 3 of 60 epochs"):
        classifier = train_folder(class_folders, method=method, on_epoch=interrupt, **QUICK)
    whole = train_folder(class_folders, method=method, **QUICK | {"epochs": 3})
    for network, same in zip(classifier.networks, whole.networks, strict=True):
        assert (network.history.stopped_by, network.history.epochs) == ("interrupt", 3)
        assert np.array_equal(network.theta, same.theta)


@pytest.mark.parametrize("index", [0, 1])
def test_ctrl_c_among_the_networks_of_one_vs_rest_leaves_no_half_classifier(class_folders, monkeypatch, index):
    def interrupted(*arguments, **options):
        population = train_many(*arguments, **options)
        population.history.stopped_by[index] = "interrupt"
        population.history.epochs[index] = 0
        return population

    monkeypatch.setattr(fitting, "train_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_folder(class_folders, method="one-vs-rest", epochs=1)
    assert isinstance(train_folder(class_folders, epochs=1), ImageClassifier)


LIVELY = {"hidden": 4, "learning_rate": 0.3, "epochs": 12, "seed": 3}  # whose last epoch is not the best one


def test_of_a_fraction_held_out_the_best_weights_are_kept_and_their_figures_told(class_folders):
    classifier = train_folder(class_folders, extractor="ink", validation=0.25, **LIVELY)
    data = labelled_images(class_folders, "ink")
    network = train(data.features, data.labels, output="softmax", validation=0.25, patience=12, **LIVELY)
    assert np.array_equal(classifier.networks[0].theta, calibrated(network, classifier))
    _, held = split(28, data.labels, 0.25, 3)
    losses, temperature = network.history.validation_loss, classifier.made_with["validation"]["temperature"]
    assert 0.2 < temperature < 5 and temperature != 1
    assert len(held) == 8 and 0 < losses.argmin() < 11
    assert classifier.made_with["validation"] == {
        "images": 8, "accuracy": np.mean(network.predict(data.features[held]) == data.labels[held]), "loss": losses.min(),
        "best_epoch": losses.argmin() + 1, "epochs": 12, "stopped_by": "epochs", "refit": False, "temperature": temperature,
    }  # fmt: skip


def test_the_best_epoch_may_be_that_of_the_highest_accuracy(class_folders):
    lively = LIVELY | {"seed": 5}
    options = {**lively, "validation": 0.25, "monitor": "accuracy", "extractor": "ink"}
    classifier = train_folder(class_folders, **options)
    (history,), found = classifier.histories, classifier.made_with["validation"]
    best = int(history.validation_accuracy.argmax())
    assert (found["best_epoch"], found["accuracy"]) == (best + 1, history.validation_accuracy[best])
    assert found["loss"] == history.validation_loss[best] and best != history.validation_loss.argmin()
    again = train_folder(class_folders, refit=True, **options)
    data = labelled_images(class_folders, "ink")
    network = train(data.features, data.labels, output="softmax", **lively | {"epochs": best + 1})
    assert again.networks[0].theta.tobytes() == calibrated(network, again).tobytes()
    with pytest.raises(ValueError, match="monitor='accuracy' needs method='softmax'"):
        train_folder(class_folders, method="one-vs-rest", **options)


def test_refit_trains_on_all_images_for_as_many_epochs_as_were_best(class_folders):
    data = labelled_images(class_folders, "ink")
    first = train_folder(class_folders, extractor="ink", validation=0.25, **LIVELY)
    again = train_folder(class_folders, extractor="ink", validation=0.25, patience=9, refit=True, **LIVELY)
    best = first.made_with["validation"]["best_epoch"]
    network = train(data.features, data.labels, output="softmax", **LIVELY | {"epochs": best})
    assert again.networks[0].theta.tobytes() == calibrated(network, again).tobytes()
    assert again.made_with["validation"] == first.made_with["validation"] | {"refit": True}
    assert again.made_with["options"]["epochs"] == 12 and again.made_with["options"]["patience"] == 9


def test_refit_trains_each_network_of_one_vs_rest_for_its_own_epochs(class_folders):
    write_bars(class_folders / "both", True, range(0, 14, 2))
    write_bars(class_folders / "both", False, range(1, 14, 2))
    data = labelled_images(class_folders, "ink")
    classifier = train_folder(class_folders, extractor="ink", method="one-vs-rest", validation=0.25, refit=True, **LIVELY)
    found = classifier.made_with["validation"]
    assert found["images"] == 12 and found["refit"] and len(set(found["best_epoch"])) > 1
    for index, (label, epochs) in enumerate(zip(classifier.classes, found["best_epoch"], strict=True)):
        options = LIVELY | {"seed": 3 + index, "epochs": epochs}
        alone = train_many(data.features, (data.labels == label) * 1.0, members=1, task="regression", **options)[0]
        assert classifier.networks[index].theta.tobytes() == alone.theta.tobytes()


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_ctrl_c_while_training_on_all_images_leaves_what_was_trained_before(class_folders, method):
    def interrupt(epoch, loss, validation_loss):
        if validation_loss is None:
            raise KeyboardInterrupt

    options = {"method": method, "validation": 0.25, **LIVELY}
    with pytest.warns(RuntimeWarning, match="training on all images was interrupted") as warned:
        classifier = train_folder(class_folders, refit=True, on_epoch=interrupt, **options)
        ImageClassifier(refit=True, **options).fit(class_folders, on_epoch=interrupt)
    assert [one.filename for one in warned] == [__file__] * 2  # they point to the calls
    before = train_folder(class_folders, **options)
    assert classifier.made_with["validation"] == before.made_with["validation"] | {"refit": "interrupted"}
    for network, same in zip(classifier.networks, before.networks, strict=True):
        assert network.theta.tobytes() == same.theta.tobytes() and network.history.stopped_by == "epochs"


def test_after_ctrl_c_nothing_is_trained_on_all_images(class_folders):
    def interrupt(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="training was interrupted"):
        classifier = train_folder(class_folders, refit=True, on_epoch=interrupt, validation=0.25, **LIVELY)
    assert classifier.networks[0].history.stopped_by == "interrupt"
    assert classifier.made_with["validation"]["refit"] is False


def test_refit_without_images_held_out_is_refused(class_folders):
    for options in {}, {"validation": (np.zeros((2, 256)), ["lying", "upright"])}:
        with pytest.raises(ValueError, match="refit=True needs validation, a fraction"):
            train_folder(class_folders, refit=True, **options)


def test_a_classifier_tells_what_it_was_made_with(class_folders, tmp_path):
    first = train_folder(class_folders, epochs=2, l2=0.01)
    assert first.made_with["images"] == {"lying": 14, "upright": 14} and first.made_with["rows"] == 28
    assert first.made_with["options"]["optimizer"] == "adam" and first.made_with["options"]["l2"] == 0.01
    again = train_folder(class_folders, epochs=2, l2=0.01, seed=first.made_with["seed"])
    assert again.networks[0].theta.tobytes() == first.networks[0].theta.tobytes()
    assert again.made_with == first.made_with
