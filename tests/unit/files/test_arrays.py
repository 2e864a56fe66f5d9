"""Arrays read from files that nobody vouches for: an error of one kind, and no more memory than the file has bytes."""
import contextlib
import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from mxft.files.arrays import read_arrays


def header(descr, shape):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(path, data, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("rows.npy", data)
    return str(path)


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.int64).reshape(2, 3), np.asfortranarray(np.eye(3, 2)),
                                   np.array(["ä", "", "longer"]), np.zeros((0, 4), np.float32), np.array("text"),
                                   np.array([True])])
def test_what_numpy_writes_is_read(array, tmp_path):
    np.savez(tmp_path / "a.npz", rows=array, other=np.eye(2))
    found = read_arrays(tmp_path / "a.npz", ["rows"])["rows"]
    assert found.dtype == array.dtype and found.shape == array.shape and (found == array).all()


@pytest.mark.parametrize("data, reason", [
    (header("<f4", (10**12, 128)), "rows is float32"), (header("<f4", (2**62, 2**62)), "rows is float32"),
    (header("<f4", (-5, -4)), "rows is float32"), (header("<U100000000", (3,)), "rows is <U"),
    (header("|O", (3,)) + b"\x80\x04.", "rows is object"),
    (header("<U0", (3,)), "rows is <U0"),
    (header("<f4", (3, 4)) + b"12", "has not the 48 bytes"),
    (header("<f4", (1,)) + b"12345678", "has not the 4 bytes"),
    (header("<f4", (3, 4)).replace(b"{'descr'", b"{(((((((("), "EOF|never closed|parse"),
    (b"junk", "EOF|magic"), (b"", "EOF|magic")])
def test_damage_is_one_kind_of_error(data, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        read_arrays(archive(tmp_path / "a.npz", data), ["rows"])


def test_every_byte_changed_is_an_error_or_an_array(tmp_path):
    np.savez(tmp_path / "good.npz", rows=np.eye(2))
    good = (tmp_path / "good.npz").read_bytes()
    for place in range(0, len(good), 3):
        (tmp_path / "bad.npz").write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1:])
        with contextlib.suppress(ValueError):
            assert isinstance(read_arrays(tmp_path / "bad.npz", ["rows"])["rows"], np.ndarray)
    for end in range(0, len(good), 29):
        (tmp_path / "bad.npz").write_bytes(good[:end])
        with pytest.raises(ValueError):
            read_arrays(tmp_path / "bad.npz", ["rows"])


def test_a_small_file_takes_little_memory(tmp_path):
    path = archive(tmp_path / "bomb.npz", header("<f4", (20_000_000,)) + bytes(80_000_000), zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(ValueError, match="rows is compressed"):
        read_arrays(path, ["rows"])
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_single_array_is_no_archive(tmp_path):
    data = io.BytesIO()
    np.save(data, np.eye(2))
    (tmp_path / "a.npz").write_bytes(data.getvalue())
    with pytest.raises(ValueError, match="not a zip file"):
        read_arrays(tmp_path / "a.npz", ["rows"])
