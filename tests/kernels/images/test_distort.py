"""Copies of images, against the reference."""

import numpy as np
import pytest

from benchmarks import reference
from fastmlp.kernels.images.distort import distort, find_ground

SHAPES = [(16, 16), (28, 28), (1, 1), (1, 9), (9, 1), (2, 2), (17, 31), (3, 40)]


def page(shape, seed):
    """Noise, or a few strokes on paper that is light or dark."""
    rng = np.random.default_rng([*shape, seed])
    image = rng.integers(0, 256, shape).astype(np.uint8)
    if seed:
        image[rng.random(shape) < 0.7] = (255, 20)[seed % 2]
    return image


def copy_of(image, ground, seed, number, copy, rows=None):
    height, width = image.shape
    out, middle = np.full(image.size, 7, np.uint8), np.full((height + 2) * (width + 2), 9, np.uint8)
    for top in range(0, height, rows or height):
        bottom = min(top + (rows or height), height)
        distort(out, middle, image.reshape(-1), ground, seed, number, copy, height, width, top, bottom)
    return out.reshape(height, width)


@pytest.mark.kernels
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference_bit_for_bit(shape):
    for seed, number, copy in ((0, 0, 0), (5, 2**32 - 1, 1), (2**63 - 1, 77, 3), (-1, 1, 10**6), (2, 8, 4)):
        image = page(shape, copy % 4)
        ground = int(find_ground(np.empty(256, np.int64), image.reshape(-1)))
        assert ground == 255 - np.bincount(image.ravel(), minlength=256)[::-1].argmax()
        for own in (ground, -1):
            expected = reference.distort(image, None if own < 0 else own, seed % 2**64, number, copy)
            assert np.array_equal(copy_of(image, own, seed, number, copy), expected)


@pytest.mark.kernels
def test_rows_may_be_made_a_few_at_a_time():
    image = page((17, 31), 2)
    whole = copy_of(image, 255, 3, 4, 5)
    for rows in (1, 5, 16):
        assert np.array_equal(copy_of(image, 255, 3, 4, 5, rows), whole)


@pytest.mark.kernels
def test_a_ground_goes_on_beyond_the_image_and_without_one_its_border():
    image = np.full((12, 12), 200, np.uint8)
    image[:, :2] = 40
    some = [copy_of(image, ground, 1, 2, copy) for copy in range(20) for ground in (200, -1)]
    assert any((one[:, 0] > 100).all() for one in some[::2])  # what stood at the border is moved, and ground behind it
    assert all((one[:, 0] <= 200).all() and one.min() >= 40 for one in some[1::2])
    assert all((copy_of(np.full((5, 6), level, np.uint8), -1, 1, 2, 3) == level).all() for level in (0, 91, 255))


@pytest.mark.kernels
def test_strokes_become_thicker_and_thinner_and_the_drawing_stays():
    image = np.full((28, 28), 255, np.uint8)
    image[6:22, 12:15] = 0
    ink = np.array([(255 - copy_of(image, 255, 0, 0, copy).astype(int)).sum() for copy in range(200)]) / (255.0 * 48)
    assert 0.64 / 3 < ink.min() < 0.64 and 1.44 < ink.max() < 1.44 * 5 / 3 + 0.5 and 0.9 < ink.mean() < 1.3


@pytest.mark.kernels
def test_seed_image_and_number_each_make_another_copy():
    image = page((16, 16), 2)
    copies = [copy_of(image, 20, *key).tobytes() for key in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2, 3))]
    assert len({*copies}) == 4 and copies[0] == copies[4]
