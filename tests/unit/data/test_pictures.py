"""One door for pictures: every layout people have, read as they mean it, and said in one line."""
import os
import tarfile
import zipfile

import pytest

from mxft.data.pictures import open_pictures
from mxft.errors import InputError, MissingFileError
from tests.support.images import smooth, write_image

NAMES = ("cat", "dog", "eel")


def fill(folder, *paths):
    for number, path in enumerate(paths):
        write_image(folder / path, smooth(seed=number))
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))


@pytest.fixture
def folder(tmp_path):
    """Two pictures of each of three classes, in a folder a class."""
    return fill(tmp_path / "photos", *(f"{name}/{i}.png" for name in NAMES for i in range(2)))


@pytest.fixture
def flat(tmp_path):
    """The same in one folder."""
    return fill(tmp_path / "flat", *(f"{name}{i}.png" for name in NAMES for i in range(2)))


def seen(pictures, rows=None):
    """Return {path below the root: name of its class}."""
    return {row.path: pictures.target.names[int(row.labels[0])] for row in (pictures.rows if rows is None else rows)}


def by_class(form):
    return {form.format(name, i): name for name in NAMES for i in range(2)}


def test_class_folders(folder):
    pictures = open_pictures(folder)
    assert seen(pictures) == by_class("{}/{}.png") and pictures.val is None
    assert pictures.describe() == f"{folder}: class folders; 6 pictures, 3 classes (cat, dog, eel)"


def test_one_more_folder_around_them(folder, tmp_path):
    (tmp_path / "outer" / "photos-2020").mkdir(parents=True)
    os.rename(folder, tmp_path / "outer" / "photos-2020" / "all")
    pictures = open_pictures(tmp_path / "outer")
    assert seen(pictures) == by_class("{}/{}.png")
    assert "class folders in photos-2020/all; 6 pictures" in pictures.describe()


def test_nested_class_folders_are_named_by_their_path(tmp_path):
    fill(tmp_path / "all", "pets/cat/0.png", "pets/dog/0.png", "wild/eel/0.png")
    assert open_pictures(tmp_path / "all").target.names == ("pets/cat", "pets/dog", "wild/eel")


def test_folders_that_repeat_below_each_class_are_groups_within_it(tmp_path):
    fill(tmp_path / "all", *(f"{name}/{year}/0.png" for name in NAMES for year in (2019, 2020)))
    pictures = open_pictures(tmp_path / "all")
    assert pictures.target.names == NAMES and len(pictures.rows) == 6


@pytest.mark.parametrize("dates", [("2019", "2020"), ("2019-07", "2020-12"), ("2019.07.01", "2019.07.02"), ("2024",)])
def test_folders_of_dates_are_no_classes(tmp_path, dates):
    fill(tmp_path / "all", *(f"{date}/{name}/0.png" for name in NAMES for date in dates))
    pictures = open_pictures(tmp_path / "all")
    assert pictures.target.names == NAMES and len(pictures.rows) == len(NAMES) * len(dates)
    for row in pictures.rows:
        assert row.path.split("/")[-2] == NAMES[int(row.labels[0])]
        assert os.path.isfile(os.path.join(pictures.root, row.path))


def test_numbers_that_are_no_dates_are_classes(tmp_path):
    fill(tmp_path / "all", *(f"{digit}/{name}/0.png" for digit in range(10) for name in NAMES))
    assert open_pictures(tmp_path / "all").target.names == tuple(map(str, range(10)))


def test_what_lies_deeper_or_beside_is_passed_over_and_said(folder):
    fill(folder, "dog/greg/1.png", "stray.png")
    (folder / "dog" / "Thumbs.db").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "cat" / "._0.png").write_bytes(b"x")
    pictures = open_pictures(folder)
    assert seen(pictures) == by_class("{}/{}.png")
    assert pictures.describe().endswith("; 1 picture beside the class folders passed over (stray.png); 1 picture "
                                        "deeper than a class folder passed over (dog/greg/1.png)")


@pytest.mark.parametrize("train, val", [("train", "val"), ("Training", "Validation"), ("train", "test"),
                                        ("train", "valid")])
def test_training_and_validation_folders(tmp_path, train, val):
    fill(tmp_path / "all", *(f"{part}/{name}/{i}.png" for part in (train, val) for name in NAMES for i in range(2)))
    pictures = open_pictures(tmp_path / "all")
    assert seen(pictures) == by_class(train + "/{}/{}.png")
    assert seen(pictures, pictures.val) == by_class(val + "/{}/{}.png")
    assert len({row.index for row in pictures.rows + pictures.val}) == 12
    assert (f"for training in {train} and for validation in {val}; 12 pictures, 3 classes (cat, dog, eel), 6 for"
            in pictures.describe())


def test_of_three_parts_the_test_part_is_left(tmp_path):
    fill(tmp_path / "all", *(f"{part}/{name}/0.png" for part in ("train", "val", "test") for name in NAMES))
    pictures = open_pictures(tmp_path / "all")
    assert len(pictures.val) == 3 and "test is left for mxft score" in pictures.describe()


def test_a_class_for_validation_alone_is_refused(tmp_path):
    fill(tmp_path / "all", *(f"train/{name}/0.png" for name in NAMES), "val/cat/0.png", "val/dogs/0.png")
    with pytest.raises(InputError, match="classes for validation alone: .*received dogs in .*val; nearest: dog"):
        open_pictures(tmp_path / "all")


@pytest.mark.parametrize("name, text", [
    ("labels.csv", "filename,label\n{0}0.png,{0}\n{0}1.png,{0}\n"),
    ("labels.csv", "breed,id\n{0},{0}0\n{0},{0}1\n"),
    ("labels.csv", "{0};{0}0.png\n{0};{0}1.png\n"),
    ("labels.tsv", "\ufeffimage\tclass_id\tclass\n{0}0.png\t7\t{0}\n{0}1.png\t7\t{0}\n"),
])
def test_a_flat_folder_with_a_table(flat, name, text):
    head, *rows = text.split("\n", 1) if "{0}" not in text.split("\n")[0] else ("", text)
    (flat / name).write_text((head + "\n" if head else "") + "".join(rows[0].format(name) for name in NAMES),
                             encoding="utf-8")
    assert seen(open_pictures(flat)) == by_class("{}{}.png")
    assert seen(open_pictures(flat / name)) == by_class("{}{}.png")


def test_pictures_in_a_folder_beside_their_table(flat, tmp_path):
    (tmp_path / "set").mkdir()
    os.rename(flat, tmp_path / "set" / "images")
    (tmp_path / "set" / "train.csv").write_text("file,species\n" + "".join(f"{n}{i}.png,{n}\n" for n in NAMES
                                                                           for i in range(2)))
    assert open_pictures(tmp_path / "set").root == str(tmp_path / "set" / "images")


def test_a_table_that_says_which_part(flat):
    (flat / "all.csv").write_text("file,split,label\n" + "".join(f"{n}{i}.png,{('train', 'valid')[i]},{n}\n"
                                                                 for n in NAMES for i in range(2)))
    pictures = open_pictures(flat)
    assert [sorted(seen(pictures, part)) for part in (pictures.rows, pictures.val)] == [
        [f"{name}{i}.png" for name in NAMES] for i in range(2)]


def lines(path="{0}{1}.png", end="\n"):
    return "".join(f"{i}\t{i // 2}\t{path.format(NAMES[i // 2], i % 2)}{end}" for i in range(6))


@pytest.mark.parametrize("text", [lines(), lines(end="\r\n"), lines(" {0}{1}.png")])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_beside_its_folder_or_in_it(flat, text, coding):
    for path in (flat.parent / "flat.lst", flat / "x.lst"):
        path.write_text(text, encoding=coding)
        pictures = open_pictures(path)
        assert sorted(row.path for row in pictures.rows) == sorted(by_class("{}{}.png"))
        assert pictures.target.names == ("0", "1", "2")


def test_a_list_from_windows_names_its_classes_by_their_folders(folder):
    (folder / "all.lst").write_text(lines("{0}\\{1}.png"))
    assert seen(open_pictures(folder / "all.lst")) == by_class("{}/{}.png")


def test_a_file_name_that_begins_with_a_blank(flat):
    os.rename(flat / "cat0.png", flat / " cat0.png")
    (flat / "x.lst").write_text("0\t0\t cat0.png\n1\t1\tdog0.png\n")
    assert [row.path for row in open_pictures(flat / "x.lst").rows] == [" cat0.png", "dog0.png"]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_an_archive(folder, tmp_path, suffix):
    path = str(tmp_path / f"photos{suffix}")
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*.png"):
                archive.write(file, file.relative_to(tmp_path))
    else:
        with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as archive:
            archive.add(folder, "photos")
    assert seen(open_pictures(path)) == by_class("{}/{}.png")


def test_pictures_are_told_by_their_bytes_where_their_names_do_not(folder):
    os.rename(folder / "cat" / "0.png", folder / "cat" / "0")
    (folder / "cat" / "notes").write_text("nothing")
    assert set(seen(open_pictures(folder))) == set(by_class("{}/{}.png")) - {"cat/0.png"} | {"cat/0"}


def test_pictures_without_labels(flat):
    pictures = open_pictures(flat)
    assert pictures.target is None and pictures.describe() == f"{flat}: pictures; 6 pictures, no labels"


def test_the_table_is_taken_where_it_is_asked_for(folder, tmp_path):
    (tmp_path / "tags.csv").write_text("file,labels\ncat/0.png,a|b\ndog/0.png,b\n")
    pictures = open_pictures(folder, "multi-label", tmp_path / "tags.csv")
    assert [row.labels for row in pictures.rows] == [(1.0, 1.0), (0.0, 1.0)] and pictures.root == str(folder)


@pytest.mark.parametrize("name, text, message", [
    ("x.csv", "file,a,b\ncat0.png,x,y\n", "class column: expected one .* received a, b; label_columns a would"),
    ("x.csv", "file,labels\ncat0.png,a|b\ndog0.png,b\n", "several labels in .*, line 2: .*'a|b'; target='multi-label'"),
    ("x.csv", "file,age\ncat0.png,3.5\ndog0.png,4\n", "numbers in .*: expected classes, received 3.5; target='regr"),
    ("x.csv", "file,label\ncat0.png,a\ncat0.png,b\n", "image twice in .*, line 3"),
    ("x.csv", "file,label\ncat0.png,a\n", "expected two or more classes in .*, received 1"),
    ("x.csv", "file,label\ngone.png,a\nlost.png,b\n", "images are missing: .*received none of 2, the first .*gone.png"),
    ("x.csv", "file,label\ncat0.png,\n", "line 2: expected a class, received none"),
    ("x.lst", "0\t4\t5\t64\t48\t1\t.1\t.2\t.8\t.9\tcat0.png\n", "expected one class, received the boxes of a detector"),
    ("x.lst", "0\t0\t1\tcat0.png\n", "expected one class, received several labels; target='multi-label'"),
    ("x.lst", "0\t0.5\tcat0.png\n", "received 0.5; target='regression'"),
    ("x.lst", "0\t-1\tcat0.png\n", "expected a class number from 0 up, received -1"),
    ("x.lst", "0\t9999999\tcat0.png\n", "without large gaps"),
])
def test_labels_that_cannot_be_told_are_refused_with_what_reads_them(flat, name, text, message):
    (flat / name).write_text(text)
    with pytest.raises(InputError, match=message):
        open_pictures(flat)


def test_what_is_not_there_or_no_picture(tmp_path, folder):
    with pytest.raises(MissingFileError, match="pictures are missing: .*; nearest: photos"):
        open_pictures(tmp_path / "photo")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    with pytest.raises(InputError, match="no pictures in .*texts: expected JPEG, .* found 1 .txt"):
        open_pictures(tmp_path / "texts")
    (tmp_path / "a.rec").write_bytes(b"")
    with pytest.raises(InputError, match="a record file; mxft finetune takes it with train"):
        open_pictures(tmp_path / "a.rec")
    with pytest.raises(InputError, match="received exclude='dgo'; nearest: dog"):
        open_pictures(folder, exclude=["dgo"])


def test_two_tables_are_one_too_many(flat):
    for name in ("a.csv", "b.csv"):
        (flat / name).write_text("file,label\ncat0.png,a\ndog0.png,b\n")
    with pytest.raises(InputError, match="expected one table in .*, received a.csv, b.csv; labels .*a.csv chooses it"):
        open_pictures(flat)
