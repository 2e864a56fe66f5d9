"""Heads without SGD for several labels or numbers an image: a logistic regression for each label, or ridge regression.

Both are scikit-learn's. As in `mxft.features.solvers` the penalty is chosen on a fifth of the images, features are
standardised for the fit, and that is folded into weight and bias.
"""
import time
import warnings

import numpy as np

from mxft.data.target_spec import MULTI_LABEL
from mxft.errors import InputError
from mxft.evaluation.multi_label import average_precisions, mean_of_defined
from mxft.features.solvers import PENALTIES, SolvedHead, rows_of, standardised
from mxft.options import SOLVERS_OF


def solve_target_head(features, labels, target, seed=0, images=None):
    """Fit a linear head to features, its penalty chosen on a split of them.

    Parameters
    ----------
    features : numpy.ndarray
        Float32 ``(N, D)``.
    labels : numpy.ndarray
        ``(N, K)``: 0 and 1, or numbers.
    target : mxft.data.target_spec.TargetSpec
        Of kind multi-label or regression.
    seed : int
        Of the split.
    images : numpy.ndarray, optional
        Int ``(N,)``, which image a row is a view of; each row is an image of its own when None.

    Returns
    -------
    SolvedHead
        ``features @ weight.T + bias`` are what enters the sigmoid, or the numbers themselves.

    Raises
    ------
    InputError
        A label that no image has, or every image.

    Notes
    -----
    The penalty is the one with the highest mean average precision, or the lowest squared error in standard deviations,
    on the split.

    Examples
    --------
    >>> from mxft.data.target_spec import TargetSpec
    >>> features = np.random.RandomState(0).normal(size=(200, 3)).astype(np.float32)
    >>> head = solve_target_head(features, features[:, :1] * 5 + 2, TargetSpec("regression", 1))
    >>> np.allclose(head.weight, [[5, 0, 0]], atol=0.1), np.allclose(head.bias, 2, atol=0.1)
    (True, True)
    """
    began, solver = time.perf_counter(), SOLVERS_OF[target.kind]
    features, labels = np.asarray(features, np.float32), np.asarray(labels, np.float64)
    labels = labels.reshape(len(labels), -1)
    if target.kind == MULTI_LABEL:
        require_both(labels, target)
    scaled, mean, spread = standardised(features)
    penalty = _chosen(scaled, labels, target, seed, np.arange(len(labels)) if images is None else np.asarray(images))
    weight, bias = _fit(scaled, labels, target, penalty)
    weight = weight / spread
    return SolvedHead(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), solver, penalty, None,
                      time.perf_counter() - began)


def require_both(labels, target):
    """Refuse (InputError) a multi-label `target` if all of the images, or none, have one of the `labels` ``(N, K)``."""
    for name, column in zip(target.output_names, labels.T):
        if column.min() == column.max():
            raise InputError(f"solver: expected images with and without each label, received {name!r} in "
                             f"{'all' if column.max() else 'none'} of {len(column)}; leave the label out, or train "
                             "without `solver`")


def _chosen(features, labels, target, seed, images):
    """Return the best of the solver's penalties."""
    penalties, names = PENALTIES[SOLVERS_OF[target.kind]], np.unique(images)
    if len(names) < 5:
        return penalties[len(penalties) // 2]
    order = np.random.RandomState(seed).permutation(names)
    judged, fitted = (rows_of(images, part) for part in np.split(order, [len(names) // 5]))
    if target.kind == MULTI_LABEL and (labels[fitted].min(axis=0) == labels[fitted].max(axis=0)).any():
        return penalties[len(penalties) // 2]
    found = []
    for penalty in penalties:
        weight, bias = _fit(features[fitted], labels[fitted], target, penalty)
        found.append(_goodness(features[judged] @ weight.T + bias, labels[judged], target, labels.std(axis=0)))
    return penalties[int(np.nanargmax(found))] if np.isfinite(found).any() else penalties[len(penalties) // 2]


def _goodness(scores, labels, target, deviation):
    if target.kind == MULTI_LABEL:
        return mean_of_defined(average_precisions(scores, labels))
    return -float(np.mean(((scores - labels) / deviation) ** 2))


def _fit(features, labels, target, penalty):
    """Return weight ``(K, D)`` and bias ``(K,)`` on standardised features."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if target.kind != MULTI_LABEL:
        model = Ridge(alpha=penalty).fit(features, labels)
        return np.atleast_2d(model.coef_), np.ravel(model.intercept_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # iterations are bounded on purpose: the split judges what they reach
        models = [LogisticRegression(C=penalty, tol=1e-5, max_iter=100).fit(features, column) for column in labels.T]
    return (np.concatenate([model.coef_ for model in models]),
            np.concatenate([model.intercept_ for model in models]))
