"""Multinomial logistic regression in float32 by limited-memory BFGS, a block of rows at a time.

The optimum is that of scikit-learn's ``LogisticRegression(C=penalty)``, whose coefficients are float64, and which turns
the features into that at every step: on 3,072 rows of 1,280 features and 256 classes a step took it 80 ms on two cores,
where it takes 20 here. The recursion is Nocedal and Wright's (Numerical Optimization, algorithm 7.4).
"""
import collections

import numpy as np

TOLERANCE = 1e-5      # of the loss: the step that gains less is the last
STEPS = 60            # at most: images that are held out judge what they reach
_PAIRS = 10           # of differences that are kept
_AT_ONCE = 1 << 23    # scores held at a time, 32 MB
_ARMIJO, _SHORTEST = 1e-4, 1e-3  # sufficient decrease, and the shortest step tried

_Pair = collections.namedtuple("_Pair", ["step", "change", "rho"])


def fit_logistic(features, labels, num_classes, penalty, weights=None, start=None, tolerance=TOLERANCE, steps=STEPS):
    """Return weight and bias with the lowest cross-entropy, summed over the rows, plus ``|weight|² / (2 penalty)``.

    Parameters
    ----------
    features : numpy.ndarray
        Float32 ``(N, D)``, centred, rows of a length about 1: see `mxft.features.solvers.standardised`.
    labels : numpy.ndarray
        Int ``(N,)``.
    num_classes : int
    penalty : float
        scikit-learn's C: a larger one penalises less.
    weights : numpy.ndarray, optional
        Float ``(N,)``, what each row counts; 1 when None.
    start : tuple of numpy.ndarray, optional
        Weight and bias to begin at; zeros when None.
    tolerance : float
        Part of the loss that a step has to gain for another to be taken.
    steps : int
        So many at most.

    Returns
    -------
    weight : numpy.ndarray
        Float32 ``(C, D)``.
    bias : numpy.ndarray
        Float32 ``(C,)``, which is not penalised.

    Notes
    -----
    Beside the features it holds some 25 arrays of the weight's size and a block of scores, however many rows there are.
    The weights of two classes are penalised as scikit-learn penalises its one boundary, their difference.

    Examples
    --------
    >>> features = np.float32([[-1.0], [-0.5], [0.5], [1.0]])
    >>> weight, bias = fit_logistic(features, np.array([0, 0, 1, 1]), 2, penalty=10)
    >>> (features @ weight.T + bias).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    features, share = np.asarray(features, np.float32), (2 if num_classes == 2 else 1) / penalty
    curvature = share + 10 / num_classes  # about, in a direction of the weight
    rows = len(labels) if weights is None else float(np.sum(weights))
    unit = np.float32(np.sqrt(curvature * num_classes / max(rows, 1e-9)))  # of the bias, to have that curvature too
    objective = _CrossEntropy(features, np.asarray(labels), num_classes, share, unit, weights)
    point = np.zeros((features.shape[1] + 1, num_classes), np.float32)
    if start is not None:
        point[:-1], point[-1] = np.transpose(start[0]), start[1] / unit
    found = minimise(objective, point, 1 / curvature, tolerance, steps)
    return np.ascontiguousarray(found[:-1].T), found[-1] * unit


class _CrossEntropy:
    """The penalised cross-entropy of ``features @ point[:-1] + unit * point[-1]``, and its gradient."""

    def __init__(self, features, labels, num_classes, share, unit, weights):
        self._features, self._labels, self._share, self._unit = features, labels, share, unit
        self._weights = None if weights is None else np.asarray(weights, np.float32)
        self._block = np.empty((min(len(features), max(1, _AT_ONCE // num_classes)), num_classes), np.float32)

    def __call__(self, point):
        """Return the loss, a float, and the gradient, float32 of the point's shape."""
        weight, gradient = point[:-1], np.zeros_like(point)
        loss = 0.5 * self._share * float(np.vdot(weight, weight))
        for begin in range(0, len(self._features), len(self._block)):
            rows = self._features[begin:begin + len(self._block)]
            part, errors = self._errors(rows, begin, point)
            loss += part
            gradient[:-1] += rows.T @ errors
            gradient[-1] += errors.sum(axis=0)
        gradient[:-1] += np.float32(self._share) * weight
        gradient[-1] *= self._unit
        return loss, gradient

    def _errors(self, rows, begin, point):
        """Return the loss of some rows, and their probabilities less the labels', ``(n, C)``."""
        scores, numbers = self._block[:len(rows)], np.arange(len(rows))
        labels = self._labels[begin:begin + len(rows)]
        np.dot(rows, point[:-1], out=scores)
        scores += self._unit * point[-1]
        scores -= scores.max(axis=1, keepdims=True)
        own = scores[numbers, labels].astype(np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0].astype(np.float64)) - own
        scores /= sums
        scores[numbers, labels] -= 1
        if self._weights is None:
            return float(losses.sum()), scores
        weights = self._weights[begin:begin + len(rows)]
        scores *= weights[:, None]
        return float(losses @ weights), scores


def minimise(objective, point, scale, tolerance=TOLERANCE, steps=STEPS):
    """Return where a smooth convex function of many variables is lowest, by limited-memory BFGS.

    Parameters
    ----------
    objective : callable
        ``point -> (loss, gradient)``.
    point : numpy.ndarray
        Float32, to begin at.
    scale : float
        What the first gradient is multiplied by for the first step: one over the curvature, about.
    tolerance, steps
        As of `fit_logistic`.

    Returns
    -------
    numpy.ndarray
        Float32.

    Notes
    -----
    SciPy's keeps everything in float64 and begins with a step of length 1, whatever the scale: on the function above
    that is five evaluations in twenty, and as long again for its own arithmetic.

    Examples
    --------
    >>> minimise(lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)), np.zeros(2, np.float32), 0.3).round(2).tolist()
    [3.0, 3.0]
    """
    (loss, gradient), pairs = objective(point), collections.deque(maxlen=_PAIRS)
    for _ in range(steps):
        direction = _direction(gradient, pairs, scale)
        slope = float(np.vdot(gradient, direction))
        found = _line_search(objective, point, direction, loss, slope) if slope < 0 else None
        if found is None:  # float32 ends here
            break
        step, after, changed = found
        change = changed - gradient
        curvature = float(np.vdot(step, change))
        if curvature > 0:
            pairs.append(_Pair(step, change, 1 / curvature))
        gained, loss, gradient, point = loss - after, after, changed, point + step
        if gained <= tolerance * abs(loss):
            break
    return point


def _direction(gradient, pairs, scale):
    """Return the quasi-Newton direction: minus the inverse Hessian that the pairs describe, times the gradient."""
    direction, factors = -gradient, []
    for pair in reversed(pairs):
        factors.append(pair.rho * float(np.vdot(pair.step, direction)))
        direction -= np.float32(factors[-1]) * pair.change
    if pairs:
        scale = 1 / (pairs[-1].rho * float(np.vdot(pairs[-1].change, pairs[-1].change)))
    direction *= np.float32(scale)
    for pair, factor in zip(pairs, reversed(factors)):
        direction += np.float32(factor - pair.rho * float(np.vdot(pair.change, direction))) * pair.step
    return direction


def _line_search(objective, point, direction, loss, slope):
    """Return a step that lowers the loss as its slope promises, with loss and gradient after it; None without one."""
    length = 1.0
    while length >= _SHORTEST:
        step = np.float32(length) * direction
        after, gradient = objective(point + step)
        if after <= loss + _ARMIJO * length * slope:
            return step, after, gradient
        excess = after - loss - length * slope  # above 0: the parabola through both has its lowest point here
        length *= min(0.5, max(0.1, -length * slope / (2 * excess))) if np.isfinite(excess) else 0.1
    return None
