"""What a model was made with: enough to make it again, and all of it JSON."""

import inspect
import json

import numba
import numpy as np
from cases import toy

import fastmlp
from fastmlp.networks import provenance

X, Y = toy()
TOLD_ELSEWHERE = {"X", "y", "batches", "seed", "hidden", "activation", "output", "loss", "huber_delta", "bias", "task", "dtype"}
NO_MATTER = {"threads", "on_epoch", "progress", "keep_state"}


def test_a_drawn_seed_is_known_and_makes_the_same_network_again():
    model = fastmlp.train(X, Y, epochs=2)
    again = fastmlp.train(X, Y, epochs=2, seed=model.made_with["seed"])
    assert again.theta.tobytes() == model.theta.tobytes()
    assert again.made_with == model.made_with
    assert fastmlp.train(X, Y, epochs=2).made_with["seed"] != model.made_with["seed"]  # but for once in some billion times


def test_the_record_has_every_option_that_decides_on_the_result():
    model = fastmlp.train(X, Y, epochs=3, optimizer="sgd", seed=np.int64(7), l2=np.float32(0.5), threads=1)
    record = model.made_with
    assert (record["seed"], record["rows"]) == (7, 60)
    assert record["options"].keys() == inspect.signature(fastmlp.train).parameters.keys() - TOLD_ELSEWHERE - NO_MATTER
    assert record["options"]["epochs"] == 3 and record["options"]["l2"] == 0.5
    assert record["options"]["learning_rate"] == 0.016  # what sgd has by default, with 100 units
    assert record["versions"] == {"fastmlp": fastmlp.__version__, "numpy": np.__version__, "numba": numba.__version__}
    assert fastmlp.MLP.from_weights([np.eye(3)]).made_with == {}


def test_the_record_is_json_whatever_the_options_are():
    weights = np.ones(60)
    options = {"validation": (X, Y), "class_weight": {0: 1.0, np.int64(1): np.float64(2.0)}, "sample_weight": weights}
    model = fastmlp.train(X, Y, init=fastmlp.train(X, Y, epochs=1), epochs=1, **options)
    assert json.loads(json.dumps(model.made_with)) == model.made_with
    found = model.made_with["options"]
    assert found["validation"] == ["ndarray 60x3", "ndarray 60"] and found["class_weight"] == {"0": 1.0, "1": 2.0}
    assert found["sample_weight"] == "ndarray 60" and found["init"] == "MLP"
    assert provenance.made_with(1, {"validation": [0] * 1000})["options"] == {"validation": "list 1000"}


def test_a_member_tells_what_train_would():
    options = {"epochs": 2, "validation": 0.2, "patience": 5, "optimizer": "momentum"}
    population = fastmlp.train_many(X, Y, seed=[5, 6], learning_rate=[0.01, 0.1], batch_size=[8, None], **options)
    alone = fastmlp.train(X, Y, seed=6, learning_rate=0.1, batch_size=None, **options).made_with
    for chosen in population[1], population[1:][0], next(iter(population[[1]])):
        record = chosen.made_with
        assert [record["options"].pop(name) for name in ("halving", "rows")] == [None, None]
        assert record == alone and json.loads(json.dumps(record)) == record
