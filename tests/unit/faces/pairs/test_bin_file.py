"""mxft/faces/pairs/bin_file.py and pair_lists.py: reading, checking, writing and packing verification sets."""
import os
import pickle
import re

import cv2
import numpy as np
import pytest

from mxft.errors import InputError, MissingFileError
from mxft.faces.pairs.bin_file import PairSet, check_images, decode_rgb, load_pairs, pack_pairs, write_pairs
from mxft.faces.pairs.lists import read_pair_list
from tests.support.images import encoded, noise


def picture(seed=0, size=(8, 8), suffix=".jpg"):
    """An image file's bytes."""
    return encoded(noise(seed, size), suffix)


@pytest.fixture
def faces(tmp_path):
    """faces/ with Ann_0001.jpg, Ann_0002.png, Bob_0001.jpeg, Bob_0012.jpg."""
    for seed, (name, number, suffix) in enumerate([("Ann", 1, ".jpg"), ("Ann", 2, ".png"), ("Bob", 1, ".jpeg"),
                                                   ("Bob", 12, ".jpg")]):
        (tmp_path / "faces" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / name / f"{name}_{number:04d}{suffix}").write_bytes(picture(seed, suffix=suffix))
    return tmp_path / "faces"


@pytest.fixture
def listed(tmp_path):
    """A function that writes pairs.txt."""
    def write(text):
        path = tmp_path / "pairs.txt"
        path.write_text(text, encoding="utf-8")
        return str(path)
    return write


def dump(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol))
    return str(path)


def test_what_is_written_is_read_and_is_what_python_2_writes(tmp_path):
    path = str(tmp_path / "set.bin")
    images = [b"\xff\xd8a", b"b" * 300, b"", b"d"]
    write_pairs(path, images, [True, False])
    read = load_pairs(path)
    assert (read.name, read.images, read.issame.tolist()) == ("set", images, [True, False])
    assert read.issame.dtype == bool and str(read) == "set: 2 pairs (1 same, 1 different)"
    with open(path, "rb") as f:
        content = f.read()
    assert pickle.loads(content, encoding="bytes") == (images, [True, False])
    with pytest.raises(UnicodeDecodeError):  # on which insightface's load_bin tries encoding="bytes"
        pickle.loads(content)
    assert content[:2] == b"\x80\x02" and b"T\x03\x00\x00\x00\xff\xd8a" in content and len(content) < 304 + 4 * 5 + 20


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bytes_and_arrays_of_every_protocol(tmp_path, protocol):
    image = picture()
    path = dump(tmp_path / "a.bin", ([image, np.frombuffer(image, np.uint8), np.frombuffer(image, np.uint8)[:, None],
                                      image], [np.bool_(True), 0]), protocol)
    assert load_pairs(path).images == [image] * 4 and load_pairs(path).issame.tolist() == [True, False]
    assert load_pairs(dump(tmp_path / "b.bin", [(image, image), np.array([True])], protocol)).issame.tolist() == [True]


@pytest.mark.parametrize("value, message", [
    (([b"a", b"b", b"c"], [True]), "is no verification set: expected two images a pair, 2 x 1 = 2, received images=3 "
                                   "issame=1; make it again with mxft pairs-pack"),
    (([b"a", b"b"], [True, False]), "2 x 2 = 4, received images=2 issame=2"),
    (([], []), "is empty: expected at least one pair, received none"),
    ([b"a", b"b"], "is no verification set: expected a pair of lists (images, issame), received list of 2"),
    (([b"a"], [True], [1]), "received tuple of 3"),
    (5, "received int"),
    (([b"a", 7], [True]), "image 1 of {path}: expected an encoded image in bytes, received int"),
    (([b"a", "text"], [True]), "image 1 of {path}: expected an encoded image in bytes, received str"),
    (([np.zeros((4, 4, 3), np.uint8), b"b"], [True]), "image 0 of {path}: expected an encoded image in bytes, received "
                                                      "uint8 pixels of shape (4, 4, 3)"),
    (([b"a", b"b"], [2]), "issame 0 of {path}: expected True or False, received 2"),
    (([b"a", b"b"], [None]), "issame 0 of {path}: expected True or False, received NoneType"),
    (([b"a", b"b"], [b"\x01"]), "received bytes"),
])
def test_what_is_no_verification_set(tmp_path, value, message):
    path = dump(tmp_path / "odd.bin", value)
    with pytest.raises(InputError, match=re.escape(message.format(path=path))):
        load_pairs(path)


def test_a_nested_one_is_refused_shortly(tmp_path):
    path = dump(tmp_path / "deep.bin", ([[b"a"] * 1000, b"b"], [True]))
    with pytest.raises(InputError, match="image 0 of .*received list$"):
        load_pairs(path)


def test_images_are_checked_with_their_number():
    good, other, cut = picture(), picture(size=(8, 9)), picture()[:-10]

    def check(*images, image_size=None):
        return check_images(PairSet("lfw", list(images), np.array([True] * (len(images) // 2))), image_size)

    assert check(good, picture(suffix=".png")) == (8, 8)
    assert check(other, other) == (8, 9)
    for images, size, message in (
            ((good, good, good, cut), None, "image 3 of lfw (pair 1) cannot be used: expected a whole JPEG or PNG, "
                                            "received truncated JPEG: no end-of-image marker"),
            ((good, b""), None, "image 1 of lfw (pair 0) cannot be used: expected a whole JPEG or PNG, received empty "
                                "file"),
            ((b"GIF89a..", good), None, "received neither JPEG nor PNG: it begins b'GIF89a..'"),
            ((good, good, other, good), None, "image 2 of lfw (pair 1) does not fit: expected 8x8 pixels, received "
                                              "9x8"),
            ((good, good), (112, 112), "image 0 of lfw (pair 0) does not fit: expected 112x112 pixels, received 8x8; "
                                       "align and crop the faces to 112x112 and pack them with mxft pairs-pack")):
        with pytest.raises(InputError, match=re.escape(message)):
            check(*images, image_size=size)


def test_decoded_pixels_are_rgb():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, :, 2] = 200                                     # red, in OpenCV's order
    assert decode_rgb(cv2.imencode(".png", image)[1].tobytes())[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("header", ["", "1\t2\n", "2\n", "\ufeff2\r\n"])
def test_lfw_rows_with_any_header(faces, listed, tmp_path, header):
    path = listed(header + "Ann\t1\t2\nBob\t1\t12\n\nAnn\t1\tBob\t12\nAnn 2 Bob 1\n")
    packed = pack_pairs(path, str(faces), str(tmp_path / "out.bin"), show=False)
    assert str(packed) == f"{tmp_path / 'out.bin'}: 4 pairs (2 same, 2 different) of 4 images, 8x8"
    pairs = load_pairs(packed.path)
    files = [faces / name for name in ("Ann/Ann_0001.jpg", "Ann/Ann_0002.png", "Bob/Bob_0001.jpeg", "Bob/Bob_0012.jpg")]
    bytes_of = [file.read_bytes() for file in files]
    assert pairs.images == [bytes_of[i] for i in (0, 1, 2, 3, 0, 3, 1, 2)]       # the files' own bytes
    assert pairs.issame.tolist() == [True, True, False, False]


def test_rows_of_two_paths(faces, listed, tmp_path):
    rows = read_pair_list(listed("Ann/Ann_0001.jpg Bob/Bob_0012.jpg 0\nAnn/Ann_0001.jpg\tAnn/Ann_0002.png\t1\n"),
                          str(faces))
    assert [(row.number, row.same) for row in rows] == [(1, False), (2, True)]
    assert rows[0].files == (str(faces / "Ann/Ann_0001.jpg"), str(faces / "Bob/Bob_0012.jpg"))
    (faces / "my cat.jpg").write_bytes(picture(9))
    row, = read_pair_list(listed("my cat.jpg\tAnn/Ann_0002.png\t0\n"), str(faces))
    assert row.files[0].endswith("my cat.jpg")


@pytest.mark.parametrize("text, message", [
    ("Ann\t1\t2\nAnn\t1\t3\n", "image is missing: expected {faces}/Ann/Ann_0003.jpg (or .png, .jpeg), which line 2 of "
                               "{pairs} names, received 'Ann\\t1\\t3'; in {faces}/Ann: nearest: "),
    ("Anm\t1\t2\n", "which line 1 of {pairs} names, received 'Anm\\t1\\t2'; in {faces}: nearest: Ann"),
    ("Ann/Ann_0001.jpg Bob/Bob_0013.jpg 1\n", "expected {faces}/Bob/Bob_0013.jpg, which line 1 of {pairs} names, "
                                              "received 'Ann/Ann_0001.jpg Bob/Bob_0013.jpg 1'; in {faces}/Bob: "
                                              "nearest: Bob_0012.jpg"),
    ("Ann\t1\t2\nAnn\t1\n", "bad row in {pairs}, line 2: expected name<tab>number<tab>number, name<tab>number<tab>name"
                            "<tab>number or path<tab>path<tab>0|1, received 'Ann\\t1'"),
    ("Ann\tx\t2\n", "bad row in {pairs}, line 1"),
    ("Ann\t1\tBob\tone\n", "bad row in {pairs}, line 1"),
    ("Ann\t1\t-2\n", "bad row in {pairs}, line 1"),
    ("a b 2\n", "bad row in {pairs}, line 1"),
    ("a b c d e\n", "bad row in {pairs}, line 1"),
    ("10\t300\nAnn\t1\t2\n", "list of pairs is not whole: expected 6000 pairs, as its first line '10\\t300' announces, "
                             "received 1 in {pairs}; copy it again, or delete that line"),
    ("5\nAnn\t1\t2\n", "expected 10 pairs, as its first line '5' announces, received 1"),
    ("", "list of pairs is empty: expected at least one pair, received {pairs} with none"),
    ("1\t1\n", "list of pairs is empty"),
])
def test_bad_lists_are_refused_with_line_and_text(faces, listed, tmp_path, text, message):
    path = listed(text)
    with pytest.raises(InputError, match=re.escape(message.format(faces=faces, pairs=path))):
        pack_pairs(path, str(faces), str(tmp_path / "out.bin"), show=False)
    assert sorted(os.listdir(tmp_path)) == ["faces", "pairs.txt"]


def test_missing_images_are_missing_files(faces, listed, tmp_path):
    with pytest.raises(MissingFileError):
        read_pair_list(listed("Ann\t1\t3\n"), str(faces))
    with pytest.raises(MissingFileError, match="images are missing: expected a folder, received root='nowhere'"):
        read_pair_list(listed("Ann\t1\t2\n"), "nowhere")
    with pytest.raises(MissingFileError, match="list of pairs is missing"):
        read_pair_list(str(tmp_path / "pair.txt"), str(faces))
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="expected UTF-8 text such as LFW's pairs.txt"):
        read_pair_list(str(tmp_path / "pairs.txt"), str(faces))


def test_images_of_other_sizes_and_damaged_ones_are_refused(faces, listed, tmp_path):
    path, out = listed("Ann\t1\t2\nBob\t1\t12\n"), str(tmp_path / "out.bin")
    with pytest.raises(InputError, match=re.escape(
            f"image does not fit: expected 112x112 pixels, received 8x8 in {faces}/Ann/Ann_0001.jpg, which line 1 of")):
        pack_pairs(path, str(faces), out, (112, 112), show=False)
    (faces / "Bob/Bob_0012.jpg").write_bytes(picture(size=(8, 10)))
    with pytest.raises(InputError, match=r"expected 8x8 pixels, received 10x8 in .*Bob_0012.jpg, which line 2 of"):
        pack_pairs(path, str(faces), out, show=False)
    (faces / "Bob/Bob_0012.jpg").write_bytes(picture()[:-9])
    with pytest.raises(InputError, match=r"image cannot be packed: expected a whole JPEG or PNG, received .*Bob_0012"
                                         r"\.jpg \(truncated JPEG: no end-of-image marker\), which line 2 of"):
        pack_pairs(path, str(faces), out, show=False)
    assert sorted(os.listdir(tmp_path)) == ["faces", "pairs.txt"]


def test_sources_are_not_written_over(faces, listed, tmp_path):
    path = listed("Ann\t1\t2\n")
    for out, what in ((path, "one of the files that are packed"), (str(faces), "a folder"),
                      (str(faces / "Ann" / "Ann_0002.png"), "one of the files that are packed")):
        with pytest.raises(InputError, match=re.escape(f"expected a new file, received out={out!r}, {what}")):
            pack_pairs(path, str(faces), out, show=False)


def test_what_cannot_be_written_is_refused(tmp_path):
    for images, issame in (([b"a"], [True]), ([], [])):
        with pytest.raises(InputError, match=f"received images={len(images)} issame={len(issame)}"):
            write_pairs(str(tmp_path / "a.bin"), images, issame)
    assert os.listdir(tmp_path) == []
