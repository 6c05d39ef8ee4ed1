"""Images: features of one, and a folder of PNG files, beside plain NumPy and Pillow. Each pair is checked, then timed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastmlp
from benchmarks import reference
from benchmarks.work import Side
from fastmlp import features

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("extractor", ["ink", "pixels"])
def test_features(versus, short, extractor, size):
    names = sorted((DATA / "train-images").glob("*.png"))
    images = [np.asarray(Image.open(name).convert("L").resize((size, size))) for name in names] * (1 if short else 10)
    one = {"ink": reference.ink_features, "pixels": reference.pixel_features}[extractor]

    def plain():
        return np.array([one(image) for image in images])

    def ours():
        return features.extract(images, extractor)

    np.testing.assert_allclose(ours(), plain(), rtol=1e-12)
    rivals = {"plain NumPy": lambda: [Side(plain, len(images))]}
    versus(f"{extractor} features, images {size}x{size}", Side(ours, len(images)), rivals, "image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """A folder of small PNGs: the training images, many times."""
    path = tmp_path_factory.mktemp("pngs")
    sources = sorted((DATA / "train-images").glob("*.png"))
    for copy in range(2 if request.config.getoption("--short") else 50):
        for source in sources:
            (path / f"{copy:03}-{source.name}").write_bytes(source.read_bytes())
    return path


def test_classify_folder(versus, folder):
    classifier = fastmlp.train_folder(DATA, seed=0)
    model = classifier.networks[0]
    network = reference.Network(model.layer_sizes, model.activations, model.output, model.loss_name)
    paths = sorted(folder.iterdir())

    def plain():
        return reference.classify_files(paths, network, model.theta, classifier.classes)

    def ours():
        return fastmlp.classify_folder(classifier, folder)

    assert ours().labels == plain()
    rivals = {"plain NumPy and Pillow": lambda: [Side(plain, len(paths))]}
    versus("classify_folder, PNGs 16x16", Side(ours, len(paths)), rivals, "file")
