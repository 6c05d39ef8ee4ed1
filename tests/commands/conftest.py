"""Models and folders that the tests of the commands work on."""

import os
import shutil

import numpy as np
import pytest
from command_line import IMAGES, TRAINING

import fastmlp
from fastmlp.commands.main import main


@pytest.fixture(scope="session")
def compiled():
    """Nothing is left to compile, which terminals would be told."""
    assert main(["warmup"]) == 0


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.npz"
    fastmlp.train_folder(TRAINING, extractor="ink", hidden=(4,), epochs=50, seed=0).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three images; the second is damaged, and the name of the third is not UTF-8."""
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(IMAGES / "tc-1.png", folder / "a.png")
    (folder / "b.png").write_bytes((IMAGES / "tc-2.png").read_bytes()[:60])
    shutil.copy(IMAGES / "tl-1.png", os.fsencode(folder) + b'/c\xff, "c".png')
    return folder


@pytest.fixture
def many(tmp_path):
    """A folder of so many images that their rows do not fit into a pipe."""
    folder = tmp_path / "many"
    folder.mkdir()
    image = shutil.copy(IMAGES / "tc-1.png", tmp_path)
    for index in range(3000):
        os.link(image, folder / f"{index:04}.png")
    return folder


@pytest.fixture
def wide(tmp_path):
    """A model of so many classes that each row has 3 KB, and that to write the rows takes the most time."""
    classes = [f"class {number:03}" for number in range(300)]
    network = fastmlp.MLP.from_weights([np.zeros((3, 300))], [np.zeros(300)], output="softmax", classes=classes)
    fastmlp.ImageClassifier(classes, (network,), "ink", "softmax").save(tmp_path / "wide.npz")
    return tmp_path / "wide.npz"
