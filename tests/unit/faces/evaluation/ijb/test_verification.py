"""1:1 numbers against every threshold tried, against `tar_at_far`, and against scikit-learn as upstream uses it."""
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from mxft.errors import InputError
from mxft.faces.evaluation.ijb import verification
from mxft.faces.evaluation.ijb.verification import RATES, score_pairs, verify_templates
from mxft.faces.evaluation.verification import tar_at_far
from tests.reference.ijb import slow_cosine, slow_tar


def made(pairs=400, same=80, seed=0, decimals=9):
    rng = np.random.RandomState(seed)
    issame = rng.permutation(pairs) < same
    return (rng.randn(pairs) + 1.5 * issame).round(decimals).astype(np.float32), issame


@pytest.mark.parametrize("decimals", [9, 1])                                           # without and with equal scores
def test_against_every_threshold(decimals):
    scores, issame = made(decimals=decimals)
    result = verify_templates(scores, issame)
    assert list(result.tar) == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1] == list(RATES)
    for rate in RATES:
        assert result.tar[rate] == pytest.approx(slow_tar(scores.tolist(), issame, rate)), rate
        assert result.tar[rate] == tar_at_far(-scores, issame, rate)
    assert result.auc == pytest.approx(roc_auc_score(issame, scores)) and (result.same, result.different) == (80, 320)
    accepted = scores > result.thresholds[0.1]
    assert accepted[issame].mean() == result.tar[0.1] and accepted[~issame].mean() <= 0.1


def test_upstreams_table_where_the_rate_is_a_whole_number_of_pairs():
    """Of ijb_11.py: scikit-learn's curve from its end, the point whose false accept rate is nearest."""
    scores, issame = made(3000, 1000)
    false, true, _ = roc_curve(issame, scores)
    false, true = np.flipud(false), np.flipud(true)
    result = verify_templates(scores, issame)
    for rate in (1e-3, 1e-2, 1e-1):
        assert result.tar[rate] == pytest.approx(true[np.argmin(abs(false - rate))])
    assert result.tar[1e-4] is None and result.tar_text(1e-4) == "needs 10,000 different pairs, received 2,000"


def test_the_curve_lies_on_scikit_learns():
    scores, issame = made(3000, 1000, decimals=2)
    false, true, _ = roc_curve(issame, scores, drop_intermediate=False)
    points = set(zip(false.round(9), true.round(9)))
    result = verify_templates(scores, issame)
    assert set(zip(result.false_accepts.round(9), result.true_accepts.round(9))) <= points
    assert result.false_accepts[-1] == result.true_accepts[-1] == 1 and np.all(np.diff(result.false_accepts) >= 0)
    assert len(result.false_accepts) <= 1000 < len(scores)


def test_cosines_in_blocks(monkeypatch):
    features = np.random.RandomState(1).randn(9, 5).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    left, right = np.random.RandomState(2).randint(0, 9, (2, 50))
    monkeypatch.setattr(verification, "BLOCK", 7)
    scores = score_pairs(features, left, right)
    np.testing.assert_allclose(scores, [slow_cosine(features[a], features[b]) for a, b in zip(left, right)], atol=1e-6)


def test_pairs_of_one_kind():
    same = verify_templates(np.array([0.1, 0.2]), np.array([True, True]))
    assert same.auc is None and same.tar_text(0.1) == "needs 10 different pairs, received 0"
    different = verify_templates(np.arange(20.0), np.zeros(20, bool))
    assert different.auc is None and different.tar_text(0.1) == "needs same pairs, received none"
    assert same.to_dict()["roc"] == {"far": [], "tar": []}


def test_what_is_refused():
    with pytest.raises(InputError, match=r"received scores=\(2,\) issame=\(1,\)"):
        verify_templates(np.zeros(2), np.zeros(1, bool))
    with pytest.raises(InputError, match=r"received scores=\(0,\)"):
        verify_templates(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(InputError, match="received NaN or infinity in 1 of 2 pairs"):
        verify_templates(np.array([0, np.nan]), np.zeros(2, bool))
