"""extractor="auto": the extractor whose network is best on images held out."""

import json

import numpy as np
import pytest
from drawings import QUICK, bar
from pngs import gray_png, png
from sklearn.base import clone

import fastmlp
from fastmlp.images import choosing
from fastmlp.images.choosing import CHOICES, ORDER, choose_extractor
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, EXTRACTORS
from fastmlp.images.folders import classify_folder, train_folder
from fastmlp.images.labelled import labelled_images

HOW = {**QUICK, "validation": 0.25}
FOR_GRAY = ("strokes", "gray", "pixels", "ink")  # the images have no colour


def grating(number, slanted):
    """A texture that runs across a page, or is slanted, at some phase and in some light, with noise."""
    rng = np.random.default_rng([number, slanted])
    y, x = np.mgrid[:24, :24]
    wave = np.sin(2 * np.pi * (x + slanted * y) / 6 + rng.uniform(0, 6))
    light = rng.uniform(80, 170) + rng.uniform(30, 50) * wave + rng.normal(scale=15, size=wave.shape)
    return light.clip(0, 255).astype(np.uint8)


@pytest.fixture
def textures(tmp_path):
    folder = tmp_path / "textures"
    for slanted, name in enumerate(("across", "slanted")):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            (folder / name / f"{number}.png").write_bytes(gray_png(grating(number, slanted)))
    return folder


def test_every_extractor_is_compared_and_the_default_comes_first():
    assert sorted(ORDER) == sorted(EXTRACTORS) and ORDER[0] == DEFAULT_EXTRACTOR and {*CHOICES} == {*EXTRACTORS, "auto"}


@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_what_is_taken_is_trained_as_if_it_had_been_asked_for(textures, method, tmp_path):
    heard = []
    how = {**HOW, "method": method, "refit": True}
    model = train_folder(textures, extractor="auto", on_epoch=lambda epoch, *_: heard.append(epoch) and None, **how)
    compared = model.made_with["validation"]["extractors"]
    assert tuple(compared) == FOR_GRAY and compared == json.loads(json.dumps(compared))
    for name, found in compared.items():
        alone = train_folder(textures, extractor=name, **how)
        measured = alone.made_with["validation"]
        assert found == {"accuracy": measured["accuracy"], "loss": pytest.approx(np.mean(measured["loss"]), rel=1e-12)}
        if name == model.extractor:
            assert [one.theta.tobytes() for one in alone.networks] == [one.theta.tobytes() for one in model.networks]
            assert model.made_with["validation"] == {**measured, "extractors": compared}
    assert model.extractor == max(FOR_GRAY, key=lambda name: (compared[name]["accuracy"], -compared[name]["loss"]))
    assert heard[:60] == list(range(60))
    model.save(tmp_path / "m.npz")
    assert fastmlp.load(tmp_path / "m.npz").made_with["validation"]["extractors"] == compared


def test_gray_is_best_on_textures(textures):
    model = train_folder(textures, extractor="auto", hidden=(8,), epochs=100, seed=0, validation=0.25)
    assert model.extractor == "gray" and model.made_with["validation"]["accuracy"] >= 0.9


def tile(number, reddish):
    """A texture of red or green, whose grays are as those of the other: equal light, and noise."""
    rng = np.random.default_rng([number, reddish])
    light = rng.uniform(90, 140) + rng.normal(scale=15, size=(24, 24))
    weights = (1.4, 0.832, 0.816) if reddish else (0.6, 1.168, 1.184)  # whose luma is that of 1, 1, 1
    return (light[..., np.newaxis] * weights).clip(0, 255).round().astype(np.uint8)


@pytest.fixture
def tiles(tmp_path):
    folder = tmp_path / "tiles"
    for reddish, name in enumerate(("green", "red")):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            (folder / name / f"{number}.png").write_bytes(png(tile(number, reddish), 2))
    return folder


def test_colour_is_best_where_grays_are_alike(tiles):
    model = train_folder(tiles, extractor="auto", hidden=(8,), epochs=100, seed=0, validation=0.5)
    compared = model.made_with["validation"]["extractors"]
    assert tuple(compared) == ORDER and model.extractor == "colour"
    assert compared["colour"]["accuracy"] == 1 and all(compared[name]["accuracy"] < 0.8 for name in FOR_GRAY)
    verdicts = classify_folder(model, tiles)
    assert [model.classes[k] for k in verdicts.scores.argmax(axis=1)] == [path.split("/")[0] for path in verdicts.paths]
    assert model.predict([tile(99, False), tile(99, True)]).tolist() == ["green", "red"]


@pytest.mark.parametrize(
    ("figures", "taken", "why"),
    [
        ([(0.8, 1), (0.7, 0.1), (0.9, 2), (0.8, 0)], "pixels", "the highest accuracy on images held out"),
        ([(0.8, 1), (0.8, 0.5), (0.7, 0.1), (0.8, 2)], "gray", "the smallest loss of the 3 of the highest accuracy"),
        ([(0.7, 0), (0.8, 1), (0.8, 1), (0.8, 2)], "gray", "the first of those that are best"),
        ([(1.0, 0)] * 4, "strokes", "the first of those that are best"),
    ],
)
def test_accuracy_decides_then_the_loss_then_the_order(figures, taken, why, monkeypatch):
    found, told = iter(figures), []
    monkeypatch.setattr(choosing, "_measured_by", lambda *_: next(found))
    monkeypatch.setattr(choosing, "_has_colours", lambda _: False)
    choice = choose_extractor("auto", lambda name: name, {"validation": 0.2}, told.append)
    assert (choice.extractor, choice.data) == (taken, taken)
    assert told[0] == f"extractor strokes: accuracy {figures[0][0]:.4g}, loss {figures[0][1]:.4g}" and len(told) == 6
    assert told[2] == "extractor colour: all images are gray"
    assert told[5].startswith(f"extractor {taken} is taken: {why}")


def test_an_estimator_chooses_among_images_and_its_clone_anew(class_folders):
    images = [bar(upright, number) for upright in (False, True) for number in range(14)]
    labels = ["lying"] * 14 + ["upright"] * 14
    asked = fastmlp.ImageClassifier(extractor="auto", **HOW)
    assert "extractor='auto'" in repr(asked) and clone(asked).extractor == "auto"
    fitted = clone(asked).fit(images, labels)
    same = train_folder(class_folders, extractor="auto", **HOW)
    assert fitted.extractor == same.extractor in ORDER
    assert fitted.networks[0].theta.tobytes() == same.networks[0].theta.tobytes()
    assert fitted.predict(images).tolist() == labels


def test_without_images_held_out_none_can_be_chosen(class_folders):
    data = labelled_images(class_folders)
    for validation in (None, (data.features, data.labels)):
        with pytest.raises(ValueError, match=r"^extractor='auto' needs validation, a fraction of the images to hold out$"):
            train_folder(class_folders, extractor="auto", validation=validation)
    with pytest.raises(ValueError, match=r"^extractor='auto' needs images to choose by; X holds features$"):
        fastmlp.ImageClassifier(extractor="auto", validation=0.2).fit(data.features, data.labels)
    with pytest.raises(ValueError, match=r"extractor must be one of 'auto', .*; got 'auti' \(did you mean 'auto'\?\)"):
        train_folder(class_folders, extractor="auti")


def test_ctrl_c_before_a_choice_leaves_nothing(class_folders, monkeypatch):
    train, calls = choosing.train_labelled, []

    def interrupted(*arguments, **options):
        fitted = train(*arguments, **options)
        calls.append(arguments)
        if len(calls) == 2:
            fitted.networks[0].history.stopped_by = "interrupt"
        return fitted

    monkeypatch.setattr(choosing, "train_labelled", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_folder(class_folders, extractor="auto", **HOW)
    assert len(calls) == 2
