"""The cosine above which two faces are one person: given, of pairs at a rate, or of the people enrolled."""
import dataclasses
import logging
import math
import os

from mxft.errors import InputError
from mxft.faces.gallery.enrollment import FPIR, expected_fpir, own_threshold
from mxft.faces.pairs.bin_file import PairSet, load_pairs
from mxft.wording import plural

LOG = logging.getLogger("mxft")
FAR = 1e-3
_AT_IT = "; at it "     # begins what a threshold would do to the people enrolled


def require_one_threshold(threshold, pairs, fpir):
    """Refuse (InputError) settings that name several thresholds."""
    given = [name for name, value in (("threshold", threshold), ("pairs", pairs), ("fpir", fpir)) if value is not None]
    if len(given) > 1:
        raise InputError(f"`{given[0]}`: expected one threshold, received `{given[1]}` beside it; leave one out")


def require_cosine(threshold):
    """Return a threshold; refuse (InputError) one that is no cosine."""
    if not -1 <= threshold <= 1:
        raise InputError(f"`threshold`: expected a cosine from -1 to 1, received threshold={threshold}")
    return threshold


def threshold_of(embedder, threshold, pairs, far=FAR):
    """Return the threshold that was given or that pairs give, and where it comes from.

    Parameters
    ----------
    embedder : mxft.faces.gallery.embedder.Embedder
    threshold : float or None
        A cosine.
    pairs : mxft.faces.pairs.bin_file.PairSet, str, os.PathLike or None
        A verification set to take it from.
    far : float
        False accept rate on these pairs.

    Returns
    -------
    float or None
        None where nothing says one.
    text : str
        Where it comes from, for a person.

    Raises
    ------
    InputError
        Two thresholds, one that is no cosine, or too few pairs for `far`.
    """
    require_one_threshold(threshold, pairs, None)
    if threshold is not None:
        return require_cosine(threshold), "as given"
    if pairs is None:
        return None, ""
    return embedder.threshold(pairs if isinstance(pairs, PairSet) else load_pairs(os.fspath(pairs)), far)


def with_threshold(gallery, embedder, threshold=None, pairs=None, far=FAR, fpir=None):
    """Return a gallery with the threshold that was asked for; its own where there are images enough; else none.

    Parameters
    ----------
    gallery : mxft.faces.gallery.gallery.Gallery
    embedder, threshold, pairs, far
        See `threshold_of`.
    fpir : float, optional
        The share of the images enrolled that may be taken for somebody else, in place of those.

    Returns
    -------
    Gallery

    Raises
    ------
    InputError
        See `threshold_of`; too few images for `fpir`.

    Notes
    -----
    Where nothing is asked for, the threshold of a gallery that was added to stays if it was given or of pairs; one of
    the people enrolled (`Gallery.facts` has its ``fpir``) is measured again on all of them.
    """
    facts, own = gallery.facts, None
    limit, origin = threshold_of(embedder, threshold, pairs, far)
    if limit is None and fpir is None:
        fpir = facts.get("fpir")
        if fpir is None and gallery.threshold is not None:
            limit, origin = gallery.threshold, str(facts.get("threshold_from", "as given")).partition(_AT_IT)[0]
    if limit is None:
        own = FPIR if fpir is None else fpir
        try:
            limit, origin = own_threshold(gallery, own)
        except InputError:
            if fpir is not None:
                raise
            LOG.warning(f"no threshold: {plural(len(gallery.owners), 'image')} of "
                        f"{plural(len(gallery.names), 'person', 'people')} are too few to find one (two people and "
                        f"{math.ceil(1 / own)} images), so that nobody will be called unknown; `threshold` or "
                        "`pairs` give one")
    else:
        rate = expected_fpir(gallery, limit)
        if rate is not None:
            origin += f"{_AT_IT}{rate:.1%} of the images enrolled would be taken for somebody else"
    return dataclasses.replace(gallery, facts={
        **facts, "threshold": None if limit is None else round(float(limit), 6), "threshold_from": origin,
        "fpir": None if limit is None else own})
