"""Which of a class's sub-centres its images gather at, and how far each image is from it: arrays in, numbers out.

Follows ``drop.py`` of insightface's recognition/subcenter_arcface (Deng et al., ECCV 2020, section 3.4).
"""
import numpy as np

from mxft.faces.evaluation.identification import unit_rows


def angles_to_dominant(embeddings, labels, centres):
    """Return every image's angle to the dominant sub-centre of its class.

    Parameters
    ----------
    embeddings : numpy.ndarray
        Float ``(N, D)``, of any length: all images of their classes.
    labels : numpy.ndarray
        Integer ``(N,)``, from 0 to C - 1.
    centres : numpy.ndarray
        Float ``(C, K, D)``, of any length.

    Returns
    -------
    angles : numpy.ndarray
        Float64 ``(N,)``, degrees.
    dominant : numpy.ndarray
        Int64 ``(C,)``: the sub-centre that is the nearest of most images of the class; between equals the first. 0 of
        a class without images.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]])
    >>> angles, dominant = angles_to_dominant(rows, np.array([0, 0, 0]), np.array([[[0.0, 1.0], [1.0, 0.0]]]))
    >>> angles.round().tolist(), dominant.tolist()
    ([6.0, 6.0, 90.0], [1])
    """
    centres = centres / np.maximum(np.linalg.norm(centres, axis=2, keepdims=True), 1e-12)
    cosines = np.einsum("nd,nkd->nk", unit_rows(embeddings.astype(np.float64)), centres[labels].astype(np.float64))
    votes = np.zeros(centres.shape[:2], np.int64)
    np.add.at(votes, (labels, cosines.argmax(axis=1)), 1)
    dominant = votes.argmax(axis=1)
    own = cosines[np.arange(len(labels)), dominant[labels]]
    return np.degrees(np.arccos(np.clip(own, -1, 1))), dominant
