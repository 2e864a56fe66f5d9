"""Reading face training sets: what is found, and what is refused, with both numbers and a next command."""
import cv2
import numpy as np
import pytest

from mxft.data.recordio import MAGIC_BYTES, IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import InputError, MissingFileError
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.records import RecordFile

COUNTS = (3, 1, 4)                                     # images of identities 0, 1, 2: keys 1–3, 4, 5–8; records 9–11


def encoded(value, size=(8, 8)):
    return cv2.imencode(".png", np.full((*size, 3), value, np.uint8))[1].tobytes()


def image(key, label, payload=None):
    return pack(IRHeader(2, [label, 1], key, 0), encoded(key) if payload is None else payload)


def labels_only(key, *labels):
    return pack(IRHeader(2, labels, key, 0), b"")


def records_of(counts=COUNTS):
    """{key: record bytes} of a whole set in insightface's layout."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    first = len(labels) + 1
    records = {0: labels_only(0, first, first + len(counts)), **{k: image(k, l) for k, l in enumerate(labels, 1)}}
    ends = np.cumsum([1, *counts])
    records.update({first + i: labels_only(first + i, ends[i], ends[i + 1]) for i in range(len(counts))})
    return records


@pytest.fixture
def write_set(tmp_path):
    """A function (records, property) -> folder."""
    def write(records=None, property="3,8,8"):
        with RecordWriter(str(tmp_path / "train.rec"), str(tmp_path / "train.idx")) as writer:
            for key, data in (records_of() if records is None else records).items():
                writer.write(data, key)
        (tmp_path / "property").write_text(property)
        return tmp_path
    return write


def refused(path, *parts, error=InputError, **options):
    """The message of the refusal; it holds every one of `parts`."""
    with pytest.raises(error) as caught:
        read_face_set(path, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in message, message
    return message


def test_a_folder(write_set):
    folder = write_set()
    faces = read_face_set(folder)
    assert (faces.kind, faces.num_classes, faces.image_size, faces.identities) == ("insightface", 3, (8, 8), 3)
    np.testing.assert_array_equal(faces.keys, range(1, 9))
    np.testing.assert_array_equal(faces.labels, [0, 0, 0, 1, 2, 2, 2, 2])
    assert faces.offsets.dtype == faces.labels.dtype == np.int64
    with RecordReader(faces.rec) as reader:
        np.testing.assert_array_equal(faces.offsets, [reader.index[key] for key in range(1, 9)])
    assert faces.notes == () and str(faces) == f"8 images of 3 identities in {faces.rec}, 3 classes"


def test_offsets_and_sizes_reach_each_image(write_set):
    faces = read_face_set(write_set())
    records = RecordFile(faces.rec)
    for key, offset, size, label in zip(faces.keys, faces.offsets, faces.sizes, faces.labels):
        found, payload = records.image(offset, size)
        assert found == label and payload.tobytes() == encoded(key)


def test_a_rec_by_name_uses_what_stands_beside_it(write_set):
    folder = write_set(property="7,8,8")
    faces = read_face_set(folder / "train.rec")
    assert faces.num_classes == 7 and faces.kind == "insightface"
    assert faces.notes == ("property announces 7 classes, 3 of them have images",)


def test_without_idx_and_property_the_file_is_walked(write_set):
    folder = write_set()
    with_index = read_face_set(folder)
    (folder / "train.idx").unlink()
    (folder / "property").unlink()
    faces = read_face_set(folder / "train.rec")
    np.testing.assert_array_equal(faces.offsets, with_index.offsets)
    np.testing.assert_array_equal(faces.labels, with_index.labels)
    assert faces.num_classes == 3 and faces.image_size == (8, 8)


def test_plain_im2rec_file(make_records):
    faces = read_face_set(make_records("plain.rec", [4, 0, 4, 2]))
    assert (faces.kind, faces.num_classes, faces.identities) == ("im2rec", 5, 3)
    np.testing.assert_array_equal(faces.labels, [4, 0, 4, 2])
    np.testing.assert_array_equal(faces.keys, range(4))


def test_plain_file_of_several_sizes_has_none(make_records):
    rec = make_records("plain.rec", [0, 1], lambda number, label: np.zeros((8, 8 + number, 3), np.uint8))
    assert read_face_set(rec).image_size is None


@pytest.mark.parametrize("least, labels", [(0, [0, 0, 0, 1, 2, 2, 2, 2]), (1, [0, 0, 0, 1, 2, 2, 2, 2]),
                                           (2, [0, 0, 0, 2, 2, 2, 2]), (3, [0, 0, 0, 2, 2, 2, 2]), (4, [2, 2, 2, 2])])
def test_images_filter(write_set, least, labels):
    faces = read_face_set(write_set(), images_filter=least)
    np.testing.assert_array_equal(faces.labels, labels)
    assert len(faces.offsets) == len(faces.sizes) == len(faces.keys) == len(labels)
    assert faces.num_classes == 3 and faces.identities == len(set(labels))
    assert (faces.dropped_images, faces.dropped_identities) == (8 - len(labels), 3 - len(set(labels)))


def test_images_filter_says_what_it_left_out(write_set):
    assert str(read_face_set(write_set(), images_filter=4)).endswith("; 2 identities with 4 images left out")


def test_images_filter_that_leaves_nothing(write_set):
    refused(write_set(), "no images left", "images-filter=5", "3 with 4 at most", images_filter=5)
    refused(write_set(), "images_filter=-1", images_filter=-1)


def test_rows_of_the_index_in_any_order(write_set):
    folder = write_set()
    rows = (folder / "train.idx").read_text().splitlines(keepends=True)
    (folder / "train.idx").write_text("".join(rows[::-1]))
    np.testing.assert_array_equal(read_face_set(folder).keys, range(1, 9))


def test_a_record_that_is_cut_at_the_magic(write_set):
    records = records_of()
    payload = encoded(5) + b"\0" * (-len(encoded(5)) % 4) + MAGIC_BYTES + b"behind" + b"\0\0" + MAGIC_BYTES + b"the end"
    records[5] = image(5, 2, payload)
    faces = read_face_set(write_set(records))
    assert faces.labels[4] == 2
    assert RecordFile(faces.rec).image(faces.offsets[4], faces.sizes[4])[1].tobytes() == payload


def test_a_cut_record_that_does_not_end(write_set):
    records = records_of()
    del records[8], records[9], records[10], records[11]
    records[7] = image(7, 2, encoded(7) + b"\0" * (-len(encoded(7)) % 4) + MAGIC_BYTES + b"12345678")
    folder = write_set(records)
    rec = folder / "train.rec"
    rec.write_bytes(rec.read_bytes()[:-16])
    refused(folder, "record with key 7", "expected a part that continues", "the end of the file", "mxft inspect")


def test_missing_files_of_a_folder(write_set):
    folder = write_set()
    (folder / "property").unlink()
    (folder / "train.idx").unlink()
    refused(folder, "no face training set", "none named property and train.idx", "mxft face-pack",
            error=MissingFileError)
    refused(folder / "trian.rec", "nearest: train.rec", error=MissingFileError)


@pytest.mark.parametrize("text", ["", "85742", "3 8 8", "3,8,8,8", "three,8,8", "0,8,8", "3,-8,8", "3.0,8,8"])
def test_malformed_property(write_set, text):
    refused(write_set(property=text), "malformed", "property", "num_classes,height,width", "N,112,112", repr(text))


def test_property_with_line_end_and_blanks(write_set):
    assert read_face_set(write_set(property=" 3, 8,8 \r\n")).num_classes == 3


def test_labels_beyond_property(write_set):
    refused(write_set(property="2,8,8"), "num_classes=2", "label=2 in the record with key 5", "4 of 8 images",
            "mxft inspect")


def test_property_of_another_size(write_set):
    refused(write_set(property="3,112,112"), "112x112", "received 8x8", "mxft inspect")


@pytest.mark.parametrize("label", [-1, 0.5, float("nan"), float("inf")])
def test_labels_that_are_no_class_numbers(write_set, label):
    records = records_of((1, 1))
    records[2] = image(2, label)
    refused(write_set(records), "1 of 2 labels", f"label={label:g}", "key 2", "mxft inspect")


def change_row(folder, key, offset):
    """Give `key` another offset in the index, or with None leave the row out."""
    rows = [row.split("\t") for row in (folder / "train.idx").read_text().splitlines()]
    rows = [[k, str(offset) if int(k) == key else o] for k, o in rows if offset is not None or int(k) != key]
    (folder / "train.idx").write_text("".join(f"{k}\t{o}\n" for k, o in rows))


@pytest.mark.parametrize("offset, reason", [(-4, "expected an offset of 0 or more"), (10**9, "bytes of the file's"),
                                            (6, "a multiple of 4"), (4, "the magic 0xced7230a")])
def test_offsets_at_which_no_record_begins(write_set, offset, reason):
    folder = write_set()
    change_row(folder, 4, offset)
    refused(folder, "record with key 4", f"at byte {offset}", reason, "mxft inspect")


@pytest.mark.parametrize("key, parts", [
    (10, ["the header record announces 3 identity records with keys 9 to 11", "received 2"]),
    (6, ["the identity record with key 11 announces 4 images with keys 5 to 8", "received 3"])])
def test_announced_keys_that_are_missing(write_set, key, parts):
    records = records_of()
    del records[key]
    refused(write_set(records), *parts, "mxft inspect")


def test_index_that_leaves_out_records(write_set, make_records):
    folder = write_set({key: image(key, 0) for key in range(4)})
    change_row(folder, 3, None)
    size = (folder / "train.rec").stat().st_size
    refused(folder, "does not name all records", f"received the next at byte {size}", "mxft inspect")
    folder = write_set({key: image(key, 0) for key in range(4)})
    change_row(folder, 0, None)
    refused(folder, "does not name all records", "expected one at byte 0")


def test_index_with_a_key_twice_or_a_bad_row(write_set):
    folder = write_set()
    index = folder / "train.idx"
    text = index.read_text()
    index.write_text(text + text.splitlines()[3] + "\n")
    refused(folder, "names 1 keys twice", "key=3", "mxft inspect")
    index.write_text(text + "12\n")
    refused(folder, "line 13", "expected key<tab>offset", "'12'")
    index.write_text(text + "12\tx\n")
    refused(folder, "line 13", "expected key<tab>offset")
    index.write_text(text + "12\t\n")
    refused(folder, "line 13", "expected key<tab>offset")
    index.write_text("")
    refused(folder, "expected at least one record, received none in")


def test_rec_cut_short_without_an_index(write_set):
    folder = write_set()
    (folder / "train.idx").unlink()
    rec = folder / "train.rec"
    rec.write_bytes(rec.read_bytes()[:-4])
    refused(rec, "record file is damaged", "in record 11")
    rec.write_bytes(b"")
    refused(rec, "expected at least one record, received none")


def test_rec_cut_short_with_its_index(write_set):
    folder = write_set()
    rec = folder / "train.rec"
    rec.write_bytes(rec.read_bytes()[:-4])
    refused(folder, "record with key 11", "expected 40 bytes, received 36 before the end of the file", "mxft inspect")


def test_damage_where_a_record_begins(write_set):
    folder = write_set()
    offset = int(read_face_set(folder).offsets[5])
    data = bytearray((folder / "train.rec").read_bytes())
    data[offset] ^= 255
    (folder / "train.rec").write_bytes(data)
    refused(folder, "record with key 6", f"at byte {offset}", "received 0xced723f5")


@pytest.mark.parametrize("changed, parts", [
    ({0: (9, 8)}, ["the header record", "received [9, 8]"]),
    ({0: (0.5, 12)}, ["the header record", "received [0.5, 12]"]),
    ({0: (float("nan"), 12)}, ["the header record", "received [nan, 12]"]),
    ({0: (9, 30)}, ["announces 21 identity records with keys 9 to 29", "received 3"]),
    ({0: (8, 12)}, ["identity record at key 8", "expected 2 labels and no image", "bytes"]),
    ({9: (0, 4)}, ["the identity record with key 9", "received [0, 4]"]),
    ({9: (3, 1)}, ["the identity record with key 9", "received [3, 1]"]),
    ({9: (1.5, 3.5)}, ["the identity record with key 9", "received [1.5, 3.5]"]),
    ({11: (5, 99)}, ["the identity record with key 11 announces 94 images with keys 5 to 98", "received 7"]),
    ({10: (3, 5)}, ["identity records overlap", "keys 1 to 3 in record 9 and 3 to 4 in record 10"]),
    ({9: (1, 5), 10: (5, 5)}, ["the identity record with key 9 names images of two identities", "label=0 and label=1"]),
    ({11: (5, 10)}, ["1 image records have no image", "key=9"]),
    ({9: (1, 1), 10: (1, 1), 11: (1, 1)}, ["3 identity records that name none"])])
def test_header_and_identity_records_that_contradict_the_rest(write_set, changed, parts):
    records = {**records_of(), **{key: labels_only(key, *labels) for key, labels in changed.items()}}
    refused(write_set(records), *parts, "mxft inspect")


def test_images_no_identity_names_are_told(write_set):
    records = {**records_of(), 11: labels_only(11, 5, 8)}
    faces = read_face_set(write_set(records))
    np.testing.assert_array_equal(faces.keys, range(1, 8))
    assert faces.notes == ("1 images belong to no identity record and are left out, as upstream does",)


def test_an_identity_without_images(write_set):
    faces = read_face_set(write_set(records_of((3, 0, 4))))
    np.testing.assert_array_equal(faces.labels, [0, 0, 0, 2, 2, 2, 2])
    assert faces.notes == ("property announces 3 classes, 2 of them have images",) and faces.num_classes == 3


def test_keys_beyond_what_float32_holds(write_set):
    far = 1 << 24
    records = {0: labels_only(0, far + 3, far + 5), far + 1: image(1, 0), far + 2: image(2, 1),
               far + 3: labels_only(3, far + 1, far + 2), far + 4: labels_only(4, far + 2, far + 3)}
    faces = read_face_set(write_set(records))
    np.testing.assert_array_equal(faces.keys, [far + 1, far + 2])
    np.testing.assert_array_equal(faces.labels, [0, 1])
    assert "were not checked" in faces.notes[0]


def test_record_without_an_image(write_set):
    refused(write_set({0: image(0, 0), 1: image(1, 1, b"")}), "1 image records have no image", "key=1")
    refused(write_set({0: pack(IRHeader(0, 1.0, 0, 0), b""), 1: image(1, 1)}), "no image, the first key=0")
    refused(write_set({0: image(0, 0, b"no image")}), "record with key 0", "holds no image", "mxft inspect")
