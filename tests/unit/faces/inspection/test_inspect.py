"""Inspecting: what a good set says, and one sentence with numbers for each way in which files can disagree."""
import json
import os
import pickle

import cv2
import numpy as np
import pytest

from mxft.data.recordio import IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import InputError, MissingFileError
from mxft.faces.inspection.inspect import inspect_path
from mxft.faces.inspection.records import scan_records

IMAGES = [0, 0, 0, 1, 1, 2]                  # labels of the images with keys 1 to 6
RANGES = [(1, 4), (4, 6), (6, 7)]


def jpeg(size=(16, 16), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def write_set(folder, labels=IMAGES, ranges=RANGES, header=None, images=None, text="3,16,16\n"):
    """Write a training set by hand; the defaults make a good one. A header of () leaves it out."""
    header = (len(labels) + 1, len(labels) + 1 + len(ranges)) if header is None else header
    with RecordWriter(str(folder / "train.rec"), str(folder / "train.idx")) as writer:
        if header:
            writer.write(pack(IRHeader(2, header, 0, 0), b""), key=0)
        for key, label in enumerate(labels, 1):
            image = images[key - 1] if images else jpeg(seed=key)
            writer.write(pack(IRHeader(0, label, key, 0), image), key=key)
        for key, bounds in enumerate(ranges, len(labels) + 1):
            writer.write(pack(IRHeader(2, bounds, key, 0), b""), key=key)
    if text:
        (folder / "property").write_text(text)
    return folder / "train.rec"


def problems(path, **options):
    found, = inspect_path(path, show=False, **options)
    return found.problems


def test_a_good_set_is_explained_with_its_counts(tmp_path):
    rec = write_set(tmp_path)
    for path in (tmp_path, rec, tmp_path / "train.idx", tmp_path / "property"):
        found, = inspect_path(path, show=False)
        assert found.problems == [] and found.path == str(rec)
    facts = dict(found.facts)
    assert facts["records"] == "10 = 6 images + 3 identities + 1 header"
    assert facts["labels"] == "0 to 2, 3 different"
    assert facts["images an identity"] == (
        "1 at least, 2 in the median, 3 at most; 1 with fewer than 2, 3 with fewer than 5, 3 with fewer than 10")
    assert facts["size"] == "16 x 16 pixels high and wide" and facts["format"] == "JPEG (6)"
    assert facts["decoded"] == "6 of 6 as a sample (--decode: all)"
    assert facts["property"] == "3 classes, images of 16 x 16 pixels" and facts["index"] == "10 rows in train.idx"
    assert str(found).endswith("\n  consistent") and "training set in insightface's layout" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["numbers"]["images"] == 6


def test_upstreams_order_of_records_is_as_good(tmp_path):
    """face2rec2.py writes the header after the images, and two labels in each image record."""
    with RecordWriter(str(tmp_path / "train.rec"), str(tmp_path / "train.idx")) as writer:
        for key, label in enumerate(IMAGES, 1):
            writer.write(pack(IRHeader(0, (label, 1), key, 0), jpeg(seed=key)), key=key)
        writer.write(pack(IRHeader(2, (7, 10), 0, 0), b""), key=0)
        for key, bounds in enumerate(RANGES, 7):
            writer.write(pack(IRHeader(2, bounds, key, 0), b""), key=key)
    (tmp_path / "property").write_text("3,16,16")
    found, = inspect_path(tmp_path, show=False)
    assert found.problems == [] and dict(found.facts)["records"] == "10 = 6 images + 3 identities + 1 header"


def test_plain_records_are_legal_and_said_to_be(make_records):
    found, = inspect_path(make_records("a.rec", [4, 4, 9]), show=False)
    assert found.problems == [] and "no header record, all records are images" in found.kind
    facts = dict(found.facts)
    assert facts["records"] == "3" and facts["index"] == "none (a.idx)" and facts["format"] == "PNG (3)"
    assert facts["labels"] == "4 to 9, 2 different; 4 between them have no images"


@pytest.mark.parametrize("change, expected", [
    ({"header": (7, 9)}, ["1 identity records stand outside the keys [7, 9) that the header record gives"]),
    ({"header": (7, 12)}, ["the header record says that 5 identity records stand at keys [7, 12), but 3 do"]),
    ({"header": (6, 10)}, ["the header record says that 4 identity records stand at keys [6, 10), but 3 do"]),
    ({"header": (0, 0)}, ["the header record holds no range of identity records: it says [0, 0)"]),
    ({"header": ()}, ["no header record: 3 records name others as identities do, but none has key 0"]),
    ({"ranges": [(1, 4), (4, 5), (6, 7)]}, ["1 images belong to no identity record, the first with key 5: gaps"]),
    ({"ranges": [(1, 4), (3, 6), (6, 7)]}, ["1 images belong to more than one identity record, the first with key 3",
                                            "1 identity records name images of different labels, the first, with key "
                                            "8, from label 0 to 1"]),
    ({"ranges": [(1, 4), (4, 6), (6, 9)]}, ["1 of 3 identity records name keys that are no images, the first, with "
                                            "key 9, says [6, 9) where 1 images are"]),
    ({"ranges": [(1, 4), (4, 6), (6, 6)]}, ["1 of 3 identity records hold no range of keys, the first, with key 9, "
                                            "says [6, 6)", "1 images belong to no identity record"]),
    ({"ranges": [(1, 4), (4, 5), (5, 6), (6, 7)]}, ["1 labels stand in more than one identity record, the first "
                                                    "label 1"]),
    ({"labels": [0, 0, 1, 1, 1, 2]}, ["1 identity records name images of different labels, the first, with key 7, "
                                      "from label 0 to 1"]),
    ({"labels": [0, 0, 0, 1, 1, 7]}, ["says 3 classes, but 1 images have a label of 3 or more, the highest 7"]),
    ({"labels": [0, 0, 0, 1, 1, 2.5]}, ["1 of 6 labels are not whole numbers from 0, the first 2.5 of the image with "
                                        "key 6", "says 3 classes, but the images are of 2 identities"]),
    ({"text": "4,16,16\n"}, ["says 4 classes, but the images are of 3 identities"]),
    ({"text": "2,16,16\n"}, ["says 2 classes, but 1 images have a label of 2 or more, the highest 2"]),
    ({"text": "3,16,12\n"}, ["says 16 x 12 pixels, but 6 images are of another size, the first 16 x 16 with key 1"]),
    ({"text": "three\n"}, ["property: expected one line num_classes,height,width"]),
    ({"text": None}, ["property is missing: expected the line num_classes,height,width, here 3,16,16"]),
    ({"images": [jpeg(), jpeg((16, 20)), jpeg(), jpeg(), jpeg(), jpeg()]},
     ["says 16 x 16 pixels, but 1 images are of another size, the first 16 x 20 with key 2"]),
    ({"images": [jpeg(), jpeg(), jpeg()[:-20], jpeg(), b"", b"text"]},
     ["3 of 6 images cannot be decoded, the first with key 3 (record 3 at byte"]),
])
def test_each_contradiction_is_one_sentence_with_numbers(tmp_path, change, expected):
    write_set(tmp_path, **change)
    found = problems(tmp_path)
    assert len(found) == len(expected), found
    for sentence, part in zip(found, expected):
        assert part in sentence and "\n" not in sentence


def test_identities_without_images_are_no_contradiction_where_they_are_named(tmp_path):
    write_set(tmp_path, text="4,16,16\n")
    (tmp_path / "identities.txt").write_text("a\nb\nc\nd\n")
    found, = inspect_path(tmp_path, show=False)
    assert found.problems == [] and dict(found.facts)["without images"] == "1 of 4 identities"
    (tmp_path / "identities.txt").write_text("a\nb\nc\n")
    assert "says 4 classes, but identities.txt names 3 identities" in problems(tmp_path)[0]
    (tmp_path / "identities.txt").write_text("a\na\n")
    assert "received 'a' again after line 1" in problems(tmp_path)[0]


def rewrite_index(rec, change):
    with RecordReader(rec) as reader:
        rows = list(reader.index.items())
    (rec.parent / "train.idx").write_text("".join(f"{key}\t{offset}\n" for key, offset in change(rows)))


@pytest.mark.parametrize("change, expected", [
    (lambda rows: rows[:-1], ["has no row for 1 of 10 records, the first record 9 at byte"]),
    (lambda rows: [(k, o + 4 if k in (2, 3) else o) for k, o in rows],
     ["2 of 10 offsets are not where a record begins, the first",
      "has no row for 2 of 10 records, the first record 2"]),
    (lambda rows: [*rows, (99, 1 << 40)], ["1 of 11 offsets lie outside the"]),
    (lambda rows: [*rows, (99, -4)], ["1 of 11 offsets lie outside the"]),
    (lambda rows: [*rows, rows[3]], ["names keys more than once: 11 rows, but 10 different keys"]),
])
def test_an_index_that_does_not_fit_is_told_in_numbers(tmp_path, change, expected):
    rec = write_set(tmp_path)
    rewrite_index(rec, change)
    found = [problem for problem in problems(tmp_path) if "train.idx" in problem]
    assert len(found) == len(expected)
    for sentence, part in zip(found, expected):
        assert part in sentence


def test_a_missing_or_malformed_index_and_files_on_their_own(tmp_path):
    rec = write_set(tmp_path)
    (tmp_path / "train.idx").write_text("0\tx\n")
    assert "bad row in" in problems(rec)[0]
    (tmp_path / "train.idx").unlink()
    assert len(problems(rec)) == 1 and "train.idx is missing: the header record" in problems(rec)[0]
    rec.unlink()
    assert "train.rec is missing: property describes it" in problems(tmp_path)[0]
    (tmp_path / "b.idx").write_text("0\t0\n5\t40\n")
    found, _ = inspect_path(tmp_path, show=False)
    assert dict(found.facts)["records"] == "2 keys from 0 to 5" and "b.rec is missing" in found.problems[0]


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_is_told_with_its_byte_and_what_stands_before_it_is_explained(tmp_path, threads):
    rec = write_set(tmp_path)
    with RecordReader(rec) as reader:
        offset = reader.index[5]
    data = bytearray(rec.read_bytes())
    data[offset:offset + 4] = b"\0\0\0\0"
    rec.write_bytes(data)
    found, = inspect_path(rec, num_thread=threads, show=False)
    assert found.numbers["records"] == 5
    assert "only the first 5 records can be read: record file is damaged" in found.problems[0]
    assert f"at byte {offset} of" in found.problems[0]
    assert not any("train.idx" in problem for problem in found.problems)
    rec.write_bytes(b"")
    assert "there are no images" in problems(rec)


def test_a_file_cut_short_is_told(tmp_path):
    rec = write_set(tmp_path)
    rec.write_bytes(rec.read_bytes()[:-30])
    assert "only the first 9 records can be read" in problems(rec)[0]


def test_a_sample_is_decoded_by_default_and_all_on_request(make_records, monkeypatch):
    whole = cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    path = make_records("a.rec", [0.0] * 20, lambda number, label: whole if number != 17 else whole[:60])
    monkeypatch.setattr("mxft.faces.inspection.records.SAMPLED_FIRST", 3)
    monkeypatch.setattr("mxft.faces.inspection.records.SAMPLED_EVERY", 8)
    table = scan_records(path, show=False)
    assert (table.decoded, table.bad) == (5, [])  # 0, 1, 2, 8, 16
    assert table.heights.tolist() == [8] * 20  # of a header, which the cut one has too
    for threads in (1, 3):
        table = scan_records(path, decode_all=True, num_thread=threads, show=False)
        assert (table.decoded, [number for number, _ in table.bad]) == (20, [17])
    assert problems(path) == []
    assert "1 of 20 images cannot be decoded, the first with key 17" in problems(path, decode_all=True)[0]


def test_several_labels_a_record(tmp_path):
    with RecordWriter(str(tmp_path / "a.rec")) as writer:
        for number, label in enumerate([(1, 5, 9), (2, 5, 9), 3]):
            writer.write(pack(IRHeader(0, label, number, 0), jpeg()))
    found, = inspect_path(tmp_path / "a.rec", show=False)
    assert dict(found.facts)["labels a record"] == "1, 3 (the first counts as the class)"
    assert found.problems == ["images carry different numbers of labels: 1, 3"]


def write_bin(path, issame, images=None):
    images = images or [jpeg(seed=i) for i in range(2 * len(issame))]
    path.write_bytes(pickle.dumps((images, issame), protocol=2))
    return path


def test_a_verification_set_is_explained_with_its_folds(tmp_path):
    found, = inspect_path(write_bin(tmp_path / "lfw.bin", [True, True, False] * 10), show=False)
    assert found.problems == []
    assert dict(found.facts) == {"pairs": "30 = 20 of one person + 10 of two", "size": "16 x 16 pixels high and wide",
                                 "format": "JPEG (60)", "folds": "10, each 2 of one person + 1 of two"}


def test_one_sided_folds_damage_and_a_wrong_count_of_pairs(tmp_path):
    path = write_bin(tmp_path / "a.bin", [True] * 15 + [False] * 15)
    assert problems(path) == ["5 of 10 folds have no pair of one person: fold 6, 7, 8, 9, 10",
                              "5 of 10 folds have no pair of two persons: fold 1, 2, 3, 4, 5"]
    assert problems(write_bin(tmp_path / "b.bin", [True, False] * 3)) == ["6 pairs cannot be divided into 10 folds"]
    images = [jpeg()] * 39 + [jpeg()[:-9]]
    assert "1 of 40 images cannot be decoded, the first image 39, of pair 19: truncated JPEG" in problems(
        write_bin(tmp_path / "c.bin", [True, False] * 10, images))[0]
    images = [jpeg()] * 39 + [jpeg((20, 16))]
    assert problems(write_bin(tmp_path / "d.bin", [True, False] * 10, images)) == [
        "images are of 2 sizes, from (16, 16) to (20, 16) high and wide"]
    assert "received images=3 issame=20" in problems(write_bin(tmp_path / "e.bin", [True] * 20, [jpeg()] * 3))[0]
    (tmp_path / "f.bin").write_bytes(b"no pickle")
    assert len(problems(tmp_path / "f.bin")) == 1


def test_a_bin_that_would_run_something_is_explained_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "a.bin").write_bytes(pickle.dumps(([Trap()], [True])))
    assert len(problems(tmp_path / "a.bin")) == 1 and not (tmp_path / "sprung").exists()


def test_what_cannot_be_explained_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="nothing to explain in .*: expected .rec, .idx, .bin or property in it"):
        inspect_path(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="cannot explain .*: expected a .rec, .* received 'a.txt'"):
        inspect_path(tmp_path / "a.txt")
    with pytest.raises(MissingFileError, match="file to explain is missing: .*known: a.txt"):
        inspect_path(tmp_path / "a.rec")


def test_a_folder_is_explained_file_by_file(tmp_path, make_records):
    write_set(tmp_path)
    make_records("other.rec", [0])
    write_bin(tmp_path / "lfw.bin", [True, False] * 10)
    assert [os.path.basename(found.path) for found in inspect_path(tmp_path, show=False)] == [
        "lfw.bin", "other.rec", "train.rec"]


def test_an_offset_beyond_64_bits_is_a_contradiction_and_no_crash(tmp_path):
    rec = write_set(tmp_path)
    rewrite_index(rec, lambda rows: [(key, 10**20 if key == 3 else offset) for key, offset in rows])
    assert "1 of 10 offsets lie outside" in problems(rec)[0]
