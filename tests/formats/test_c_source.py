"""Networks as C: the same outputs, whatever they are made of; and nothing in a name that means something in C."""

import re

import numpy as np
import pytest
from compilers import C_COMPILER, CPP_COMPILER, WARNINGS, InC, compiled, needs_c, needs_cpp
from exports import NAMED, PAIRS, assert_close, case, outputs_of
from model_files import image_classifier, network

import fastmlp
from fastmlp.formats.c_files import identifier


@needs_c
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "output"), PAIRS)
def test_outputs_are_ours_for_every_activation(activation, output, dtype, tmp_path):
    model, X = case(activation, output, dtype)
    model.export(tmp_path / "m.c")
    c = InC(tmp_path / "m.c", "m")
    assert c.dtype is dtype and c.self_test() == 0
    assert_close(c.predict_outputs(X), outputs_of(model, X), dtype)
    if model.classes is not None:
        assert [model.classes[k] for k in c.predict(X)] == model.predict(X).tolist()


@needs_c
@pytest.mark.parametrize("sizes", [(1, 1), (3, 5, 1), (64, 32, 10), (2, 1, 1, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_sizes_with_and_without_biases(sizes, bias, tmp_path):
    model = network(sizes, bias=bias)
    model.export(tmp_path / "m.c")
    X = np.random.default_rng(0).normal(size=(20, sizes[0]))
    assert_close(InC(tmp_path / "m.c", "m", ("-O3",)).predict_outputs(X), outputs_of(model, X), np.float64)


@needs_c
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus", "silu", "elu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_of_any_number_are_finite_and_ours(activation, dtype, tmp_path):
    eye = np.eye(5, dtype=dtype)
    model = fastmlp.MLP.from_weights([eye, eye], activation=activation)
    X = np.array(
        [[0.0, -0.0, 1e-30, -1e-30, 1e-5], [-1e-5, 10, -10, 87, -87], [88.5, -88.5, 700, -709, 1e9], [-1e9, 1e30, -1e30, 0.3, -0.3]]
    )
    model.export(tmp_path / "m.c")
    came, expected = InC(tmp_path / "m.c", "m").predict_outputs(X), model.predict(X.astype(dtype))
    np.testing.assert_allclose(came, expected, rtol=8 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@needs_c
def test_a_dtype_may_be_wished(tmp_path):
    model, X = case("tanh", "softmax", np.float64)
    model.export(tmp_path / "m.c", dtype="float32")
    c = InC(tmp_path / "m.c", "m")
    assert c.dtype is np.float32 and c.self_test() == 0
    np.testing.assert_allclose(c.predict_outputs(X), model.predict_proba(X), atol=1e-4)


@needs_c
def test_a_population_gives_the_mean_of_the_members_that_did_not_diverge(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    for y, name in ((X[:, 0] > 0, "two"), (np.arange(60) % 3, "three"), (np.sin(X[:, 0]), "number")):
        rates = [0.01, 1e30 if name == "number" else 0.05, 0.01, 0.02, 0.1]
        hidden = [4, 4, 4, (5, 3), 4]
        population = fastmlp.train_many(X, y, learning_rate=rates, hidden=hidden, optimizer="sgd", epochs=3, seed=range(5))
        assert population.diverged.any() == (name == "number")
        population.export(tmp_path / f"{name}.c")
        c = InC(tmp_path / f"{name}.c", name)
        assert c.self_test() == 0
        classes = population.groups[0].network.classes
        expected = population.predict(X) if classes is None else population.predict_proba(X)
        assert_close(c.predict_outputs(X), expected.reshape(60, -1), np.float64)
        if classes is not None:
            assert [classes[k] for k in c.predict(X)] == population.predict(X).tolist()


@needs_c
@pytest.mark.parametrize("method", ["softmax", "one-vs-rest"])
def test_an_image_classifier_takes_features(method, tmp_path):
    classifier = image_classifier(method)
    classifier.export(tmp_path / "m.c")
    c, X = InC(tmp_path / "m.c", "m"), np.random.default_rng(0).random((9, 3))
    assert c.self_test() == 0 and c.classes == [b"circle", b"line"]
    assert_close(c.predict_outputs(X), classifier.scores(X), np.float64)
    assert [classifier.classes[k] for k in c.predict(X)] == classifier.predict(X).tolist()


@needs_c
def test_class_names_of_any_characters_are_read_as_they_are(tmp_path):
    classes = np.array(sorted(NAMED))
    model = network((3, len(classes)), output="softmax", loss="cross_entropy", classes=classes)
    model.export(tmp_path / "m.c")
    assert InC(tmp_path / "m.c", "m").classes == [name.encode("utf-8", "surrogatepass") for name in classes.tolist()]


def test_a_class_name_that_c_has_no_string_for_is_told(tmp_path):
    model = network((3, 2), output="softmax", loss="cross_entropy", classes=np.array(["a", "é" * 2001]))
    with pytest.raises(ValueError, match="at most 4000 bytes in C; got 4002"):
        model.export(tmp_path / "m.c")
    assert not list(tmp_path.iterdir())


@needs_cpp
@pytest.mark.parametrize("standard", ["c++98", "c++17"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
def test_it_is_cpp_too(standard, output, tmp_path):
    model, _ = case("tanh", output, np.float32)
    model.export(tmp_path / "class.c")
    main = tmp_path / "main.cpp"
    main.write_text('#include "class.h"\nint main() { return class_self_test(); }\n')
    compiled(CPP_COMPILER, f"-std={standard}", *WARNINGS, "-o", tmp_path / "run", main, tmp_path / "class.c")
    compiled(tmp_path / "run")


@needs_c
def test_a_compiler_of_c_links_it_with_cpp(tmp_path):
    model, _ = case("relu", "softmax", np.float64)
    model.export(tmp_path / "m.c")
    compiled(C_COMPILER, "-std=c99", *WARNINGS, "-c", "-o", tmp_path / "m.o", tmp_path / "m.c")
    if CPP_COMPILER:
        (tmp_path / "main.cpp").write_text('#include "m.h"\nint main() { return m_self_test() || !m_classes[0]; }\n')
        compiled(CPP_COMPILER, *WARNINGS, "-o", tmp_path / "run", tmp_path / "main.cpp", tmp_path / "m.o", "-lm")
        compiled(tmp_path / "run")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("int", "int"),
        ("a-b c", "a_b_c"),
        ("3 d", "network_3_d"),
        ("日本", "network"),
        ("__x__y", "x_y"),
        ("größe", "gr_e"),
        ("", "network"),
    ],
)
def test_names_in_c_follow_from_that_of_the_file(stem, name):
    assert identifier(stem) == name


@needs_c
@pytest.mark.parametrize("stem", ["int", "a-b c", "3 d", "日本", "switch", "E", "REAL", "UPPER_NAME"])
def test_a_file_of_any_name_compiles(stem, tmp_path):
    network((2, 3), output="softmax", loss="cross_entropy", classes=np.arange(3)).export(tmp_path / f"{stem}.c")
    assert InC(tmp_path / f"{stem}.c", identifier(stem)).self_test() == 0


@pytest.mark.parametrize("stem", ['a"b', "a\\b", "a\nb", "a??b"])
def test_a_name_that_c_cannot_include_is_told(stem, tmp_path):
    with pytest.raises(ValueError, match="C cannot include a header of such a name"):
        network().export(tmp_path / f"{stem}.c")
    assert not list(tmp_path.iterdir())


@needs_c
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_numbers_are_read_as_they_are(dtype, tmp_path):
    info = np.finfo(dtype)
    values = np.array([info.max, -info.tiny, info.smallest_subnormal, -0.0, 0.1, 1e-30], dtype)
    fastmlp.MLP.from_weights([values[None]], activation="identity").export(tmp_path / "m.c")
    c = InC(tmp_path / "m.c", "m")
    assert c.predict_outputs(np.ones((1, 1)))[0].tobytes() == (values + dtype(0)).tobytes()


@needs_c
def test_the_self_test_notices_another_weight(tmp_path):
    model = network((3, 4, 2))
    model.export(tmp_path / "m.c")
    path = tmp_path / "m.c"
    path.write_text(path.read_text().replace(str(model.theta[5]), str(model.theta[5] + 1e-6)))
    assert InC(path, "m").self_test() > 0


def test_equal_models_give_equal_files_in_any_locale(tmp_path, monkeypatch):
    import locale

    texts = []
    for name in "C", "de_DE.UTF-8":
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
        except locale.Error:
            continue
        network().export(tmp_path / "m.c")
        texts.append((tmp_path / "m.c").read_bytes() + (tmp_path / "m.h").read_bytes())
    locale.setlocale(locale.LC_NUMERIC, "C")
    assert len(set(texts)) == 1


@pytest.mark.parametrize("foreign", ["m.c", "m.h"])
def test_both_files_are_written_or_none(foreign, tmp_path):
    (tmp_path / foreign).write_text("/* mine */")
    with pytest.raises(ValueError, match=re.escape(f"{foreign} cannot be written: it is there and is not")):
        network().export(tmp_path / "m.c")
    assert [path.name for path in tmp_path.iterdir()] == [foreign] and (tmp_path / foreign).read_text() == "/* mine */"


def test_its_own_files_are_written_over(tmp_path):
    for sizes in (2, 3), (5, 4):
        network(sizes).export(tmp_path / "m.c")
    assert "M_INPUTS 5" in (tmp_path / "m.h").read_text()


@needs_c
def test_what_it_asks_of_the_compiler_changes_no_output(tmp_path):
    model, X = case("tanh", "softmax", np.float64)
    X[::3, 1] = np.nan
    model.export(tmp_path / "m.c")
    assert "#pragma GCC optimize" in (tmp_path / "m.c").read_text()
    slow, *others = (InC(tmp_path / "m.c", "m", (level,)).predict_outputs(X) for level in ("-O0", "-Os", "-O2", "-O3"))
    assert np.isnan(slow[::3]).all() and np.isfinite(slow[1::3]).all()
    for outputs in others:
        np.testing.assert_allclose(outputs, slow, rtol=1e-14, atol=1e-16)
