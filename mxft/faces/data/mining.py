"""Triplets among embedded images: for each pair of an identity a negative that is farther, but not by the margin.

Follows ``pick_triplets`` of insightface's triplet_image_iter.py, the semi-hard negatives of FaceNet (arXiv:1503.03832,
section 3.2).
"""
import numpy as np

from mxft.faces.evaluation.identification import unit_rows


def mine_triplets(embeddings, labels, distances, alpha, max_positive=0.0, random=None):
    """Find the semi-hard triplets of a bag.

    Parameters
    ----------
    embeddings : numpy.ndarray
        Float ``(N, D)``, of any length.
    labels : numpy.ndarray
        Integer ``(N,)``, identities.
    distances : callable
        Makes distances of cosines, such as `mxft.heads.triplet.Triplet.distances`.
    alpha : float
        Margin, in those distances.
    max_positive : float
        Pairs of an identity farther apart make no triplet; 0 for no limit.
    random : numpy.random.Generator, optional
        Draws the negatives, and the order of the triplets; one of seed 0 when None.

    Returns
    -------
    triplets : numpy.ndarray
        Int64 ``(T, 3)``: rows of anchor, positive and negative.
    pairs : int
        Pairs of one identity there were, each once: what has no semi-hard negative makes no triplet.

    Notes
    -----
    Every pair of an identity is taken once, its earlier image as the anchor. A negative is semi-hard if
    ``d(a, p) < d(a, n) < d(a, p) + alpha``: farther than the positive, with a loss all the same. One of them is drawn
    for each pair. Harder ones, nearer than the positive, are left out, as upstream does: they are often wrong labels,
    and let the embedding collapse early. Memory is the images of one identity times N distances.

    Examples
    --------
    >>> rows = np.array([[1, 0], [0.9, 0.1], [0.8, 0.4], [-1, 0]])
    >>> mine_triplets(rows, np.array([0, 0, 1, 1]), lambda cosines: 2 - 2 * cosines, 0.3)[0].tolist()
    [[0, 1, 2]]
    """
    random = random or np.random.default_rng(0)
    units, found, pairs = unit_rows(np.asarray(embeddings, np.float64)), [], 0
    for identity in np.unique(labels):
        own, others = np.flatnonzero(labels == identity), np.flatnonzero(labels != identity)
        apart = distances(units[own] @ units.T)          # (images of the identity, N)
        pairs += len(own) * (len(own) - 1) // 2
        for row, (anchor, to_others) in enumerate(zip(own[:-1], apart[:, others])):
            positives = own[row + 1:]
            limits = apart[row, positives][:, None]
            semi_hard = (to_others > limits) & (to_others < limits + alpha)     # (positives, others)
            if max_positive:
                semi_hard &= limits <= max_positive
            for positive, negatives in zip(positives, semi_hard):
                if negatives.any():
                    found.append((anchor, positive, random.choice(others[negatives])))
    return random.permutation(np.array(found, np.int64).reshape(-1, 3)), pairs
