"""Face verification from arrays of embeddings: k-fold accuracy, TAR at FAR, ROC, AUC.

Follows ``calculate_roc`` of insightface's ``eval/verification.py``: squared distances of normalised embeddings,
thresholds 0, 0.01 … 3.99, and for each of k contiguous folds the threshold that does best on the others.
"""
import dataclasses

import numpy as np

from mxft.errors import InputError, RunError
from mxft.wording import plural

FOLDS = 10
THRESHOLDS = np.arange(0, 4, 0.01)
FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclasses.dataclass(frozen=True, repr=False)
class Verification:
    """Result of `verify_embeddings`.

    Parameters
    ----------
    accuracy, std : float
        Mean and standard deviation (of the population, as upstream's ``np.std``) over the folds, in [0, 1].
    fold_accuracies, thresholds : numpy.ndarray
        Float64 ``(folds,)``; a pair is taken for one person where its squared distance is below the threshold.
    tar : dict of float to float or None
        True accept rate at each of FALSE_ACCEPT_RATES; None where there are too few different pairs for the rate, or
        no same ones.
    auc : float or None
        Area under the ROC curve; None where all pairs are same, or all different.
    xnorm : float or None
        Mean norm of the embeddings before anything is summed or normalised, where it was given.
    distances : numpy.ndarray
        Float64 ``(P,)``, squared, in [0, 4].
    issame : numpy.ndarray
        Bool ``(P,)``.
    notes : tuple of str
        What makes the accuracy doubtful: folds with pairs of one kind only, or a single fold.
    """

    accuracy: float
    std: float
    fold_accuracies: np.ndarray
    thresholds: np.ndarray
    tar: dict
    auc: float
    xnorm: float
    distances: np.ndarray
    issame: np.ndarray
    notes: tuple

    @property
    def pairs(self):
        """How many pairs there are."""
        return len(self.issame)

    @property
    def cosine(self):
        """The cosine similarity from which on a pair is taken for one person: that of the folds' mean threshold."""
        return float(1 - self.thresholds.mean() / 2)

    def _repr_html_(self):
        from mxft.faces.report.notebook import verification_html

        return verification_html(self)

    def roc(self):
        """Return (false accept rates, true accept rates); see `roc_curve`."""
        return roc_curve(self.distances, self.issame)

    def tar_text(self, far):
        """Return the true accept rate at `far` as text, or what it takes to have one."""
        if self.tar[far] is not None:
            return f"{self.tar[far]:.5f}"
        if not self.issame.any():
            return "needs same pairs, received none"
        return f"needs {round(1 / far):,} different pairs, received {int((~self.issame).sum()):,}"

    def threshold_at(self, far):
        """Return the squared distance below which a pair is taken for one person at a false accept rate, or None."""
        return threshold_at_far(self.distances, self.issame, far)

    def to_dict(self):
        """Return what is not one value a pair, ready for JSON."""
        same = int(self.issame.sum())
        return {"pairs": self.pairs, "same": same, "different": self.pairs - same, "folds": len(self.thresholds),
                "accuracy": self.accuracy, "std": self.std, "xnorm": self.xnorm, "auc": self.auc,
                "tar_at_far": {f"{far:g}": rate for far, rate in self.tar.items()},
                "thresholds_at_far": {f"{far:g}": limit and {"squared_distance": round(limit, 6),
                                                             "cosine": round(1 - limit / 2, 6)}
                                      for far, limit in ((far, self.threshold_at(far)) for far in self.tar)},
                "fold_accuracies": self.fold_accuracies.tolist(),
                "thresholds": [round(float(t), 4) for t in self.thresholds], "notes": list(self.notes)}

    def __repr__(self):
        return f"<Verification {self}: {plural(self.pairs, 'pair')}, {plural(len(self.thresholds), 'fold')}>"

    def __str__(self):
        return f"{self.accuracy:1.5f}+-{self.std:1.5f}"


def verify_embeddings(left, right, issame, folds=FOLDS, xnorm=None):
    """Verify pairs of embeddings.

    Parameters
    ----------
    left, right : numpy.ndarray
        Float ``(P, D)``, of any length; normalised here (a vector of zeros stays one).
    issame : array of bool
        ``(P,)``.
    folds : int
        Contiguous and unshuffled, the first ``P % folds`` of them one pair larger, as scikit-learn's KFold cuts. With 1
        the threshold is chosen on the very pairs it is evaluated by.
    xnorm : float, optional
        Passed on to the result.

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        Fewer pairs than folds, or arrays that do not belong together.
    RunError
        An embedding holds NaN or infinity.

    Notes
    -----
    Upstream's TAR at FAR interpolates thresholds between folds; here it is the share of same pairs that are nearer
    than the different pair which would be one too many.

    Examples
    --------
    >>> left, right = np.eye(4), np.eye(4)[[0, 2, 2, 0]]
    >>> print(verify_embeddings(left, right, [True, False, True, False], folds=2))
    1.00000+-0.00000
    """
    left, right, issame = _checked(left, right, issame, folds)
    return verify_distances(squared_distances(left, right), issame, folds, xnorm)


def verify_distances(distances, issame, folds=FOLDS, xnorm=None):
    """Verify pairs whose distances are known.

    Parameters
    ----------
    distances : numpy.ndarray
        Float64 ``(P,)``, of `squared_distances`.
    issame : numpy.ndarray
        Bool ``(P,)``.
    folds, xnorm
        See `verify_embeddings`.

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        Fewer pairs than folds.
    """
    check_folds(len(issame), folds)
    bounds = fold_bounds(len(issame), folds)
    thresholds, accuracies = fold_accuracies(distances, issame, bounds)
    tar = {far: tar_at_far(distances, issame, far) for far in FALSE_ACCEPT_RATES}
    return Verification(float(accuracies.mean()), float(accuracies.std()), accuracies, thresholds, tar,
                        area_under(*roc_curve(distances, issame)), xnorm, distances, issame,
                        _notes(issame, bounds))


def _checked(left, right, issame, folds):
    left, right, issame = (np.asarray(a) for a in (left, right, issame))
    if left.ndim != 2 or left.shape != right.shape or issame.shape != left.shape[:1]:
        raise InputError(f"pairs do not belong together: expected left and right (P, D) and issame (P,), received "
                         f"left={left.shape} right={right.shape} issame={issame.shape}")
    check_folds(len(issame), folds)
    bad = ~(np.isfinite(left).all(axis=1) & np.isfinite(right).all(axis=1))
    if bad.any():
        raise RunError(f"embeddings are not finite: received NaN or infinity in {int(bad.sum())} of {len(bad)} pairs, "
                       f"the first of them pair {int(bad.argmax())}; a run that diverged, or damaged parameters?")
    return left.astype(np.float64), right.astype(np.float64), issame.astype(bool)


def check_folds(pairs, folds):
    """Refuse a number of folds that `pairs` pairs cannot be cut into."""
    if folds < 1 or pairs < folds:
        raise InputError(f"pairs < folds: expected at least one pair in each fold, received pairs={pairs} "
                         f"folds={folds}; choose from `folds` 1 to `folds` {max(pairs, 1)}")


def squared_distances(left, right):
    """Return the squared distances, in [0, 4], of float64 ``(P, D)`` vectors after normalising them."""
    return np.square(normalised_rows(left) - normalised_rows(right)).sum(axis=1)


def normalised_rows(vectors):
    """Return vectors ``(N, D)`` at length 1; a vector of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def fold_bounds(pairs, folds):
    """Return int ``(folds + 1,)``: fold k is ``bounds[k]:bounds[k + 1]``.

    Examples
    --------
    >>> fold_bounds(11, 3).tolist()
    [0, 4, 8, 11]
    """
    sizes = np.full(folds, pairs // folds)
    sizes[:pairs % folds] += 1
    return np.concatenate([[0], np.cumsum(sizes)])


def fold_accuracies(distances, issame, bounds, thresholds=THRESHOLDS):
    """Judge each fold by the threshold that does best on the others, the lowest where several do.

    Parameters
    ----------
    distances : numpy.ndarray
        Float ``(P,)``.
    issame : numpy.ndarray
        Bool ``(P,)``.
    bounds : numpy.ndarray
        Of `fold_bounds`.
    thresholds : numpy.ndarray
        Float ``(T,)``, ascending.

    Returns
    -------
    best : numpy.ndarray
        Float64 ``(folds,)``.
    accuracies : numpy.ndarray
        Float64 ``(folds,)``.
    """
    folds = [slice(*pair) for pair in zip(bounds[:-1], bounds[1:])]
    correct = np.stack([_correct(distances[fold], issame[fold], thresholds) for fold in folds])
    others = correct.sum(axis=0) - correct if len(folds) > 1 else correct
    best = others.argmax(axis=1)
    return thresholds[best], correct[np.arange(len(folds)), best] / np.diff(bounds)


def _correct(distances, issame, thresholds):
    """Return, for each threshold, how many pairs ``distance < threshold`` judges rightly: int ``(T,)``."""
    same_below = np.searchsorted(np.sort(distances[issame]), thresholds, side="left")
    different_below = np.searchsorted(np.sort(distances[~issame]), thresholds, side="left")
    return same_below + (~issame).sum() - different_below


def tar_at_far(distances, issame, far):
    """Return the share of same pairs accepted where at most the share `far` of different ones is, or None.

    Notes
    -----
    None where one different pair is already more than `far`, or where there are no same pairs.
    """
    limit = threshold_at_far(distances, issame, far)
    return None if limit is None or not issame.any() else float(np.mean(distances[issame] < limit))


def threshold_at_far(distances, issame, far):
    """Return the squared distance below which a pair is taken for one person at a false accept rate.

    Parameters
    ----------
    distances : numpy.ndarray
        Float64 ``(P,)``, squared.
    issame : numpy.ndarray
        Bool ``(P,)``.
    far : float
        The share of different pairs that may be accepted.

    Returns
    -------
    float or None
        The distance of the different pair that would be one too many; None where one pair is already more than `far`.

    Examples
    --------
    >>> threshold_at_far(np.array([0.2, 1.5, 0.9, 1.8]), np.array([True, False, False, False]), 0.34)
    1.5
    """
    different = np.sort(distances[~issame])
    admitted = int(far * len(different) + 1e-9)
    if not admitted:
        return None
    return float(different[admitted]) if admitted < len(different) else np.inf


def roc_curve(distances, issame):
    """Return (false accept rates, true accept rates) over every threshold that tells two pairs apart.

    Returns
    -------
    tuple of numpy.ndarray or None
        Float64, ascending from 0 to 1; None for the rate of a kind of which there are no pairs.
    """
    levels = np.unique(distances)
    rates = [np.concatenate([[0.0], np.searchsorted(np.sort(kind), levels, side="right") / len(kind)])
             if len(kind) else None for kind in (distances[~issame], distances[issame])]
    return tuple(rates)


def area_under(false_accepts, true_accepts):
    """Return the area under a ROC curve by trapezoids; None where one of the rates is."""
    if false_accepts is None or true_accepts is None:
        return None
    return float((np.diff(false_accepts) * (true_accepts[1:] + true_accepts[:-1]) / 2).sum())


def _notes(issame, bounds):
    """Return what makes the accuracy doubtful."""
    notes = []
    same = np.add.reduceat(issame.astype(int), bounds[:-1])
    one_sided = np.flatnonzero((same == 0) | (same == np.diff(bounds)))
    if len(one_sided):
        listed = ", ".join(str(k + 1) for k in one_sided[:10]) + (" …" if len(one_sided) > 10 else "")
        notes.append(f"{len(one_sided)} of {len(same)} folds hold pairs of one kind only (fold {listed}): the accuracy "
                     "means little; mix same and different pairs in the list")
    if len(same) == 1:
        notes.append("with one fold the threshold is chosen on the pairs it is evaluated by")
    return tuple(notes)
