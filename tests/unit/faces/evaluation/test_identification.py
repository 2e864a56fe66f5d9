"""Nearest class centre, against plain loops."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.identification import class_centres, nearest_centre_top1
from mxft.faces.training.imprint import imprint_head


def test_centres_are_the_mean_directions_and_a_class_without_images_is_zero():
    rng = np.random.RandomState(0)
    embeddings, labels = rng.normal(size=(30, 6)).astype(np.float32), rng.randint(0, 3, 30)
    centres, counts = class_centres(embeddings, labels, 4)
    for k in range(3):
        mean = sum(row / np.linalg.norm(row) for row in embeddings[labels == k])
        np.testing.assert_allclose(centres[k], mean / np.linalg.norm(mean), rtol=1e-5)
    assert counts.tolist() == [*(int((labels == k).sum()) for k in range(3)), 0]
    assert not centres[3].any()


def test_top1_counts_by_cosine_and_not_by_length():
    centres = np.array([[1, 0], [0, 1]], np.float32)
    embeddings = np.array([[0.1, 0.01], [5, 6], [3, 1]], np.float32)
    assert nearest_centre_top1(embeddings, np.array([0, 1, 1]), centres) == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="identification: expected at least one embedding, received none"):
        nearest_centre_top1(embeddings[:0], np.array([]), centres)


def test_imprinted_rows_have_length_1_and_the_others_stay():
    weight = np.full((3, 2), 7, np.float32)
    centres = np.array([[0.6, 0.8], [0, 0], [1, 0]], np.float32)
    imprinted = imprint_head(weight, centres, np.array([4, 0, 1]))
    np.testing.assert_allclose(imprinted, [[0.6, 0.8], [7, 7], [1, 0]], rtol=1e-6)
