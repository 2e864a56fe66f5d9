"""Class centres that wrong labels do not move, and the cosines that strangers reach. Arrays in, numbers out."""
import numpy as np

from mxft.faces.evaluation.identification import unit_rows

MOST_STEPS = 10         # of concentration; three or four are usual
LEAST_PAIRS = 500       # cosines of strangers a threshold can be measured on
_TAIL = 50              # largest cosines the tail is fitted to, at least
_TAIL_PART = 2e-3       # and at least this part of them
_TRIMMED_MEAN = 1 - 0.1 / 0.9 * float(np.log(10))  # of the lower nine tenths of an exponential of scale 1
_SAMPLE = 1 << 22       # cosines of strangers looked at
_BLOCK = 1 << 24        # cosines held at a time


def members_of(labels, num_classes):
    """Return the positions of each class's images, a list of int arrays.

    Examples
    --------
    >>> [places.tolist() for places in members_of(np.array([1, 0, 1]), 2)]
    [[1], [0, 2]]
    """
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels, minlength=num_classes))[:-1])


def core_of(rows):
    """Return which images of one class agree best: more than half of them, the nearest to their own common centre.

    Parameters
    ----------
    rows : numpy.ndarray
        Float ``(n, D)``, of length 1.

    Returns
    -------
    numpy.ndarray
        Int ``(n // 2 + 1,)``, ascending.

    Notes
    -----
    Begins at the mean of all and takes the nearest half again and again, until it stays: the concentration steps of
    Rousseeuw and Van Driessen, "A Fast Algorithm for the Minimum Covariance Determinant Estimator" (1999). Images of
    other people do not move the centre while they are fewer than half. Of a class that is two people by halves, one of
    them is found.

    Examples
    --------
    >>> core_of(np.array([[1.0, 0], [0.8, 0.6], [-1, 0]])).tolist()
    [0, 1]
    """
    count = len(rows) // 2 + 1
    core = np.arange(len(rows))
    for _ in range(MOST_STEPS):
        nearest = np.sort(np.argsort(-(rows @ rows[core].sum(axis=0)), kind="stable")[:count])
        if len(core) == len(nearest) and (core == nearest).all():
            break
        core = nearest
    return core


def centre_sums(rows, labels, num_classes, used):
    """Return the sum of the rows of each class that are `used`, float64 ``(C, D)``."""
    sums = np.zeros((num_classes, rows.shape[1]))
    for part in _parts(rows):
        np.add.at(sums, labels[part][used[part]], rows[part][used[part]])
    return sums


def _parts(rows):
    """Yield slices of `rows`, so that no second copy of all is held."""
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    yield from (slice(start, start + step) for start in range(0, len(rows), step))


def own_cosines(rows, labels, sums, used):
    """Return the cosine of each image with the centre that the other images of its class make.

    Parameters
    ----------
    rows : numpy.ndarray
        Float ``(N, D)``, of length 1.
    labels : numpy.ndarray
        Int ``(N,)``.
    sums : numpy.ndarray
        Float64 ``(C, D)``, of `centre_sums`.
    used : numpy.ndarray
        Bool ``(N,)``: which images are in them, and are taken out of their own centre again: with 3 images in a
        class a stranger's own share alone gives a cosine of some 0.6.

    Returns
    -------
    numpy.ndarray
        Float64 ``(N,)``; 0 where no other image is left.

    Examples
    --------
    >>> rows, labels, used = np.eye(2), np.array([0, 0]), np.array([True, True])
    >>> own_cosines(rows, labels, centre_sums(rows, labels, 1, used), used).tolist()
    [0.0, 0.0]
    """
    dots = np.concatenate([np.einsum("nd,nd->n", rows[part], sums[labels[part]]) for part in _parts(rows)])
    lengths = np.einsum("cd,cd->c", sums, sums)[labels]
    dots, lengths = dots - used, lengths - np.where(used, 2 * dots - 1, 0)
    return np.where(lengths > 1e-9, dots / np.sqrt(np.maximum(lengths, 1e-9)), 0)


def nearest_others(rows, people, centres, centre_people):
    """Return the nearest centre of another person for each image, and the cosine.

    Parameters
    ----------
    rows : numpy.ndarray
        Float ``(N, D)``, of length 1.
    people : numpy.ndarray
        Int ``(N,)``: who each image is said to show.
    centres : numpy.ndarray
        Float ``(C, D)``, of length 1 or zero.
    centre_people : numpy.ndarray
        Int ``(C,)``: two centres of one person have one number.

    Returns
    -------
    places : numpy.ndarray
        Int ``(N,)``, -1 where there is no other person.
    cosines : numpy.ndarray
        Float32 ``(N,)``, -1 there.

    Examples
    --------
    >>> nearest_others(np.array([[0.6, 0.8]]), np.array([0]), np.eye(2), np.array([0, 1]))[0].tolist()
    [1]
    """
    rows, centres = np.asarray(rows, np.float32), np.asarray(centres, np.float32)
    places, found = np.full(len(rows), -1), np.full(len(rows), -1, np.float32)
    step = max(1, _BLOCK // max(1, len(centres)))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        cosines = rows[part] @ centres.T
        cosines[people[part, None] == centre_people[None]] = -2
        nearest = cosines.argmax(axis=1)
        best = cosines[np.arange(len(nearest)), nearest]
        places[part], found[part] = np.where(best > -2, nearest, -1), np.maximum(best, -1)
    return places, found


def stranger_cosines(rows, labels, centres, seed=0):
    """Return cosines of images with the centres of other classes: all, or 4 million chosen by a seed.

    Parameters
    ----------
    rows : numpy.ndarray
        Float ``(N, D)``, of length 1.
    labels : numpy.ndarray
        Int ``(N,)``.
    centres : numpy.ndarray
        Float ``(C, D)``; a centre of zeros is left out.
    seed : int

    Returns
    -------
    numpy.ndarray
        Float32, ascending.

    Notes
    -----
    Images that are nearer to another class than to their own are left out, since they may be no strangers there; and
    rows of zeros.
    """
    there = np.flatnonzero(centres.any(axis=1))
    if len(there) < 2 or not len(rows):
        return np.zeros(0, np.float32)
    most = max(1, _SAMPLE // len(there))
    if len(rows) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
        rows, labels = rows[chosen], labels[chosen]
    cosines = rows.astype(np.float32) @ centres[there].astype(np.float32).T
    own = labels[:, None] == there[None]
    apart = np.where(own, -2, cosines).max(axis=1) < np.where(own, cosines, -2).max(axis=1)
    return np.sort(cosines[apart[:, None] & ~own])


def centre_cosines(centres, seed=0):
    """Return the cosines between the centres of different classes: all, or 4 million chosen by a seed; ascending."""
    centres = centres[centres.any(axis=1)].astype(np.float32)
    most = int(np.sqrt(_SAMPLE))
    if len(centres) > most:
        centres = centres[np.sort(np.random.default_rng(seed).choice(len(centres), most, replace=False))]
    return np.sort((centres @ centres.T)[np.triu_indices(len(centres), 1)])


def threshold_at(cosines, rate):
    """Return the cosine that strangers reach at a rate.

    Parameters
    ----------
    cosines : numpy.ndarray
        Float ``(n,)``, of strangers, ascending.
    rate : float
        Above 0, below 1.

    Returns
    -------
    float or None
        None of fewer than `LEAST_PAIRS` cosines.

    Notes
    -----
    The quantile, where at least 50 cosines lie beyond it. Rarer cosines are extrapolated from the largest 0.2 % (at
    least 50): beyond a high threshold, cosines of strangers fall off like an exponential, whose scale is the mean
    excess, without the largest tenth, since a few pairs may be no strangers. (Pickands, "Statistical Inference Using
    Extreme Order Statistics", 1975, with shape 0.)

    Examples
    --------
    >>> round(threshold_at(np.arange(1000) / 1000, 0.1), 2)
    0.9
    """
    count = len(cosines)
    if count < LEAST_PAIRS:
        return None
    if rate * count >= _TAIL:
        return float(np.quantile(cosines, 1 - rate))
    beyond = max(_TAIL, int(_TAIL_PART * count))
    begin, trusted = cosines[-beyond - 1], cosines[-beyond:count - beyond // 10]
    scale = (trusted.mean() - begin) / _TRIMMED_MEAN
    return float(min(begin + scale * np.log(beyond / count / rate), 1))


def directions(embeddings):
    """Return embeddings ``(N, D)`` at length 1, float32; a row that is not finite becomes one of zeros."""
    rows = np.empty(embeddings.shape, np.float32)
    for part in _parts(embeddings):
        finite = np.isfinite(embeddings[part]).all(axis=1, keepdims=True)
        rows[part] = unit_rows(np.where(finite, embeddings[part], 0))
    return rows
