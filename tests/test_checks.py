"""Options as people give them: told in one sentence that names them and shows no data."""

import inspect
import pickle
import re

import numpy as np
import pytest
from inputs import BOTH, MODEL, PNG, POPULATION, Frame, X, Y, told, train, train_many

import fastmlp
from fastmlp import checks
from fastmlp.kernels.activations import OUTPUTS
from fastmlp.kernels.optimizers import OPTIMIZERS

# -- arguments ------------------------------------------------------------------------------------------------------------------


@BOTH
def test_validation_rows_may_be_a_list_of_two(train):
    listed, expected = train(X, Y, validation=[X, Y]), train(X, Y, validation=(X, Y))
    assert np.array_equal(listed.history.validation_loss, expected.history.validation_loss)


NO_CLASS = "class_weight must not be zero for all classes of rows that count; got 0 for each of them"
WEIGHTS = "class_weight must be a mapping from classes to factors, or 'balanced'; got"
RULES = f"optimizer must be one of {', '.join(map(repr, sorted(OPTIMIZERS)))}; got"
KNOWN_OUTPUTS = f"output must be one of {', '.join(map(repr, sorted(OUTPUTS)))}; got"


@BOTH
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"validation": [X, Y, Y]}, "validation must be a fraction or (X, y); got list of length 3"),
        ({"validation": X}, "validation must be a fraction between 0 and 1, or (X, y); got ndarray of shape (20, 3)"),
        ({"on_epoch": 5}, "on_epoch must be a function, or None; got 5"),
        ({"sample_weight": np.zeros(20)}, "sample_weight must not be zero for all rows"),
        ({"class_weight": {0: 0, 1: 0}}, NO_CLASS),
        ({"class_weight": {0: 0}, "sample_weight": 1 - Y}, NO_CLASS),
        ({"class_weight": X}, f"{WEIGHTS} ndarray of shape (20, 3)"),
        ({"output": X.tolist()}, f"{KNOWN_OUTPUTS} list of length 20"),
        ({"warmup": [b"secret"] * 7}, "warmup must be a number of at least 0; got list of length 7"),
        ({"optimizer": "secret" * 100}, f"{RULES} '{'secret' * 10}'..."),
    ],
    ids=range(10),
)
def test_arguments_are_told_by_name_and_without_the_data(change, sentence, train):
    told(lambda: train(X, Y, **change), sentence)


def test_targets_without_a_column_are_told():
    for y in (np.zeros((20, 0)), [[]] * 20):
        told(lambda y=y: train(X, y), "y must have shape (N,), or (N, K) for K outputs, at least one; got (20, 0)")
        told(lambda y=y: train_many(X, y), "y must have shape (N,), (N, members) or (N, members, outputs); got (20, 0)")


@BOTH
def test_a_bootstrap_and_a_validation_that_leave_no_weight_are_told(train):
    weight = np.arange(20) == 3
    sentences = set()
    for seed in range(8):
        for options in ({"bootstrap": True}, {"validation": 0.5}):
            try:
                train(X, Y, sample_weight=weight, **{"seed": 10 * seed, **options})
            except ValueError as error:
                sentences.add(re.sub(r"\d+", "N", str(error)))
    assert sentences == {
        "bootstrap with seed N draws no row whose weight is not zero; try another seed",
        "validation leaves no row whose weight, by sample_weight and class_weight, is not zero",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("a", "'a'"),
        ([1, 2.5, None], "[1, 2.5, None]"),
        ({"a": 1}, "{'a': 1}"),
        (list(range(1000)), "list of length 1000"),
        ([[1, 2], [3, 4]], "list of length 2"),
        (["secret " * 9] * 2, "list of length 2"),
        (PNG, "bytes of length 400"),
        ([b"secret" * 100], "list of length 1"),
        (np.zeros((3, 4)), "ndarray of shape (3, 4)"),
        (np.float64(2), "np.float64(2.0)"),
        (np.array(2.0), "2.0"),
        (Frame(X, None).__getitem__, "method"),
    ],
    ids=str,
)
def test_a_message_shows_what_is_small_and_the_size_of_what_is_not(value, text):
    assert checks.shown(value) == text


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fastmlp.extract_features(None), "source must be a path, or an iterable of paths; got None"),
        (lambda: fastmlp.extract_features([None]), "a path must be a str or an os.PathLike; got None"),
        (lambda: fastmlp.extract_features([PNG]), "a path must be a str or an os.PathLike of str; got bytes of length 400"),
        (lambda: fastmlp.train_folder(None), "folder must be a str or an os.PathLike; got None"),
        (lambda: fastmlp.read_image(None), "source must be a str or an os.PathLike; got None"),
        (lambda: fastmlp.load(5), "path must be a str or an os.PathLike; got 5"),
        (lambda: MODEL.save(None), "path must be a str or an os.PathLike; got None"),
        (lambda: POPULATION.table.save(None), "path must be a str or an os.PathLike; got None"),
    ],
)
def test_what_is_no_path_is_told(call, sentence):
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        call()


@pytest.mark.parametrize(
    ("call", "function", "strange", "meant"),
    [
        (lambda: train(X, Y, hiden=8), "train", "hiden", "hidden"),
        (lambda: train_many(X, Y, sed=8), "train_many", "sed", "seed"),
        (lambda: train_many(X, Y, **fastmlp.grid(lerning_rate=[0.1])), "train_many", "lerning_rate", "learning_rate"),
        (lambda: fastmlp.train_folder("nowhere", hiden=8), "train_folder", "hiden", "hidden"),
        (lambda: fastmlp.train_folder("nowhere", methd="softmax"), "train_folder", "methd", "method"),
        (lambda: fastmlp.classify_folder("nowhere", "", stric=True), "classify_folder", "stric", "strict"),
        (lambda: fastmlp.extract_features("nowhere", extracter="ink"), "extract_features", "extracter", "extractor"),
        (lambda: fastmlp.read_image("nowhere", max_pixel=3), "read_image", "max_pixel", "max_pixels"),
        (lambda: POPULATION.predict(X, votes=1), "Population.predict", "votes", "vote"),
        (lambda: MODEL.score(X, Y, weight=Y), "MLP.score", "weight", "sample_weight"),
        (lambda: fastmlp.MLP.from_weights([X], activations="tanh"), "MLP.from_weights", "activations", "activation"),
        (lambda: MODEL.jvp(X, X, parameter=True), "MLP.jvp", "parameter", "parameters"),
        (lambda: MODEL.export("m.c", dtyp="float32"), "MLP.export", "dtyp", "dtype"),
        (lambda: POPULATION.export("m.c", dtyp="float32"), "Population.export", "dtyp", "dtype"),
        (lambda: fastmlp.Trainer(hiden=3), "Trainer", "hiden", "hidden"),
        (lambda: fastmlp.Trainer().partial_fit(X, Y, weight=Y), "Trainer.partial_fit", "weight", "sample_weight"),
        (lambda: fastmlp.ImageClassifier.classify(None, "", order=1), "ImageClassifier.classify", "order", "ordered"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest_name(call, function, strange, meant):
    with pytest.raises(TypeError, match=rf"^{function} has no option '{strange}' \(did you mean '{meant}'\?\)$"):
        call()


@pytest.mark.parametrize(("function", "option"), [("train_many", "batches"), ("Trainer", "batches"), ("Trainer", "validation")])
def test_an_option_that_train_alone_has_is_no_misspelled_one(function, option):
    with pytest.raises(TypeError, match=rf"^{function} has no option '{option}' \(train has\)$"):
        getattr(fastmlp, function)(**{option: []})


def test_an_unknown_option_like_none_is_told_with_all_that_there_are():
    every = r"\(it has colour, formats, max_pixels, reduced, source\)"
    with pytest.raises(TypeError, match=rf"^read_image has no option 'size' {every}$"):
        fastmlp.read_image("nowhere", size=3)


def test_functions_keep_their_signatures():
    assert str(inspect.signature(fastmlp.train)).startswith(
        "(X: 'ArrayLike | None' = None, y: 'ArrayLike | None' = None, *, batches: 'Batches | None' = None, hidden: 'int"
    )
    assert [*inspect.signature(MODEL.from_weights).parameters][:3] == ["weights", "biases", "activation"]
    assert [*inspect.signature(POPULATION.predict).parameters] == ["X", "vote"]
    assert pickle.loads(pickle.dumps(fastmlp.train_many)) is fastmlp.train_many
