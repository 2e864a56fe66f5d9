"""Packing from a face set or a .rec: the payloads byte for byte, the choices of face-pack, what is refused."""
import os

import pytest

from mxft.data.recordio import IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import InputError
from mxft.faces.data.packed_source import read_packed
from mxft.faces.data.packing import pack_faces
from mxft.faces.data.sources import read_source
from tests.unit.faces.data.test_packing import face, files_of, people, read_as_upstream_does  # noqa: F401


def packed(source, folder, **options):
    return pack_faces(str(source), str(folder), **{"size": (16, 16), "show": False, **options})


@pytest.fixture
def face_set(people, tmp_path):  # noqa: F811
    """The eleven faces of four people of `people`, packed."""
    packed(people, tmp_path / "set")
    return tmp_path / "set"


def plain_rec(path, rows, names=None):
    """Write (label, image) rows as im2rec does, keys from 0."""
    with RecordWriter(str(path), os.path.splitext(path)[0] + ".idx") as writer:
        for key, (label, image) in enumerate(rows):
            writer.write(pack(IRHeader(0, float(label), key, 0), image), key=key)
    if names:
        path.with_suffix(".classes.txt").write_text("".join(f"{name}\n" for name in names))
    return path


def test_a_face_set_packed_again_is_the_same_bytes(face_set, tmp_path):
    packed(face_set, tmp_path / "again", num_thread=3)
    packed(face_set / "train.rec", tmp_path / "from-rec")
    assert files_of(tmp_path / "again") == files_of(tmp_path / "from-rec") == files_of(face_set)


def test_hold_out_min_images_and_exclude_choose_what_they_do_of_a_folder(people, face_set, tmp_path):  # noqa: F811
    choices = {"hold_out": 0.4, "seed": 3, "min_images": 2, "exclude": ["Cy"]}
    of_set = packed(face_set, tmp_path / "a", **choices)
    of_folder = packed(people, tmp_path / "b", **choices)
    assert (of_set.images, of_set.held_out, of_set.few) == (of_folder.images, of_folder.held_out, of_folder.few)
    for part in ("", "held-out"):
        assert files_of(tmp_path / "a" / part) == files_of(tmp_path / "b" / part)


def test_another_size_is_encoded_again(face_set, tmp_path):
    result = packed(face_set, tmp_path / "small", size=(8, 8))
    assert (result.images, result.resized) == (11, 11)
    assert (tmp_path / "small" / "property").read_text() == "4,8,8\n"


def test_a_plain_rec_is_sorted_by_label_and_named_after_its_class_file(tmp_path):
    images = [face(number) for number in range(6)]
    rec = plain_rec(tmp_path / "plain.rec", zip([2, 0, 2, 0, 5, 2], images), ["Ada", "Bob", "Cy", "D", "E", "Flo"])
    names, named, files, records = read_packed(str(rec))
    records.close()
    assert (names, named) == (["Ada", "Cy", "Flo"], True)
    assert [(file.identity, file.path) for file in files] == [
        (0, "Ada/1"), (0, "Ada/3"), (1, "Cy/0"), (1, "Cy/2"), (1, "Cy/5"), (2, "Flo/4")]
    packed(rec, tmp_path / "set")
    assert read_as_upstream_does(tmp_path / "set") == {0: [images[1], images[3]], 1: [images[0], images[2], images[5]],
                                                       2: [images[4]]}
    assert (tmp_path / "set" / "identities.txt").read_text() == "Ada\nCy\nFlo\n"


def test_people_without_names_are_called_by_their_label(tmp_path):
    rec = plain_rec(tmp_path / "plain.rec", [(7, face(1)), (3, face(2))])
    found = read_source(str(rec))
    assert (found.names, found.named) == (["3", "7"], False)
    assert found.read(found.files[1]) == face(1)


def test_a_damaged_record_is_left_out_and_listed(face_set, tmp_path):
    with RecordReader(face_set / "train.rec") as reader:
        at = reader[3].offset
    data = bytearray((face_set / "train.rec").read_bytes())
    data[at + 32:at + 200] = bytes(168)
    (face_set / "train.rec").write_bytes(bytes(data))
    result = packed(face_set, tmp_path / "again")
    assert [(row.name, row.path) for row in result.bad] == [("Ada", os.path.join("Ada", "2.jpg"))]
    assert result.images == 10


def test_a_list_of_other_images_does_not_name_them(face_set):
    rows = (face_set / "train.lst").read_text(encoding="utf-8").splitlines()
    (face_set / "train.lst").write_text("\n".join(rows[:-1]) + "\n", encoding="utf-8")
    assert [file.path for file in read_source(str(face_set)).files][:2] == ["Ada/01", "Ada/02"]


@pytest.mark.parametrize("change, message", [
    (lambda s: pack_faces(str(s), str(s), force=True), "cannot pack a folder into itself"),
    (lambda s: pack_faces(str(s / "train.rec"), str(s), force=True),
     "cannot pack a set into its own folder: expected another folder than .*train.rec is what would be packed"),
    (lambda s: pack_faces(str(s), str(s) + "-2", root="x"), "root: expected a list.*received the face set"),
    (lambda s: pack_faces(str(s), str(s) + "-2", exts=[".gif"]), "exts: expected a folder of people.*the face set"),
    (lambda s: pack_faces(str(s), str(s) + "-2", exclude=["Adda"]), "received exclude='Adda'; nearest: Ada"),
    (lambda s: (s / "property").unlink() or read_source(str(s)), "is no face training set.*none named property"),
    (lambda s: (s / "identities.txt").write_text("Ada\n") and read_source(str(s)),
     "names do not fit .*train.rec: expected a name for each label up to 3, received 1 in .*identities.txt"),
], ids=["itself", "own-rec", "root", "exts", "exclude", "property", "names"])
def test_what_is_refused(face_set, change, message):
    before = files_of(face_set)
    with pytest.raises(InputError, match=message):
        change(face_set)
    assert (face_set / "train.rec").read_bytes() == before["train.rec"]
