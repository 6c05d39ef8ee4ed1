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
    found, lines = made_with.get("validation"), []
    if isinstance(found, dict):
        how = f"{found.get('folds')} folds" if "folds" in found else "held out"
        ours = [
            f"{said} {found[name]:.4g}" for name, said in (("accuracy", "accuracy"), ("r2", "R2"), ("mae", "MAE")) if name in found
        ]
        alone = [f"the most frequent class alone {found['most_frequent']:.4g}"] if "most_frequent" in found else []
        alone += [f"the mean alone R2 {found['mean']:.4g}, MAE {found['mean_mae']:.4g}"] if "mean" in found else []
        lines.append("; ".join([f"{how}: {found.get('rows')} rows, {', '.join(ours)}", *alone]))
    importance = made_with.get("importance")
    if isinstance(importance, dict) and importance:
        score = "accuracy" if isinstance(found, dict) and "accuracy" in found else "R2"
        lines.append(f"what matters, by how much {score} drops where a column is shuffled:")
        rows = [(f"  {_short(name)}", f"{value:.3f}") for name, value in list(importance.items())[:MOST_IMPORTANT]]
        lines.append(_aligned(rows))
        if len(importance) > MOST_IMPORTANT:
            lines.append(f"  ... and {len(importance) - MOST_IMPORTANT} more")
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
