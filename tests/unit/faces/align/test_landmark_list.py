"""Lists with landmarks: each kind of row, the order told by trying, refusals with their line."""
import cv2
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.align.detection import Detections
from mxft.faces.align.landmark_list import ListedFaces, read_landmark_list
from mxft.faces.align.picture import detections_of
from mxft.faces.align.similarity import REFERENCE

RNG = np.random.default_rng(0)
POINTS = [REFERENCE * scale + RNG.normal(0, 2, (5, 2)) + shift for scale, shift in ((1, 10), (2, 50), (0.6, 200))]


def numbers(values, blank="\t"):
    return blank.join(f"{value:.1f}" for value in np.ravel(values))


def rows(form):
    return "".join(form(number, points) + "\n" for number, points in enumerate(POINTS))


FORMS = {
    "face2rec2": (lambda n, p: f"0\ta/{n}.jpg\t{n}\t1\t2\t90\t95\t{numbers(p.T)}", "label and box, five x, five y",
                  True, True),
    "face2rec2 with a tab at its end": (lambda n, p: f"0\ta/{n}.jpg\t{n}\t1\t2\t90\t95\t{numbers(p.T)}\t",
                                        "label and box, five x, five y", True, True),
    "ms-celeb": (lambda n, p: f"a/{n}.jpg {n} {numbers(p, ' ')}", "label, x y, x y …", True, False),
    "casia": (lambda n, p: f"a/{n}.jpg\t{n}\t{numbers(p)}", "label, x y, x y …", True, False),
    "celeba": (lambda n, p: ("3\nlefteye_x lefteye_y righteye_x\n" if n == 0 else "") + f"a/{n}.jpg {numbers(p, ' ')}",
               "x y, x y …", False, False),
    "ijb": (lambda n, p: f"a/{n}.jpg {numbers(p, ' ')} 0.9{n}", "x y, x y …, score", False, False),
    "x first without a label": (lambda n, p: f"a/{n}.jpg {numbers(p.T, ' ')}", "five x, five y", False, False),
    "box and points": (lambda n, p: f"a/{n}.jpg 1 2 90 95 {numbers(p, ' ')}", "box, x y, x y …", False, True),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_told(name, tmp_path):
    form, how, labelled, boxed = FORMS[name]
    (tmp_path / "list.txt").write_text(rows(form))
    found, told = read_landmark_list(tmp_path / "list.txt")
    assert told == how and [row.path for row in found] == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]
    assert np.allclose([row.landmarks for row in found], POINTS, atol=0.06)
    assert [row.label for row in found] == (["0", "1", "2"] if labelled else [None] * 3)
    assert all((row.box is not None) == boxed for row in found)


def test_rows_with_a_box_alone_or_nothing(tmp_path):
    (tmp_path / "list.lst").write_text("0\ta.jpg\t4\t1\t2\t30\t40\n0\tb.jpg\t5\n1\tc.jpg\t5\n")
    found, told = read_landmark_list(tmp_path / "list.lst")
    assert told == "" and found[0].box.tolist() == [1, 2, 30, 40] and found[1].box is None
    assert [row.label for row in found] == ["4", "5", "5"] and [row.aligned for row in found] == [False, False, True]


@pytest.mark.parametrize("text, message", [
    ("", "list of landmarks is empty"),
    ("a.jpg 1 2 3\n", r"bad row in .*, line 1: expected a path with a label, a box of four numbers or five landmarks"),
    ("a.jpg 1 x y\n", r"bad row in .*, line 1: expected a path and numbers"),
    ("7\ta.jpg\t1\n", r"bad row in .*, line 1: .*0 or 1 before the path"),
    (f"a.jpg 0 {numbers(POINTS[0], ' ')}\nb.jpg 0 1 2 3\n", r"bad row in .*, line 2: expected 11 .* received 4"),
    ("a.jpg 0 " + " ".join(["1e308", "-1e308"] * 5) + "\n", "numbers are no face's in any order"),
    (f"a.jpg 1e30 {numbers(POINTS[0], ' ')}\n", "bad row in .*, line 1: expected a label below"),
    ("a.jpg 0 9 9 9 9 9 9 9 9 9 9\n", "numbers are no face's in any order"),
    ("a.jpg 0 " + " ".join(map(str, range(0, 100, 10))) + "\n", "numbers are no face's in any order")])
def test_refusals_name_the_line(text, message, tmp_path):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_landmark_list(tmp_path / "list.txt")


SEEN = np.zeros((100, 120, 3), np.uint8)


@pytest.fixture
def pictures(tmp_path):
    for name in ("a", "b", "c", "d"):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.zeros((100, 120, 3), np.uint8))
    return tmp_path


def listed(pictures, text, detector=None):
    (pictures / "list.txt").write_text(text)
    return ListedFaces(read_landmark_list(pictures / "list.txt")[0], str(pictures), detector)


def test_a_listed_face_is_where_the_list_says(pictures):
    found = listed(pictures, f"a.jpg 0 {numbers(POINTS[0], ' ')}\n").of("a.jpg", SEEN)
    assert np.allclose(found.landmarks[0], POINTS[0], atol=0.06)
    left, top = found.boxes[0, :2]
    assert left < POINTS[0][:, 0].min() and top < POINTS[0][:, 1].min()


def test_landmarks_of_nobody_are_left_out_with_the_line(pictures):
    faces = listed(pictures, rows(lambda n, p: f"{'abc'[n]}.jpg 0 {numbers(p, ' ')}") + "d.jpg 0" + " 5" * 10 + "\n")
    assert len(faces.of("d.jpg", SEEN)) == 0
    assert faces.missing("d.jpg") == "landmarks of line 4 are no face's, or lie outside of the picture"


def test_a_face_outside_of_the_picture_is_none(pictures):
    """The list is of the pictures at another size: a crop would be black."""
    faces = listed(pictures, f"a.jpg 0 {numbers(POINTS[0] + 1000, ' ')}\n")
    assert len(faces.of("a.jpg", SEEN)) == 0 and "outside of the picture" in faces.missing("a.jpg")


def test_large_labels_stay_different(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{label}.jpg {label} {numbers(POINTS[0], ' ')}\n"
                                               for label in (1234567, 1234568)))
    assert [row.label for row in read_landmark_list(tmp_path / "list.txt")[0]] == ["1234567", "1234568"]


def test_a_picture_of_two_people_has_no_label(pictures):
    faces = listed(pictures, f"a.jpg 0 {numbers(POINTS[0], ' ')}\na.jpg 1 {numbers(POINTS[0] + 3, ' ')}\n")
    with pytest.raises(InputError, match="picture of two people: .* received 0 on line 1 of the list and 1 on line 2"):
        faces.label("a.jpg")


def test_of_a_box_alone_the_detector_finds_the_face_in_it(pictures):
    boxes = np.array([[0, 0, 20, 20], [50, 50, 90, 90.0]])
    detector = type("Made", (), {"settings": {}, "__call__": lambda self, image: Detections(
        boxes, np.ones(2), np.stack([REFERENCE, REFERENCE + 50]))})()
    faces = listed(pictures, "0\ta.jpg\t0\t48\t52\t92\t91\n0\tb.jpg\t0\t100\t0\t119\t10\n0\tc.jpg\t0\n", detector)
    assert faces.of("a.jpg", None).boxes.tolist() == [[50, 50, 90, 90]]
    assert len(faces.of("b.jpg", None)) == 0 and faces.missing("b.jpg") == "no face found in the box of the list"
    assert len(faces.of("c.jpg", None)) == 2


def test_what_is_aligned_already_is_taken_whole(pictures):
    faces = listed(pictures, "1\ta.jpg\t0\n")
    assert np.allclose(faces.of("a.jpg", np.zeros((224, 224, 3))).landmarks, 2 * REFERENCE)


def test_a_list_of_other_pictures_is_refused(pictures):
    with pytest.raises(InputError, match="pictures of the list are missing: .*received none of 1, as 'gone.jpg'"):
        listed(pictures, "0\tgone.jpg\t0\n")


def test_the_box_of_landmarks_holds_them():
    least, most = REFERENCE.min(axis=0), REFERENCE.max(axis=0)
    assert np.allclose(detections_of(REFERENCE).boxes[0], [*(1.5 * least - 0.5 * most), *(1.5 * most - 0.5 * least)])
