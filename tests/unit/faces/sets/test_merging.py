"""Merging: every image once with its bytes, new labels, names kept, joined only where asked."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.merging import merge_sets
from tests.support.face_sets import SIZE, person_image, write_set
from tests.support.images import encoded


@pytest.fixture
def sets(tmp_path):
    """a: Ada 3, Bob 2; b: bob 2, Cy 1; c, without names: 0 with 2."""
    return (write_set(tmp_path / "a", {"Ada": [person_image(0, i) for i in range(3)],
                                       "Bob": [person_image(1, i) for i in range(2)]}),
            write_set(tmp_path / "b", {"bob": [person_image(1, i) for i in (5, 6)], "Cy": [person_image(2, 0)]}),
            write_set(tmp_path / "c", {"x": [person_image(3, i) for i in range(2)]}, names=False))


def people_of(folder):
    faces = SetImages(str(folder))
    found = {name: [] for name in faces.names}
    for at, label in enumerate(faces.labels):
        found[faces.names[label]].append(faces[at])
    return found


def test_people_stay_apart_unless_they_are_joined(sets, tmp_path, capfd):
    result = merge_sets(sets, str(tmp_path / "out"), show=False)
    assert (result.images, result.identities, result.joined, result.renamed) == (10, 5, 0, [])
    assert people_of(tmp_path / "out") == {
        "Ada": [person_image(0, i) for i in range(3)], "Bob": [person_image(1, i) for i in range(2)],
        "bob": [person_image(1, i) for i in (5, 6)], "Cy": [person_image(2, 0)],
        "c-0": [person_image(3, i) for i in range(2)]}
    faces = read_face_set(str(tmp_path / "out"), show=False)
    assert (faces.num_classes, faces.labels.tolist()) == (5, [0] * 3 + [1] * 2 + [2] * 2 + [3] + [4] * 2)
    assert (tmp_path / "out" / "property").read_text() == "5,{},{}\n".format(*SIZE)
    told = f"1 name is in both {sets[0]} and {sets[1]}, and kept apart: --join-names joins them"
    assert told in "".join(capfd.readouterr())


def test_the_same_name_joins_where_asked(sets, tmp_path):
    result = merge_sets(sets[:2], str(tmp_path / "out"), join_names=True, show=False)
    assert (result.images, result.identities, result.joined) == (8, 3, 1)
    assert people_of(tmp_path / "out")["Bob"] == [person_image(1, i) for i in (0, 1, 5, 6)]
    assert (tmp_path / "out" / "train.lst").read_text().splitlines()[5] == "1\tb/bob/0.png\t1"


def test_a_list_joins_whom_it_names(sets, tmp_path):
    rows = ["first_set\tfirst\tsecond_set\tsecond\tcosine", f"{sets[0]}\tAda\t{sets[2]}\t0\t0.9",
            f"{sets[1]}/\tCy\t{sets[2]}\t0\t0.8"]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n")
    merge_sets(sets, str(tmp_path / "out"), join_list=str(tmp_path / "pairs.tsv"), show=False)
    found = people_of(tmp_path / "out")
    assert {name: len(images) for name, images in found.items()} == {"Ada": 6, "Bob": 2, "bob": 2}


def test_a_name_that_is_taken_is_counted_on(sets, tmp_path):
    again = write_set(tmp_path / "other" / "a", {"Ada": [person_image(4, 0)]})
    result = merge_sets([sets[0], again, again], str(tmp_path / "out"), show=False)
    assert result.renamed == [("Ada", "Ada-2"), ("Ada", "Ada-3")] and "the first Ada to Ada-2" in str(result)
    assert list(people_of(tmp_path / "out")) == ["Ada", "Bob", "Ada-2", "Ada-3"]
    assert len(set((tmp_path / "out" / "train.lst").read_text().splitlines())) == 7


def test_a_folder_of_people_merges_too(sets, tmp_path):
    (tmp_path / "people" / "Zed").mkdir(parents=True)
    (tmp_path / "people" / "Zed" / "1.png").write_bytes(person_image(5, 0))
    merge_sets([sets[0], str(tmp_path / "people")], str(tmp_path / "out"), show=False)
    assert people_of(tmp_path / "out")["Zed"] == [person_image(5, 0)]


@pytest.mark.parametrize("arguments, message", [
    (lambda s, t: (s[:1], t / "out"), "nothing to merge: expected two sets or more, received 1"),
    (lambda s, t: (s, t / "out", True), "cannot be joined by name: expected identities.txt in every set, received "),
    (lambda s, t: (s[:2], t / "a"), "a face set is there already"),
    (lambda s, t: (s[:2], t / "a", False, None, True), "cannot pack a folder into itself"),
    (lambda s, t: ([s[0], write_set(t / "big", {"Ada": [person_image(0, 0)], "B": [small_image()]})], t / "out"),
     "image does not fit: expected 32 x 32 pixels, received 8 x 8 in B/0.png of .*big; mxft face-pack with size"),
    (lambda s, t: ([s[0], write_set(t / "bad", {"Ada": [b"none"]})], t / "out"),
     "image cannot be written: expected JPEG or PNG, received Ada/0.png of .*bad"),
], ids=["one", "names", "taken", "own", "size", "bad"])
def test_what_is_refused_leaves_nothing(sets, tmp_path, arguments, message):
    sources, folder, *options = arguments(sets, tmp_path)
    with pytest.raises(InputError, match=message):
        merge_sets(sources, str(folder), *options, show=False)
    assert not (tmp_path / "out").exists() and people_of(tmp_path / "a")["Bob"]


def small_image():
    return encoded(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("text, message", [
    ("first\tsecond\n", "expected columns first_set, first, second_set, second in the first line"),
    ("first_set\tfirst\tsecond_set\tsecond\na\tb\n", "bad row in .*, line 2: expected 4 cells separated by tabs, "
                                                      "received 2"),
    ("first_set\tfirst\tsecond_set\tsecond\n{0}\tAde\t{1}\tCy\n", "person is not in the sets: .* received 'Ade' of "
                                                                   ".*; nearest: Ada"),
])
def test_a_list_of_others_is_refused(sets, tmp_path, text, message):
    (tmp_path / "pairs.tsv").write_text(text.format(*sets))
    with pytest.raises(InputError, match=message):
        merge_sets(sets[:2], str(tmp_path / "out"), join_list=str(tmp_path / "pairs.tsv"), show=False)
