"""Template features against plain loops; streamed in any order of templates they are the same."""
import itertools

import numpy as np
import pytest

from mxft.errors import RunError
from mxft.faces.evaluation.ijb.templates import Pooling, TemplateSums, medium_weights
from tests.reference.ijb import slow_image, slow_template

RNG = np.random.RandomState(0)
TEMPLATES = RNG.permutation(np.repeat([3, 900, 11, 12, 7], [8, 1, 5, 2, 9]))            # unsorted, one of one image
MEDIA = RNG.randint(0, 4, len(TEMPLATES))
VIEWS = RNG.randn(2, len(TEMPLATES), 6).astype(np.float32)
SCORES = RNG.rand(len(TEMPLATES)).astype(np.float32)


def template_features(features, templates, media):
    """Pool the features of all images at once."""
    sums = TemplateSums(templates, media, features.shape[1])
    sums.add(0, features)
    return sums.ids, sums.features()


@pytest.mark.parametrize("switches", list(itertools.product([True, False], repeat=3)))
def test_all_eight_switches_against_the_loops(switches):
    pooling = Pooling(*switches)
    features = pooling.image_features(VIEWS if pooling.flip else VIEWS[:1], SCORES)
    ids, pooled = template_features(features, TEMPLATES, MEDIA)
    assert ids.tolist() == [3, 7, 11, 12, 900]
    for template, feature in zip(ids, pooled):
        rows = np.flatnonzero(template == TEMPLATES)
        images = [slow_image(VIEWS[:, row], SCORES[row], *switches) for row in rows]
        np.testing.assert_allclose(feature, slow_template(images, MEDIA[rows]), atol=2e-6)


@pytest.mark.parametrize("batch", [1, 4, 25])
def test_streamed_in_batches(batch):
    _, whole = template_features(VIEWS[0], TEMPLATES, MEDIA)
    sums = TemplateSums(TEMPLATES, MEDIA, 6)
    for first in range(0, len(TEMPLATES), batch):
        sums.add(first, VIEWS[0, first:first + batch])
    np.testing.assert_allclose(sums.features(), whole, atol=1e-6)


def test_a_long_video_weighs_as_much_as_a_photograph():
    features = np.float32([[1, 0]] * 9 + [[0, 1]])
    _, pooled = template_features(features, np.zeros(10, int), np.array([5] * 9 + [6]))
    np.testing.assert_allclose(pooled, [[0.5 ** 0.5, 0.5 ** 0.5]], rtol=1e-6)
    _, apart = template_features(features, np.zeros(10, int), np.arange(10))           # no two of one medium
    np.testing.assert_allclose(apart, [[9 / 82 ** 0.5, 1 / 82 ** 0.5]], rtol=1e-6)


def test_the_same_medium_number_in_two_templates_is_two_media():
    assert medium_weights(np.array([1, 2, 2, 1]), np.array([5, 5, 5, 6])).tolist() == [1, 0.5, 0.5, 1]


def test_scores_of_zero_leave_zero_and_not_nan():
    features = Pooling(flip=False).image_features(VIEWS[:1, :2], np.zeros(2, np.float32))
    _, pooled = template_features(features, np.array([1, 1]), np.array([1, 2]))
    assert pooled.tolist() == [[0.0] * 6]
    assert Pooling(False, False, True).image_features(np.zeros((1, 2, 6), np.float32)).tolist() == [[0.0] * 6] * 2


def test_an_image_twice_in_a_template_counts_as_its_media_say():
    _, once = template_features(VIEWS[0, :2], np.array([1, 1]), np.array([1, 2]))
    _, twice = template_features(VIEWS[0, [0, 0, 1]], np.array([1, 1, 1]), np.array([1, 1, 2]))
    np.testing.assert_allclose(once, twice, atol=1e-6)


def test_embeddings_that_are_not_finite_are_refused():
    bad = VIEWS[0].copy()
    bad[TEMPLATES == 11] = np.nan
    with pytest.raises(RunError, match="received NaN or infinity in 1 of 5, the first of them template 11"):
        template_features(bad, TEMPLATES, MEDIA)
