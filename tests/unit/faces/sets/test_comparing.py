"""People in two sets: by colour (as faces), by name, listed, and left out of a set that is written."""
import re

import pytest

from mxft.errors import InputError
from mxft.faces.sets.comparing import compare_sets
from mxft.faces.sets.images import SetImages
from mxft.faces.sets.lists import read_table
from mxft.faces.sets.merging import PAIR_COLUMNS, merge_sets
from tests.support.face_sets import ColourEmbedder, person_image, write_set


@pytest.fixture
def sets(tmp_path):
    """Person 4 is Ada in both, 6 is Bob and Robert; Cy is 8 here and 10 there."""
    first = {"Ada": 4, "Bob": 6, "Cy": 8, "Dee": 2}
    second = {"ada": 4, "Robert": 6, "Cy": 10}
    return tuple(write_set(tmp_path / folder, {name: [person_image(person, begin + i) for i in range(4)]
                                               for name, person in people.items()})
                 for folder, people, begin in (("a", first, 0), ("b", second, 10)))


def test_faces_decide_and_names_are_told(sets):
    result = compare_sets(*sets, ColourEmbedder(), threshold=0.95)
    assert [(a, b, how) for a, b, _, how in result.pairs] == [(0, 0, "face and name"), (1, 1, "face")]
    assert min(cosine for _, _, cosine, _ in result.pairs) > 0.99 and result.other_faces[0][:2] == (2, 2)
    lines = str(result).splitlines()
    assert lines[:3] == [f"{sets[0]}: 16 images of 4 people", f"{sets[1]}: 12 images of 3 people",
                         "in both: 2 of 4 people (50.0%) and 2 of 3"]
    assert lines[3] == ("found by the cosine of their centres, 0.950 or more (not measured): 2 pairs, 1 of the same "
                        "name, 1 of other names")
    assert re.fullmatch(r"other names, to be looked at before they are joined: \w+ = \w+ \((0.99|1.00)\)", lines[4])
    assert lines[5].startswith("same name, other face, not counted: Cy (0.") and lines[6].startswith(
        f"do not train on {sets[0]} and test on {sets[1]}")


def test_without_a_network_names_decide(sets):
    result = compare_sets(*sets)
    assert result.pairs == [(0, 0, None, "name"), (2, 2, None, "name")] and "found by name alone" in str(result)


def test_what_is_listed_joins_and_what_is_left_is_apart(sets, tmp_path):
    pairs = str(tmp_path / "pairs.tsv")
    result = compare_sets(*sets, ColourEmbedder(), 0.95, list_path=pairs, folder=str(tmp_path / "apart"), show=False)
    assert result.written == (8, 2) and SetImages(str(tmp_path / "apart")).names == ["Cy", "Dee"]
    assert read_table(pairs, PAIR_COLUMNS) == [(sets[0], "Ada", sets[1], "ada"), (sets[0], "Bob", sets[1], "Robert")]
    assert compare_sets(str(tmp_path / "apart"), sets[1], ColourEmbedder(), 0.95).pairs == []
    merged = merge_sets(sets, str(tmp_path / "all"), join_list=pairs, show=False)
    assert (merged.images, merged.identities, merged.joined) == (28, 5, 2)


def test_wrong_labels_do_not_make_two_people_one(tmp_path):
    """Half of B's Eve but one image are A's Ada: the mean of all would be near to Ada."""
    a = write_set(tmp_path / "a", {"Ada": [person_image(4, i) for i in range(5)]})
    b = write_set(tmp_path / "b", {"Eve": [person_image(6, i) for i in range(4)] + [person_image(4, i)
                                                                                    for i in (7, 8, 9)]})
    assert compare_sets(a, b, ColourEmbedder(), threshold=0.7).pairs == []


def test_numbers_are_no_names(sets, tmp_path):
    bare = write_set(tmp_path / "bare", {"x": [person_image(4, 0)]}, names=False)
    with pytest.raises(InputError, match="people cannot be told: expected names .* or a model, received .*bare "):
        compare_sets(bare, sets[0])
    assert [how for *_, how in compare_sets(bare, sets[0], ColourEmbedder(), 0.95).pairs] == ["face"]


def test_a_set_that_would_be_empty_is_refused(sets, tmp_path):
    with pytest.raises(InputError, match="nothing to write: expected at least one image, received none"):
        compare_sets(sets[0], sets[0], folder=str(tmp_path / "out"), show=False)
    assert not (tmp_path / "out").exists()
