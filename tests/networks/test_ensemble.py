"""Many networks as one: what each member says, what all say together, and how far they disagree."""

import numpy as np
import pytest
from model_files import same_array
from populations import ABC, KINDS, ONE, SIGMOID, SOFTMAX, TWO, X, mixed, network, population_of, probabilities


def test_the_ensemble_gives_the_mean_of_probabilities():
    members = mixed(diverged=(1, 5))
    each = probabilities(members[~members.diverged])
    assert members.predict_proba(X).dtype == np.float64
    # Both means are rounded some nine times in numbers up to 1.
    np.testing.assert_allclose(members.predict_proba(X), each.mean(axis=0), rtol=0, atol=9 * np.finfo(float).eps)
    assert np.array_equal(members.predict(X), ABC[members.predict_proba(X).argmax(axis=1)])
    assert len(set(members.predict(X).tolist())) > 1


def test_the_majority_counts_members_and_ties_go_to_the_first_class():
    members = mixed(diverged=(1,))
    choices = probabilities(members[~members.diverged]).argmax(axis=2)
    counts = np.stack([(choices == k).sum(axis=0) for k in range(3)], axis=1)
    assert (np.sort(counts, axis=1)[:, 1] == counts.max(axis=1)).any(), "no tie to test"
    assert np.array_equal(members.predict_proba(X, vote="majority"), counts / 8)
    assert members.predict(X, "majority").tolist() == [ABC[row.tolist().index(row.max())] for row in counts]
    assert not np.array_equal(members.predict(X, "majority"), members.predict(X))


def test_of_members_of_two_classes_with_one_output_each_has_one_vote():
    members = population_of(*[SIGMOID] * 4)
    for place, bias in enumerate((3.0, -0.1, -0.1, 0.0)):  # the last one: equal probabilities, so the first class
        members[place].theta[:] = 0
        members[place].theta[-1] = bias
    assert members.predict(X[:1]).tolist() == [1]
    assert members.predict(X[:1], "majority").tolist() == [0]
    assert members.predict_proba(X[:1], "majority").tolist() == [[0.75, 0.25]]
    assert members.predict_members(X[:1])[:, 0].tolist() == [1, 0, 0, 0]


def spread_error(n):
    """The relative error of a standard deviation over n members, counted from the first one.

    The mean square from there is at most n + 1 times the variance, and sums of n numbers are off by n eps.
    """
    return n * (n + 1) * np.finfo(float).eps


@pytest.mark.parametrize(("template", "shape"), [(ONE, (23,)), (TWO, (23, 2))])
def test_regressors_give_the_mean_and_the_deviation_of_their_outputs(template, shape):
    members = population_of(*[template] * 5, diverged=(0,))
    each = np.stack([model.predict(X) for model in members[1:]])
    largest = np.abs(each).max()
    assert members.predict(X).shape == members.spread(X).shape == shape
    np.testing.assert_allclose(members.predict(X), each.mean(axis=0), rtol=0, atol=8 * largest * np.finfo(float).eps)
    np.testing.assert_allclose(members.spread(X), each.std(axis=0), rtol=spread_error(4))
    assert (members.spread(X) > 0).all()


def test_the_spread_of_classifiers_is_that_of_the_probability_of_what_the_ensemble_says():
    members = mixed(diverged=(4,))
    each = probabilities(members[~members.diverged])
    said = each.mean(axis=0).argmax(axis=1)
    assert members.spread(X).shape == (23,)
    np.testing.assert_allclose(members.spread(X), each.std(axis=0)[np.arange(23), said], rtol=spread_error(8))


def test_the_spread_keeps_its_digits_beside_a_large_mean():
    members = population_of(*[ONE] * 3)
    for place in range(3):
        members[place].theta[:] = 0
        members[place].theta[-1] = 2.0**40 + place
    assert np.array_equal(members.spread(X), np.full(23, np.sqrt(5 / 3 - 1)))
    assert np.array_equal(members.predict(X), np.full(23, 2.0**40 + 1))


@KINDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_members_that_agree_are_as_one(template, dtype):
    template = network(template.layer_sizes, output=template.output, classes=template.classes, dtype=dtype)
    members = population_of(template)[[0] * 3]
    for ensemble in (members, members[:1]):
        assert same_array(ensemble.predict(X), members[0].predict(X))
        assert not ensemble.spread(X).any()
        if template.classes is not None:
            assert same_array(ensemble.predict_proba(X), members[0].predict_proba(X))
            assert same_array(ensemble.predict(X, "majority"), members[0].predict(X))


@KINDS
def test_what_each_member_says_is_what_it_says_alone(template):
    members = population_of(*[template] * 4)
    assert same_array(members.predict_members(X), np.stack([model.predict(X) for model in members]))
    if template.classes is not None:
        assert same_array(members.predict_proba_members(X), probabilities(members))


def test_members_of_several_architectures_answer_in_their_order():
    members = mixed()
    assert same_array(members.predict_proba_members(X), probabilities(members))
    assert same_array(members.predict_members(X), np.stack([model.predict(X) for model in members]))


def test_what_diverged_members_say_is_nan_or_told():
    members = mixed(diverged=(2, 3))
    each = members.predict_proba_members(X)
    assert np.array_equal(np.isnan(each).all(axis=(1, 2)), members.diverged)
    assert np.array_equal(each[~members.diverged], probabilities(members[~members.diverged]))
    with pytest.raises(ValueError, match=r"no label for members that diverged, such as 2: use population\[~population.diverged\]"):
        members.predict_members(X)
    regressors = population_of(ONE, ONE, diverged=(0,))
    assert np.isnan(regressors.predict_members(X)[0]).all() and np.isfinite(regressors.predict_members(X)[1]).all()


@KINDS
def test_no_rows_give_no_answers(template):
    members, outputs = population_of(template, template), () if template is not TWO else (2,)
    for nothing in (np.empty((0, 3)), []):
        assert members.predict(nothing).shape == members.spread(nothing).shape == (0, *outputs)
        assert members.predict_members(nothing).shape == (2, 0, *outputs)
        if template.classes is not None:
            k = len(template.classes)
            assert members.predict(nothing).dtype == template.classes.dtype
            assert members.predict_proba(nothing, "majority").shape == (0, k)
            assert members.predict_proba_members(nothing).shape == (2, 0, k)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("ask", "axis"), [("predict_proba", 0), ("spread", 0), ("predict_members", 1), ("predict_proba_members", 1)]
)
def test_same_bits_for_any_thread_count_and_any_rows_beside(monkeypatch, threads, ask, axis):
    members, rows = mixed(), np.random.default_rng(3).normal(size=(3001, 3)).astype(np.float32)
    some = (0, 1499, 3000)
    alone = [getattr(members, ask)(rows[row : row + 1]) for row in some]
    monkeypatch.setattr("fastmlp.threads.THREADS_PAY", 0)
    monkeypatch.setattr("fastmlp.networks.ensemble.CHUNK", 6 * 256)  # several chunks for each thread
    monkeypatch.setattr("fastmlp.threads.thread_count", lambda value: threads)
    whole = getattr(members, ask)(rows)
    assert same_array(np.take(whole, some, axis), np.concatenate(alone, axis))


def test_the_ensemble_does_not_hold_every_members_answers(monkeypatch):
    members, held = population_of(*[SOFTMAX] * 50), []
    empty = np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *rest, **more: held.append(np.prod(shape)) or empty(shape, *rest, **more))
    members.predict_proba(np.zeros((4000, 3)))
    assert 4000 * 3 in held and max(held) <= 4000 * 3


def test_float32_members_answer_in_float32_and_mixed_ones_in_float64():
    single = network(dtype=np.float32)
    assert population_of(single, single).predict_proba(X).dtype == np.float32
    assert population_of(single, single).spread(X).dtype == np.float32
    both = population_of(single, SOFTMAX)
    each = [model.predict_proba(X) for model in both]
    assert [values.dtype for values in each] == [np.float32, np.float64]
    np.testing.assert_allclose(both.predict_proba(X), (each[0].astype(float) + each[1]) / 2, rtol=4 * np.finfo(float).eps)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is 1e\+300, too large for float32"):
        both.predict(np.full((1, 3), 1e300))


def test_members_of_different_classes_do_not_vote():
    other = network(classes=np.array(["a", "b", "dd"]))
    members = population_of(SOFTMAX, other)
    for ask in (members.predict, members.predict_proba, members.spread, members.predict_proba_members):
        with pytest.raises(ValueError, match=r"members of the same classes; these have \['a', 'b', 'c'\] and \['a', 'b', 'dd'\]"):
            ask(X)
    labels = members.predict_members(X)
    assert labels.tolist() == [model.predict(X).tolist() for model in members] and labels.dtype == np.dtype("<U2")
    assert members[:1].predict(X).shape == (23,)


def test_members_with_targets_of_their_own_do_not_vote():
    members = mixed(same_targets=False)
    for ask in (members.predict, members.predict_proba, members.spread):
        with pytest.raises(ValueError, match="learned the same targets; each of these has its own: use predict_members"):
            ask(X)
    assert members.predict_members(X).shape == (9, 23) and members.predict_proba_members(X).shape == (9, 23, 3)
    assert members.best().predict(X).shape == (23,), "one member has the same targets as itself"


def test_an_ensemble_of_which_all_diverged_is_told():
    members = mixed(diverged=range(9))
    for ask in (members.predict, members.predict_proba, members.spread):
        with pytest.raises(ValueError, match="needs a member that did not diverge; all 9 did"):
            ask(X)
    with pytest.raises(ValueError, match="at most 0"):
        members.best()
    assert np.isnan(members.predict_proba_members(X)).all()


def test_what_regressors_cannot_answer_is_told():
    members = population_of(TWO, TWO)
    with pytest.raises(ValueError, match="vote='majority' is for classifiers"):
        members.predict(X, vote="majority")
    for ask in (members.predict_proba, members.predict_proba_members):
        with pytest.raises(ValueError, match="is for classifiers; these networks are regressors"):
            ask(X)


@pytest.mark.parametrize("template", [SOFTMAX, ONE])
def test_an_unknown_vote_is_told(template):
    with pytest.raises(ValueError, match=r"vote must be one of 'majority', 'mean'; got 'men' \(did you mean 'mean'\?\)"):
        population_of(template).predict(X, "men")


@pytest.mark.parametrize("ask", ["predict", "predict_proba", "predict_members", "predict_proba_members", "spread"])
def test_rows_that_do_not_fit_are_told(ask):
    members = mixed()
    with pytest.raises(ValueError, match="X must have 3 columns"):
        getattr(members, ask)(X[:, :2])
    with pytest.raises(ValueError, match=r"X must be finite; X\[1, 2\] is nan"):
        getattr(members, ask)([[0, 0, 0], [0, 0, np.nan]])
