"""Images: features of one, and a folder of PNG files, beside plain NumPy and Pillow. Each pair is checked, then timed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastmlp
from benchmarks import reference
from fastmlp import features

DATA = Path(__file__).parent.parent / "data"
SIDES = ["numpy", "fastmlp"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("extractor", ["ink", "pixels"])
def test_features(measure, short, extractor, size, side):
    names = sorted((DATA / "train-images").glob("*.png"))
    images = [np.asarray(Image.open(name).convert("L").resize((size, size))) for name in names] * (1 if short else 10)
    one = {"ink": reference.ink_features, "pixels": reference.pixel_features}[extractor]

    def plain():
        return np.array([one(image) for image in images])

    def ours():
        return features.extract(images, extractor)

    np.testing.assert_allclose(ours(), plain(), rtol=1e-12)
    measure(f"{extractor} of {len(images)} images {size}x{size}", plain if side == "numpy" else ours, rounds=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """A folder of small PNGs: the training images, many times."""
    path = tmp_path_factory.mktemp("pngs")
    sources = sorted((DATA / "train-images").glob("*.png"))
    for copy in range(2 if request.config.getoption("--short") else 50):
        for source in sources:
            (path / f"{copy:03}-{source.name}").write_bytes(source.read_bytes())
    return path


@pytest.mark.parametrize("side", SIDES)
def test_classify_folder(measure, folder, side):
    classifier = fastmlp.train_folder(DATA, seed=0)
    model = classifier.networks[0]
    network = reference.Network(model.layer_sizes, model.activations, model.output, model.loss_name)
    paths = sorted(folder.iterdir())

    def plain():
        return reference.classify_files(paths, network, model.theta, classifier.classes)

    def ours():
        return fastmlp.classify_folder(classifier, folder)

    assert ours().labels == plain()
    measure(f"a folder of {len(paths)} PNGs 16x16", plain if side == "numpy" else ours, rounds=5)
