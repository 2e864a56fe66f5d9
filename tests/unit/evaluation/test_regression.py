"""Figures of numbers, checked against scikit-learn's."""
import numpy as np
import pytest
from sklearn import metrics

from mxft.evaluation.regression import RegressionScore, absolute_errors, r_squared


def test_errors_and_determination_are_scikit_learns():
    rng = np.random.RandomState(0)
    labels = rng.normal(size=(50, 3)) * [1, 10, 0.1] + [5, 0, 0]
    values = labels + rng.normal(size=labels.shape) * [0.1, 5, 0.2]
    np.testing.assert_allclose(absolute_errors(values, labels),
                               metrics.mean_absolute_error(labels, values, multioutput="raw_values"))
    np.testing.assert_allclose(r_squared(values, labels),
                               metrics.r2_score(labels, values, multioutput="raw_values"))
    score = RegressionScore(values, labels, tuple(labels.std(axis=0)), 1.0)
    assert score.mae == pytest.approx(metrics.mean_absolute_error(labels, values))
    assert score.r2 == pytest.approx(metrics.r2_score(labels, values))
    assert score.loss == pytest.approx(1 - score.r2), "in standard deviations the squared error is 1 - R²"


def test_a_number_that_is_the_same_everywhere_is_met_or_not():
    assert r_squared(np.array([[1.0, 1.0], [1.0, 2.0]]), np.ones((2, 2))).tolist() == [1.0, 0.0]


def test_several_numbers_are_put_together_in_their_own_units():
    labels = np.array([[0.0, 0.0], [1.0, 1000.0]])
    near = RegressionScore(labels + [0.5, 1.0], labels, (0.5, 500.0), 1.0)
    far = RegressionScore(labels + [0.0, 10.0], labels, (0.5, 500.0), 1.0)
    assert near.mae < far.mae and near.goodness < far.goodness, "half of one's range outweighs a hundredth of the other"
