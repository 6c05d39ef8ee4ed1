"""The page of a report says what the rows said, shows the images that it should, and stays small and harmless."""

import re
import shutil
import subprocess
from base64 import b64decode
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import fastmlp
from fastmlp.commands.classification import gathering, report, sheets
from fastmlp.commands.classification import page as pieces
from fastmlp.commands.classification.report import Report
from fastmlp.commands.classification.thumbnails import THUMBNAIL_SIDE, thumbnail
from tests.pngs import gray_png

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip
VOID = {"meta", "img", "input"}
HOSTILE = [
    "<script>alert(1)</script>.png",
    "\"' onerror='alert(1)'.png",
    "<img src=x onerror=alert(1)>",
    "not UTF-8 \udcff.png",
    "two\nlines.png",
    "turned \u202egnp.exe",
    "&amp;.png",
    "--><b>",
]


class Page(HTMLParser):
    """The elements of a page, and all its text; an error if they are not nested as they should be."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag, **attributes):
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


def image_at(path):
    """A PNG file of 16x16, another one for each path."""
    return gray_png(np.random.default_rng(list(path.encode("utf-8", "surrogateescape"))).integers(0, 256, (16, 16)))


def some_rows(count, classes, seed=0, levels=50):
    """Paths, labels and scores, with failures among them; of few levels, so that many margins are the same."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (count, len(classes))) / levels
    labels = [classes[index] for index in scores.argmax(axis=1)]
    errors = [None] * count
    for row in range(5, count, 37):
        labels[row], errors[row] = None, f"folder/{row:05}.png is truncated"
        scores[row] = np.nan
    return [f"folder/{row:05}.png" for row in range(count)], labels, scores, errors


def part(rows, chosen):
    paths, labels, scores, errors = rows
    return [paths[i] for i in chosen], [labels[i] for i in chosen], scores[chosen], [errors[i] for i in chosen]


def written(classes, path, *batches, read=image_at, **options):
    page = Report(classes, **options)
    for rows in batches:
        page.add_rows(*rows, read)
    page.write(path)
    return Page(path)


def ids(page):
    return [section["id"] for section in page.all("section") if "id" in section]


def titles(page):
    """Of the images of all classes."""
    return [figure["title"] for figure in page.all("figure")]


def thumbnails(page):
    return [fastmlp.read_image(b64decode(image["src"].removeprefix("data:image/png;base64,"))) for image in page.all("img")]


def test_counts_and_shares_are_those_of_the_rows(tmp_path):
    classes = ["circle", "cross", "line", "never"]
    rows = some_rows(3000, classes[:3])
    scores = np.column_stack([rows[2], np.full(3000, -1.0)])
    found = Report(classes, "my drawings")
    found.skipped = 7
    found.add_rows(rows[0], rows[1], scores, rows[3], image_at)
    found.write(tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    counts = Counter(rows[1])
    classified = 3000 - counts[None]
    for total in f"{classified:,}", "images classified", f"{counts[None]}", "7", "other files skipped", "my drawings":
        assert total in page.text
    for name in classes[:3]:
        assert f"{counts[name]:,} images, {100 * counts[name] / classified:.1f}\N{NO-BREAK SPACE}%" in page.text
    assert ids(page) == ["c0", "c1", "c2", "failed"]
    assert "never00.0\N{NO-BREAK SPACE}%00" in page.text.replace("\n", "")


def test_a_sheet_shows_the_surest_some_at_random_and_the_least_certain(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "PAIR", 0)
    classes = ["a", "b"]
    rows = some_rows(2000, classes, levels=10**6)
    page = written(classes, tmp_path / "page.html", rows)
    margins = np.abs(rows[2][:, 0] - rows[2][:, 1])
    shown = titles(page)
    assert len(shown) == len(set(shown)) == 2 * sheets.SHEET
    for name, own_shown in zip(classes, (shown[:24], shown[24:]), strict=True):
        own = sorted((row for row in range(2000) if rows[1][row] == name), key=lambda row: margins[row])
        paths = [rows[0][row] for row in own]
        surest, chance, least = own_shown[:6], own_shown[6:12], own_shown[12:]
        assert least == paths[:12] and surest == paths[:-7:-1]
        ranks = [paths.index(path) / len(paths) for path in chance]
        assert max(ranks) - min(ranks) > 0.3
    assert [image["alt"].split(",")[0] for image in page.all("img")] == shown
    for picture, path in zip(thumbnails(page), shown, strict=True):
        np.testing.assert_array_equal(picture, fastmlp.read_image(image_at(path)))
    for title in "The 12 least certain", "The 6 surest", "6 at random":
        assert page.text.count(title) == 2


def test_of_a_small_class_all_images_are_shown_once(tmp_path):
    rows = ([f"{row}.png" for row in range(24)], ["a"] * 24, np.column_stack([np.linspace(1, 0.7, 24), np.zeros(24)]), [None] * 24)
    page = written(["a", "b"], tmp_path / "page.html", rows)
    assert "All, from the least certain on" in page.text
    assert titles(page) == rows[0][::-1]


def test_an_image_is_shown_with_its_two_best_scores(tmp_path):
    page = written(["a", "b", "c"], tmp_path / "page.html", (["x.png"], ["b"], np.array([[0.25, 0.5, -0.125]]), [None]))
    assert "0.500a 0.250x.png" in page.text


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_same_page_for_any_batches(tmp_path, batch):
    classes = ["a", "b", "c"]
    rows = some_rows(1500, classes)
    written(classes, tmp_path / "whole.html", rows)
    parts = [part(rows, range(start, min(start + batch, 1500))) for start in range(0, 1500, batch)]
    written(classes, tmp_path / "parts.html", *parts)
    assert (tmp_path / "whole.html").read_bytes() == (tmp_path / "parts.html").read_bytes()


def test_same_page_for_any_order_of_batches_without_failures(tmp_path):
    """Failures are those that came first."""
    classes = ["a", "b", "c"]
    rows = some_rows(1500, classes)
    parts = [part(rows, [row for row in range(start, start + 100) if rows[3][row] is None]) for start in range(0, 1500, 100)]
    written(classes, tmp_path / "forward.html", *parts)
    written(classes, tmp_path / "backward.html", *parts[::-1])
    assert (tmp_path / "forward.html").read_bytes() == (tmp_path / "backward.html").read_bytes()


def test_nothing_of_a_name_becomes_markup(tmp_path):
    count = len(HOSTILE)
    scores = np.eye(count) + 0.25
    rows = (HOSTILE, HOSTILE, scores, [None] * count)
    failed = (HOSTILE, [None] * count, np.full((count, count), np.nan), [f"{name} is empty" for name in HOSTILE])
    page = written(HOSTILE, tmp_path / "page.html", rows, failed, title=HOSTILE[0])
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"b>", "iframe", "link", "object"}
    assert len(page.all("img")) == count and len(page.all("script")) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    for shown in "<script>alert(1)</script>.png", r"not UTF-8 \udcff.png", r"two\nlines.png", r"turned \u202egnp.exe", "&amp;.png":
        assert page.text.count(shown) >= 3  # as a class, under an image, and as a failure
        assert page.all("figure", title=shown)


def test_the_page_needs_nothing_beside_itself(tmp_path):
    classes = ["a", "b"]
    page = written(classes, tmp_path / "page.html", some_rows(500, classes))
    for tag, found in page.elements:
        assert tag not in {"link", "iframe"} and (tag != "script" or not found)
        for name, value in found.items():
            if name in ("src", "href"):
                assert value.startswith(("data:image/png;base64,", "#"))
    for style in pieces.STYLE, report.STYLE:
        assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_a_thousand_classes_of_large_noisy_images_make_a_small_page(tmp_path):
    classes = [f"class {index} {'&' * 60}" for index in range(1000)]
    noise = gray_png(np.random.default_rng(0).integers(0, 256, (300, 400)))
    rng = np.random.default_rng(1)
    index = np.arange(5000) % 1000
    scores = rng.random((5000, 1000), np.float32) / 2
    scores[np.arange(5000), index] = 0.5 + rng.random(5000) / 2
    rows = ([f"{'x/' * 500}{row}.png" for row in range(5000)], [classes[i] for i in index], scores, [None] * 5000)
    page = written(classes, tmp_path / "page.html", rows, read=lambda path: noise)
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    assert len(ids(page)) == 1000
    pairs = len(re.findall(", nearly ", page.text))
    assert pairs == sheets.PAIRS and 100 < len(page.all("img")) <= sheets.IMAGES_SHOWN
    assert re.search(r"this page shows \d+ images in all", page.text)


def test_classes_beyond_the_limit_are_named_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "CLASSES_SHOWN", 2)
    classes = ["a", "b", "c"]
    rows = (["1.png", "2.png", "3.png"], ["c", "b", "c"], np.eye(3)[[2, 1, 2]], [None] * 3)
    page = written(classes, tmp_path / "page.html", rows)
    assert ids(page) == ["c1", "c2"]
    assert "Shown are the 2 most frequent of 3 classes." in page.text


def test_what_is_kept_is_bounded_and_read_at_the_end():
    classes = [f"{index}" for index in range(500)]
    page = Report(classes)

    def read(path):
        raise AssertionError("read too early")

    for batch in range(20):
        rng = np.random.default_rng(batch)
        scores = rng.random((4096, 500))
        labels = [classes[index] for index in scores.argmax(axis=1)]
        page.add_rows([f"{batch}-{row}" for row in range(4096)], labels, scores, [None] * 4096, read)
        page.add_rows(["x"] * 4096, [None] * 4096, np.full((4096, 500), np.nan), ["x is empty"] * 4096, read)
    gathered = page._gathered
    kept = [kind.by_class() for kind in (gathered.least_certain, gathered.most_typical, gathered.random)]
    assert sum(len(of_class) for kind in kept for of_class in kind) <= gathering.CANDIDATES
    assert len(gathered.failures) == gathering.FAILURES_SHOWN and gathered.failed == 20 * 4096


def test_failures_are_listed_up_to_a_limit(tmp_path):
    classes = ["a", "b"]
    page = written(classes, tmp_path / "page.html", some_rows(4000, classes))
    failed = len(range(5, 4000, 37))
    assert f"{failed} images; the first {gathering.FAILURES_SHOWN} of them" in page.text
    assert len(page.all("li")) == gathering.FAILURES_SHOWN
    assert "folder/00005.png is truncated" in page.text
    page = written(classes, tmp_path / "page.html", some_rows(43, classes))
    assert "2 images\n" in page.text


def test_an_image_that_cannot_be_read_any_more_says_why(tmp_path):
    def read(path):
        if path == "gone.png":
            raise FileNotFoundError(2, "No such file or directory", path)
        return b"no PNG" if path == "other.png" else image_at(path)

    rows = (["gone.png", "other.png", "there.png"], ["a"] * 3, np.array([[0.75, 0.25]] * 3), [None] * 3)
    page = written(["a", "b"], tmp_path / "page.html", rows, read=read)
    assert "No such file or directory0.750b 0.250gone.png" in page.text
    assert re.search(r"the image is no.*TIFF, PPM\)0\.750b 0\.250other\.png", page.text)
    assert len(page.all("img")) == 1


def test_an_interrupted_write_leaves_the_older_page(tmp_path):
    def read(path):
        raise KeyboardInterrupt

    written(["older"], tmp_path / "page.html")
    before = (tmp_path / "page.html").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        written(["a", "b"], tmp_path / "page.html", (["x"], ["a"], np.array([[1.0, 0.0]]), [None]), read=read)
    assert (tmp_path / "page.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_only_such_a_page_is_written_over(tmp_path):
    path, other = tmp_path / "page.html", "<!doctype html>\n<html><head><title>Mine</title></head></html>"
    path.write_text(other)
    with pytest.raises(ValueError, match=r"page\.html cannot be written: it is there and is not a page of --report"):
        written(["a", "b"], path)
    assert path.read_text() == other
    path.write_text("")
    for classes in (["a", "b"], ["c", "d"]):
        assert "No image was classified." in written(classes, path).text


@pytest.mark.parametrize("rows", [[], [([], [], np.empty((0, 2)), [])]])
def test_a_report_of_nothing_says_so(tmp_path, rows):
    page = written(["a", "b"], tmp_path / "page.html", *rows)
    assert "No image was classified." in page.text
    assert not page.all("section")


def axis(path):
    """The labels of the scores' axis of the first histogram."""
    return re.findall(r"<span>([^<]*)</span>", re.search(r'<div class="x">(.*?)</div>', path.read_text(encoding="utf-8"))[1])


@pytest.mark.parametrize(
    ("best", "labels"),
    [
        ([0.6, 1.0], ["0", "0.25", "0.5", "0.75", "1"]),
        ([0.6, 1 + 2**-23], ["0", "0.25", "0.5", "0.75", "1"]),
        ([0.6, 1.2], ["0", "0.5", "1", "1.5"]),
        ([-0.2, 0.9], ["−0.5", "0", "0.5", "1"]),
        ([-70.0, 1e308], ["−1", "−0.5", "0", "0.5", "1", "1.5", "2"]),
        ([-np.inf, np.inf], ["−1", "−0.5", "0", "0.5", "1", "1.5", "2"]),
    ],
)
def test_the_axis_of_scores_is_as_long_as_they_need(tmp_path, best, labels):
    scores = np.column_stack([best, [-1e308, -1e308]])
    page = written(["a", "b"], tmp_path / "page.html", (["1", "2"], ["a", "a"], scores, [None, None]))
    assert axis(tmp_path / "page.html") == labels
    assert ("scores above 2" in page.text) == (max(best) > 2)
    assert ("scores below −1" in page.text) == (min(best) < -1)


def test_bars_stand_where_the_scores_are(tmp_path):
    best = [0.51, 0.52, 0.53, 0.99]
    scores = np.column_stack([best, np.zeros(4)])
    page = written(["a", "b"], tmp_path / "page.html", (list("1234"), ["a"] * 4, scores, [None] * 4))
    bars = page.all("path")[1]["d"]
    low = 100 * np.log(2) / np.log(4)  # a bar of 1 beside one of 3, as heights are those of log(1 + count)
    assert bars == f"M10.08 100v-100h.84V100zM19.08 100v-{low:.3g}h.84V100z"
    assert page.all("div", role="img")[0]["aria-label"].endswith("from 0.50 to 1.00; the most, 3, are from 0.50 to 0.55")


def test_with_one_class_the_lowest_score_is_the_least_certain(tmp_path):
    page = written(["a"], tmp_path / "page.html", (["x", "y", "z"], ["a"] * 3, np.array([[0.5], [-2.0], [0.1]]), [None] * 3))
    assert titles(page) == ["y", "z", "x"]


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (96, 96), (97, 97), (100, 300), (1, 5000), (5000, 3), (1234, 789)])
def test_thumbnails_are_small_and_keep_the_mean(tmp_path, shape):
    gray = np.random.default_rng(shape).integers(0, 256, shape).astype(np.uint8)
    rows = (["x"], ["a"], np.array([[1.0, 0.0]]), [None])
    (shown,) = thumbnails(written(["a", "b"], tmp_path / "page.html", rows, read=lambda path: gray_png(gray)))
    if max(shape) <= THUMBNAIL_SIDE:
        np.testing.assert_array_equal(shown, gray)
    else:
        assert max(shown.shape) == THUMBNAIL_SIDE
        shrink = max(shape) / THUMBNAIL_SIDE
        assert shown.shape == tuple(max(1, round(size / shrink)) for size in shape)
        assert shown.mean() == pytest.approx(gray.mean(), abs=1)  # rounding, and a last block that is not whole


def test_a_thumbnail_is_the_mean_of_the_areas_that_its_pixels_cover():
    rows, columns = np.mgrid[:240, :240]
    plane = (rows / 2 + columns / 2).astype(np.uint8)
    centres = (np.arange(96) + 0.5) * 2.5 - 0.5
    expected = centres[:, np.newaxis] / 2 + centres / 2
    assert np.abs(thumbnail(plane) - expected).max() <= 1  # both the plane's levels and the means are rounded


@pytest.mark.parametrize(("count", "text"), [(7, "7"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (999_999, "1000k")])
def test_counts_at_an_axis_are_short(count, text):
    assert pieces.abbreviated(count) == text


@pytest.fixture
def browse(tmp_path):
    if BROWSER is None:
        pytest.skip("no Chromium here")

    def run(page, *options):
        command = [BROWSER, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True).stdout

    return run


MEASURE = """<script>
addEventListener("load", () => {
  const images = [...document.images], shown = image => image.complete && image.naturalWidth == 16 && image.width > 50;
  const page = document.documentElement;
  parent.postMessage(`${images.length} images, ${images.filter(shown).length} shown, width ${page.scrollWidth}`, "*");
});
</script>"""
FRAME = """<iframe src="measured.html" style="width: 360px; height: 800px; border: 0"></iframe>
<script>addEventListener("message", event => document.body.dataset.found = event.data);</script>"""


def test_a_browser_shows_the_page_at_the_width_of_a_phone(tmp_path, browse):
    classes = ["circle", "a name without a space " + "x" * 100]
    rows = some_rows(500, classes)
    rows[0][:8] = HOSTILE
    rows[0][8:20] = ["y" * 200 + f"{row}.png" for row in range(12)]
    rows[2][:20], rows[1][:20], rows[3][:20] = [0.5, 0.5], ["circle"] * 20, [None] * 20  # on the sheet, for sure
    page = tmp_path / "page.html"
    written(classes, page, rows)

    # As it is: with its policy, which must not keep its own style and images away.
    browse(page, "--window-size=500,1500", f"--screenshot={tmp_path / 'shot.png'}")
    with Image.open(tmp_path / "shot.png") as shot:
        colours = {colour for _, colour in shot.convert("RGB").getcolors(2**20)}
    assert {(0xF7, 0xF6, 0xF3), (0x2C, 0x6E, 0x8C)} <= colours  # the paper and the bars
    assert len(colours) > 200  # the images

    # Measured from within: a frame is as narrow as a phone, which a window cannot be.
    measured = re.sub("<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8")).replace("</body>", f"{MEASURE}</body>")
    (tmp_path / "measured.html").write_text(measured, encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME)
    found = re.search('data-found="([^"]*)"', browse(tmp_path / "frame.html", "--virtual-time-budget=10000", "--dump-dom"))
    assert found, "the page did not load"
    assert found[1] == "48 images, 48 shown, width 360"
