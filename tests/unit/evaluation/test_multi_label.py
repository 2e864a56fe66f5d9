"""Figures of several labels, checked against scikit-learn's, row by row, and at their edges."""
import numpy as np
import pytest
from sklearn import metrics

from mxft.evaluation.multi_label import (
    MultiLabelScore,
    average_precisions,
    best_thresholds,
    binary_cross_entropy,
    label_report,
)


@pytest.fixture(scope="module")
def judged():
    """Probabilities with ties, and labels that are more frequent where they are high: ``(60, 4)`` each."""
    rng = np.random.RandomState(0)
    probabilities = rng.randint(0, 21, (60, 4)) / 20
    return probabilities, (rng.uniform(size=(60, 4)) < probabilities ** [0.5, 1, 2, 3]).astype(int)


def test_average_precision_is_scikit_learns(judged):
    probabilities, labels = judged
    expected = metrics.average_precision_score(labels, probabilities, average=None)
    np.testing.assert_allclose(average_precisions(probabilities, labels), expected, rtol=1e-12)


def test_a_constant_network_gets_each_labels_share_of_the_images(judged):
    labels = judged[1]
    np.testing.assert_allclose(average_precisions(np.full(labels.shape, 0.7), labels), labels.mean(axis=0))


def test_precision_recall_and_f1_are_scikit_learns(judged):
    probabilities, labels = judged
    thresholds = [0.3, 0.5, 0.65, 0.9]
    said = probabilities >= thresholds
    precision, recall, f1, images = metrics.precision_recall_fscore_support(labels, said, average=None)
    rows = label_report(probabilities, labels, "abcd", thresholds)
    np.testing.assert_allclose([row[1:2] + row[3:] for row in rows],
                               np.stack([images, thresholds, recall, precision, f1], axis=1))
    score = MultiLabelScore(probabilities, labels, 0.0, 1.0, tuple(thresholds))
    assert score.f1 == pytest.approx(metrics.f1_score(labels, said, average="micro"))


def test_no_threshold_has_a_higher_f1_than_the_chosen_one(judged):
    probabilities, labels = judged
    chosen = best_thresholds(probabilities, labels)
    for column, threshold in enumerate(chosen):
        everywhere = [metrics.f1_score(labels[:, column], probabilities[:, column] >= other, zero_division=0)
                      for other in np.linspace(0, 1.01, 102)]
        own = metrics.f1_score(labels[:, column], probabilities[:, column] >= threshold)
        assert own == pytest.approx(max(everywhere)), f"label {column}"


def test_a_label_no_image_has_is_left_out_of_the_mean():
    score = MultiLabelScore(np.array([[0.9, 0.4], [0.1, 0.4]]), np.array([[1, 0], [0, 0]]), 0.1, 1.0)
    assert score.mean_average_precision == 1.0 and np.isnan(average_precisions(score.probabilities, score.labels)[1])
    assert score.metrics()["thresholds"] == [0.5, 0.5]
    assert score.report(["cat", "dog"])[1] == ("dog", 0, None, 0.5, None, None, None)


def test_cross_entropy_is_scikit_learns_and_does_not_overflow(judged):
    labels = judged[1][:, :1]
    logits = np.random.RandomState(1).normal(size=labels.shape)
    expected = metrics.log_loss(labels[:, 0], 1 / (1 + np.exp(-logits[:, 0])))
    assert binary_cross_entropy(logits, labels) == pytest.approx(expected)
    assert binary_cross_entropy(np.array([[1e4, -1e4]]), np.array([[0, 0]])) == pytest.approx(5e3)


def test_a_threshold_tells_probabilities_apart_that_are_nearly_one():
    """A sigmoid's are 0.9999998 and 0.9999996 for logits 15.5 and 14.7; a rounded threshold of 1 would say neither."""
    probabilities = 1 / (1 + np.exp(-np.array([[15.5], [15.2], [14.7]], np.float32)))
    labels = np.array([[1], [1], [0]])
    chosen = MultiLabelScore(probabilities, labels, 0.0, 1.0).metrics()["thresholds"]
    assert MultiLabelScore(probabilities, labels, 0.0, 1.0, tuple(chosen)).f1 == 1
