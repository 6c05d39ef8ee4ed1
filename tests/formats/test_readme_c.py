"""The program in C that the README shows compiles, and comes to what it says."""

import subprocess

import numpy as np
from compilers import C_COMPILER, WARNINGS, compiled, needs_c
from model_files import network
from test_readme import blocks


@needs_c
def test_the_program_of_the_readme_runs(tmp_path):
    block, _ = blocks("c")
    model = network((3, 8, 1), dtype=np.float32, output="sigmoid", loss="cross_entropy", classes=np.array(["inside", "outside"]))
    model.export(tmp_path / "inside.c")
    (tmp_path / "main.c").write_text(block.text)
    options = ("-std=c99", "-O3", *WARNINGS)
    compiled(C_COMPILER, *options, "-o", tmp_path / "run", tmp_path / "inside.c", tmp_path / "main.c", "-lm")
    process = subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=True, timeout=60)
    assert process.stdout.strip() == model.predict(np.array([[0.1, -0.1, 0.6]], np.float32))[0]


@needs_c
def test_the_program_in_whole_numbers_runs(tmp_path):
    (_, block), rows = blocks("c"), np.random.default_rng(0).normal(size=(50, 3))
    model = network((3, 8, 1), output="sigmoid", loss="cross_entropy", classes=np.array(["inside", "outside"]))
    model.export(tmp_path / "whole.c", fixed_point=rows)
    (tmp_path / "main.c").write_text(block.text)
    compiled(C_COMPILER, "-std=c99", "-O2", *WARNINGS, "-o", tmp_path / "run", tmp_path / "whole.c", tmp_path / "main.c")
    process = subprocess.run([tmp_path / "run"], check=False, timeout=60)
    assert process.returncode == int(model.predict(np.array([[0.1, -0.1, 0.6]]))[0] != "inside")
