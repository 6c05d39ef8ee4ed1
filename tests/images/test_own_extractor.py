"""Extractors of one's own: what they are given, what they may give, and models that were trained with them."""

import copy
import pickle
import re
from functools import partial

import numpy as np
import pytest
from drawings import QUICK, ROOT, THREADS, TRUNCATED, same, write_bars
from model_files import rewrite_header

import fastmlp
from fastmlp.images import content, reading
from fastmlp.images.extractors import EXTRACTORS, extract, extractor_of
from fastmlp.images.own_extractor import function_name


def sums(image):
    """Of the rows and of the columns of small pages."""
    return [*(255.0 - image).sum(axis=1), *(255.0 - image).sum(axis=0)]


def widths(image):
    return [255 - image.min(), image.shape[1]]


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, image):
        return self.factor * np.array(sums(image))

    def of(self, image):
        return self(image)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of bars, and what was trained on it."""
    folder = tmp_path_factory.mktemp("bars")
    write_bars(folder / "upright", True, range(14))
    write_bars(folder / "lying", False, range(14))
    return folder, fastmlp.train_folder(folder, extractor=sums, **QUICK)


def test_a_photograph_among_pngs_is_read_once(monkeypatch, tmp_path):
    from PIL import Image

    monkeypatch.setattr(reading, "is_compiled", lambda kernel: True)
    write_bars(tmp_path, True, range(3))
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "photo.jpg")
    read, read_at = [], content.read_at

    def counted(file, at, count):
        data = read_at(file, at, count)
        read.append(len(data))
        return data

    monkeypatch.setattr(content, "read_at", counted)
    fastmlp.extract_features(tmp_path, lambda gray: gray.mean(axis=0)[:4], threads=1)
    assert sum(read) == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("threads", THREADS)
def test_all_images_are_given_to_it_as_they_are_read(threads, compiled, monkeypatch, tmp_path):
    from PIL import Image

    monkeypatch.setattr(reading, "is_compiled", lambda kernel: compiled)
    write_bars(tmp_path, True, range(70))  # more than a chunk, of which the first has none that can be read
    for number in range(64):
        (tmp_path / f"{number:03}.png").write_bytes(TRUNCATED)
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1000), np.uint8)  # more than the compiled reader takes
    Image.fromarray(noise).save(tmp_path / "large.png")
    Image.fromarray(noise[:40, :50]).save(tmp_path / "photo.jpg")
    (tmp_path / "text.txt").write_text("text")
    names, features, errors = fastmlp.extract_features(tmp_path, widths, threads=threads)
    assert names == [*(f"{number:03}.png" for number in range(64, 70)), "large.png", "photo.jpg"] and len(errors) == 64
    assert features.dtype == np.float64 and features.shape == (8, 2)
    assert np.array_equal(features, [widths(fastmlp.read_image(tmp_path / name)) for name in names])


def test_arrays_are_given_to_it_as_copies():
    images = [np.full((3, 4), 7, np.uint8), np.full((2, 5), 9, np.uint8)]
    images[0].setflags(write=False)

    def greedy(image):
        image[:] = 1
        return image.shape

    assert extract(images, greedy).tolist() == [[3, 4], [2, 5]] and images[1].max() == 9
    assert extract([], greedy).shape == (0, 0)


def test_it_serves_in_the_place_of_a_name(trained):
    folder, classifier = trained
    again = fastmlp.ImageClassifier(extractor=sums, **QUICK).fit(folder)
    features, labels = classifier.networks[0].layer_sizes[0], ["upright"] * 2
    assert features == 32 and again.networks[0].theta.tobytes() == classifier.networks[0].theta.tobytes()
    paths = [folder / "upright" / "000.png", folder / "upright" / "001.png"]
    images = [fastmlp.read_image(path) for path in paths]
    for X in (paths, images, extract(images, sums)):
        assert classifier.predict_proba(X).tobytes() == classifier.predict_proba(paths).tobytes()
        assert classifier.evaluate(X, labels).support.sum() == 2
    assert classifier.evaluate(folder).accuracy == classifier.score(folder) > 0.9
    one, other = (fastmlp.classify_folder(classifier, folder, threads) for threads in (1, 2))
    same(one, other)
    review = fastmlp.review_folder(folder, extractor=sums, cv=2, **QUICK)
    assert len(review.paths) == 28
    for method in ("softmax", "one-vs-rest"):
        rows = fastmlp.ImageClassifier(extractor=sums, method=method, **QUICK).fit(np.eye(4).repeat(3, axis=0), [0, 1] * 6)
        assert rows.networks[0].layer_sizes[0] == 4  # of rows, nobody but their caller knows what they are


def test_the_file_has_its_name_and_asks_for_it(trained, tmp_path):
    folder, classifier = trained
    name = f"{__name__}:sums"
    assert classifier.made_with["extractor"] == function_name(sums) == name
    for path in (tmp_path / "m.npz", tmp_path / "m.json"):
        classifier.save(path) if path.suffix == ".npz" else classifier.export(path)
        give = "give it in Python: fastmlp.load(path, extractor=sums)"
        told = re.escape(f"{path} was trained with an extractor of one's own, {name}; {give}")
        for call in (fastmlp.load, partial(fastmlp.classify_folder, source=folder)):
            with pytest.raises(ValueError, match=f"^{told}$"):
                call(path)
        again = fastmlp.load(path, extractor=sums)
        same(fastmlp.classify_folder(again, folder), fastmlp.classify_folder(classifier, folder))
        assert again.extractor is sums and again.made_with == classifier.made_with
        moved = fastmlp.load(path, extractor=lambda image: sums(image))
        same(fastmlp.classify_folder(moved, folder), fastmlp.classify_folder(classifier, folder))
        assert "<lambda>, softmax" in repr(moved) and moved.made_with["extractor"] == name
        with pytest.raises(ValueError, match=r"extractor must be a function .*; got 'strokes'"):
            fastmlp.load(path, extractor="strokes")
        wrong = fastmlp.load(path, extractor=widths)
        with pytest.raises(ValueError, match=r"widths must give as many numbers for each image, 32; of .*000\.png it gave 2$"):
            fastmlp.classify_folder(wrong, folder)


def test_who_needs_none_takes_none(tmp_path):
    fastmlp.train([[0.0], [1.0]], [0, 1], hidden=2, epochs=1).save(tmp_path / "m.npz")
    for path in (tmp_path / "m.npz", ROOT / "tests" / "saved" / "softmax.npz"):
        with pytest.raises(ValueError, match="extractor is for image classifiers that were trained with a function"):
            fastmlp.load(path, extractor=sums)


def test_it_is_shown_by_its_name_and_is_a_parameter(trained):
    _, classifier = trained
    name = f"{__name__}:sums"
    assert repr(classifier) == f"<ImageClassifier of lying, upright; {name}, softmax>" and name in classifier._repr_html_()
    assert repr(fastmlp.ImageClassifier(extractor=sums, seed=0)) == f"ImageClassifier(extractor={name}, seed=0)"
    assert classifier.get_params()["extractor"] is sums
    for same_one in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert same_one.extractor is sums and repr(same_one) == repr(classifier)
    unfitted = copy.deepcopy(classifier).set_params(extractor=widths)
    assert unfitted.extractor is widths and not unfitted.__sklearn_is_fitted__()
    base = pytest.importorskip("sklearn.base")
    assert base.clone(classifier).get_params()["extractor"] is sums


def test_whatever_can_be_called_has_a_name():
    names = {
        f"{__name__}:sums": partial(partial(sums)),
        f"{__name__}:Scaled": Scaled(2),
        f"{__name__}:Scaled.of": Scaled(2).of,
        "builtins:len": len,
    }
    assert {name: function_name(function) for name, function in names.items()} == {name: name for name in names}
    assert not [name for name in EXTRACTORS if ":" in name]
    with pytest.raises(ValueError, match="extractor must be one of"):
        extractor_of(f"{__name__}:sums")
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert extract([image], Scaled(2))[0].tolist() == [2 * value for value in sums(image)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "must give a vector of numbers; of .* it gave 3$"),
        ([], "must give a vector of numbers"),
        ("text", "must give a vector of numbers; of .* it gave 'text'$"),
        ([[1], [2]], "must give a vector of numbers"),
        ([[1], [2, 3]], "must give a vector of numbers"),
        ([1j], "must give a vector of numbers"),
        ([0.0, np.inf], "must give finite numbers; of .* it gave inf at 1$"),
    ],
)
def test_it_has_to_give_a_vector_of_finite_numbers(given, told, trained):
    folder, _ = trained
    with pytest.raises(ValueError, match=told) as caught:
        fastmlp.train_folder(folder, extractor=lambda image: given)
    assert str(folder / "lying" / "000.png") in str(caught.value)
    with pytest.raises(ValueError, match=rf"of X\[0\] it gave|{told}"):
        fastmlp.ImageClassifier(extractor=lambda image: given).fit([np.zeros((4, 4), np.uint8)] * 4, [0, 1, 0, 1])


@pytest.mark.parametrize("threads", THREADS)
def test_all_vectors_are_of_one_length(threads, tmp_path):
    write_bars(tmp_path, True, range(70))
    for different in (3, 67):  # in the first chunk, and in another one

        def changing(image, level=different % 60):
            return [0.0] * (2 if image.min() == level else 3)

        told = rf"must give as many numbers for each image, 3; of {tmp_path}/{different:03}\.png it gave 2$"
        if different == 67:
            (tmp_path / "003.png").unlink()
            (tmp_path / "007.png").unlink()
        with pytest.raises(ValueError, match=told):
            fastmlp.extract_features(tmp_path, changing, threads=threads)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), fastmlp.ImageError("mine"), OSError("mine")])
def test_what_it_raises_is_raised_and_names_the_image(error, trained):
    folder, classifier = trained

    def failing(image):
        raise type(error)(*error.args)

    image = folder / "lying" / "000.png"
    wrong = fastmlp.ImageClassifier(classifier.classes, classifier.networks, failing)
    for call in (
        lambda: fastmlp.train_folder(folder, extractor=failing),
        lambda: fastmlp.extract_features(folder, failing),
        lambda: wrong.predict([image]),
        lambda: next(wrong.classify(folder)),
    ):
        with pytest.raises(type(error), match=r"^mine") as caught:
            call()
        assert caught.value.__notes__ == [f"raised by the extractor {function_name(failing)}, given {image}"]


def test_images_in_an_archive_are_given_to_it_too(trained, tmp_path):
    import shutil

    folder, classifier = trained
    archive = shutil.make_archive(str(tmp_path / "bars"), "zip", folder)
    assert (
        fastmlp.train_folder(archive, extractor=sums, **QUICK).networks[0].theta.tobytes() == classifier.networks[0].theta.tobytes()
    )
    with pytest.raises(ValueError, match=re.escape(f"of {archive}: lying/000.png it gave 3")):
        fastmlp.extract_features(archive, lambda image: 3)


@pytest.mark.parametrize("name", ["a:\n\x1b[31m", ":", "m:" + "f" * 5000, "m:f.<locals>.g h"])
def test_whatever_name_a_file_has_is_told_in_one_short_line(name, trained, tmp_path):
    _, classifier = trained
    classifier.save(tmp_path / "m.npz")
    rewrite_header(tmp_path / "m.npz", extractor=name)
    with pytest.raises(ValueError, match=r"extractor=\w+\)$") as caught:
        fastmlp.load(tmp_path / "m.npz")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500
    assert fastmlp.load(tmp_path / "m.npz", extractor=sums).extractor is sums
