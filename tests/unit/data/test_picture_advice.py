"""Folders, tables and archives gone wrong: each is read as it was meant, or refused with what to do about it."""
import os
import shutil
import unicodedata
import zipfile

import pytest

from mxft.command.flags import as_flags
from mxft.data.datasets import prepare_pictures
from mxft.data.pictures import open_pictures, pictures_under
from mxft.errors import InputError
from tests.support.images import encoded, smooth, write_image

CAFE = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory; archives are unpacked below it."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def fill(folder, *names, classes=("cat", "dog"), count=2):
    for number, name in enumerate(names or [f"{name}/{i}.png" for name in classes for i in range(count)]):
        write_image(os.path.join(folder, name), smooth((8, 8), number))


def flat(table, name="labels.csv", coding="utf-8", count=6):
    """Pictures 0.jpg to 5.jpg in ``a``, and a table of them: "{i}" is a picture's number, "{c}" its class."""
    fill("a", *(f"{i}.jpg" for i in range(count)))
    rows = table.split("\n")
    text = "\n".join([*rows[:-1], *(rows[-1].format(i=i, c="cd"[i % 2]) for i in range(count))])
    with open(os.path.join("a", name), "wb") as f:
        f.write(text.encode(coding))


def a_zip_in_a_zip():
    fill("photos")
    for outer, inner in (("inner.zip", "photos"), ("a.zip", "inner.zip")):
        with zipfile.ZipFile(outer, "w") as archive:
            for path in [inner] if os.path.isfile(inner) else [
                    os.path.join(place, name) for place, _, names in os.walk(inner) for name in names]:
                archive.write(path)


def file(name, content=b"x"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as f:
        f.write(content)


def link(name):
    fill("a")
    os.symlink("nowhere", name)


# what lies there as "a" (or the source that is named), and what `mxft split` says of it
REFUSED = [
    (lambda: (fill("a"), os.makedirs("a/fox")), "a", "class without pictures: expected at least one of fox in a, "
     "received none; put some there, or --exclude fox"),
    (lambda: fill("a", classes=("cat",)), "a", "in a, received 2 pictures of one class alone, cat; put each further"),
    (lambda: fill("a"), "a/cat", "of one class alone: it is one of 2 folders with pictures in a; give a"),
    (lambda: fill("a", "0.jpg"), "a", "received 1 picture without; put each class into a folder of its own, or give "
     "--labels TABLE"),
    (lambda: (fill("a", "0.jpg"), file("a/labels.xlsx")), "a", "without; labels.xlsx there is not read: save it as C"),
    (lambda: flat("label\n{c}"), "a", "no images in a/labels.csv: expected a column of file names"),
    (lambda: flat("image|label\n{i}.jpg|{c}"), "a", "columns are separated by a tab, a comma or a semicolon"),
    (lambda: flat("image,label\n{i}.jpg,caf\xe9{c}", coding="latin-1"), "a", "expected UTF-8 text, received "
     "a/labels.csv; save it as UTF-8 (in a spreadsheet: CSV UTF-8)"),
    (lambda: flat("image,label\n9.jpg,c,x\n{i}.jpg,{c}"), "a", "line 2: expected 2 columns, received 3: '9.jpg,c,x'; a "
     "cell with a comma stands in quotes"),
    (lambda: flat('image,label\n{i}.jpg,"{c}', count=2), "a", "a quote that is opened has to be closed"),
    (lambda: flat("image,label\nhttps://example.org/{i}.jpg,{c}"), "a", "the first 'https://example.org/0.jpg'; "
     "addresses are not fetched: download the pictures"),
    (lambda: flat("image,age\n{i}.jpg,2{i}"), "a", "received 6 images of 6 classes; add pictures; --regression trains"),
    (lambda: fill("a", classes=("cat", "d\nog")), "a", "class names of a: expected each once, on one line, received "
     "'d\\nog'; rename the folder"),
    (a_zip_in_a_zip, "a.zip", "no pictures in a.zip: expected JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF files, found 1 "
     ".zip; unpack inner.zip first"),
    (lambda: file("a.rar"), "a.rar", "received 'a.rar', another kind of archive; unpack it and give the folder"),
    (lambda: file("a.xlsx"), "a.xlsx", "received 'a.xlsx', a spreadsheet; save it as CSV (UTF-8)"),
    (lambda: file("a.jpg", encoded(smooth(), ".jpg")), "a.jpg", "received 'a.jpg', one picture; give the folder"),
    (lambda: file("lfw.bin"), "lfw.bin", "a verification set; mxft verify judges a face network on it"),
    (lambda: fill("a", *(f"{part}/{name}/0.png" for part in ("train", "val") for name in ("cat", part))), "a",
     "classes for validation alone: expected those of a/train, received val in a/val"),
]


@pytest.mark.parametrize("make, source, message", REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_what_cannot_be_read_is_refused_with_what_to_do(make, source, message):
    make()
    with pytest.raises(InputError) as refused:
        prepare_pictures(open_pictures(source), "out", show=False)
    assert message in as_flags(refused.value.message)
    assert not [name for name in os.listdir() if name.startswith("out")]


READ = [
    (lambda: link("a/cat/9.jpg"), "a: class folders; 4 pictures, 2 classes (cat, dog); 1 link to nothing passed over "
     "(cat/9.jpg)"),
    (lambda: link("a/fox"), "1 link to nothing passed over (fox)"),
    (lambda: flat("image,label\n/home/bob/set/{i}.jpg,{c}"), "2 classes (c, d); its paths are read without "
     "/home/bob/set/"),
    (lambda: flat("image,label\nC:\\bob\\set\\{i}.jpg,{c}"), "its paths are read without C:/bob/set/"),
    (lambda: flat("image,label\n{i}.JPG,{c}", "LABELS.CSV"), "a: table LABELS.CSV, class in column label; 6 pictures"),
    (lambda: flat("image,width,colour\n{i}.jpg,20,{c}"), "class in column colour; 6 pictures, 2 classes (c, d)"),
    (lambda: (fill("a", *(f"{CAFE[1]}{i}.jpg" for i in range(2))), file("a/l.csv", "".join(
        f"{CAFE[0]}{i}.jpg,{i}\n" for i in range(2)).encode())), "a: table l.csv; 2 pictures, 2 classes (0, 1)"),
    (lambda: fill("a", classes=CAFE), f"{CAFE[1]} and {CAFE[0]} are called alike, and taken as 2 classes"),
    (lambda: fill("a", *(f"{year}/{name}/0.png" for year in (2019, 2020) for name in ("cat", "dog"))),
     "a: class folders; 4 pictures, 2 classes (cat, dog); folders of dates (2019, 2020) are taken together, and those "
     "in them are the classes"),
    (lambda: fill("a", *(f"{place}/{name}/0.png" for place in ("north", "south") for name in ("cat", "dog"))),
     "2 classes (north, south); folders within the class folders (cat, dog) are taken together"),
    (lambda: (fill("a/train"), fill("a/test", "0.png")), "a: class folders in train; 4 pictures, 2 classes (cat, dog); "
     "test passed over, as it has no class folders: mxft predict names its pictures"),
    (lambda: (fill("a", "0.jpg", "1.jpg"), file("a.lst", b"0\t0\t0.jpg\n1\t1\t1.jpg\n")), "a: list a.lst; 2 pictures"),
]


@pytest.mark.parametrize("make, said", READ, ids=[said[-40:] for _, said in READ])
def test_what_is_meant_is_read_and_said(make, said):
    make()
    assert said in open_pictures("a").describe()


def test_folders_that_may_not_be_read(monkeypatch):
    fill("a")
    listdir = os.listdir

    def closed(folder="."):
        if os.path.normpath(folder) == closed.path:
            raise PermissionError(13, "Permission denied", os.fspath(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", closed)
    shutil.rmtree("a/cat")
    os.makedirs("a/cat")
    closed.path = "a/cat"
    with pytest.raises(InputError, match="at least one of cat in a, received a folder that cannot be read: permission"):
        open_pictures("a").require_every_class()
    closed.path = "a"
    with pytest.raises(InputError, match=r"expected a folder that may be read, received 'a' \(permission denied\)"):
        open_pictures("a")


def test_a_table_names_pictures_for_whoever_needs_no_labels():
    flat("image,caption\n{i}.jpg,a cat {i}")
    assert pictures_under("a/labels.csv") == [f"a/{i}.jpg" for i in range(6)]
    file("a.lst", b"0\t3\t1.jpg\n1\t4\tgone.jpg\n")
    assert pictures_under("a.lst") == ["a/1.jpg", "a/gone.jpg"]
