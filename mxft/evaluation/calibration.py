"""Whether probabilities can be trusted: expected calibration error, reliability, and the temperature they need.

Temperature scaling and the error's 15 bins are Guo et al.'s (arXiv:1706.04599). So that few images cannot make a
network certain, the target of N judged images is not 1 but the ``(N + 1) / (N + 2)`` of Laplace's rule of succession,
as in Platt's scaling.
"""
import dataclasses

import numpy as np

from mxft.evaluation.classification import cross_entropy, softmax
from mxft.network.calibration import Calibration

FACTORS = np.geomspace(1 / 64, 256, 225)  # what scores may be multiplied by: one over the temperature
BINS = 15
_AT_ONCE = 1 << 22  # numbers of which the exponentials are held


def doubt_of(images):
    """Return the probability that is left to the other classes, as Laplace's rule of succession has it."""
    return 1 / (images + 2)


def best_factor(scores, labels, doubt):
    """Return what to multiply scores by for the lowest cross-entropy of their softmax, and that cross-entropy.

    Parameters
    ----------
    scores : numpy.ndarray
        Float ``(N, classes)``.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.
    doubt : float
        Spread evenly over the classes that are not the label.

    Returns
    -------
    factor : float
        One of `FACTORS`.
    loss : float
        In nats.

    Examples
    --------
    >>> scores = np.array([[4.0, 0.0]] * 3 + [[0.0, 4.0]])   # certain, and wrong in one of four
    >>> factor, _ = best_factor(scores, np.zeros(4), 0.0)
    >>> float(softmax(scores * factor)[0, 0].round(2))
    0.75
    """
    losses, first, last = _Losses(scores, labels, doubt), 0, len(FACTORS) - 1
    while first < last:  # the cross-entropy is convex in the factor
        middle = (first + last) // 2
        if losses.at(FACTORS[middle]) <= losses.at(FACTORS[middle + 1]):
            last = middle
        else:
            first = middle + 1
    return float(FACTORS[first]), losses.at(FACTORS[first])


class _Losses:
    """The cross-entropy of scores times a factor."""

    def __init__(self, scores, labels, doubt):
        rows, labels = np.arange(len(labels)), np.asarray(labels).astype(int)
        self._scores = scores = scores - scores.max(axis=1, keepdims=True)
        own, classes = scores[rows, labels].astype(np.float64), scores.shape[1]
        others = (scores.sum(axis=1, dtype=np.float64) - own) / max(1, classes - 1)
        self._target = float(((1 - doubt) * own + doubt * others).mean())
        self._rows = max(1, _AT_ONCE // classes)

    def at(self, factor):
        """Return the cross-entropy in nats."""
        parts = [np.log(np.exp(self._scores[begin:begin + self._rows] * np.float32(factor)).sum(axis=1)).sum(
            dtype=np.float64) for begin in range(0, len(self._scores), self._rows)]
        return float(sum(parts) / len(self._scores) - factor * self._target)


def fitted_temperature(logits, labels):
    """Return the temperature with which these logits have the lowest cross-entropy, under Laplace's doubt.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, classes)``, of images the network has not seen.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.

    Returns
    -------
    float
        What the logits are to be divided by.
    """
    return 1 / best_factor(logits, labels, doubt_of(len(labels)))[0]


def cross_fitted(logits, labels):
    """Return logits divided by a temperature they had no part in: each half by that of the other.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, classes)``; a single row is returned as it is.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.

    Returns
    -------
    numpy.ndarray
        Float ``(N, classes)``. The halves are the same each time.
    """
    if len(labels) < 2:
        return logits
    order, divided = np.random.RandomState(0).permutation(len(labels)), np.empty_like(logits)
    halves = np.array_split(order, 2)
    for judged, fitted in (halves, halves[::-1]):
        divided[judged] = logits[judged] / np.float32(fitted_temperature(logits[fitted], labels[fitted]))
    return divided


def calibrate(logits, labels):
    """Return the Calibration of a network by its logits of validation images.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, classes)``, as the network's own softmax takes them.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.

    Returns
    -------
    mxft.network.calibration.Calibration
        Its temperature is fitted on all of the images; what it brings is judged by `cross_fitted`.
    """
    divided = cross_fitted(logits, labels)
    temperature = fitted_temperature(logits, labels) if len(labels) > 1 else 1.0
    return Calibration(temperature, len(labels), cross_entropy(logits, labels),
                       expected_calibration_error(softmax(logits), labels), cross_entropy(divided, labels),
                       expected_calibration_error(softmax(divided), labels))


@dataclasses.dataclass(frozen=True)
class Bin:
    """Images of about the same confidence.

    Parameters
    ----------
    images : int
    confidence : float
        Mean probability of the class that was said.
    right : float
        Part of them that are of that class.
    """

    images: int
    confidence: float
    right: float


def reliability(probabilities, labels, bins=BINS):
    """Return how often what is said with a certain confidence is right.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Float ``(N, classes)``.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.
    bins : int
        Of equal width, from 0 to 1.

    Returns
    -------
    list of Bin
        Those that have images, the lowest confidence first.

    Examples
    --------
    >>> reliability(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), np.array([0, 1, 1]), bins=10)
    [Bin(images=1, confidence=0.6, right=1.0), Bin(images=2, confidence=0.9, right=0.5)]
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == np.asarray(labels).astype(int)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [Bin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
            for inside in (place == number for number in range(bins)) if inside.any()]


def expected_calibration_error(probabilities, labels, bins=BINS):
    """Return how far confidence is from the part that is right, in the mean over images.

    Parameters
    ----------
    probabilities, labels, bins
        As `reliability` takes them.

    Returns
    -------
    float
        From 0 to 1. Of few images it is too high by chance: of 48 images that are perfectly calibrated about 0.1.

    Examples
    --------
    >>> round(expected_calibration_error(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), np.array([0, 1, 1])), 4)
    0.4
    """
    return sum(one.images * abs(one.confidence - one.right) for one in reliability(probabilities, labels, bins)) / max(
        1, len(labels))
