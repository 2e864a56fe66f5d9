"""Pictures that were opened show what they are: a line, a table of their labels, and a few of each."""
import os

import pytest

from mxft.data.pictures import open_pictures
from tests.support.images import levelled, write_classes, write_image
from tests.support.notebooks import html_of


@pytest.fixture
def here(here):
    """A working directory with class folders in photos, and a table of several labels beside its pictures in tags."""
    write_classes("photos", ["high", "low", "<b>mid"], 3, levelled)
    for number in range(4):
        write_image(f"tags/{number}.png", levelled(number, number))
    with open("tags/tags.csv", "w") as f:
        f.write("file,labels,age\n0.png,cat dog,3\n1.png,cat,5\n2.png,dog,10\n3.png,cat,6\n")
    return here


def test_classes_are_counted_and_one_of_each_is_shown_first(here):
    pictures = open_pictures("photos")
    assert repr(pictures) == "<Pictures photos: class folders; 9 pictures, 3 classes (<b>mid, high, low)>"
    page = html_of(pictures)
    assert "<th>&lt;b&gt;mid</th><td>3</td>" in page and "<b>mid" not in page
    assert sorted(one.caption for one in pictures.samples(3)) == ["<b>mid", "high", "low"]
    assert [one.name for one in pictures.samples(5)] == [one.name for one in pictures.samples(5)]
    assert len(pictures.samples(100)) == 9 and len({one.name for one in pictures.samples(100)}) == 9
    assert len(pictures.samples(2)) == 2 and pictures.samples(2)._repr_html_().count("<img") == 2


def test_parts_are_counted_apart(here):
    os.makedirs("parts")
    os.rename("photos", "parts/train")
    write_classes("parts/val", ["high", "low"], 2, levelled)
    page = html_of(open_pictures("parts"))
    assert "<th>training</th><th>validation</th>" in page and "<th>high</th><td>3</td><td>2</td>" in page


def test_labels_and_numbers_have_tables_of_their_own(here):
    tags = open_pictures("tags", kind="multi-label", columns=["labels"])
    assert "<th>cat</th><td>3</td>" in html_of(tags) and tags.samples(1)[0].caption in ("cat", "dog", "cat, dog")
    ages = open_pictures("tags", kind="regression", columns=["age"])
    assert "<th>age</th><td>3.0000</td><td>6.0000</td><td>10.0000</td>" in html_of(ages)
    assert {one.caption for one in ages.samples(2)} <= {"age 3", "age 5", "age 6", "age 10"}
    os.unlink("tags/tags.csv")
    plain = open_pictures("tags")
    assert "<table" not in html_of(plain) and plain.samples(1)[0].caption.endswith(".png")
