"""Numbers of a classifier against slow loops."""
import math

import numpy as np
import pytest

from mxft.evaluation.classification import confusion_matrix, cross_entropy, per_class_recall, softmax, top_k

N, CLASSES = 60, 7


@pytest.fixture
def scores():
    """(logits, labels) with many ties."""
    rng = np.random.RandomState(0)
    return rng.randint(-3, 4, (N, CLASSES)).astype(np.float32), rng.randint(0, CLASSES, N).astype(np.float32)


def slow_top_k(scores, labels, k):
    """A hit: fewer than k other classes score as high as the right one."""
    hits = 0
    for row, label in zip(scores, labels):
        rivals = sum(1 for c, score in enumerate(row) if c != int(label) and score >= row[int(label)])
        hits += rivals < k
    return hits / len(labels)


@pytest.mark.parametrize("k", range(1, CLASSES + 1))
def test_top_k_equals_a_loop_also_with_ties(scores, k):
    assert top_k(*scores, k) == pytest.approx(slow_top_k(*scores, k))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_sorting_where_there_are_no_ties(scores, k):
    logits = np.random.RandomState(1).permutation(N * CLASSES).reshape(N, CLASSES)
    expected = np.mean([label in np.argsort(-row)[:k] for row, label in zip(logits, scores[1])])
    assert top_k(logits, scores[1], k) == pytest.approx(expected)


def test_a_constant_network_does_not_look_good():
    labels = np.arange(5)
    assert top_k(np.zeros((5, 5)), labels, 1) == 0 and top_k(np.zeros((5, 5)), labels, 4) == 0
    assert top_k(np.zeros((5, 5)), labels, 5) == 1


def test_cross_entropy_equals_a_loop(scores):
    logits, labels = scores
    expected = np.mean([-math.log(math.exp(row[int(label)]) / sum(math.exp(v) for v in row))
                        for row, label in zip(logits.tolist(), labels)])
    assert cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-12)


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0, -1e4], [-3e38, 3e38, 0.0]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(softmax(logits[:1]), [[1, 0, 0]])
        assert cross_entropy(logits[:1], np.array([1])) == pytest.approx(1e4)
    np.testing.assert_allclose(softmax(np.array([[-1e38, 1e38, 0.0]], np.float32)), [[0, 1, 0]])
    assert math.isfinite(cross_entropy(logits, np.array([1, 0])))


def test_softmax_equals_a_loop(scores):
    for row, probabilities in zip(scores[0].tolist(), softmax(scores[0])):
        total = sum(math.exp(v) for v in row)
        np.testing.assert_allclose(probabilities, [math.exp(v) / total for v in row], rtol=1e-6)


def test_confusion_counts_label_by_row_and_prediction_by_column(scores):
    predicted, labels = scores[0].argmax(axis=1), scores[1]
    expected = [[0] * CLASSES for _ in range(CLASSES)]
    for guess, label in zip(predicted, labels):
        expected[int(label)][int(guess)] += 1
    np.testing.assert_array_equal(confusion_matrix(predicted, labels, CLASSES), expected)
    np.testing.assert_array_equal(confusion_matrix(np.array([2]), np.array([0]), 3), [[0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_recall_is_the_fraction_found_and_nan_for_a_class_without_images():
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(per_class_recall(confusion), [0.75, np.nan, 0.5])
