"""1:1: pairs of templates to similarities, and TAR at FAR from 1e-6 to 1e-1. Arrays in, numbers out.

Follows ``verification`` of insightface's ``recognition/_evaluation_/ijb/ijb_11.py``: the cosine of two templates.
"""
import dataclasses

import numpy as np

from mxft.errors import InputError

RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
BLOCK = 1 << 14  # pairs: 64 MB of 512 numbers each


@dataclasses.dataclass(frozen=True)
class TemplateVerification:
    """Result of `verify_templates`.

    Parameters
    ----------
    tar : dict of float to float or None
        True accept rate at each false accept rate of RATES; None where there are too few pairs.
    thresholds : dict of float to float or None
        A pair is accepted where its similarity is greater.
    auc : float or None
        Area under the ROC curve; None where all pairs are same, or all different.
    same, different : int
        Pairs of one person and of two.
    false_accepts, true_accepts : numpy.ndarray
        Float64 ``(K,)``: points of the ROC curve, ascending, at most a thousand of them.
    """

    tar: dict
    thresholds: dict
    auc: float
    same: int
    different: int
    false_accepts: np.ndarray
    true_accepts: np.ndarray

    def tar_text(self, far):
        """Return the true accept rate at `far` as text, or what it takes to have one."""
        if self.tar[far] is not None:
            return f"{self.tar[far]:.5f}"
        if not self.same:
            return "needs same pairs, received none"
        return f"needs {round(1 / far):,} different pairs, received {self.different:,}"

    def to_dict(self):
        """Return the numbers, ready for JSON."""
        return {"pairs": self.same + self.different, "same": self.same, "different": self.different, "auc": self.auc,
                "tar_at_far": {f"{far:g}": rate for far, rate in self.tar.items()},
                "thresholds": {f"{far:g}": value for far, value in self.thresholds.items()},
                "roc": {"far": self.false_accepts.tolist(), "tar": self.true_accepts.tolist()}}


def score_pairs(features, left, right):
    """Return the cosine of each pair of templates.

    Parameters
    ----------
    features : numpy.ndarray
        Float32 ``(T, D)``, of unit length or zero.
    left, right : numpy.ndarray
        Integer ``(P,)``, rows of `features`.

    Returns
    -------
    numpy.ndarray
        Float32 ``(P,)``, in [-1, 1] but for rounding.

    Examples
    --------
    >>> score_pairs(np.eye(2, dtype=np.float32), np.array([0, 0]), np.array([0, 1])).tolist()
    [1.0, 0.0]
    """
    scores = np.empty(len(left), np.float32)
    for start in range(0, len(left), BLOCK):
        rows = slice(start, start + BLOCK)
        scores[rows] = np.einsum("ij,ij->i", features[left[rows]], features[right[rows]])
    return scores


def verify_templates(scores, issame, rates=RATES):
    """Turn similarities into rates.

    Parameters
    ----------
    scores : numpy.ndarray
        Float ``(P,)``.
    issame : numpy.ndarray
        Bool ``(P,)``.
    rates : sequence of float
        False accept rates.

    Returns
    -------
    TemplateVerification

    Raises
    ------
    InputError
        No pairs, arrays that do not belong together, or a score that is not finite.

    Notes
    -----
    The true accept rate is the share of same pairs that score higher than the different pair which would be one too
    many. Upstream takes the point of scikit-learn's curve whose false accept rate is nearest, which is the same where
    the rate times the different pairs is a whole number, and else may lie above the rate asked for. With too few
    different pairs for a rate upstream gives the nearest one there is; here it is None.

    Examples
    --------
    >>> verify_templates(np.array([0.9, 0.2, 0.5, 0.1]), np.array([True, True, False, False]), [0.5]).tar
    {0.5: 1.0}
    """
    if scores.ndim != 1 or scores.shape != issame.shape or not len(scores):
        raise InputError(f"pairs do not belong together: expected scores and issame (P,) with P from 1 up, received "
                         f"scores={scores.shape} issame={issame.shape}")
    if not np.isfinite(scores).all():
        raise InputError(f"scores are not finite: expected numbers, received NaN or infinity in "
                         f"{int((~np.isfinite(scores)).sum())} of {len(scores)} pairs")
    same, different = np.sort(scores[issame]), np.sort(scores[~issame])
    tar, thresholds = {}, {}
    for rate in rates:
        tar[rate], thresholds[rate] = _accepted_at(same, different, int(rate * len(different) + 1e-9))
    if not len(same) or not len(different):
        return TemplateVerification(tar, thresholds, None, len(same), len(different), np.empty(0), np.empty(0))
    return TemplateVerification(tar, thresholds, _area(same, different), len(same), len(different),
                                *_curve(same, different))


def _accepted_at(same, different, admitted):
    """Return (share of `same`, threshold) where `admitted` of `different` may be accepted; both are ascending."""
    if not admitted or not len(same):
        return None, None
    threshold = different[-1 - admitted] if admitted < len(different) else -np.inf
    return (len(same) - int(np.searchsorted(same, threshold, side="right"))) / len(same), float(threshold)


def _area(same, different):
    """Return the share of (same, different) couples in which the same pair scores higher; equal ones count half."""
    below = np.searchsorted(different, same, side="left").mean(dtype=np.float64)
    return float(below + np.searchsorted(different, same, side="right").mean(dtype=np.float64)) / (2 * len(different))


def _curve(same, different, points=1000):
    """Return (false accept rates, true accept rates) at about `points` thresholds, evenly in the rate's logarithm."""
    counts = np.unique(np.geomspace(1, len(different), points).round().astype(np.int64))
    thresholds = np.concatenate([different[::-1][counts[:-1]], [-np.inf]])
    false = (len(different) - np.searchsorted(different, thresholds, side="right")) / len(different)
    true = (len(same) - np.searchsorted(same, thresholds, side="right")) / len(same)
    return false, true
