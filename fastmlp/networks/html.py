"""Tables for notebooks: of no color, so that they are read on dark and on light ground alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", note: str = "") -> str:
    """A table of texts, each as it is, below a caption and above a note."""
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    head = f"<thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in heads)}</tr></thead>" if any(heads) else ""
    above = f"<caption style='text-align: left'>{escape(caption)}</caption>" if caption else ""
    below = f"<div>{escape(note)}</div>" if note else ""
    return f"<table style='font-variant-numeric: tabular-nums'>{above}{head}<tbody>{cells}</tbody></table>{below}"
