"""``mxft pairs-pack`` as a user runs it."""
import os

import pytest

from mxft.cli import main
from mxft.faces.pairs.bin_file import load_pairs
from tests.support.images import noise, write_image


@pytest.fixture
def here(here):
    """faces/Ann and faces/Bob with two 8x8 images each, and pairs.txt of two rows."""
    for seed, name in enumerate(["Ann", "Bob"]):
        for number in (1, 2):
            write_image(f"faces/{name}/{name}_{number:04d}.jpg", noise(2 * seed + number, (8, 8)))
    (here / "pairs.txt").write_text("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t2\n")
    return here


def test_it_says_what_it_packed(here, capsys):
    assert main(["pairs-pack", "pairs.txt", "faces", "sets/lfw.bin"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("sets/lfw.bin: 2 pairs (1 same, 1 different) of 3 images, 8x8\n", "")
    pairs = load_pairs("sets/lfw.bin")
    assert pairs.images[0] == pairs.images[2] == (here / "faces/Ann/Ann_0001.jpg").read_bytes()
    first = (here / "sets/lfw.bin").read_bytes()
    assert main(["pairs-pack", "--size", "8", "pairs.txt", "faces", "sets/lfw.bin"]) == 0
    assert (here / "sets/lfw.bin").read_bytes() == first and os.listdir("sets") == ["lfw.bin"]


@pytest.mark.parametrize("words, message", [
    (["pairs.txt", "faces"], "arguments are missing: expected OUT.bin, received none"),
    (["pairs.txt", "face", "lfw.bin"], "images are missing: expected a folder, received root='face'"),
    (["pair.txt", "faces", "lfw.bin"], "list of pairs is missing: expected a file, received 'pair.txt'; in that folder "
                                       "nearest: pairs.txt"),
    (["--size", "112", "pairs.txt", "faces", "lfw.bin"], "image does not fit: expected 112x112 pixels, received 8x8 in "
     "faces/Ann/Ann_0001.jpg, which line 2 of pairs.txt names; align and crop"),
    (["--size", "0", "pairs.txt", "faces", "lfw.bin"], "--size: expected H,W"),
    (["pairs.txt", "faces", "pairs.txt"], "expected a new file, received out='pairs.txt', one of the files that are"),
    (["pairs.txt", "faces", "pairs.txt/lfw.bin"], "OUT.bin: expected a folder that can be written to"),
])
def test_what_is_refused_leaves_nothing(words, message, here, capsys):
    assert main(["pairs-pack", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert sorted(os.listdir()) == ["faces", "pairs.txt"]


def test_a_missing_image_is_told_with_line_and_text(here, capsys):
    (here / "pairs.txt").write_text("Ann\t1\t2\nAnn\t1\tBob\t3\n")
    assert main(["pairs-pack", "pairs.txt", "faces", "lfw.bin"]) == 2
    assert capsys.readouterr().err == (
        "mxft pairs-pack: image is missing: expected faces/Bob/Bob_0003.jpg (or .png, .jpeg), which line 2 of "
        "pairs.txt names, received 'Ann\\t1\\tBob\\t3'; in faces/Bob: nearest: Bob_0002.jpg, Bob_0001.jpg\n")


@pytest.fixture
def protocols(here):
    """The lists of CALFW, CFP and YouTube Faces over the same images."""
    files = {"pairs_CALFW.txt": "Ann_0001.jpg 1\nAnn_0002.jpg 1\nAnn_0001.jpg 0\nBob_0002.jpg 0\n",
             "cfp/Pair_list_F.txt": "1 ../Data/Images/Ann/Ann_0001.jpg\n2 ../Data/Images/Bob/Bob_0002.jpg\n",
             "cfp/Split/FF/01/same.txt": "1,1\n", "cfp/Split/FF/01/diff.txt": "1,2\n",
             "splits.txt": "1, 1, Ann/0, Ann/0, 1\n1, 2, Ann/0, Bob/0, 0\n"}
    for path, text in files.items():
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_text(text)
    for name in ("Ann", "Bob"):
        write_image(f"videos/{name}/0/1.jpg", noise(len(name), (8, 8)))
    return here


def test_protocols_are_recognised_and_verified_under_any_name(protocols, capsys):
    from mxft.faces.training.verifying import load_targets

    assert main(["pairs-pack", "pairs_CALFW.txt", "faces", "sets/calfw.bin"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("protocol calfw: two lines a pair, each image and fold, 0 for two persons (--protocol says "
                          "another)\nsets/calfw.bin: 2 pairs")
    assert main(["pairs-pack", "cfp/Split/FF", "faces", "sets/cfp_ff.bin", "--protocol", "cfp-ff"]) == 0
    assert capsys.readouterr().out == "sets/cfp_ff.bin: 2 pairs (1 same, 1 different) of 2 images, 8x8\n"
    assert main(["pairs-pack", "splits.txt", "videos", "sets/ytf-2.bin", "--frames", "2"]) == 0
    assert "sets/ytf-2.bin: 4 pairs (2 same, 2 different) of 2 images" in capsys.readouterr().out
    targets, absent = load_targets("sets", (8, 8), ["ytf-2", "cfp_ff", "calfw"])
    assert [target.name for target in targets] == ["ytf-2", "cfp_ff", "calfw"] and absent == []


@pytest.mark.parametrize("words, message", [
    (["pairs_CALFW.txt", "--frames", "2"], "--frames: expected --protocol ytf beside it, received frames=2 with "),
    (["pairs_CALFW.txt", "--protocol", "cafw"], "--protocol: expected auto or one of lfw, cfp-ff, cfp-fp, agedb"),
    (["pairs_CALFW.txt", "--protocol", "lfw"], "bad row in pairs_CALFW.txt, line 1: expected name<tab>number"),
    (["cfp"], "or name --protocol cfp-fp or --protocol cfp-ff"),
])
def test_protocols_that_do_not_fit(words, message, protocols, capsys):
    assert main(["pairs-pack", words[0], "faces", "x.bin", *words[1:]]) == 2
    assert message in capsys.readouterr().err
