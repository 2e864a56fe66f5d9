"""Verification sets by name: upstream's three where they are, named ones in any case."""
import pytest

from mxft.errors import InputError, MissingFileError
from mxft.faces.pairs.sets import find_sets


@pytest.fixture
def folder(tmp_path):
    for name in ("lfw.bin", "cfp_ff.bin", "train.rec"):
        (tmp_path / name).touch()
    return str(tmp_path)


def test_without_names_upstreams_three_are_taken_where_they_are(folder):
    assert find_sets(folder) == ([f"{folder}/lfw.bin"], ["cfp_fp", "agedb_30"])


def test_named_sets_come_once_in_their_order(folder):
    assert find_sets(folder, ["cfp_ff", "lfw", "cfp_ff"]) == ([f"{folder}/cfp_ff.bin", f"{folder}/lfw.bin"], [])


def test_a_named_set_that_is_missing_is_refused_with_the_nearest(folder):
    with pytest.raises(MissingFileError) as refusal:
        find_sets(folder, ["lfw", "cfp_fp"])
    assert str(refusal.value) == (f"verification set is missing: expected {folder}/cfp_fp.bin, received "
                                  "target='cfp_fp'; nearest: cfp_ff; mxft pairs-pack makes one")


def test_no_folder_and_no_name_are_refused(folder):
    with pytest.raises(MissingFileError, match="expected a folder with .bin files, received 'nowhere'"):
        find_sets("nowhere")
    with pytest.raises(InputError, match="expected names of sets such as lfw,cfp_fp,agedb_30, received none"):
        find_sets(folder, [])
