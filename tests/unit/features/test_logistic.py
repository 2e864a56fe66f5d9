"""Multinomial logistic regression: scikit-learn's optimum, in blocks as at once, from any start."""
import numpy as np
import pytest

from mxft.features import logistic
from mxft.features.logistic import fit_logistic, minimise
from mxft.features.solvers import standardised


def rows(classes, each=20, width=30, seed=0, spread=2.0):
    """Standardised rows of overlapping clouds, and their labels."""
    rng = np.random.RandomState(seed)
    centres, labels = rng.normal(size=(classes, width)), np.tile(np.arange(classes), each)
    features = (centres[labels] + spread * rng.normal(size=(len(labels), width))).astype(np.float32)
    return standardised(features)[0], labels


def sklearn_fit(features, labels, penalty, weights=None):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=penalty, tol=1e-8, max_iter=5000).fit(features.astype(float), labels, weights)
    if len(model.coef_) == 1:
        return np.concatenate([-model.coef_, model.coef_]) / 2, np.r_[-model.intercept_, model.intercept_] / 2
    return model.coef_, model.intercept_ - model.intercept_.mean()


@pytest.mark.parametrize("classes", [2, 3, 12])
@pytest.mark.parametrize("penalty", [0.3, 5.0, 100.0])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_optimum_is_that_of_scikit_learn(classes, penalty, weighed):
    features, labels = rows(classes)
    weights = np.random.RandomState(1).uniform(0.2, 3, classes)[labels] if weighed else None
    weight, bias = fit_logistic(features, labels, classes, penalty, weights, tolerance=1e-9, steps=500)
    expected, intercept = sklearn_fit(features, labels, penalty, weights)
    assert weight.dtype == bias.dtype == np.float32
    np.testing.assert_allclose(weight, expected, atol=5e-3 * np.abs(expected).max())
    np.testing.assert_allclose(bias - bias.mean(), intercept, atol=1e-2 * max(1, np.abs(intercept).max()))


def penalised(features, labels, penalty, weight, bias):
    scores = (features @ weight.T + bias).astype(float)
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[np.arange(len(labels)), labels]
    return (np.log(np.exp(scores).sum(axis=1)) - own).sum() + (weight.astype(float) ** 2).sum() / (2 * penalty)


def test_the_steps_it_takes_by_default_come_within_a_thousandth_of_the_lowest_loss():
    features, labels = rows(12, each=40)
    lowest = penalised(features, labels, 5.0, *sklearn_fit(features, labels, 5.0))
    assert penalised(features, labels, 5.0, *fit_logistic(features, labels, 12, 5.0)) < 1.001 * lowest


def test_blocks_of_rows_make_no_difference(monkeypatch):
    features, labels = rows(5)
    weights = np.linspace(0.5, 2, len(labels))
    whole = fit_logistic(features, labels, 5, 5.0, weights, tolerance=1e-9)
    monkeypatch.setattr(logistic, "_AT_ONCE", 5 * 7)
    for one, other in zip(whole, fit_logistic(features, labels, 5, 5.0, weights, tolerance=1e-9)):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_start_changes_the_way_and_not_the_end():
    features, labels = rows(4)
    expected = fit_logistic(features, labels, 4, 5.0, tolerance=1e-9, steps=500)
    start = fit_logistic(features, labels, 4, 50.0)
    for one, other in zip(expected, fit_logistic(features, labels, 4, 5.0, start=start, tolerance=1e-9, steps=500)):
        np.testing.assert_allclose(one - one.mean(axis=0), other - other.mean(axis=0), atol=2e-3)
    again = fit_logistic(features, labels, 4, 5.0, start=expected, steps=1)
    np.testing.assert_allclose(again[0], expected[0], atol=2e-3)


def test_the_same_rows_give_the_same_bits():
    features, labels = rows(6)
    first, second = (fit_logistic(features, labels, 6, 5.0) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second))


def test_minimise_steps_back_where_the_first_step_is_too_long():
    def steep(x):
        return float((100 * (x - 1) ** 2 + (x - 1) ** 4).sum()), 200 * (x - 1) + 4 * (x - 1) ** 3

    np.testing.assert_allclose(minimise(steep, np.full(3, 9, np.float32), 1.0, 1e-9, 100), 1, atol=1e-3)
