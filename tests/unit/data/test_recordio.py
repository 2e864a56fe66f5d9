"""Records: the bytes are MXNet's own, and damage is named with its place."""
import pathlib
import struct

import numpy as np
import pytest

from mxft.data.recordio import (
    MAGIC_BYTES,
    IRHeader,
    RecordReader,
    RecordWriter,
    frame,
    pack,
    read_index,
    unpack,
    write_index,
)
from mxft.errors import InputError

# every way the magic can lie in a payload: aligned, not aligned, first, last, twice running, alone, cut short
PAYLOADS = [b"", b"a", b"abc", b"abcd", b"abcde", MAGIC_BYTES, MAGIC_BYTES * 2, MAGIC_BYTES * 3 + b"xy",
            b"abcd" + MAGIC_BYTES, b"abcd" + MAGIC_BYTES + b"tail", b"ab" + MAGIC_BYTES + b"cd", MAGIC_BYTES[:3],
            b"ab" + MAGIC_BYTES * 4, MAGIC_BYTES + b"abcd" + MAGIC_BYTES + b"e", b"abcd" + MAGIC_BYTES[:3],
            bytes(range(256)) * 40]


@pytest.fixture
def mx():
    """MXNet, to compare with, where it can be loaded."""
    try:
        from mxft.compat import mx
        mx.recordio  # noqa: B018  a lazy door opens when it is first touched
    except ImportError as error:
        pytest.skip(f"mxnet cannot be loaded: {error}")
    return mx


@pytest.fixture
def record_file(tmp_path):
    """Three image records, ids 10, 11, 12, the second in several parts."""
    path = str(tmp_path / "three.rec")
    with RecordWriter(path, str(tmp_path / "three.idx")) as writer:
        for i, payload in enumerate((b"first", b"abcd" + MAGIC_BYTES + b"efgh" + MAGIC_BYTES + b"i", b"third one")):
            writer.write(pack(IRHeader(0, float(i), 10 + i, 0), payload), key=10 + i)
    return path


def test_bytes_equal_those_of_mxnets_writer(mx, tmp_path):
    theirs = mx.recordio.MXIndexedRecordIO(str(tmp_path / "mx.idx"), str(tmp_path / "mx.rec"), "w")
    with RecordWriter(str(tmp_path / "own.rec"), str(tmp_path / "own.idx")) as own:
        for key, payload in enumerate(PAYLOADS):
            theirs.write_idx(key, payload)
            own.write(payload, key=key)
    theirs.close()
    assert (tmp_path / "own.rec").read_bytes() == (tmp_path / "mx.rec").read_bytes()
    assert (tmp_path / "own.idx").read_text() == (tmp_path / "mx.idx").read_text()


def test_reads_what_mxnet_wrote_and_mxnet_reads_ours(mx, tmp_path):
    theirs = mx.recordio.MXRecordIO(str(tmp_path / "mx.rec"), "w")
    for payload in PAYLOADS:
        theirs.write(payload)
    theirs.close()
    with RecordReader(str(tmp_path / "mx.rec")) as reader:
        assert [data for _, data in reader.raw()] == PAYLOADS
    with RecordWriter(str(tmp_path / "own.rec")) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    reader = mx.recordio.MXRecordIO(str(tmp_path / "own.rec"), "r")
    assert [reader.read() for _ in PAYLOADS] == PAYLOADS
    reader.close()


def test_header_bytes_are_those_of_mxnets_struct_format():
    assert pack(IRHeader(0, 4.0, 2574, 1), b"x") == struct.pack("IfQQ", 0, 4.0, 2574, 1) + b"x"
    labels = np.array([1.5, -2.0, 3.0], np.float32)
    assert pack(IRHeader(9, labels, 5, 0), b"x") == struct.pack("IfQQ", 3, 0.0, 5, 0) + labels.tobytes() + b"x"


def test_mxnet_unpacks_our_header(mx):
    header, payload = mx.recordio.unpack(pack(IRHeader(0, [7.0, 8.0], 3, 0), b"image"))
    assert (header.flag, header.id, payload) == (2, 3, b"image")
    np.testing.assert_array_equal(header.label, [7.0, 8.0])


def test_unpack_gives_back_label_vector_and_payload():
    header, payload = unpack(pack(IRHeader(0, [7.0, 8.0], 3, 4), b"image"))
    assert (header.flag, header.id, header.id2, payload) == (2, 3, 4, b"image")
    np.testing.assert_array_equal(header.label, np.array([7.0, 8.0], np.float32))


def test_a_record_is_padded_to_four_bytes():
    assert [len(frame(b"x" * n)) for n in range(6)] == [8, 12, 12, 12, 12, 16]


def test_reads_in_order_and_by_key(record_file):
    with RecordReader(record_file) as reader:
        records = list(reader)
        assert [r.header.id for r in records] == [10, 11, 12]
        assert [r.number for r in records] == [0, 1, 2]
        assert reader[11].payload == records[1].payload == b"abcd" + MAGIC_BYTES + b"efgh" + MAGIC_BYTES + b"i"
        assert list(reader.index) == [10, 11, 12] and reader[12].offset == records[2].offset


def test_headers_give_payload_lengths_without_the_payloads(record_file):
    with RecordReader(record_file) as reader:
        assert [(h.id, length) for _, _, h, length in reader.headers()] == [(10, 5), (11, 17), (12, 9)]


def test_an_unknown_key_is_refused(record_file):
    with RecordReader(record_file) as reader, pytest.raises(InputError, match=r"no record 99 in .*three.idx.*3 keys"):
        reader[99]


def test_an_index_of_another_file_is_refused(record_file):
    with open(record_file[:-4] + ".idx", "w") as f:
        f.write("10\t0\n11\t4\n12\t9999\n")
    with RecordReader(record_file) as reader:
        with pytest.raises(InputError, match="index does not belong to .*received 9999 for key 12"):
            reader[12]
        with pytest.raises(InputError, match="expected the magic 0xced7230a, .* in record with key 11 at byte 4"):
            reader[11]


def test_the_index_can_be_made_again(record_file, tmp_path):
    written = read_index(record_file[:-4] + ".idx")
    assert write_index(record_file, str(tmp_path / "again.idx")) == 3
    assert read_index(str(tmp_path / "again.idx")) == written


def test_a_bad_index_line_is_named(tmp_path):
    (tmp_path / "bad.idx").write_text("0\t0\n1 40\n")
    with pytest.raises(InputError, match=r"bad.idx, line 2: expected key<tab>offset, received '1 40'"):
        read_index(str(tmp_path / "bad.idx"))


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "empty.rec").write_bytes(b"")
    with RecordReader(str(tmp_path / "empty.rec")) as reader:
        assert list(reader) == []


def read_damaged(path, data):
    with open(path, "wb") as f:
        f.write(data)
    with RecordReader(path) as reader, pytest.raises(InputError) as caught:
        list(reader)
    with RecordReader(path) as reader, pytest.raises(InputError) as while_scanning:
        list(reader.headers())
    assert str(while_scanning.value) == str(caught.value)
    return str(caught.value)


def test_a_bad_magic_is_named_with_record_and_offset(record_file):
    data = bytearray(pathlib.Path(record_file).read_bytes())
    second = read_index(record_file[:-4] + ".idx")[11]
    data[second:second + 4] = b"oops"
    message = read_damaged(record_file, bytes(data))
    assert "expected the magic 0xced7230a, received 0x73706f6f" in message
    assert f"in record 1 at byte {second} of {record_file}" in message


def test_a_file_cut_in_the_middle_is_named_wherever_it_is_cut(record_file):
    data = pathlib.Path(record_file).read_bytes()
    starts = sorted(read_index(record_file[:-4] + ".idx").values())
    for cut in range(1, len(data)):
        if cut in starts:
            continue  # a cut between two records cannot be seen
        message = read_damaged(record_file, data[:cut])
        assert "before the end of the file" in message
        assert f"in record {sum(start < cut for start in starts) - 1} at byte" in message


def test_a_length_that_lies_is_named(record_file):
    data = bytearray(pathlib.Path(record_file).read_bytes())
    data[4:8] = struct.pack("<I", 100000)
    message = read_damaged(record_file, bytes(data))
    assert "expected 100000 bytes of payload" in message and "record 0 at byte 0" in message


def test_a_part_out_of_turn_is_named(record_file):
    data = bytearray(pathlib.Path(record_file).read_bytes())
    data[4:8] = struct.pack("<I", 3 << 29 | 29)
    assert "expected a part that continues the record, received part flag 3" in read_damaged(record_file, bytes(data))


def test_a_record_without_image_header_is_named(tmp_path):
    assert "expected a header of 24 bytes, received 5 (record 0 at byte 0" in read_damaged(
        str(tmp_path / "short.rec"), frame(b"short"))
    assert "expected 7 labels after the header, received 1 bytes" in read_damaged(
        str(tmp_path / "flag.rec"), frame(struct.pack("<IfQQ", 7, 0, 0, 0) + b"x"))


def test_nothing_is_written_when_the_block_fails(tmp_path):
    with pytest.raises(KeyError), RecordWriter(str(tmp_path / "a.rec"), str(tmp_path / "a.idx")) as writer:
        writer.write(b"data", key=0)
        raise KeyError
    assert list(tmp_path.iterdir()) == []
