"""One picture to its aligned faces: which are taken, how they are turned, and what is said of it."""
from typing import NamedTuple

import numpy as np

from mxft.data.images import BadImage, decode, encode, inspect
from mxft.faces.align.detection import Detections
from mxft.faces.align.options import CENTRAL
from mxft.faces.align.similarity import align_face
from mxft.network.image_options import ImageOptions
from mxft.wording import plural

TURNS = (1, 3, 2)            # quarter turns counter-clockwise that are tried, the likelier first
_HEAD = {1: "right", 2: "down", 3: "left"}
_SHOWN = 4                   # sizes of faces named in a note


class AlignedFace(NamedTuple):
    """One crop, uint8 ``(H, W, 3)`` BGR, and where the face lies in the picture as it was seen (turned or upright)."""

    pixels: np.ndarray
    box: tuple
    score: float
    landmarks: tuple


class AlignedPicture(NamedTuple):
    """The faces that were taken of a picture, how many it has, and what is to be said of it; empty where nothing is."""

    faces: list
    found: int
    note: str


def align_picture(data, finder, options, name=None):
    """Do what `aligned_faces` does with a whole image file of any kind, upright by its EXIF data.

    Raises
    ------
    BadImage
        Not a whole image.
    """
    return aligned_faces(as_bgr(data), finder, options, name)


def aligned_faces(image, finder, options, name=None):
    """Find, choose, turn and crop the faces of a picture.

    Parameters
    ----------
    image : numpy.ndarray
        Uint8 ``(H, W, 3)``, BGR.
    finder : callable
        A detector, see `mxft.faces.align.detection.make_detector`, or what knows the faces by the picture's name:
        ``finder.of(name, image) -> Detections``.
    options : mxft.faces.align.options.AlignOptions
    name : str, optional
        Of the picture, for such a finder.

    Returns
    -------
    AlignedPicture
        Without faces where none is found; `note` says so then.

    Notes
    -----
    The pixels of a crop come straight from the picture, by one bilinear warp.
    """
    found = finder.of(name, image) if hasattr(finder, "of") else finder(image)
    if len(found):
        return _taken(image, found, options, "")
    if hasattr(finder, "of"):
        return AlignedPicture([], 0, finder.missing(name))
    for quarter in TURNS:
        turned = np.ascontiguousarray(np.rot90(image, quarter))
        found = finder(turned)
        if len(found):
            how = f"a face whose head points {_HEAD[quarter]}"
            if options.turned:
                return _taken(turned, found, options, how)
            return AlignedPicture([], 0, f"no upright face, but {how}; `turned` takes it")
    return AlignedPicture([], 0, "no face found")


def as_bgr(data):
    """Return an image file's pixels as uint8 ``(H, W, 3)`` in OpenCV's order, upright by its EXIF data.

    Raises
    ------
    BadImage
        Not a whole image.
    """
    return decode(data, inspect(data), ImageOptions())[0]


def _taken(image, found, options, note):
    """Crop the faces that are to be taken."""
    chosen = found.only(_order(found, image.shape, options))
    if not options.every:
        chosen = chosen.only(slice(1))
    notes = [note] if note else []
    if len(found) > 1:
        sizes = ", ".join(f"{size:.0f}" for size in sorted(found.sizes, reverse=True)[:_SHOWN])
        more = ", …" if len(found) > _SHOWN else ""
        which = "all were taken" if options.every else f"the {options.choose} was taken"
        notes.append(f"{plural(len(found), 'face')} ({sizes}{more} pixels), {which}")
    faces = []
    for box, score, landmarks in zip(*chosen):
        crop = align_face(image, landmarks, options.size, options.margin)
        faces.append(AlignedFace(crop, tuple(box.round(1).tolist()), round(float(score), 4),
                                 tuple(map(tuple, landmarks.round(2).tolist()))))
    return AlignedPicture(faces, len(found), "; ".join(notes))


def _order(found, shape, options):
    """Return the numbers of the faces, the one to take first; by size, or by distance from the middle."""
    if options.choose == CENTRAL:
        middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        return np.argsort(np.square(middles - [shape[1] / 2, shape[0] / 2]).sum(axis=1), kind="stable")
    return np.argsort(-found.sizes, kind="stable")


def detections_of(landmarks):
    """Return one face whose landmarks are given as Detections; its box is the smallest that holds them, twice as large.

    Parameters
    ----------
    landmarks : array
        Float ``(5, 2)``.
    """
    landmarks = np.asarray(landmarks, np.float64)
    least, most = landmarks.min(axis=0), landmarks.max(axis=0)
    half = (most - least) / 2
    return Detections(np.concatenate([least - half, most + half])[None], np.ones(1), landmarks[None])


def face_of_bytes(data, finder, options, name=None):
    """Return the bytes of the one face of a picture, and what is to be said of it; BadImage where there is none."""
    found = align_picture(data, finder, options, name)
    if not found.faces:
        raise BadImage(found.note)
    return encoded(found.faces[0], options), found.note


def encoded(face, options):
    """Return the bytes of a crop as the options say: JPEG or PNG."""
    quality = options.quality if options.encoding == ".jpg" else None
    return encode(face.pixels, ImageOptions(quality=quality, encoding=options.encoding))
