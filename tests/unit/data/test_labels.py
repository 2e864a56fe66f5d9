"""Labels are read from headers, and one outside the classes is refused with its place and the way out."""
import numpy as np
import pytest

from mxft.data.labels import check_labels, scan_labels
from mxft.data.recordio import MAGIC_BYTES, IRHeader, RecordWriter, pack
from mxft.errors import InputError


def write(path, labels, payload=b"image"):
    with RecordWriter(str(path)) as writer:
        for i, label in enumerate(labels):
            writer.write(pack(IRHeader(0, label, 100 + i, 0), payload))
    return str(path)


def test_scan_gives_ids_labels_offsets_and_lengths(tmp_path):
    scan = scan_labels(write(tmp_path / "a.rec", [2.0, 0.0, 1.0]))
    np.testing.assert_array_equal(scan.ids, [100, 101, 102])
    np.testing.assert_array_equal(scan.labels, [2, 0, 1])
    np.testing.assert_array_equal(scan.offsets, [0, 40, 80])  # 8 frame + 24 header + 5 image + 3 padding
    np.testing.assert_array_equal(scan.lengths, [5, 5, 5])
    assert scan.labels.dtype == np.float32


def test_scan_sees_through_records_in_parts(tmp_path):
    scan = scan_labels(write(tmp_path / "a.rec", [2.0, 0.0], payload=MAGIC_BYTES + b"abcd" + MAGIC_BYTES))
    np.testing.assert_array_equal(scan.lengths, [12, 12])


def test_several_labels_give_a_matrix_and_one_packed_label_does_not(tmp_path):
    assert scan_labels(write(tmp_path / "two.rec", [[1.0, 5.0], [0.0, 6.0]])).labels.shape == (2, 2)
    assert scan_labels(write(tmp_path / "one.rec", [[1.0], [0.0]])).labels.shape == (2,)


def test_label_counts_that_differ_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected 2 labels as in record 0, received 1 in record 1 \(id 101\)"):
        scan_labels(write(tmp_path / "a.rec", [[1.0, 5.0], 0.0]))


def test_labels_in_range_pass_and_the_scan_comes_back(tmp_path):
    assert len(check_labels(write(tmp_path / "a.rec", [0.0, 1.0, 2.0]), 3).ids) == 3


def test_257_labels_for_256_outputs_are_refused_with_the_way_out(tmp_path):
    path = write(tmp_path / "val.rec", [0.0, 255.0, 256.0, 256.0])
    with pytest.raises(InputError) as caught:
        check_labels(path, 256)
    assert str(caught.value) == (
        f"label out of range in {path}: expected whole numbers in [0, 256), received label=256 in record 2 (id 102); "
        "2 of 4 records are outside; --num-classes 257 takes them all, or pack without the surplus class "
        "(mxft im2rec --list --recursive --exclude NAME PREFIX ROOT)")


@pytest.mark.parametrize("label, shown", [(-1.0, "-1"), (0.5, "0.5"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_labels_that_are_no_class_numbers_are_refused(tmp_path, label, shown):
    with pytest.raises(InputError, match=rf"received label={shown} in record 1 \(id 101\).*not class numbers"):
        check_labels(write(tmp_path / "a.rec", [0.0, label]), 10)


def test_of_several_labels_the_first_is_the_class(tmp_path):
    check_labels(write(tmp_path / "good.rec", [[1.0, 50.0]]), 2)
    with pytest.raises(InputError, match="received label=50 in record 0"):
        check_labels(write(tmp_path / "bad.rec", [[50.0, 1.0]]), 2)


def test_a_file_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="no records: expected at least one"):
        check_labels(write(tmp_path / "a.rec", []), 2)
