"""Oversampling: level classes, untouched bytes, one file for one seed."""
import collections
import os

import numpy as np
import pytest

from mxft.data.iterators import RecordIterator
from mxft.data.labels import scan_labels
from mxft.data.oversampling import oversample_records, oversampled_order
from mxft.data.recordio import MAGIC_BYTES, IRHeader, RecordReader, RecordWriter, pack
from mxft.errors import InputError, MissingFileError
from mxft.files.whole import sha256
from mxft.network.input_spec import InputSpec

LABELS = [0] * 11 + [2] * 4 + [5]


@pytest.fixture
def uneven(make_records):
    return make_records("uneven.rec", LABELS)


def raw(path):
    with RecordReader(path) as reader:
        return [data for _, data in reader.raw()]


def test_every_class_becomes_as_large_as_the_largest_and_nothing_is_lost(uneven, tmp_path):
    out = oversample_records(uneven, str(tmp_path / "level.rec"), seed=1)
    assert out == str(tmp_path / "level.rec")
    assert collections.Counter(scan_labels(out).labels.tolist()) == {0: 11, 2: 11, 5: 11}
    before, after = raw(uneven), collections.Counter(raw(out))
    assert set(after) == set(before)
    assert sorted(after[data] for data in before) == [1] * 11 + [2, 3, 3, 3] + [11]  # 11 = 4 + 4 + 3


def test_the_order_is_random_and_stable_by_seed(uneven, tmp_path):
    files = [oversample_records(uneven, str(tmp_path / f"{n}.rec"), seed) for n, seed in enumerate((0, 0, 1))]
    hashes = [sha256(path) for path in files]
    assert hashes[0] == hashes[1] != hashes[2]
    labels = scan_labels(files[0]).labels
    assert len(set(labels[:11].tolist())) > 1


def test_the_order_is_the_same_on_every_numpy():
    """Computed with NumPy 2.4 and 2.5: RandomState's streams are kept for good (NEP 19)."""
    assert oversampled_order(np.array([7, 7, 9, 9, 9, 8]), 4).tolist() == [5, 4, 5, 3, 1, 2, 0, 1, 5]


def test_mxnet_reads_every_copy(uneven, tmp_path):
    out = oversample_records(uneven, str(tmp_path / "level.rec"))
    records = RecordIterator(out, InputSpec((3, 8, 8)), 11, 33, threads=1)
    labels = np.concatenate([records.next().label[0].asnumpy() for _ in range(3)])
    assert collections.Counter(labels.tolist()) == {0: 11, 2: 11, 5: 11}


def test_a_record_cut_by_the_magic_is_copied_whole(tmp_path):
    path = str(tmp_path / "cut.rec")
    with RecordWriter(path) as writer:
        for number, label in enumerate((0, 0, 1)):
            writer.write(pack(IRHeader(0, label, number, 0), b"ab" * 4 + MAGIC_BYTES + bytes([number] * 5)))
    out = oversample_records(path, str(tmp_path / "out.rec"))
    assert sorted(raw(out)) == sorted(raw(path) + raw(path)[2:])


def test_level_classes_are_only_reordered(make_records, tmp_path):
    path = make_records("level.rec", [0, 1, 2, 2, 1, 0])
    assert sorted(raw(oversample_records(path, str(tmp_path / "out.rec")))) == sorted(raw(path))


def test_what_cannot_be_oversampled_is_refused_and_leaves_nothing(make_records, tmp_path):
    out, none = str(tmp_path / "out.rec"), make_records("none.rec", [])
    with RecordWriter(str(tmp_path / "many.rec")) as writer:
        writer.write(pack(IRHeader(2, [1.0, 2.0], 0, 0), b"x"))
    damaged = make_records("damaged.rec", LABELS)
    os.truncate(damaged, os.path.getsize(damaged) - 8)
    for path, message in ((none, "at least one record, received .*none.rec"),
                          (str(tmp_path / "many.rec"), "expected one label in each record, received 2"),
                          (make_records("half.rec", [0, 0.5]), "received label=0.5 in record 1"),
                          (make_records("minus.rec", [0, -1], lambda *_: b"x"), "received label=-1 in record 1"),
                          (damaged, "record file is damaged")):
        with pytest.raises(InputError, match=message):
            oversample_records(path, out)
    with pytest.raises(MissingFileError):
        oversample_records(str(tmp_path / "nowhere.rec"), out)
    assert not os.path.exists(out)


def test_the_file_that_is_read_is_never_written(uneven):
    before = sha256(uneven)
    with pytest.raises(InputError, match="expected another file to write than the one that is read, received out="):
        oversample_records(uneven, os.path.join(os.path.dirname(uneven), ".", "uneven.rec"))
    assert sha256(uneven) == before
