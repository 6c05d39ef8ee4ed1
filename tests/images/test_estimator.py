"""ImageClassifier as an estimator: it learns from paths, images or features, beside scikit-learn and without it."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from drawings import QUICK, TRUNCATED, bar, write_bars
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import fastmlp
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.extractors import extract
from fastmlp.images.folders import classify_folder, train_folder
from fastmlp.training.options import OPTIONS

NUMBERS = range(14)
IMAGES = [bar(upright, number) for upright in (False, True) for number in NUMBERS]
LABELS = ["lying"] * 14 + ["upright"] * 14
ONES = [0] * 14 + [1] * 14


@pytest.fixture
def paths(class_folders):
    return [class_folders / label / f"{number:03}.png" for label in ("lying", "upright") for number in NUMBERS]


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_fit_makes_what_train_folder_makes(class_folders, paths, method):
    expected = train_folder(class_folders, extractor="ink", method=method, **QUICK)
    for X in (paths, [str(path) for path in paths], np.array(paths), IMAGES, np.array(IMAGES), extract(IMAGES), class_folders):
        classifier = ImageClassifier(extractor="ink", method=method, **QUICK)
        assert classifier.fit(X, None if X is class_folders else LABELS) is classifier
        assert classifier.classes == expected.classes == classifier.classes_.tolist()
        assert classifier.made_with == expected.made_with
        for network, other in zip(classifier.networks, expected.networks, strict=True):
            assert network.theta.tobytes() == other.theta.tobytes()
        assert classifier.score(X, None if X is class_folders else LABELS) == expected.score(class_folders)


def test_predictions_are_those_of_the_networks_whatever_the_images_come_as(paths):
    classifier = ImageClassifier(**QUICK).fit(paths, LABELS)
    features = extract(IMAGES, "strokes")
    for X in (paths, IMAGES, features, features.tolist()):
        assert np.array_equal(classifier.predict_proba(X), classifier.scores(features))
        assert np.array_equal(classifier.predict(X), LABELS)
    verdicts = classify_folder(classifier, paths)
    assert verdicts.labels == LABELS


def test_labels_are_given_back_as_they_came(paths, tmp_path):
    for y in (np.array(ONES), np.array(ONES, bool), np.array(ONES) * 1.0, np.array(ONES)[:, None], np.array(LABELS, object)):
        for method in ("softmax", "one-vs-rest"):
            classifier = ImageClassifier(method=method, **QUICK).fit(paths, y)
            assert classifier.predict(paths).tolist() == np.ravel(y).tolist()
            assert classifier.score(paths, y) == 1
            assert classify_folder(classifier, paths).labels == [str(label) for label in np.ravel(y).tolist()]
            classifier.save(tmp_path / "m.npz")
            loaded = fastmlp.load(tmp_path / "m.npz")
            assert loaded.classes == classifier.classes == list(map(str, classifier.classes_.tolist()))
            assert loaded.classes_.tolist() == classifier.classes_.tolist()
            assert loaded.predict(paths).tolist() == np.ravel(y).tolist()


def test_numbers_are_evaluated_on_folders_of_their_names(tmp_path):
    write_bars(tmp_path / "2", True, NUMBERS)
    write_bars(tmp_path / "10", False, NUMBERS)
    classifier = ImageClassifier(**QUICK).fit(IMAGES, np.repeat([10, 2], 14))
    assert classifier.classes_.tolist() == [2, 10] and classifier.classes == ["2", "10"]
    assert classifier.score(tmp_path) == 1
    write_bars(tmp_path / "3", True, NUMBERS)
    with pytest.raises(ValueError, match=r"has images of 3, but the model knows 2, 10$"):
        classifier.score(tmp_path)


def test_weights_of_images_are_those_of_training_and_of_the_score():
    weights = np.repeat([1.0, 0.0], 14)
    classifier = ImageClassifier(**QUICK).fit(IMAGES, LABELS, sample_weight=weights)
    network = fastmlp.train(extract(IMAGES, "strokes"), LABELS, output="softmax", sample_weight=weights, **QUICK)
    assert classifier.networks[0].theta.tobytes() == network.theta.tobytes()
    right = classifier.predict(IMAGES) == LABELS
    assert right[:14].all() and classifier.score(IMAGES, LABELS) == right.mean() and classifier.score(IMAGES, LABELS, weights) == 1


def test_each_epoch_is_told():
    losses = []
    ImageClassifier(**QUICK | {"epochs": 3}).fit(IMAGES, LABELS, on_epoch=lambda epoch, loss, _: losses.append(loss))
    assert len(losses) == 3


def test_parameters_are_the_options_of_training():
    classifier = ImageClassifier(hidden=8, seed=0)
    parameters = classifier.get_params()
    beside = {"extractor": "strokes", "method": "softmax", "refit": False, "formats": None, "on_error": "skip", "augment": 0}
    of_train = {name: option.default for name, option in OPTIONS.items() if "train" in option.of}
    assert parameters | {"sample_weight": None, "on_epoch": None} == beside | of_train | {"hidden": 8, "seed": 0}
    assert repr(classifier) == "ImageClassifier(hidden=8, seed=0)"
    assert classifier.set_params(hidden=3, extractor="ink") is classifier
    assert repr(classifier) == "ImageClassifier(extractor='ink', hidden=3, seed=0)"
    for copied in (clone(classifier), copy.copy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert copied is not classifier and copied.get_params() == classifier.get_params() and repr(copied) == repr(classifier)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"validation": 0.25, "refit": True, "class_weight": "balanced", "batch_size": None},
        {"method": "one-vs-rest", "dtype": "float32", "activation": ("tanh", "silu")},
        {"hidden": (), "loss": "squared_error", "output": "sigmoid", "task": "classification", "data_seed": 5},
        {"method": "one-vs-rest", "validation": 0.25, "patience": 2, "loss": "huber", "huber_delta": 0.5, "bias": False},
    ],
    ids=str,
)
def test_a_clone_of_a_loaded_one_learns_the_same_from_the_same_images(options, tmp_path):
    classifier = ImageClassifier(**{**QUICK, "hidden": (4, 3), "seed": None, **options}).fit(IMAGES, LABELS)
    classifier.save(tmp_path / "m.npz")
    for made in (fastmlp.load(tmp_path / "m.npz"), replace(classifier)):
        again = clone(made).fit(IMAGES, LABELS)
        assert again.made_with == classifier.made_with
        for network, other in zip(again.networks, classifier.networks, strict=True):
            assert network.theta.tobytes() == other.theta.tobytes()
    assert clone(classifier).get_params()["seed"] is None


def test_what_a_file_cannot_tell_is_not_left_out_silently(tmp_path):
    first = ImageClassifier(**QUICK).fit(IMAGES, LABELS).networks[0]
    ImageClassifier(**QUICK | {"init": first}).fit(IMAGES, LABELS).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"init must be one of .*; got 'MLP"):
        clone(fastmlp.load(tmp_path / "m.npz")).fit(IMAGES, LABELS)


def test_what_is_no_parameter_is_refused():
    for name, hint in [
        ("hiden", "did you mean 'hidden'"),
        ("sample_weight", "did you mean 'class_weight'"),
        ("on_epoch", "did you mean 'epochs'"),
    ]:
        with pytest.raises(TypeError, match=f"ImageClassifier has no option '{name}' .{hint}"):
            ImageClassifier(**{name: 1})
        with pytest.raises(ValueError, match=f"ImageClassifier has no option '{name}' .{hint}"):
            ImageClassifier().set_params(**{name: 1})


def test_networks_stay_until_another_extractor_or_method_is_set():
    classifier = ImageClassifier(**QUICK).fit(IMAGES, LABELS)
    networks = classifier.networks
    assert classifier.set_params(hidden=3, extractor="strokes", method="softmax").networks is networks
    assert not hasattr(classifier.set_params(extractor="ink"), "networks")
    assert classifier.fit(IMAGES, LABELS).networks[0].layer_sizes == (3, 3, 2)


def test_before_it_has_learned_it_has_no_networks():
    classifier = ImageClassifier(**QUICK)
    for use in (lambda: classifier.classes_, lambda: classifier.predict(IMAGES), lambda: classifier.score(IMAGES, LABELS)):
        with pytest.raises(AttributeError, match=r"^this ImageClassifier has no \w+ yet: call fit"):
            use()
    for use in (lambda: check_is_fitted(classifier), lambda: classifier.predict(IMAGES)):
        with pytest.raises(NotFittedError):
            use()
    check_is_fitted(classifier.fit(IMAGES, LABELS))
    with pytest.raises(AttributeError, match="no attribute 'lables'"):
        _ = classifier.lables


def test_bad_input_is_told_in_a_sentence(paths):
    for X, y, message in [
        (paths, None, "y must hold a label for each image"),
        (paths[0].parent.parent, LABELS, "y must be left out where X is a folder"),
        (paths, LABELS[:-1], "X and y must have the same number of rows; got 28 and 27"),
        (paths, ["lying"] * 28, "y must hold at least two classes"),
        (paths, ["a\ud800"] * 14 + ["b"] * 14, "y must hold labels that can name a folder"),
        (np.zeros((28, 7)), LABELS, r"X must hold paths .* or rows of 324 features for 'strokes'; got an array \(28, 7\)"),
        (5, LABELS, "X must hold paths of image files, or images"),
    ]:
        with pytest.raises(ValueError, match=message):
            ImageClassifier(**QUICK).fit(X, y)
    for parameters, message in [
        ({"extractor": "inc"}, "extractor must be one of"),
        ({"method": "ensemble"}, "method must be one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            ImageClassifier(**parameters).fit(extract(IMAGES), LABELS)


def test_a_file_that_cannot_be_read_is_named(paths):
    classifier = ImageClassifier(on_error="raise", **QUICK).fit(paths, LABELS)
    paths[3].write_bytes(TRUNCATED)
    for use in (lambda: classifier.predict(paths), lambda: classifier.fit(paths, LABELS), lambda: classifier.score(paths, LABELS)):
        with pytest.raises(fastmlp.ImageError, match=f"^{paths[3]} is truncated$"):
            use()


def test_there_are_no_probabilities_of_one_vs_rest():
    classifier = ImageClassifier(method="one-vs-rest", **QUICK).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="predict_proba needs method='softmax'"):
        classifier.predict_proba(IMAGES)


# -- within scikit-learn ----------------------------------------------------------------------------------------------------------


@pytest.mark.versions
def test_folds_are_scored_as_they_are_by_hand(paths):
    classifier = ImageClassifier(**QUICK | {"epochs": 3})
    assert is_classifier(classifier)
    order = np.arange(28).reshape(2, 14).T.ravel()
    folds = [(np.delete(order, part), order[part]) for part in (slice(0, 14), slice(14, 28))]
    by_hand = [
        accuracy_score(
            np.array(LABELS)[held],
            clone(classifier).fit(np.array(IMAGES)[kept], np.array(LABELS)[kept]).predict(np.array(IMAGES)[held]),
        )
        for kept, held in folds
    ]
    for X in (paths, IMAGES, np.array(IMAGES)):
        assert cross_val_score(classifier, X, LABELS, cv=folds).tolist() == by_hand
    assert cross_val_predict(classifier, paths, LABELS, cv=2, method="predict_proba").shape == (28, 2)


def test_a_search_tries_extractors_and_options_of_training(paths):
    grid = {"extractor": ["ink", "pixels"], "hidden": [2, (4, 3)]}
    search = GridSearchCV(ImageClassifier(**QUICK), grid, cv=2, scoring="neg_log_loss", error_score="raise").fit(paths, LABELS)
    best = search.best_estimator_
    assert isinstance(best, ImageClassifier) and search.best_params_.items() <= best.get_params().items()
    assert np.array_equal(search.predict(paths), best.predict(paths))
    with pytest.raises(ValueError, match="ImageClassifier has no option 'hiden'"):
        GridSearchCV(ImageClassifier(), {"hiden": [2]}, error_score="raise").fit(paths, LABELS)


def test_it_lives_in_pipelines_and_among_others():
    features = extract(IMAGES)
    pipeline = make_pipeline("passthrough", ImageClassifier(extractor="ink", **QUICK))
    assert "ImageClassifier" in repr(pipeline) and "ImageClassifier" in pipeline._repr_html_()
    assert pipeline.fit(features, LABELS).score(features, LABELS) == pipeline[-1].score(IMAGES, LABELS)
    voters = [("images", ImageClassifier(extractor="ink", **QUICK)), ("logistic", LogisticRegression())]
    vote = VotingClassifier(voters, voting="soft").fit(features, LABELS)
    parts = [vote.named_estimators_[name].predict_proba(features) for name, _ in voters]
    np.testing.assert_allclose(vote.predict_proba(features), np.mean(parts, axis=0))


@pytest.mark.versions
def test_weights_of_images_are_routed():
    weights = np.repeat([1.0, 0.0], 14)
    features, classifier = extract(IMAGES), ImageClassifier(extractor="ink", **QUICK)
    plain, weighed = (clone(classifier).fit(features, LABELS, sample_weight=given).networks[0].theta for given in (None, weights))
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            make_pipeline(classifier).fit(features, LABELS, sample_weight=weights)
        scaler = StandardScaler(with_mean=False, with_std=False).set_fit_request(sample_weight=True)
        for wanted, expected in ((True, weighed), (False, plain)):
            asked = clone(classifier.set_fit_request(sample_weight=wanted).set_score_request(sample_weight=True))
            fitted = make_pipeline(scaler, asked).fit(features, LABELS, sample_weight=weights)
            assert np.array_equal(fitted[-1].networks[0].theta, expected)
        assert fitted.score(features, LABELS, sample_weight=weights) == fitted[-1].score(features, LABELS, weights)
    pickle.loads(pickle.dumps(asked)).fit(features, LABELS)


def test_scikit_learn_is_not_imported():
    code = """
import sys
import numpy as np
import fastmlp
images = np.random.default_rng(0).integers(0, 256, (8, 4, 4), np.uint8)
classifier = fastmlp.ImageClassifier(hidden=2, epochs=1, seed=0).fit(images, [0, 1] * 4)
classifier.predict(images), classifier.set_params(**classifier.get_params()), repr(classifier)
try:
    fastmlp.ImageClassifier().predict(images)
except ValueError as error:
    assert str(error) == "this ImageClassifier has no classes_ yet: call fit with images and their labels"
sys.exit("sklearn" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
