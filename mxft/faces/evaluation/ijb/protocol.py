"""The lists of one of IJB's protocols read together, and what they name looked at before the first image."""
import dataclasses
import os

import numpy as np

from mxft.errors import InputError, MissingFileError, nearest
from mxft.faces.align.landmark_list import WRONG_LIST, landmark_distance
from mxft.faces.evaluation.ijb.files import GALLERIES, PAIRS, POINTS, PROBES
from mxft.faces.evaluation.ijb.lists import Faces, read_faces, read_subjects, read_template_pairs

SAMPLE = 200  # faces by which landmarks are told from other numbers


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The lists of one protocol, read and checked; see `read_protocol`.

    Parameters
    ----------
    kind : {"1:1", "1:N"}
    faces : mxft.faces.evaluation.ijb.lists.Faces
    pairs : tuple or None
        Of `mxft.faces.evaluation.ijb.lists.read_template_pairs`.
    probes : tuple or None
        Of `mxft.faces.evaluation.ijb.lists.read_subjects`.
    galleries : dict of str to tuple
        The same, by ``G1`` and ``G2``.
    templates : int
    """

    kind: str
    faces: Faces
    pairs: tuple
    probes: tuple
    galleries: dict
    templates: int


def read_protocol(lists, kind, need_points=True):
    """Read the lists of a protocol.

    Parameters
    ----------
    lists : mxft.faces.evaluation.ijb.files.IjbLists
    kind : {"1:1", "1:N"}
    need_points : bool
        Whether landmarks or detector scores will be used.

    Returns
    -------
    Protocol

    Raises
    ------
    InputError
        A list is missing, or a row of one is bad.
    """
    wanted = {POINTS: lists.points} if need_points else {}
    wanted.update({PAIRS: lists.pairs} if kind == "1:1" else
                  {PROBES: lists.probes, " or ".join(GALLERIES["G1"]): lists.galleries or None})
    for end, found in wanted.items():
        if found is None:
            folder = os.path.dirname(lists.media)
            raise MissingFileError(f"list is missing: expected {lists.name}{end} in {folder}, received none; "
                                   f"{nearest(lists.name + end, sorted(os.listdir(folder)))}")
    faces = read_faces(lists.media, lists.points if need_points else None)
    templates = np.unique(faces.templates)
    if kind == "1:1":
        return Protocol(kind, faces, read_template_pairs(lists.pairs, templates), None, {}, len(templates))
    galleries = {name: read_subjects(path, templates) for name, path in lists.galleries.items()}
    return Protocol(kind, faces, None, read_subjects(lists.probes, templates), galleries, len(templates))


def check_faces(faces, folder, aligned=False):
    """Refuse, before hours of work, a folder without one of the images, and landmarks that nothing can be aligned by.

    Parameters
    ----------
    faces : mxft.faces.evaluation.ijb.lists.Faces
    folder : str
        Of the images.
    aligned : bool
        The landmarks are not used.

    Raises
    ------
    InputError
        With the line of the first, and how many more there are.
    """
    if not os.path.isdir(folder):
        raise MissingFileError(f"images are missing: expected a folder, received images={folder!r}")
    missing = [row for row, name in enumerate(faces.names) if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        path = os.path.join(folder, faces.names[missing[0]])
        there = sorted(os.listdir(os.path.dirname(path))) if os.path.isdir(os.path.dirname(path)) else []
        raise MissingFileError(f"image is missing: expected {path}, which {faces.place(missing[0])} names, received "
                               f"none{_more(missing)}; in that folder: {nearest(os.path.basename(path), there)}")
    if not aligned:
        _check_landmarks(faces)


def _check_landmarks(faces):
    """Refuse landmarks in one place, and a list whose landmarks are no faces': x and y in another order?"""
    with np.errstate(invalid="ignore"):  # what is not finite has no spread, and is refused with the rest
        spread = faces.landmarks.astype(np.float64).var(axis=1).sum(axis=1)
    bad = np.flatnonzero(~(spread >= 1e-6))
    if len(bad):
        raise InputError(f"face cannot be aligned: expected landmarks in different places, received "
                         f"{faces.landmarks[bad[0]].tolist()} for {faces.names[bad[0]]}, which "
                         f"{faces.place(bad[0])} names{_more(bad)}")
    sample = faces.landmarks[:: -(-len(faces.landmarks) // SAMPLE)].astype(np.float64)
    off = float(np.median([landmark_distance(points) for points in sample]))
    if off > WRONG_LIST:
        raise InputError(f"landmarks are no faces': expected x1 y1 … x5 y5 of left eye, right eye, nose and corners of "
                         f"the mouth, received points that keep {off:.0f} pixels of 112 from where they belong, as "
                         f"{sample[0].tolist()} of {faces.names[0]}")


def _more(rows):
    return f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
