"""``mxft split`` as a user runs it."""
import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.data.labels import scan_labels
from tests.support.images import smooth, write_image


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
    assert said.startswith("all: class folders; 8 pictures, 2 classes (001.ak47, 002.flag); 257.clutter left out, as "
                           "it is no category")
    assert "train: packed 6 images of 2 classes into c-train.rec" in said
    assert "val: packed 2 images of 2 classes into c-val.rec" in said
    assert scan_labels("c-train.rec").labels.max() == 1


def test_keep_clutter_and_exclude(categories, capsys):
    assert main(["split", "all", "c", "--per-class", "2", "--keep-clutter", "--exclude", "001.ak47"]) == 0
    assert "257.clutter left out" not in capsys.readouterr().out
    assert open("c-classes.txt").read() == "002.flag\n257.clutter\n"  # noqa: SIM115


def test_a_class_that_ends_without_validation_is_said(categories, tmp_path, capsys):
    (tmp_path / "all" / "001.ak47" / "0.jpg").unlink()
    assert main(["split", "all", "c", "--per-class", "3"]) == 0
    assert "1 class has no validation images: 001.ak47" in capsys.readouterr().out


def test_a_small_class_ends_with_2(categories, capsys):
    assert main(["split", "all", "c", "--per-class", "60"]) == 2
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
    (["--labels", "tags.csv"], "several labels in tags.csv, line 3: expected one class, received 'cat dog'; "
                               "--multi-label trains"),
    (["--labels", "tags.csv", "--multi-label", "--regression"], "expected one of --multi-label, --regression"),
    (["--multi-label", "--per-class", "3"], "--per-class: expected one class an image, received --multi-label"),
    (["--per-class", "3", "--val-fraction", "0.5"], "expected one of --per-class, --val-fraction, received both"),
    (["--labels", "tags.csv", "--exclude", "cat"], "--exclude: expected class folders, received --labels tags.csv"),
    (["--label-columns", "breed"], "expected columns of ./tags.csv, received 'breed'; known: image, labels"),
])
def test_flags_that_do_not_go_together_are_refused(tagged, capsys, flags, expected):
    assert main(["split", *flags, ".", "tags"]) == 2
    assert expected in capsys.readouterr().err


def test_the_table_in_the_folder_is_taken_and_a_part_held_out(tagged, capsys):
    assert main(["split", "--multi-label", ".", "tags"]) == 0
    assert capsys.readouterr().out.startswith(".: table tags.csv; 10 pictures, 2 labels an image\n")


def test_a_picture_in_both_parts_is_said(here, capsys):
    for number, part in enumerate(("train", "train", "train", "val", "val")):
        for label, name in enumerate(("cat", "dog")):
            write_image(here / "all" / part / name / f"{number}.png", smooth((60, 80), 2 * number + label))
    copied = cv2.imread(str(here / "all" / "train" / "dog" / "1.png"))
    cv2.imwrite(str(here / "all" / "val" / "dog" / "again.jpg"), cv2.resize(copied, (70, 50)))
    assert main(["split", "all", "c"]) == 0
    said = capsys.readouterr().out
    assert ("1 picture for validation also in training, so that the score is too good: val/dog/again.jpg as "
            "train/dog/1.png; all in c-duplicates.tsv") in said
    assert open("c-duplicates.tsv").read() == "training\tvalidation\ntrain/dog/1.png\tval/dog/again.jpg\n"  # noqa: SIM115
