"""Many networks at once: each is an ordinary network, and all are chosen from, put together and described."""

import numpy as np
import pytest
from populations import ONE, SIGMOID, SOFTMAX, TWO, X, mixed, network, parts_of, population_of, same_member, same_population

from fastmlp import MLP, DivergedError, Population
from fastmlp.networks.population import OPTIONS

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
        (lambda p: setattr(p["history"], "validation_accuracy", np.zeros((9, 3))), "validation_accuracy must have the shape"),
        (lambda p: setattr(p["history"], "stopped_by", ["epochs"]), "history must be that of 9 members"),
        (lambda p: setattr(p["history"], "epochs", np.full(9, 5)), "epochs must be from 0 to 4"),
    ],
    ids=range(13),
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
