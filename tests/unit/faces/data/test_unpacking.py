"""Unpacking: payloads as they were, lists that pack to the same bytes, nothing outside the folder or half done."""
import os
import pickle
import shlex

import cv2
import numpy as np
import pytest

from mxft.data.packing import pack_list
from mxft.data.recordio import IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import InputError, MissingFileError
from mxft.faces.data.packing import pack_faces
from mxft.faces.data.unpacking import unpack
from mxft.faces.pairs.bin_file import load_pairs, pack_pairs


def image(seed, extension=".jpg"):
    return cv2.imencode(extension, np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8))[1].tobytes()


@pytest.fixture
def packed(tmp_path):
    """A face set of twelve images of Ada (10) and Bob (2)."""
    for name, count in (("Ada", 10), ("Bob", 2)):
        (tmp_path / "people" / name).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "people" / name / f"{i}.jpg").write_bytes(image(i))
    pack_faces(str(tmp_path / "people"), str(tmp_path / "faces"), size=(16, 16), show=False)
    return tmp_path


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_face_set_becomes_folders_and_packs_to_the_same_bytes(packed):
    result = unpack(packed / "faces", packed / "out", show=False)
    assert (result.images, result.folders) == (12, 2)
    assert tree(packed / "out") == [os.path.join("Ada", f"{key:02d}.jpg") for key in range(1, 11)] + [
        os.path.join("Bob", "11.jpg"), os.path.join("Bob", "12.jpg"), "identities.txt", "train.lst"]
    for i in range(10):
        assert (packed / "out" / "Ada" / f"{i + 1:02d}.jpg").read_bytes() == image(i)
    for source, root in ((packed / "out", None), (packed / "out" / "train.lst", str(packed / "out"))):
        pack_faces(str(source), str(packed / "again"), root, size=(16, 16), force=True, show=False)
        for name in ("train.rec", "train.idx", "identities.txt", "property"):
            assert (packed / "again" / name).read_bytes() == (packed / "faces" / name).read_bytes()
    assert "mxft face-pack" in str(result) and "unpacked 12 images in 2 folders" in str(result)


def test_without_names_a_folder_is_the_label(packed):
    (packed / "faces" / "identities.txt").unlink()
    unpack(packed / "faces" / "train.rec", packed / "out", show=False)
    assert sorted(os.listdir(packed / "out")) == ["0", "1", "train.lst"]
    (packed / "names.txt").write_text("one/of/them\n")
    unpack(packed / "faces" / "train.rec", packed / "named", packed / "names.txt", show=False)
    assert sorted(os.listdir(packed / "named")) == ["1", "identities.txt", "one", "train.lst"]
    assert len(os.listdir(packed / "named" / "one" / "of" / "them")) == 10


@pytest.mark.parametrize("labels, options", [([3.0, 3.0, 1234567.0], {}), ([0.5, -2.0, 1.0], {}),
                                             ([(1.0, 9.0), (2.0, 8.0)], {"pack_label": True})])
def test_plain_records_become_a_list_that_packs_to_the_same_bytes(tmp_path, labels, options):
    with RecordWriter(str(tmp_path / "a.rec"), str(tmp_path / "a.idx")) as writer:
        for number, label in enumerate(labels):
            payload = image(number, (".jpg", ".png", ".bmp")[number])
            writer.write(pack(IRHeader(0, label, 40 * number, 0), payload), key=40 * number)
    unpack(tmp_path / "a.rec", tmp_path / "out", show=False)
    again = pack_list(str(tmp_path / "out" / "a.lst"), str(tmp_path / "out"), pass_through=True, show=False, **options)
    assert open(again.rec, "rb").read() == (tmp_path / "a.rec").read_bytes()  # noqa: SIM115
    assert open(again.idx, "rb").read() == (tmp_path / "a.idx").read_bytes()  # noqa: SIM115
    assert {os.path.splitext(name)[1] for name in tree(tmp_path / "out")} >= {".jpg", ".png"}


def test_folders_of_plain_records_are_named_by_label_or_class_map(tmp_path, make_records):
    path = make_records("a.rec", [0, 1234567, 0.25], lambda number, label: np.full((8, 8, 3), number, np.uint8))
    unpack(path, tmp_path / "out", show=False)
    assert tree(tmp_path / "out") == ["0.25/2.png", "0/0.png", "1234567/1.png", "a.lst"]
    (tmp_path / "a.classes.txt").write_text("cat\n")
    unpack(path, tmp_path / "named", show=False)
    assert tree(tmp_path / "named") == ["0.25/2.png", "1234567/1.png", "a.lst", "cat/0.png"]


def test_keys_are_those_of_the_index_then_of_the_headers_then_numbers(tmp_path):
    def names(ids, index):
        with RecordWriter(str(tmp_path / "a.rec"), str(tmp_path / "a.idx")) as writer:
            for number, (own, key) in enumerate(zip(ids, index)):
                writer.write(pack(IRHeader(0, 0.0, own, 0), image(number)), key=key)
        unpack(tmp_path / "a.rec", tmp_path / f"out{ids}{index}", show=False)
        return sorted(os.listdir(tmp_path / f"out{ids}{index}" / "0"))

    assert names([5, 6], [7, 8]) == ["7.jpg", "8.jpg"]
    assert names([5, 6], [None, 8]) == ["5.jpg", "6.jpg"]
    assert names([5, 5], [None, 8]) == ["0.jpg", "1.jpg"]
    assert names([5, 5], [9, 100]) == ["009.jpg", "100.jpg"]


def test_a_verification_set_becomes_a_list_of_pairs_that_packs_to_the_same_set(tmp_path):
    images, issame = [image(i) for i in range(12)], [True, False, False, True, True, False]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((images, issame), protocol=2))
    result = unpack(tmp_path / "lfw.bin", tmp_path / "out", show=False)
    assert tree(tmp_path / "out") == [f"images/{i:02d}.jpg" for i in range(12)] + ["pairs.txt"]
    pack_pairs(str(tmp_path / "out" / "pairs.txt"), str(tmp_path / "out"), str(tmp_path / "again.bin"), show=False)
    again = load_pairs(tmp_path / "again.bin")
    assert again.images == images and again.issame.tolist() == issame
    assert "mxft pairs-pack" in result.again
    with pytest.raises(InputError, match="no labels to name: expected a .rec with names"):
        unpack(tmp_path / "lfw.bin", tmp_path / "other", tmp_path / "names.txt")


@pytest.mark.parametrize("name", ["../out", "/etc", "a/../../b", "a//b", ".", "a/", "a\\b", "a\tb", "train.lst",
                                  "identities.txt/x", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(packed, name):
    (packed / "faces" / "identities.txt").write_text(f"Ada\n{name}\n")
    before = tree(packed)
    with pytest.raises(InputError, match="name is no folder to unpack into: .*identities.txt, line 2, received"):
        unpack(packed / "faces", packed / "out", show=False)
    assert tree(packed) == before and not (packed / "out").exists()


def test_a_folder_that_is_not_empty_is_refused_and_an_empty_one_taken(packed):
    (packed / "out").mkdir()
    (packed / "out" / "x").write_text("")
    with pytest.raises(InputError, match="expected a folder that is new or empty, received .*out with 1 entries"):
        unpack(packed / "faces", packed / "out")
    with pytest.raises(InputError, match="received .*x, a file"):
        unpack(packed / "faces", packed / "out" / "x")
    (packed / "out" / "x").unlink()
    os.symlink("out", packed / "link")
    assert unpack(packed / "faces", packed / "link", show=False).images == 12
    assert len(os.listdir(packed / "out" / "Ada")) == 10 and (packed / "link").is_symlink()


def test_damage_leaves_nothing(packed):
    rec = packed / "faces" / "train.rec"
    with RecordReader(rec) as reader:
        offset = reader.index[9]
    data = bytearray(rec.read_bytes())
    data[offset] ^= 1
    rec.write_bytes(data)
    with pytest.raises(InputError, match=f"record file is damaged: .* at byte {offset} of"):
        unpack(rec, packed / "out", show=False)
    assert not [name for name in os.listdir(packed) if "out" in name]


def test_an_interruption_leaves_nothing(packed, monkeypatch):
    def interrupt(payload):
        raise KeyboardInterrupt
    monkeypatch.setattr("mxft.faces.data.unpacking._extension", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(packed / "faces", packed / "out", show=False)
    assert not [name for name in os.listdir(packed) if "out" in name]


def test_nothing_to_unpack(tmp_path, make_records):
    make_records("a.rec", [0])
    with pytest.raises(MissingFileError, match="expected train.rec, received 1 other .rec and .bin files; .*a.rec"):
        unpack(tmp_path, tmp_path / "out")
    make_records("b.rec", [])
    with pytest.raises(InputError, match="nothing to unpack: expected images, received .*b.rec with 0 records"):
        unpack(tmp_path / "b.rec", tmp_path / "out")
    with pytest.raises(MissingFileError, match="file to unpack is missing: .*nearest: a.rec"):
        unpack(tmp_path / "aa.rec", tmp_path / "out")


def test_the_command_that_packs_again_can_be_pasted_whatever_the_folder_is_called(packed):
    out = packed / "with blank"
    words = shlex.split(unpack(packed / "faces", out, show=False).again)
    assert words == ["mxft", "face-pack", f"{out}/train.lst", "OUT_DIR", "--root", str(out)]
