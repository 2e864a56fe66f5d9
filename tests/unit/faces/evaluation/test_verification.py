"""mxft/faces/evaluation/verification.py against loops, scikit-learn and cases worked out by hand."""
import json

import numpy as np
import pytest

from mxft.errors import InputError, RunError
from mxft.faces.evaluation.verification import (
    THRESHOLDS,
    area_under,
    fold_accuracies,
    fold_bounds,
    roc_curve,
    squared_distances,
    tar_at_far,
    verify_embeddings,
)
from tests.reference.verification import slow_auc, slow_folds, slow_tar, slow_verification


def random_pairs(count, seed=0, noise=1.2, dimensions=8):
    """Embeddings of pairs of which half are two noisy views of one vector; float32 of any length."""
    rng = np.random.RandomState(seed)
    left = rng.standard_normal((count, dimensions)) * 7
    issame = rng.rand(count) < 0.5
    right = np.where(issame[:, None], left + noise * 7 * rng.standard_normal(left.shape),
                     rng.standard_normal(left.shape) * 7)
    return left.astype(np.float32), right.astype(np.float32), issame


@pytest.mark.parametrize("count, folds, seed", [(60, 10, 0), (47, 10, 1), (33, 4, 2), (26, 20, 3), (30, 1, 4),
                                                (61, 2, 5)])
def test_it_equals_the_loops(count, folds, seed):
    left, right, issame = random_pairs(count, seed)
    result = verify_embeddings(left, right, issame, folds)
    accuracies, thresholds = slow_verification(left, right, issame, folds)
    np.testing.assert_allclose(result.fold_accuracies, accuracies, atol=1e-12)
    np.testing.assert_allclose(result.thresholds, thresholds, atol=1e-9)
    assert result.accuracy == pytest.approx(np.mean(accuracies)) and result.std == pytest.approx(np.std(accuracies))
    assert 0.5 < result.accuracy < 1
    assert result.tar[0.1] == pytest.approx(slow_tar(result.distances, issame, 0.1))
    assert result.auc == pytest.approx(slow_auc(result.distances, issame))


@pytest.mark.parametrize("pairs, folds", [(10, 10), (19, 10), (6001, 10), (7, 3), (5, 1)])
def test_folds_are_scikit_learns(pairs, folds):
    bounds = fold_bounds(pairs, folds)
    assert [list(range(a, b)) for a, b in zip(bounds, bounds[1:])] == [test for _, test in slow_folds(pairs, folds)]
    if folds > 1:
        selection = pytest.importorskip("sklearn.model_selection")
        tests = [test.tolist() for _, test in selection.KFold(folds).split(np.arange(pairs))]
        assert tests == [list(range(a, b)) for a, b in zip(bounds, bounds[1:])]


def test_roc_and_area_are_scikit_learns_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.RandomState(0)
    issame = rng.rand(300) < 0.4
    distances = np.round(rng.rand(300) * 2 - 0.5 * issame, 1)
    assert area_under(*roc_curve(distances, issame)) == pytest.approx(metrics.roc_auc_score(issame, -distances))
    false_accepts, true_accepts, _ = metrics.roc_curve(issame, -distances, drop_intermediate=False)
    ours = roc_curve(distances, issame)
    np.testing.assert_allclose(ours[0], false_accepts)
    np.testing.assert_allclose(ours[1], true_accepts)


def test_a_pair_at_the_threshold_is_not_the_same():
    """Upstream's ``np.less(dist, threshold)``; and of equally good thresholds the lowest is taken."""
    distances, issame = np.array([0.5, 0.5, 1.0, 1.0]), np.array([True, True, False, False])
    best, accuracies = fold_accuracies(distances, issame, np.array([0, 2, 4]), np.array([0.5, 1.0, 1.5]))
    assert best.tolist() == [0.5, 1.0] and accuracies.tolist() == [0.0, 1.0]


def test_the_thresholds_are_upstreams():
    assert len(THRESHOLDS) == 400 and THRESHOLDS[0] == 0 and THRESHOLDS[-1] == pytest.approx(3.99)


def test_length_does_not_count_and_a_zero_vector_does_no_harm():
    left, right, issame = random_pairs(40)
    scales = np.random.RandomState(1).uniform(0.01, 100, (40, 1))
    np.testing.assert_allclose(squared_distances(left * scales, right), squared_distances(left, right), atol=1e-5)
    left[3] = 0
    assert verify_embeddings(left, right, issame).distances[3] == pytest.approx(1)


def test_tar_at_far_needs_enough_different_pairs():
    left, right, issame = random_pairs(400, noise=0.5)
    different = int((~issame).sum())
    assert 100 < different < 1000
    result = verify_embeddings(left, right, issame)
    assert result.tar[1e-1] >= result.tar[1e-2] > 0 and result.tar[1e-3] is None and result.tar[1e-4] is None
    assert result.tar_text(1e-2) == f"{result.tar[1e-2]:.5f}"
    assert result.tar_text(1e-4) == f"needs 10,000 different pairs, received {different}"


def test_tar_by_hand():
    distances = np.array([0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
    issame = np.array([True] * 4 + [False] * 10)
    assert tar_at_far(distances, issame, 0.1) == 0.75     # below 0.5: one different pair of ten is nearer
    assert tar_at_far(distances, issame, 0.2) == 1.0
    assert tar_at_far(distances, issame, 0.19) == 0.75
    assert tar_at_far(distances, issame, 0.09) is None
    assert tar_at_far(distances, issame, 1.0) == 1.0
    tied = np.array([0.3, 0.3, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2])
    assert tar_at_far(tied, np.array([True] + [False] * 10), 0.1) == 0.0  # two different pairs share its distance


def test_pairs_of_one_kind_have_no_roc_and_a_note():
    left, right, _ = random_pairs(20)
    for same in (True, False):
        result = verify_embeddings(left, left if same else -left, [same] * 20)
        assert result.accuracy == 1 and result.auc is None and set(result.tar.values()) == {None}
        assert result.notes[0].startswith("10 of 10 folds hold pairs of one kind only (fold 1, 2, 3, 4, 5, 6, 7, 8, 9, "
                                          "10)")
    assert result.tar_text(0.1) == "needs same pairs, received none"


def test_one_sided_folds_and_a_single_fold_are_told():
    left, right, _ = random_pairs(40)
    sorted_pairs = np.arange(40) < 20
    assert "10 of 10 folds" in verify_embeddings(left, right, sorted_pairs).notes[0]
    note, = verify_embeddings(left, right, sorted_pairs, 3).notes
    assert note.startswith("2 of 3 folds hold pairs of one kind only (fold 1, 3): ")
    mixed = np.arange(40) % 2 == 0
    assert verify_embeddings(left, right, mixed).notes == ()
    assert verify_embeddings(left, right, mixed, 1).notes == (
        "with one fold the threshold is chosen on the pairs it is evaluated by",)


def test_fewer_pairs_than_folds_are_refused():
    left, right, issame = random_pairs(9)
    with pytest.raises(InputError, match=r"^pairs < folds: expected at least one pair in each fold, received pairs=9 "
                                         r"folds=10; choose from folds 1 to folds 9$"):
        verify_embeddings(left, right, issame)
    assert verify_embeddings(left, right, issame, 9).pairs == 9
    with pytest.raises(InputError, match="received pairs=9 folds=0"):
        verify_embeddings(left, right, issame, 0)


def test_embeddings_that_are_not_finite_stop_the_run():
    left, right, issame = random_pairs(20)
    right[7, 2], left[11, 0] = np.nan, np.inf
    with pytest.raises(RunError, match="received NaN or infinity in 2 of 20 pairs, the first of them pair 7;"):
        verify_embeddings(left, right, issame)


def test_arrays_that_do_not_belong_together_are_refused():
    left, right, issame = random_pairs(20)
    with pytest.raises(InputError, match=r"received left=\(20, 8\) right=\(19, 8\) issame=\(20,\)"):
        verify_embeddings(left, right[:-1], issame)
    with pytest.raises(InputError, match=r"issame=\(19,\)"):
        verify_embeddings(left, right, issame[:-1])


def test_the_numbers_go_into_json():
    left, right, issame = random_pairs(50)
    result = verify_embeddings(left, right, issame, xnorm=9.5)
    facts = json.loads(json.dumps(result.to_dict()))
    assert facts["pairs"] == 50 and facts["same"] + facts["different"] == 50 and facts["xnorm"] == 9.5
    assert facts["accuracy"] == result.accuracy and len(facts["thresholds"]) == facts["folds"] == 10
    assert facts["tar_at_far"]["0.1"] == result.tar[0.1] and facts["tar_at_far"]["0.0001"] is None
    assert str(result) == f"{result.accuracy:.5f}+-{result.std:.5f}"
