"""1:N: probe templates searched for in a gallery of templates. Arrays in, numbers out.

Follows ``evaluation_1N`` of insightface's ``recognition/_evaluation_/ijb/ijb_evals.py``, which corrected ``ijb_1n.py``.
"""
import dataclasses

import numpy as np

from mxft.errors import InputError

RANKS = (1, 5, 10)
RATES = (0.01, 0.1)
BLOCK = 1 << 23  # similarities at a time: 32 MB


@dataclasses.dataclass(frozen=True)
class Identification:
    """Result of `identify_templates` on one gallery, or of several by `mean_of`.

    Parameters
    ----------
    top : dict of int to float or None
        Share of the mated probes (those whose person is in the gallery) whose person is among the k best.
    tpir : dict of float to float or None
        True positive identification rate at a false positive identification rate: the share of mated probes whose
        person is first, and above the threshold that fewer than so many of the other probes exceed. None with too few
        of them.
    thresholds : dict of float to float or None
    mated, unmated, gallery : int
        Probes whose person is in the gallery, those whose is not, and templates of the gallery.
    curve : tuple of numpy.ndarray
        Float64 ``(K,)`` false and true positive identification rates, ascending; empty for a mean.
    """

    top: dict
    tpir: dict
    thresholds: dict
    mated: int
    unmated: int
    gallery: int
    curve: tuple

    def tpir_text(self, rate):
        """Return the rate as text, or what it takes to have one."""
        if self.tpir[rate] is not None:
            return f"{self.tpir[rate]:.5f}"
        if not self.mated:
            return "needs probes whose person is in the gallery, received none"
        return f"needs {round(1 / rate):,} probes whose person is not in the gallery, received {self.unmated:,}"

    def to_dict(self):
        """Return the numbers, ready for JSON."""
        return {"top": {str(k): share for k, share in self.top.items()},
                "tpir_at_fpir": {f"{rate:g}": share for rate, share in self.tpir.items()},
                "thresholds": {f"{rate:g}": value for rate, value in self.thresholds.items()},
                "mated": self.mated, "unmated": self.unmated, "gallery": self.gallery}


def identify_templates(probes, probe_subjects, gallery, gallery_subjects, rates=RATES, ranks=RANKS):
    """Search for each probe in a gallery.

    Parameters
    ----------
    probes, gallery : numpy.ndarray
        Float32 ``(M, D)`` and ``(G, D)``, of unit length or zero.
    probe_subjects, gallery_subjects : numpy.ndarray
        Int64 ``(M,)`` and ``(G,)``.
    rates : sequence of float
        False positive identification rates.
    ranks : sequence of int

    Returns
    -------
    Identification

    Raises
    ------
    InputError
        Nothing to search, nothing to search in, or features that are not finite.

    Notes
    -----
    The threshold at a rate is the similarity of the unmated probe with place ``int(rate * unmated)`` in descending
    order of their best, and it has to be exceeded: upstream's. A template of another person as similar as one's own is
    placed before it, so that a network that gives everyone the same embedding finds nobody (upstream's ``argsort``
    leaves that to chance). Of a person with several templates in the gallery the most similar counts; upstream takes
    the first.

    Examples
    --------
    >>> faces = np.eye(3, dtype=np.float32)
    >>> found = identify_templates(faces, np.array([4, 5, 6]), faces[:2], np.array([4, 5]), rates=[1])
    >>> found.top[1], found.tpir, found.unmated
    (1.0, {1: 1.0}, 1)
    """
    if not len(probes) or not len(gallery):
        raise InputError(f"nothing to identify: expected probes and a gallery, received probes={len(probes)} "
                         f"gallery={len(gallery)}")
    places, own, best = _search(probes, probe_subjects, gallery, gallery_subjects)
    if not np.isfinite(best).all():
        raise InputError(f"features are not finite: expected numbers, received NaN or infinity for "
                         f"{int((~np.isfinite(best)).sum())} of {len(best)} probes, or in the gallery")
    mated = places >= 0
    places, own, strangers = places[mated], own[mated], np.sort(best[~mated])[::-1]
    top = {k: float((places < k).mean()) if len(places) else None for k in ranks}
    tpir, thresholds = {}, {}
    for rate in rates:
        place = int(rate * len(strangers) + 1e-9)
        known = place and len(places)
        thresholds[rate] = float(strangers[place - 1]) if known else None
        tpir[rate] = float(((places == 0) & (own > strangers[place - 1])).mean()) if known else None
    return Identification(top, tpir, thresholds, len(places), len(strangers), len(gallery),
                          _curve(np.sort(own[places == 0]), len(places), strangers))


def _curve(first, mated, strangers, points=200):
    """Return (FPIR, TPIR) at about `points` thresholds; `first`, ascending, are the similarities of those found."""
    if not mated or not len(strangers):
        return np.empty(0), np.empty(0)
    counts = np.unique(np.geomspace(1, len(strangers), points).round().astype(np.int64))
    passed = len(first) - np.searchsorted(first, strangers[counts - 1], side="right")
    return counts / len(strangers), passed / mated


def _search(probes, probe_subjects, gallery, gallery_subjects):
    """Search in blocks of probes.

    Returns
    -------
    places : numpy.ndarray
        Int64 ``(M,)``: templates of other persons that are as similar as one's own, or more; -1 without one's own.
    own, best : numpy.ndarray
        Float32 ``(M,)``: the greatest similarity with a template of the same person, and with any.
    """
    places = np.empty(len(probes), np.int64)
    own, best = np.empty((2, len(probes)), np.float32)
    step = max(1, BLOCK // len(gallery))
    for start in range(0, len(probes), step):
        rows = slice(start, start + step)
        similar = probes[rows] @ gallery.T
        best[rows] = similar.max(axis=1)
        theirs = probe_subjects[rows, None] == gallery_subjects
        own[rows] = np.where(theirs, similar, -np.inf).max(axis=1)
        before = ((similar >= own[rows, None]) & ~theirs).sum(axis=1)
        places[rows] = np.where(theirs.any(axis=1), before, -1)
    return places, own, best


def mean_of(found):
    """Return the mean over galleries, as upstream reports it: top-k over all mated probes, TPIR of the galleries.

    Parameters
    ----------
    found : sequence of Identification
        Of the same rates and ranks.

    Returns
    -------
    Identification
        Without thresholds: each gallery has its own.
    """
    mated = sum(result.mated for result in found)
    top = {k: sum(result.top[k] * result.mated for result in found if result.mated) / mated if mated else None
           for k in found[0].top}
    tpir = {rate: None if any(result.tpir[rate] is None for result in found)
            else float(np.mean([result.tpir[rate] for result in found])) for rate in found[0].tpir}
    return Identification(top, tpir, dict.fromkeys(tpir), mated, sum(result.unmated for result in found),
                          sum(result.gallery for result in found), (np.empty(0), np.empty(0)))
