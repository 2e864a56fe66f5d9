"""Triplets and their losses in plain loops and float64, from FaceNet (arXiv:1503.03832, Eq. 2 and section 3.2)."""
import math

import numpy as np


def squared(a, b):
    """|a - b|² of unit vectors."""
    return sum((x - y) ** 2 for x, y in zip(a, b))


def angle(a, b):
    """The angle of unit vectors in radians."""
    return math.acos(max(-1.0, min(1.0, sum(x * y for x, y in zip(a, b)))))


def unit(rows):
    """Rows at length 1."""
    return np.array([row / math.sqrt(sum(x * x for x in row)) for row in np.asarray(rows, np.float64)])


def loss(embedding, alpha, distance):
    """Return each triplet's loss and distances; rows are all anchors, then all positives, then all negatives."""
    rows, T = unit(embedding), len(embedding) // 3
    positive = [distance(rows[t], rows[T + t]) for t in range(T)]
    negative = [distance(rows[t], rows[2 * T + t]) for t in range(T)]
    return [max(0.0, p - n + alpha) for p, n in zip(positive, negative)], positive, negative


def candidates(embeddings, labels, alpha, distance, max_positive=0.0):
    """Return {(anchor, positive): set of its semi-hard negatives} of every pair of an identity, the earlier first."""
    rows, found = unit(embeddings), {}
    for a in range(len(rows)):
        for p in range(a + 1, len(rows)):
            if labels[a] != labels[p]:
                continue
            limit = distance(rows[a], rows[p])
            found[a, p] = set()
            if max_positive and limit > max_positive:
                continue
            for n in range(len(rows)):
                if labels[n] != labels[a] and limit < distance(rows[a], rows[n]) < limit + alpha:
                    found[a, p].add(n)
    return found
