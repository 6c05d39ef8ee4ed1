"""train_table: a model from a table in one call: what its columns are, what is held out, and training anew on all rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.interrupts import put_off
from fastmlp.literals import Task
from fastmlp.networks import metrics
from fastmlp.networks.mlp import MLP
from fastmlp.networks.population import Population
from fastmlp.networks.provenance import made_with
from fastmlp.tables.encoder import Encoder
from fastmlp.tables.importance import evaluation_by, permutation_importance
from fastmlp.tables.kinds import encoder_of
from fastmlp.tables.table_model import TableModel
from fastmlp.tables.table_reading import read_table
from fastmlp.tables.target import task_and_targets
from fastmlp.training.cross_validation import cross_validate
from fastmlp.training.many import train_begun, train_many
from fastmlp.training.refitting import best_of, held_out_rows, keeping_best, members_kept, trained_anew
from fastmlp.training.train import train

FEWEST_ROWS = 10  # that anything is learned from
IMPUTE = ("median",)
HELD_OUT = 0.2  # of the rows, by default


class TableTask(NamedTuple):
    """What a table gives to learn."""

    X: NDArray[np.float64]  # (N, D)
    y: NDArray[Any]  # (N,)
    encoder: Encoder
    task: Task


class FittedTable(NamedTuple):
    """What comes of training on a table."""

    model: TableModel
    population: Population | None
    """All networks, if there were several."""
    measured: tuple[MLP, ...]
    """Those of the model before they were trained anew on all rows."""


def table_task(
    table: Any,
    target: str,
    *,
    categories: Collection[str] = (),
    ignore: Collection[str] = (),
    impute: str | None = None,
    task: Task | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
) -> TableTask:
    """Read a table; see `train_table`."""
    for option, names in ("categories", categories), ("ignore", ignore):
        if isinstance(names, str) or not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{option} must be a list of names of columns; got {checks.shown(names)}")
    if impute is not None:
        checks.one_of("impute", impute, IMPUTE)
    if not isinstance(target, str):
        raise TypeError(f"target must be the name of a column, as text; got {checks.shown(target)}")
    raw = read_table(table, delimiter, decimal)
    if raw.rows < FEWEST_ROWS:
        raise ValueError(f"{raw.name} must have at least {FEWEST_ROWS} rows to train on; it has {raw.rows}")
    what, y = task_and_targets(raw, target, task)
    encoder = encoder_of(raw, target, categories, ignore, impute is not None)
    return TableTask(encoder.encode(raw), y, encoder, what)


@checks.takes_options(train, train_many)
def train_table(
    table: Any,
    target: str,
    *,
    categories: Collection[str] = (),
    ignore: Collection[str] = (),
    impute: str | None = None,
    task: Task | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    validation: float | None = HELD_OUT,
    refit: bool = True,
    cv: int | None = None,
    ensemble: bool = False,
    **options: Any,
) -> TableModel:
    """Train a model on a table whose columns have names.

    Parameters
    ----------
    table : path, data frame of pandas, polars or pyarrow, or dict of columns
        A file of CSV or its like whose first line names the columns, in UTF-8, also packed by gzip; or Parquet, which needs pyarrow
        (`pip install 'fastmlp[tables]'`); with pyarrow CSV is read several times as fast, too. Cells that are empty, NA, N/A, NaN,
        nan, null or NULL are missing.
    target : str
        The column to predict. Texts, booleans, and whole numbers if there are but two different ones, or up to 20 that occur ten
        times each in the mean, make a classifier; other numbers a regressor.
    categories, ignore : sequences of str
        Columns that are to be taken for categories, and those that are to be left out. Of the others it is found out: "number";
        "date", as ISO 8601 writes it, also with a time, as days since 1970; "category", texts, which become an input for each of
        at most 50 levels that occur in 2 rows and in a thousandth of all, and one for all others; "ignored", where all cells are
        the same, or more than half of the texts are different, such as names.
    impute : {"median"}, optional
        Missing cells of numbers and dates get the median of the column, and one more input says that they were missing; those of a
        category are a level. By default a missing cell is an error.
    task : {"classification", "regression"}, optional
        Where it is not to be found out from the target.
    delimiter, decimal : str, optional
        Of a file: what stands between the cells, one character or "tab", found out by default; and the sign in numbers, by default
        ".", or where the delimiter is ";" also ",", if all cells of a column have it.
    validation : float or None
        The share of the rows, of each class alike, that is held out. It is measured after each epoch, and the weights of the best
        one are kept; what `made_with["validation"]` and `made_with["importance"]` tell is measured with these.
    refit : bool
        Whether then a network is trained anew on all rows, for as many epochs as were best.
    cv : int, optional
        Measure by so many folds instead, each by a network that learned from all others; then train on all rows. No rows are held
        out, whatever `validation` is.
    ensemble : bool
        Of several networks keep all that halving has not dropped and that have not diverged, instead of the best.
    **options
        Those of `train`, of `train_many` if there are `members` or `halving`: then several values of an option, as `grid` gives
        them, are those of the members. With these, or with `cv`, an `executor` may train them. Medians, levels and ranges of
        columns are those of all rows.

    Returns
    -------
    TableModel
        After Ctrl-C with the networks so far, with a RuntimeWarning.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C so soon that there is nothing to keep.
    OSError
        If the file cannot be read.
    TypeError
        If it is no table, or an option is unknown.
    ValueError
        If there is something wrong with the file or with a column: the message says with which, and in which row; or as `train`
        does.
    """
    data = table_task(
        table, target, categories=categories, ignore=ignore, impute=impute, task=task, delimiter=delimiter, decimal=decimal
    )
    return fit_table(data, validation=validation, refit=refit, cv=cv, ensemble=ensemble, **options).model


def fit_table(data: TableTask, *, refit: bool = True, cv: int | None = None, ensemble: bool = False, **options: Any) -> FittedTable:
    """Train on what a table gives to learn; see `train_table`."""
    options |= {"task": data.task, "seed": checks.seed("seed", options.get("seed"))}
    options["validation"] = options.get("validation") or None
    several = options.get("members") is not None or options.get("halving") is not None
    if ensemble and not several:
        raise ValueError("ensemble=True needs several networks: give members")
    if cv is not None:
        if several:
            raise ValueError("cv measures one network; give it without members and halving")
        for name in ("patience", "monitor"):
            if options.get(name) is not None:
                raise ValueError(f"cv holds out no rows that decide on the epochs; give it without {name}")
        model = _by_folds(data, cv, options)
        return FittedTable(model, None, model.networks)
    held = None
    if options["validation"] is not None:
        labels = data.y if data.task == "classification" else None
        held = held_out_rows(len(data.y), labels, options | {"validation": checks.share("validation", options["validation"])})
    how = options if held is None else keeping_best(options)
    if not several:
        trained: Any = train(data.X, data.y, **how)
        networks, made, population = (trained,), trained.made_with, None
    else:
        options.setdefault("data_seed", options["seed"])
        population = train_begun(data.X, data.y, **{**how, "data_seed": options["data_seed"]})
        trained = members_kept(population, ensemble)
        networks = tuple(trained)
        made = trained.made_with if ensemble else networks[0].made_with
        options["progress"] = options.get("progress", False) and not ensemble  # training anew is a step for each number of epochs
    if any(network.history.epochs == 0 for network in networks):
        raise KeyboardInterrupt
    asked = made_with(len(data.y), {"validation": options["validation"], "patience": options.get("patience")})
    record = {"seed": options["seed"], **made, "rows": asked["rows"], "options": made.get("options", {}) | asked["options"]}
    model = TableModel(data.encoder, networks, record)
    if held is None:
        return FittedTable(model, population, networks)
    with put_off():  # or what was trained would be lost
        model.made_with |= _measured(data, networks, held, options["seed"])
    reasons = {network.history.stopped_by for network in networks} | set(population.history.stopped_by if population else ())
    if refit and "interrupt" not in reasons:
        anew = trained_anew(trained, data.X, data.y, options, "rows")
        model.made_with["validation"]["refit"] = "interrupted" if anew is None else True
        model.networks = model.networks if anew is None else anew
    return FittedTable(model, population, networks)


def _measured(data: TableTask, networks: tuple[MLP, ...], held: NDArray[np.integer], seed: int) -> dict[str, Any]:
    """How good networks are on rows held out, and which columns matter."""
    record: dict[str, Any] = {"rows": len(held), **_compared(data, networks, held)}
    if len(networks) == 1:
        history = networks[0].history
        record |= {**best_of(history), "stopped_by": history.stopped_by}
    places = data.encoder.places()
    importance = permutation_importance(networks, data.X[held], data.y[held], places, seed)
    return {"validation": record | {"refit": False}, "importance": _sorted(importance)}


def _compared(data: TableTask, networks: tuple[MLP, ...], held: NDArray[np.integer]) -> dict[str, float]:
    """How good they are, beside the most frequent class of the other rows, or their mean."""
    found, y = evaluation_by(networks, data.X[held], data.y[held]), data.y[held]
    others = np.delete(data.y, held)
    if data.task == "classification":
        classes, counts = np.unique(others, return_counts=True)
        return {"accuracy": found.accuracy, "most_frequent": float((y == classes[counts.argmax()]).mean())}
    alone = metrics.of_numbers(np.full(len(y), others.mean()), y)
    return {"r2": found.r2, "mae": found.mae, "mean": alone.r2, "mean_mae": alone.mae}


def _by_folds(data: TableTask, cv: int, options: dict[str, Any]) -> TableModel:
    """A network trained on all rows, measured by others, one for each fold."""
    how = {name: value for name, value in options.items() if name not in ("validation", "patience", "monitor")}
    result = cross_validate(data.X, data.y, cv=cv, **how)
    if "interrupt" in result.members.history.stopped_by:
        raise KeyboardInterrupt
    scores, importances = [], []
    for member, (_, held) in enumerate(result.splits):
        if not result.members.diverged[member]:
            networks = (result.members[member],)
            scores.append(_compared(data, networks, held))
            importances.append(permutation_importance(networks, data.X[held], data.y[held], data.encoder.places(), options["seed"]))
    how.pop("executor", None)
    network = train(data.X, data.y, **how)
    if network.history.epochs == 0:
        raise KeyboardInterrupt
    record: dict[str, Any] = {"rows": len(data.y), "folds": len(result.splits), **_means(scores)}
    record["deviation"] = float(np.nanstd(result.scores))
    return TableModel(
        data.encoder, (network,), {**network.made_with, "validation": record, "importance": _sorted(_means(importances))}
    )


def _means(records: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([record[name] for record in records])) for name in records[0]}


def _sorted(importance: dict[str, float]) -> dict[str, float]:
    """The columns that matter most first."""
    return dict(sorted(importance.items(), key=lambda item: -item[1]))
