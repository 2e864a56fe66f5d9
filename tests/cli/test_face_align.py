"""``mxft face-align`` and ``face-pack --align`` as a user runs them, on LFW faces in scenes of their own."""
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.faces.align.similarity import REFERENCE
from mxft.faces.data.layout import read_face_set
from tests.support.lfw import lfw_faces


@pytest.fixture
def photographs(here):
    """Two people with two photographs of 300 x 240 each, and one of nobody."""
    for number, face in enumerate(lfw_faces(4)):
        scene = np.full((240, 300, 3), (90, 120, 80), np.uint8)
        scene[50:190, 100:240] = cv2.resize(face, (140, 140))
        path = here / "photos" / f"p{number // 2}" / f"{number}{('.jpg', '.webp', '.png', '.bmp')[number]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), scene)
    cv2.imwrite(str(here / "photos" / "p1" / "nobody.jpg"), np.full((240, 300, 3), 90, np.uint8))
    return here


@pytest.mark.data
def test_photographs_become_faces(photographs, capsys):
    assert main(["face-align", "photos", "aligned", "--num-thread", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("aligned 4 faces of 5 pictures into aligned (112 x 112, ")
    assert out[1] == "1 without a face: listed in aligned/notes.tsv"
    assert sorted(os.listdir("aligned/p0")) == ["0.jpg", "1.jpg"] and sorted(os.listdir("aligned/p1")) == ["2.jpg",
                                                                                                           "3.jpg"]
    assert cv2.imread("aligned/p0/0.jpg").shape == (112, 112, 3)
    assert main(["face-align", "photos", "aligned"]) == 0
    assert capsys.readouterr().out.startswith("aligned 4 faces of 5 pictures into aligned (112 x 112); 5 pictures done "
                                               "before\n")


@pytest.mark.data
def test_face_pack_aligns_and_packs(photographs, capsys):
    assert main(["face-pack", "photos", "faces", "--align"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("packed 4 images of 2 identities") and "left out 1 bad images" in out and err == ""
    assert (photographs / "faces" / "train.bad.tsv").read_text().splitlines()[1] == "p1\tp1/nobody.jpg\tno face found"
    assert read_face_set("faces").image_size == (112, 112)
    assert main(["face-align", "photos", "aligned"]) == 0
    assert main(["face-pack", "aligned", "again"]) == 0
    with open("faces/train.rec", "rb") as one, open("again/train.rec", "rb") as other:
        assert one.read() == other.read()
    assert "not aligned" not in capsys.readouterr().err


@pytest.mark.data
def test_photographs_packed_as_they_are_are_warned_of(photographs, capsys):
    for place, _, names in os.walk("photos"):
        for name in names:
            image = cv2.imread(os.path.join(place, name))
            scene = cv2.copyMakeBorder(image, 160, 0, 0, 100, cv2.BORDER_REPLICATE)
            cv2.imwrite(os.path.join(place, os.path.splitext(name)[0] + ".jpg"), scene)
    assert main(["face-pack", "photos", "faces"]) == 0
    assert capsys.readouterr().err.startswith("the faces seem not aligned: of 5 images looked at 0 have their eyes")


def test_a_list_with_landmarks_is_aligned_and_packed(here, capsys):
    cv2.imwrite("a.jpg", np.zeros((200, 200, 3), np.uint8))
    numbers = "\t".join(f"{value:.1f}" for value in np.ravel(REFERENCE.T))
    (here / "faces.lst").write_text(f"0\ta.jpg\t7\t1\t2\t90\t95\t{numbers}\n")
    assert main(["face-pack", "faces.lst", "out"]) == 2
    assert capsys.readouterr().err.rstrip().endswith("--align cuts the faces out")
    assert main(["face-pack", "faces.lst", "out", "--align"]) == 0
    assert (here / "out" / "identities.txt").read_text() == "7\n"
    assert main(["face-align", ".", "crops", "--landmarks", "faces.lst"]) == 2  # crops would lie among the pictures
    (here / "pictures").mkdir()
    os.rename("a.jpg", "pictures/a.jpg")
    assert main(["face-align", "pictures", "crops", "--landmarks", "faces.lst"]) == 0
    assert "landmarks: 1 of 1 rows of faces.lst, read as label and box, five x, five y" in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    (["face-align", "photos", "out", "--detector", "gone"], "--detector: expected mtcnn, the folder or prefix"),
    (["face-align", "gone", "out"], "pictures is missing"),
    (["face-align", "photos", "out", "--confidence", "1"], "--confidence: expected a number"),
    (["face-align", "photos", "out", "--size", "5"], "--size: expected a tuple"),
    (["face-align", "photos", "out", "--landmarks", "l.txt", "--turned"], "--turned: expected pictures to look for"),
    (["face-pack", "photos", "out", "--min-size", "40"], "--min-size: expected --align beside it, received min_size")])
def test_refusals_are_one_line_and_exit_2(here, capsys, words, message):
    (here / "photos" / "p").mkdir(parents=True)
    cv2.imwrite("photos/p/a.jpg", np.zeros((50, 50, 3), np.uint8))
    (here / "l.txt").write_text("p/a.jpg " + " ".join(f"{value}" for value in np.ravel(REFERENCE)) + "\n")
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err


def test_it_runs_without_mxnet(here):
    (here / "mxnet.py").write_text("raise ImportError('face-align must not import mxnet')\n")
    cv2.imwrite("a.jpg", np.zeros((60, 60, 3), np.uint8))
    done = subprocess.run([sys.executable, "-m", "mxft", "face-align", "a.jpg", "out"], capture_output=True, text=True)
    assert done.returncode == 3 and "no face was aligned: expected one in at least one of 1 picture" in done.stderr
