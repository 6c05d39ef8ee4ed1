"""What a report says of thresholds: without its script of one, and with it of all."""

import json
import re
from base64 import b64encode
from hashlib import sha256

import numpy as np

from fastmlp.commands.classification import threshold
from fastmlp.commands.classification.gathering import THRESHOLDS
from fastmlp.commands.classification.report import Report


def page_of(tmp_path, best, classes=("a", "<b>", "c")):
    scores = np.zeros((len(best), len(classes)))
    scores[:, 0] = best
    labels = [classes[row % 2] for row in range(len(best))]
    scores[1::2] = scores[1::2, [1, 0, 2]]
    report = Report(classes)
    report.add_rows([f"{row}" for row in range(len(best))], labels, scores, [None] * len(best), lambda path: b"")
    report.write(tmp_path / "page.html")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def some_scores():
    """Of six decimals, as rows have them, and many of them thresholds."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.random(500).round(6), rng.choice(THRESHOLDS, 400), [-0.0005, -3, 0, 1, 1.7, 0.999999, 0.9, 0.29]])


def test_without_a_script_the_table_says_how_many_reach_nine_tenths(tmp_path):
    best = some_scores()
    page = page_of(tmp_path, best)
    sure = [(best[start::2] >= 0.9).sum() for start in (0, 1)]
    text = re.sub("<[^>]*>", "", page)
    share = f"{100 * sum(sure) / len(best):.1f}\N{NO-BREAK SPACE}%"
    assert f"With a threshold of 0.9, {sum(sure)} of {len(best)} images ({share}) stay in their classes" in text
    assert f"{len(best) - sum(sure)} are unsure." in text
    half = len(best) // 2
    rows = [(str(count), str(half - count)) for count in sure]
    assert re.findall(r'<td class="sure">(\d+)</td><td class="unsure">(\d+)</td>', page) == [*rows, ("0", "0")]
    assert re.search("<input[^>]* hidden>", page)  # the script shows it


def test_the_script_is_given_counts_for_each_threshold(tmp_path):
    best = some_scores()
    page = page_of(tmp_path, best)
    thresholds = json.loads(re.search('data-thresholds="([^"]*)"', page)[1])
    assert thresholds == sorted(THRESHOLDS.tolist()) and thresholds[threshold.SHOWN_FIRST] == 0.9
    all_of_them, *of_classes = (json.loads(steps) for steps in re.findall('data-steps="([^"]*)"', page))
    for steps, own in zip([all_of_them, *of_classes], [best, best[::2], best[1::2], best[:0]], strict=True):
        assert sum(steps) == len(own)
        assert [sum(steps[place + 1 :]) for place in range(len(thresholds))] == [(own >= limit).sum() for limit in thresholds]


def test_a_policy_allows_the_one_script_and_nothing_of_a_name_is_in_it(tmp_path):
    page = page_of(tmp_path, some_scores(), ("</script>", "';alert(1)//", '"]'))
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert script == threshold.SCRIPT and script.isascii()
    for numbers in re.findall('data-[a-z]*="([^"]*)"', page):
        assert re.fullmatch(r"\[[\d.,]*\]", numbers)


def test_a_page_without_images_has_no_script(tmp_path):
    report = Report(["a", "b"])
    report.write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "script" not in page and "<input" not in page
