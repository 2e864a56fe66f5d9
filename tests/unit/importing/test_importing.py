"""Importing: names against what the frameworks save, numbers against plain NumPy, ONNX against ONNX Runtime.

``tests/reference/import_parity.py`` compares whole networks with the frameworks themselves, where they are installed.
"""
import gzip
import json
import pathlib

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import DependencyError, InputError
from mxft.importing import SOURCES, WITHOUT_TABLE, architectures, import_weights, keras, timm, torchvision
from mxft.importing.architecture import with_gluon_names
from mxft.importing.weight_files import read_weights
from mxft.inference.executor import InferenceExecutor

NAMES = json.loads(gzip.decompress((pathlib.Path(__file__).parents[2] / "reference/import_names.json.gz").read_bytes()))
ROWS = [row.split() for row in NAMES]


def parameters_of(network):
    return {name: parameter.shape for name, parameter in network._collect_params_with_prefix().items()}


def test_every_network_of_every_source_has_its_names_recorded():
    classifiers = [source for source in SOURCES if source not in ("arcface-torch", *WITHOUT_TABLE)]
    assert sorted(NAMES) == sorted(f"{source} {arch}" for source in classifiers for arch in architectures(source))


@pytest.mark.parametrize("source, arch", ROWS)
def test_every_array_of_a_source_has_its_place_in_the_network(source, arch):
    """Names and shapes as torchvision 0.29, timm 1.0, efficientnet_pytorch 0.7 and Keras 3.15 save them, 7 classes."""
    entries = {name: np.broadcast_to(np.float32(0), shape) for name, shape in NAMES[f"{source} {arch}"]}
    architecture = architectures(source)[arch]
    renamed = {name: array.shape for name, array in architecture.rename(entries).items()
               if not name.endswith("num_batches_tracked")}
    wanted = parameters_of(architecture.build(len(entries[architecture.classifier])))
    # Keras has no biases where Gluon's v1 has none either: those are in the moving means.
    assert set(renamed) == set(wanted)
    assert all(len(wanted[name]) == len(shape) and all(w in (0, s) for w, s in zip(wanted[name], shape))
               for name, shape in renamed.items())


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory, torch_arrays):
    """(Gluon's own network of random numbers, a safetensors file of it under torchvision's names)."""
    from safetensors.numpy import save_file

    network = architectures("torchvision")["resnet18"].build(5)
    network.initialize(mx.init.Xavier())
    network(mx.nd.zeros((1, 3, 32, 32)))
    rng = np.random.RandomState(0)
    for name, parameter in network._collect_params_with_prefix().items():
        if name.endswith(("running_var", "gamma")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    arrays = torch_arrays(network)
    for layer in {name.rpartition(".")[0] for name in arrays if name.endswith("running_mean")}:
        arrays[f"{layer}.num_batches_tracked"] = np.array(3, np.int64)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(arrays, str(path))
    return network, path


def test_a_resnet_computes_what_it_did(resnet18):
    network, path = resnet18
    checkpoint = import_weights("timm", path, "resnet18.tv_in1k", [f"class {number}" for number in range(5)])
    images = np.random.RandomState(1).randn(2, 3, 64, 64).astype(np.float32)
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, 64, 64), 2)
    np.testing.assert_allclose(executor.forward(images), network(mx.nd.array(images)).asnumpy(), atol=1e-4)
    assert checkpoint.classes[4] == "class 4" and checkpoint.input_spec.resize == 256
    assert checkpoint.manifest["source"] == "timm resnet18.tv_in1k, resnet18.safetensors"


@pytest.mark.parametrize("source, arch, message", [
    ("tim", "resnet18", "import: expected one of torchvision, timm, .*, received source='tim'; nearest: timm"),
    ("timm", "resnet19", "import from timm: expected one of .*, received arch='resnet19'; nearest: resnet18"),
    ("timm", "resnet34", "expected the 182 arrays of that network, received .*missing .*is arch right"),
    ("timm", "resnet50", r"conv1.weight \(64, \?, 1, 1\), received \(64, 64, 3, 3\)"),
    ("timm", "vgg16", "expected the classifier's head.fc.bias, received 122 arrays without it"),
])
def test_what_does_not_fit_is_refused(resnet18, source, arch, message):
    with pytest.raises(InputError, match=message):
        import_weights(source, resnet18[1], arch)


def test_class_names_of_another_number_are_refused(resnet18):
    with pytest.raises(InputError, match="expected the names of 5 classes, received 2"):
        import_weights("timm", resnet18[1], "resnet18", ["cat", "dog"])


@pytest.mark.parametrize("name, content, message", [
    ("a.safetensors", b"\x10\0\0\0\0\0\0\0half of it", "expected a safetensors file, received .* of 18 bytes"),
    ("a.h5", b"no HDF5", "expected Keras' weights in HDF5, received .* of 7 bytes"),
    ("a.npz", b"", "expected a file ending in one of .safetensors, .pth, .*, received .*a.npz"),
])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / name)
    with pytest.raises(InputError, match="weights is missing|weights are missing|expected a file"):
        read_weights(tmp_path / ("b" + name))


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(InputError, match="a pickle that wants to run code"):
        read_weights(tmp_path / "whole.pth")


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(DependencyError, match="expected the package h5py, which is not installed; pip install h5py"):
        read_weights(tmp_path / "a.h5")


def test_keras_files_give_layer_and_array(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        root = f.create_group("model_weights")
        root.attrs["layer_names"] = [b"fc1", b"pool"]
        root.create_group("pool").attrs["weight_names"] = []
        layer = root.create_group("fc1")
        layer.attrs["weight_names"] = [b"model/fc1/kernel:0", b"model/fc1/bias:0"]
        layer["model/fc1/kernel:0"], layer["model/fc1/bias:0"] = np.eye(2), np.arange(2.0)
    read = read_weights(tmp_path / "a.h5")
    assert list(read) == ["fc1/kernel", "fc1/bias"] and read["fc1/bias"].dtype == np.float32
    with h5py.File(tmp_path / "b.h5", "w") as f:
        f.create_group("layers")
    with pytest.raises(InputError, match="expected Keras' .h5 with layer names in .*b.h5, received entries layers"):
        read_weights(tmp_path / "b.h5")


def test_keras_biases_in_front_of_batch_norm_go_into_the_moving_mean():
    """gamma (x + b − mean) / √(var + 1.001e-5) + beta, of Keras' epsilon and bias, by Gluon's BatchNorm without b."""
    rng = np.random.RandomState(0)
    x, b, mean, gamma, beta = rng.randn(5, 4).astype(np.float32)
    variance = rng.uniform(0, 1e-4, 4).astype(np.float32)
    layers = {"conv1_conv/kernel": np.zeros((7, 7, 3, 4), np.float32), "conv1_conv/bias": b, "conv1_bn/gamma": gamma,
              "conv1_bn/beta": beta, "conv1_bn/moving_mean": mean, "conv1_bn/moving_variance": variance}
    renamed = keras._resnet_names(layers)
    assert "features.0.bias" not in renamed
    found = (renamed["features.1.gamma"] * (x - renamed["features.1.running_mean"])
             / np.sqrt(renamed["features.1.running_var"] + 1e-5) + renamed["features.1.beta"])
    np.testing.assert_allclose(found, gamma * (x + b - mean) / np.sqrt(variance + 1.001e-5) + beta, rtol=1e-5)


def test_keras_kernels_in_our_axes_and_channel_order():
    """A convolution, a depthwise one and the layer behind Flatten, each against the sum Keras computes."""
    rng = np.random.RandomState(0)
    patch = rng.randn(3, 3, 3)  # rows, columns, red green blue
    kernel, depthwise = rng.randn(3, 3, 3, 5), rng.randn(3, 3, 3, 1)
    dense, maps = rng.randn(7 * 7 * 2, 6), rng.randn(7, 7, 2)
    found = keras._vgg_names({"block1_conv1/kernel": kernel, "block1_conv1/bias": np.zeros(5), "fc1/kernel": dense})
    ours = (found["features.0.weight"] * patch.transpose(2, 0, 1)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(ours, (kernel * patch[..., ::-1, None]).sum(axis=(0, 1, 2)))  # Keras reads blue first
    np.testing.assert_allclose(found["features.31.weight"] @ maps.transpose(2, 0, 1).ravel(), maps.ravel() @ dense)
    for called in ("kernel", "depthwise_kernel"):  # Keras 3's name, and Keras 2's
        found = keras._mobilenet_names({f"expanded_conv_depthwise/{called}": depthwise})
        ours = (found["features.1.conv.0.0.weight"][:, 0] * patch.transpose(2, 0, 1)).sum(axis=(1, 2))
        np.testing.assert_allclose(ours, (depthwise[..., 0] * patch).sum(axis=(0, 1)))


def test_timms_vgg_has_its_dense_layers_as_convolutions():
    weight = np.random.RandomState(0).randn(6, 2, 7, 7)
    found = timm._vgg_names({"pre_logits.fc1.weight": weight, "head.fc.weight": np.zeros((3, 6))}, last=31)
    np.testing.assert_array_equal(found["features.31.weight"], weight.reshape(6, -1))
    assert found["output.weight"].shape == (3, 6)


def test_batch_norm_is_told_by_its_statistics():
    entries = {"bn1.weight": 1, "bn1.bias": 2, "bn1.running_mean": 3, "fc.weight": 4, "fc.bias": 5}
    assert with_gluon_names(entries) == {"bn1.gamma": 1, "bn1.beta": 2, "bn1.running_mean": 3, "fc.weight": 4,
                                         "fc.bias": 5}


def test_a_first_stage_of_efficientnet_does_not_expand():
    entries = {"features.1.0.block.0.0.weight": 1, "features.2.0.block.0.0.weight": 2, "features.3.0.weight": 3}
    assert torchvision._efficientnet_names(entries) == {
        "_blocks.0._depthwise_conv.weight": 1, "_blocks.1._expand_conv.weight": 2, "_conv_head.weight": 3}
