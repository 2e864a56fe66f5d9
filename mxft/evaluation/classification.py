"""Top-k accuracy, cross-entropy, confusion matrix and per-class recall from arrays of scores and labels."""
import numpy as np

from mxft.errors import RunError
from mxft.network.anatomy import Link


def flat_scores(scores):
    """Return scores as rows, ``(N, K)``: those of a network that ends in a map of one pixel are ``(N, K, 1, 1)``."""
    return np.asarray(scores).reshape(len(scores), -1)


def require_finite(scores):
    """Refuse (RunError) scores ``(N, K)`` of which one is NaN or infinite: they tell neither a class nor a loss."""
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        raise RunError(f"scores are not finite: received NaN or infinity for {int((~finite).sum())} of {len(scores)} "
                       "images; wrong mean or scale for this network, or damaged parameters?")


def softmax(logits):
    """Return softmax over the last axis, without overflow.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, classes)``.
    """
    return Link("softmax")(logits)


def top_k(scores, labels, k=1):
    """Return the fraction of rows whose label is among the `k` highest scores.

    Parameters
    ----------
    scores : numpy.ndarray
        Float ``(N, classes)``; logits or probabilities.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.
    k : int

    Notes
    -----
    A row of equal scores counts as hit only where fewer than `k` other classes score as high, so that a constant
    network does not look good.

    Examples
    --------
    >>> top_k(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    0.5
    """
    target = scores[np.arange(len(labels)), labels.astype(int)]
    higher = (scores >= target[:, None]).sum(axis=1) - 1
    return float(np.mean(higher < k))


def cross_entropy(logits, labels):
    """Return the mean of ``-log softmax(logits)[label]`` in nats.

    Parameters
    ----------
    logits : numpy.ndarray
        Float ``(N, classes)``.
    labels : numpy.ndarray
        Whole numbers ``(N,)``.
    """
    logits = logits.astype(np.float64)
    highest = logits.max(axis=1)
    log_sum = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(labels)), labels.astype(int)]))


def confusion_matrix(predicted, labels, num_classes):
    """Count ``[label, predicted]`` pairs.

    Returns
    -------
    numpy.ndarray
        Int64 ``(num_classes, num_classes)``, rows are true classes.
    """
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (labels.astype(int), predicted.astype(int)), 1)
    return counts


def per_class_recall(confusion):
    """Return the fraction found of each true class, NaN for a class without images.

    Parameters
    ----------
    confusion : numpy.ndarray
        ``(classes, classes)`` of `confusion_matrix`.
    """
    images = confusion.sum(axis=1)
    return np.divide(np.diag(confusion), images, out=np.full(len(images), np.nan), where=images > 0)


def class_report(confusion, names):
    """Return what a classifier does to each class, as rows of a table.

    Parameters
    ----------
    confusion : numpy.ndarray
        ``(classes, classes)`` of `confusion_matrix`.
    names : list of str

    Returns
    -------
    list of tuple
        Name, images, recall, precision, F1; None where it is not defined (no images, or never said).

    Examples
    --------
    >>> class_report(np.array([[3, 1], [0, 0]]), ["cat", "dog"])
    [('cat', 4, 0.75, 1.0, 0.8571428571428571), ('dog', 0, None, 0.0, 0.0)]
    """
    rows = []
    for number, name in enumerate(names):
        hits, images, said = (int(n) for n in (confusion[number, number], confusion[number].sum(),
                                               confusion[:, number].sum()))
        rows.append((name, images, hits / images if images else None, hits / said if said else None,
                     2 * hits / (images + said) if images + said else None))
    return rows


def surest_mistakes(probabilities, labels, count):
    """Return the numbers of the images told wrong, those with the least probability for the truth first.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Float ``(N, K)``.
    labels : numpy.ndarray
        ``(N,)``.
    count : int
        So many at most.

    Returns
    -------
    list of int

    Examples
    --------
    >>> surest_mistakes(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), np.array([0, 1, 0]), 5)
    [2, 1]
    """
    labels = np.asarray(labels).astype(int)
    own = probabilities[np.arange(len(labels)), labels]
    wrong = probabilities.argmax(axis=1) != labels
    return [int(i) for i in np.argsort(own, kind="stable") if wrong[i]][:count]
