"""The similarity transform that brings five landmarks onto insightface's reference points, and the crop it gives.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (PAMI 1991), Eq. 40-42, as
``norm_crop`` of insightface's python-package/insightface/utils/face_align.py and its older face_preprocess.py use it.
"""
import numpy as np

from mxft.compat import load_cv2
from mxft.errors import InputError
from mxft.faces.align.options import SIZE

# (x, y) in a 112x112 crop: left eye, right eye (as seen), tip of the nose, left and right corner of the mouth
REFERENCE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                      [70.7299, 92.2041]])


def reference_points(size=SIZE, margin=0.0):
    """Return where the five landmarks of an aligned face lie.

    Parameters
    ----------
    size : (H, W)
        Of the crop in pixels.
    margin : float
        What is added around insightface's crop on each side, as a part of its edge: 0.25 makes the face two thirds
        as large. 0 is what insightface's networks were trained on.

    Returns
    -------
    numpy.ndarray
        Float64 ``(5, 2)``, x and y in pixels.

    Notes
    -----
    insightface's points of 112x112, scaled with the height. For 112x96 they move 8 pixels to the left, and for squares
    of 128 and its multiples, up to where 112 divides them too, they are those of 112 in the upper middle of 128: both
    as upstream's.

    Examples
    --------
    >>> reference_points()[0].tolist(), reference_points((112, 96))[0].round(4).tolist()
    ([38.2946, 51.6963], [30.2946, 51.6963])
    """
    height, width = size
    if height == width and height % 112 and not height % 128:
        points = (REFERENCE + [8, 0]) * (height / 128)
    else:
        points = REFERENCE * (height / 112) + [(width - height) / 2, 0]
    centre = np.array([width, height]) / 2
    return (points - centre) / (1 + 2 * margin) + centre


def similarity_transform(source, target):
    """Return the rotation, uniform scale and translation that bring points nearest to others.

    Parameters
    ----------
    source, target : array
        Float ``(N, 2)``, x and y.

    Returns
    -------
    numpy.ndarray
        Float64 ``(2, 3)``: ``target ≈ source @ M[:, :2].T + M[:, 2]`` with the least sum of squares, without
        reflection.

    Raises
    ------
    InputError
        Points that are not finite, or all in one place.

    Examples
    --------
    >>> (similarity_transform([[0, 0], [1, 0], [0, 1]], [[5, 5], [7, 5], [5, 7]]).round(6) + 0).tolist()
    [[2.0, 0.0, 5.0], [0.0, 2.0, 5.0]]
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    finite = len(source) and np.isfinite(source).all() and np.isfinite(target).all()
    with np.errstate(over="ignore", invalid="ignore"):  # of points beyond all pictures, which are refused
        spread = source.var(axis=0).sum() if finite else 0
    if not 1e-9 <= spread < np.inf:
        raise InputError("points cannot be aligned: expected landmarks in different places, received "
                         f"{[[float(f'{value:.8g}') for value in point] for point in source.tolist()]}")
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    left, singular, right = np.linalg.svd((target - goal).T @ (source - middle) / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    rotation = left @ np.diag(signs) @ right
    linear = rotation * ((singular * signs).sum() / spread)
    return np.column_stack([linear, goal - linear @ middle])


def align_face(image, landmarks, size=SIZE, margin=0.0):
    """Return a face turned, scaled and cropped so that its landmarks lie at insightface's points.

    Parameters
    ----------
    image : numpy.ndarray
        Uint8 ``(H, W, 3)``; the order of the colour channels stays what it is.
    landmarks : array
        Float ``(5, 2)``: left eye, right eye, nose, left and right corner of the mouth, as they are seen in the image.
    size, margin
        See `reference_points`.

    Returns
    -------
    numpy.ndarray
        Uint8 ``(size[0], size[1], 3)``, bilinear; what lies outside of the image is black, as upstream's.

    Raises
    ------
    InputError
        Landmarks all in one place, or not finite.

    Examples
    --------
    >>> face = np.full((112, 112, 3), 7, np.uint8)
    >>> bool((align_face(face, reference_points()) == face).all())
    True
    """
    cv2 = load_cv2()
    matrix = similarity_transform(landmarks, reference_points(size, margin))
    return cv2.warpAffine(image, matrix, (size[1], size[0]), borderValue=0.0)
