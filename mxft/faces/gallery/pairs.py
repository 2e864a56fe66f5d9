"""Pairs of embeddings that are in a file already: those of a ``.bin``, or the ones a list names."""
import os

import numpy as np

from mxft.errors import InputError, nearest
from mxft.faces.pairs.lists import SUFFIXES, read_named_pairs


def pairs_of(found, path, source):
    """Return the pairs of embeddings: which are compared, and whether they show one person.

    Parameters
    ----------
    found : dict
        See `mxft.faces.gallery.embedding_file.read_embeddings`.
    path : str or None
        A list of pairs, see `mxft.faces.pairs.lists.read_named_pairs`; None where the embeddings are a ``.bin``'s.
    source : str
        The file of the embeddings, for messages.

    Returns
    -------
    left, right : list of int
    issame : numpy.ndarray
        Bool ``(P,)``.

    Raises
    ------
    InputError
        Embeddings of neither, or a picture of the list that is not among them or has several faces.
    """
    names = found["names"]
    if path is None:
        return _of_bin(names, found["labels"], source)
    places, twice = {}, set()
    for place, name in enumerate(names):
        plain = name.replace(os.sep, "/")
        twice |= {plain} & set(places)
        places[plain] = place
    rows = read_named_pairs(path)
    sides = [[_place(name, places, twice, path, row.number, source) for name in row.files] for row in rows]
    return [left for left, _ in sides], [right for _, right in sides], np.array([row.same for row in rows], bool)


def _of_bin(names, labels, source):
    sides = [name.rpartition("/")[2] for name in names]
    if sides != ["left", "right"] * (len(names) // 2) or set(labels) - {"same", "different"}:
        raise InputError(f"pairs are missing: expected `pairs` LIST beside embeddings of pictures, received {source} "
                         f"of {len(names)} faces, which are not those of a verification set")
    issame = np.array([label == "same" for label in labels[::2]], bool)
    return list(range(0, len(names), 2)), list(range(1, len(names), 2)), issame


def _place(name, places, twice, path, number, source):
    """Return the place of a picture among the embeddings, with any of the endings a list leaves out."""
    endings = ("", *SUFFIXES) if not name.lower().endswith(SUFFIXES) else ("",)
    for ending in endings:
        if name + ending in twice:
            raise InputError(f"picture has several faces: expected one embedding of {name}, which line {number} of "
                             f"{path} names, received several in {source}; embed it without `every`")
        if name + ending in places:
            return places[name + ending]
    raise InputError(f"picture is not among the embeddings: expected {name}, which line {number} of {path} names, in "
                     f"{source}; {nearest(name, list(places)[:20000])}")
