"""A model of tables as other programs read it: its networks, for the numbers that its columns become."""

import runpy

import numpy as np
import pytest

import fastmlp

RNG = np.random.default_rng(0)
TABLE = {
    "size": RNG.normal(size=60).tolist(),
    "color": [["red", "blue", "green"][k % 3] for k in range(60)],
    "kind": [["a", "b"][k % 2] for k in range(60)],
}
OPTIONS = {"hidden": 3, "epochs": 4, "seed": 0}


@pytest.mark.parametrize("options", [{}, {"members": 3, "ensemble": True}])
@pytest.mark.parametrize("target", ["kind", "size"])
def test_it_says_what_the_model_says(target, options, tmp_path):
    model = fastmlp.train_table(TABLE, target, **OPTIONS, **options)
    model.export(tmp_path / "model.py")
    module = runpy.run_path(str(tmp_path / "model.py"))
    inputs = np.array([[1.0, 0, 0, 1, 0], [0.5, 0, 1, 0, 1]])[:, : len(model.encoder.inputs)]
    expected = [
        network.predict_proba(inputs) if target == "kind" else network.predict(inputs)[:, None] for network in model.networks
    ]
    np.testing.assert_allclose(module["predict_outputs"](inputs), np.mean(expected, axis=0), rtol=1e-12)
    text = (tmp_path / "model.py").read_text()
    assert "color=red" in text
    model.export(tmp_path / "model.c")
    assert "color_red" in (tmp_path / "model.h").read_text()


def test_json_is_all_of_it(tmp_path):
    model = fastmlp.train_table(TABLE, "kind", **OPTIONS)
    model.export(tmp_path / "model.json")
    again = fastmlp.load(tmp_path / "model.json")
    assert again.predict_table(TABLE).tolist() == model.predict_table(TABLE).tolist() and repr(again) == repr(model)
