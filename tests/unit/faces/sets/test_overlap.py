"""What a training set knows of a verification set: images by bytes and looks, people by centres; a sample is told."""
import numpy as np
import pytest

from mxft.faces.data.layout import read_face_set
from mxft.faces.pairs.bin_file import PairSet
from mxft.faces.sets.overlap import measure_overlap, tell_overlap
from tests.support.face_sets import ColourEmbedder, person_image, write_set


@pytest.fixture
def training(tmp_path):
    return write_set(tmp_path / "set", {f"p{k}": [person_image(k, i) for i in range(4)] for k in range(0, 8, 2)})


@pytest.fixture
def pairs():
    """p0's first image in two pairs, and p2's as JPEG; p4's with a new one; two strangers' (9 and 11)."""
    known, copy = person_image(0, 0), person_image(2, 0, ".jpg")
    images = [known, person_image(9, 0), known, copy, person_image(4, 77), person_image(9, 1), person_image(11, 0),
              person_image(11, 1)]
    return PairSet("toy", images, np.array([False, False, False, True]))


def test_images_and_people_are_counted_with_their_pairs(training, pairs, tmp_path):
    overlap, = measure_overlap(training, [pairs], ColourEmbedder(), 0.97, str(tmp_path / "list.tsv"), 1, False)
    assert {place: row[1] for place, row in overlap.same.items()} == {0: 0, 2: 2}
    assert {place: label for place, (label, _) in overlap.people.items()} == {0: 0, 2: 1, 3: 2}
    assert (overlap.images, overlap.pairs, overlap.touched) == (7, 4, (2, 3))
    assert str(overlap).splitlines() == [
        "toy: 2 of 7 images are in the training set (1 same bytes, 1 near), in 2 of 4 pairs",
        "toy: 3 of 7 images are nearest to somebody of the training set at a cosine of 0.970 or more, in 3 of 4 pairs"]
    lines = [line.split("\t") for line in (tmp_path / "list.tsv").read_text().splitlines()]
    assert lines[1][:6] == ["toy", "0", "left", "same bytes", "p0", "p0/0.png"] and len(lines) == 1 + 3 + 4
    assert lines[-1][:5] == ["toy", "2", "left", "person", "p4"] and float(lines[-1][6]) > 0.97


def test_without_a_network_images_alone(training, pairs):
    overlap, = measure_overlap(training, [pairs], threads=1, show=False)
    assert overlap.people == {} and overlap.threshold is None and len(str(overlap).splitlines()) == 1


def test_a_run_is_told_before_it_begins(training, pairs, capfd):
    faces = read_face_set(training, show=False)
    told = tell_overlap(faces, [pairs], 1)
    assert (told["looked_at"], told["images"], told["found"]) == (16, 16, {"toy": 2})
    assert ("images of the verification sets that are in the training set: 2 of 7 in toy; those numbers say what is "
            "remembered, not how new faces are told apart") in "".join(capfd.readouterr())
    assert tell_overlap(faces, []) == {}


def test_a_large_set_is_sampled_and_that_is_said(training, pairs, capfd):
    told = tell_overlap(read_face_set(training, show=False), [pairs], 1, most=3)
    assert told["looked_at"] == 3 and "are in 3 of 16 training images looked at: 1 of 7 in toy" in "".join(
        capfd.readouterr())
