"""The oracle is judged before it judges: against central differences, autograd, and steps worked by hand."""

import autograd
import numpy as np
import pytest
from cases import COMBINATIONS, DEPTHS, autograd_loss, central_differences, network_of, problem
from pairs import in_pairs

from benchmarks import reference
from benchmarks.reference import Network


@in_pairs(kind=COMBINATIONS, hidden=DEPTHS, bias=[True, False])
def test_backward_is_the_derivative_of_loss(kind, hidden, bias):
    network = network_of(*kind, hidden, bias=bias)
    theta, X, targets = problem(network, rows=7)
    weights = np.arange(7.0) / 3
    gradient = reference.backward(network, theta, X, targets, weights)
    differences = central_differences(lambda t: reference.loss(network, t, X, targets, weights), theta)
    np.testing.assert_allclose(gradient, differences.values, rtol=0, atol=differences.tolerance)
    automatic = autograd.grad(autograd_loss(network, X, targets, weights))(theta)
    np.testing.assert_allclose(gradient, automatic, rtol=1e-10, atol=1e-12)


def test_loss_of_far_logits_is_finite():
    X = np.array([[1000.0], [-1000.0]])
    sigmoid = network_of("tanh", "sigmoid", "cross_entropy", (), inputs=1, outputs=1, bias=False)
    assert reference.loss(sigmoid, np.ones(1), X, np.array([[0.0], [1.0]])) == 1000
    softmax = network_of("tanh", "softmax", "cross_entropy", (), inputs=1, outputs=2, bias=False)
    assert reference.loss(softmax, np.array([1.0, 0.0]), X, np.eye(2)[[1, 0]]) == 1000


def test_one_epoch_of_sgd_worked_by_hand():
    # One input, one tanh unit, one linear output, no biases: y = w tanh(v x), with v = 0 and w = 2, rate 0.1.
    # Row 1: x = 1, t = 3: h = 0, y = 0, loss 4.5. dw = (y - t) h = 0; dv = (y - t) w (1 - h^2) x = -6. v = 0.6, w = 2.
    # Row 2: x = 0, t = 1: h = 0, y = 0, loss 0.5; nothing moves, for h and x are both 0.
    network = Network((1, 1, 1), ("tanh",), "identity", "squared_error", bias=False)
    theta, history = reference.train(
        network,
        np.array([0.0, 2.0]),
        np.array([[1.0], [0.0]]),
        np.array([[3.0], [1.0]]),
        row_orders=[[0, 1]],
        batch_size=1,
        learning_rate=0.1,
    )
    np.testing.assert_allclose(theta, [0.6, 2.0], rtol=1e-15)
    assert history == [(4.5 + 0.5) / 2]


def nadam_after_two():
    """The moments are those of adam, below; the step is along the mean of the gradient as it will be."""
    first = 1 - 0.5 * (0.9 * 0.1 / 0.19 + 1)
    m, v = 0.09 + 0.1 * first, 0.000999 + 0.001 * first**2
    return first - 0.5 * (0.9 * m / (1 - 0.9**3) + 0.1 * first / 0.19) / np.sqrt(v / 0.001999)


@pytest.mark.parametrize(
    ("optimizer", "after_two"),
    [
        # f = theta^2 / 2 from theta = 1, so the gradient is theta; rate 0.5, mu 0.8.
        ("sgd", 0.25),  # 1 -> 0.5 -> 0.25
        ("momentum", -0.15),  # v = -0.5, theta = 0.5; v = -0.4 - 0.25 = -0.65, theta = -0.15
        ("nesterov", -0.31),  # v = -0.5, theta = 1 - 0.4 - 0.5 = 0.1; v = -0.45, theta = 0.1 - 0.36 - 0.05
        # m = 0.1, v = 0.001: mhat = vhat = 1, theta = 1 - 0.5 = 0.5, epsilon left out; m = 0.14, v = 0.001249,
        # mhat = 0.14 / 0.19, vhat = 0.001249 / 0.001999, theta = 0.5 - 0.5 mhat / sqrt(vhat)
        ("adam", 0.5 - 0.5 * (0.14 / 0.19) / np.sqrt(0.001249 / 0.001999)),
        ("nadam", nadam_after_two()),
        # s = 0.1, theta = 1 - 0.5 / sqrt(0.1) = -0.581138...; s = 0.09 + 0.1 theta^2, theta - 0.5 theta / sqrt(s)
        ("rmsprop", -0.5811388300841898 * (1 - 0.5 / np.sqrt(0.09 + 0.1 * 0.5811388300841898**2))),
    ],
)
def test_two_steps_of_each_optimizer_worked_by_hand(optimizer, after_two):
    theta, state = np.array([1.0]), {}
    for _ in range(2):
        reference.OPTIMIZERS[optimizer](theta, theta.copy(), state, learning_rate=0.5, mu=0.8)
    np.testing.assert_allclose(theta, after_two, atol=2e-8)  # what adam's epsilon of 1e-8 may move in two steps


def test_adamw_takes_its_share_of_the_weights_beside_the_step_of_adam():
    network = Network((1, 1), (), "identity", "squared_error")
    theta = np.array([4.0, 3.0])
    reference.step(network, theta, np.array([1.0, -1.0]), {}, "adamw", learning_rate=0.1, mu=0, l2=0.5)
    np.testing.assert_allclose(theta, [4 - 0.1 * 0.5 * 4 - 0.1, 3 + 0.1], atol=1e-8)  # the first step of adam is the rate


def test_l2_spares_the_biases():
    network = Network((1, 1), (), "identity", "squared_error")
    assert reference.l2_gradient(network, np.array([3.0, 5.0]), 0.1).tolist() == [pytest.approx(0.3), 0.0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-13)])
def test_the_lean_loop_is_full_batch_training(dtype, tolerance):
    network = network_of("sigmoid", "sigmoid", "cross_entropy", (5,), outputs=1)
    theta, X, targets = problem(network, rows=50, dtype=dtype)
    expected, history = reference.train(
        network, theta, X, targets, row_orders=[np.arange(50)] * 20, batch_size=None, learning_rate=1.0
    )
    lean, lean_history = reference.train_351(theta, X, targets[:, 0], epochs=20, learning_rate=1.0)
    assert lean.dtype == dtype
    np.testing.assert_allclose(lean, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(lean_history, history, rtol=tolerance)


def test_tutorial_a_is_sgd_on_half_its_loss_at_twice_its_rate():
    network = Network((3, 3, 1), ("sigmoid",), "identity", "squared_error", bias=False)
    theta, X, targets = problem(network, rows=40)
    v, w, errors = reference.tutorial_a(X, targets[:, 0], theta[:9].reshape(3, 3), theta[9:], max_epochs=5, enough=0)
    expected, history = reference.train(network, theta, X, targets, row_orders=[np.arange(40)] * 5, batch_size=1, learning_rate=0.4)
    np.testing.assert_allclose(np.append(v, w), expected, rtol=1e-12)
    np.testing.assert_allclose(errors, 2 * 40 * history, rtol=1e-12)


def test_tutorial_b_is_full_batch_sgd():
    classifier = network_of("sigmoid", "sigmoid", "cross_entropy_bits", (5,), outputs=1)
    regressor = network_of("sigmoid", "identity", "squared_error", (5,), outputs=2)
    for network, tutorial, rate in (
        (classifier, reference.tutorial_b_classifier, 1.0),
        (regressor, reference.tutorial_b_regressor, 0.01),
    ):
        theta, X, targets = problem(network, rows=40)
        (v, b), (w, c) = network.unpack(theta)
        if network is classifier:
            *parts, losses = tutorial(X, targets[:, 0], v, b, w[:, 0], c[0], epochs=20)
        else:
            *parts, losses = tutorial(X, targets, v, b, w, c, epochs=20)
        expected, history = reference.train(
            network, theta, X, targets, row_orders=[np.arange(40)] * 20, batch_size=None, learning_rate=rate
        )
        np.testing.assert_allclose(np.concatenate([np.ravel(part) for part in parts]), expected, rtol=1e-11)
        np.testing.assert_allclose(losses, history, rtol=1e-12)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (7, 40), (33, 17), (100, 31)], ids=str)
def test_ink_features_count_the_cells_of_the_grid(shape):
    rows, columns = shape
    gray = np.where(np.random.default_rng(0).random(shape) < 0.02, 191, 255).astype(np.uint8)
    gray[0, 0] = 191
    cells, counts = np.zeros((16, 16), bool), np.zeros(3)
    for i in range(16):
        for j in range(16):
            top, left = i * rows // 16, j * columns // 16
            bottom, right = max(top + 1, (i + 1) * rows // 16), max(left + 1, (j + 1) * columns // 16)
            cells[i, j] = (gray[top:bottom, left:right] != 255).any() and rows > 1  # a page of one level has no ink
    for i, j in np.argwhere(reference.thinned(cells)):
        counts += [1, i in range(6, 10) and j in range(6, 10), not (i in range(3, 13) and j in range(3, 13))]
    np.testing.assert_array_equal(reference.ink_features(gray), counts / [256, 16, 156])


def pieces(cells, diagonal):
    """How many parts of a drawing (H, W) do not hang together, by their sides or also by their corners."""
    left, count = set(map(tuple, np.argwhere(cells))), 0
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if diagonal or y * x == 0]
    while left:
        found, count = [left.pop()], count + 1
        while found:
            y, x = found.pop()
            near = {(y + dy, x + dx) for dy, dx in steps} & left
            left -= near
            found += near
    return count


def test_a_thinned_drawing_has_as_many_parts_and_holes_and_no_cell_to_spare():
    rng = np.random.default_rng(0)
    for number in range(200):
        cells = rng.random((16, 16)) < rng.uniform(0.1, 0.8)
        if number % 2:  # thick strokes, rather than noise
            cells = np.logical_or.reduce(
                [np.roll(cells & (rng.random((16, 16)) < 0.2), (y, x), (0, 1)) for y in range(3) for x in range(3)]
            )
        lines = reference.thinned(cells)
        assert not (lines & ~cells).any()
        assert pieces(lines, diagonal=True) == pieces(cells, diagonal=True)
        assert pieces(~np.pad(lines, 1), diagonal=False) == pieces(~np.pad(cells, 1), diagonal=False)
        assert np.array_equal(reference.thinned(lines), lines)


def test_a_bar_is_thinned_to_a_line():
    cells = np.zeros((16, 16), bool)
    cells[6:9, 2:14] = True
    lines = reference.thinned(cells)
    assert lines[7, 3:13].all()
    assert lines.sum() == lines[7].sum()


def test_a_difference_of_a_quarter_of_the_range_is_ink():
    gray = np.full((16, 16), 255, np.uint8)
    gray[8, 8] = 255 - 63
    assert reference.ink_features(gray).tolist() == [0, 0, 0]
    gray[8, 8] = 255 - 64
    assert reference.ink_features(gray).tolist() == [1 / 256, 1 / 16, 0]


def test_of_equally_frequent_levels_the_lightest_is_the_ground():
    gray = np.repeat(np.array([[0], [255]], np.uint8), 128).reshape(16, 16)
    assert reference.contrast(gray).tolist() == [[255] * 16] * 8 + [[0] * 16] * 8
    assert reference.pixel_features(gray).reshape(16, 16)[4:11, 1:15].min() > 0


def test_pixel_features_centre_the_drawing_and_fill_fourteen_cells():
    # A box of 14 x 28 pixels at any place: s = 28, a cell is 2 pixels wide, and the box fills 7 x 14 cells.
    gray = np.full((60, 50), 10, np.uint8)
    gray[3:17, 20:48] = 200
    cells = np.zeros((16, 16))
    cells[4:12, 1:15] = 1
    cells[[4, 11]] *= 0.5  # 7 cells, centred among 16, begin and end in the middle of a cell
    np.testing.assert_allclose(reference.pixel_features(gray).reshape(16, 16), cells, rtol=1e-15)
    assert not reference.pixel_features(np.full((9, 9), 7, np.uint8)).any()


@pytest.mark.parametrize("seed", range(20))
def test_the_whole_drawing_lies_on_the_grid_of_stroke_features(seed):
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random(rng.integers(1, 60, 2)) < 0.1, 200, 0)
    weight[0, 0] = weight[-1, -1] = 100
    weight[: rng.integers(1, 5), -3:] = 255  # a corner that is heavier than the rest
    picture = reference.upright(weight, weight > 0)
    assert picture.sum() == 400 * weight.sum()  # lengths are in twentieths


def test_stroke_features_set_a_leaning_drawing_three_quarters_upright():
    columns = [30, 30, 34, 34, 38, 38, 42, 42]  # of a row each, which lean by two columns a row
    for direction in (1, -1):
        weight = np.zeros((8, 80), int)
        weight[range(8), columns[::direction]] = 100
        y, x = np.nonzero(weight)
        lean = np.cov(y, x, bias=True)[0, 1] / (np.var(y) + 1 / 12)
        assert abs(lean) > 1  # of which one counts
        _, across = np.nonzero(reference.upright(weight[:, 30:43], weight[:, 30:43] > 0))
        left, right = across.min(), across.max() + 1
        assert 19 <= right - left <= 20  # of 8 rows, and of 13 columns less 7 * 3/4
    blot = np.full((5, 5), 9)
    assert np.count_nonzero(reference.upright(blot, blot > 0)) == 400  # 20 x 20 whole cells


def test_cells_of_a_step_have_one_direction():
    levels = np.zeros((26, 26))
    levels[:, 13:] = 100  # to the right; the border, too
    gray, *directions = np.moveaxis(reference.cell_features(levels).reshape(6, 6, 9), -1, 0)
    assert gray[2].tolist() == [0, 0, (1 + 3) / 32, (5 + 7 + 7 + 5 + 3 + 1) / 32, 1, 28 / 32]
    assert [each.any() for each in directions] == [True] + [False] * 7
    # Cells 11 and 12 see the step: they count 5 and 3 for block 2, and 3 and 5 for block 3.
    assert directions[0][2].nonzero()[0].tolist() == [2, 3]
