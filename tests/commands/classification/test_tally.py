"""What the summary of a run counts."""

import numpy as np

from fastmlp.commands.classification.tally import Tally
from fastmlp.images.verdicts import Verdicts


def test_the_summary_counts_what_was_there_and_what_came():
    tally = Tally(["line", "circle"])
    tally.add(Verdicts(["a", "b"], ["line", None], np.zeros((2, 2)), [None, "bad"]))
    tally.begin()
    tally.add(Verdicts(["c", "d"], ["line", "line"], np.zeros((2, 2)), [None, None], skipped=4))
    summary = tally.summary()
    assert summary.startswith("3 images: line 3, circle 0; 4 skipped, 1 failed; 2 of these rows were there before; 0.")
    assert summary.endswith(" files/s")
    words, share = tally.progress()
    assert words.startswith("8 files, ") and words.endswith(" files/s, 1 failed") and share == 0
    tally.left = 24
    words, share = tally.progress()
    assert words.startswith("8 of 32 files, ") and share == 0.25


def test_the_summary_of_many_classes_tells_the_most_frequent_ones():
    classes = [f"c{number:02}" for number in range(30)]
    tally = Tally(classes)
    labels = [name for number, name in enumerate(classes) for _ in range(number)]
    tally.add(Verdicts([""] * len(labels), labels, np.zeros((len(labels), 30)), [None] * len(labels)))
    assert tally.summary().startswith(f"{29 * 15} images: c29 29, c28 28, c27 27, ")
    assert f"c20 20, others {19 * 10}; 0 skipped" in tally.summary()
