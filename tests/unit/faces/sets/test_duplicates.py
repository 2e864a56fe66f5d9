"""Duplicates by bytes, by pixels and near, within a person, under two names, in two sets; the groups against a loop."""
import cv2
import numpy as np
import pytest

from mxft.faces.pairs.bin_file import decode_rgb
from mxft.faces.sets import prints
from mxft.faces.sets.duplicates import ACROSS, BETWEEN, WITHIN, find_set_duplicates
from mxft.faces.sets.prints import BYTES, PIXELS, alike, groups, take_prints
from tests.support.face_sets import write_set
from tests.support.images import encoded


def photograph(seed):
    """A BGR image of soft shapes, so that a copy at another quality has its hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


def copies(seed):
    """Return a JPEG, a PNG of the pixels it decodes to, and a JPEG of lower quality."""
    jpeg = encoded(photograph(seed), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    return jpeg, encoded(decode_rgb(jpeg)[:, :, ::-1], ".png"), encoded(photograph(seed), ".jpg",
                                                                        cv2.IMWRITE_JPEG_QUALITY, 50)


@pytest.fixture
def sets(tmp_path):
    one, two, three = copies(1), copies(2), copies(3)
    a = write_set(tmp_path / "a", {"Ada": [one[0], copies(9)[0], one[0]], "Bob": [two[0], b"\xff\xd8 no image"],
                                   "Cy": [two[1], copies(8)[0]]}, size=(64, 64))
    b = write_set(tmp_path / "b", {"Ada": [three[0], copies(7)[0]], "Eve": [copies(8)[2]]}, size=(64, 64))
    return a, b


def test_kinds_and_places(sets, tmp_path):
    found = find_set_duplicates(sets, str(tmp_path / "list.tsv"), threads=2, show=False)
    assert [(kind, where, places) for kind, where, places in found.groups] == [
        ("same bytes", WITHIN, [(0, 0), (0, 2)]), ("same pixels", ACROSS, [(0, 3), (0, 5)]),
        ("near", BETWEEN, [(0, 6), (1, 2)])]
    assert (found.images, found.surplus, found.unread, found.near_all) == (10, 3, 1, True)
    assert str(found).splitlines() == [
        "10 images: 3 duplicates in 3 groups", "  within a person: 1 same bytes", "  under two names: 1 same pixels",
        "  in two sets: 1 near",
        "one image under two names: one of the labels is wrong, or the names are one person's",
        "1 image could not be decoded: compared by bytes alone", f"listed in {tmp_path / 'list.tsv'}"]
    lines = (tmp_path / "list.tsv").read_text().splitlines()
    assert lines[0] == "group\tkind\twhere\tset\tidentity\timage" and len(lines) == 7
    assert lines[-1] == f"3\tnear\tin two sets\t{sets[1]}\tEve\tEve/0.png"


def test_a_group_is_as_alike_as_what_connects_it(tmp_path):
    one = copies(1)
    found = find_set_duplicates([write_set(tmp_path / "a", {"Ada": [one[0], one[0], one[2], one[1]]}, size=(64, 64))],
                                show=False)
    assert [(kind, places) for kind, _, places in found.groups] == [("near", [(0, 0), (0, 1), (0, 2), (0, 3)])]


def test_what_each_kind_connects_is_what_a_loop_connects():
    plain = encoded(np.full((64, 64, 3), 90, np.uint8))
    images = [copy for seed in (1, 2, 3, 1) for copy in copies(seed)] + [plain, plain]
    taken = take_prints(images, 1)
    pairs, kinds = alike(taken)
    pixels, every = [decode_rgb(image) for image in images], range(len(images))
    assert (pairs[:, 0] < pairs[:, 1]).all() and not taken.looks[12]
    assert groups(14, pairs[kinds == BYTES]) == groups(14, [
        (a, b) for b in every for a in range(b) if images[a] == images[b]])
    assert groups(14, pairs[kinds <= PIXELS]) == groups(14, [
        (a, b) for b in every for a in range(b) if np.array_equal(pixels[a], pixels[b])])
    assert groups(14, pairs) == [[0, 1, 2, 9, 10, 11], [3, 4, 5], [6, 7, 8], [12, 13]]


def test_of_a_second_collection_each_that_is_alike_has_a_pair():
    first, second = take_prints([copies(1)[0], copies(2)[0]], 1), take_prints([copies(2)[1], copies(5)[0],
                                                                              copies(2)[0]], 1)
    pairs, kinds = alike(first, second)
    assert sorted(zip(map(tuple, pairs.tolist()), kinds.tolist())) == [((1, 0), PIXELS), ((1, 2), BYTES)]


def test_too_many_to_compare_each_with_each_is_told(sets, monkeypatch):
    monkeypatch.setattr(prints.duplicates, "MOST_PAIRS", 1)
    assert "too many images to compare each with each" in str(find_set_duplicates(sets, show=False))
