"""Keras' HDF5: arrays that lie in the file alone; links and numbers elsewhere are refused."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.importing import import_weights, keras_file
from mxft.importing.keras_file import arrays_of
from mxft.importing.weight_files import read_weights

h5py = pytest.importorskip("h5py")


@pytest.fixture
def keras(tmp_path):
    """Write ``fc1/kernel:0``, which the function `fill` may make another way, and return the path."""
    def write(fill=None, layers=(b"fc1",), weights=(b"kernel:0",)):
        with h5py.File(tmp_path / "a.h5", "w") as f:
            f.attrs["layer_names"] = layers
            layer = f.create_group("fc1")
            layer.attrs["weight_names"] = weights
            if fill is None:
                layer["kernel:0"] = np.eye(2, dtype=np.float32)
            else:
                fill(layer)
        return tmp_path / "a.h5"
    return write


def test_plain_and_compressed_arrays_are_read(keras):
    assert read_weights(keras())["fc1/kernel"].tolist() == [[1, 0], [0, 1]]
    path = keras(lambda layer: layer.create_dataset("kernel:0", data=np.arange(6.0), compression="gzip"))
    assert read_weights(path)["fc1/kernel"].tolist() == [0, 1, 2, 3, 4, 5]


def virtual(layer):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (2,))
    layer.create_virtual_dataset("kernel:0", layout)


def external_link(layer):
    layer["kernel:0"] = h5py.ExternalLink("/etc/other.h5", "/data")


@pytest.mark.parametrize("fill, message", [
    (external_link, "expected arrays that lie in the file, received 'kernel:0', a link to '/etc/other.h5', in .*a.h5"),
    (lambda layer: layer.update({"kernel:0": h5py.SoftLink("/fc1/kernel:0")}), "'kernel:0', a link to '/fc1/kernel:0'"),
    (lambda layer: layer.create_dataset("kernel:0", (16,), "u1", external=[("/etc/passwd", 0, 16)]),
     "expected arrays that lie in the file, received 'fc1/kernel:0', whose numbers lie in another one"),
    (virtual, "received 'fc1/kernel:0', whose numbers lie in another one"),
    (lambda layer: layer.create_dataset("kernel:0", (2**20, 2**20), "f4", chunks=(64, 64)),
     r"expected the numbers of 'fc1/kernel:0', of shape \(1048576, 1048576\), in the file, received .* bytes"),
    (lambda layer: layer.create_dataset("kernel:0", (64,), "f4", chunks=(64,)), r"of shape \(64,\), in the file"),
    (lambda layer: layer.create_dataset("kernel:0", data=np.zeros(2**22), compression="gzip"), "in the file, received"),
    (lambda layer: layer.create_dataset("kernel:0", data=["text"], dtype=h5py.string_dtype()),
     "expected numbers as 'fc1/kernel:0', received object in"),
    (lambda layer: layer.create_dataset("kernel:0", data=np.array([b"text"])), r"received \|S4 in"),
    (lambda layer: layer.create_dataset("kernel:0", data=h5py.Empty("f4")), "received nothing in"),
    (lambda layer: layer.create_dataset("kernel:0", data=np.zeros(2, "c8")), "received complex64 in"),
    (lambda layer: layer.create_dataset("kernel:0", (1,), h5py.vlen_dtype(np.float32)), "received object in"),
    (lambda layer: layer.create_group("kernel:0"), "expected numbers as 'fc1/kernel:0', received Group in"),
    (lambda layer: layer.update({"kernel:0": np.dtype("f4")}), "received Datatype in"),
    (lambda layer: None, "expected 'kernel:0' in '/fc1', received a file without it: .*a.h5"),
])
def test_what_is_no_array_in_the_file_is_refused(keras, fill, message):
    with pytest.raises(InputError, match="weights cannot be read: .*" + message):
        arrays_of(keras(fill))


@pytest.mark.parametrize("names, message", [
    ({"layers": 5}, "expected a list of names as layer_names of '/', received '5'"),
    ({"layers": np.array([1, 2])}, "expected a list of names as layer_names"),
    ({"layers": b"fc1"}, "expected a list of names as layer_names"),
    ({"layers": [b"\x1b[2J"]}, "expected a list of names as layer_names"),
    ({"layers": [b"fc2"]}, "expected 'fc2' in '/', received a file without it"),
    ({"layers": [b"fc1", b"fc1"]}, "expected one array of each name, received 'fc1/kernel' twice"),
    ({"weights": [b"a/kernel:0"]}, "expected 'a/kernel:0' in '/fc1', received a file without it"),
    ({"weights": [b"kernel:0/a"]}, "expected 'kernel:0/a' in '/fc1', received a file without it"),
    ({"layers": [b"fc1/kernel:0"]}, "expected the names of its arrays in '/fc1/kernel:0', received no weight_names"),
])
def test_names_that_are_none_are_refused(keras, names, message):
    with pytest.raises(InputError, match="weights cannot be read: .*" + message):
        arrays_of(keras(**names))


@pytest.mark.parametrize("arch, message", [
    ("vgg16", r"expected the arrays of that network, received 1 that cannot be brought into its names and axes "
              r"\('features.31.weight' missing\); is arch right\?"),
    ("resnet50", r"keras resnet50, a.h5: expected the arrays of that network, .* is arch right\?"),
])
def test_a_layer_that_is_missing_asks_whether_arch_is_right(keras, arch, message):
    def predictions(layer):
        layer.parent.create_group("predictions").attrs["weight_names"] = [b"bias:0"]
        layer.parent["predictions/bias:0"] = np.zeros(3, np.float32)

    path = keras(predictions, layers=[b"predictions"])
    with pytest.raises(InputError, match=message):
        import_weights("keras", path, arch)


def test_the_process_that_reads_gives_names_types_and_reasons_as_they_are(keras, monkeypatch):
    def fill(layer):
        layer["kernel:0"], layer["bias:0"] = np.arange(6, dtype=">f8").reshape(2, 3).T, np.array([True])
        layer["scalar:0"], layer["none:0"] = np.int16(-5), np.zeros((0, 4), np.float16)

    path = keras(fill, weights=[b"kernel:0", b"bias:0", b"scalar:0", b"none:0"])
    here, there = arrays_of(path), keras_file.read_keras(path)
    assert list(here) == list(there) == ["fc1/kernel", "fc1/bias", "fc1/scalar", "fc1/none"]
    for name, array in here.items():
        np.testing.assert_array_equal(there[name], array)
        assert there[name].dtype == array.dtype and there[name].shape == array.shape
    monkeypatch.chdir(path.parent)
    (path.parent / "b.h5").write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"received b.h5 of 900 bytes \(.*; copy or download it again"):
        keras_file.read_keras("b.h5")


@pytest.mark.parametrize("body", ["while True: pass", "import os; os.abort()", "import os; os._exit(0)",
                                  "bytearray(8 << 30)"])
def test_a_reading_that_hangs_crashes_or_takes_all_memory_is_a_refusal(keras, monkeypatch, body):
    child = (f"import sys; sys.path[:] = sys.argv[2:]; from mxft.importing import keras_file\n"
             f"def broken(path):\n    {body}\n    return {{}}\n"
             f"keras_file.CPU_SECONDS, keras_file.arrays_of = 1, broken\nkeras_file.send(sys.argv[1])")
    monkeypatch.setattr(keras_file, "_CHILD", child)
    with pytest.raises(InputError, match=r"a.h5 of [\d,]+ bytes \(HDF5 crashed, or did not end\); copy"):
        read_weights(keras())
