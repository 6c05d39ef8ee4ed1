"""Both extractors: against the reference, against drawings worked out by hand, and whatever the page looks like."""

import numpy as np
import pytest

from benchmarks import reference
from fastmlp.features import EXTRACTORS, extract

SHAPES = [(16, 16), (32, 32), (28, 28), (17, 31), (100, 7), (7, 100), (1, 1), (1, 50), (3, 3), (15, 16), (250, 240)]
REFERENCES = {"ink": reference.ink_features, "pixels": reference.pixel_features}


def page(height=16, width=16, ground=255):
    return np.full((height, width), ground, np.uint8)


def drawing(size=16, ground=255, ink=0):
    """A hook: a stroke down the left and one along the foot."""
    image = page(size, size, ground)
    image[size // 4 : 3 * size // 4, size // 4] = ink
    image[3 * size // 4 - 1, size // 4 : size // 2] = ink
    return image


def noise(shape, levels, seed=0):
    return np.random.default_rng([*shape, levels, seed]).integers(0, levels, shape).astype(np.uint8)


def ink(image):
    return extract([image], "ink")[0]


def pixels(image):
    return extract([image], "pixels")[0].reshape(16, 16)


# -- The kernels against the reference ---------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference_bit_for_bit(extractor, shape):
    images = [noise(shape, levels) for levels in (1, 2, 100, 256)]
    images += [sparse(shape, seed) for seed in range(3)]
    features = extract(images, extractor)
    for image, row in zip(images, features, strict=True):
        assert np.array_equal(row, REFERENCES[extractor](image))


def sparse(shape, seed):
    """A noisy page with a few strokes of ink."""
    rng = np.random.default_rng([*shape, seed])
    image = rng.integers(200, 256, shape).astype(np.uint8)
    for _ in range(3):
        y, x = rng.integers(shape[0]), rng.integers(shape[1])
        image[y, : rng.integers(1, shape[1] + 1)] = rng.integers(0, 130)
        image[: rng.integers(1, shape[0] + 1), x] = rng.integers(0, 130)
    return image


# -- Ground and ink ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ground", "level", "inked"), [(255, 191, 1), (255, 192, 0), (0, 64, 1), (0, 63, 0)])
def test_ink_differs_from_the_ground_by_more_than_a_quarter_of_the_range(ground, level, inked):
    image = page(ground=ground)
    image[8, 8] = level
    assert ink(image)[0] == inked / 256


def test_of_two_equally_frequent_levels_the_lighter_is_the_ground():
    image = page()
    image[:8, 6:10] = image[8:, :6] = image[8:, 10:] = 0  # 8 * 4 + 8 * 12 dark pixels, half of 256; 2 * 4 in the centre
    assert (image == 0).sum() == 128
    assert ink(image)[0] == 0.5
    assert ink(image)[1] == 8 / 16
    assert ink(255 - image)[1] == 8 / 16  # now the dark ones of the centre are the light ground


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_dark_on_light_and_light_on_dark_are_the_same(extractor):
    assert np.array_equal(*extract([drawing(), 255 - drawing()], extractor))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_blank_page_gives_zeros(extractor):
    assert not extract([page(ground=ground) for ground in (0, 128, 255)], extractor).any()


# -- ink: three shares -------------------------------------------------------------------------------------------------


def test_the_shares_worked_out_by_hand():
    image = page()
    image[0, :] = 0  # 16 cells of the ring
    image[6:8, 5:7] = 0  # 2 of its 4 cells in the central block
    image[3, 12] = 0  # just inside the ring
    image[13, 12] = 0  # just on it
    assert ink(image).tolist() == [22 / 256, 2 / 16, 17 / 156]


def test_a_page_full_of_ink_has_all_shares_one():
    image = page(64, 64)
    image[::4, ::4] = 0  # one pixel of sixteen in each cell
    assert ink(image).tolist() == [1, 1, 1]


@pytest.mark.parametrize("size", [32, 100, 1000])
def test_a_stroke_of_one_pixel_survives_on_a_larger_page(size):
    image = page(size, size)
    np.fill_diagonal(image, 0)
    assert ink(image)[0] >= 16 / 256


def test_a_smaller_image_has_its_pixels_repeated():
    image = noise((8, 4), 256)
    assert np.array_equal(ink(image), ink(image.repeat(2, axis=0).repeat(4, axis=1)))


# -- pixels: the drawing alone -----------------------------------------------------------------------------------------


def test_a_square_fills_all_but_the_margin():
    image = page(40, 60)
    image[5:12, 30:37] = 0
    expected = np.zeros((16, 16))
    expected[1:15, 1:15] = 1
    assert np.array_equal(pixels(image), expected)


def test_a_stroke_lies_in_the_middle():
    image = page()
    image[3, 1:15] = 0
    expected = np.zeros((16, 16))
    expected[7:9, 1:15] = 1  # one pixel is one cell here, and its centre is the border of cells 7 and 8
    assert np.array_equal(pixels(image), expected)


def test_values_are_relative_to_the_fullest_cell():
    image = page()
    image[1:15, 1] = 0
    image[1:15, 14] = 255 - 100
    assert pixels(image)[1:15, [1, 14]].tolist() == [[1, 100 / 255]] * 14


@pytest.mark.parametrize("scale", [2, 3, 10])
def test_place_size_ground_and_pen_do_not_matter(scale):
    large = drawing(ground=255, ink=0).repeat(scale, axis=0).repeat(scale, axis=1)
    elsewhere = page(300, 200, ground=20)
    elsewhere[100 : 100 + 16 * scale, 30 : 30 + 16 * scale] = np.where(large == 255, 20, 120)
    assert np.array_equal(pixels(drawing()), pixels(large))
    assert np.array_equal(pixels(drawing()), pixels(elsewhere))


def test_values_lie_between_zero_and_one():
    values = extract([noise((40, 30), 256, seed) for seed in range(20)], "pixels")
    assert values.min() >= 0
    assert (values.max(axis=1) == 1).all()


# -- What extract takes ------------------------------------------------------------------------------------------------


def test_shapes_and_names():
    assert extract([page()] * 5).shape == (5, 3)
    assert extract(np.stack([page()] * 5), "pixels").shape == (5, 256)
    assert extract([], "pixels").shape == (0, 256)
    assert EXTRACTORS["ink"].columns == ["feature1", "feature2", "feature3"]
    assert {name: len(extractor.columns) for name, extractor in EXTRACTORS.items()} == {"ink": 3, "pixels": 256}


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_any_memory_layout_and_read_only_images(extractor):
    image = drawing(32)
    locked = image.copy()
    locked.flags.writeable = False
    same = [image, locked, np.asfortranarray(image), image.repeat(2, axis=1)[:, ::2], image[::-1].copy()[::-1]]
    rows = extract(same, extractor)
    assert (rows == rows[0]).all()


@pytest.mark.parametrize("bad", [page().astype(float), page()[0], np.stack([page()] * 3), page()[:0], [["a"]], 7])
def test_what_is_no_gray_image_is_refused(bad):
    with pytest.raises(ValueError, match=r"^images\[1\] must be an array \(H, W\) of uint8 gray levels; got "):
        extract([page(), bad])


def test_an_unknown_extractor_is_refused():
    with pytest.raises(ValueError, match=r"'ink', 'pixels'; got 'pixel' \(did you mean 'pixels'\?\)"):
        extract([page()], "pixel")
