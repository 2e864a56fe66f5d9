"""Packing: records = list - listed, whole files or none, the same bytes for any number of threads."""
import os
import threading

import cv2
import numpy as np
import pytest

from mxft.data.labels import scan_labels
from mxft.data.lists import Row, write_list
from mxft.data.packing import ordered_map, pack_list
from mxft.data.recordio import RecordReader, RecordWriter
from mxft.errors import InputError, RunError


@pytest.fixture
def photos(tmp_path):
    """Twelve small JPEG files of three classes and their list, in a folder of its own."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    root.mkdir()
    rows = []
    for i in range(12):
        coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(root / f"{i}.jpg"), cv2.resize(coarse, (50 + i, 40)))
        rows.append(Row(100 + i, (float(i % 3), 9.0), f"{i}.jpg"))
    write_list(tmp_path / "a.lst", rows)
    return tmp_path


def pack(photos, **options):
    return pack_list(str(photos / "a.lst"), str(photos / "photos"), show=False, **options)


def spoil(photos):
    """Damage four of the images in four ways and return their file names."""
    root = photos / "photos"
    (root / "1.jpg").write_bytes(b"")
    (root / "4.jpg").unlink()
    (root / "7.jpg").write_bytes((root / "7.jpg").read_bytes()[:-20])
    (root / "9.jpg").write_text("<html>gone</html>")
    return ["1.jpg", "4.jpg", "7.jpg", "9.jpg"]


def test_records_carry_ids_labels_and_images_of_the_list(photos):
    result = pack(photos, resize=32)
    assert (result.packed, result.classes, result.bad, result.bad_path) == (12, 3, [], None)
    assert result.bytes == os.path.getsize(result.rec)
    scan = scan_labels(result.rec)
    np.testing.assert_array_equal(scan.ids, range(100, 112))
    np.testing.assert_array_equal(scan.labels, [i % 3 for i in range(12)])
    with RecordReader(result.rec) as reader:
        image = cv2.imdecode(np.frombuffer(reader[105].payload, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == (32, 55 * 32 // 40, 3)


def test_all_labels_are_packed_when_asked_for(photos):
    np.testing.assert_array_equal(scan_labels(pack(photos, pack_label=True).rec).labels[:2], [[0, 9], [1, 9]])


@pytest.mark.parametrize("spoiled", [False, True])
def test_the_bytes_do_not_depend_on_the_number_of_threads(photos, spoiled):
    if spoiled:
        spoil(photos)
    files = []
    for threads in (1, 2, 5):
        result = pack(photos, num_thread=threads, resize=24)
        files.append([open(path, "rb").read() for path in (result.rec, result.idx)])  # noqa: SIM115
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("options", [{}, {"pass_through": True}, {"num_thread": 3}])
def test_bad_images_are_left_out_and_listed(photos, options):
    names = spoil(photos)
    result = pack(photos, **options)
    assert result.packed == len(scan_labels(result.rec).ids) == 8
    assert [bad.row.path for bad in result.bad] == names
    lines = (photos / "a.bad.tsv").read_text().splitlines()
    assert lines[0] == "index\tlabel\tpath\treason"
    assert lines[1] == "101\t1,9\t1.jpg\tempty file"
    assert lines[2] == "104\t1,9\t4.jpg\tmissing"
    assert lines[3].startswith("107\t1,9\t7.jpg\ttruncated JPEG")
    assert lines[4].startswith("109\t0,9\t9.jpg\tnot an image")
    assert "4 left out, listed in" in str(result) and "a.bad.tsv" in str(result)


def test_a_list_of_bad_images_goes_when_nothing_is_bad(photos):
    (photos / "a.bad.tsv").write_text("from an earlier run")
    pack(photos)
    assert not (photos / "a.bad.tsv").exists()


def test_strict_refuses_naming_the_first_and_the_count(photos):
    spoil(photos)
    with pytest.raises(InputError, match=r"received 4 bad of 12, the first index=101 path='1.jpg': empty file"):
        pack(photos, strict=True)
    assert sorted(os.listdir(photos)) == ["a.bad.tsv", "a.lst", "photos"]


def test_packing_nothing_is_refused_and_leaves_no_record_file(photos):
    with pytest.raises(InputError, match=r"received 12 bad of 12, the first index=100 .*: missing; .*image folder"):
        pack_list(str(photos / "a.lst"), str(photos), show=False)
    assert sorted(os.listdir(photos)) == ["a.bad.tsv", "a.lst", "photos"]


def test_an_earlier_record_file_survives_a_refusal(photos):
    pack(photos)
    before = (photos / "a.rec").read_bytes()
    spoil(photos)
    with pytest.raises(InputError):
        pack(photos, strict=True)
    assert (photos / "a.rec").read_bytes() == before


def test_a_full_disk_stops_with_exit_status_3_and_leaves_nothing(photos, monkeypatch):
    def full(self, data, key=None):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(RunError, match="expected room for .*a.rec, received no space left on device") as caught:
        pack(photos)
    assert caught.value.exit_code == 3
    assert sorted(os.listdir(photos)) == ["a.lst", "photos"]


@pytest.mark.parametrize("options, message", [({"num_thread": 0}, "received num_thread=0"),
                                              ({"quality": 0}, "received quality=0")])
def test_bad_options_are_refused_before_the_list_is_read(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        pack_list(str(tmp_path / "missing.lst"), str(tmp_path), **options)


def test_a_missing_folder_is_refused(photos):
    with pytest.raises(FileNotFoundError, match="image folder is missing: expected a folder, received '.*gone'"):
        pack_list(str(photos / "a.lst"), str(photos / "gone"))


def test_no_more_images_are_in_flight_than_the_window_holds():
    begun, done, lock = 0, 0, threading.Lock()

    def work(i):
        nonlocal begun
        with lock:
            begun += 1
        return i

    for i in ordered_map(work, range(500), num_thread=2):
        assert i == done
        done += 1
        assert begun <= done + 16
    assert done == 500


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_threads_than_one_are_refused(threads):
    with pytest.raises(InputError, match=f"threads: expected a number from 1 on, received {threads}"):
        list(ordered_map(abs, [1], threads))
