"""Files of models of tables: read as they were written, and rejected where something does not fit."""

import copy
import warnings

import numpy as np
import pytest
from model_files import assert_refused, header_of, rewrite_header, same_network

import fastmlp


@pytest.fixture
def saved(houses, tmp_path):
    gaps = [None if row % 7 == 0 else cell for row, cell in enumerate(houses["area"].tolist())]
    model = fastmlp.train_table(houses | {"area": gaps}, "town", seed=0, epochs=3, impute="median", members=3, ensemble=True)
    model.save(tmp_path / "m.npz")
    return model, tmp_path / "m.npz"


def test_what_is_read_is_what_was_written(saved, houses):
    model, path = saved
    read = fastmlp.load(path)
    assert read.encoder == model.encoder and read.made_with == model.made_with and read.target == "town"
    assert all(same_network(one, other) for one, other in zip(read.networks, model.networks, strict=True))
    assert read.predict_proba(houses).tobytes() == model.predict_proba(houses).tobytes()
    before = path.read_bytes()
    read.save(path)
    assert path.read_bytes() == before


def test_levels_that_are_rare_are_remembered(houses, tmp_path):
    town = [*houses["town"][:-1], "Rome"]
    model = fastmlp.train_table(houses | {"town": town}, "price", seed=0, epochs=2)
    model.save(tmp_path / "m.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastmlp.load(tmp_path / "m.npz").predict_table(houses | {"town": town})
    with pytest.warns(UserWarning, match="column 'town' in 1 cell, such as 'Oslo'$"):
        fastmlp.load(tmp_path / "m.npz").predict_table(houses | {"town": [*town[:-1], "Oslo"]})


def test_a_file_that_was_changed_is_refused(saved):
    _, path = saved
    header, bytes_ = header_of(path), path.read_bytes()
    number = next(place for place, entry in enumerate(header["columns"]) if entry["kind"] == "number")
    category = next(place for place, entry in enumerate(header["columns"]) if entry["kind"] == "category")

    def refused(reason, place=number, **fields):
        columns = copy.deepcopy(header["columns"])
        columns[place] = {name: value for name, value in (columns[place] | fields).items() if value is not ...}
        rewrite_header(path, columns=columns)
        assert_refused(path, reason)
        path.write_bytes(bytes_)

    refused("the kind of a column in its header must be one of", kind="colour")
    refused("the kind of a column in its header must be one of", kind=["number"])
    refused("must have the fields", low=...)
    refused("must have the fields", levels=["a"])
    refused("low in its header must be of type float", low=1)
    refused("fill in its header must be finite", fill=float("nan"))
    date = next(place for place, entry in enumerate(header["columns"]) if entry["kind"] == "date")
    refused("a day that there is", date, low=-1e300)
    refused("different names", name="town")
    refused("must be of type str", name=3)
    refused("a level in its header must be of type str", category, levels=[1])
    refused("must differ", category, levels=["a", "a"])
    refused("must differ", category, rare=["Ulm", header["columns"][category]["levels"][0]])
    refused("rare in its header must be of type list", category, rare="Ulm")
    refused("networks must have 5 inputs", indicator=False)
    for fields, reason in (
        ({"columns": [3]}, "a column in its header must be of type dict"),
        ({"columns": []}, "networks must have 0 inputs"),
        ({"target": 3}, "target in its header must be of type str"),
        ({"impute": "median"}, "impute in its header must be of type bool"),
        ({"networks": []}, "its header declares 0 networks"),
        ({"more": 1}, "its header must have the fields"),
        ({"made_with": {"options": 3}}, "must be of type dict"),
        ({"made_with": {"validation": 3}}, "validation in its header must be of type dict"),
        ({"made_with": {"validation": {"accuracy": "1"}}}, "accuracy in its header must be of type float"),
        ({"made_with": {"importance": {"a": "1"}}}, "an importance in its header must be of type float"),
    ):
        rewrite_header(path, **fields)
        assert_refused(path, reason)
        path.write_bytes(bytes_)


def test_networks_of_other_classes_are_refused(saved):
    model, _ = saved
    inputs = len(model.encoder.inputs)
    other = fastmlp.MLP.from_weights([np.ones((inputs, 3))], [np.zeros(3)], output="softmax", classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="networks must all have the same classes"):
        fastmlp.TableModel(model.encoder, [*model.networks, other])
    with pytest.raises(ValueError, match="networks must hold one at least"):
        fastmlp.TableModel(model.encoder, [])


def test_other_commands_and_functions_say_what_it_is(saved, tmp_path):
    _, path = saved
    with pytest.raises(ValueError, match="its header declares an unknown kind or version: 'table-model'"):
        fastmlp.classify_folder(path, tmp_path)
