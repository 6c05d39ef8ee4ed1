"""What the page of `fastmlp classify --report` is made of, as HTML: its frame, histograms, sheets of images, texts and numbers."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

import fastmlp

LABEL_LENGTH, PATH_LENGTH, TEXT_LENGTH = 60, 64, 240  # characters; more of a name would be no help

# Probabilities lie in 0..1, and the outputs of "one-vs-rest" around it, as 0 and 1 are what they were trained towards.
LOWEST, HIGHEST, BINS_PER_UNIT = -1, 2, 20


def histogram(counts: NDArray[np.int64], first: int) -> str:
    """Bars by SVG, which stretches them to any width; the axes' labels are text beside it, as letters must not stretch.

    Heights are logarithmic, or of a million images nothing would be seen but those that the classifier is sure of.
    """
    most, used, peak = int(counts.max()), np.flatnonzero(counts).tolist(), int(counts.argmax())
    heights = 100 * np.log1p(counts) / np.log1p(most)
    bars = "".join(f"M{place + 0.08:.2f} 100v-{heights[place]:.3g}h.84V100z" for place in used)

    powers = [(10**power, 100 * float(np.log1p(10**power) / np.log1p(most))) for power in range(1, 19)]
    levels = [(most, 100.0), *((count, height) for count, height in powers if height < 88)]  # labels must not overlap
    lines = "".join(f"M0 {100 - height:.3g}h{len(counts)}" for _, height in levels)
    y_labels = "".join(f'<span style="bottom:{height:.3g}%">{abbreviated(count)}</span>' for count, height in [(0, 0.0), *levels])
    edges = (LOWEST + (first + np.arange(len(counts) + 1)) / BINS_PER_UNIT).tolist()
    step = BINS_PER_UNIT // 4 if len(counts) == BINS_PER_UNIT else BINS_PER_UNIT // 2
    x_labels = "".join(f"<span>{_minus(f'{edge:g}')}</span>" for edge in edges[::step])

    def scores(left: int, right: int) -> str:
        return f"from {decimal(edges[left], 2)} to {decimal(edges[right], 2)}"

    alt = f"Histogram of scores {scores(used[0], used[-1] + 1)}; the most, {most:,}, are {scores(peak, peak + 1)}"
    return (
        f'<div>\n<h3>Images by their best score (logarithmic)</h3>\n<div class="plot" role="img" aria-label="{alt}">\n'
        f'<div class="y">{y_labels}</div>\n<svg viewBox="0 0 {len(counts)} 100" preserveAspectRatio="none">'
        f'<path class="line" d="{lines}"/><path d="{bars}"/></svg>\n<div class="x">{x_labels}</div>\n</div>\n</div>\n'
    )


def contact_sheet(title: str, tiles: Iterable[str]) -> str:
    """Images below a title, if there are any."""
    images = "".join(tiles)
    return f'<div>\n<h3>{title}</h3>\n<div class="sheet">\n{images}</div>\n</div>\n' if images else ""


def totals(*numbers: tuple[str, str], bad: str = "") -> str:
    """Large numbers, with what each counts; one may be bad news."""
    lines = ""
    for number, name in numbers:
        kind = ' class="bad"' if name == bad else ""
        lines += f"<div{kind}><dt>{name}</dt><dd>{number}</dd></div>\n"
    return f'<dl class="totals">\n{lines}</dl>\n'


def listed(texts: Iterable[str]) -> str:
    """A list of what is HTML already."""
    lines = "".join(f"<li>{text}</li>\n" for text in texts)
    return f"<ul>\n{lines}</ul>\n"


def escaped(text: str, length: int = LABEL_LENGTH) -> str:
    """Text for HTML, in an attribute too: what cannot be printed as backslash escapes, what is too long with a gap.

    That makes harmless what a file name can hold: bytes that are no UTF-8, line breaks, marks that turn the writing round.
    """
    if len(text) > length:  # the end of a path tells more than its beginning
        text = f"{text[: length // 3]}…{text[-(length - length // 3 - 1) :]}"
    return html.escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def decimal(value: float, digits: int = 3) -> str:
    return _minus(f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.3g}")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def abbreviated(count: int) -> str:
    """A count as the label of an axis: 12.3k for 12,345."""
    for unit, name in (10**9, "G"), (10**6, "M"), (10**3, "k"):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + name
    return str(count)


def percentage(count: int, total: int) -> str:
    percent = 100 * count / total
    return f"{percent:.1f}\N{NO-BREAK SPACE}%" if percent >= 0.1 or not count else "&lt;0.1\N{NO-BREAK SPACE}%"


def plural(count: int, one: str, more: str | None = None) -> str:
    return one if count == 1 else more or f"{one}s"


# The policy keeps a browser from running anything but the page's own script, and from fetching, should a name get past `escaped`.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fastmlp {version}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
"""


def head(title: str, style: str = "", script: str = "") -> str:
    """All up to the title: with a style beside that of all pages, and leave for the script that `foot` is given."""
    allowed = f"; script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" if script else ""
    text, version = escaped(title, TEXT_LENGTH), escaped(fastmlp.__version__)
    return HEAD.format(title=text, version=version, style=STYLE + style, allowed=allowed)


def foot(script: str = "") -> str:
    """All from the end of what is said."""
    return FOOT.format(script=f"<script>{script}</script>\n" if script else "")


STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #f7f6f3; --card: #fff; --ink: #1d1c1a; --soft: #6a665f; --rule: #dedad2; --bar: #2c6e8c; --pale: #bcd3dd;
  --bad: #a6341b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #151618; --card: #1e2023; --ink: #e9e7e2; --soft: #a09c94; --rule: #33363b; --bar: #6db1cf; --pale: #34505d;
    --bad: #f0907a;
  }
}
* { box-sizing: border-box; }
body {
  max-width: 76rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 4vw, 3rem);
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}
a { color: inherit; text-decoration-color: var(--bar); text-underline-offset: .2em; }
h1 { margin: 0 0 1.5rem; font-size: clamp(1.6rem, 4vw, 2.4rem); line-height: 1.15; letter-spacing: -.02em; text-wrap: balance; }
h2 { margin: 0; font-size: 1.4rem; line-height: 1.25; letter-spacing: -.01em; unicode-bidi: isolate; }
h3 { margin: 0 0 .6rem; font-size: .8125rem; font-weight: 400; color: var(--soft); }
p { margin: 0; }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 1rem; margin: 0; }
.totals div { display: flex; flex-direction: column-reverse; padding-top: .75rem; border-top: 2px solid var(--ink); }
.totals dt { color: var(--soft); font-size: .875rem; }
.totals dd { margin: 0; font-size: clamp(1.4rem, 3.5vw, 2rem); line-height: 1.2; font-weight: 600; letter-spacing: -.02em; }
.totals .bad { border-color: var(--bad); }
.totals .bad dd { color: var(--bad); }
.totals a { text-decoration-color: currentcolor; text-decoration-thickness: 1px; }
summary { cursor: pointer; }
table { width: 100%; border-collapse: collapse; }
thead { color: var(--soft); font-size: .8125rem; }
th, td { padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--rule); }
th, td { text-align: right; font-weight: 400; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; unicode-bidi: isolate; }
td:last-child { width: 40%; padding-right: 0; }
td i { display: block; min-width: 2px; height: .6rem; border-radius: 1px; background: var(--bar); }
.lead { max-width: 44rem; margin-top: 2rem; }
.note { max-width: 44rem; margin-top: .5rem; color: var(--soft); font-size: .875rem; }
section { margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
.count { margin-bottom: 1.25rem; color: var(--soft); }
.count b { color: var(--ink); }
.class { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 1.5rem 3rem; align-items: start; }
.classes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); column-gap: 3rem; }
.classes section { grid-column: 1 / -1; }
.classes .small { grid-column: auto; }
.small .class { grid-template-columns: minmax(0, 20rem) minmax(0, 6.5rem); column-gap: 1.5rem; }
.plot { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; padding-top: .375rem; }
.plot { color: var(--soft); font-size: .75rem; line-height: 1; white-space: nowrap; }
.y { position: relative; width: 2.5rem; text-align: right; }
.y span { position: absolute; right: 0; transform: translateY(50%); }
svg { display: block; width: 100%; height: 10rem; border-bottom: 1px solid var(--soft); overflow: visible; }
path { fill: var(--bar); }
.line { fill: none; stroke: var(--rule); vector-effect: non-scaling-stroke; }
.x { grid-column: 2; display: flex; justify-content: space-between; margin-top: .5rem; }
.x span { width: 0; display: flex; justify-content: center; }
.x span:first-child { justify-content: start; }
.x span:last-child { justify-content: end; }
.sheets { display: grid; gap: 1.5rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem 3rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1.25rem .875rem; }
.about { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.25rem; margin: 0 0 2rem; }
.about { font-size: .875rem; }
.about dt { color: var(--soft); }
.about dd { margin: 0; }
figure { margin: 0; min-width: 0; }
img, .gone { width: 100%; aspect-ratio: 1; border: 1px solid var(--rule); border-radius: 3px; background: var(--card); }
img { display: block; object-fit: contain; }
.tiny { image-rendering: pixelated; }
.gone { display: grid; place-items: center; padding: .5rem; border-style: dashed; }
.gone { color: var(--bad); font-size: .75rem; line-height: 1.3; text-align: center; }
figcaption { margin-top: .35rem; font-size: .8125rem; line-height: 1.35; }
.second { display: block; color: var(--soft); }
.path { display: block; font: .75rem/1.35 ui-monospace, monospace; unicode-bidi: isolate; }
figcaption .path { color: var(--soft); }
ul { margin: 0; padding: 0; list-style: none; }
li { padding: .5rem 0; border-bottom: 1px solid var(--rule); font-size: .875rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .8125rem; }
@media (max-width: 52rem) { .class, .small .class { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 30rem) { .sheet { grid-template-columns: repeat(3, minmax(0, 1fr)); } td:last-child { width: 25%; } }
"""

FOOT = """\
</main>
<footer>Made by fastmlp. Images are shown in gray, as the classifier reads them.</footer>
{script}</body>
</html>
"""
