"""Embeddings as a file for other programs, ``.npz``: vectors of unit length, their norms, names, labels, boxes."""
import json
import zipfile

import numpy as np

from mxft.errors import InputError
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
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["format"]) != FORMAT:
                raise ValueError(f"its format is {str(arrays['format'])[:40]!r}")
            found = {name: arrays[name] for name in ("embeddings", "norms", "boxes", "scores")}
            found |= {"names": arrays["names"].tolist(), "labels": arrays["labels"].tolist(),
                      "facts": json.loads(str(arrays["facts"]))}
        rows = len(found["names"])
        if found["embeddings"].ndim != 2 or len(found["embeddings"]) != rows or len(found["labels"]) != rows:
            raise ValueError(f"{found['embeddings'].shape} embeddings have {rows} names")
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, TypeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"embeddings cannot be read: expected a file that mxft embed has written, received {path} "
                         f"({reason[:200]})") from None
    return found
