"""Which images a report shows: near-duplicates once, pairs that are confused, and each as a link to where it is."""

import re
from urllib.parse import unquote

import numpy as np
import pytest

from fastmlp.commands.classification import sheets
from fastmlp.commands.classification.gathering import Gathered
from fastmlp.commands.classification.near_duplicates import appearance, are_alike
from fastmlp.commands.classification.report import Report
from fastmlp.commands.classification.thumbnails import thumbnail
from tests.pngs import gray_png


def drawing(seed, shape=(40, 40)):
    rng = np.random.default_rng(seed)
    gray = np.full(shape, 255, np.uint8)
    y, x = np.add(np.array(shape)[:, np.newaxis] // 4, rng.integers(0, np.array(shape)[:, np.newaxis] // 2, (2, 60)))
    gray[y, x] = 0
    return gray


def rows_of(paths, best=0.9):
    return paths, ["a"] * len(paths), np.array([[best, 1 - best]] * len(paths)), [None] * len(paths)


def page_of(tmp_path, rows, read, **options):
    report = Report(["a", "b"], **options)
    report.add_rows(*rows, read)
    report.write(tmp_path / "page.html")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_is_made_anew_of_a_drawing_looks_alike_and_what_is_drawn_anew_does_not():
    for seed in range(10):
        gray = drawing(seed)
        darker = (gray * 0.8).astype(np.uint8)
        larger = gray.repeat(2, axis=0).repeat(2, axis=1)
        moved = np.roll(gray, (3, -4), axis=(0, 1))
        for other in darker, larger, moved:
            assert are_alike(appearance(thumbnail(gray)), appearance(thumbnail(other)))
        assert not are_alike(appearance(gray), appearance(drawing(seed + 10)))


def test_a_line_across_is_not_like_one_down_and_neither_like_an_empty_page():
    page = np.full((30, 30), 255, np.uint8)
    across, down, empty = page.copy(), page.copy(), page
    across[10, 4:20] = 0
    down[4:20, 10] = 0
    appearances = [appearance(gray) for gray in (across, down, empty)]
    assert not any(are_alike(appearances[i], appearances[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert are_alike(appearance(empty), appearance(np.zeros((3, 50), np.uint8)))


def test_near_duplicates_are_shown_once_and_counted(tmp_path):
    grays = {f"{row:02}.png": drawing(row // 3) // (1 + row % 3 * 0.2) for row in range(30)}
    page = page_of(tmp_path, rows_of(list(grays)), lambda path: gray_png(grays[path].astype(np.uint8)))
    assert page.count("<figure") == page.count("and 2 near-duplicates") == 10


def test_images_that_cannot_be_read_are_no_near_duplicates(tmp_path):
    assert page_of(tmp_path, rows_of(["x", "y"]), lambda path: b"no image").count("<figure") == 2


def test_no_more_images_are_read_than_was_said(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "IMAGES_READ", 5)
    read = []
    page_of(tmp_path, rows_of([f"{row}" for row in range(100)]), lambda path: read.append(path) or gray_png(drawing(0)))
    assert len(read) == 5


def test_an_image_links_to_its_file_as_seen_from_the_page(tmp_path):
    names = ["a b.png", "100%.png", "#1?.png", 'q"<i>.png', "javascript:alert(1)", "not UTF-8 \udcff.png"]
    (tmp_path / "pages").mkdir()
    page = page_of(
        tmp_path / "pages",
        rows_of(names),
        lambda path: gray_png(drawing(names.index(path))),
        place=lambda path: str(tmp_path / "in" / path),
    )
    links = re.findall(r'<figure[^>]*><a href="([^"]*)">', page)
    assert sorted(unquote(link, errors="surrogateescape") for link in links) == sorted(f"../in/{name}" for name in names)
    assert all(re.fullmatch(r"[\w./%-]*", link, re.ASCII) for link in links)
    assert str(tmp_path) not in page


def test_what_is_in_no_file_of_its_own_has_no_link(tmp_path):
    page = page_of(tmp_path, rows_of(["x"]), lambda path: gray_png(drawing(0)), place=lambda path: None)
    assert re.search("<figure[^>]*><img", page)


def test_pairs_are_counted_where_scores_are_close_and_shown_with_the_closest(tmp_path):
    classes = ["a", "b", "c"]
    best = [(0, 1)] * 30 + [(1, 0)] * 20 + [(2, 1)] * 10 + [(0, 2)] * 40
    gaps = np.r_[np.linspace(0.19, 0.001, 60), np.full(40, 0.21)]
    scores = np.zeros((100, 3))
    for row, (first, second) in enumerate(best):
        scores[row, first], scores[row, second] = 0.5, 0.5 - gaps[row]
    gathered, paths = Gathered(classes), [f"{row:03}.png" for row in range(100)]
    rows = (paths, [classes[first] for first, _ in best], scores, [None] * 100)
    gathered.add(*rows, None)
    assert gathered.confused(5) == [(0, 1, 30), (1, 0, 20), (2, 1, 10)]
    assert gathered.confused(1) == [(0, 1, 30)]

    report = Report(classes)
    report.add_rows(*rows, lambda path: gray_png(drawing(int(path[:3]))))
    report.write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    pairs = page[page.index("Often between two classes") : page.index('<div class="classes">')]
    assert "a, nearly b: 30 images" in pairs and "c, nearly b: 10 images" in pairs
    assert re.findall('title="([^"]*)"', pairs)[:4] == ["029.png", "028.png", "027.png", "026.png"]


@pytest.mark.parametrize("name", ["x/{:05}.png", "{:05}/the same name.png"])
def test_random_images_depend_on_paths_alone_and_come_from_everywhere(name):
    names = [name.format(row) for row in range(5000)]

    def chosen(order, batch):
        gathered = Gathered(["a", "b"])
        for start in range(0, 5000, batch):
            gathered.add(*rows_of([names[row] for row in order[start : start + batch]]), None)
        return [candidate.path for candidate in gathered.random.by_class()[0]]

    found = chosen(range(5000), 5000)
    assert len(found) == len(set(found)) == 12
    assert chosen(range(5000), 7) == chosen(range(5000)[::-1], 100) == found
    places = sorted(map(names.index, found))
    assert places[0] < 2000 and places[-1] > 3000


@pytest.mark.parametrize("paths", [["a\0b.png", "c.png"], ["é.png", "\udcff.png", "\ud800"], ["", "a", "x" * 5000]], ids=ascii)
def test_any_path_has_its_place(paths):
    gathered = Gathered(["a", "b"])
    gathered.add(*rows_of(paths), None)
    for kind in gathered.random, gathered.most_typical, gathered.least_certain:
        assert sorted(candidate.path for candidate in kind.by_class()[0]) == sorted(paths)


def test_rows_are_left_as_they_are():
    scores = np.random.default_rng(0).random((50, 2))
    before = scores.copy()
    Gathered(["a", "b"]).add([f"{row}" for row in range(50)], ["a"] * 50, scores, [None] * 50, None)
    np.testing.assert_array_equal(scores, before)
