"""What there is to tell of a model of a table: its columns, how good it is, and which columns matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.commands.console import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.tables.encoder import Encoder
    from fastmlp.tables.table_model import TableModel

MOST_IMPORTANT = 10  # columns that are told
SCORES = {"accuracy": "accuracy", "r2": "R2", "mae": "MAE"}  # what they are called
ALONE = {"most_frequent": "the most frequent class alone", "mean": "the mean alone R2", "mean_mae": "MAE"}
WIDEST = 32  # characters of a name


def columns_as_text(encoder: Encoder, y: NDArray[Any] | None = None, task: str = "") -> str:
    """A line for each column, for the target, too, where its cells are there."""
    rows: list[tuple[str, str, str]] = [(plan.name, plan.kind, plan.described()) for plan in encoder.plans]
    if y is not None:
        rows.append((encoder.target, "target", _target_as_text(y, task)))
    return _aligned([(_short(name), kind, printable(text)) for name, kind, text in rows])


def _target_as_text(y: NDArray[Any], task: str) -> str:
    import numpy as np

    from fastmlp.networks.metrics import listing, short

    if task == "regression":
        return f"{y.min():.6g} to {y.max():.6g}"
    classes, counts = np.unique(y, return_counts=True)
    return listing(f"{short(label)} {count}" for label, count in zip(classes.tolist(), counts.tolist(), strict=True))


def measured_as_text(made_with: dict[str, Any]) -> str:
    """How good it was on rows that it had not learned from, and which columns that is due to."""
    found, importance = made_with.get("validation", {}), made_with.get("importance", {})
    ours = ", ".join(f"{said} {found[name]:.4g}" for name, said in SCORES.items() if name in found)
    alone = ", ".join(f"{said} {found[name]:.4g}" for name, said in ALONE.items() if name in found)
    how = f"{found['folds']} folds" if "folds" in found else "held out"
    lines = [f"{how}: {found.get('rows', 'some')} rows, {ours}{'; ' * bool(alone)}{alone}"] if ours else []
    if importance:
        score = "accuracy" if "accuracy" in found else "R2"
        lines.append(f"what matters, by how much {score} drops where a column is shuffled:")
        lines.append(_aligned([(f"  {_short(name)}", f"{value:.3f}") for name, value in list(importance.items())[:MOST_IMPORTANT]]))
        lines += [f"  ... and {len(importance) - MOST_IMPORTANT} more"] if len(importance) > MOST_IMPORTANT else []
    return "\n".join(lines)


def headline(model: TableModel) -> str:
    from fastmlp.networks.metrics import listing, short

    kind = "numbers" if model.classes is None else listing(map(short, model.classes.tolist()))
    return f"predicts {_short(model.target)} of tables: {kind}"


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
