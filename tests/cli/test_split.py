"""``mxft split`` as a user runs it."""
import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.data.labels import scan_labels


@pytest.fixture
def categories(here):
    """Two classes of four images and Caltech's clutter, in the working directory."""
    for name in ("001.ak47", "002.flag", "257.clutter"):
        (here / "all" / name).mkdir(parents=True)
        for i in range(4):
            cv2.imwrite(str(here / "all" / name / f"{i}.jpg"), np.full((30, 40, 3), 20 * i, np.uint8))


def test_it_splits_packs_and_says_what_it_left_out(categories, capsys):
    assert main(["split", "all", "c", "--per-class", "3", "--resize", "16", "--num-thread", "2"]) == 0
    said = capsys.readouterr().out
    assert "left out 257.clutter: the tutorial trained 256 outputs with 257 labels; --keep-clutter" in said
    assert "train: packed 6 images of 2 classes into c-train.rec" in said
    assert "val: packed 2 images of 2 classes into c-val.rec" in said
    assert scan_labels("c-train.rec").labels.max() == 1


def test_keep_clutter_and_exclude(categories, capsys):
    assert main(["split", "all", "c", "--per-class", "2", "--keep-clutter", "--exclude", "001.ak47"]) == 0
    assert "left out 257.clutter" not in capsys.readouterr().out
    assert open("c-classes.txt").read() == "002.flag\n257.clutter\n"  # noqa: SIM115


def test_a_class_that_ends_without_validation_is_said(categories, tmp_path, capsys):
    (tmp_path / "all" / "001.ak47" / "0.jpg").unlink()
    assert main(["split", "all", "c", "--per-class", "3"]) == 0
    assert "1 classes have no validation images: 001.ak47" in capsys.readouterr().out


def test_a_small_class_ends_with_2(categories, capsys):
    assert main(["split", "all", "c"]) == 2
    assert "expected at least 60 images, received 001.ak47=4 (1 more classes are too small)" in capsys.readouterr().err


@pytest.fixture
def tagged(here):
    """Ten images and ``tags.csv``, in the working directory: all are cats, every second one a dog too."""
    for number in range(10):
        cv2.imwrite(str(here / f"{number}.png"), np.full((10, 10, 3), 20 * number, np.uint8))
    lines = [f"{number}.png,{['cat', 'cat dog'][number % 2]}" for number in range(10)]
    (here / "tags.csv").write_text("\n".join(["image,labels", *lines]))


def test_a_table_of_labels_is_split_and_packed(tagged, capsys):
    assert main(["split", "--labels", "tags.csv", "--multi-label", "--resize", "8", ".", "tags"]) == 0
    said = capsys.readouterr().out
    assert "tags-classes.txt: 2 labels, line number (from 0) is output" in said
    assert "train: packed 8 images of 2 labels each" in said
    assert scan_labels("tags-val.rec").labels.shape == (2, 2)


@pytest.mark.parametrize("flags, expected", [
    (["--labels", "tags.csv"], "--labels: expected --multi-label or --regression beside it"),
    (["--labels", "tags.csv", "--multi-label", "--regression"], "expected one of --multi-label, --regression"),
    (["--labels", "tags.csv", "--multi-label", "--per-class", "3"], "--per-class: expected a folder of class folders"),
    (["--multi-label"], "--multi-label: expected --labels TABLE beside it"),
    (["--val-fraction", "0.5"], "--val-fraction: expected --labels TABLE beside it"),
])
def test_flags_of_a_table_that_do_not_go_together_are_refused(tagged, capsys, flags, expected):
    assert main(["split", *flags, ".", "tags"]) == 2
    assert expected in capsys.readouterr().err
