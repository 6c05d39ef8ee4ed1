"""Many networks at once: each is an ordinary network, all are an ensemble, and their table and file say exactly what they are."""

import csv
import io
import json
import os
from itertools import pairwise

import numpy as np
import pytest
from test_storage import assert_refused, header_of, members_of, rewrite, rewrite_entry, rewrite_header, same_array

import fastmlp
from fastmlp import MLP, DivergedError, Population, PopulationHistory
from fastmlp.networks.population import OPTIONS, Group

RNG = np.random.default_rng(5)
X = RNG.normal(size=(23, 3))
ABC = np.array(["a", "b", "c"])


def network(sizes=(3, 4, 3), *, output="softmax", classes=ABC, dtype=np.float64, activation="tanh", loss=None):
    count = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    return MLP(
        sizes, np.zeros(count, dtype), activations=(activation,) * (len(sizes) - 2), output=output,
        loss_name=loss or ("squared_error" if output == "identity" else "cross_entropy"), classes=classes,
    )  # fmt: skip


SOFTMAX = network()
SIGMOID = network((3, 5, 1), output="sigmoid", classes=np.array([0, 1]))
ONE = network((3, 5, 1), output="identity", classes=None)
TWO = network((3, 4, 2), output="identity", classes=None)
KINDS = pytest.mark.parametrize("template", [SOFTMAX, SIGMOID, ONE, TWO], ids=["softmax", "sigmoid", "one output", "two outputs"])


def population_of(*templates, scores=None, diverged=(), validated=True, epochs=4, same_targets=True, seed=1):
    """Member i has the architecture of templates[i] and weights of its own; it ran for one epoch more than the one before it."""
    count, rng = len(templates), np.random.default_rng(seed)
    groups = []
    for template in dict.fromkeys(templates):
        members = np.array([place for place, other in enumerate(templates) if other is template])
        theta = rng.normal(size=(len(members), template.theta.size)).astype(template.dtype)
        theta[np.isin(members, diverged)] = np.nan
        groups.append(Group(template, members, theta))
    done = 1 + np.arange(count) % epochs
    losses = np.where(np.arange(epochs) < done[:, None], rng.random((2, count, epochs)), np.nan)
    for place in diverged:
        losses[0, place, done[place] - 1] = np.inf
    scores = losses[1, np.arange(count), done - 1] if scores is None else np.array(scores, float)
    options = {
        "seed": list(range(100, 100 + count)),
        "learning_rate": [0.1 / (1 + place) for place in range(count)],
        "l2": [0.0] * count,
        "momentum": [0.9] * count,
        "batch_size": [None if place % 2 else 32 for place in range(count)],
    }
    history = PopulationHistory(
        losses[0], losses[1] if validated else None, done, ["diverged" if place in diverged else "epochs" for place in range(count)]
    )
    scores[list(diverged)] = np.nan
    return Population(groups, history, options, scores, same_targets=same_targets)


def mixed(**more):
    """Nine members in three architectures, which take turns."""
    deep, linear = network((3, 6, 2, 3), activation="relu"), network((3, 3))
    return population_of(*[SOFTMAX, deep, linear] * 3, **more)


def probabilities(models, rows=X):
    return np.stack([model.predict_proba(rows) for model in models])


def same_member(a, b):
    return (
        (a.layer_sizes, a.activations, a.output, a.loss_name, a.bias)
        == (b.layer_sizes, b.activations, b.output, b.loss_name, b.bias)
        and same_array(a.theta, b.theta)
        and same_array(a.classes, b.classes)
        and same_array(a.history.loss, b.history.loss)
        and same_array(a.history.validation_loss, b.history.validation_loss)
        and (a.history.epochs, a.history.stopped_by) == (b.history.epochs, b.history.stopped_by)
    )


def same_population(a, b):
    return (
        len(a.groups) == len(b.groups)
        and all(
            same_array(one.theta, other.theta) and np.array_equal(one.members, other.members)
            for one, other in zip(a.groups, b.groups, strict=True)
        )
        and a.options == b.options
        and same_array(a.scores, b.scores)
        and a.same_targets == b.same_targets
        and same_array(a.history.loss, b.history.loss)
        and same_array(a.history.validation_loss, b.history.validation_loss)
        and same_array(a.history.epochs, b.history.epochs)
        and a.history.stopped_by == b.history.stopped_by
        and all(same_member(a[place], b[place]) for place in np.flatnonzero(~a.diverged).tolist())
    )


# -- Members -----------------------------------------------------------------------------------------------------------


def test_a_member_is_an_ordinary_network_with_its_own_history():
    members = mixed()
    model = members[4]
    assert isinstance(model, MLP) and model.layer_sizes == (3, 6, 2, 3) and model.activations == ("relu", "relu")
    assert np.array_equal(model.theta, members.groups[1].theta[1])
    assert model.history.epochs == 1 and model.history.stopped_by == "epochs"
    assert np.array_equal(model.history.loss, members.history.loss[4, :1])
    assert np.array_equal(members[6].history.validation_loss, members.history.validation_loss[6, :3])
    assert population_of(SOFTMAX, validated=False)[0].history.validation_loss is None


def test_writing_to_a_member_changes_the_population():
    members = mixed()
    before = members.predict_proba(X)
    members[7].theta[:] = 0
    assert not members.groups[1].theta[2].any() and members.groups[1].theta[0].all()
    assert np.array_equal(members[7].predict_proba(X), np.full((23, 3), 1 / 3))
    assert not np.array_equal(members.predict_proba(X), before)


def test_a_negative_index_counts_from_the_end_and_one_outside_is_an_index_error():
    members = mixed()
    assert same_member(members[-1], members[8]) and same_member(members[np.int64(-9)], members[0])
    for place in (9, -10):
        with pytest.raises(IndexError, match=f"from -9 to 8, for 9 members; got {place}"):
            members[place]
        with pytest.raises(IndexError, match=f"got {place}"):
            members[[0, place]]


def test_iterating_gives_every_member_in_order():
    members = mixed()
    assert len(members) == 9
    assert [model.layer_sizes for model in members] == [(3, 4, 3), (3, 6, 2, 3), (3, 3)] * 3
    assert all(same_member(model, members[place]) for place, model in enumerate(members))


@pytest.mark.parametrize(
    "which",
    [
        slice(2, 7), slice(None), slice(None, None, -1), slice(-3, None), [3], [8, 0, -2, 0], np.array([5, 1], np.uint8),
        np.arange(9) % 4 == 1, [True] + [False] * 8,
    ],
    ids=str,
)  # fmt: skip
def test_a_selection_is_a_population_of_those_members_in_that_order(which):
    members = mixed(scores=range(9), same_targets=False)
    chosen = members[which]
    places = np.arange(9)[which].tolist()
    assert isinstance(chosen, Population) and len(chosen) == len(places)
    assert all(same_member(chosen[new], members[old]) for new, old in enumerate(places))
    assert chosen.scores.tolist() == places
    assert chosen.options == {name: [members.options[name][old] for old in places] for name in OPTIONS}
    assert chosen.same_targets == (len(places) == 1)
    assert sorted(place for group in chosen.groups for place in group.members) == list(range(len(places)))


def test_a_selection_is_a_copy():
    members = mixed()
    chosen = members[:]
    chosen[0].theta[:] = 7
    chosen.history.loss[:] = 7
    assert same_population(members, mixed())


@pytest.mark.parametrize("which", [slice(5, 5), [], np.zeros(9, bool), np.array([], np.intp)], ids=str)
def test_a_selection_of_nothing_is_told(which):
    with pytest.raises(ValueError, match="at least one of 9 members; got none"):
        mixed()[which]


@pytest.mark.parametrize("which", ["a", 1.0, True, None, [[0, 1]], [0.5], np.array(3), (0, "a")], ids=str)
def test_what_is_no_index_is_told(which):
    with pytest.raises(ValueError, match="an index must be a whole number, a slice, or a 1-D array"):
        mixed()[which]


def test_a_mask_of_another_length_is_told():
    with pytest.raises(IndexError, match="must have 9 of them, one for each member; got 8"):
        mixed()[np.ones(8, bool)]


@pytest.mark.parametrize(
    ("loss", "validation_loss", "told"), [(np.inf, 0.5, "inf"), (0.5, np.nan, "nan"), (0.5, 0.25, "no longer finite")]
)
def test_taking_a_diverged_member_raises_as_train_would_have(loss, validation_loss, told):
    members = mixed(diverged=(2,))
    members.history.loss[2, 2], members.history.validation_loss[2, 2] = loss, validation_loss
    for take in (lambda: members[2], lambda: members[-7], lambda: list(members), lambda: members[2:4][0]):
        with pytest.raises(DivergedError, match=rf"epoch 2: .*{told}.*learning_rate below 0.0333") as caught:
            take()
        assert caught.value.epoch == 2
        assert str(caught.value.loss) == (told if told in ("inf", "nan") else "0.5")
    assert members.diverged.tolist() == [place == 2 for place in range(9)]
    assert len(list(members[~members.diverged])) == 8


def test_a_member_that_diverged_before_an_epoch_was_done_can_be_told_too():
    members = population_of(SOFTMAX, SOFTMAX, diverged=(1,))
    members.history.epochs[1] = 0
    with pytest.raises(DivergedError, match="epoch 0"):
        members[1]


# -- The best ----------------------------------------------------------------------------------------------------------


def test_the_best_are_those_of_smallest_score_and_of_equals_the_earlier():
    members = mixed(scores=[5, 1, 4, 1, np.inf, 0, 4, 1, -1], diverged=(5,))
    best = members.best(7)
    assert best.scores.tolist() == [-1, 1, 1, 1, 4, 4, 5]
    assert best.options["seed"] == [108, 101, 103, 107, 102, 106, 100]
    assert len(members.best()) == 1 and same_member(members.best()[0], members[8])
    assert all(same_member(model, members[seed - 100]) for model, seed in zip(best, best.options["seed"], strict=True))


def test_a_score_that_is_not_a_number_comes_last_and_a_diverged_member_never():
    members = mixed(scores=[np.nan, 3, np.inf, 2, 1, 1, 1, 1, 1], diverged=(3,))
    assert members.best(8).options["seed"] == [104, 105, 106, 107, 108, 101, 102, 100]
    with pytest.raises(ValueError, match="n must be at most 8 members, those that did not diverge; got 9"):
        members.best(9)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_the_best_are_a_positive_number(n):
    with pytest.raises(ValueError, match="n must be a positive whole number"):
        mixed().best(n)


# -- Ensembles ---------------------------------------------------------------------------------------------------------


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


# -- What makes a population -------------------------------------------------------------------------------------------


def test_it_describes_itself():
    assert repr(population_of(*[SIGMOID] * 256)) == "<Population of 256: 3-5-1 classifiers of 2, float64>"
    assert repr(mixed()) == "<Population of 9 in 3 architectures: classifiers of 3, float64>"
    assert repr(population_of(ONE)) == "<Population of 1: 3-5-1 regressors, float64>"
    assert repr(population_of(SOFTMAX, SIGMOID_BY_NAME)) == "<Population of 2 in 2 architectures: classifiers of 2 to 3, float64>"
    other = network(classes=np.array(["a", "b", "d"]))
    assert repr(population_of(SOFTMAX, other)) == "<Population of 2: 3-4-3 classifiers of 3, float64>"


SIGMOID_BY_NAME = network((3, 5, 1), output="sigmoid", classes=np.array(["no", "yes"]))


@pytest.mark.parametrize(
    ("templates", "told"),
    [
        ((SOFTMAX, network((2, 4, 3))), "same number of inputs"),
        ((SOFTMAX, TWO), "or regressors alike"),
        ((ONE, TWO), "or regressors alike"),
        ((SOFTMAX, SIGMOID), "classifiers by strings, classifiers by numbers"),
    ],
)
def test_members_that_cannot_stand_side_by_side_are_refused(templates, told):
    with pytest.raises(ValueError, match=told):
        population_of(*templates)


def parts_of(members):
    return {
        "groups": list(members.groups), "history": members.history, "scores": members.scores,
        "options": {name: values for name, values in members.options.items() if name not in ("hidden", "activation")},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p.update(groups=p["groups"][:1]), "each of 9 members, at least one, must be in one group"),
        (lambda p: p.update(groups=[*p["groups"], p["groups"][0]]), "must be in one group"),
        (lambda p: p["groups"].__setitem__(0, p["groups"][0]._replace(members=[6, 3, 0])), "ascending order"),
        (lambda p: p["groups"].__setitem__(0, p["groups"][0]._replace(theta=np.zeros((3, 5)))), r"theta must be that of 3 members"),
        (lambda p: p["groups"].__setitem__(0, p["groups"][0]._replace(theta=p["groups"][0].theta.astype("f4"))), "got float32"),
        (lambda p: p["options"].pop("l2"), "options must have 9 values for each of seed, learning_rate"),
        (lambda p: p["options"].update(l2=[0.0]), "options must have 9 values"),
        (lambda p: p["options"].update(hidden=[(4,)] * 9), "for each of seed, learning_rate, l2, momentum, batch_size"),
        (lambda p: setattr(p["history"], "loss", np.zeros((8, 4))), "history must be that of 9 members"),
        (lambda p: setattr(p["history"], "validation_loss", np.zeros((9, 3))), "history must be that of 9 members"),
        (lambda p: setattr(p["history"], "stopped_by", ["epochs"]), "history must be that of 9 members"),
        (lambda p: setattr(p["history"], "epochs", np.full(9, 5)), "epochs must be from 0 to 4"),
    ],
    ids=range(12),
)
def test_parts_that_do_not_fit_together_are_refused(change, told):
    parts = parts_of(mixed())
    change(parts)
    with pytest.raises(ValueError, match=told):
        Population(**parts)


def test_options_become_plain_values():
    parts = parts_of(population_of(SOFTMAX, SOFTMAX))
    parts["options"] = {
        "seed": np.array([1, 2]), "learning_rate": np.array([0.5, 1], np.float64), "l2": (0, 1), "momentum": np.zeros(2),
        "batch_size": [np.int64(3), None],
    }  # fmt: skip
    options = Population(**parts).options
    assert tuple(options) == OPTIONS
    assert options["hidden"] == [(4,), (4,)] and options["activation"] == [("tanh",)] * 2 and options["batch_size"] == [3, None]
    assert [type(value) for name in OPTIONS for value in options[name][:1]] == [int, float, float, float, tuple, tuple, int]


def test_weights_in_another_order_are_laid_out_for_the_kernels():
    parts = parts_of(population_of(SOFTMAX, SOFTMAX))
    group = parts["groups"][0]
    parts["groups"] = [group._replace(theta=np.asfortranarray(group.theta))]
    assert same_population(Population(**parts), population_of(SOFTMAX, SOFTMAX))
    assert Population(**parts)[0].theta.flags.carray


# -- The table ---------------------------------------------------------------------------------------------------------


def test_the_table_prints_aligned_columns_of_what_differs():
    members = mixed(diverged=(2,))[1:4]
    members.history.loss[:, :] = [[0.25, 0.125, 1, 1], [np.nan] * 4, [1, 1, 1, 1 / 3]]
    members.scores[:] = [1e-9, np.nan, 123456789]
    assert str(members.table).splitlines() == [
        "member  seed        learning_rate  hidden  activation  batch_size      loss  validation_loss  epochs  stopped_by",
        "     0   101                 0.05     6-2   relu-relu         all     0.125            1e-09       2  epochs",
        "     1   102  0.03333333333333333    none        none          32       nan              nan       3  diverged",
        "     2   103                0.025       4        tanh         all  0.333333      1.23457e+08       4  epochs",
    ]
    assert repr(members.table) == str(members.table)


def test_one_member_has_a_row_with_its_seed():
    members = population_of(SOFTMAX, validated=False)
    loss = f"{members.history.loss[0, 0]:.6g}"
    names, row = str(members.table).splitlines()
    assert names.split() == ["member", "seed", "loss", "epochs", "stopped_by"]
    assert row.split() == ["0", "100", loss, "1", "epochs"]


@pytest.mark.parametrize("n", [2, 100])
def test_the_best_rows_of_a_table_keep_its_columns(n):
    members = mixed(diverged=(2,))
    best = members.table.best(n)
    assert best.columns["member"] == [place for place in np.argsort(members.scores).tolist() if place != 2][:n]
    assert str(best).splitlines()[0].split() == str(members.table).splitlines()[0].split()
    assert best.columns.keys() == members.table.columns.keys()


@pytest.mark.parametrize(("count", "more"), [(20, []), (21, ["... and 1 more"]), (300, ["... and 280 more"])])
def test_a_long_table_prints_its_first_rows(count, more):
    lines = str(population_of(*[SIGMOID] * count).table).splitlines()
    assert lines[21:] == more and lines[20].split()[0] == "19"


def test_all_rows_and_options_come_back_from_the_csv():
    members = population_of(*[SOFTMAX, network((3, 8, 5, 3), activation="relu"), network((3, 3))] * 10, diverged=(4,))
    text = members.table.csv()
    names, *rows = csv.reader(io.StringIO(text), strict=True)
    assert names == ["member", *OPTIONS, "loss", "validation_loss", "epochs", "stopped_by"] and len(rows) == 30
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    for name in ("learning_rate", "l2", "momentum"):
        assert list(map(float, columns[name])) == members.options[name]
    assert list(map(int, columns["seed"])) == members.options["seed"]
    assert columns["hidden"] == ["4", "8-5", "none"] * 10 and columns["activation"] == ["tanh", "relu-relu", "none"] * 10
    assert columns["batch_size"] == ["32", "all"] * 15
    last = members.history.loss[np.arange(30), members.history.epochs - 1]
    assert np.array_equal(np.array(columns["loss"], float), last) and last[4] == np.inf
    assert np.array_equal(np.array(columns["validation_loss"], float), members.scores, equal_nan=True)
    assert columns["epochs"] == [str(number) for number in members.history.epochs] and columns["stopped_by"][3:5] == [
        "epochs",
        "diverged",
    ]
    assert members.table.columns["learning_rate"] == members.options["learning_rate"]


def test_the_table_is_saved_or_nothing_is(tmp_path, monkeypatch):
    table, path = mixed().table, tmp_path / "members.csv"
    table.save(path)
    assert path.read_bytes().decode() == table.csv()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        table.save(tmp_path / "no" / "members.csv")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        mixed()[:2].table.save(path)
    assert path.read_bytes().decode() == table.csv() and list(tmp_path.iterdir()) == [path]


def test_only_a_table_is_written_over_by_one(tmp_path):
    path = tmp_path / "members.csv"
    path.write_text("name,address\n")
    with pytest.raises(ValueError, match=r"members\.csv cannot be written: it is there and is not a table of networks"):
        mixed().table.save(path)
    assert path.read_text() == "name,address\n"
    path.write_text("")
    for members in (mixed(), mixed()[:2]):
        members.table.save(path)
        assert path.read_bytes().decode() == members.table.csv()


def fails(*args):
    raise OSError(28, "No space left on device")


# -- The file ----------------------------------------------------------------------------------------------------------


def assert_comes_back(members, folder):
    members.save(folder / "p.npz")
    again = fastmlp.load(folder / "p.npz")
    assert isinstance(again, Population) and repr(again) == repr(members)
    assert same_population(again, members)
    return again


@KINDS
@pytest.mark.parametrize("validated", [True, False])
def test_a_population_comes_back_exactly(tmp_path, template, validated):
    single = network(template.layer_sizes, output=template.output, classes=template.classes, dtype=np.float32)
    again = assert_comes_back(population_of(template, single, template, validated=validated, same_targets=False), tmp_path)
    assert same_array(again.predict_members(X), population_of(template, single, template).predict_members(X))


def test_several_architectures_with_diverged_members_come_back_exactly(tmp_path):
    members = mixed(diverged=(0, 4))
    members.groups[0].theta[0, :3] = [np.inf, -np.inf, 1e308]
    members.history.stopped_by[1:4] = ["halving", "on_epoch", "patience"]
    again = assert_comes_back(members, tmp_path)
    assert np.array_equal(again.predict(X), members.predict(X)) and np.array_equal(again.spread(X), members.spread(X))
    assert again.table.csv() == members.table.csv()


def test_extreme_options_come_back_exactly(tmp_path):
    members = population_of(*[SIGMOID] * 4)
    members.options["seed"][:] = [0, 2**64, 2**128 - 1, 7]
    members.options["learning_rate"][:] = [5e-324, 0.1 + 0.2, 1e308, 1 / 3]
    members.scores[:] = [-0.0, np.inf, np.nan, 1e-300]
    assert_comes_back(members, tmp_path)
    assert_comes_back(members.best(), tmp_path)


def test_a_population_without_epochs_comes_back_and_has_a_table(tmp_path):
    parts = parts_of(population_of(SOFTMAX, SOFTMAX))
    parts["history"] = PopulationHistory(np.empty((2, 0)), None, np.zeros(2, np.int64), ["interrupt", "diverged"])
    parts["scores"] = np.full(2, np.nan)
    again = assert_comes_back(Population(**parts), tmp_path)
    assert again.table.columns["loss"] == pytest.approx([np.nan, np.nan], nan_ok=True)
    with pytest.raises(DivergedError, match="epoch 0"):
        again[1]


def test_a_loaded_population_can_be_changed(tmp_path):
    again = assert_comes_back(mixed(), tmp_path)
    again[3].theta[0] = 5
    assert again[3].weights[0][0, 0] == 5


def test_equal_populations_give_equal_bytes(tmp_path):
    for name in "ab":
        mixed().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_member_of_a_population_can_be_saved_alone(tmp_path):
    mixed()[4].save(tmp_path / "m.npz")
    assert same_member(fastmlp.load(tmp_path / "m.npz"), mixed()[4])


def test_weights_that_are_not_finite_are_not_saved_but_for_diverged_members(tmp_path):
    members = mixed(diverged=(2,))
    members[4].theta[3] = np.inf
    with pytest.raises(ValueError, match="theta of member 4 has a value that is not finite"):
        members.save(tmp_path / "p.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, moment):
    path = tmp_path / "p.npz"
    mixed()[:2].save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, moment, fails)
    with pytest.raises(OSError, match="No space left"):
        mixed().save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mixed().save(tmp_path / "no" / "p.npz")


@pytest.fixture
def saved(tmp_path):
    """A population of two groups in a file: one member that diverged in the first, one in the second."""
    path = tmp_path / "p.npz"
    tiny = network((1, 1), output="sigmoid", classes=np.array([0, 1]))
    deep = network((1, 1, 1), output="sigmoid", classes=np.array([0, 1]))
    population_of(tiny, deep, tiny, diverged=(2,), epochs=2).save(path)
    return path


def test_a_file_truncated_at_any_byte_is_refused(saved):
    for length in range(saved.stat().st_size - 1, -1, -7):
        os.truncate(saved, length)
        assert_refused(saved)


def test_a_flipped_bit_is_noticed_or_changes_nothing(saved):
    members, data, refused = fastmlp.load(saved), saved.read_bytes(), 0
    stored = sum(array.nbytes for array in members_of(saved).values())
    for place in range(0, len(data), 3):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        try:
            assert same_population(fastmlp.load(saved), members), f"byte {place}"
        except ValueError as error:
            assert str(saved) in str(error)
            refused += 1
    assert refused > stored // 3  # as in test_storage: what goes unnoticed are dates and the like


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "mlp"}, {"kind": "image-classifier"}, {"kind": ["population"]}, {"kind": "populations"}, {"version": 3},
        {"networks": []}, {"networks": [None]}, {"epochs": 3}, {"epochs": -2}, {"epochs": 10**30}, {"epochs": "2"},
        {"epochs": None}, {"validation": False}, {"validation": 1}, {"same_targets": None}, {"surplus": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_of_the_wrong_form_is_refused(saved, fields):
    rewrite_header(saved, **fields)
    assert_refused(saved)


@pytest.mark.parametrize(
    "fields",
    [
        {"members": 1}, {"members": 3}, {"members": 0}, {"members": -2}, {"members": 10**30}, {"members": True}, {"members": "2"},
        {"layer_sizes": [2, 1]}, {"layer_sizes": [10**30, 10**30]}, {"layer_sizes": [1, 2]}, {"dtype": "float32"}, {"bias": False},
        {"classes": False}, {"activations": ["tanh"]}, {"output": "softmax"}, {"loss_name": "hinge"}, {"trained": False},
        {"surplus": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_group_that_does_not_fit_its_arrays_is_refused(saved, fields):
    rewrite_entry(saved, **fields)
    assert_refused(saved)


def test_a_header_without_a_field_is_refused(saved):
    header = header_of(saved)
    for missing in header:
        fields = {name: value for name, value in header.items() if name != missing}
        rewrite(saved, header=np.frombuffer(json.dumps(fields).encode(), np.uint8))
        assert_refused(saved)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"theta_0": np.zeros(3)}, "theta_0 has"),
        ({"theta_0": np.zeros(4, np.int64)}, "dtype"),
        ({"theta_0": np.full(4, np.nan)}, "theta of member 0 has a value that is not finite"),
        ({"theta_1": np.full(4, np.inf)}, "theta of member 1 has a value that is not finite"),
        ({"theta_1": None}, "not those that its header declares"),
        ({"theta_2": np.zeros(2)}, "not those that its header declares"),
        ({"classes_0": np.array([0, 1, 2])}, "classes_0"),
        ({"classes_0": np.array(["no", "yes"])}, "classifiers by strings"),
        ({"members_0": np.array([0, 1])}, "must be in one group"),
        ({"members_0": np.array([2, 0])}, "ascending"),
        ({"members_0": np.array([0, 3])}, "must be in one group"),
        ({"members_0": np.array([-1, 0])}, "must be in one group"),
        ({"members_0": np.array([0.0, 2.0])}, "dtype"),
        ({"members_0": np.array([0])}, "members_0"),
        ({"scores": np.zeros(2)}, "scores"),
        ({"scores": np.zeros(3, np.float32)}, "scores"),
        ({"scores": None}, "not those that its header declares"),
        ({"epochs": np.array([1, 3, 1])}, "epochs must be from 0 to 2"),
        ({"epochs": np.array([1, -1, 1])}, "epochs must be from 0 to 2"),
        ({"stopped_by": np.array([1, 2, 3])}, "stopped_by text"),
        ({"stopped_by": np.array(["epochs", "diverged"])}, "stopped_by"),
        ({"stopped_by": np.array(["epochs"] * 3)}, "theta of member 2 has a value that is not finite"),
        ({"seed": np.array([1, 2, 3])}, "decimal digits"),
        ({"seed": np.array(["1", "-2", "3"])}, "decimal digits"),
        ({"seed": np.array(["1", "", "3"])}, "decimal digits"),
        ({"seed": np.array(["9" * 5000, "1", "3"])}, "cannot be read"),
        ({"learning_rate": np.array([0.1, np.nan, 0.1])}, "learning_rate has a value that is not finite"),
        ({"l2": np.array([0.1, 0.1, np.inf])}, "l2 has a value that is not finite"),
        ({"momentum": None}, "not those that its header declares"),
        ({"batch_size": np.array([1, -1, 1])}, "batch_size has a negative value"),
        ({"batch_size": np.array([1.0, 1.0, 1.0])}, "batch_size"),
        ({"loss": np.zeros((3, 2))}, "loss has shape"),
        ({"loss": np.zeros(5)}, "loss has"),
        ({"validation_loss": None}, "not those that its header declares"),
    ],
    ids=lambda value: f"{next(iter(value))}: {str(next(iter(value.values())))[:30]}" if isinstance(value, dict) else None,
)
def test_arrays_that_do_not_fit_are_refused(saved, arrays, reason):
    rewrite(saved, **arrays)
    assert_refused(saved, reason)


def test_a_population_of_too_many_architectures_for_the_header_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.storage.HEADER_LIMIT", 1500)
    with pytest.raises(ValueError, match="its 3 architectures are too many for one file"):
        mixed().save(tmp_path / "p.npz")
    assert not list(tmp_path.iterdir())


def test_a_group_of_nobody_is_told_as_such(saved):
    rewrite_entry(saved, members=0)
    assert_refused(saved, "a group in its header must have members; got 0")
