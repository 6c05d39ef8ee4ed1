"""The extractors: against the reference, against drawings worked out by hand, and whatever the page looks like."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import reference
from fastmlp.images.extractors import EXTRACTORS, extract

SHAPES = [(16, 16), (32, 32), (28, 28), (17, 31), (100, 7), (7, 100), (1, 1), (1, 50), (3, 3), (15, 16), (250, 240)]
OF_INK = ["ink", "pixels", "strokes"]  # those that look for ink


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
        assert np.array_equal(row, reference.EXTRACTORS[extractor](image))


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
    image[:, [0, 2, 4, 6, 9, 11, 13, 15]] = 0  # half of the pixels, and lines one cell wide; between them one is two cells wide
    assert ink(image)[0] == 0.5
    assert ink(255 - image)[0] < 0.5


@pytest.mark.parametrize("extractor", OF_INK)
def test_dark_on_light_and_light_on_dark_are_the_same(extractor):
    assert np.array_equal(*extract([drawing(), 255 - drawing()], extractor))


@pytest.mark.parametrize("extractor", OF_INK)
def test_a_blank_page_gives_zeros(extractor):
    assert not extract([page(ground=ground) for ground in (0, 128, 255)], extractor).any()


# -- ink: three shares -------------------------------------------------------------------------------------------------


@pytest.mark.kernels
def test_each_cell_by_itself_counts_once():
    for i, j in np.ndindex(16, 16):
        image = page()
        image[i, j] = 0
        in_centre, in_ring = i in range(6, 10) and j in range(6, 10), not (i in range(3, 13) and j in range(3, 13))
        assert ink(image).tolist() == [1 / 256, in_centre / 16, in_ring / 156]
    image = page()
    image[::2] = 0  # lines from border to border
    assert ink(image).tolist() == [0.5, 0.5, (128 - 50) / 156]


def test_the_shares_worked_out_by_hand():
    image = page()
    image[0, :] = 0  # 16 cells of the ring
    image[6, 4:8] = 0  # 2 of its 4 cells in the central block
    image[3, 12] = 0  # just inside the ring
    image[13, 12] = 0  # just on it
    assert ink(image).tolist() == [22 / 256, 2 / 16, 17 / 156]


def test_one_pixel_makes_a_cell_ink():
    image = page(64, 64)
    image[30, ::4] = 0  # one of sixteen in each cell of a row
    assert ink(image).tolist() == [16 / 256, 4 / 16, 6 / 156]


def test_a_thick_stroke_becomes_a_line_worked_out_by_hand():
    image = page()
    image[6:9, 2:14] = 0  # a bar of 3 x 12
    # The upper row goes, then the lower one, each but for what it takes to end a stroke: the middle is 12 cells long, or less
    # by the half of its width at either end.
    total, centre, ring = ink(image) * [256, 16, 156]
    assert 10 <= total <= 12
    assert centre == 4
    assert ring == total - 10
    image[:] = 255
    image[5:7, 5:7] = 0  # a dot of 2 x 2: the upper cells go, and then there are two, each an end
    assert ink(image).tolist() == [2 / 256, 1 / 16, 0]


SHAPES_DRAWN = {
    "circle": [[(0.5 + 0.36 * np.cos(t), 0.5 + 0.36 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 60)]],
    "oval": [[(0.45 + 0.25 * np.cos(t), 0.5 + 0.38 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 60)]],
    "lines": [[(0.2, 0.3), (0.85, 0.45)]],
    "steep line": [[(0.55, 0.1), (0.4, 0.9)]],
    "cross": [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]],
    "two": [[(0.3, 0.3), (0.4, 0.2), (0.6, 0.2), (0.7, 0.3), (0.65, 0.45), (0.3, 0.8), (0.75, 0.8)]],
    "four": [[(0.6, 0.85), (0.6, 0.15), (0.25, 0.6), (0.8, 0.6)]],
}


def drawn(strokes, height, width, pen):
    image = Image.new("L", (width, height), 255)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(x * width - 0.5, y * height - 0.5) for x, y in stroke], 0, pen, "curve" if pen > 2 else None)
    return np.asarray(image)


def test_the_same_drawing_gives_nearly_the_same_shares_whatever_the_pen_and_the_page():
    differences, of_pixels = [], []
    for strokes in SHAPES_DRAWN.values():
        expected = ink(drawn(strokes, 16, 16, 1))
        for height, width in [(16, 16), (28, 28), (64, 64), (100, 100), (60, 100)]:
            for pen in range(1, height // 16 + 2):  # to more than a cell; a still thicker one fills the triangle of the four
                image = drawn(strokes, height, width, pen)
                differences.append(ink(image) - expected)
                of_pixels.append((image == 0).mean() - (drawn(strokes, 16, 16, 1) == 0).mean())
    # A point of the drawing may be in a cell or the next one: that moves few cells of 256, of 16, and of 156.
    assert (np.abs(differences).max(axis=0) <= [8 / 256, 4 / 16, 8 / 156]).all()
    assert (np.abs(differences).mean(axis=0) <= [2 / 256, 1.5 / 16, 3 / 156]).all()
    assert np.ptp(of_pixels) > 0.2  # while the share of pixels changes by more than a fifth of the page


def test_a_drawing_one_cell_wide_is_counted_as_it_is():
    for image in [drawn(strokes, 16, 16, 1) for strokes in ([[(0.1, 0.5), (0.9, 0.5)]], [[(0.2, 0.2), (0.9, 0.9)]])]:
        assert ink(image)[0] == (image == 0).sum() / 256


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


# -- strokes: directions -----------------------------------------------------------------------------------------------


def strokes(image):
    """Of the 6 x 6 cells their gray, and (6, 6, 8) their directions."""
    cells = extract([image], "strokes")[0].reshape(6, 6, 9)
    return cells[..., 0], cells[..., 1:]


def line(lean, height=60, pen=3):
    """A stroke down a page, which leans by so much for each row."""
    image = page(height + 20, height + 80)
    for y in range(height):
        x = round(40 + height / 2 + lean * (y - height / 2))
        image[10 + y, x : x + pen] = 0
    return image


@pytest.mark.kernels
def test_leaning_and_large_drawings_equal_the_reference_bit_for_bit():
    images = [line(lean, height) for lean in (-3, -1, -0.4, 0.3, 1, 2) for height in (1, 2, 7, 60)]
    images += [np.kron(line(0.5)[:, :100], np.ones((scale, scale), np.uint8)) for scale in (2, 5)]
    images += [sparse(shape, 9) for shape in ((2, 900), (900, 2), (64, 64), (21, 20))]
    for image, row in zip(images, extract(images, "strokes"), strict=True):
        assert np.array_equal(row, reference.stroke_features(image))


def test_the_gray_of_a_square_worked_out_by_hand():
    image = page(40, 60)
    image[5:25, 30:50] = 0  # twenty cells of one pixel each: the outer blocks have 7 + 5 + 3 + 1 of 32 on each axis
    gray, _ = strokes(image)
    assert np.array_equal(gray, np.outer([0.5, 1, 1, 1, 1, 0.5], [0.5, 1, 1, 1, 1, 0.5]))


def test_the_edges_of_a_square_have_four_directions():
    image = page(40, 60)
    image[5:25, 30:50] = 0
    _, directions = strokes(image)
    for block, direction in [((2, 0), 0), ((0, 2), 2), ((2, 5), 4), ((5, 2), 6)]:
        assert np.flatnonzero(directions[block]).tolist() == [direction]  # towards the ink, from the left, above, ...
    assert not directions[2:4, 2:4].any()
    corners = [(0, 0), (0, 5), (5, 5), (5, 0)]
    assert [directions[corner][1 + 2 * k] > 0 for k, corner in enumerate(corners)] == [True] * 4


@pytest.mark.parametrize(("turn", "shift"), [(1, -2), (2, 4), (3, 2)])
def test_turned_pages_turn_directions_and_cells(turn, shift):
    image = page(40, 40)
    image[8:32, 18:22] = image[18:22, 8:32] = image[8:12, 18:32] = image[18:32, 28:32] = 0
    image |= np.rot90(image, 2)  # the slant of what looks the same upside down and has as much on either side is none
    image &= image[:, ::-1]
    gray, directions = strokes(image)
    turned, of_turned = strokes(np.rot90(image, turn))
    assert np.array_equal(turned, np.rot90(gray, turn))
    assert np.array_equal(of_turned, np.roll(np.rot90(directions, turn), shift, axis=2))


def test_most_of_the_slant_is_taken_out():
    for lean in (-0.4, 0.4):
        gray, _ = strokes(line(lean))
        assert gray[:, 2:4].any(axis=1).all() and not gray[:, [0, 1, 4, 5]].any()
    for lean in (-3, 3):  # but no more than three quarters of a pixel for each row: a line that lies is none that stands
        gray, _ = strokes(line(lean))
        assert gray[:, 0].any() and gray[:, 5].any()


def test_place_and_ground_do_not_matter_and_size_hardly():
    expected = extract([drawing(32)], "strokes")[0]
    elsewhere = page(300, 200, ground=20)
    elsewhere[100:132, 30:62] = np.where(drawing(32) == 255, 20, 120)
    large = drawing(32).repeat(3, axis=0).repeat(3, axis=1)
    rows = extract([elsewhere, large], "strokes")
    assert np.array_equal(rows[0], expected)
    assert np.abs(rows[1] - expected).max() < 0.1


def test_soft_rims_count_within_the_drawing_alone():
    image = page(40, 40)
    image[10:30, 10:14] = image[10:14, 10:30] = image[26:30, 10:30] = 0
    rims = image.copy()
    rims[14:26, 14] = 255 - 63  # no ink, but within its box
    rims[5, 5] = rims[10:30, 32] = 255 - 63
    faint = np.where(rims == 255 - 63, 255 - 31, rims).astype(np.uint8)
    without, with_rims, with_less = extract([image, rims, faint], "strokes")
    assert np.array_equal(without, with_less) and not np.array_equal(without, with_rims)
    rims[5, 5] = rims[10:30, 32] = 255
    assert np.array_equal(extract([rims], "strokes")[0], with_rims)


def test_shares_of_strokes_lie_between_zero_and_one():
    values = extract([noise((40, 30), 256, seed) for seed in range(20)] + [line(0), line(9)], "strokes")
    assert values.min() >= 0 and values.max() == 1


# -- gray: the whole page -----------------------------------------------------------------------------------------------


def whole_page(image):
    """Of the 6 x 6 cells their gray, and (6, 6, 8) their directions."""
    cells = extract([image], "gray")[0].reshape(6, 6, 9)
    return cells[..., 0], cells[..., 1:]


@pytest.mark.kernels
def test_means_at_and_just_below_whole_steps_equal_the_reference_bit_for_bit():
    for shape in [(1, 1), (3, 1000), (1000, 3), (48, 49), (97, 64)]:
        images = [np.full(shape, level, np.uint8) for level in (0, 1, 77, 255)]
        for image in images[1:]:
            image[0, 0] -= 1
        assert np.array_equal(extract(images, "gray"), [reference.gray_features(image) for image in images])


def test_a_uniform_page_has_its_gray_and_no_direction_worked_out_by_hand():
    ends = [28 / 32, 1, 1, 1, 1, 28 / 32]  # the outer blocks lack the weights 1 and 3 of 32
    for level, shape in ((1, (1, 1)), (128, (7, 30)), (255, (24, 24))):
        grays, directions = whole_page(page(*shape, ground=level))
        assert np.array_equal(grays, np.outer(ends, ends)) and not directions.any()
    assert not extract([page(ground=0)], "gray").any()


def test_a_slope_has_one_direction_and_the_way_back_the_opposite():
    slope = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    for turn, direction in enumerate((0, 6, 4, 2)):  # anticlockwise, y downwards
        grays, directions = whole_page(np.rot90(slope, turn))
        assert np.flatnonzero(directions.any(axis=(0, 1))).tolist() == [direction]
        assert np.array_equal(grays, np.rot90(whole_page(slope)[0], turn))
    assert not np.array_equal(*extract([slope, 255 - slope], "gray"))


def test_repeated_pixels_change_nothing_and_pages_are_stretched():
    image = noise((20, 30), 256)
    larger = image.repeat(3, axis=0).repeat(2, axis=1)
    assert np.array_equal(*extract([image, larger], "gray"))


def test_gradients_do_not_depend_on_how_strong_the_light_is():
    image = noise((24, 24), 100)
    features = extract([image, 2 * image, image + 40], "gray").reshape(3, 36, 9)
    assert np.array_equal(features[0], features[1])
    assert np.array_equal(features[0, :, 1:], features[2, :, 1:])


def test_values_of_whole_pages_lie_between_zero_and_one():
    values = extract([noise((40, 30), levels, levels) for levels in range(2, 256, 20)], "gray")
    assert values.min() >= 0 and values.max() == 1


# -- colour: three pages -----------------------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("shape", SHAPES)
def test_colours_equal_the_reference_bit_for_bit(shape):
    images = [noise((*shape, 3), levels) for levels in (1, 2, 100, 256)]
    images += [(image * weight).astype(np.uint8) for image in images for weight in ((1, 0, 0), (0.2, 1, 0.5))]
    assert np.array_equal(extract(images, "colour"), [reference.colour_features(image) for image in images])


def test_directions_are_those_of_each_colour_and_grays_relative_to_the_lightest_cell_of_all():
    image = noise((30, 20, 3), 200)
    image[..., 2] //= 4
    found = extract([image], "colour").reshape(3, 36, 9)
    alone = extract(np.moveaxis(image, 2, 0), "gray").reshape(3, 36, 9)
    assert np.array_equal(found[..., 1:], alone[..., 1:])
    assert found[:2, :, 0].max() == 1 and found[2, :, 0].max() < 0.3 and (alone[..., 0].max(axis=1) == 1).all()


def test_a_uniform_page_has_its_colour_worked_out_by_hand():
    ends = [28 / 32, 1, 1, 1, 1, 28 / 32]  # the outer blocks lack the weights 1 and 3 of 32
    cells = extract([np.full((7, 30, 3), (200, 50, 0), np.uint8)], "colour").reshape(3, 6, 6, 9)
    assert np.array_equal(cells[..., 0], np.multiply.outer([1, 1 / 4, 0], np.outer(ends, ends))) and not cells[..., 1:].any()
    assert not extract([np.zeros((5, 4, 3), np.uint8)], "colour").any()


def test_gray_levels_are_three_equal_colours():
    image = noise((20, 30), 256)
    gray, (plain, coloured) = extract([image], "gray")[0], extract([image, np.stack([image] * 3, axis=2)], "colour")
    assert np.array_equal(plain, np.tile(gray, 3)) and np.array_equal(plain, coloured)


# -- What extract takes ------------------------------------------------------------------------------------------------


def test_shapes_and_names():
    assert extract([page()] * 5).shape == (5, 3)
    assert extract(np.stack([page()] * 5), "pixels").shape == (5, 256)
    assert extract([], "pixels").shape == (0, 256)
    assert EXTRACTORS["ink"].columns == ["feature1", "feature2", "feature3"]
    sizes = {"ink": 3, "pixels": 256, "strokes": 324, "gray": 324, "colour": 972}
    assert {name: len(extractor.columns) for name, extractor in EXTRACTORS.items()} == sizes


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_any_memory_layout_and_read_only_images(extractor):
    image = drawing(32)
    locked = image.copy()
    locked.flags.writeable = False
    same = [image, locked, np.asfortranarray(image), image.repeat(2, axis=1)[:, ::2], image[::-1].copy()[::-1]]
    rows = extract(same, extractor)
    assert (rows == rows[0]).all()


def test_any_memory_layout_of_colours():
    image = noise((9, 12, 3), 256)
    locked = image.copy()
    locked.flags.writeable = False
    same = [
        image,
        locked,
        np.asfortranarray(image),
        image[:, ::-1].copy()[:, ::-1],
        np.moveaxis(np.moveaxis(image, 2, 0).copy(), 0, 2),
    ]
    rows = extract(same, "colour")
    assert (rows == rows[0]).all()
    assert np.array_equal(extract(np.stack([image, image]), "colour"), rows[:2])


@pytest.mark.parametrize("bad", [page().astype(float), page()[0], np.stack([page()] * 3), page()[:0], [["a"]], 7])
def test_what_is_no_gray_image_is_refused(bad):
    with pytest.raises(ValueError, match=r"^images\[1\] must be an array \(H, W\) of uint8 gray levels; got "):
        extract([page(), bad])


def test_colours_are_refused_where_gray_levels_are_seen_and_the_extractor_for_them_is_named():
    with pytest.raises(ValueError, match=r"gray levels; got uint8 \(4, 5, 3\); extractor='colour' takes colours$"):
        extract([noise((4, 5, 3), 256)], "gray")


@pytest.mark.parametrize("bad", [noise((4, 5, 4), 9), noise((3, 4, 5), 9), noise((4, 5, 3), 9) / 1, noise((0, 5, 3), 9), page()[0]])
def test_what_is_no_coloured_image_is_refused(bad):
    with pytest.raises(
        ValueError, match=r"^images\[1\] must be an array \(H, W, 3\) of uint8 colours, or \(H, W\) of gray levels; got "
    ):
        extract([page(), bad], "colour")


def test_an_unknown_extractor_is_refused():
    with pytest.raises(ValueError, match=r"'colour', 'gray', 'ink', 'pixels', 'strokes'; got 'pixel' \(did you mean 'pixels'\?\)"):
        extract([page()], "pixel")
