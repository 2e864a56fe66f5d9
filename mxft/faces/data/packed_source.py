"""A face set or a plain ``.rec`` as what a set is packed from: its images by offset, their people by name."""
import os
from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from mxft.data.classes import read_classes
from mxft.data.images import BadImage
from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.records import Damage, RecordFile
from mxft.faces.data.set_files import NAMES

PackedFace = namedtuple("PackedFace", ["identity", "path", "offset", "size"])
PackedFace.__doc__ = """One image: int `identity`, the place of its person's name; `path`, what it is called; `offset`
and `size` of its record in the file, in bytes."""


def is_packed(source):
    """Whether a source is a ``.rec``, or a folder that holds ``train.rec``.

    Examples
    --------
    >>> is_packed("people"), is_packed("faces/train.rec")
    (False, True)
    """
    return source.endswith(".rec") or os.path.isfile(os.path.join(source, "train.rec"))


def read_packed(source):
    """List the images of a face set or a plain ``.rec``, those of one identity together, without reading them.

    Parameters
    ----------
    source : str
        See `mxft.faces.data.layout.read_face_set`, which checks it.

    Returns
    -------
    names : list of str
        Of the identities that have images, in order of label: those of ``identities.txt`` (beside ``train.rec``) or
        of ``NAME.classes.txt`` (beside ``NAME.rec``), else the labels.
    named : bool
        Whether a file names them.
    files : list of PackedFace
        In order of label, then of key. Of a set with a ``train.lst`` of the same images the paths are the list's;
        else ``NAME/KEY``, as ``mxft unpack`` calls files.
    records : RecordFile
        Open.

    Raises
    ------
    InputError
        What `read_face_set` refuses; fewer names than labels.

    Notes
    -----
    Some 300 bytes an image are held. The ``.idx`` says where images are, and none is decoded.
    """
    faces = read_face_set(source, show=False, look=False)
    known = known_names(faces)
    labels, identities = np.unique(faces.labels, return_inverse=True)
    names = [known[label] if known else str(label) for label in labels.tolist()]
    paths = _listed_paths(faces) or _key_paths(faces, names, identities)
    order = np.argsort(identities, kind="stable")
    columns = (column[order].tolist() for column in (identities, faces.offsets, faces.sizes))
    files = [PackedFace(identity, paths[at], offset, size)
             for at, identity, offset, size in zip(order.tolist(), *columns)]
    return names, bool(known), files, RecordFile(faces.rec)


class RecordImages(Sequence):
    """Encoded images of a set, each read when it is asked for; a damaged record raises BadImage.

    Parameters
    ----------
    faces : mxft.faces.data.layout.FaceSet
    places : sequence of int, optional
        Which of its images; all when None.
    """

    def __init__(self, faces, places=None):
        self._faces, self._records = faces, RecordFile(faces.rec)
        self._places = range(len(faces.labels)) if places is None else places

    def __len__(self):
        return len(self._places)

    def __getitem__(self, number):
        at = self._places[number]
        try:
            return self._records.image(int(self._faces.offsets[at]), int(self._faces.sizes[at]))[1].tobytes()
        except Damage as damage:
            raise BadImage(str(damage)) from None

    def close(self):
        """Let go of the file."""
        self._records.close()


def known_names(faces):
    """Return the names of the labels, in their order, that a file beside the records has; empty without one.

    Parameters
    ----------
    faces : mxft.faces.data.layout.FaceSet

    Raises
    ------
    InputError
        Fewer names than labels.

    Notes
    -----
    ``identities.txt`` is of ``train.rec`` alone; any other ``NAME.rec`` has ``NAME.classes.txt``.
    """
    stem, folder = os.path.splitext(faces.rec)[0], os.path.dirname(faces.rec)
    path = os.path.join(folder, NAMES) if os.path.basename(stem) == "train" else stem + ".classes.txt"
    if not os.path.isfile(path):
        return []
    names, most = read_classes(path), int(faces.labels.max())
    if most >= len(names):
        raise InputError(f"names do not fit {faces.rec}: expected a name for each label up to {most}, received "
                         f"{len(names)} in {path}; correct the file, or move it away: people are then called by label")
    return names


def _listed_paths(faces):
    """Return the paths of the ``train.lst`` beside the set, in order of key, or None where it is of other images."""
    path = os.path.join(os.path.dirname(faces.rec), "train.lst")
    if os.path.basename(faces.rec) != "train.rec" or not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip()]
    paths = [row[1] for row in rows if len(row) == 3 and row[0] == "1"]
    alike = (len(rows) == len(paths) == len(set(paths)) == len(faces.labels)
             and [row[2] for row in rows] == list(map(str, faces.labels.tolist())))
    return paths if alike else None


def _key_paths(faces, names, identities):
    width = len(str(int(faces.keys.max())))
    return [f"{names[identity]}/{key:0{width}d}" for identity, key in zip(identities.tolist(), faces.keys.tolist())]
