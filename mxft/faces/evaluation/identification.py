"""Closed-set identification: is a face nearest to the centre of its own identity? Arrays in, numbers out."""
import numpy as np

from mxft.errors import InputError


def class_centres(embeddings, labels, num_classes):
    """Return each class's mean direction.

    Parameters
    ----------
    embeddings : numpy.ndarray
        Float32 ``(N, D)``, of any length.
    labels : numpy.ndarray
        Integer ``(N,)``, from 0 to `num_classes` - 1.
    num_classes : int

    Returns
    -------
    centres : numpy.ndarray
        Float32 ``(num_classes, D)``: embeddings normalised, averaged, and normalised again; zero where a class has no
        image.
    counts : numpy.ndarray
        Int64 ``(num_classes,)``, images of each class.

    Examples
    --------
    >>> class_centres(np.array([[2.0, 0], [0, 3.0]]), np.array([0, 0]), 1)[0].astype(float).round(3).tolist()
    [[0.707, 0.707]]
    """
    sums = np.zeros((num_classes, embeddings.shape[1]), np.float64)
    np.add.at(sums, labels, unit_rows(embeddings))
    return unit_rows(sums).astype(np.float32), np.bincount(labels, minlength=num_classes)


def nearest_centre_top1(embeddings, labels, centres):
    """Return the fraction of embeddings whose nearest class centre, by cosine, is their own.

    Parameters
    ----------
    embeddings : numpy.ndarray
        Float32 ``(N, D)``.
    labels : numpy.ndarray
        Integer ``(N,)``.
    centres : numpy.ndarray
        Float32 ``(C, D)`` of unit length or zero, from `class_centres` of other images.

    Returns
    -------
    float

    Raises
    ------
    InputError
        There is nothing to identify.
    """
    if not len(embeddings):
        raise InputError("identification: expected at least one embedding, received none")
    nearest = (unit_rows(embeddings) @ centres.T).argmax(axis=1)
    return float((nearest == labels).mean())


def unit_rows(rows):
    """Return rows ``(N, D)`` at length 1; a row shorter than 1e-12, the rest of a sum that cancels, stays near zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
