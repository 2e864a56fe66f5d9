"""Which people of a gallery a face is nearest to: exact, in blocks, a million embeddings in the memory they take."""
import numpy as np

from mxft.errors import InputError
from mxft.settings import whole

MEAN, MAXIMUM = "mean", "max"
POOLS = (MEAN, MAXIMUM)
SAMPLE = 2000                   # embeddings of a gallery that are asked for among its other people
QUERIES, ROWS = 256, 1 << 16    # of one block of cosines: 64 MB


def nearest_people(gallery, vectors, top=1, pool=MEAN):
    """Return the people nearest to faces, by cosine.

    Parameters
    ----------
    gallery : mxft.faces.gallery.gallery.Gallery
    vectors : numpy.ndarray
        Float32 ``(N, D)``, of unit length.
    top : int
    pool : {"mean", "max"}
        What stands for a person with several images: the mean of their embeddings, or the one that is nearest.

    Returns
    -------
    people : numpy.ndarray
        Int64 ``(N, top)``, the nearest first; fewer columns where the gallery has fewer people.
    cosines : numpy.ndarray
        Float32 ``(N, top)``.

    Raises
    ------
    InputError
        Another pool, no people to return, or embeddings of another length than the gallery's.

    Examples
    --------
    >>> from mxft.faces.gallery.gallery import Gallery
    >>> gallery = Gallery.of(["Ann", "Bob"], np.eye(2, dtype=np.float32), ["a.jpg", "b.jpg"], {})
    >>> nearest_people(gallery, np.array([[0.6, 0.8]], np.float32))[0].tolist()
    [[1]]
    """
    if pool not in POOLS:
        raise InputError(f"`pool`: expected one of {', '.join(POOLS)}, received pool={pool!r}")
    if vectors.ndim != 2 or vectors.shape[1] != gallery.vectors.shape[1]:
        raise InputError(f"embeddings do not fit the gallery: expected {gallery.vectors.shape[1]} numbers each, "
                         f"received {vectors.shape}")
    if not whole(1).accepts(top):
        raise InputError(f"`top`: expected {whole(1).expected}, received top={top!r}")
    top = min(top, len(gallery.names))
    rows, owners = (gallery.templates(), np.arange(len(gallery.names))) if pool == MEAN else (gallery.vectors,
                                                                                              gallery.owners)
    found = [_of_block(rows, owners, np.ascontiguousarray(vectors[start:start + QUERIES], np.float32), top)
             for start in range(0, len(vectors), QUERIES)]
    if not found:
        return np.zeros((0, top), np.int64), np.zeros((0, top), np.float32)
    people, cosines = (np.concatenate(part) for part in zip(*found))
    return people, cosines


def _of_block(rows, owners, queries, top):
    """Return the `top` people and cosines of some queries, over all rows."""
    people = np.zeros((len(queries), 0), np.int64)
    cosines = np.zeros((len(queries), 0), np.float32)
    for start, stop in _blocks(owners):
        found = queries @ rows[start:stop].T
        own, first = np.unique(owners[start:stop], return_index=True)
        if len(own) < stop - start:
            found = np.maximum.reduceat(found, first, axis=1)
        cosines = np.concatenate([cosines, found], axis=1)
        people = np.concatenate([people, np.broadcast_to(own, found.shape)], axis=1)
        if cosines.shape[1] > top:
            kept = np.argpartition(-cosines, top - 1, axis=1)[:, :top]
            cosines, people = (np.take_along_axis(part, kept, axis=1) for part in (cosines, people))
    order = np.lexsort((people, -cosines), axis=1)
    return np.take_along_axis(people, order, axis=1), np.take_along_axis(cosines, order, axis=1)


def _blocks(owners):
    """Yield (start, stop) of blocks of rows; all rows of a person are in one block."""
    start = 0
    while start < len(owners):
        stop = min(start + ROWS, len(owners))
        if stop < len(owners):
            begin = int(np.searchsorted(owners, owners[stop], side="left"))  # of the person the block would divide
            stop = begin if begin > start else int(np.searchsorted(owners, owners[start], side="right"))
        yield start, stop
        start = stop


def best_of_others(gallery, pool=MEAN, sample=SAMPLE, seed=0):
    """Return the highest cosine that embeddings of the gallery have with people who are not theirs.

    It is what strangers who resemble these people would score: from it follows how often one is named.

    Parameters
    ----------
    gallery : Gallery
        Of two people at least.
    pool : {"mean", "max"}
    sample : int
        So many embeddings at most, chosen by `seed`.
    seed : int

    Returns
    -------
    numpy.ndarray
        Float32 ``(min(M, sample),)``.
    """
    chosen = np.arange(len(gallery.owners))
    if len(chosen) > sample:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, sample, replace=False))
    people, cosines = nearest_people(gallery, gallery.vectors[chosen], 2, pool)
    own = people[:, 0] == gallery.owners[chosen]
    return np.where(own, cosines[:, 1], cosines[:, 0])


def threshold_at_fpir(scores, fpir):
    """Return the cosine above which a stranger is named at a false positive identification rate, or None.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(N,)``: the highest cosine of each stranger, see `best_of_others`.
    fpir : float

    Returns
    -------
    float or None
        The score of the stranger that would be one too many; None where one of N is already more than `fpir`.

    Notes
    -----
    A threshold to be used from now on: it is the score of the first stranger who is to stay unknown. IJB's protocol
    (`mxft.faces.evaluation.ijb.identification`) takes the last one who passes, one place higher, and asks for more.

    Examples
    --------
    >>> threshold_at_fpir(np.array([0.1, 0.5, 0.3, 0.2]), 0.25)
    0.3
    """
    allowed = int(fpir * len(scores) + 1e-9)
    return None if not allowed or allowed >= len(scores) else float(np.sort(scores)[::-1][allowed])
