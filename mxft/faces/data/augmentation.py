"""Mirroring, colour jitter, recompression and cutoff of faces; follows insightface's src/image_iter.py.

What is done to an image is drawn beforehand from the seed, the epoch and the batch, so that it does not depend on the
thread that does it.
"""
from dataclasses import dataclass
from typing import Optional

import numpy as np

from mxft.compat import load_cv2
from mxft.errors import InputError

cv2 = load_cv2()

JITTER = 0.125                   # brightness, contrast and saturation each change by up to this part
QUALITY = (2, 20)                # JPEG qualities of recompression
FILLING = 128                    # upstream's grey; after the networks' (x - 127.5) / 128 nearly 0
GREY = np.array([0.299, 0.587, 0.114])   # of R, G, B

_TO_RGB = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class FaceAugmentation:
    """Which changes are made to the images of a training set.

    Attributes
    ----------
    mirror : bool
        Every second image, on average, is flipped left to right.
    cutoff : int
        In every second image a square of ``2 * (cutoff // 2)`` pixels is filled with 128; its centre lies anywhere in
        the image, what reaches over the border is lost. 0: none.
    color : int
        1: brightness, contrast and saturation change by up to an eighth, in random order, and are not clipped to
        0–255. 2 or more: before that, every second image is compressed to JPEG of quality 2 to 20 and back. 0: none.

    Raises
    ------
    InputError
        A negative number, or cutoff 1, of which nothing would be left.

    Examples
    --------
    >>> FaceAugmentation(mirror=True).draw(seed=0, epoch=0, batch=1, count=4, image_size=(112, 112)).mirror
    array([ True,  True,  True, False])
    """

    mirror: bool = False
    cutoff: int = 0
    color: int = 0

    def __post_init__(self):
        if self.cutoff < 0 or self.cutoff == 1:
            raise InputError(f"cutoff: expected 0 or a side of 2 or more pixels, received cutoff={self.cutoff}")
        if self.color < 0:
            raise InputError(f"color: expected 0, 1 or 2, received color={self.color}")

    def draw(self, seed, epoch, batch, count, image_size):
        """Return the Decisions for `count` images of `image_size` (h, w) in one batch."""
        rng = np.random.RandomState([seed, epoch, batch])
        mirror = rng.randint(2, size=count).astype(bool)
        qualities = matrices = boxes = None
        if self.color > 1:
            qualities = rng.randint(QUALITY[0], QUALITY[1] + 1, size=count) * rng.randint(2, size=count)
        if self.color:
            matrices = rng.uniform(1 - JITTER, 1 + JITTER, size=(count, 3)), rng.rand(count, 3).argsort(axis=1)
        if self.cutoff:
            half, chosen = self.cutoff // 2, rng.randint(2, size=count)
            top, left = rng.randint(image_size[0], size=count), rng.randint(image_size[1], size=count)
            boxes = np.stack([np.maximum(top - half, 0), (top + half) * chosen,
                              np.maximum(left - half, 0), (left + half) * chosen], axis=1)
        return Decisions(mirror if self.mirror else np.zeros(count, bool), qualities, matrices, boxes)


@dataclass(frozen=True)
class Decisions:
    """What is done to each image of a batch; None stands for nothing done to any.

    Attributes
    ----------
    mirror : bool array, shape (N,)
    qualities : int array, shape (N,), optional
        JPEG quality to compress to, 0 to leave the image as it is.
    jitter : (float array of shape (N, 3), int array of shape (N, 3)), optional
        The factors of brightness, contrast and saturation, and the order in which these three are applied.
    boxes : int array, shape (N, 4), optional
        Top, bottom, left, right of the square to fill; bottom 0 where there is none.
    """

    mirror: np.ndarray
    qualities: Optional[np.ndarray] = None
    jitter: Optional[tuple] = None
    boxes: Optional[np.ndarray] = None

    def change(self, i, bgr):
        """Return image `i` of the batch, uint8 BGR (H, W, 3), mirrored and compressed where that was drawn."""
        if self.mirror[i]:
            bgr = cv2.flip(bgr, 1)
        if self.qualities is not None and self.qualities[i]:
            encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(self.qualities[i])])[1]
            bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        return bgr

    def jittered(self, i, bgr):
        """Return image `i`, uint8 BGR (H, W, 3), as float32 RGB of that shape with its colours changed."""
        matrix = jitter_matrix(cv2.mean(bgr)[2::-1], *(drawn[i] for drawn in self.jitter))
        matrix[:, :3] = matrix[:, :3] @ _TO_RGB
        return cv2.transform(bgr.astype(np.float32), matrix)

    def fill(self, i, planes):
        """Fill the square of image `i`, float32 (3, H, W), in place."""
        if self.boxes is not None:
            top, bottom, left, right = self.boxes[i]
            planes[:, top:bottom, left:right] = FILLING


def jitter_matrix(mean, factors, order):
    """Return brightness, contrast and saturation, one after another, as one affine map of a pixel.

    Parameters
    ----------
    mean : sequence of 3 floats
        The image's mean R, G, B: contrast moves every pixel towards or from the grey of that.
    factors : float array, shape (3,)
        Of brightness, contrast and saturation; 1 changes nothing.
    order : int array, shape (3,)
        0 brightness, 1 contrast, 2 saturation.

    Returns
    -------
    float64 array, shape (3, 4)
        RGB out = ``M[:, :3] @ RGB + M[:, 3]``.

    Notes
    -----
    It is ``mx.image.ColorJitterAug``: each step there is affine, and the mean of an affine image is the image of its
    mean, so the three need one pass over the pixels and not ten.
    """
    linear, shift = np.eye(3), np.zeros(3)
    for step in order:
        factor = factors[step]
        if step == 2:
            towards_grey = factor * np.eye(3) + (1 - factor) * GREY
            linear, shift = towards_grey @ linear, towards_grey @ shift
        else:
            grey = GREY @ (linear @ mean + shift) if step == 1 else 0
            linear, shift = factor * linear, factor * shift + (1 - factor) * grey
    return np.column_stack([linear, shift])
