"""``mxft im2rec`` and tools/im2rec.py as a user runs them."""
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.cli.im2rec import find_lists, plain_booleans, say_classes
from mxft.compat import mx
from mxft.data.classes import read_classes
from mxft.data.labels import scan_labels
from mxft.data.lists import read_list
from mxft.errors import InputError
from tests.support.images import smooth, write_classes


@pytest.fixture
def photos(here):
    """Three class folders with images and one without, in the working directory."""
    write_classes("photos", ("cat", "dog", "emu"), 4,
                  lambda number, label: np.full((30, 40, 3), 60 * label + number, np.uint8), ".jpg")
    (here / "photos" / "fox").mkdir()
    return here


def run(*words):
    return main(["im2rec", *words])


def test_list_then_pack(photos, capsys):
    assert run("--list", "--recursive", "a", "photos") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["wrote a.lst: 12 images", "cat 0", "dog 1", "emu 2",
                    "wrote a.classes.txt: 3 classes, line number (from 0) is label",
                    "no label for 1 folders without images: fox"]
    assert run("--resize", "16", "--quality", "90", "--num-thread", "2", "a", "photos") == 0
    assert capsys.readouterr().out.startswith("packed 12 images of 3 classes into a.rec (")
    assert sorted(scan_labels("a.rec").labels) == [0] * 4 + [1] * 4 + [2] * 4


def test_train_and_validation_share_a_class_map(photos):
    assert run("--list", "--recursive", "--classes", "map.txt", "train", "photos") == 0
    for i in range(4):
        (photos / "photos" / "cat" / f"{i}.jpg").unlink()
    assert run("--list", "--recursive", "--classes", "map.txt", "val", "photos") == 0
    assert {row.labels[0] for row in read_list("val.lst")} == {1.0, 2.0}
    assert read_classes("map.txt") == read_classes("val.classes.txt") == ["cat", "dog", "emu"]


def test_a_class_of_validation_alone_is_refused(photos, capsys):
    (photos / "map.txt").write_text("cat\ndog\n")
    assert run("--list", "--recursive", "--classes", "map.txt", "val", "photos") == 2
    assert "expected one of the 2 names in map.txt, received 'emu'" in capsys.readouterr().err
    assert not (photos / "val.lst").exists()


def test_excluded_folders_get_no_label(photos):
    assert run("--list", "--recursive", "--exclude", "cat", "a", "photos") == 0
    assert read_classes("a.classes.txt") == ["dog", "emu"]


def test_ratios_give_upstreams_files_and_one_prefix_packs_them_all(photos, capsys):
    assert run("--list", "--recursive", "--train-ratio", "0.5", "--test-ratio", "0.25", "a", "photos") == 0
    assert sorted(path for path in os.listdir() if path.endswith(".lst")) == ["a_test.lst", "a_train.lst", "a_val.lst"]
    assert run("a", "photos") == 0
    assert [len(scan_labels(f"a_{name}.rec").ids) for name in ("test", "train", "val")] == [3, 6, 3]
    assert find_lists(".") == [os.path.join(".", f"a_{name}.lst") for name in ("test", "train", "val")]


def test_no_shuffle_keeps_the_order_and_a_seed_changes_it(photos):
    orders = []
    for options in (["--no-shuffle"], [], ["--seed", "100"], ["--seed", "1"]):
        run("--list", "--recursive", *options, "a", "photos")
        orders.append([row.index for row in read_list("a.lst")])
    assert orders[0] == list(range(12)) and orders[1] == orders[2] and len(set(map(tuple, orders))) == 3


def test_the_first_im2recs_booleans_mean_what_they_say():
    assert plain_booleans(["--list", "True", "--recursive", "False", "--shuffle", "False", "a", "b"]) == [
        "--list", "--no-shuffle", "a", "b"]
    assert plain_booleans(["--list", "--recursive", "--shuffle", "true", "a", "b"]) == [
        "--list", "--recursive", "a", "b"]


def test_very_many_classes_are_summed_up(capsys):
    say_classes([f"c{i}" for i in range(1000)])
    assert capsys.readouterr().out == "c0 0\n… 998 more …\nc999 999\n"


def test_a_list_beside_a_folder_of_its_name_is_packed(photos, capsys):
    run("--list", "--recursive", "photos", "photos")
    for prefix in ("photos", "photos/"):
        assert find_lists(prefix) == ["photos.lst"]


def test_no_list_names_the_nearest(photos, capsys):
    run("--list", "--recursive", "flowers", "photos")
    capsys.readouterr()
    assert run("flower_s", "photos") == 2
    said = capsys.readouterr().err
    assert "expected files flower_s*.lst, received prefix='flower_s'; nearest: flowers.lst" in said
    with pytest.raises(InputError, match="there are none"):
        find_lists(os.path.join("gone", "a"))


def test_strict_ends_with_2_and_one_line(photos, capsys):
    run("--list", "--recursive", "a", "photos")
    (photos / "photos" / "dog" / "1.jpg").write_bytes(b"")
    capsys.readouterr()
    assert run("--strict", "a", "photos") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "received 1 bad of 12" in err and "dog/1.jpg'" in err
    assert not (photos / "a.rec").exists()
    assert run("a", "photos") == 0
    assert "1 left out, listed in a.bad.tsv" in capsys.readouterr().out


def test_classes_without_recursive_are_refused(photos, capsys):
    assert run("--list", "--classes", "map.txt", "a", "photos") == 2
    assert "expected --recursive with --classes" in capsys.readouterr().err


def test_the_tool_runs_from_a_checkout_without_mxft_or_mxnet(photos, repository):
    """PYTHONPATH is empty, and an mxnet that cannot be imported stands first on the path."""
    (photos / "mxnet.py").write_text("raise ImportError('im2rec must not import mxnet')\n")
    tool = [sys.executable, str(repository / "tools" / "im2rec.py")]
    environment = dict(os.environ, PYTHONPATH=str(photos))
    for words in (["--list", "--recursive", "a", "photos"], ["a", "photos"]):
        done = subprocess.run([*tool, *words], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(scan_labels("a.rec").ids) == 12
    assert subprocess.run([*tool, "gone", "photos"], env=environment, capture_output=True).returncode == 2


@pytest.mark.parametrize("words, encoding, quality", [((), ".jpg", 95),
                                                      (("--encoding", ".png", "--quality", "9"), ".png", 9)])
def test_interp_linear_makes_the_record_files_of_mxnets_im2rec(here, words, encoding, quality):
    """Compared with the steps of MXNet 1.9.1's tools/im2rec.py, image_encode and write_worker, by OpenCV and MXNet."""
    write_classes("photos", ("cat", "dog"), 3, lambda number, label: smooth((200 + 50 * number, 300), label), ".jpg")
    run("--list", "--recursive", "a", "photos")
    record = mx.recordio.MXIndexedRecordIO("theirs.idx", "theirs.rec", "w")
    for row in read_list("a.lst"):
        image = cv2.imread(os.path.join("photos", row.path), 1)
        rows, columns = image.shape[:2]
        size = (64, rows * 64 // columns) if rows > columns else (columns * 64 // rows, 64)
        header = mx.recordio.IRHeader(0, row.labels[0], row.index, 0)
        record.write_idx(row.index, mx.recordio.pack_img(header, cv2.resize(image, size), quality, encoding))
    record.close()
    assert run("--resize", "64", "--interp", "linear", "--num-thread", "2", *words, "a", "photos") == 0
    for suffix in (".rec", ".idx"):
        assert (here / f"a{suffix}").read_bytes() == (here / f"theirs{suffix}").read_bytes()
    assert run("--resize", "64", *words, "a", "photos") == 0
    assert (here / "a.rec").read_bytes() != (here / "theirs.rec").read_bytes(), "auto reads more pixels"


def test_interp_without_a_size_is_refused(photos, capsys):
    run("--list", "--recursive", "a", "photos")
    capsys.readouterr()
    assert run("--interp", "linear", "a", "photos") == 2
    assert "expected a length in pixels to resize to" in capsys.readouterr().err
    assert run("--resize", "8", "--interp", "bilinear", "a", "photos") == 2
    assert "--interp: expected one of 'auto', 'nearest', 'linear'" in capsys.readouterr().err


def test_a_table_becomes_a_list_and_records_with_a_number_for_each_label(photos, capsys):
    (photos / "tags.csv").write_text("image,labels\ncat/0.jpg,cat\ndog/1.jpg,dog|pet\nemu/2.jpg,\n")
    assert main(["im2rec", "--list", "--labels", "tags.csv", "--multi-label", "tags", "photos"]) == 0
    assert read_classes("tags.classes.txt") == ["cat", "dog", "pet"]
    assert {row.path: row.labels for row in read_list("tags.lst")} == {
        "cat/0.jpg": (1, 0, 0), "dog/1.jpg": (0, 1, 1), "emu/2.jpg": (0, 0, 0)}
    assert main(["im2rec", "--pack-label", "--resize", "8", "tags", "photos"]) == 0
    assert sorted(map(tuple, scan_labels("tags.rec").labels)) == [(0, 0, 0), (0, 1, 1), (1, 0, 0)]
    assert main(["im2rec", "--labels", "tags.csv", "--multi-label", "tags", "photos"]) == 2
    assert "--labels: expected --list beside it" in capsys.readouterr().err


def test_train_and_val_folders_become_lists_with_one_number_a_class(photos, capsys):
    shutil.copytree("photos", "all/train")
    shutil.copytree("photos/dog", "all/valid/dog")
    assert run("--list", "--recursive", "--no-shuffle", "a", "all") == 0
    assert read_classes("a.classes.txt") == ["cat", "dog", "emu"]
    assert {row.path[:9]: row.labels[0] for row in read_list("a_train.lst")} == {
        "train/cat": 0, "train/dog": 1, "train/emu": 2}
    assert {row.path[:9]: row.labels[0] for row in read_list("a_val.lst")} == {"valid/dog": 1}
    assert not os.path.exists("a.lst")
    capsys.readouterr()
    assert run("--list", "--recursive", "--train-ratio", "0.5", "a", "all") == 2
    assert ("--train-ratio: expected images that are not divided yet, received train-ratio=0.5 beside train and val in "
            "all; leave it out") in capsys.readouterr().err


def test_an_archive_is_listed_and_packed_as_its_folder(photos, monkeypatch, capsys):
    monkeypatch.setenv("MXNET_HOME", str(photos / "home"))
    shutil.make_archive("photos", "zip", ".", "photos")
    assert run("--list", "--recursive", "a", "photos") == run("--list", "--recursive", "b", "photos.zip") == 0
    assert read_list("a.lst") == read_list("b.lst")
    assert run("b", "photos.zip") == 0 and len(scan_labels("b.rec").ids) == 12


def test_a_table_of_classes_with_its_own_division(photos, capsys):
    (photos / "kinds.csv").write_text("file,kind,split\ncat/0.jpg,pet,train\ndog/1.jpg,pet,val\nemu/2.jpg,wild,train\n")
    assert run("--list", "--labels", "kinds.csv", "k", "photos") == 0
    assert read_classes("k.classes.txt") == ["pet", "wild"]
    assert [{row.path: row.labels[0] for row in read_list(f"k_{part}.lst")} for part in ("train", "val")] == [
        {"cat/0.jpg": 0, "emu/2.jpg": 1}, {"dog/1.jpg": 0}]
    capsys.readouterr()
    assert run("--list", "k", "kinds.csv") == 2
    assert "expected a folder, received 'kinds.csv'; --labels takes a table" in capsys.readouterr().err
    assert run("--list", "--multi-label", "k", "photos") == 2
    assert "targets: expected --labels TABLE beside --multi-label, received none" in capsys.readouterr().err


def test_labels_that_are_not_packed_are_told(photos, capsys):
    (photos / "boxes.lst").write_text("0\t4\t5\t0.1\tcat/0.jpg\n1\t4\t5\t0.2\tdog/0.jpg\n")
    assert run("boxes", "photos") == 0
    assert "; of 3 labels a row the first alone, --pack-label packs all" in capsys.readouterr().out
    assert run("--pack-label", "boxes", "photos") == 0
    assert capsys.readouterr().out.startswith("packed 2 images of 3 labels each into boxes.rec")
