"""What fastmlp train keeps and tells of a training, of images or of a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastmlp.commands.console import FINE, as_private_as, say, tell
from fastmlp.commands.info import print_model
from fastmlp.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from fastmlp.images.classifier import ImageClassifier
    from fastmlp.networks.population import Population
    from fastmlp.tables.table_model import TableModel

BEST_SHOWN = 10  # of the best of several networks


def save_trained(output: str, model: ImageClassifier | TableModel, population: Population | None) -> int:
    """Save a model, after Ctrl-C under another name, and tell what it is; of several networks tell the best."""
    from fastmlp.writing import free_unfinished

    reasons = [network.history.stopped_by for network in model.networks if network.history is not None]
    if population is not None:
        reasons = list(population.history.stopped_by)
        if "diverged" in reasons:
            say(f"{reasons.count('diverged')} of {len(reasons)} networks diverged")
    interrupted = "interrupt" in reasons or model.made_with.get("validation", {}).get("refit") == "interrupted"
    path = free_unfinished(output) if interrupted else output
    with as_private_as(output):
        model.save(path)
    if population is not None:
        tell(population.table.best(BEST_SHOWN))
    print_model(model)
    if interrupted:
        older = f"; {output} is as it was" if os.path.exists(output) else ""
        say(f"what has been trained so far is in {path}{older}")
    return INTERRUPTED if interrupted else FINE
