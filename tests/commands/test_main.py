"""Which commands there are, their help, and wrong usage."""

import subprocess
import sys
from typing import get_args

import pytest
from command_line import IMAGES, ROOT, assert_one_sentence, classified, exits
from processes import run

import fastmlp
from fastmlp import literals
from fastmlp.commands import warmup_steps
from fastmlp.commands.classification.rows import ROW_FORMATS
from fastmlp.commands.classify import FORMATS
from fastmlp.commands.main import COMMANDS
from fastmlp.commands.train import SINGLE, SWEPT
from fastmlp.images import extractors
from fastmlp.training.options import OPTIONS, explanation


def test_help_names_the_commands():
    process = run("--help")
    assert (process.returncode, process.stderr) == (0, b"")
    for command in COMMANDS:
        assert command in process.stdout.decode()
    assert run("--version").stdout.decode().split() == ["fastmlp", fastmlp.__version__]


@pytest.mark.parametrize("args", ["", "help"])
def test_without_a_command_the_help_is_shown(args, capsys):
    assert exits(args, capsys) == exits("--help", capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_shown_in_two_ways(command, capsys):
    code, captured = exits(f"help {command}", capsys)
    assert (code, captured) == exits(f"{command} --help", capsys)
    assert code == 0 and captured.err == "" and f"usage: fastmlp {command}" in captured.out


ONE_FOR_ALL_LAYERS = ("hidden", "activation", "dropout")  # whose alternatives a command takes, as explained in its own words


def test_names_in_the_help_are_those_of_the_tables(monkeypatch, capsys):
    monkeypatch.setitem(extractors.EXTRACTORS, "another", extractors.EXTRACTORS["ink"])
    monkeypatch.setitem(warmup_steps.PARTS, "yet another", [])
    for command in "train", "features":
        told = " ".join(exits(f"{command} --help", capsys)[1].out.split())
        assert f"{', '.join(get_args(literals.ExtractorName))} or another; default: " in told
    assert "archives or yet another;" in " ".join(exits("warmup --help", capsys)[1].out.split())
    words = exits("train --help", capsys)[1].out.split()
    text = " ".join(words)
    assert all(" ".join(explanation(name).split()) in text for name in (*SWEPT, *SINGLE) if name not in ONE_FOR_ALL_LAYERS)
    for names in literals.Activation, literals.Optimizer, literals.Schedule, literals.Method:
        assert all(name in text for name in get_args(names))


def test_formats_of_rows_are_those_that_there_are():
    assert (*ROW_FORMATS, "parquet") == FORMATS


def test_options_that_take_several_values_are_those_of_each_network():
    assert all(OPTIONS[name].own is not None for name in SWEPT)
    # Commands have one number of epochs for all, and a seed to count from.
    assert {name for name in SINGLE if OPTIONS[name].own is not None} == {"epochs", "seed"}


def test_wrong_usage_is_told_before_anything_heavy_is_imported():
    code = "import sys; from fastmlp.commands.main import main\ntry: main(['train', 'folder', '--sed', '3'])\n"
    code += "finally: assert not sys.modules.keys() & {'numba', 'numpy', 'PIL'}"
    process = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 2 and process.stderr.startswith("fastmlp: ") and process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ("trian", ["'trian'", "did you mean train?"]),
        ("help trian", ["'trian'", "did you mean train?"]),
        ("--verison", ["--verison", "did you mean --version?"]),
        ("train folder", ["-o/--output"]),
        ("train folder -o=", ["-o/--output", "must be the name of a file; got ''"]),
        ("classify m.npz folder -o -", ["-o/--output", "must be the name of a file; got '-'"]),
        ("classify m.npz folder -o v.csv --report -", ["--report", "must be the name of a file; got '-'"]),
        ("features folder -o -", ["-o/--output", "must be the name of a file; got '-'"]),
        ("train folder -o m --sed 3", ["--sed", "did you mean --seed?", "fastmlp train --help"]),
        ("train --sed=3 -o m folder", ["--sed", "did you mean --seed?"]),
        ("demo --sed 3", ["--sed", "did you mean --seed?"]),
        ("features folder --extracter ink", ["--extracter", "did you mean --extractor?"]),
        ("classify m folder --unorderd", ["--unorderd", "did you mean --unordered?"]),
        ("evaluate m folder --threds 2", ["--threds", "did you mean --threads?"]),
        ("info m --verbose", ["fastmlp info has no option --verbose"]),
        ("warmup --quick", ["fastmlp warmup has no option --quick"]),
        ("info a b", ["fastmlp info does not take 'b'"]),
        ("info a -x", ["fastmlp info does not take '-x'"]),
        ("train folder -o m --hidden abc", ["--hidden", "such as 16 or 16,8", "'abc'"]),
        ("train folder -o m --hidden 8,x", ["--hidden", "such as 16 or 16,8", "'8,x'"]),
        ("train folder -o m --hidden 8//4", ["--hidden", "''"]),
        ("train folder -o m --hidden", ["--hidden", "expected one argument"]),
        ("train folder -o m --learning-rate 0.1,x", ["--learning-rate must be a number; got 'x'"]),
        ("train folder -o m --batch-size 1,", ["--batch-size must be a whole number or full; got ''"]),
        ("train folder -o m --members 0", ["--members must be a positive whole number; got '0'"]),
        ("train folder -o m --seed 1.5", ["--seed must be a whole number; got '1.5'"]),
        ("train folder -o m --validation some", ["--validation must be a number; got 'some'"]),
        ("train folder -o m --dtype float23", ["--dtype must be float32 or float64; got 'float23' (did you mean float32?)"]),
        ("classify m folder --format jsnl", ["--format must be csv, jsonl or parquet; got 'jsnl' (did you mean jsonl?)"]),
        ("demo circle", ["TASK must be circles or toy; got 'circle' (did you mean circles?)"]),
        ("demo --seed x", ["--seed must be a whole number; got 'x'"]),
    ],
)
def test_wrong_usage_is_one_sentence_and_exits_with_2(args, parts, capsys):
    code, captured = exits(args, capsys)
    assert code == 2
    assert_one_sentence(captured, *parts, "--help")


@pytest.mark.parametrize("options", ["--max-pixels 0", "--max-pixels -1", "--max-pixels many", "--threads 0"])
def test_a_number_that_must_be_positive_is_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as caught:
        classified("m.npz", IMAGES, *options.split())
    assert caught.value.code == 2 and "must be a positive whole number" in capsys.readouterr().err
