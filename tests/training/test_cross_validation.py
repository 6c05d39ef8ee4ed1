"""cross_validate: folds, scores, and what is said of rows that were not learned from."""

import numpy as np
import pytest
from cases import one_sentence, toy
from members import check_member, regression

import fastmlp

SMALL = {"hidden": (4,), "epochs": 5, "seed": 3}
LABELS = np.array(["c", "a", "b"])[np.arange(60) // 2 % 3]


@pytest.mark.parametrize("validation", [None, 0.25])
def test_each_member_is_what_a_training_without_its_fold_gives(validation):
    X, _ = toy()
    options = {**SMALL, "validation": validation, "sample_weight": np.linspace(1, 2, 60)}
    found = fastmlp.cross_validate(X, LABELS, cv=4, **options)
    assert found.classes.tolist() == ["a", "b", "c"]
    assert found.predictions.shape == (60, 3) and len(found.members) == len(found.splits) == len(found.scores) == 4
    for (rows, held), member, score in zip(found.splits, found.members, found.scores, strict=True):
        own = {**options, "sample_weight": options["sample_weight"][rows]}
        alone = fastmlp.train(X[rows], LABELS[rows], **own)
        check_member(member, alone, 1e-9)
        assert score == alone.evaluate(X[held], LABELS[held]).accuracy
        np.testing.assert_allclose(found.predictions[held], alone.predict_proba(X[held]), rtol=1e-9)


@pytest.mark.parametrize("columns", [None, 1, 2])
def test_regressors_of_one_output_or_several(columns):
    X, y = regression()
    y = y if columns is None else np.column_stack([y, -y][:columns])
    found = fastmlp.cross_validate(X, y, cv=3, validation=(X, y), **SMALL)
    assert found.classes is None and found.predictions.shape == y.shape
    for (rows, held), score in zip(found.splits, found.scores, strict=True):
        alone = fastmlp.train(X[rows], y[rows], validation=(X, y), **SMALL)
        np.testing.assert_allclose(found.predictions[held].ravel(), alone.predict(X[held]).ravel(), rtol=1e-8)
        assert score == pytest.approx(alone.evaluate(X[held], y[held]).r2)


def test_folds_hold_each_row_once_and_each_class_in_equal_parts():
    X, _ = toy()
    y = np.repeat([0, 1, 2], [31, 20, 9])
    found = fastmlp.cross_validate(X, y, cv=7, **SMALL)
    held = [held for _, held in found.splits]
    assert np.array_equal(np.sort(np.concatenate(held)), np.arange(60))
    for rows, others in found.splits:
        assert np.array_equal(np.sort(np.concatenate([rows, others])), np.arange(60))
    counts = np.array([np.bincount(y[rows], minlength=3) for rows in held])
    assert (np.ptp(counts, axis=0) <= 1).all() and np.ptp(counts.sum(axis=1)) <= 1


def test_folds_follow_from_the_seed_of_the_data():
    X, y = toy()
    one, same, other = (
        fastmlp.cross_validate(X, y, **{**SMALL, "seed": s}, data_seed=d).splits for s, d in ((1, 5), (2, 5), (1, 6))
    )
    alone = fastmlp.cross_validate(X, y, **{**SMALL, "seed": 5}).splits
    assert all(np.array_equal(a[1], b[1]) and np.array_equal(a[1], c[1]) for a, b, c in zip(one, same, alone, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(one, other, strict=True))
    assert any(np.diff(np.flatnonzero(np.isin(np.arange(60), held))).std() > 0 for _, held in one), "they are shuffled"


def test_given_splits_may_be_numbers_or_masks_that_leave_rows_out_or_measure_them_twice():
    X, y = toy()
    half = np.arange(60) < 30
    found = fastmlp.cross_validate(X, y, cv=iter([(half, ~half), (np.arange(30), np.arange(40, 50))]), **SMALL)
    assert np.isnan(found.predictions[:30]).all() and np.isfinite(found.predictions[30:]).all()
    both = [member.predict_proba(X[40:50]) for member in found.members]
    np.testing.assert_allclose(found.predictions[40:50], np.mean(both, axis=0), rtol=1e-12)


def test_a_class_that_a_fold_did_not_learn_has_no_probability():
    X, _ = toy()
    y = np.repeat([5, 7, 9], 20)
    found = fastmlp.cross_validate(X, y, cv=[(np.arange(40), np.arange(35, 60))], **SMALL)
    assert (found.predictions[40:, 2] == 0).all()
    np.testing.assert_allclose(found.predictions[40:].sum(axis=1), 1)
    assert found.scores[0] == (found.members[0].predict(X[35:]) == y[35:]).mean() <= 5 / 25


def test_a_network_that_diverges_has_no_score_and_takes_no_other_with_it():
    X, y = regression()
    y[0] = 1e100
    found = fastmlp.cross_validate(
        X,
        y,
        cv=[(np.arange(30), [59]), (np.arange(30, 60), [1, 2])],
        standardize=False,
        optimizer="sgd",
        learning_rate=1e-2,
        **SMALL,
    )
    assert np.isnan(found.scores[0]) and np.isfinite(found.scores[1])
    assert np.isnan(found.predictions[59]) and np.isfinite(found.predictions[1:3]).all()
    assert repr(found).startswith("<CrossValidation of 2 folds: R2 ")


def test_it_shows_the_mean_and_the_deviation():
    found = fastmlp.cross_validate(*toy(), **SMALL)
    mean, deviation = found.scores.mean(), found.scores.std().round(9)
    assert repr(found) == f"<CrossValidation of 5 folds: accuracy {mean:.4g}, deviation {deviation:.2g}>"


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (1, ["cv must be a whole number of at least 2", "got 1"]),
        ("five", ["cv must be a whole number of at least 2, or (train, test)", "'five'"]),
        (2.5, ["cv must be a whole number of at least 2", "got 2.5"]),
        (61, ["cv must be at most 60 for as many rows", "got 61"]),
        ([], ["cv must hold (train, test) for at least one fold", "got none"]),
        ([(1, 2), 3], ["cv must hold (train, test) for each fold", "cv[1] is 3"]),
        ([([0, 1], [])], ["cv[0][1] must choose at least one of 60 rows"]),
    ],
    ids=str,
)
def test_folds_that_are_none_are_told(cv, words):
    with one_sentence(words):
        fastmlp.cross_validate(*toy(), cv=cv, **SMALL)


def test_an_option_that_there_is_not_is_named():
    with pytest.raises(TypeError, match="cross_validate has no option 'epoch'"):
        fastmlp.cross_validate(*toy(), epoch=3)
