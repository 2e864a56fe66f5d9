"""IJB's list files: what they say, and every row that does not fit is named with file and line."""
import os

import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.ijb import number_rows
from mxft.faces.evaluation.ijb.files import find_lists
from mxft.faces.evaluation.ijb.lists import read_faces, read_subjects, read_template_pairs

POINTS = "46.060 62.026 87.785 60.323 68.851 77.656 52.162 99.875 86.450 98.648"


@pytest.fixture
def write(here):
    def write(name, text):
        (here / name).write_bytes(text.encode())
        return name
    return write


def faces(write, media, points=None):
    return read_faces(write("media.txt", media), None if points is None else write("points.txt", points))


def refused(call):
    with pytest.raises(InputError) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("separator, end", [(" ", "\n"), ("\t", "\r\n"), ("  ", "\n\n")])
def test_faces_with_landmarks_and_scores(separator, end, write):
    rows = [("2.jpg", 7, 69544), ("a/1.jpg", 3, 1), ("2.jpg", 3, 1)]
    found = faces(write, "".join(separator.join(map(str, row)) + end for row in rows),
                  "".join(separator.join([row[0], *POINTS.split(), score]) + end
                          for row, score in zip(rows, ("0.999", "0", "1e-1"))))
    assert found.names == ["2.jpg", "a/1.jpg", "2.jpg"] and str(found) == "3 faces"
    assert (found.templates.tolist(), found.media.tolist()) == ([7, 3, 3], [69544, 1, 1])
    np.testing.assert_allclose(found.landmarks[2], np.float32(POINTS.split()).reshape(5, 2))
    np.testing.assert_allclose(found.scores, [0.999, 0, 0.1])
    assert found.place(2) == f"line {5 if end == chr(10) * 2 else 3} of media.txt"


def test_a_name_may_have_blanks_in_it(write):
    found = faces(write, "my face.jpg 1 2\n", f"my face.jpg {POINTS} 0.5\n")
    assert found.names == ["my face.jpg"] and found.scores.tolist() == [0.5]


@pytest.mark.parametrize("line", ["1.jpg 1", "1.jpg 1 2.5", "1.jpg -1 2", "1.jpg a 2", "1.jpg 1 9999999999999999999"])
def test_a_bad_row_of_templates(line, write):
    assert refused(lambda: faces(write, f"0.jpg 1 1\n{line}\n")) == (
        f"bad row in media.txt, line 2: expected image template medium, received {line!r}")


@pytest.mark.parametrize("line", [f"1.jpg {POINTS}", f"1.jpg {POINTS} nan", f"1.jpg {POINTS} -0.1", f"1.jpg {POINTS} x",
                                  f"1.jpg inf{POINTS[6:]} 1", "1.jpg"])
def test_a_bad_row_of_landmarks(line, write):
    message = refused(lambda: faces(write, "1.jpg 1 1\n", line))
    assert message == ("bad row in points.txt, line 1: expected image x1 y1 … x5 y5 score, the score from 0 up, "
                       f"received {line!r}")


def test_lists_that_do_not_belong_together(write):
    media = "1.jpg 1 1\n2.jpg 1 2\n"
    assert refused(lambda: faces(write, media, f"1.jpg {POINTS} 1\n\n3.jpg {POINTS} 1\n")) == (
        "lists do not belong together: expected 2.jpg, as line 2 of media.txt has it, received 3.jpg on line 3 of "
        "points.txt")
    for count in (1, 3):
        points = "".join(f"{k}.jpg {POINTS} 1\n" for k in range(1, count + 1))
        assert refused(lambda points=points: faces(write, media, points)) == (
            f"lists do not belong together: expected 2 rows, as media.txt has, received {count} in points.txt")
    assert "list of templates is empty" in refused(lambda: faces(write, "\n"))


def test_utf_16_is_read_and_what_is_no_text_is_not(write, here):
    (here / "media.txt").write_bytes("1.jpg 1 1\r\n".encode("utf-16"))
    assert read_faces("media.txt").names == ["1.jpg"]
    (here / "media.txt").write_bytes(b"1.jpg 1 1\n\xff\n")
    assert "expected UTF-8 text, received media.txt" in refused(lambda: read_faces("media.txt"))


@pytest.mark.parametrize("block", [1, 20, 1 << 22])
def test_pairs_are_places_among_the_templates(block, write, monkeypatch):
    monkeypatch.setattr(number_rows, "BLOCK", block)
    templates = np.array([2, 5, 9])
    left, right, issame = read_template_pairs(write("pairs.txt", "5 2 1\n9\t9\t0\r\n5 2 1\n"), templates)
    assert (left.tolist(), right.tolist(), issame.tolist()) == ([1, 2, 1], [0, 2, 0], [True, False, True])
    assert left.dtype == np.int32
    for text, message in (
            ("5 2 1\n\n5 4 0\n", "template without faces: expected one of the 3 templates that have images, received "
                                 "template=4 on line 3 of pairs.txt: '5 4 0'"),
            ("2 5 1\n" * 8 + "\n9 7 0\n", "received template=7 on line 10 of pairs.txt: '9 7 0'"),
            ("2 5 1\n" * 9 + "2 2 3\n", "bad row in pairs.txt, line 10"),
            ("10 2 1\n", "received template=10 on line 1"), ("1 2 1\n", "received template=1 on line 1"),
            ("5 2 2\n", "bad row in pairs.txt, line 1: expected template template 0|1, received '5 2 2'")):
        assert message in refused(lambda text=text: read_template_pairs(write("pairs.txt", text), templates))


def test_subjects_of_a_gallery(write):
    templates = np.array([2, 5, 9])
    text = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID\r\n9,70,img/1.png,4\r\n2,60,b.png,5\r\n9,70,img/2.png,6\r\n"
    places, subjects = read_subjects(write("G1.csv", text), templates)
    assert (places.tolist(), subjects.tolist()) == ([0, 2], [60, 70])
    places, subjects = read_subjects(write("G1.csv", '"9"\t70\n'), templates)           # no names of columns, tabs
    assert (places.tolist(), subjects.tolist()) == ([2], [70])


@pytest.mark.parametrize("text, message", [
    ("T,S\n9,70\n9,71\n", "template of two subjects: expected subject 70, as line 2 of G1.csv has it for template 9, "
                          "received subject=71 on line 3"),
    ("T,S\n4,70\n", "template without faces: expected one of the 3 templates that have images, received template=4 on "
                    "line 2 of G1.csv: '4,70'"),
    ("T,S\n9,a\n", "bad row in G1.csv, line 2: expected template,subject,…, received '9,a'"),
    ("T,S\nT,S\n", "bad row in G1.csv, line 2"),
    ("T,S\n9,70\nT,S\n", "bad row in G1.csv, line 3"), ("9\n", "bad row in G1.csv, line 1"),
    ("T,S\n", "list of subjects is empty"),
])
def test_a_bad_row_of_subjects(text, message, write):
    assert message in refused(lambda: read_subjects(write("G1.csv", text), np.array([2, 5, 9])))


def test_the_lists_of_a_folder(here):
    os.makedirs("IJBB/meta")
    for end in ("_face_tid_mid.txt", "_template_pair_label.txt", "_1N_gallery_S1.csv", "_1N_gallery_S2.csv"):
        (here / "IJBB/meta" / ("IJBB" + end)).touch()
    (here / "IJBB/meta/ijbb_1N_probe_mixed.csv").touch()
    for folder in ("IJBB", "IJBB/meta", f"{here}/IJBB/meta", "IJBB/meta/"):
        found = find_lists(folder)
        assert found.name == "IJBB" and found.points is None and sorted(found.galleries) == ["G1", "G2"]
        assert os.path.samefile(found.probes, "IJBB/meta/ijbb_1N_probe_mixed.csv")
        assert os.path.abspath(found.images) == f"{here}/IJBB/loose_crop"
    (here / "IJBB/meta/ijbc_face_tid_mid.txt").touch()
    assert "expected NAME_face_tid_mid.txt of one data set in IJBB/meta, received IJBB and ijbc" in refused(
        lambda: find_lists("IJBB"))
    assert "expected a folder such as IJBC/meta, received 'none'" in refused(lambda: find_lists("none"))
    assert "received none; there are none" in refused(lambda: (os.mkdir("empty"), find_lists("empty")))
