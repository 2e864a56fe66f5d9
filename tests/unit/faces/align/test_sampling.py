"""What is said of faces before they are packed: scenes, aligned crops, crops that all lie beside the points."""
import cv2
import numpy as np
import pytest

from mxft.faces.align.sampling import alignment_note
from tests.support.lfw import lfw_faces

pytestmark = pytest.mark.data


def encoded(images):
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def shifted(images, right):
    matrix = np.array([[1, 0, right], [0, 1, 0]], float)
    return [cv2.warpAffine(image, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE) for image in images]


def test_lfws_crops_lie_eight_pixels_to_the_left():
    """Found by two detectors, and to be seen: the archive's points are those of 112x96, in 112x112."""
    faces = lfw_faces(6)
    assert alignment_note(encoded(faces)) == (
        "the faces lie 8 pixels to the left of insightface's points, all alike (of 112); a network trained on aligned "
        "faces does a little worse on them")
    assert alignment_note(encoded(shifted(faces, 8))) == ""


def test_whole_scenes_are_not_aligned():
    scenes = [cv2.copyMakeBorder(face, 20, 140, 90, 70, cv2.BORDER_REPLICATE) for face in lfw_faces(5)]
    assert alignment_note(encoded(scenes)).startswith("the faces seem not aligned: of 5 images looked at 0 have their")


def test_no_faces_are_not_aligned_either():
    grey = [np.full((112, 112, 3), 99, np.uint8)] * 3
    assert alignment_note(encoded(grey)).endswith("and none is seen in 3; `align` finds and aligns the faces of "
                                                  "photographs")
    assert alignment_note([]) == ""
