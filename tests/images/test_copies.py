"""augment=n: copies of images to learn from, which are made by what is read of an image, and never measured."""

import io
import tarfile

import numpy as np
import pytest
from drawings import QUICK, THREADS, bar, calibrated, write_bars
from PIL import Image
from pngs import gray_png
from sklearn.base import clone

import fastmlp
from benchmarks import reference
from fastmlp import ImageClassifier, checks, train, train_folder, train_many
from fastmlp.images.copies import AT_ONCE, Augmentation, augmentation, copies_of, features_of_copies
from fastmlp.images.extractors import EXTRACTORS, extract
from fastmlp.images.labelled import labelled_images
from fastmlp.images.learnable import to_learn_from
from fastmlp.training.data import split

IMAGES = [bar(upright, number) for upright in (False, True) for number in range(14)]
LABELS = ["lying"] * 14 + ["upright"] * 14
HOW = {**QUICK, "extractor": "ink", "epochs": 12}
THREE = Augmentation(3, QUICK["seed"])


def rows_of(images, extractor="ink", how=THREE):
    """Those of images, each with its copies behind it."""
    rows = [
        [extract([image], extractor), features_of_copies(image, EXTRACTORS[extractor], how, EXTRACTORS[extractor].size)]
        for image in images
    ]
    return np.concatenate([part for both in rows for part in both])


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_copies_are_those_of_the_reference_as_the_extractor_sees_the_ground(extractor):
    image = np.random.default_rng(0).integers(0, 256, (9, 14)).astype(np.uint8)
    image[:, 3:9] = 211
    planes = image[None].repeat(EXTRACTORS[extractor].channels, axis=0)
    ground, number = 211 if EXTRACTORS[extractor].ground else None, checksum(planes.tobytes())
    for seed in (0, 2**64 - 1):
        for copy, found in enumerate(copies_of(image, EXTRACTORS[extractor], Augmentation(4, seed))):
            expected = reference.distort(image, ground, seed, number, copy)
            assert np.array_equal(found, expected if len(planes) == 1 else np.stack([expected] * 3, axis=-1))
    expected = extract(list(copies_of(image, EXTRACTORS[extractor], THREE)), extractor)
    assert features_of_copies(image, EXTRACTORS[extractor], THREE, EXTRACTORS[extractor].size).tobytes() == expected.tobytes()
    image.flags.writeable = False
    for same in (image, np.asfortranarray(image)):
        assert features_of_copies(same, EXTRACTORS[extractor], THREE, EXTRACTORS[extractor].size).tobytes() == expected.tobytes()


def test_colours_are_copied_plane_by_plane_all_alike():
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    planes = np.moveaxis(image, -1, 0)
    for copy, found in enumerate(copies_of(image, EXTRACTORS["colour"], THREE)):
        expected = [reference.distort(plane, None, THREE.seed, checksum(planes.tobytes()), copy) for plane in planes]
        assert np.array_equal(found, np.moveaxis(expected, 0, -1))
    same = np.repeat(image[..., :1], 3, axis=-1)
    for found in copies_of(same, EXTRACTORS["colour"], THREE):
        assert np.array_equal(found[..., 0], found[..., 2])


def test_a_folder_of_colours_is_learned_with_copies(tmp_path):
    rng = np.random.default_rng(0)
    for name, shade in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
        (tmp_path / name).mkdir()
        for number in range(4):
            levels = np.clip(shade + rng.normal(0, 9, (12, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(levels).save(tmp_path / name / f"{number}.{'png' if number else 'jpg'}")
    data = labelled_images(tmp_path, "colour", augmentation=THREE)
    assert data.copies.shape == (8, 3, 972) and np.isfinite(data.copies).all()
    model = train_folder(tmp_path, **QUICK | {"extractor": "colour", "augment": 2, "epochs": 30, "batch_size": 8})
    assert model.evaluate(tmp_path).accuracy == 1


def checksum(data):
    """CRC-32, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_large_images_are_copied_a_few_rows_at_a_time():
    image = np.full((1100, 1000), 255, np.uint8)
    image[200:900, 480:520] = 0
    assert image.size > AT_ONCE
    rows = features_of_copies(image, EXTRACTORS["pixels"], Augmentation(2, 1), 256)
    assert rows.tobytes() == extract(list(copies_of(image, EXTRACTORS["pixels"], Augmentation(2, 1))), "pixels").tobytes()
    assert not np.array_equal(*rows) and rows.max() == 1


@pytest.mark.parametrize("threads", THREADS)
def test_an_image_has_the_same_copies_wherever_it_lies(class_folders, threads):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(class_folders, "drawings")
    archived = class_folders.parent / "drawings.tar"
    archived.write_bytes(packed.getvalue())
    expected = np.stack([features_of_copies(image, EXTRACTORS["ink"], THREE, 3) for image in IMAGES])
    for source in (class_folders, archived):
        data = labelled_images(source, "ink", threads, augmentation=THREE)
        assert data.labels.tolist() == LABELS and data.copies.tobytes() == expected.tobytes()
        assert data.features.tobytes() == labelled_images(source, "ink", threads).features.tobytes()
    for place, image in enumerate(IMAGES):
        file = class_folders / LABELS[place] / f"{place % 14:03}.png"
        Image.fromarray(image).save(file, ("PNG", "BMP")[place % 2])  # which Pillow reads
    for X in (sorted(map(str, class_folders.glob("*/*.png"))), IMAGES, np.array(IMAGES)):
        found = to_learn_from(X, LABELS, "ink", threads, ["png", "bmp"], "raise", THREE).data
        assert found.copies.tobytes() == expected.tobytes()


def test_what_is_left_out_has_no_copies(class_folders):
    (class_folders / "lying" / "003.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (class_folders / "lying" / "notes.txt").write_text("no image")
    with pytest.warns(UserWarning, match="1 image that cannot be read is left out"):
        model = train_folder(class_folders, augment=3, **HOW)
    kept = IMAGES[:3] + IMAGES[4:]
    network = train(rows_of(kept), np.repeat(LABELS[1:], 4), output="softmax", **without_extractor(HOW))
    assert model.networks[0].theta.tobytes() == network.theta.tobytes()


def without_extractor(options):
    return {name: value for name, value in options.items() if name != "extractor"}


def test_all_images_are_learned_with_their_copies_which_weigh_as_much():
    weights = np.random.default_rng(0).random(28)
    for how in ({}, {"sample_weight": weights}):
        model = ImageClassifier(augment=3, **HOW).fit(IMAGES, LABELS, **how)
        own = {name: np.repeat(value, 4) for name, value in how.items()}
        network = train(rows_of(IMAGES), np.repeat(LABELS, 4), output="softmax", **without_extractor(HOW), **own)
        assert model.networks[0].theta.tobytes() == network.theta.tobytes()
        assert model.made_with["images"] == {"lying": 14, "upright": 14} and model.made_with["options"]["augment"] == 3
        assert model.made_with["rows"] == 28


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 28)])
def test_images_held_out_are_measured_as_they_are_and_their_copies_are_not_learned(refit, weights):
    model = ImageClassifier(augment=3, validation=0.25, refit=refit, **HOW).fit(IMAGES, LABELS, sample_weight=weights)
    kept, held = split(28, np.array(LABELS), 0.25, QUICK["seed"])
    features, how = extract(IMAGES, "ink"), {"output": "softmax", **without_extractor(HOW)}

    def learned(rows, **options):
        own = {} if weights is None else {"sample_weight": np.repeat(weights[rows], 4)}
        return train(rows_of([IMAGES[row] for row in rows]), np.repeat(np.array(LABELS)[rows], 4), **how | own | options)

    beside = features[held], np.array(LABELS)[held]
    network = learned(kept, validation=beside, patience=1000)
    losses, found = network.history.validation_loss, model.made_with["validation"]
    assert found["images"] == len(held) and found["loss"] == losses.min()
    assert found["accuracy"] == np.mean(network.predict(features[held]) == beside[1])
    best = losses.argmin() + 1
    expected = learned(np.arange(28), epochs=int(best)) if refit else network
    assert found["best_epoch"] == best and found["refit"] is refit
    assert model.networks[0].theta.tobytes() == calibrated(expected, model).tobytes()


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 28)])
def test_one_vs_rest_learns_copies_too_and_takes_weights_where_images_are_held_out(weights):
    how = {**HOW, "method": "one-vs-rest", "validation": 0.25}
    kept, held = split(28, np.array(LABELS), 0.25, QUICK["seed"])
    targets = np.array([[label == name for name in ("lying", "upright")] for label in LABELS], float)
    features = extract(IMAGES, "ink")
    for augment in (0, 3):
        model = ImageClassifier(augment=augment, **how).fit(IMAGES, LABELS, sample_weight=weights)
        X = rows_of([IMAGES[row] for row in kept]) if augment else features[kept]
        own = {} if weights is None else {"sample_weight": np.repeat(weights[kept], 1 + augment)}
        own |= {"validation": (features[held], targets[held]), "patience": 1000, "task": "regression"}
        population = train_many(X, np.repeat(targets[kept], 1 + augment, axis=0), members=2, **without_extractor(HOW), **own)
        assert [one.theta.tobytes() for one in model.networks] == [one.theta.tobytes() for one in population]


def test_an_extractor_of_ones_own_is_given_copies(class_folders):
    def rows(gray):
        return gray.mean(axis=1)

    how = {**HOW, "extractor": rows, "augment": 3}
    model = train_folder(class_folders, **how)
    for X in (IMAGES, sorted(map(str, class_folders.glob("*/*.png")))):
        same = ImageClassifier(**how).fit(X, LABELS)
        assert same.networks[0].theta.tobytes() == model.networks[0].theta.tobytes()
    (class_folders / "lying" / "000.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 image"):
        assert train_folder(class_folders, **how).made_with["rows"] == 27
    number = iter(range(10**6))
    with pytest.raises(ValueError, match=r"must give as many numbers for each image, 1; of copies of X\[0\]\[0\] it gave 2"):
        ImageClassifier(**how | {"extractor": lambda gray: [1.0] * (1 + (next(number) >= 28))}).fit(IMAGES, LABELS)


def test_auto_compares_with_copies(class_folders):
    how = {**QUICK, "epochs": 5, "validation": 0.25, "augment": 2}
    model = train_folder(class_folders, extractor="auto", **how)
    alone = train_folder(class_folders, extractor=model.extractor, **how)
    assert model.networks[0].theta.tobytes() == alone.networks[0].theta.tobytes()
    assert {**model.made_with["validation"], "extractors": None} == {**alone.made_with["validation"], "extractors": None}


def test_augment_is_a_parameter(tmp_path):
    model = ImageClassifier(augment=2, **HOW)
    assert model.get_params()["augment"] == 2 and ImageClassifier().get_params()["augment"] == 0
    assert clone(model).get_params() == model.get_params() and "augment=2" in repr(model)
    assert "augment" not in ImageClassifier(augment=0).fit(IMAGES, LABELS).made_with["options"]
    model.fit(IMAGES, LABELS).save(tmp_path / "m.npz")
    loaded = fastmlp.load(tmp_path / "m.npz")
    assert loaded.get_params()["augment"] == 2
    again = clone(loaded).fit(IMAGES, LABELS)
    assert again.networks[0].theta.tobytes() == model.networks[0].theta.tobytes()
    plain = model.set_params(augment=0).fit(IMAGES, LABELS)
    assert plain.networks[0].theta.tobytes() == ImageClassifier(**HOW).fit(IMAGES, LABELS).networks[0].theta.tobytes()


def test_copies_are_those_of_the_data_seed_where_there_is_one():
    assert augmentation(2, 3, None) == Augmentation(2, 3) and augmentation(2, 3, 5) == Augmentation(2, 5)
    assert augmentation(0, 3, None) is None


@pytest.mark.parametrize("augment", [-1, 1.5, True, "2", None, 2**60])
def test_a_value_that_is_no_number_of_copies_is_told(augment, class_folders):
    for fit in (lambda: train_folder(class_folders, augment=augment), lambda: ImageClassifier(augment=augment).fit(IMAGES, LABELS)):
        with pytest.raises(ValueError, match=r"augment must be a whole number from 0 to 2\*\*53; got "):
            fit()


def test_rows_of_features_have_no_copies():
    with pytest.raises(ValueError, match="augment needs images to make copies of; X holds features"):
        ImageClassifier(augment=1, extractor="ink").fit(extract(IMAGES), LABELS)


def test_copies_that_the_machine_has_no_memory_for_are_told(class_folders, monkeypatch):
    monkeypatch.setattr(checks, "machine_memory", lambda: 1e8)
    for fit in (train_folder, lambda folder, augment: ImageClassifier(augment=augment).fit(IMAGES, LABELS)):
        with pytest.raises(ValueError, match="the features of 28 images, and of 1000 copies of each, would need"):
            fit(class_folders, augment=1000)
        with pytest.raises(ValueError, match="of each, would need"):
            fit(class_folders, augment=2**53)


def test_images_of_one_gray_are_copied_as_they_are(tmp_path):
    for name in ("a", "b"):
        write_bars(tmp_path / name, name == "a", range(2))
        (tmp_path / name / "blank.png").write_bytes(gray_png(np.full((1, 1), 255, np.uint8)))
    data = labelled_images(tmp_path, "strokes", augmentation=THREE)
    assert np.isfinite(data.copies).all() and not data.copies[2].any()
