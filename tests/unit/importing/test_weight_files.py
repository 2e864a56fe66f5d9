""".safetensors: every number NumPy knows, bfloat16 by its bits, others refused by name; lengths that lie."""
import json
import struct

import numpy as np
import pytest

from mxft.errors import InputError
from mxft.importing import import_weights
from mxft.importing.weight_files import read_weights

pytest.importorskip("safetensors")


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        return path
    return write


def test_every_type_numpy_knows_is_read(tmp_path):
    from safetensors.numpy import save_file

    arrays = {dtype: np.arange(6).reshape(2, 3).astype(dtype) for dtype in (
        "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
        "bool")}
    save_file({**arrays, "scalar": np.array(3.5, np.float32)}, str(tmp_path / "x.safetensors"))
    found = read_weights(tmp_path / "x.safetensors")
    for dtype, array in arrays.items():
        np.testing.assert_array_equal(found[dtype], array)
        assert found[dtype].dtype == (np.float32 if dtype.startswith("float") else dtype)
    assert found["scalar"].shape == () and found["scalar"] == 3.5


def test_bfloat16_is_the_upper_half_of_float32(written):
    numbers = np.array([1.5, -2.0, 3e38, 0.0], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2")
    found = read_weights(written(safetensors({"w": entry("BF16", (2, 2))}, halves.tobytes())))["w"]
    np.testing.assert_array_equal(found, (halves.astype(np.uint32) << 16).view(np.float32).reshape(2, 2))
    assert found[0].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dtype, shape, size", [("F8_E4M3", (8,), 8), ("F8_E5M2", (8,), 8), ("F4", (16,), 8),
                                                ("F8_E8M0", (8,), 8), ("C64", (1,), 8)])
def test_other_types_are_refused_by_name(written, dtype, shape, size):
    with pytest.raises(InputError, match=rf"expected F64, .*, BOOL or BF16 numbers, received 'w' of {dtype} in .*x.safe"
                                         "tensors; save the network in float32 or float16"):
        read_weights(written(safetensors({"w": entry(dtype, shape, (0, size))}, bytes(size))))


@pytest.mark.parametrize("content", [
    b"", b"\0" * 8, safetensors({}, length=2**62), safetensors({}, length=2**64 - 1), safetensors(b"[]"),
    safetensors({"w": entry(offsets=(0, 2**62))}), safetensors({"w": entry(offsets=(8, 0))}, bytes(8)),
    safetensors({"w": entry(shape=(2**40, 2**40))}, bytes(8)), safetensors({"w": entry(shape=(-1,))}, bytes(8)),
    safetensors({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)),    # they overlap
    safetensors({"w": entry(offsets=(8, 16))}, bytes(16)),                  # a hole
    safetensors({"w": entry()}, bytes(80)),                                 # bytes behind the last
    safetensors({"w": entry("F99")}, bytes(8)), safetensors(b'{"w":' * 3000), safetensors({"w": None}),
])
def test_lengths_that_lie_are_refused(written, content):
    with pytest.raises(InputError, match=r"expected a safetensors file, received .*x.safetensors of [\d,]+ bytes .*; "
                                         "copy or download it again"):
        read_weights(written(content))


@pytest.mark.parametrize("arrays, message", [
    ({}, "expected arrays, received none in .*x.safetensors"),
    ({"fc.bias": np.float32(1)}, r"expected one number for each class in fc.bias, received shape \(\); is arch"),
    ({"fc.bias": np.ones((0,), np.float32)}, r"received shape \(0,\); is arch right"),
    ({"fc.bias": np.ones((2, 2), np.float32)}, r"received shape \(2, 2\); is arch right"),
    ({"fc.bias": np.ones(2, np.float32), "conv1.weight": np.float32(1)}, "expected the 102 arrays of that network"),
])
def test_arrays_of_another_network_ask_whether_arch_is_right(tmp_path, arrays, message):
    from safetensors.numpy import save_file

    save_file({name: np.asarray(array) for name, array in arrays.items()}, str(tmp_path / "x.safetensors"))
    with pytest.raises(InputError, match=message):
        import_weights("torchvision", tmp_path / "x.safetensors", "resnet18")
