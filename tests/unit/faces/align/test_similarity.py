"""The similarity transform against scikit-image's formula written out, and against transforms that are known."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.align.similarity import REFERENCE, align_face, reference_points, similarity_transform


def known(angle, scale, shift):
    """Return the matrix (2, 3) of a rotation in radians, a scale and a shift."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def moved(points, matrix):
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("angle", [0, 0.3, -1.2, np.pi / 2, np.pi, 3])
@pytest.mark.parametrize("scale", [0.1, 1, 7.5])
def test_a_known_transform_is_found(angle, scale):
    matrix = known(angle, scale, (-40, 300))
    assert np.allclose(similarity_transform(REFERENCE, moved(REFERENCE, matrix)), matrix, atol=1e-9)


def test_it_is_the_least_sum_of_squares():
    """A slow search around the answer finds none better."""
    rng = np.random.default_rng(0)
    source = moved(REFERENCE, known(0.4, 2, (10, 20))) + rng.normal(0, 3, (5, 2))
    best = similarity_transform(source, REFERENCE)
    error = np.square(moved(source, best) - REFERENCE).sum()
    angle, scale = np.arctan2(best[1, 0], best[0, 0]), np.hypot(best[0, 0], best[1, 0])
    for _ in range(2000):
        other = known(angle + rng.normal(0, 0.01), scale * (1 + rng.normal(0, 0.01)),
                      best[:, 2] + rng.normal(0, 0.3, 2))
        assert np.square(moved(source, other) - REFERENCE).sum() >= error - 1e-9


def test_mirrored_points_give_no_reflection():
    matrix = similarity_transform(REFERENCE * [-1, 1], REFERENCE)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.full((5, 2), np.inf),
                                    np.zeros((0, 2)), REFERENCE * 1e200,
                                    np.array([[1e308, -1e308]] * 4 + [[-1e308, 1e308]])])
def test_points_in_one_place_are_refused(points):
    with pytest.raises(InputError, match="points cannot be aligned"):
        similarity_transform(points, REFERENCE)


@pytest.mark.parametrize("size, eye", [((112, 112), (38.2946, 51.6963)), ((224, 224), (76.5892, 103.3926)),
                                       ((112, 96), (30.2946, 51.6963)), ((128, 128), (46.2946, 51.6963)),
                                       ((256, 256), (92.5892, 103.3926))])
def test_reference_points_are_upstreams(size, eye):
    """Numbers of norm_crop (mode arcface), and of face_preprocess.py for 112x96."""
    assert np.allclose(reference_points(size)[0], eye)


def test_margin_shows_more_around_the_face():
    wide = reference_points(margin=0.25)
    assert np.allclose(wide - 56, (REFERENCE - 56) / 1.5)


def test_a_face_that_was_turned_comes_back():
    import cv2

    rng = np.random.default_rng(1)
    face = cv2.GaussianBlur(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8), (0, 0), 4)
    matrix = known(0.5, 2.5, (150, 40))
    scene = cv2.warpAffine(face, matrix, (600, 500))
    found = align_face(scene, moved(REFERENCE, matrix))
    assert np.abs(found[8:-8, 8:-8].astype(int) - face[8:-8, 8:-8]).max() <= 3
