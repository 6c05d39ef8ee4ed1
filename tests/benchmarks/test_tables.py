"""The tables of the READMEs say what a run of the benchmarks has found, and nothing else of them is touched."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import tables

MACHINE = {"processor": "A processor", "cores": 2, "versions": {"Python": "3.13.0", "NumPy": "2.4.6"}, "short": False}


def result(test, work, ours, *rivals, **more):
    rivals = [
        {"name": name, "figure": figure, "form": form, "times as fast": float(figure.partition("x")[0] or "nan")}
        for name, figure, form in rivals
    ]
    return {"fullname": f"benchmarks/test_{test}", "extra_info": {"work": work, "ours": ours, "rivals": rivals, **more}}


def score(name, ours, theirs, times_as_fast):
    rival = ("scikit-learn", f"{times_as_fast}x (19 to 31)", f"{theirs:.3f} ± 0.019")
    more = {"scores": [ours, theirs], "times as fast": times_as_fast}
    return result(f"quality.py::test_defaults[{name}]", name, f"{ours:.3f}", rival, **more)


RUN = {
    "datetime": "2026-11-28T22:30:00.123456+00:00",
    "machine_info": {"fastmlp": MACHINE},
    "benchmarks": [
        result(
            "training.py::test_full_batch_3_5_1[float32]",
            "full batch, 8000 rows, float32",
            "2 ns per row",
            ("lean NumPy", "5x (4 to 6)", ""),
            ("plain NumPy", "52x (50 to 54)", ""),
            ("PyTorch eager", "24x (23 to 25)", "threads: 1"),
            ("JAX jit+scan", "", "not installed"),
        ),
        result(
            "training.py::test_full_batch_3_5_1[float64]",
            "full batch, 8000 rows, float64",
            "4 ns per row",
            ("plain NumPy", "31x (30 to 32)", ""),
        ),
        result("images.py::test_features[ink-16]", "ink features", "3 us per image", ("plain NumPy", "8.5x (8.4 to 8.6)", "")),
        score("iris", 0.96, 0.95, 20),
        score("wine", 0.98, 0.98, 30),
        score("digits", 0.97, 0.98, 25),
    ],
}
MADE_WITH = "28 November 2026; A processor, 2 cores; Python 3.13.0, NumPy 2.4.6."


def readme(name, before=""):
    return f"Above.\n\n<!-- measured: {name} -->\n{before}<!-- end -->\n\nBelow.\n"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "training",
            [
                "| work | beside | float32 | float64 |",
                "| --- | --- | --- | --- |",
                "| full batch, 8000 rows | fastmlp | 2 ns per row | 4 ns per row |",
                "|  | lean NumPy | 5x (4 to 6) |  |",
                "|  | plain NumPy | 52x (50 to 54) | 31x (30 to 32) |",
                "|  | PyTorch eager | 24x (23 to 25), threads: 1 |  |",
            ],
        ),
        (
            "images",
            [
                "| work | beside | times as fast (quartiles) |",
                "| --- | --- | --- |",
                "| ink features | fastmlp | 3 us per image |",
                "|  | plain NumPy | 8.5x (8.4 to 8.6) |",
            ],
        ),
        (
            "quality",
            [
                "Of 3 sets: better on 1, equal on 1, lower on 1; a fit is 20 to 30 times as fast, in the median 25 times.",
                "",
                "| set | fastmlp | scikit-learn | times as fast (quartiles) |",
                "| --- | --- | --- | --- |",
                "| iris | 0.960 | 0.950 ± 0.019 | 20x (19 to 31) |",
                "| wine | 0.980 | 0.980 ± 0.019 | 30x (19 to 31) |",
                "| digits | 0.970 | 0.980 ± 0.019 | 25x (19 to 31) |",
            ],
        ),
        (
            "headlines",
            [
                "| work | NumPy | PyTorch | JAX | scikit-learn |",
                "| --- | --- | --- | --- | --- |",
                "| full batch, 8000 rows, float32 | 5x (4 to 6) | 24x (23 to 25) |  |  |",
            ],
        ),
    ],
)
def test_a_table_says_what_was_measured(name, lines):
    text = "".join(f"{line}\n" for line in lines)
    expected = readme(name, f"{text}\n{MADE_WITH}\n")
    assert tables.with_tables(readme(name), RUN) == expected
    assert tables.with_tables(readme(name, "older\n"), RUN) == expected


def test_a_table_of_what_was_not_run_stays_as_it_is():
    text = readme("prediction", "\n| older | table |\n\nOf another day.\n")
    assert tables.with_tables(text, RUN) == text


def test_the_readmes_show_every_table_once():
    shown = [name for path in tables.READMES for name in re.findall("<!-- measured: (.*?) -->", path.read_text())]
    assert sorted(shown) == sorted(tables.TABLES)


def test_every_benchmark_has_its_table():
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider"]
    output = subprocess.run(command, cwd=tables.ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    tests = re.findall("^benchmarks/(.*::.*)$", output, re.MULTILINE)
    again = ("headlines", "scikit_learn", "training_on_one_core")  # of tests that have a table
    beginnings = [beginning for name, (beginning, _) in tables.TABLES.items() if name not in again]
    assert all(sum(map(test.startswith, beginnings)) == 1 for test in tests)
    assert set(tables.HEADLINES) <= set(tests)


def test_a_file_of_results_becomes_tables_and_one_of_the_short_form_does_not(monkeypatch, tmp_path):
    paths = [tmp_path / "one.md", tmp_path / "other.md"]
    monkeypatch.setattr(tables, "READMES", paths)
    for path in paths:
        path.write_text(readme("training") + readme("images"))
    short = RUN | {"machine_info": {"fastmlp": MACHINE | {"short": True}}}
    (tmp_path / "results.json").write_text(json.dumps(short))
    with pytest.raises(SystemExit, match="short form"):
        tables.main(tmp_path / "results.json")
    assert all(path.read_text() == readme("training") + readme("images") for path in paths)
    (tmp_path / "results.json").write_text(json.dumps(RUN))
    tables.main(tmp_path / "results.json")
    assert all(path.read_text().count(MADE_WITH) == 2 for path in paths)


@pytest.mark.parametrize(
    ("number", "text"), [(2.5, "2.5 s"), (2.5e-3, "2.5 ms"), (1.23456e-6, "1.23 us"), (2.5e-9, "2.5 ns"), (4e-10, "0.4 ns")]
)
def test_durations_have_a_fitting_unit(number, text):
    assert tables.duration(number) == text


def test_a_ratio_is_the_median_and_the_quartiles():
    assert tables.times([1, 2, 3, 4, 100]) == "3x (2 to 4)"


def test_a_run_on_one_core_has_tables_of_its_own():
    text = readme("training") + readme("training_on_one_core")
    several = tables.with_tables(text, RUN)
    one = tables.with_tables(text, RUN | {"machine_info": {"fastmlp": MACHINE | {"cores": 1}}})
    assert several == tables.with_tables(readme("training"), RUN) + readme("training_on_one_core")
    assert one.startswith(readme("training")) and "A processor, 1 core; Python" in one
