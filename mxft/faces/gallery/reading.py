"""From an image to what a face network takes: aligned faces as they are, faces of photographs found and aligned."""
from typing import NamedTuple, Optional

import numpy as np

from mxft.data.images import BadImage
from mxft.errors import InputError
from mxft.faces.align.options import AlignOptions
from mxft.faces.align.picture import aligned_faces, as_bgr
from mxft.faces.data.face_images import resized_face

AUTO, ALIGNED, PHOTOGRAPH = "auto", "aligned", "photograph"
KINDS = (AUTO, ALIGNED, PHOTOGRAPH)


class Crop(NamedTuple):
    """A face as a network takes it: uint8 RGB ``(H, W, 3)``; `box` and `score` of one that was found, or None."""

    pixels: np.ndarray
    box: Optional[tuple]
    score: Optional[float]


class NoFace(BadImage):
    """An image that can be read and has no face."""


class FaceReader:
    """Reads the faces of images.

    Parameters
    ----------
    image_size : (H, W)
        What the network takes.
    kind : {"auto", "aligned", "photograph"}
        What the images are. ``"auto"``: what has the network's size is an aligned face, anything else a photograph.
    detector : callable, optional
        Of photographs: see `mxft.faces.align.detection.make_detector`. None: one is made when it is first needed.
    options : AlignOptions, optional
        Which faces of a photograph; its `size` is the network's.

    Raises
    ------
    InputError
        Another kind.
    """

    def __init__(self, image_size, kind=AUTO, detector=None, options=None):
        if kind not in KINDS:
            raise InputError(f"`images`: expected one of {', '.join(KINDS)}, received images={kind!r}")
        self.image_size, self._kind, self._detector = tuple(image_size), kind, detector
        self._options = options or AlignOptions(size=self.image_size)

    def __call__(self, data, packed=False):
        """Return the faces of an image and what is to be said of them.

        Parameters
        ----------
        data : bytes
        packed : bool
            It is a record's, an aligned face whatever its size.

        Returns
        -------
        crops : list of Crop
            At least one.
        note : str

        Raises
        ------
        NoFace
        BadImage
            Not an image, or an aligned face whose shape would be stretched.
        """
        image = as_bgr(data)
        if packed or self._kind == ALIGNED or (self._kind == AUTO and image.shape[:2] == self.image_size):
            return [Crop(resized_face(image, self.image_size)[:, :, ::-1], None, None)], ""
        found = aligned_faces(image, self._made(), self._options)
        if not found.faces:
            raise NoFace(found.note)
        return [Crop(face.pixels[:, :, ::-1], face.box, face.score) for face in found.faces], found.note

    def _made(self):
        if self._detector is None:
            from mxft.faces.align.detection import make_detector

            self._detector = make_detector()
        return self._detector
