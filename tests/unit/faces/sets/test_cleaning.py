"""Cleaning a set: what goes is listed with its reason, shown on a page, and left out of a new set; the rest stays."""
import re

import numpy as np
import pytest

from mxft.data.images import BadImage
from mxft.errors import InputError
from mxft.faces.report.cleaning_page import write_cleaning_page
from mxft.faces.sets import cleaning
from mxft.faces.sets.cleaning import find_wrong_labels, write_clean_set, write_wrong_labels
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.lists import read_table
from tests.support.face_sets import COLOURS, SIZE, ColourEmbedder, person_image, write_set


@pytest.fixture
def noisy(tmp_path):
    """Ten people of six images; of p1 the second is p5's, of p<3> the last cannot be read; Two has two images."""
    people = {f"p{k}": [person_image(k, i) for i in range(6)] for k in range(COLOURS - 2)}
    people["p1"][1] = person_image(5, 99)
    people["p<3>"] = people.pop("p3")
    people["p<3>"][5] = person_image(3, 5)[:60]
    people["Two"] = [person_image(10, 0), person_image(11, 0)]
    return write_set(tmp_path / "noisy", people)


def found_in(noisy, **options):
    return find_wrong_labels(noisy, ColourEmbedder(), **{"threshold": 0.75, **options})


def test_what_goes_is_listed_the_furthest_first(noisy, tmp_path):
    found = found_in(noisy)
    write_wrong_labels(str(tmp_path / "wrong.tsv"), found)
    rows = read_table(str(tmp_path / "wrong.tsv"), cleaning.COLUMNS)
    assert [row[:3] for row in rows] == [("truncated PNG: it ends inside a chunk", "p<3>", "p<3>/5.png"),
                                         ("nearer to another", "p1", "p1/1.png")]
    assert float(rows[1][3]) < 0.1 and rows[1][4] == "p5" and float(rows[1][5]) > 0.9
    lines = str(found).splitlines()
    assert lines[0] == f"{noisy}: 62 images of 11 people"
    assert lines[1] == "2 images go (3.23%): 1 nearer to another, 1 cannot be read"
    assert lines[2].startswith("far: a cosine below 0.750 with the centre of the person's other images; nearer: 0.")
    assert lines[3] == "not judged: 2 images of 1 person with fewer than 3"


def test_a_set_with_very_many_wrong_labels_is_told(noisy, monkeypatch):
    told = "so many labels seem wrong that a threshold measured on these centres is doubtful: choose one"
    assert told not in str(found_in(noisy))
    monkeypatch.setattr(cleaning, "MANY", 0.01)
    assert told in str(found_in(noisy)).splitlines()


def test_the_clean_set_is_the_rest_byte_for_byte(noisy, tmp_path):
    found, before = found_in(noisy), SetImages(noisy)
    write_wrong_labels(str(tmp_path / "wrong.tsv"), found)
    for number, gone in enumerate((found.results.goes.nonzero()[0], str(tmp_path / "wrong.tsv"))):
        folder = str(tmp_path / f"clean{number}")
        assert write_clean_set(before, gone, folder, show=False) == (60, 11)
        after = SetImages(folder)
        kept = np.flatnonzero(~found.results.goes).tolist()
        assert [after[i] for i in range(60)] == [before[i] for i in kept]
        assert [after.paths[i] for i in range(60)] == [before.paths[i] for i in kept] and after.names == before.names


def test_the_size_is_that_of_the_first_image_that_can_be_read():
    faces = SetImages.__new__(SetImages)
    faces.__dict__.update(path="set", paths=["p0/0.png"] * 2, _source=Broken())
    assert faces.image_size == SIZE


class Broken:
    """A source whose first image is damaged."""

    files = (0, 1)

    def read(self, file):
        if file == 0:
            raise BadImage("damaged")
        return person_image(0, 0)


def test_a_person_all_of_whose_images_go_takes_no_label(noisy, tmp_path):
    faces = SetImages(noisy)
    gone = [at for at, label in enumerate(faces.labels) if label == 2 or faces.paths[at] == "p<3>/5.png"]
    assert write_clean_set(faces, gone, str(tmp_path / "out"), show=False) == (55, 10)
    assert "p2" not in SetImages(str(tmp_path / "out")).names


@pytest.mark.parametrize("text, message", [
    ("identity\timage\np1\tp1/9.png\n", "image is not in the set: .* identity='p1' image='p1/9.png' in .*nearest: p1/"),
    ("identity\timage\n", "nothing to leave out: expected at least one image, received none"),
    ("who\timage\n", "list does not fit: expected columns identity, image in the first line"),
])
def test_a_list_of_other_images_is_refused(noisy, tmp_path, text, message):
    (tmp_path / "list.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        write_clean_set(SetImages(noisy), str(tmp_path / "list.tsv"), str(tmp_path / "out"), show=False)
    assert not (tmp_path / "out").exists()


def test_the_page_shows_what_goes_beside_what_stays(noisy, tmp_path):
    write_cleaning_page(str(tmp_path / "page.html"), found_in(noisy), "a list.tsv")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    kinds = re.findall(r'<figure class="(\w*)">', page)
    assert kinds == ["stays"] * 3 + ["goes"] + ["stays"] * 3 + ["goes", "other"]  # what cannot be read has no picture
    assert page.count("<img src=\"data:image/jpeg;base64,") == 8
    assert "p&lt;3&gt;" in page and "p<3>" not in page and "src=\"http" not in page
    assert f"mxft face-sets clean {noisy} --take &#39;a list.tsv&#39; --out noisy-clean" in page
    assert "fewer than 3 images" in page


def test_of_very_many_the_page_shows_some_and_says_so(noisy, tmp_path, monkeypatch):
    monkeypatch.setattr("mxft.faces.report.cleaning_page.MOST_SHOWN", 1)
    write_cleaning_page(str(tmp_path / "page.html"), found_in(noisy))
    assert "Shown: 1 of 2, the people with most of them; the list has all." in (tmp_path / "page.html").read_text()
