"""The tutorial's split: n of each class, seeded, the source untouched, stray files told."""
import os

import cv2
import numpy as np
import pytest

from mxft.data.classes import read_classes
from mxft.data.datasets import prepare_records
from mxft.data.lists import Row, read_list
from mxft.data.splits import all_but, split_fraction, split_per_class
from mxft.errors import InputError

ROWS = [Row(i, (float(i % 4),), f"{i % 4}/{i}.jpg") for i in range(40)]


@pytest.fixture
def categories(tmp_path):
    """A tiny 256_ObjectCategories with the real archive's strays: two classes, clutter, RENAME2, 056.dog/greg."""
    root = tmp_path / "256_ObjectCategories"
    for number, (name, count) in enumerate([("056.dog", 5), ("198.spider", 4), ("257.clutter", 3)]):
        (root / name).mkdir(parents=True)
        for i in range(count):
            image = np.full((20, 24, 3), 40 * number + i, np.uint8)
            cv2.imwrite(str(root / name / f"{name[:3]}_{i:04}.jpg"), image)
    (root / "198.spider" / "RENAME2").write_text("#!/bin/sh\n")
    (root / "056.dog" / "greg").mkdir()
    cv2.imwrite(str(root / "056.dog" / "greg" / "1.jpg"), image)
    return root


def files_of(folder):
    return {os.path.join(path, name): open(os.path.join(path, name), "rb").read()  # noqa: SIM115
            for path, _, names in os.walk(folder) for name in names}


def test_each_class_gives_as_many_and_nothing_is_lost_or_doubled():
    train, val = split_per_class(ROWS, 6)
    assert [sum(row.labels[0] == label for row in train) for label in range(4)] == [6] * 4
    assert sorted(train + val) == ROWS


def test_the_choice_is_random_and_the_seeds():
    chosen = {seed: split_per_class(ROWS, 6, seed)[0] for seed in (0, 1)}
    assert chosen[0] == split_per_class(ROWS, 6, 0)[0] != chosen[1]
    assert set(chosen[0]) != set(chosen[1])
    assert sorted(chosen[0]) != chosen[0]  # the list itself is shuffled too


def test_the_choice_is_the_same_on_every_python():
    """The three smallest of ``printf 0/N.jpg | sha256sum``."""
    train, _ = split_per_class([Row(i, (0.0,), f"{i}.jpg") for i in range(6)], 3)
    assert [row.path for row in train] == ["2.jpg", "1.jpg", "0.jpg"]


def test_the_choice_does_not_depend_on_order_or_on_other_classes():
    train, _ = split_per_class(ROWS, 6)
    assert split_per_class(ROWS[::-1], 6)[0] == train
    more, _ = split_per_class([*ROWS, Row(99, (0.0,), "0/new.jpg")], 6)
    assert [r for r in more if r.labels[0]] == [r for r in train if r.labels[0]]


def test_a_small_class_is_refused_by_name_and_count():
    with pytest.raises(InputError, match=r"at least 11 images, received label 0=10 \(3 more classes are too small\); "
                                         r"per_class 10"):
        split_per_class(ROWS, 11)
    with pytest.raises(InputError, match="received zebra=0; .*exclude zebra"):
        split_per_class(ROWS, 2, classes=["a", "b", "c", "d", "zebra"])
    with pytest.raises(InputError, match="received per_class=0"):
        split_per_class(ROWS, 0)


def test_a_class_may_end_without_validation_images():
    train, val = split_per_class(ROWS, 10)
    assert len(train) == 40 and val == []


def split_folder(folder, prefix, **options):
    return prepare_records(str(folder), str(prefix), show=False, **options)[1]


def test_a_folder_is_listed_and_packed_and_left_alone(categories, tmp_path):
    before = files_of(categories)
    result = split_folder(categories, tmp_path / "c", per_class=4)
    assert files_of(categories) == before
    assert (result.train.packed, result.val.packed) == (8, 1)
    assert result.classes == read_classes(result.classes_path) == ["056.dog", "198.spider"]
    assert result.excluded == ["257.clutter"] and result.without_validation == ["198.spider"]
    lists = read_list(tmp_path / "c-train.lst") + read_list(tmp_path / "c-val.lst")
    assert len({row.index for row in lists}) == len({row.path for row in lists}) == 9
    assert {row.path.split(os.sep)[0]: row.labels for row in lists} == {"056.dog": (0.0,), "198.spider": (1.0,)}


def test_a_second_run_writes_the_same_bytes(categories, tmp_path):
    for name in ("one", "two"):
        split_folder(categories, tmp_path / name / "c", per_class=3, resize=16)
    one, two = ([data for path, data in files_of(tmp_path / name).items() if not path.endswith(".json")]
                for name in ("one", "two"))
    assert len(one) >= 7 and sorted(one) == sorted(two)


def test_clutter_comes_back_when_asked_for(categories, tmp_path):
    result = split_folder(categories, tmp_path / "c", per_class=3, keep_clutter=True)
    assert result.classes == ["056.dog", "198.spider", "257.clutter"] and result.excluded == []


@pytest.mark.parametrize("options, message", [
    ({"per_class": 5}, "at least 5 images, received 198.spider=4; per_class 4 or exclude 198.spider"),
    ({"per_class": 4, "exclude": ["056.dog"]}, "expected two or more class folders"),
    ({"per_class": 4, "exclude": ["56.dog"]}, "received exclude='56.dog'; nearest: 056.dog"),
])
def test_folders_that_cannot_be_split_are_refused(categories, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        split_folder(categories, tmp_path / "out" / "c", **options)
    assert not (tmp_path / "out").exists()


def test_no_image_left_for_validation_is_refused(categories, tmp_path):
    (categories / "056.dog" / "056_0000.jpg").unlink()
    with pytest.raises(InputError, match="no images left for validation: expected a class with more than 4"):
        split_folder(categories, tmp_path / "c", per_class=4)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no files at all"):
        split_folder(tmp_path, tmp_path / "c")


@pytest.mark.parametrize("fraction", [0.3, 0.1, 0.5, 0.99, 1 / 3])
def test_a_fraction_of_each_class_is_rounded_down_for_validation(fraction):
    rows = [Row(i, (float(label),), f"{label}/{i}.jpg") for label, count in enumerate((10, 7, 18, 1))
            for i in range(count)]
    train, val = split_fraction(rows, fraction)
    assert sorted(train + val) == sorted(rows)
    assert [sum(row.labels[0] == label for row in val) for label in range(4)] == [
        int(fraction * count) for count in (10, 7, 18, 1)]


def test_a_fraction_draws_with_the_seed_as_the_other_rule_does():
    rows = ROWS[::-1]
    assert split_fraction(rows, 0.3, 5) == split_per_class(ROWS, 7, 5) != split_fraction(rows, 0.3, 6)


@pytest.mark.parametrize("fraction", [0, 1, -0.3, 30])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(InputError, match=f"validation above 0 and below 1, received val_fraction={fraction}"):
        split_fraction(ROWS, fraction)


def test_a_class_without_images_has_no_fraction():
    with pytest.raises(InputError, match="expected at least 1 images, received zebra=0"):
        split_fraction(ROWS, 0.3, classes=["a", "b", "c", "d", "zebra"])


def test_every_class_has_the_least_for_validation_where_one_is_left_for_training():
    rows = [Row(i, (float(label),), f"{label}/{i}.jpg") for label, count in enumerate((10, 4, 2, 1))
            for i in range(count)]
    _, val = split_fraction(rows, 0.2, least=1)
    assert [sum(row.labels[0] == label for row in val) for label in range(4)] == [2, 1, 1, 0]


def test_a_folder_by_fraction(categories, tmp_path):
    result = split_folder(categories, tmp_path / "c", val_fraction=0.4)
    assert (result.train.packed, result.val.packed) == (6, 3)  # of 5 and 4: int(2.0) and int(1.6)
    with pytest.raises(InputError, match="expected a class with more than 9 images in .*; raise the fraction above "
                                         "0.1"):
        split_folder(categories, tmp_path / "d", val_fraction=0.1)


def test_all_but_the_classes_that_are_wanted(categories):
    assert all_but(str(categories), ["056.dog", "257.clutter"]) == ["198.spider"]
    assert all_but(str(categories), []) == []
    with pytest.raises(InputError, match="expected a folder in .*, received classes='dog'; nearest: 056.dog"):
        all_but(str(categories), ["dog"])
