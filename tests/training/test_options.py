"""The options of training: the table, and all that has to say the same: signatures, docstrings, types, records."""

import inspect
import re
from typing import get_args, get_type_hints

import numpy as np
import pytest
from cases import one_sentence, toy

import fastmlp
from fastmlp import literals
from fastmlp.training.combinations import Choices
from fastmlp.training.option_types import TrainOptions
from fastmlp.training.options import OPTIONS, Options, explanation

FUNCTIONS = {"train": fastmlp.train, "train_many": fastmlp.train_many}
DATA = ["X", "y", "batches"]
BESIDE = ["executor"]  # who trains: nothing that a network is made by
X, Y = toy()
BY_FUNCTION = pytest.mark.parametrize("function", FUNCTIONS)


def options_of(function):
    return {name: option for name, option in OPTIONS.items() if function in option.of}


def described(function):
    """The parameters that a docstring describes, each with what it says."""
    text = inspect.getdoc(function).split("Parameters\n----------\n")[1].split("\n\nReturns\n")[0]
    entries = re.findall(r"^(\S[^\n]*)((?:\n +[^\n]*)*)", text, re.MULTILINE)
    return {name: words for names, words in entries for name in names.split(" : ")[0].split(", ")}


@BY_FUNCTION
def test_signatures_have_the_names_and_defaults_of_the_table(function):
    parameters = inspect.signature(FUNCTIONS[function]).parameters
    given = {name: parameter.default for name, parameter in parameters.items() if name not in [*DATA, *BESIDE]}
    assert given == {name: option.default for name, option in options_of(function).items()}
    assert {parameters[name].kind for name in given} == {inspect.Parameter.KEYWORD_ONLY}


def test_the_docstring_of_train_describes_every_option_in_the_order_of_the_signature():
    assert list(described(fastmlp.train)) == list(inspect.signature(fastmlp.train).parameters)


def test_the_docstring_of_train_many_describes_what_is_not_as_for_train():
    told = described(fastmlp.train_many)
    own = {name for name, option in OPTIONS.items() if option.own is not None or name == "sample_weight"}
    only = options_of("train_many").keys() - options_of("train").keys()
    assert {*DATA[:2], *own, *only} <= told.keys() <= {*DATA[:2], *BESIDE, *options_of("train_many"), "others"}
    assert "As for `train`" in told["others"]


def test_docstrings_name_the_choices_there_are():
    told = described(fastmlp.train)
    for name, literal in (
        ("activation", literals.Activation),
        ("output", literals.Output),
        ("loss", literals.Loss),
        ("optimizer", literals.Optimizer),
        ("schedule", literals.Schedule),
        ("monitor", literals.Monitor),
        ("init", literals.Init),
        ("task", literals.Task),
    ):
        for choice in get_args(literal):
            assert re.search(rf"\b{choice}\b", told[name]), (name, choice)
            assert name == "activation" or choice in explanation(name), (name, choice)


def test_options_that_are_handed_on_have_the_types_of_those_who_take_them():
    own, handed_on = get_type_hints(fastmlp.train), get_type_hints(TrainOptions)
    own = {name: own[name] for name in options_of("train")}
    assert own.keys() == handed_on.keys()
    assert {name for name in own if own[name] != handed_on[name]} == {"on_epoch"}  # with other arguments in one-vs-rest


def test_what_makes_a_grid_is_what_members_may_have_for_themselves():
    assert get_type_hints(Choices).keys() == {name for name, option in OPTIONS.items() if option.own is not None}
    assert options_of("train").keys() - options_of("train_many").keys() == {"keep_state"}
    assert options_of("train_many").keys() - options_of("train").keys() == {"members", "rows", "halving"}


def test_every_option_is_explained_in_a_line():
    for name in OPTIONS:
        assert re.fullmatch(r"[^\n.]{10,150}", explanation(name)), name


def test_once_checked_they_cannot_be_changed_and_nothing_is_left_open_but_what_the_network_says():
    options = Options.checked({}, X)
    with pytest.raises(AttributeError):
        options.epochs = 3
    left = {name for name in ("learning_rate", "l2", "schedule", "epochs", "seed") if getattr(options, name) is None}
    assert left == {"learning_rate"}


def test_values_come_as_they_are_used():
    given = {
        "hidden": 3,
        "activation": ["relu"],
        "epochs": np.int64(2),
        "l2": np.float32(0.5),
        "bias": np.True_,
        "validation": [X, Y],
    }
    options = Options.checked(given, X)
    assert (options.hidden, options.activation, options.epochs, options.l2) == ((3,), ("relu",), 2, 0.5)
    assert options.bias is True and type(options.epochs) is int and isinstance(options.validation, tuple)
    assert options.own() == {}


def test_members_have_lists_and_ranges_of_their_own():
    given = {"hidden": [3, (4, 5)], "activation": "tanh", "l2": np.array([0, 1]), "seed": range(10**12), "batch_size": [None, 7]}
    options = Options.checked(given, X, members=True)
    assert options.own() == {"hidden": [(3,), (4, 5)], "batch_size": [None, 7], "l2": [0.0, 1.0], "seed": range(10**12)}


def test_every_value_of_a_member_is_checked():
    for name, values, got in (
        ("seed", range(3, -2, -1), "-1"),
        ("seed", [1, None], "None"),
        ("seed", [1, 0.5], "0.5"),
        ("learning_rate", (0.1, 0), "0"),
        ("momentum", np.array([0.5, 1.0]), "1.0"),
        ("hidden", [3, 0], "0"),
        ("batch_size", [None, 0], "0"),
        ("activation", ["relu", "rely"], "'rely'"),
    ):
        with one_sentence([name, f"got {got}"]):
            Options.checked({name: values}, X, members=True)


def test_defaults_depend_on_the_optimizer_and_the_learning_rate():
    adam, own_rate, sgd = (Options.checked(given, X) for given in ({}, {"learning_rate": 0.1}, {"optimizer": "sgd"}))
    assert (adam.schedule, own_rate.schedule, sgd.schedule) == ("cosine", "constant", "constant")
    assert adam.l2 > 0 == own_rate.l2 == sgd.l2
    assert adam.epochs == own_rate.epochs < sgd.epochs == 200
    assert Options.checked({"keep_state": True}, X).schedule == "constant"


@BY_FUNCTION
def test_the_record_tells_what_decides_on_the_result(function):
    told = Options.checked({}, X).record(function)
    silent = {
        "hidden",
        "activation",
        "output",
        "loss",
        "huber_delta",
        "bias",
        "task",
        "dtype",
        "seed",
        "members",
    }  # the model itself says it
    silent |= {"threads", "on_epoch", "progress", "keep_state"}  # it changes no bit
    assert told.keys() == options_of(function).keys() - silent


@BY_FUNCTION
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patience": 3}, "patience needs validation: a fraction of the rows, or (X, y)"),
        ({"standardize": True, "bias": False}, "standardize=True needs biases to fold the scaling into; got bias=False"),
        ({"warmup": 4, "epochs": 4}, "warmup must be fewer epochs than epochs=4; got 4"),
        ({"validation": 0.001}, "validation=0.001 of 60 rows holds out none; give a larger fraction, or rows as (X, y)"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_told_alike_by_both(function, options, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        FUNCTIONS[function](X, Y, **options)
