"""The lengths in a .params file are held against its size before MXNet allocates what they ask for."""
import struct

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import load_params
from mxft.network.params_file import check_params_file


def dense(shape=(2, 2), kind=0, magic=0xF993FAC9, storage=0, content=bytes(16)):
    dimensions = struct.pack(f"<i{len(shape)}q", len(shape), *shape)
    return struct.pack("<Ii", magic, storage) + dimensions + struct.pack("<iii", 1, 0, kind) + content


def params(array=None, count=1, names=(b"arg:a",), announced=None):
    array = dense() if array is None else array
    return (struct.pack("<QQQ", 0x112, 0, count) + array + struct.pack("<Q", len(names) if announced is None
                                                                       else announced)
            + b"".join(struct.pack("<Q", len(name)) + name for name in names))


def test_what_mxnet_writes_passes(tmp_path):
    path = str(tmp_path / "all.params")
    dtypes = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
    arrays = {f"arg:{dtype}": mx.nd.array(np.arange(6).reshape(2, 3), dtype=dtype) for dtype in dtypes}
    rows = mx.nd.array([[0, 0], [1, 2], [0, 0]])
    arrays.update(rows=rows.tostype("row_sparse"), csr=rows.tostype("csr"), grad=mx.nd.zeros((1,)))
    mx.nd.waitall()  # MXNet writes the shape of a sparse array that is not finished yet
    mx.nd.save(path, arrays)
    check_params_file(path)
    assert load_params(path, mx.sym.Variable("x"))[0]["float16"].dtype == np.float16
    mx.nd.save(path, [mx.nd.ones((3,)), mx.nd.ones((2, 2))])
    check_params_file(path)
    with open(path, "wb") as f:  # of before 2016: number of dimensions, dimensions of 32 bits
        f.write(params(struct.pack("<IIIiii", 2, 2, 2, 1, 0, 0) + bytes(16)))
    check_params_file(path)
    assert load_params(path)[0]["a"].shape == (2, 2)


@pytest.mark.parametrize("content, reason", [
    (params(dense((2**20, 2**14))), "array 0 of 1: 68719476736 bytes announced, 37 left"),
    (params(dense((2**40, 2**40))), "array 0 of 1: .* bytes announced"),
    (params(dense((-1, -4))), r"array 0 of 1: a shape of \(-1, -4\)"),
    (params(dense(kind=99)), "array 0 of 1: unknown type of numbers 99"),
    (params(dense(storage=77)), "array 0 of 1: unknown storage type 77"),
    (params(struct.pack("<Iii", 0xF993FAC9, 0, 2**30)), "1073741824 dimensions, where at most 32 are possible"),
    (params(count=2**62), "arrays announced, .* bytes left"),
    (params(names=(b"arg:a", b"arg:b")), "expected 1 names, one for each array, or none, received 2"),
    (params(names=(), announced=1), "8 bytes announced, 0 left|1 names announced, 0 bytes left"),
    (params(names=(b"arg:\xff",)), "a name is no UTF-8 text"),
    (params()[:60], "bytes announced"), (b"", "24 bytes announced, 0 left"),
    (bytes(64), "expected 0x112 in the beginning, received 0x0"),
])
def test_lengths_that_lie_are_refused_before_memory_is_taken(tmp_path, content, reason, monkeypatch):
    path = str(tmp_path / "x-0000.params")
    with open(path, "wb") as f:
        f.write(content)
    with pytest.raises(ValueError, match=reason):
        check_params_file(path)
    monkeypatch.setattr(mx.nd, "load", lambda _: pytest.fail("MXNet was asked to read it"))
    with pytest.raises(InputError, match="parameters cannot be read: expected a whole MXNet parameter file"):
        load_params(path)
