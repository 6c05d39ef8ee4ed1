"""How many images a threshold leaves in their classes: a table that reads by itself, and a slider for who lets a script run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.commands.classification.gathering import THRESHOLDS
from fastmlp.commands.classification.page import escaped, percentage, plural

SHOWN_FIRST = 90  # the threshold 0.9: what the table says without the script
FEW = 24  # classes up to which the table is not folded

# It reads numbers alone, and writes text alone. Nothing is put into it: the page allows this very script by its hash.
SCRIPT = """\
"use strict";
{
  const slider = document.getElementById("threshold");
  const thresholds = JSON.parse(slider.dataset.thresholds);
  const rows = [...document.querySelectorAll("[data-steps]")].map(element => {
    const steps = JSON.parse(element.dataset.steps), sure = [];
    let above = 0;
    for (let step = steps.length - 1; step > 0; step--) sure[step - 1] = above += steps[step];
    return { element, sure, all: above + steps[0] };
  });
  const put = (element, name, text) => element.querySelectorAll(name).forEach(found => { found.textContent = text; });
  const show = () => {
    const text = String(thresholds[slider.value]).padEnd(3, ".0");
    document.getElementById("value").textContent = text;
    slider.setAttribute("aria-valuetext", text);
    for (const { element, sure, all } of rows) {
      const count = sure[slider.value] ?? 0, share = all ? 100 * count / all : 0;
      put(element, ".sure", count.toLocaleString("en"));
      put(element, ".unsure", (all - count).toLocaleString("en"));
      put(element, ".percent", share.toFixed(1));
      element.querySelectorAll("i i").forEach(bar => { bar.style.width = share + "%"; });
    }
  };
  slider.addEventListener("input", show);
  slider.hidden = false;
  show();
}
"""

STYLE = """\
.threshold p { max-width: none; margin: .75rem 0 1rem; font-size: 1.125rem; }
.threshold input { width: min(44rem, 100%); margin: 0 0 1rem; accent-color: var(--bar); }
.threshold input[hidden] { display: none; }
td i { background: var(--pale); }
td i i { min-width: 0; height: 100%; background: var(--bar); }
@media (max-width: 40rem) { .share, .bars { display: none; } }
"""


class ClassCounts(NamedTuple):
    """What the table says of a class."""

    name: str
    number: int
    steps: NDArray[np.int64]
    """As in `Gathered.steps`."""


def threshold_section(classes: Sequence[ClassCounts], steps: NDArray[np.int64]) -> Iterator[str]:
    """A row for each class, and of all images together, (T + 1) steps, a sentence."""
    total, sure = int(steps.sum()), int(steps[SHOWN_FIRST + 1 :].sum())
    numbers = json.dumps([float(threshold) for threshold in THRESHOLDS], separators=(",", ":"))
    percent = f"{100 * sure / total:.1f}"
    yield (
        f'<section class="threshold">\n<h2>How many are sure</h2>\n<p data-steps="{_numbers(steps)}">With a threshold of '
        f'<b id="value">{THRESHOLDS[SHOWN_FIRST]:.2g}</b>, <b class="sure">{sure:,}</b> of {total:,} {plural(total, "image")} '
        f'(<span class="percent">{percent}</span>\N{NO-BREAK SPACE}%) stay in their classes: their best score reaches it. '
        f'<b class="unsure">{total - sure:,}</b> are unsure.</p>\n'
        f'<input id="threshold" type="range" min="0" max="{len(THRESHOLDS) - 1}" value="{SHOWN_FIRST}" aria-label="Threshold" '
        f'data-thresholds="{numbers}" hidden>\n'
    )
    few = len(classes) <= FEW
    yield "<nav>\n" if few else f"<nav>\n<details>\n<summary>The counts of {len(classes):,} classes</summary>\n"
    heads = ("", "Class"), ("", "Images"), (' class="share"', "Share"), ("", "Sure"), ("", "Unsure")
    yield "<table>\n<thead><tr>" + "".join(f'<th scope="col"{kind}>{name}</th>' for kind, name in heads)
    yield '<td class="bars"></td></tr></thead>\n'
    most = max(int(row.steps.sum()) for row in classes)
    for row in classes:
        count, sure = int(row.steps.sum()), int(row.steps[SHOWN_FIRST + 1 :].sum())
        name = escaped(row.name)
        link = f'<a href="#c{row.number}">{name}</a>' if count else name
        bar = f'<i style="width:{100 * count / most:.3g}%"><i style="width:{100 * sure / count:.3g}%"></i></i>' if count else ""
        unsure = f'<td class="unsure">{count - sure:,}</td>'
        yield (
            f'<tr data-steps="{_numbers(row.steps)}"><th scope="row">{link}</th><td>{count:,}</td>'
            f'<td class="share">{percentage(count, total)}</td><td class="sure">{sure:,}</td>{unsure}'
            f'<td class="bars">{bar}</td></tr>\n'
        )
    yield "</table>\n" if few else "</table>\n</details>\n"
    yield "</nav>\n</section>\n"


def _numbers(steps: NDArray[np.int64]) -> str:
    """As JSON, without the zeros at the end."""
    used = np.flatnonzero(steps)
    return json.dumps(steps[: used[-1] + 1 if len(used) else 1].tolist(), separators=(",", ":"))
