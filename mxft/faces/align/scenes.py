"""Photographs made of face crops, for demonstrations and measurements where no real ones are at hand.

A crop is cut out along an oval and pasted into a scene at a size, an angle and a place that are known, and so are its
landmarks. Faces can be drawn, too: nobody's, alike enough within a person and different enough between people to learn.
"""
from typing import NamedTuple

import numpy as np

from mxft.compat import load_cv2
from mxft.faces.align.similarity import REFERENCE

SIZE = 112                       # of a crop
SCENE = (480, 640)
_SKIN = np.array([[180, 205, 240], [150, 180, 225], [120, 150, 205], [90, 120, 175], [60, 85, 130]], float)


class Pasted(NamedTuple):
    """A face in a scene: its `landmarks` float64 ``(5, 2)``, and the edge of its crop in pixels, `size`."""

    landmarks: np.ndarray
    size: float


def make_scene(crops, rng, size=SCENE, sizes=(60, 220), most_degrees=20, background=None):
    """Paste face crops into a scene, each in a column of its own.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Uint8 ``(112, 112, 3)``, BGR.
    rng : numpy.random.Generator
    size : (H, W)
        Of the scene.
    sizes : (int, int), or a sequence of them
        Smallest and largest edge of a pasted crop in pixels, of all or of each.
    most_degrees : float
        A face is turned by up to so much.
    background : numpy.ndarray, optional
        Uint8 ``(H, W, 3)``; blurred noise when None.

    Returns
    -------
    scene : numpy.ndarray
        Uint8 ``(H, W, 3)``, BGR.
    faces : list of Pasted
    """
    height, width = size
    scene = (_noise(rng, size) if background is None else load_cv2().resize(background, (width, height))).astype(float)
    column, faces = width / len(crops), []
    each = sizes if isinstance(sizes[0], (tuple, list)) else [sizes] * len(crops)
    for number, (crop, (low, high)) in enumerate(zip(crops, each)):
        edge = rng.uniform(low, min(high, column / 1.2, height / 1.2))
        angle = np.deg2rad(rng.uniform(-most_degrees, most_degrees))
        reach = 0.6 * edge
        centre = [column * number + rng.uniform(reach, max(column - reach, reach + 1)),
                  rng.uniform(reach, max(height - reach, reach + 1))]
        scene, landmarks = _paste(scene, crop, edge, angle, centre)
        faces.append(Pasted(landmarks, edge))
    return np.clip(scene, 0, 255).astype(np.uint8), faces


def _paste(scene, crop, edge, angle, centre):
    """Return the scene with a crop in it, and where the crop's reference points have come to lie."""
    cv2, shape = load_cv2(), scene.shape[1::-1]
    linear = edge / SIZE * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([linear, centre - linear @ [SIZE / 2, SIZE / 2]])
    oval = cv2.ellipse(np.zeros((SIZE, SIZE), np.float32), (SIZE // 2, 60), (50, 56), 0, 0, 360, 1, -1)
    mask = cv2.warpAffine(cv2.GaussianBlur(oval, (0, 0), 3), matrix, shape)[..., None]
    pixels = cv2.warpAffine(crop, matrix, shape, flags=cv2.INTER_CUBIC)
    return scene * (1 - mask) + pixels * mask, REFERENCE @ linear.T + matrix[:, 2]


def _noise(rng, size):
    cv2 = load_cv2()
    coarse = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def drawn_face(person, image):
    """Draw a face: the same person's with the same number, another view of it with another `image`.

    Parameters
    ----------
    person, image : int

    Returns
    -------
    numpy.ndarray
        Uint8 ``(112, 112, 3)``, BGR, its landmarks near insightface's points.
    """
    cv2, own, now = load_cv2(), np.random.default_rng(person), np.random.default_rng((person, image))
    scale = 4
    points = (REFERENCE + now.normal(0, 1.2, (5, 2))) * scale
    face = np.full((SIZE * scale, SIZE * scale, 3), own.integers(60, 200), np.uint8)
    skin = _SKIN[own.integers(len(_SKIN))] + own.normal(0, 12, 3)
    hair, iris, lips = own.integers(10, 150, 3), own.integers(20, 140, 3), skin * [0.7, 0.6, 0.85]
    wide, tall = own.uniform(38, 46), own.uniform(50, 58)

    def oval(centre, axes, colour, angle=0.0):
        cv2.ellipse(face, tuple(int(v) for v in centre), tuple(max(1, int(v * scale)) for v in axes), angle, 0, 360,
                    tuple(int(v) for v in np.clip(colour, 0, 255)), -1, cv2.LINE_AA)

    middle = np.array([56, 66]) * scale
    oval(middle - [0, own.uniform(8, 16) * scale], (wide + own.uniform(2, 8), tall), hair)
    oval(middle, (wide, tall), skin)
    oval(middle + [0, tall * 0.5 * scale], (wide * 0.7, tall * 0.4), skin * 0.97)
    eye, brow = own.uniform(5.5, 8), own.uniform(1.2, 3)
    for point in points[:2]:
        oval(point, (eye + 2, eye * 0.75 + 1), skin * 0.8)
        oval(point, (eye, eye * 0.55), (235, 235, 235))
        oval(point, (eye * 0.5, eye * 0.5), iris)
        oval(point, (eye * 0.25, eye * 0.25), (10, 10, 10))
        oval(point - [0, (eye + own.uniform(2, 5)) * scale], (eye + 3, brow), hair * 0.6)
    nose = own.uniform(4, 7)
    oval(points[2] - [0, 8 * scale], (nose * 0.5, 12), skin * 1.06)
    oval(points[2], (nose, nose * 0.6), skin * 0.86)
    mouth = (points[3] + points[4]) / 2
    oval(mouth, (np.ptp(points[3:, 0]) / scale / 2, own.uniform(2.5, 6)), lips)
    oval(mouth, (np.ptp(points[3:, 0]) / scale / 2 - 1, 1), lips * 0.5)
    if own.random() < 0.3:
        oval(mouth + [0, 12 * scale], (own.uniform(8, 20), own.uniform(4, 10)), hair)
    face = cv2.GaussianBlur(face, (0, 0), 3)
    light = now.uniform(0.8, 1.15) + np.linspace(-1, 1, SIZE)[None, :, None] * now.uniform(-0.15, 0.15)
    small = cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_AREA) * light + now.normal(0, 4, (SIZE, SIZE, 3))
    return np.clip(small, 0, 255).astype(np.uint8)
