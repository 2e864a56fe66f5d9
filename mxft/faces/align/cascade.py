"""The cascade of three networks that finds faces and their five landmarks, whatever computes the networks.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks"
(arXiv:1604.02878), with the sizes, roundings and thresholds of insightface's ``deploy/mtcnn_detector.py``.
"""
from typing import Callable, NamedTuple

import numpy as np

from mxft.compat import load_cv2
from mxft.faces.align.detection import Detections, smallest_face

CELL, STRIDE = 12, 2              # of the proposal network: what one of its outputs sees, and their distance
FACTOR = 0.709                    # from one scale of a picture to the next
PROPOSED, REFINED = 0.6, 0.7      # scores that a face must have to reach the next network
MOST_PLACES = 16384               # of one scale, before those that overlap are left out
MOST_PROPOSALS = 4096             # of a picture, the best of all scales: a page of noise would ask for millions


class Networks(NamedTuple):
    """The three networks; each takes float32 ``(N, 3, H, W)``, ``(pixel - 127.5) / 128``, in the order BGR.

    Parameters
    ----------
    propose : callable
        N is 1, any size from 12x12 on: ``(scores (h, w), offsets (4, h, w))``.
    refine : callable
        24x24: ``(scores (N,), offsets (N, 4))``.
    output : callable
        48x48: ``(scores (N,), offsets (N, 4), landmarks (N, 10))``, the five x first, in parts of the box.
    """

    propose: Callable
    refine: Callable
    output: Callable


class Cascade:
    """A detector; see `mxft.faces.align.detection.make_detector`.

    Parameters
    ----------
    networks : Networks
    name, version : str
    min_size : int, optional
    confidence : float

    Notes
    -----
    One face gives one box: what overlaps a better one by more than 0.7 of the smaller of the two is left out.
    """

    def __init__(self, networks, name, version, min_size=None, confidence=0.9):
        self.name = name
        self.settings = {"detector": version, "min_size": min_size, "confidence": confidence}
        self._networks, self._min_size, self._confidence = networks, min_size, confidence

    def __call__(self, image):
        smallest = smallest_face(image, self._min_size)
        boxes = self._proposals(image, smallest)
        if len(boxes):
            boxes = self._refined(image, boxes)
        if not len(boxes):
            return Detections.none()
        found = self._final(image, boxes)
        return found.only(found.sizes >= smallest)

    def _proposals(self, image, smallest):
        """Return square boxes (n, 5) with their scores, from all scales of a picture."""
        found = [_of_scale(self._networks.propose, image, scale) for scale in _scales(image.shape, smallest)]
        boxes = np.concatenate([np.zeros((0, 9)), *found])
        boxes = boxes[suppress(boxes, 0.7)][:MOST_PROPOSALS]
        return _square(_moved(boxes[:, :5], boxes[:, 5:]))

    def _refined(self, image, boxes):
        boxes, crops = _crops(image, boxes, 24, np.uint8)
        if not len(boxes):
            return boxes
        scores, offsets = self._networks.refine(crops)
        passed = scores > REFINED
        boxes, offsets = np.column_stack([boxes[passed, :4], scores[passed]]), offsets[passed]
        kept = suppress(boxes, 0.7)
        return _square(_moved(boxes[kept], offsets[kept]))

    def _final(self, image, boxes):
        boxes, crops = _crops(image, boxes, 48, np.float32)
        if not len(boxes):
            return Detections.none()
        scores, offsets, parts = self._networks.output(crops)
        passed = scores > self._confidence
        boxes, offsets, parts = np.column_stack([boxes[passed, :4], scores[passed]]), offsets[passed], parts[passed]
        sizes = boxes[:, 2:4] - boxes[:, :2] + 1
        landmarks = boxes[:, None, :2] + sizes[:, None] * parts.reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = _moved(boxes, offsets)
        kept = suppress(boxes, 0.7, of_smaller=True)
        return Detections(boxes[kept, :4], boxes[kept, 4], landmarks[kept].astype(np.float64))


def _scales(shape, smallest):
    """Return the factors by which a picture is looked at, so that a face is 12 pixels high at one of them."""
    scale = CELL / smallest
    count, shorter = 0, min(shape[:2]) * scale
    while shorter > CELL:
        count, shorter = count + 1, shorter * FACTOR
    return [scale * FACTOR ** i for i in range(count)]


def _of_scale(propose, image, scale):
    """Return what the proposal network sees at one scale: (n, 9), boxes, scores and offsets."""
    height, width = (int(np.ceil(edge * scale)) for edge in image.shape[:2])
    scaled = load_cv2().resize(image, (width, height))
    scores, offsets = propose(as_input(scaled[np.newaxis]))
    rows, columns = np.nonzero(scores > PROPOSED)
    if len(rows) > MOST_PLACES:  # a page of faces or noise: hours, each compared with each
        best = np.sort(np.argsort(-scores[rows, columns], kind="stable")[:MOST_PLACES])
        rows, columns = rows[best], columns[best]
    corner = STRIDE * np.column_stack([columns, rows]) + 1
    boxes = np.column_stack([np.round(corner / scale), np.round((corner + CELL) / scale), scores[rows, columns],
                             offsets[:, rows, columns].T]).astype(np.float64)
    return boxes[suppress(boxes, 0.5)]


def as_input(pixels):
    """Return pixels ``(N, H, W, 3)`` as the networks take them, float32 ``(N, 3, H, W)``."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    planes -= 127.5
    planes *= 0.0078125
    return planes


def suppress(boxes, most, of_smaller=False):
    """Return the numbers of boxes to keep, by falling score: of those that overlap, the best.

    Parameters
    ----------
    boxes : numpy.ndarray
        Float ``(n, 5)`` or more columns: left, top, right, bottom, score.
    most : float
        The part of their union that two boxes may share.
    of_smaller : bool
        A part of the smaller box, in place of the union.

    Returns
    -------
    numpy.ndarray
        Int ``(k,)``.

    Examples
    --------
    >>> suppress(np.array([[0, 0, 9, 9, 0.5], [1, 0, 9, 9, 0.9], [20, 20, 29, 29, 0.7]]), 0.5).tolist()
    [1, 2]
    """
    left, top, right, bottom, score = boxes[:, :5].T
    area = (right - left + 1) * (bottom - top + 1)
    kept, order = [], np.argsort(score)[::-1]
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order]) + 1
        height = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        whole = np.minimum(area[best], area[order]) if of_smaller else area[best] + area[order] - shared
        order = order[shared <= most * whole]
    return np.array(kept, int)


def _moved(boxes, offsets):
    """Return boxes (n, 5) with their corners moved by parts of their size (n, 4)."""
    width, height = (boxes[:, 2:4] - boxes[:, :2] + 1).T
    return np.column_stack([boxes[:, :4] + np.column_stack([width, height] * 2) * offsets, boxes[:, 4]])


def _square(boxes):
    """Return boxes (n, 5) made square around their middle, at whole pixels."""
    size = boxes[:, 2:4] - boxes[:, :2] + 1
    edge = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + size * 0.5 - edge * 0.5
    return np.column_stack([np.round(corner), np.round(corner + edge - 1), boxes[:, 4]])


def _crops(image, boxes, edge, dtype):
    """Return the boxes that lie in the picture, and what is in them as a network's input ``(n, 3, edge, edge)``.

    What lies outside of the picture is black. `dtype` is what is resized: whole numbers for the second network, floats
    for the third, as upstream's.
    """
    cv2, (height, width) = load_cv2(), image.shape[:2]
    inside = (boxes[:, 2] >= 0) & (boxes[:, 3] >= 0) & (boxes[:, 0] < width) & (boxes[:, 1] < height)
    boxes = boxes[inside & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
    crops = np.zeros((len(boxes), edge, edge, 3), dtype)
    for crop, (left, top, right, bottom) in zip(crops, boxes[:, :4].astype(int)):
        whole = np.zeros((bottom - top + 1, right - left + 1, 3), dtype)
        part = image[max(top, 0):bottom + 1, max(left, 0):right + 1]
        whole[max(-top, 0):max(-top, 0) + part.shape[0], max(-left, 0):max(-left, 0) + part.shape[1]] = part
        crop[:] = cv2.resize(whole, (edge, edge))
    return boxes, as_input(crops)
