"""Embeddings as a file for other programs, ``.npz``: vectors of unit length, their norms, names, labels, boxes."""
import json
import zipfile

import numpy as np

from mxft.errors import InputError
from mxft.faces.gallery.gallery import check_facts, check_vectors
from mxft.files.arrays import read_arrays
from mxft.files.whole import require_file, whole_path

FORMAT = "mxft face embeddings 1"


def write_embeddings(path, found, images, facts):
    """Write embeddings, whole or not at all.

    Parameters
    ----------
    path : str
        Ends in ``.npz``.
    found : mxft.faces.gallery.embedding.EmbeddedFaces
    images : mxft.faces.gallery.images.FaceImages
    facts : dict
        Of the network, see `mxft.faces.gallery.gallery.network_facts`.

    Notes
    -----
    ``embeddings`` float32 ``(F, D)``, ``norms``, ``names`` and ``labels`` (of the image, ``(F,)`` text), ``boxes``
    ``(F, 4)`` and ``scores`` (NaN of aligned faces), ``facts`` (JSON).
    """
    with whole_path(path) as temporary, open(temporary, "wb") as f:
        np.savez(f, format=np.array(FORMAT), embeddings=found.vectors, norms=found.norms,
                 names=np.array([images.names[i] for i in found.images], dtype=np.str_),
                 labels=np.array([images.labels[i] for i in found.images], dtype=np.str_), boxes=found.boxes,
                 scores=found.scores, facts=np.array(json.dumps(facts)))


def read_embeddings(path):
    """Read what `write_embeddings` wrote; nothing is unpickled.

    Returns
    -------
    dict
        ``embeddings``, ``names`` and ``labels`` (lists), ``facts`` (dict), and the other arrays.

    Raises
    ------
    InputError
        Not such a file, or a damaged one.
    """
    require_file(path, "embeddings")
    if not zipfile.is_zipfile(path):
        raise InputError(f"embeddings cannot be read: expected a file that mxft embed has written, received {path}, "
                         "which is no .npz file, or one cut short")
    try:
        found = read_arrays(path, ("format", "embeddings", "norms", "boxes", "scores", "names", "labels", "facts"))
        if str(found["format"]) != FORMAT:
            raise ValueError(f"its format is {str(found['format'])[:40]!r}")
        _check(found)
        facts = json.loads(str(found["facts"]))
        check_facts(facts)
    except (ValueError, RecursionError) as error:
        raise InputError(f"embeddings cannot be read: expected a file that mxft embed has written, received {path} "
                         f"({str(error)[:200]})") from None
    return {**found, "names": found["names"].tolist(), "labels": found["labels"].tolist(), "facts": facts}


def _check(found):
    """Raise ValueError where the arrays are not what `write_embeddings` writes, or do not belong together."""
    check_vectors(found["embeddings"])
    rows = len(found["embeddings"])
    for name, shape in (("norms", (rows,)), ("scores", (rows,)), ("boxes", (rows, 4))):
        if found[name].shape != shape or found[name].dtype != np.float32:
            raise ValueError(f"{rows} embeddings have {name} {found[name].dtype} {found[name].shape}")
    if not np.isfinite(found["norms"]).all():
        raise ValueError("a norm is not finite")
    for name in ("names", "labels"):
        if found[name].shape != (rows,) or found[name].dtype.kind != "U":
            raise ValueError(f"{rows} embeddings have {name} {found[name].dtype} {found[name].shape}")
