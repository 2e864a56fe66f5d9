"""A .params file is followed from length to length, and checked against what a network holds, before MXNet reads it."""
import struct

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint, load_params
from mxft.network.params_file import DamagedFile, check_params_file, read_arrays


def dense(shape=(2, 2), kind=0, magic=0xF993FAC9, storage=0, content=bytes(16), device=1):
    dimensions = struct.pack(f"<i{len(shape)}q", len(shape), *shape)
    head = struct.pack("<I", magic) if magic == 0xF993FAC8 else struct.pack("<Ii", magic, storage)
    return head + dimensions + struct.pack("<iii", device, 0, kind) + content


def of_2015(shape, content):
    return struct.pack(f"<I{len(shape)}I", len(shape), *shape) + struct.pack("<iii", 2, 3, 0) + content


def params(*arrays, count=None, names=(b"arg:a",), announced=None):
    arrays = arrays or (dense(),)
    return (struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count) + b"".join(arrays)
            + struct.pack("<Q", len(names) if announced is None else announced)
            + b"".join(struct.pack("<Q", len(name)) + name for name in names))


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "x-0000.params"
        path.write_bytes(content)
        return str(path)
    return write


def test_what_mxnet_writes_is_read(tmp_path):
    path = str(tmp_path / "all.params")
    dtypes = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
    arrays = {f"arg:{dtype}": mx.nd.array(np.arange(6).reshape(2, 3), dtype=dtype) for dtype in dtypes}
    mx.nd.save(path, arrays)
    assert check_params_file(path) is False
    found = load_params(path, mx.sym.Variable("x"))[0]
    for dtype in dtypes:
        assert found[dtype].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found[dtype].asnumpy(), arrays[f"arg:{dtype}"].asnumpy())
    mx.nd.save(path, [mx.nd.ones((3,)), mx.nd.ones((2, 2))])
    assert [array.shape for array in read_arrays(path)] == [(3,), (2, 2)]
    mx.nd.save(path, {})
    assert read_arrays(path) == []


def test_files_of_every_release_are_read(written):
    numbers = np.arange(4, dtype=np.float32)
    for array in (of_2015((2, 2), numbers.tobytes()), dense(magic=0xF993FAC8, content=numbers.tobytes()),
                  dense(content=numbers.tobytes(), device=2)):
        np.testing.assert_array_equal(load_params(written(params(array)))[0]["a"].asnumpy(), numbers.reshape(2, 2))


def test_arrays_saved_with_numpys_shapes_are_read(tmp_path):
    path = str(tmp_path / "np-0000.params")
    with mx.util.np_shape(True):
        mx.nd.save(path, {"arg:a": mx.nd.ones((2, 3)), "aux:b": mx.nd.zeros((4,))})
    assert check_params_file(path) is True
    args, auxs = load_params(path)
    assert args["a"].asnumpy().tolist() == [[1] * 3] * 2 and auxs["b"].shape == (4,)
    assert not mx.util.is_np_shape()


@pytest.mark.parametrize("content, reason", [
    (params(dense((2**20, 2**14))), "array 0 of 1: 68719476736 bytes announced, 37 left"),
    (params(dense((2**40, 2**40))), "array 0 of 1: .* bytes announced"),
    (params(dense((-1, -4))), r"array 0 of 1: a shape of \(-1, -4\)"),
    (params(dense(kind=99)), "array 0 of 1: unknown type of numbers 99"),
    (params(dense(storage=77)), "array 0 of 1: unknown storage type 77"),
    (params(dense(device=0)), "array 0 of 1: unknown device 0"),
    (params(struct.pack("<Iii", 0xF993FAC9, 0, 2**30)), "1073741824 dimensions, where at most 32 are possible"),
    (params(count=2**62), "arrays announced, .* bytes left"),
    (params(names=(b"arg:a", b"arg:b")), "1 names expected, one for each array, or none, 2 found"),
    (params(dense(), dense()), "2 names expected, one for each array, or none, 1 found"),
    (params(names=(), announced=1), "8 bytes announced, 0 left|1 names announced, 0 bytes left"),
    (params(names=(b"arg:\xff",)), "a name is no UTF-8 text"),
    (params() + b"PK", "the end expected behind the last name, 2 bytes found"),
    (params(dense(), dense(magic=0xF993FACA), names=(b"a", b"b")), "NumPy's shapes beside arrays without"),
    (params()[:60], "bytes announced"), (b"", "24 bytes announced, 0 left"),
    (bytes(64), "0x112 expected in the beginning, 0x0 found"),
])
def test_lengths_that_lie_are_refused_before_memory_is_taken(written, content, reason, monkeypatch):
    path = written(content)
    monkeypatch.setattr(mx.nd, "load", lambda _: pytest.fail("MXNet was asked to read it"))
    with pytest.raises(DamagedFile, match=reason):
        check_params_file(path)
    with pytest.raises(InputError, match="parameters cannot be read: expected a whole MXNet parameter file, received "
                                         f".*{reason}.*; copy or download it again"):
        load_params(path)


@pytest.mark.parametrize("content, reason", [
    (params(dense((0, 5), content=b"")), r"expected numbers in every array, received 'arg:a' with shape \(0, 5\): it "
                                         "was saved before it was filled; run the network once"),
    (params(dense((), content=b"")[:12]), "expected numbers in every array, received 'arg:a' with no shape"),
    (params(struct.pack("<I", 0)), "expected numbers in every array, received 'arg:a' with no shape"),
    (params(struct.pack("<Ii", 0xF993FAC8, 0)), "expected numbers in every array, received 'arg:a' with no shape"),
    (params(struct.pack("<Iii", 0xF993FACA, 0, -1)), "expected numbers in every array, received 'arg:a' with no shape"),
    (params(dense((), magic=0xF993FACA, content=bytes(4))), r"received 'arg:a' with shape \(\)"),
    (params(dense(), dense(), names=(b"arg:a", b"arg:a")), "a name of its own for each array, received 'arg:a' twice"),
    (params(dense(), dense(), names=(b"arg:a", b"aux:a")), "one array for each name, received 'a' twice"),
    (params(dense(), dense(), names=(b"a", b"arg:a")), "one array for each name, received 'a' twice"),
    (params(names=(b"",)), "expected a name for each array, received ''"),
    (params(names=(b"aux:",)), "expected a name for each array, received 'aux:'"),
    (params(names=(b"arg:a\0b",)), r"none of them a control character, received 'arg:a\\x00b'"),
    (params(names=(b"arg:\x1b[2J",)), r"none of them a control character, received 'arg:\\x1b\[2J'"),
    (params(names=(b"n" * 5000,)), "none of them a control character, received 'n{80} …'"),
    (params(names=()), "expected named arrays, received .* with 1 arrays without names"),
])
def test_what_no_network_holds_is_refused_by_name(written, content, reason):
    with pytest.raises(InputError, match=f"parameters cannot be read: .*{reason}") as refused:
        load_params(written(content))
    assert "x-0000.params" in str(refused.value) and "download it again" not in str(refused.value)


@pytest.mark.parametrize("storage", ["row_sparse", "csr"])
def test_sparse_arrays_are_refused_by_name(tmp_path, storage):
    path = str(tmp_path / "x-0000.params")
    value = mx.nd.array([[0, 0], [1, 2], [0, 0]]).tostype(storage)
    mx.nd.waitall()  # MXNet writes the shape of a sparse array that is not finished yet
    mx.nd.save(path, {"arg:dense": mx.nd.ones((1,)), "arg:embedding": value})
    with pytest.raises(InputError, match=rf"expected dense arrays, received 'arg:embedding' in {storage} storage; save "
                                         r"it with value.tostype\('default'\); in .*x-0000.params"):
        load_params(path)
    mx.nd.save(path, {"arg:embedding": value.tostype("default")})  # what the message names
    assert load_params(path)[0]["embedding"].shape == (3, 2)


def test_bfloat16_is_opened_as_float32(tmp_path):
    network = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, no_bias=True, name="fc")
    (tmp_path / "net-symbol.json").write_text(network.tojson())
    value = mx.nd.array([[1.5, -2], [0, 1]]).astype(np.dtype([("bfloat16", np.uint16)]))
    mx.nd.save(str(tmp_path / "net-0000.params"), {"arg:fc_weight": value})
    checkpoint = load_checkpoint(f"{tmp_path}/net,0")
    assert checkpoint.arg_params["fc_weight"].dtype == np.float32
    assert "1 bfloat16 parameters as float32" in checkpoint.notes
    assert checkpoint.arg_params["fc_weight"].asnumpy().tolist() == [[1.5, -2], [0, 1]]
