"""scikit-learn's own checks of estimators."""

import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp.sklearn import MLPClassifier, MLPRegressor, PopulationSearchCV

# The name of a check: the reason why it fails.
EXPECTED_TO_FAIL: dict[str, str] = {}

ESTIMATORS = [
    MLPClassifier(max_iter=50),
    MLPClassifier(solver="lbfgs", max_iter=10, hidden_layer_sizes=5),
    MLPRegressor(max_iter=50),
    MLPRegressor(solver="sgd", random_state=42),
    PopulationSearchCV(
        MLPClassifier(hidden_layer_sizes=5, max_iter=50, random_state=0),
        {"learning_rate_init": [0.01, 0.05]},
        cv=2,
        error_score="raise",
    ),
]


CHECKS = parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL)


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)  # a list: before 1.8 it was what pytest warns of
def test_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", SkipTestWarning)
        warnings.filterwarnings("ignore", "invalid value encountered in cast")  # by the splitters, where y is infinite
        check(estimator)
