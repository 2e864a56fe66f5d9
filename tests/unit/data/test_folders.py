"""Folder scans: upstream's labels and order; class maps hold the numbers still."""
import os

import pytest

from mxft.data.classes import read_classes, write_classes
from mxft.data.folders import scan_class_folders, scan_folder
from mxft.errors import InputError


@pytest.fixture
def photos(tmp_path):
    """Class folders (files are not opened by a scan, so they are empty)."""
    for name in ("dog/2.jpg", "dog/1.JPG", "dog/greg/9.jpg", "cat/1.png", "cat/notes.txt", "bird/readme.md", "0.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def upstream_list_image(root, exts=(".jpeg", ".jpg", ".png")):
    """The walk of MXNet 1.9.1's im2rec.py --recursive, kept slow and plain to compare with."""
    rows, numbers = [], {}
    for path, folders, files in os.walk(root, followlinks=True):
        folders.sort()
        for file in sorted(files):
            if os.path.splitext(file)[1].lower() in exts:
                label = numbers.setdefault(path, len(numbers))
                rows.append((len(rows), (float(label),), os.path.relpath(os.path.join(path, file), root)))
    return rows


def test_recursive_labels_and_order_are_upstreams(photos):
    scan = scan_folder(photos, recursive=True)
    assert scan.rows == upstream_list_image(photos)
    assert scan.classes == [".", "cat", "dog", "dog/greg"]
    assert scan.ignored == ["bird"]


def test_not_recursive_takes_the_folder_itself_with_label_0(photos):
    assert [tuple(row) for row in scan_folder(photos).rows] == [(0, (0.0,), "0.jpeg")]


def test_extensions_ignore_case_and_dot(photos):
    assert {row.path for row in scan_folder(photos, True, exts=["JPG"]).rows} == {
        os.path.join("dog", "1.JPG"), os.path.join("dog", "2.jpg"), os.path.join("dog", "greg", "9.jpg")}


def test_excluded_folders_go_by_name_or_path(photos):
    assert scan_folder(photos, True, exclude=["greg", "cat"]).classes == [".", "dog"]
    assert scan_folder(photos, True, exclude=["dog/greg"]).classes == [".", "cat", "dog"]
    assert scan_folder(photos, True, exclude=["dog"]).classes == [".", "cat"]


def test_excluding_what_is_not_there_is_refused(photos):
    with pytest.raises(InputError, match="received exclude='catt'; nearest: cat"):
        scan_folder(photos, True, exclude=["catt"])


def test_a_class_map_keeps_numbers_of_classes_without_images(photos):
    names = ["bird", "dog", "dog/greg", ".", "cat"]
    scan = scan_folder(photos, True, classes=names)
    assert {row.path: row.labels[0] for row in scan.rows}[os.path.join("cat", "1.png")] == 4.0
    assert scan.classes == names


def test_a_folder_outside_the_class_map_is_refused_by_name(photos):
    with pytest.raises(InputError, match="names in map.txt, received 'dog/greg'; .*exclude"):
        scan_folder(photos, True, classes=[".", "cat", "dog"], classes_path="map.txt")


def test_a_folder_without_images_says_what_is_there(photos):
    with pytest.raises(InputError, match=r"expected files ending in \.tif, found 3 \.jpg, .*exts"):
        scan_folder(photos, True, exts=[".tif"])
    (photos / "0.jpeg").unlink()
    with pytest.raises(InputError, match="add recursive"):
        scan_folder(photos)


def test_links_are_followed_and_loops_are_not(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for file in (root / "a" / "1.jpg", tmp_path / "elsewhere" / "2.jpg"):
        file.touch()
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "back").symlink_to(root)
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)  # a loop by way of another folder
    paths = {row.path for row in scan_folder(root, True).rows}
    assert paths == {os.path.join("a", "1.jpg"), os.path.join("b", "2.jpg")}


def test_class_folders_are_one_level_deep_and_the_rest_is_told(photos):
    (photos / "dog" / "RENAME2").touch()
    scan = scan_class_folders(photos)
    assert scan.classes == ["bird", "cat", "dog"]
    assert [(row.labels[0], row.path) for row in scan.rows] == [
        (1.0, os.path.join("cat", "1.png")), (2.0, os.path.join("dog", "1.JPG")), (2.0, os.path.join("dog", "2.jpg"))]
    assert scan.ignored == ["0.jpeg", "bird/readme.md", "cat/notes.txt", "dog/RENAME2", "dog/greg"]


def test_class_maps_are_read_as_written(tmp_path):
    write_classes(tmp_path / "c.txt", ["001.ak47", "ein Hund", "çà"])
    assert read_classes(tmp_path / "c.txt") == ["001.ak47", "ein Hund", "çà"]


@pytest.mark.parametrize("text, message", [
    ("a\n\nb\n", "line 2: expected a class name"),
    ("a\nb\na\n", "line 3: expected each class once, received 'a' again after line 1"),
    ("", "class map is empty")])
def test_a_class_map_that_would_shift_labels_is_refused(tmp_path, text, message):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_classes(tmp_path / "c.txt")
