"""``mxft face-sets`` as a user runs it, with a small network, and what it refuses."""
import os

import numpy as np
import pytest

from mxft.cli import main
from mxft.compat import mx
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from tests.support.face_sets import COLOURS, SIZE, person_image, write_set


@pytest.fixture
def here(here):
    """Sets a (p0 … p5, of p1 the first image is p4's) and b (p5, and others of other names); colour,0 tells them."""
    data = mx.sym.Variable("data")
    mean = mx.sym.Pooling(data, global_pool=True, kernel=(1, 1), pool_type="avg") - 128
    net = mx.sym.FullyConnected(mx.sym.Flatten(mean), num_hidden=COLOURS, no_bias=True, name="pre_fc1")
    directions = np.array([np.cos(2 * np.pi * k / COLOURS + np.array([0, 2, 4]) * np.pi / 3) for k in range(COLOURS)])
    net = mx.sym.relu(net * 0.01 - 1.25, name="fc1")        # only the person's own number is above 0
    Checkpoint(net, {"pre_fc1_weight": mx.nd.array(directions)}, {},
               {"format": 1, "input": InputSpec((3, *SIZE)).to_dict(), "embedding": "fc1"}).save("colour", 0)
    people = {f"p{k}": [person_image(k, i) for i in range(5)] for k in range(6)}
    people["p1"][0] = person_image(4, 50)
    write_set(here / "a", people)
    write_set(here / "b", {"p5": [person_image(5, i) for i in range(10, 14)], "q": [person_image(8, 0)] * 2,
                           "other": [person_image(0, i) for i in range(20, 23)]})
    write_pairs("toy.bin", [person_image(0, 0), person_image(9, 0), person_image(2, 9), person_image(10, 0)], [0, 0])
    return here


def run(*words):
    return main(["face-sets", *words])


def test_compare_lists_and_merge_joins(here, capsys):
    assert run("compare", "a", "b", "--model", "colour,0", "--list", "pairs.tsv", "--out", "apart") == 0
    out = capsys.readouterr().out
    assert "in both: 2 of 6 people (33.3%) and 2 of 3" in out and "do not train on a and test on b" in out
    assert ": 2 pairs, 1 of the same name, 1 of other names\n" in out
    assert "\nother names, to be looked at before they are joined: p0 = other (1.00)\n" in out
    assert run("merge", "a", "b", "--out", "all", "--join-list", "pairs.tsv") == 0
    assert capsys.readouterr().out == ("merged 39 images of 7 identities into all; 2 people joined with the same "
                                       "person under another label\n")
    assert run("merge", "a", "b", "--out", "all", "--join-names", "--force") == 0
    assert "merged 39 images of 8 identities into all; 1 person joined" in capsys.readouterr().out
    assert main(["inspect", "all"]) == 0


def test_clean_lists_shows_and_writes(here, capsys):
    assert run("clean", "a", "--model", "colour,0", "--out", "clean") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "a: 30 images of 6 people" and out[1].startswith("1 image goes (3.33%): 1 nearer to another")
    assert out[3:] == ["wrote 29 images of 6 people to clean", f"list: {os.path.join('clean', 'wrong-labels.tsv')}",
                       f"page: {here / 'clean' / 'wrong-labels.html'}"]
    assert run("clean", "a", "--model", "colour,0", "--list", "wrong.tsv", "--page", "wrong.html") == 0
    assert (here / "wrong.tsv").read_bytes() == (here / "clean" / "wrong-labels.tsv").read_bytes()
    assert run("clean", "a", "--take", "wrong.tsv", "--out", "again") == 0
    assert (here / "again" / "train.rec").read_bytes() == (here / "clean" / "train.rec").read_bytes()
    capsys.readouterr()
    assert run("clean", "clean", "--model", "colour,0", "--out", "none") == 0
    assert "clean can be used as it is: nothing written to none" in capsys.readouterr().out
    assert not os.path.exists("none/train.rec")


def test_duplicates_and_overlap(here, capsys):
    assert run("duplicates", "a", "b", "--list", "dup.tsv") == 0
    assert capsys.readouterr().out.startswith("39 images: 1 duplicate in 1 group\n  within a person: 1 same bytes\n")
    assert run("overlap", "a", "--target", "toy.bin", "--model", "colour,0", "--list", "overlap.tsv") == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy: 1 of 4 images are in the training set (1 same bytes), in 1 of 2 pairs",
        "toy: 2 of 4 images are nearest to somebody of the training set at a cosine of 0.550 or more, in 2 of 2 pairs"]


@pytest.mark.parametrize("words, message", [
    (("clean", "a"), "labels cannot be judged: expected --model, a face checkpoint, or --take FILE, received neither"),
    (("clean", "a", "--model", "colour,0"), "nothing to write: expected --page FILE, --list FILE or --out DIR"),
    (("clean", "a", "--take", "x", "--page", "y"), "--page: expected no --take beside it, received page=y"),
    (("clean", "a", "--take", "x"), "--take: expected --out DIR beside it, received none"),
    (("clean", "a", "--take", "x", "--out", "o"), "list is missing: expected a file, received 'x'"),
    (("clean", "a", "--model", "colour,0", "--out", "b"), "a face set is there already"),
    (("clean", "a", "--model", "colour,0", "--out", "o", "--min-images", "2"), "--min-images: expected a whole number"),
    (("compare", "a", "b", "--threshold", "0.5"), "--threshold: expected --model beside it, received threshold=0.5"),
    (("compare", "a", "b", "--model", "colour,0", "--threshold", "0.5", "--false-pairs", "2"),
     "--false-pairs: expected no --threshold beside it, received false_pairs=2.0"),
    (("comapre", "a", "b"), "action: expected one of 'compare', 'merge', 'duplicates', 'clean', 'overlap', received "
                            "action='comapre'; mxft face-sets --help shows them all"),
    (("compare", "a", "gone"), "is missing: expected a file, received 'gone'"),
    (("merge", "a", "--out", "o"), "nothing to merge: expected two sets or more, received 1"),
    (("merge", "a", "b"), "expected --out, received none"),
    (("overlap", "a", "--target", "gone.bin"), "is missing"),
    (("overlap", "a", "--target", "toy.bin", "--threshold", "0.5"), "--threshold: expected --model beside it"),
    (("tidy", "a"), "expected one of"),
])
def test_refusals_are_one_line_and_write_nothing(here, capsys, words, message):
    before = sorted(os.listdir())
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert sorted(os.listdir()) == before
