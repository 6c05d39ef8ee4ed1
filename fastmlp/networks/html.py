"""Tables for notebooks: of no color, so that they are read on dark and on light ground alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

NUMBER = re.compile(r"-?[\d.]+(e[+-]?\d+)?|nan|-?inf|")
LEFT = " style='text-align: left'"


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", note: str = "") -> str:
    """A table of texts, each as it is, below a caption and above a note: numbers to the right, as notebooks have it, and words to
    the left. The caption is no part of the table, or it would be broken to the width of that."""
    body = [[str(cell) for cell in row] for row in rows]
    words = [LEFT if not all(map(NUMBER.fullmatch, column)) else "" for column in zip(*body, strict=True)] or [""] * len(heads)
    lines = [_line("td", words, row) for row in body]
    head = f"<thead>{_line('th', words, heads)}</thead>" if any(heads) else ""
    table = f"<table style='font-variant-numeric: tabular-nums'>{head}<tbody>{''.join(lines)}</tbody></table>" if heads else ""
    above, below = (f"<div>{escape(text)}</div>" if text else "" for text in (caption, note))
    return f"{above}{table}{below}"


def _line(tag: str, styles: Sequence[str], cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}{style}>{escape(cell)}</{tag}>' for style, cell in zip(styles, cells, strict=True))}</tr>"
