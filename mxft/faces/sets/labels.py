"""Which images of a set seem to carry a wrong label: far from the centre of their class. Arrays in, numbers out."""
from dataclasses import dataclass

import numpy as np

from mxft.errors import InputError
from mxft.faces.evaluation.identification import unit_rows
from mxft.faces.sets.centres import (
    centre_sums,
    core_of,
    directions,
    members_of,
    nearest_others,
    own_cosines,
    stranger_cosines,
    threshold_at,
)
from mxft.faces.sets.people import person_numbers, same_people

RIGHT, NEARER, FAR, SMALL, MIXED, UNREADABLE = range(6)
LEAST_IMAGES = 3         # of a class to judge it: of two that differ, nobody knows which is wrong
STRANGERS = 1e-3         # of strangers' images that reach the threshold of an image
USUAL_THRESHOLD = 0.4    # of an image where strangers are too few to measure one
OTHER_THRESHOLD = 0.55   # of an image with another's centre, likewise
_MOST_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class LabelResults:
    """What `judge_labels` found.

    Attributes
    ----------
    verdicts : numpy.ndarray
        Int8 ``(N,)``: RIGHT, NEARER (to another person's centre than to its own, and as near as strangers hardly are),
        FAR (below the threshold), SMALL (too few images in its class), MIXED (no more than half of its class agree, and
        fewer than `least` or as many on somebody else), UNREADABLE (no embedding).
    cosines : numpy.ndarray
        Float ``(N,)``: with the centre that the other images of its class make.
    others, other_cosines : numpy.ndarray
        Int and float32 ``(N,)``: the nearest class of another person, -1 where there is none.
    centres : numpy.ndarray
        Float64 ``(C, D)``, of length 1, without the images that go; zero where a class has none.
    twins : list of (int, int, float)
        Classes that seem to be one person, with the cosine of their centres.
    threshold, other_threshold : float
        Of the cosine with the own centre, below which an image is FAR, and of that with another's, from which on it may
        be NEARER.
    measured : bool
        Whether the threshold was measured on strangers of this set.
    """

    verdicts: np.ndarray
    cosines: np.ndarray
    others: np.ndarray
    other_cosines: np.ndarray
    centres: np.ndarray
    twins: list
    threshold: float
    other_threshold: float
    measured: bool

    @property
    def goes(self):
        """Bool ``(N,)``: NEARER, FAR or UNREADABLE."""
        return np.isin(self.verdicts, (NEARER, FAR, UNREADABLE))


def judge_labels(embeddings, labels, num_classes, threshold=None, strangers=STRANGERS, least=LEAST_IMAGES):
    """Judge the label of every image by its cosine with the centre of its class.

    Parameters
    ----------
    embeddings : numpy.ndarray
        Float ``(N, D)``, of any length; a row that is not finite is an image without one.
    labels : numpy.ndarray
        Int ``(N,)``, from 0 to `num_classes` - 1.
    num_classes : int
    threshold : float, optional
        Cosine below which an image is FAR. By default what a part `strangers` of the images reach with the centres of
        other classes of the set.
    strangers : float
    least : int
        Images of a class that is judged, 3 or more.

    Returns
    -------
    LabelResults

    Raises
    ------
    InputError
        A threshold, part or number out of range.

    Notes
    -----
    The centre of a class is found from the half of its images that agree best (`core_of`), and then from all that
    reach the threshold; an image is never part of the centre it is compared with. That an image is NEARER takes a
    cosine that only a part `strangers` of the images reach with the nearest of all other people: among thousands there
    is always somebody who looks alike. Two classes that seem to be one person (`twins`) are not compared with each
    other: an image may be nearer to the other half of its own person. A class whose images all show somebody else is
    not found.

    Examples
    --------
    >>> rows = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 1]])
    >>> judge_labels(rows, np.array([0, 0, 0, 0, 1, 1, 1]), 2).verdicts.tolist()   # the fourth is NEARER to the other
    [0, 0, 0, 1, 0, 0, 0]
    """
    if least < LEAST_IMAGES or not 0 < strangers < 1 or not -1 < (threshold or 0) < 1:
        raise InputError(f"labels cannot be judged: expected `least` of {LEAST_IMAGES} or more, `strangers` between 0 "
                         f"and 1, `threshold` between -1 and 1, received least={least} strangers={strangers:g} "
                         f"threshold={threshold}")
    rows = directions(embeddings)
    centres, cosines, limit, measured, other_limit = _clean(rows, labels, num_classes, threshold, strangers)
    there = rows.any(axis=1)
    counts = np.bincount(labels[there], minlength=num_classes)
    mixed = (counts >= least) & _mixed(rows, labels, cosines, limit, counts, least)
    twins = same_people(np.where(mixed[:, None], 0, centres))  # a mean of several people is near to each of them
    people = person_numbers(num_classes, twins.pairs)
    others, other_cosines = nearest_others(rows, people[labels], np.where(mixed[:, None], 0, centres), people)
    verdicts = _verdicts(cosines, other_cosines, limit, other_limit)
    verdicts[mixed[labels]] = MIXED
    verdicts[(counts < least)[labels]] = SMALL
    verdicts[~there] = UNREADABLE
    told = [(*pair, cosine) for pair, cosine in zip(twins.pairs, twins.cosines)]
    return LabelResults(verdicts, cosines, others, other_cosines, centres, told, limit, other_limit, measured)


def clean_centres(embeddings, labels, num_classes, threshold=None, strangers=STRANGERS):
    """Return the centre of each class without the images that do not reach the threshold, see `judge_labels`.

    Returns
    -------
    numpy.ndarray
        Float64 ``(C, D)``, of length 1; zero where a class has no image.
    float
        The threshold.

    Examples
    --------
    >>> clean_centres(np.array([[2.0, 0], [3.0, 0]]), np.array([0, 0]), 1)[0].tolist()
    [[1.0, 0.0]]
    """
    centres, _, limit, _, _ = _clean(directions(embeddings), labels, num_classes, threshold, strangers)
    return centres, limit


def _mixed(rows, labels, cosines, limit, counts, least):
    """Return the classes of which no majority agrees, and either fewer than `least` or as many on somebody else."""
    agree = np.bincount(labels[cosines >= limit], minlength=len(counts))
    mixed, members = 2 * agree <= counts, members_of(labels, len(counts))
    for label in np.flatnonzero(mixed & (agree >= least)):
        rest = rows[members[label][cosines[members[label]] < limit]]
        mixed[label] = (rest @ rest.T >= limit).sum(axis=1).max() >= agree[label]
    return mixed


def _verdicts(cosines, other_cosines, limit, other_limit):
    """Return RIGHT, NEARER or FAR of each image."""
    verdicts = np.where(cosines < limit, FAR, RIGHT).astype(np.int8)
    verdicts[(other_cosines > cosines) & (other_cosines >= other_limit)] = NEARER
    return verdicts


def _clean(rows, labels, num_classes, threshold, strangers):
    """Return centres, the images' cosines with their own, the threshold, whether it was measured, and the other's."""
    there = rows.any(axis=1)
    used = _cores(rows, members_of(labels, num_classes), there)
    centres = unit_rows(centre_sums(rows, labels, num_classes, used))
    apart = stranger_cosines(rows, labels, centres)
    measured, nearest = (threshold_at(apart, rate) for rate in (strangers, strangers / max(num_classes, 1)))
    limit = threshold if threshold is not None else USUAL_THRESHOLD if measured is None else measured
    cosines, sums = _settled(rows, labels, num_classes, used, there, limit)
    return (unit_rows(sums), cosines, limit, threshold is None and measured is not None,
            max(limit, OTHER_THRESHOLD if nearest is None else nearest))


def _cores(rows, members, there):
    """Return which images are in the core of their class, bool ``(N,)``."""
    used = np.zeros(len(rows), bool)
    for places in members:
        places = places[there[places]]
        if len(places):
            used[places[core_of(rows[places])]] = True
    return used


def _settled(rows, labels, num_classes, used, there, limit):
    """Return cosines, and the sums of the images the centres are made of, when no more join or leave."""
    for _ in range(_MOST_ROUNDS):
        sums = centre_sums(rows, labels, num_classes, used)
        cosines = own_cosines(rows, labels, sums, used)
        joined = there & (cosines >= limit)
        joined |= used & ~np.isin(labels, labels[joined])  # a class none of whose images agree keeps its core
        if (joined == used).all():
            break
        used = joined
    return cosines, sums
