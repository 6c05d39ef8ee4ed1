"""The measured tables of benchmarks/README.md and README.md, written from the results of a run of the benchmarks:

    pytest benchmarks --benchmark-only --benchmark-json=FILE
    python -m benchmarks.tables FILE

A table stands between `<!-- measured: NAME -->` and `<!-- end -->`, where NAME says which tests it tells of; the prose around it is
the README's own. A table whose tests were not run stays as it is, with its own date and machine: so some of the benchmarks may be
run again by themselves. A rival whose library was not installed has no row. Of tables whose names end in `one_core` a run tells
that was kept on one, as by `taskset -c 0`; of the others, one on several.
"""

import json
import re
import sys
from datetime import datetime
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "benchmarks" / "README.md", ROOT / "README.md")
TABLE = re.compile(r"(?<=<!-- measured: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
DTYPES = ("float32", "float64")
SPEED = "times as fast (quartiles)"
OWN = "fastmlp"
PEERS = ("NumPy", "PyTorch", "JAX", "scikit-learn")  # whose times README.md tells, for these tests:
HEADLINES = (
    "test_training.py::test_full_batch_3_5_1[float32]",
    "test_training.py::test_per_sample[float32]",
    "test_training.py::test_mini_batches[32 of 16-16-2-float32]",
    "test_training.py::test_mini_batches[128 of 784-128-10-float32]",
    "test_population.py::test_per_sample[float32]",
    "test_images.py::test_classify_folder",
)

IN_SCIKIT_LEARN = ("test_estimators.py::test_fit", "test_estimators.py::test_one_row", "test_population_search.py")  # as well


def digits(x):
    """x with three significant digits."""
    return np.format_float_positional(x, precision=3, fractional=False, trim="-")


def duration(x):
    """Of seconds: 2.5e-9 gives '2.5 ns'."""
    factor, prefix = next(((f, p) for f, p in ((1, ""), (1e-3, "m"), (1e-6, "u")) if x >= f), (1e-9, "n"))
    return f"{digits(x / factor)} {prefix}s"


def times(ratios):
    """How many times as fast: the median and the quartiles of the rounds."""
    median, low, high = map(digits, np.quantile(ratios, [0.5, 0.25, 0.75]))
    return f"{median}x ({low} to {high})"


def machine_line(machine):
    """What a run was made on, and with which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} core{'s' * (machine['cores'] > 1)}; {versions}"


def markdown(headings, rows):
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, ["---"] * len(headings), *rows))


def compared(results, heading=SPEED):
    """A row for our figure of a work, and one for each rival's; float32 and float64 side by side."""
    cells = {}  # (work, who) -> {dtype, or "" where a work has but one: cell}
    for result in results:
        work, _, dtype = result["work"].rpartition(", ")
        if dtype not in DTYPES:
            work, dtype = result["work"], ""
        for rival in ({"name": OWN, "figure": result["ours"], "form": ""}, *result["rivals"]):
            if rival["figure"]:
                cells.setdefault((work, rival["name"]), {})[dtype] = ", ".join(filter(None, (rival["figure"], rival["form"])))
    columns = [dtype for dtype in (*DTYPES, "") if any(dtype in cell for cell in cells.values())]
    rows = [[work if who == OWN else "", who, *(cell.get(column, "") for column in columns)] for (work, who), cell in cells.items()]
    return markdown(["work", "beside", *(column or heading for column in columns)], rows)


def scores(results):
    """A row for each data set, and a sentence on all of them."""
    better = [np.sign(round(ours - theirs, 6)) for ours, theirs in (result["scores"] for result in results)]
    counts = ", ".join(f"{word} on {better.count(sign)}" for word, sign in (("better", 1), ("equal", 0), ("lower", -1)))
    low, median, high = map(digits, np.quantile([result["times as fast"] for result in results], [0, 0.5, 1]))
    rows = [[result["work"], result["ours"], result["rivals"][0]["form"], result["rivals"][0]["figure"]] for result in results]
    return f"Of {len(rows)} sets: {counts}; a fit is {low} to {high} times as fast, in the median {median} times.\n\n" + markdown(
        ["set", OWN, "scikit-learn", SPEED], rows
    )


def headlines(results):
    """A row for each work, with the figure of the fastest rival of each kind."""

    def figure(result, peer):
        timed = [rival for rival in result["rivals"] if peer in rival["name"] and rival["figure"]]
        return min(timed, key=itemgetter("times as fast"))["figure"] if timed else ""

    return markdown(["work", *PEERS], [[result["work"], *(figure(result, peer) for peer in PEERS)] for result in results])


def beside_scikit_learn(results):
    """A row for each work and each of the ways to do it with scikit-learn."""
    rows = [[result["work"], rival["name"], rival["figure"]] for result in results for rival in result["rivals"]]
    return markdown(["work", "beside", SPEED], rows)


def convergence(results):
    """A row for each problem and optimizer: epochs and time to each of the levels."""
    rows = []
    for result in results:
        for number, (optimizer, reached) in enumerate(result["reached"].items()):
            cells = ["never" if count is None else f"{count}: {duration(seconds)}" for count, seconds in reached]
            rows.append(["" if number else result["work"], optimizer, *cells])
    return markdown(["problem", "optimizer", "a tenth is left", "a hundredth", "a thousandth"], rows)


TABLES = {  # the tests that each tells of, by the beginnings of their names, and how it is written
    "headlines": (HEADLINES, headlines),
    "scikit_learn": (IN_SCIKIT_LEARN, beside_scikit_learn),
    "training": ("test_training.py", compared),
    "training_on_one_core": ("test_training.py", compared),
    "prediction": ("test_prediction.py", compared),
    "population": ("test_population.py", compared),
    "export": ("test_export.py", compared),
    "images": ("test_images.py", compared),
    "digits": ("test_digits.py", compared),
    "photographs": ("test_photographs.py", compared),
    "sorting": ("test_sorting.py", compared),
    "executors": ("test_executors.py", compared),
    "tables": ("test_tables.py", compared),
    "quality": ("test_quality.py", scores),
    "estimators": (("test_estimators.py", "test_population_search.py"), compared),
    "regularization": ("test_regularization.py", compared),
    "incremental": ("test_incremental.py", compared),
    "streams": ("test_streams.py::test_time", compared),
    "memory_of_streams": ("test_streams.py::test_memory", partial(compared, heading="memory")),
    "solvers": ("test_solvers.py", compared),
    "convergence": ("test_convergence.py", convergence),
    "start": ("test_start.py", compared),
    "cost": ("test_cost.py::test_cost", compared),
    "memory": ("test_cost.py::test_memory", partial(compared, heading="memory")),
}


def with_tables(text, run):
    """The text of a README with the tables of a run."""
    machine = run["machine_info"]["fastmlp"]
    date = datetime.fromisoformat(run["datetime"])
    results = [{"test": one["fullname"].rpartition("benchmarks/")[2], **one["extra_info"]} for one in run["benchmarks"]]

    def renewed(match):
        beginnings, write = TABLES[match[1]]
        cores_fit = (machine["cores"] == 1) == match[1].endswith("one_core")
        told = [result for result in results if cores_fit and result["test"].startswith(beginnings)]
        return f"{match[1]}{match[2]}{write(told)}\n{date:%-d %B %Y}; {machine_line(machine)}.\n" if told else match[0]

    return TABLE.sub(renewed, text)


def main(path):
    run = json.loads(Path(path).read_text())
    if run["machine_info"]["fastmlp"]["short"]:
        sys.exit("figures of the short form mean nothing")
    for readme in READMES:
        readme.write_text(with_tables(readme.read_text(), run))


if __name__ == "__main__":
    main(*sys.argv[1:])
