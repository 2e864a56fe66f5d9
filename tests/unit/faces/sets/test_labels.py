"""Wrong labels: those that were planted are found, small and mixed classes are not judged, twins are told."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.sets.labels import FAR, MIXED, NEARER, RIGHT, SMALL, UNREADABLE, clean_centres, judge_labels


def people(count=40, images=10, size=64, noise=0.06, seed=0):
    """Return (embeddings, labels) of people whose images' cosine with the centre is some 0.9; lengths differ."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, size)) / np.sqrt(size)
    labels = np.repeat(np.arange(count), images)
    rows = centres[labels] + noise * rng.standard_normal((len(labels), size))
    return rows * rng.uniform(1, 20, (len(rows), 1)), labels


def test_planted_labels_are_found_with_the_right_person_and_nothing_else_goes():
    embeddings, true = people()
    wrong = np.random.default_rng(1).choice(len(true), 40, replace=False)
    labels = true.copy()
    labels[wrong] = (true[wrong] + np.random.default_rng(2).integers(1, 40, 40)) % 40
    found = judge_labels(embeddings, labels, 40)
    assert found.measured and np.flatnonzero(found.goes).tolist() == sorted(wrong)
    assert (found.verdicts[wrong] == NEARER).all() and (found.others[wrong] == true[wrong]).all()
    right = np.array([embeddings[true == k].mean(axis=0) for k in range(40)])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    assert (np.einsum("kd,kd->k", found.centres, right) > 0.97).all()      # wrong labels have not moved the centres


def test_an_image_like_nobody_is_far():
    embeddings, labels = people()
    embeddings[7] = np.random.default_rng(9).standard_normal(64)
    found = judge_labels(embeddings, labels, 40)
    assert found.verdicts[7] == FAR and found.goes.sum() == 1 and found.cosines[7] < found.threshold


def test_small_mixed_and_unreadable_are_not_judged():
    embeddings, labels = people()
    labels[2:10] = 40                                      # class 0 keeps two images, eight go to a class of their own
    labels[[20, 30, 40, 50, 60, 70]] = 41                  # six people in one class
    embeddings[100] = np.nan
    found = judge_labels(embeddings, labels, 42)
    assert set(found.verdicts[labels == 0]) == {SMALL} and set(found.verdicts[labels == 41]) == {MIXED}
    assert found.verdicts[100] == UNREADABLE and np.flatnonzero(found.goes).tolist() == [100]
    assert max(found.twins, key=lambda twin: twin[2])[:2] == (0, 40) and (found.verdicts[labels == 40] == RIGHT).all()
    assert not any(41 in twin[:2] for twin in found.twins)      # near to all six, and none of them


def test_without_a_majority_the_largest_group_that_agrees_decides():
    embeddings, labels = people()
    embeddings, labels = embeddings[10:], labels[10:].copy()               # class 0 has none of its own
    own, strangers, others = np.flatnonzero(labels == 1)[:4], [20, 30, 40, 50], np.flatnonzero(labels == 8)[:4]
    labels[own] = labels[strangers] = 0
    found = judge_labels(embeddings, labels, 40)
    assert set(found.verdicts[own]) == {RIGHT} and set(found.verdicts[strangers]) == {NEARER}
    labels[strangers] = 39
    labels[others] = 0                                                     # four of one person, four of another
    assert set(judge_labels(embeddings, labels, 40).verdicts[labels == 0]) == {MIXED}


def test_a_threshold_that_is_given_holds_and_one_that_cannot_be_measured_is_told():
    embeddings, labels = people(2, 4)
    found = judge_labels(embeddings, labels, 2)
    assert not found.measured and found.threshold == 0.4
    strict = judge_labels(embeddings, labels, 2, threshold=0.999)
    assert not strict.measured and (strict.threshold, set(strict.verdicts)) == (0.999, {MIXED})


def test_clean_centres_are_those_of_the_results():
    embeddings, labels = people(5)
    labels[3] = 2
    centres, threshold = clean_centres(embeddings, labels, 6)
    found = judge_labels(embeddings, labels, 6)
    assert np.array_equal(centres, found.centres) and threshold == found.threshold and not centres[5].any()


@pytest.mark.parametrize("options", [{"least": 2}, {"strangers": 0}, {"strangers": 1}, {"threshold": 1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="labels cannot be judged: expected least of 3 or more, strangers between 0"):
        judge_labels(*people(3, 3), 3, **options)
