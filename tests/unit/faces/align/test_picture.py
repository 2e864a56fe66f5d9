"""One picture to its faces: which is taken, how turned pictures are treated, what is said."""
import cv2
import numpy as np
import pytest

from mxft.data.images import BadImage
from mxft.errors import InputError
from mxft.faces.align.detection import Detections
from mxft.faces.align.options import AlignOptions
from mxft.faces.align.picture import align_picture, face_of_bytes
from mxft.faces.align.similarity import REFERENCE, reference_points


def encoded(image, ending=".png"):
    return cv2.imencode(ending, image)[1].tobytes()


def faces_at(*places):
    """A finder that always sees faces of a size (pixels) at a corner (x, y)."""
    def finder(image):
        boxes = [[x, y, x + size, y + size] for size, x, y in places]
        points = [REFERENCE * size / 112 + [x, y] for size, x, y in places]
        return Detections(np.array(boxes, float), np.linspace(0.99, 0.95, len(places)), np.array(points))
    return finder


def blurred(seed, size):
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 3)


SCENE = blurred(0, (300, 400))
SEVERAL = faces_at((50, 10, 10), (100, 290, 190), (80, 160, 110))


def test_the_largest_face_is_taken_and_the_others_are_said():
    found = align_picture(encoded(SCENE), SEVERAL, AlignOptions(encoding=".png"))
    assert found.found == 3 and found.note == "3 faces (100, 80, 50 pixels), the largest was taken"
    (face,) = found.faces
    assert face.box == (290, 190, 390, 290) and face.score == 0.97
    crop = face.pixels
    expected = cv2.resize(SCENE[190:290, 290:390], (112, 112))
    assert crop.shape == (112, 112, 3) and np.abs(crop[8:-8, 8:-8].astype(int) - expected[8:-8, 8:-8]).mean() < 2


def test_the_central_one_or_all():
    (central,) = align_picture(encoded(SCENE), SEVERAL, AlignOptions(choose="central")).faces
    assert central.box[0] == 160
    everyone = align_picture(encoded(SCENE), SEVERAL, AlignOptions(every=True))
    assert [face.box[0] for face in everyone.faces] == [290, 160, 10] and everyone.note.endswith("all were taken")


def test_size_margin_and_quality():
    wide, = align_picture(encoded(SCENE), faces_at((100, 150, 100)), AlignOptions(size=(80, 60), margin=0.5)).faces
    crop = wide.pixels
    assert crop.shape == (80, 60, 3)
    matrix = cv2.estimateAffinePartial2D(REFERENCE * 100 / 112 + [150, 100], reference_points((80, 60), 0.5))[0]
    assert np.abs(crop.astype(int) - cv2.warpAffine(SCENE, matrix, (60, 80))).mean() < 3
    small = [len(face_of_bytes(encoded(SCENE), faces_at((100, 9, 9)), AlignOptions(quality=q))[0]) for q in (30, 95)]
    assert small[0] < small[1]


def upright_only(image):
    """Sees a face where the picture's top left corner is white."""
    return faces_at((100, 20, 20))(image) if image[0, 0].min() > 200 else Detections.none()


@pytest.mark.parametrize("quarter, word", [(1, "right"), (2, "down"), (3, "left")])
def test_a_face_that_lies_on_its_side(quarter, word):
    upright = SCENE.copy()
    upright[:15, :15] = 255
    data = encoded(np.ascontiguousarray(np.rot90(upright, -quarter)))
    found = align_picture(data, upright_only, AlignOptions())
    assert found.faces == [] and found.note == (f"no upright face, but a face whose head points {word}; `turned` takes "
                                                "it")
    taken = align_picture(data, upright_only, AlignOptions(turned=True, encoding=".png"))
    plain = align_picture(encoded(upright), upright_only, AlignOptions(encoding=".png"))
    assert (taken.faces[0].pixels == plain.faces[0].pixels).all() and taken.note == f"a face whose head points {word}"


def test_none_at_all():
    assert align_picture(encoded(SCENE), upright_only, AlignOptions()) == ([], 0, "no face found")


def test_what_is_no_picture():
    with pytest.raises(BadImage, match="empty file"):
        align_picture(b"", SEVERAL, AlignOptions())


@pytest.mark.parametrize("options", [{"size": (8, 8)}, {"margin": -1}, {"choose": "best"}, {"quality": 0},
                                     {"encoding": ".gif"}, {"every": 1}, {"size": 112}])
def test_options_are_held_to_their_kinds(options):
    with pytest.raises(InputError, match=next(iter(options))):
        AlignOptions(**options)
