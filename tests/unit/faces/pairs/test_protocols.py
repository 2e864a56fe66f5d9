"""Lists of pairs as CFP, AgeDB, CALFW, CPLFW and YouTube Faces have them: their pairs, their order, their bad rows."""
import os

import numpy as np
import pytest
from scipy.io import savemat

from mxft.errors import InputError
from mxft.faces.pairs.bin_file import load_pairs, pack_pairs
from mxft.faces.pairs.protocols import PROTOCOLS, read_protocol, recognise
from tests.support.images import noise, write_image


def touch(*paths):
    for path in paths:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        open(path, "wb").close()


def write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:
        f.write(text.encode())
    return path


def refused(*arguments, **options):
    with pytest.raises(InputError) as error:
        read_protocol(*arguments, **options)
    return error.value.message


@pytest.fixture
def cfp(here):
    """CFP's protocol of two folds and three people; aligned images without its outer folders."""
    write("cfp/Protocol/Pair_list_F.txt", "".join(f"{k} ../Data/Images/00{k}/frontal/01.jpg\r\n" for k in (1, 2, 3)))
    write("cfp/Protocol/Pair_list_P.txt", "".join(f"{k}\t../Data/Images/00{k}/profile/01.jpg\n" for k in (1, 2, 3)))
    for fold, same, diff in (("10", "3,3", "3,1"), ("01", "1,1", "1,2\n\n2,3\n")):
        write(f"cfp/Protocol/Split/FP/{fold}/same.txt", same)
        write(f"cfp/Protocol/Split/FP/{fold}/diff.txt", diff)
    write("cfp/Protocol/Split/FF/01/same.txt", "2,2")
    write("cfp/Protocol/Split/FF/01/diff.txt", " 1 , 3 ")
    touch(*(f"faces/00{k}/{side}/01.{'png' if k == 2 else 'jpg'}" for k in (1, 2, 3)
            for side in ("frontal", "profile")))
    return here


def test_cfp_fold_by_fold(cfp):
    expected = [("001/frontal/01.jpg", "001/profile/01.jpg", True), ("001/frontal/01.jpg", "002/profile/01.png", False),
                ("002/frontal/01.png", "003/profile/01.jpg", False), ("003/frontal/01.jpg", "003/profile/01.jpg", True),
                ("003/frontal/01.jpg", "001/profile/01.jpg", False)]
    for path, protocol in (("cfp/Protocol/Split/FP", "auto"), ("cfp/Protocol", "cfp-fp"), ("cfp", "cfp-fp")):
        rows = read_protocol(path, "faces", protocol)
        assert [(*(file.split("faces/")[1] for file in row.files), row.same) for row in rows] == expected
        assert rows[2].number == 3 and rows[2].listed.endswith("cfp/Protocol/Split/FP/01/diff.txt"[3:])
    frontal = read_protocol("cfp/Protocol/Split/FF", "faces")
    assert [row.files for row in frontal] == [("faces/002/frontal/01.png",) * 2,
                                              ("faces/001/frontal/01.jpg", "faces/003/frontal/01.jpg")]
    os.makedirs("whole/Data")
    os.rename("faces", "whole/Data/Images")
    assert len(read_protocol("cfp", "whole", "cfp-fp")) == 5


@pytest.mark.parametrize("file, text, message", [
    ("Split/FP/01/same.txt", "1,1\n1 1\n", "bad row in cfp/Protocol/Split/FP/01/same.txt, line 2: expected number,"),
    ("Split/FP/01/same.txt", "4,1\n", "line 1: expected numbers of the 3 images in the index, received 4 in '4,1'"),
    ("Pair_list_P.txt", "1 ../Data/Images/001/profile/01.jpg\n2 ../Data/Images/002/profile/01.jpg\n",
     "Split/FP/01/diff.txt, line 3: expected numbers of the 2 images in the index, received 3 in '2,3'"),
    ("Pair_list_P.txt", "1 a.jpg\n1 b.jpg\n", "bad row in cfp/Protocol/Pair_list_P.txt, line 2: expected a number, "),
    ("Pair_list_F.txt", "a.jpg\n", "bad row in cfp/Protocol/Pair_list_F.txt, line 1"),
])
def test_a_bad_row_of_cfp(file, text, message, cfp):
    write(f"cfp/Protocol/{file}", text)
    assert message in refused("cfp", "faces", "cfp-fp")


def test_what_cfp_lacks(cfp):
    os.remove("faces/003/profile/01.jpg")
    assert ("image is missing: expected faces/003/profile/01.jpg, which line 3 of cfp/Protocol/Split/FP/01/diff.txt "
            "names, received '2,3'") in refused("cfp", "faces", "cfp-fp")
    assert "received the folder cfp; CFP's is Protocol/Split/FP or" in refused("cfp", "faces")
    assert "expected CFP's folder Protocol with Split in it, received 'faces'" in refused("faces", "faces", "cfp-ff")
    os.remove("cfp/Protocol/Split/FP/01/diff.txt")
    assert "list of pairs is missing" in refused("cfp", "faces", "cfp-fp")


def calfw(folds=10, each=2, separator=" "):
    """A list as CALFW's: same pairs by fold, then the different ones; and its images."""
    same = [(f"P{k}_1.jpg", f"P{k}_2.jpg", k // each + 1) for k in range(folds * each)]
    different = [(f"P{k}_1.jpg", f"P{k + 1}_1.jpg", 0) for k in range(folds * each)]
    touch(*(f"faces/P{k}_{i}.jpg" for k in range(folds * each + 1) for i in (1, 2)))
    return "".join(f"{image}{separator}{token}\n" for *images, token in same + different for image in images)


@pytest.mark.parametrize("separator", [" ", "\t", "  "])
def test_calfw_is_dealt_out_to_its_folds(separator, here):
    rows = read_protocol(write("pairs_CALFW.txt", calfw(separator=separator)), "faces")
    assert [row.same for row in rows] == [True, True, False, False] * 10
    assert [row.number for row in rows[:6]] == [1, 3, 41, 43, 5, 7]
    assert rows[4].files == ("faces/P2_1.jpg", "faces/P2_2.jpg") and len(set(rows)) == 40
    assert recognise("pairs_CALFW.txt") == "calfw"


def test_cplfw_stays_in_its_order_and_may_have_a_folder_a_person(here):
    touch("faces/Ann_Li/Ann_Li_1.jpg", "faces/Ann_Li/Ann_Li_2.png", "faces/Bob_3.jpg")
    rows = read_protocol(write("pairs_CPLFW.txt", "Ann_Li_1.jpg 0\r\nBob_3.jpg 0\r\n\r\nAnn_Li_1.jpg 1\r\n"
                                                  "Ann_Li_2.jpg 1\r\n"), "faces")
    assert [(row.number, row.same) for row in rows] == [(1, False), (4, True)]
    assert rows[1].files == ("faces/Ann_Li/Ann_Li_1.jpg", "faces/Ann_Li/Ann_Li_2.png")
    assert recognise("pairs_CPLFW.txt") == "cplfw"


@pytest.mark.parametrize("text, message", [
    ("P0_1.jpg 1\nP0_2.jpg 1\nP1_1.jpg 1\n", "expected two lines a pair, received 3 lines in list.txt"),
    ("P0_1.jpg 1\nP0_2.jpg 0\n", "bad row in list.txt, line 2: expected number 1, as the first image of the pair has, "
                                 "received 'P0_2.jpg 0'"),
    ("P0_1.jpg 1\nP0_2.jpg 1\nP0_1.jpg\nP0_2.jpg 1\n", "bad row in list.txt, line 3: expected image number"),
    ("P0_1.jpg 1\nP0_9.jpg 1\n", "expected faces/P0_9.jpg, which line 2 of list.txt names, received 'P0_9.jpg 1'; in "
                                 "faces: nearest: P0_"),
])
def test_a_bad_row_of_two_lines(text, message, here):
    calfw()
    assert message in refused(write("list.txt", text), "faces", "calfw")
    assert "list of pairs is empty" in refused(write("list.txt", "\n"), "faces", "calfw")


SPLITS = "split number, pair number, first name, second name, is same\r\n1, 1, Ann_Li/0, Ann_Li/3, 1\r\n"


def test_videos_become_pairs_of_frames(here):
    touch(*(f"frames/Ann_Li/0/0.{k}.jpg" for k in (9, 10, 100)), *(f"frames/Ann_Li/3/{k}.png" for k in range(8)),
          "frames/Bob/1/1.jpg", "frames/Bob/1/labels.txt")
    path = write("splits.txt", SPLITS + "2,1,Ann_Li/0,Bob/1,0\n")
    assert [(row.files, row.same) for row in read_protocol(path, "frames")] == [
        (("frames/Ann_Li/0/0.10.jpg", "frames/Ann_Li/3/4.png"), True),
        (("frames/Ann_Li/0/0.10.jpg", "frames/Bob/1/1.jpg"), False)]
    three = read_protocol(path, "frames", "ytf", frames=3)
    assert [row.files[0][-7:] for row in three[:3]] == ["0.9.jpg", ".10.jpg", "100.jpg"] and len(three) == 6
    assert [row.same for row in three] == [True] * 3 + [False] * 3 and {row.number for row in three} == {2, 3}


@pytest.mark.parametrize("text, message", [
    (SPLITS + "2,1,Ann_Li/0,Bob/1\n", "bad row in splits.txt, line 3: expected split, pair, name/video, name/video, "),
    (SPLITS + "2,1,Ann_Li/0,Bob/1,2\n", "bad row in splits.txt, line 3"),
    (SPLITS + "2,1,Ann_Li/0,Bob/2,0\n", "expected frames (.jpg, .png, .jpeg) in frames/Bob/2, which line 3 of "
                                        "splits.txt names, received '2,1,Ann_Li/0,Bob/2,0'; in frames/Bob: known: 1"),
    ("split number\n", "list of pairs is empty"),
])
def test_a_bad_row_of_videos(text, message, here):
    touch("frames/Ann_Li/0/1.jpg", "frames/Ann_Li/3/1.jpg", "frames/Bob/1/1.jpg")
    assert message in refused(write("splits.txt", text), "frames")


def write_mat(path, labels, folds=2):
    """A file nested as AgeDB's: cells of structs, whose first field holds cells of structs with name and age."""
    names = [("Ann_1_30_f", "Ann_2_60_f"), ("Ann_1_30_f", "Bob_7_41_m"), ("Bob_7_41_m", "Bob_9_71_m")]
    touch(*(f"faces/{name}.jpg" for pair in names for name in pair))
    face = np.dtype([("name", object), ("age", object)])
    splits = np.empty((folds, 1), object)
    for fold in range(folds):
        pairs = np.empty((2, len(names)), object)
        for column, pair in enumerate(names):
            for row, name in enumerate(pair):
                pairs[row, column] = np.array([[(name, int(name.split("_")[2]))]], face)
        fields = [("pairs", pairs)] + ([("labels", np.array([labels], float))] if labels else [])
        struct = np.empty((1, 1), [(name, object) for name, _ in fields])
        for name, value in fields:
            struct[0, 0][name] = value
        splits[fold, 0] = struct
    savemat(path, {"splits": splits})
    return path


@pytest.mark.parametrize("labels", [[1, -1, 1], None])
def test_agedb_of_matlab(labels, here):
    rows = read_protocol(write_mat("04_FINAL_protocol_30_years.mat", labels), "faces")
    assert [row.number for row in rows] == list(range(1, 7)) and [row.same for row in rows] == [True, False, True] * 2
    assert rows[4].files == ("faces/Ann_1_30_f.jpg", "faces/Bob_7_41_m.jpg")


def test_what_is_wrong_with_an_agedb_file(here):
    assert ("contradicts itself: expected label -1 for Ann_1_30_f and Bob_7_41_m, received 1.0 for pair 2"
            ) in refused(write_mat("a.mat", [1, 1, 1]), "faces")
    path = write_mat("b.mat", None)
    os.remove("faces/Bob_9_71_m.jpg")
    assert "expected faces/Bob_9_71_m.jpg, which line 3 of b.mat names" in refused(path, "faces")
    savemat("c.mat", {"other": 1})
    assert "c.mat cannot be read: expected a MATLAB file with splits" in refused("c.mat", "faces")
    for data in ("no file of MATLAB's", ""):
        assert "d.mat cannot be read" in refused(write("d.mat", data), "faces")


def test_lfw_and_paths_stay_what_they_are(here, capsys):
    touch("faces/Ann/Ann_0001.jpg", "faces/Ann/Ann_0002.jpg")
    for text in ("10\t300\nAnn\t1\t2\n", "Ann 1 2\n", "Ann/Ann_0001.jpg Ann/Ann_0002.jpg 1\n"):
        assert recognise(write("pairs.txt", text)) == "lfw"
    assert [row.same for row in read_protocol("pairs.txt", "faces")] == [True]
    assert capsys.readouterr().out == ""                                               # nothing is told of LFW's


def test_what_was_recognised_is_told_in_a_line(here, capsys):
    read_protocol(write("pairs_CALFW.txt", calfw()), "faces")
    assert capsys.readouterr().out == ("protocol calfw: two lines a pair, each image and fold, 0 for two persons "
                                       "(--protocol says another)\n")
    read_protocol("pairs_CALFW.txt", "faces", "calfw")
    assert capsys.readouterr().out == ""


def test_what_does_not_belong_together(here):
    text = write("pairs.txt", calfw())
    assert refused(text, "faces", "cfp") == ("`protocol`: expected auto or one of lfw, cfp-ff, cfp-fp, agedb, calfw, "
                                             "cplfw, ytf, received protocol='cfp'; nearest: cfp-fp, cfp-ff, cplfw")
    assert refused(text, "faces", frames=2) == ("`frames`: expected `protocol=ytf` beside it, received frames=2 with "
                                                "protocol=calfw")
    assert "images are missing: expected a folder, received root='none'" in refused(text, "none")
    assert list(PROTOCOLS) == ["lfw", "cfp-ff", "cfp-fp", "agedb", "calfw", "cplfw", "ytf"]


def test_packed_in_that_order_and_never_over_a_list(cfp):
    for k in (1, 2, 3):
        for seed, side in enumerate(("frontal", "profile")):
            file = f"faces/00{k}/{side}/01.{'png' if k == 2 else 'jpg'}"
            write_image(file, noise(2 * k + seed, (8, 8)))
    packed = pack_pairs("cfp/Protocol/Split/FP", "faces", "cfp_fp.bin", show=False)
    assert (packed.same, packed.different, packed.files) == (2, 3, 6)
    pairs = load_pairs("cfp_fp.bin")
    assert pairs.issame.tolist() == [True, False, False, True, False] and pairs.name == "cfp_fp"
    with open("faces/002/profile/01.png", "rb") as f:
        assert pairs.images[3] == f.read()
    with pytest.raises(InputError, match="one of the files that are packed"):
        pack_pairs("cfp", "faces", "cfp/Protocol/Split/FP/01/same.txt", show=False, protocol="cfp-fp")
    write_image("faces/003/profile/01.jpg", noise(9, (9, 8)))
    with pytest.raises(InputError, match="which line 3 of cfp/Protocol/Split/FP/01/diff.txt names"):
        pack_pairs("cfp", "faces", "cfp_fp.bin", show=False, protocol="cfp-fp")
