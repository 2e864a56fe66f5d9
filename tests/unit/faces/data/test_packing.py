"""Packing faces: insightface's layout key by key, the same bytes always, what is left out, what is held out."""
import os

import cv2
import numpy as np
import pytest

from mxft.data.recordio import RecordReader, RecordWriter
from mxft.errors import InputError, RunError
from mxft.faces.data import packing, sources
from mxft.faces.data.holding_out import choose
from mxft.faces.data.packing import pack_faces
from mxft.faces.data.sources import FaceFile, read_source

PEOPLE = {"Ada": 5, "Bob": 1, "Cy": 3, "Dé Ü": 2}


def face(number, size=(16, 16), extension=".jpg"):
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.imencode(extension, cv2.resize(coarse, size[::-1]))[1].tobytes()


@pytest.fixture
def people(tmp_path):
    """Eleven faces of 16 x 16 pixels of four people, and a file that is neither."""
    for number, (name, count) in enumerate(PEOPLE.items()):
        (tmp_path / "people" / name).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "people" / name / f"{i}.jpg").write_bytes(face(10 * number + i))
    (tmp_path / "people" / "README.txt").write_text("not a person")
    return tmp_path / "people"


def pack(people, out="faces", **options):
    options = {"size": (16, 16), "show": False, **options}
    return pack_faces(str(people), str(people.parent / out), **options)


def read_as_upstream_does(folder):
    """Return {label: payloads}, found through key 0 and the identity records as insightface's FaceImageIter does."""
    people = {}
    with RecordReader(os.path.join(folder, "train.rec")) as reader:
        header = reader[0].header
        assert header.flag == 2
        for identity in range(int(header.label[0]), int(header.label[1])):
            first, past = map(int, reader[identity].header.label)
            images = [reader[key] for key in range(first, past)]
            label, = {image.header.label for image in images}
            assert label not in people
            people[label] = [image.payload for image in images]
    return people


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder)) if (folder / name).is_file()}


def test_the_layout_is_insightfaces_key_by_key(people):
    result = pack(people)
    folder = people.parent / "faces"
    assert (result.images, result.identities, result.few, result.resized, result.bad) == (11, 4, 0, 0, [])
    assert (folder / "property").read_text() == "4,16,16\n"
    assert (folder / "identities.txt").read_text(encoding="utf-8").splitlines() == sorted(PEOPLE)
    with RecordReader(folder / "train.rec") as reader:
        records = list(reader)
        assert list(reader.index) == list(range(16)) == [record.header.id for record in records]
        assert list(reader.index.values()) == [record.offset for record in records]
    assert [record.header.flag for record in records] == [2] + [0] * 11 + [2] * 4
    assert [len(record.payload) > 0 for record in records] == [False] + [True] * 11 + [False] * 4
    assert records[0].header.label.tolist() == [12, 16]
    assert [record.header.label for record in records[1:12]] == [0] * 5 + [1] + [2] * 3 + [3] * 2
    assert [record.header.label.tolist() for record in records[12:]] == [[1, 6], [6, 7], [7, 10], [10, 12]]
    rows = [line.split("\t") for line in (folder / "train.lst").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 11 and rows[8] == ["1", os.path.join("Cy", "2.jpg"), "2"]
    for (_, path, label), record in zip(rows, records[1:]):
        assert record.payload == (people / path).read_bytes() and record.header.label == float(label)
    assert result.bytes == os.path.getsize(folder / "train.rec")


@pytest.mark.parametrize("options", [{}, {"hold_out": 0.4, "seed": 3, "size": (8, 8)}])
def test_the_bytes_do_not_depend_on_threads_or_run(people, options):
    (people / "Cy" / "1.jpg").write_bytes(b"")
    sets = []
    for run, threads in enumerate((1, 1, 2, 5)):
        pack(people, f"faces{run}", num_thread=threads, **options)
        folder = people.parent / f"faces{run}"
        sets.append([files_of(folder), files_of(folder / "held-out") if options else {}])
    assert sets[0] == sets[1] == sets[2] == sets[3]


def test_bad_images_are_left_out_and_listed_and_do_not_count_for_min_images(people):
    (people / "Ada" / "0.jpg").write_bytes(b"")
    (people / "Ada" / "4.jpg").write_text("<html>gone</html>")
    whole = (people / "Cy" / "1.jpg").read_bytes()
    (people / "Cy" / "1.jpg").write_bytes(whole[:-20])
    result = pack(people, min_images=3)
    assert (result.images, result.identities, result.few, len(result.bad)) == (3, 1, 3, 3)
    assert (people.parent / "faces" / "identities.txt").read_text() == "Ada\n"
    lines = (people.parent / "faces" / "train.bad.tsv").read_text().splitlines()
    assert lines[:3] == ["identity\tpath\treason", f"Ada\t{os.path.join('Ada', '0.jpg')}\tempty file",
                         f"Ada\t{os.path.join('Ada', '4.jpg')}\tnot an image, or too damaged to decode"]
    assert lines[3].startswith(f"Cy\t{os.path.join('Cy', '1.jpg')}\ttruncated JPEG")
    assert "left out 3 identities with fewer than 3 images" in str(result)
    assert "left out 3 bad images, listed in" in str(result)
    assert {label: len(images) for label, images in read_as_upstream_does(result.folder).items()} == {0: 3}


def test_a_person_all_of_whose_images_are_bad_takes_no_label(people):
    (people / "Bob" / "0.jpg").write_bytes(b"")
    pack(people)
    assert (people.parent / "faces" / "property").read_text() == "3,16,16\n"
    assert sorted(read_as_upstream_does(people.parent / "faces")) == [0, 1, 2]


def test_other_sizes_of_the_same_shape_are_resized_and_other_shapes_left_out(people):
    (people / "Bob" / "big.jpg").write_bytes(face(70, (64, 64)))
    (people / "Bob" / "small.png").write_bytes(face(71, (8, 8), ".png"))
    (people / "Bob" / "tall.jpg").write_bytes(face(72, (20, 16)))
    (people / "Bob" / "same.png").write_bytes(face(73, (16, 16), ".png"))
    result = pack(people)
    assert result.resized == 2 and "encoded again 2 images that were not JPEG or PNG of 16 x 16 pixels" in str(result)
    assert [bad.reason for bad in result.bad] == [
        "is 20 x 16 pixels high and wide, resizing to 16 x 16 would stretch the face"]
    first, big, same, small = read_as_upstream_does(result.folder)[1]
    assert first == (people / "Bob" / "0.jpg").read_bytes() and same == (people / "Bob" / "same.png").read_bytes()
    area = cv2.resize(cv2.imdecode(np.frombuffer(face(70, (64, 64)), np.uint8), 1), (16, 16),
                      interpolation=cv2.INTER_AREA)
    assert big == cv2.imencode(".jpg", area, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    linear = cv2.resize(cv2.imdecode(np.frombuffer(face(71, (8, 8), ".png"), np.uint8), 1), (16, 16))
    assert small == cv2.imencode(".jpg", linear, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_a_size_that_is_not_square_means_height_and_width(people):
    (people / "Bob" / "tall.jpg").write_bytes(face(72, (20, 16)))
    (people / "Bob" / "taller.jpg").write_bytes(face(72, (40, 32)))
    result = pack(people, size=(20, 16))
    assert (result.images, result.resized, len(result.bad)) == (2, 1, 11)
    assert (people.parent / "faces" / "property").read_text() == "1,20,16\n"
    for payload in read_as_upstream_does(result.folder)[0]:
        assert cv2.imdecode(np.frombuffer(payload, np.uint8), 1).shape == (20, 16, 3)


def test_held_out_images_are_in_the_other_set_under_the_same_labels(people):
    result = pack(people, hold_out=0.4)
    assert (result.images, result.held_out, result.held_out_identities) == (7, 4, 3)
    train = read_as_upstream_does(result.folder)
    held = read_as_upstream_does(os.path.join(result.folder, "held-out"))
    assert {label: len(images) for label, images in train.items()} == {0: 3, 1: 1, 2: 2, 3: 1}
    assert {label: len(images) for label, images in held.items()} == {0: 2, 2: 1, 3: 1}
    for label, name in enumerate(sorted(PEOPLE)):
        files = [(people / name / f"{i}.jpg").read_bytes() for i in range(PEOPLE[name])]
        assert sorted(train[label] + held.get(label, [])) == sorted(files)
        assert [f for f in files if f in train[label]] == train[label]
    for file in ("property", "identities.txt"):
        assert (people.parent / "faces" / file).read_bytes() == (people.parent / "faces/held-out" / file).read_bytes()
    assert "held out 4 images of 3 identities in" in str(result)


def test_the_choice_follows_seed_and_path_alone():
    images = [(f"a/{i}.jpg", i) for i in range(20)]
    train, held = choose(images, 0.25, seed=7)
    assert (len(train), len(held)) == (15, 5) and sorted(train + held) == sorted(images)
    assert train == sorted(train, key=lambda image: image[1])
    assert choose(images[::-1], 0.25, seed=7)[1] == held[::-1]
    assert choose(images, 0.25, seed=8)[1] != held
    # printf 7/a/6.jpg | sha256sum begins 7d8e; the five lowest of the twenty sums are those of these
    assert [number for _, number in held] == [6, 7, 11, 13, 16]


@pytest.mark.parametrize("count, hold_out, held", [(1, 0.9, 0), (2, 0.2, 0), (3, 0.2, 1), (5, 0.2, 1), (7, 0.2, 1),
                                                   (8, 0.2, 2), (5, 0.3, 2), (3, 2, 2), (3, 9, 2), (1, 1, 0),
                                                   (10, 0.999, 9)])
def test_a_part_is_rounded_to_the_nearest_and_one_image_stays(count, hold_out, held):
    train, out = choose([(str(i), b"") for i in range(count)], hold_out)
    assert (len(train), len(out)) == (count - held, held)


def write_list(people, text, name="faces.lst"):
    (people.parent / name).write_text(text, encoding="utf-8")
    return str(people.parent / name)


ALIGNED = "1\tCy/0.jpg\t7\n1\tAda/1.jpg\t3\n\n1\tCy/2.jpg\t7\n1\tAda/0.jpg\t3\n"
IM2REC = "5\t7.000000\tCy/0.jpg\n9\t3\tAda/1.jpg\n6\t7\tCy/2.jpg\n1\t3\t9\tAda/0.jpg\n"


@pytest.mark.parametrize("text", [ALIGNED, IM2REC])
def test_a_list_is_brought_together_by_label_and_numbered_from_0(people, text):
    path = write_list(people, text)
    found = read_source(path, str(people))
    assert found.names == ["3", "7"]
    assert found.files == [FaceFile(0, "Ada/1.jpg"), FaceFile(0, "Ada/0.jpg"), FaceFile(1, "Cy/0.jpg"),
                           FaceFile(1, "Cy/2.jpg")]
    result = pack_faces(path, str(people.parent / "faces"), str(people), size=(16, 16), show=False)
    assert read_as_upstream_does(result.folder) == {
        0: [(people / "Ada" / f"{i}.jpg").read_bytes() for i in (1, 0)],
        1: [(people / "Cy" / f"{i}.jpg").read_bytes() for i in (0, 2)]}


def test_a_list_beside_identities_txt_keeps_their_names(people):
    pack(people)
    again = pack_faces(str(people.parent / "faces" / "train.lst"), str(people.parent / "again"), str(people),
                       size=(16, 16), min_images=3, show=False)
    assert again.identities == 2
    assert (people.parent / "again" / "identities.txt").read_text() == "Ada\nCy\n"
    whole = pack_faces(str(people.parent / "faces" / "train.lst"), str(people.parent / "whole"), str(people),
                       size=(16, 16), show=False)
    assert files_of(people.parent / "whole") == files_of(people.parent / "faces") and whole.images == 11


@pytest.mark.parametrize("text, message", [
    ("1\tAda/0.jpg\t0\n0\tAda/1.jpg\t0" + "\t9" * 14 + "\n",
     r"face is not aligned in .*faces.lst, line 2: expected 1 in the first column \(aligned=1\), received '0' with 14 "
     "numbers for box and landmarks; align cuts the faces out"),
    ("1\tAda/0.jpg\n", r"line 1: expected 1<tab>path<tab>label .* or index<tab>label<tab>path"),
    ("1\t5\t7\n", r"rows cannot be told apart in .*, line 1: .* no column can be taken for a path alone"),
    ("1\tAda/0.jpg\t0\n7\t1\tAda/1.jpg\n", r"bad row in .*, line 2: .*all in the same shape; received '7.t1.tAda"),
    ("7\t1\tAda/0.jpg\n1\tAda/1.jpg\t0\n", r"bad row in .*, line 2"),
    ("1\tAda/0.jpg\t0.5\n", r"bad row in .*, line 1"), ("1\tAda/0.jpg\t-1\n", r"bad row in .*, line 1"),
    ("1\tAda/0.jpg\tnan\n", r"bad row in .*, line 1"), ("2\tAda/0.jpg\t1\n", r"bad row in .*, line 1"),
    ("\n\n", "image list is empty")])
def test_rows_that_cannot_be_packed_are_refused_with_their_line(people, text, message):
    with pytest.raises(InputError, match=message):
        read_source(write_list(people, text), str(people))


def test_excluded_identities_get_no_label_and_unknown_ones_are_refused(people):
    pack(people, exclude=["Bob"])
    assert (people.parent / "faces" / "identities.txt").read_text(encoding="utf-8").split("\n")[:2] == ["Ada", "Cy"]
    with pytest.raises(InputError, match="nothing to exclude: .* received exclude='Boob'; nearest: Bob"):
        pack(people, "other", exclude=["Boob"])


def test_the_folder_above_the_people_is_refused_with_the_right_one(people):
    with pytest.raises(InputError, match=r"no people in .*: expected one folder a person .*; try .*people$"):
        pack_faces(str(people.parent), str(people.parent / "faces"))
    flat = people / "Ada"
    with pytest.raises(InputError, match="no people in .*Ada: .*; try .*people$"):
        pack_faces(str(flat), str(people.parent / "faces"))


def test_a_set_that_stands_there_is_replaced_only_by_force(people):
    pack(people)
    before = files_of(people.parent / "faces")
    with pytest.raises(InputError, match="a face set is there already: .*replace it with force"):
        pack(people, min_images=3)
    assert files_of(people.parent / "faces") == before
    assert pack(people, min_images=3, force=True).identities == 2
    assert (people.parent / "faces" / "property").read_text() == "2,16,16\n"


def test_a_set_held_out_earlier_does_not_stay_beside_a_new_one(people):
    pack(people, hold_out=1)
    with pytest.raises(InputError, match="an earlier set was held out there: expected no .*held-out.train.rec, or"):
        pack(people, force=True)
    assert pack(people, hold_out=2, force=True).held_out == 5


def test_a_list_is_not_written_over(people):
    path = write_list(people, ALIGNED, "train.lst")
    with pytest.raises(InputError, match="cannot pack a list into its own folder"):
        pack_faces(path, str(people.parent), str(people), size=(16, 16))
    assert (people.parent / "train.lst").read_text() == ALIGNED


def test_strict_refuses_for_one_bad_image_and_leaves_its_list_alone(people):
    (people / "Bob" / "0.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected every image to be whole \(strict\), received 1 bad images of 11, "
                                         "the first of 'Bob', path='Bob.0.jpg': empty file"):
        pack(people, strict=True, hold_out=1)
    assert os.listdir(people.parent / "faces") == ["train.bad.tsv"]


def test_packing_nothing_is_refused(people):
    path = write_list(people, ALIGNED)
    with pytest.raises(InputError, match="received 4 bad images of 4, .*: missing; .*say with root"):
        pack_faces(path, str(people.parent / "faces"), str(people.parent), size=(16, 16), show=False)
    with pytest.raises(InputError, match=r"expected one with at least 6 images, .* largest has 5; lower min_images"):
        pack(people, "other", min_images=6)
    with pytest.raises(InputError, match=r"nothing to hold out: .*received hold_out=0.05 and 11 images of 4"):
        pack(people, "third", hold_out=0.05)
    assert not (people.parent / "other").exists() and not (people.parent / "third").exists()


def test_more_keys_than_float32_counts_are_refused_before_packing(people, monkeypatch):
    monkeypatch.setattr(packing, "MOST_KEYS", 15)
    with pytest.raises(InputError, match="fewer than 15 images and identities, .* received 15"):
        pack(people)
    monkeypatch.setattr(packing, "MOST_KEYS", 16)
    assert pack(people).images == 11


@pytest.mark.parametrize("options, message", [
    ({"min_images": 0}, "expected --min-images of at least 1, received min_images=0"),
    ({"num_thread": 0}, "received num_thread=0"), ({"size": (0, 3)}, "received size=0"),
    ({"hold_out": -1}, "received hold_out=-1"), ({"hold_out": 1.5}, "received hold_out=1.5"),
    ({"quality": 0}, "received quality=0")])
def test_bad_options_are_refused_before_anything_is_read(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        pack_faces(str(tmp_path / "gone"), str(tmp_path / "out"), **options)


def test_a_name_that_no_list_can_hold_is_refused(people):
    (people / "Ada" / "a\tb.jpg").write_bytes(face(1))
    with pytest.raises(InputError, match="expected no tab or line end in the name of a file of"):
        pack(people)
    os.rename(people / "Ada" / "a\tb.jpg", people / "Ada" / "ab.jpg")
    os.rename(people / "Ada", people / "A\nda")
    with pytest.raises(InputError, match="in the name of a person's folder of"):
        pack(people)


def test_a_full_disk_stops_with_exit_status_3_and_leaves_nothing(people, monkeypatch):
    def full(self, data, key=None):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(RunError, match="expected room for .*train.rec, received no space left on device") as caught:
        pack(people, hold_out=1)
    assert caught.value.exit_code == 3
    assert not (people.parent / "faces").exists()


def test_what_is_no_image_by_its_name_is_passed_over(people):
    assert read_source(str(people)).ignored == ["README.txt"]
    assert read_source(str(people), exts=["JPG"]).names == sorted(PEOPLE)
    assert sources.NAMES == "identities.txt"


@pytest.mark.parametrize("out", ["people", "people/packed", "people/../people/Ada"])
def test_a_folder_is_not_packed_into_itself(people, out):
    before = sorted(people.rglob("*"))
    with pytest.raises(InputError, match="cannot pack a folder into itself: expected OUT_DIR outside of"):
        pack(people, out, force=True)
    assert sorted(people.rglob("*")) == before
