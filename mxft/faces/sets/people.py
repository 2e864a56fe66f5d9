"""Which classes of one or two sets are the same person: by their centres, and by their names. Arrays in, pairs out."""
import re
from dataclasses import dataclass

import numpy as np

from mxft.faces.sets.centres import centre_cosines, threshold_at

USUAL_THRESHOLD = 0.55   # cosine of two centres where people are too few to measure one
FALSE_PAIRS = 1.0        # pairs of different people expected above a measured threshold, of all that are compared
_BLOCK = 1 << 24         # cosines held at a time


@dataclass(frozen=True)
class SamePeople:
    """What `same_people` found.

    Attributes
    ----------
    pairs : list of (int, int)
        Classes of the first and of the second set; of one set each pair once, the lower first.
    cosines : list of float
        Of their centres.
    threshold : float
    measured : bool
        Whether the threshold was measured on the people of the sets.
    """

    pairs: list
    cosines: list
    threshold: float
    measured: bool


def same_people(centres, others=None, threshold=None, false_pairs=FALSE_PAIRS):
    """Find the classes of two sets, or of one, whose centres are as near as only one person's are.

    Parameters
    ----------
    centres : numpy.ndarray
        Float ``(A, D)``, of length 1; a class without images has zeros.
    others : numpy.ndarray, optional
        Float ``(B, D)``, of the other set; the same set when None.
    threshold : float, optional
        Least cosine. Measured when None.
    false_pairs : float
        How many pairs of different people may reach a measured threshold, of all A·B that are compared.

    Returns
    -------
    SamePeople

    Notes
    -----
    The threshold is measured on pairs of classes within each set, which are different people but for a few: it is the
    cosine they would reach at a rate of false_pairs / (A·B), see `mxft.faces.sets.centres.threshold_at`; higher for
    more people. With fewer than 500 such pairs (32 people in a set) it is `USUAL_THRESHOLD`. Centres of one image each
    differ more than those of several: see recipes/face_sets.md for how many are found.

    Examples
    --------
    >>> same_people(np.eye(3), np.eye(3)[[2, 0]], threshold=0.5).pairs
    [(0, 1), (2, 0)]
    """
    sets = (centres,) if others is None else (centres, others)
    compared = len(centres) * (len(centres) - 1) / 2 if others is None else len(centres) * len(others)
    measured = threshold_at(np.sort(np.concatenate([centre_cosines(each) for each in sets])),
                            min(false_pairs / max(compared, 2), 0.5)) if threshold is None else None
    limit = threshold if threshold is not None else USUAL_THRESHOLD if measured is None else measured
    first, second, cosines = _above(centres, centres if others is None else others, limit, others is None)
    return SamePeople(list(zip(first.tolist(), second.tolist())), cosines.tolist(), limit, measured is not None)


def _above(centres, others, limit, one_set):
    """Return the pairs of rows whose cosine reaches `limit`, and the cosines; of one set each pair once."""
    centres, others = centres.astype(np.float32), others.astype(np.float32)
    found, step = [], max(1, _BLOCK // max(1, len(others)))
    for start in range(0, len(centres), step):
        cosines = centres[start:start + step] @ others.T
        cosines[~centres[start:start + step].any(axis=1)] = -2
        cosines[:, ~others.any(axis=1)] = -2
        first, second = np.nonzero(cosines >= limit)
        kept = second > first + start if one_set else slice(None)
        found.append((first[kept] + start, second[kept], cosines[first, second][kept]))
    return tuple(np.concatenate(column) for column in zip(*found)) if found else (np.zeros(0, int),) * 3


def person_numbers(num_classes, pairs):
    """Return the number of the person of each class, int ``(C,)``: classes that pairs connect have one.

    Examples
    --------
    >>> person_numbers(4, [(0, 2), (2, 3)]).tolist()
    [0, 1, 0, 0]
    """
    people = list(range(num_classes))

    def root(number):
        while people[number] != number:
            people[number] = people[people[number]]
            number = people[number]
        return number

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        people[high] = low
    return np.array([root(number) for number in range(num_classes)], int)


def same_names(names, others):
    """Return the pairs of names that say the same, whatever their case, blanks, ``_``, ``-`` and ``.``.

    Examples
    --------
    >>> same_names(["Ada_Lovelace", "Bob"], ["bob", "Ada Lovelace"])
    [(0, 1), (1, 0)]
    """
    places = {}
    for number, name in enumerate(others):
        places.setdefault(plain_name(name), []).append(number)
    return [(number, other) for number, name in enumerate(names) for other in places.get(plain_name(name), ())]


def plain_name(name):
    """Return a name in lower case with single blanks."""
    return re.sub(r"[\s_.-]+", " ", name).strip().casefold()
