"""Export to ONNX: what MXNet's exporter writes wrongly by itself, the check, and what it refuses."""
import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from mxft.compat import mx  # noqa: E402
from mxft.deploy import onnx as export  # noqa: E402
from mxft.deploy.onnx import export_onnx, is_training_network  # noqa: E402
from mxft.errors import InputError, RunError  # noqa: E402
from mxft.network.checkpoint import Checkpoint  # noqa: E402

DATA = mx.sym.Variable("data")


def conv(data, name, **options):
    return mx.sym.Convolution(data, **{"kernel": (3, 3), "num_filter": 4, "name": name, **options})


def checkpoint_of(symbol, random_parameters, shape=(3, 8, 8)):
    return Checkpoint(symbol, *random_parameters(symbol, shape), name="net")


def run(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


NETWORKS = {
    "fixed gamma, which is not 1 in the file": mx.sym.BatchNorm(conv(DATA, "conv"), fix_gamma=True, name="bn"),
    "gamma fixed by default": mx.sym.BatchNorm(conv(DATA, "conv"), name="bn"),
    "PReLU on maps": mx.sym.LeakyReLU(conv(DATA, "conv"), act_type="prelu", name="relu"),
    "a Dense layer on maps": mx.sym.FullyConnected(conv(DATA, "conv"), num_hidden=5, name="fc1"),
    "PReLU and BatchNorm behind a Dense layer": mx.sym.BatchNorm(mx.sym.LeakyReLU(mx.sym.FullyConnected(
        conv(DATA, "conv"), num_hidden=5, name="fc1"), act_type="prelu", name="relu"), fix_gamma=True, name="bn"),
    "ReLU6 and uneven padding": conv(mx.sym.clip(conv(mx.sym.pad(
        DATA, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 0, 1)), "a"), 0, 6), "b", stride=(2, 2)),
    "a softmax that reads labels": mx.sym.SoftmaxOutput(mx.sym.FullyConnected(DATA, num_hidden=5, name="fc1"),
                                                        name="softmax"),
    "a softmax of Gluon's": mx.sym.softmax(mx.sym.FullyConnected(DATA, num_hidden=5, name="fc1"), name="softmax"),
    "a softmax of old networks": mx.sym.SoftmaxActivation(mx.sym.FullyConnected(DATA, num_hidden=5, name="fc1"),
                                                          name="softmax"),
    "two nodes of one name": conv(conv(DATA, "fc7"), "fc7_b"),
}


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_the_file_computes_what_the_checkpoint_does(case, random_parameters, tmp_path):
    symbol = NETWORKS[case]
    if case == "two nodes of one name":
        symbol = mx.sym.load_json(symbol.tojson().replace('"fc7_b"', '"fc7"'))
    checkpoint = checkpoint_of(symbol, random_parameters)
    result = export_onnx(checkpoint, tmp_path / "net.onnx", (3, 8, 8))
    images = np.random.RandomState(1).randn(3, 3, 8, 8).astype(np.float32)
    executor = export.cut_loss(symbol).simple_bind(mx.cpu(), grad_req="null", data=images.shape)
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params, allow_extra_params=True)
    expected = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
    if case.startswith("a softmax"):
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    assert result.any_batch and result.error < 1e-4 and result.output_shape == expected.shape[1:]
    np.testing.assert_allclose(run(result.path, images), expected, atol=1e-4 * abs(expected).max())


def test_the_model_is_valid_and_its_constants_are_no_inputs(random_parameters, tmp_path):
    export_onnx(checkpoint_of(NETWORKS["PReLU on maps"], random_parameters), tmp_path / "net.onnx", (3, 8, 8))
    model = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["data"]
    assert model.opset_import[0].version == 13 and os.listdir(tmp_path) == ["net.onnx"]
    assert not hasattr(onnx, "mapping") or onnx.mapping.__name__ == "onnx.mapping"


def test_a_difference_leaves_no_file_and_names_the_first_layer(random_parameters, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_fixed_gammas", lambda symbol, parameters: {})
    symbol = conv(NETWORKS["gamma fixed by default"], "behind")
    with pytest.raises(RunError, match="no ONNX file was written: expected the checkpoint's output to 0.0001 of its "
                                       "largest value, received a difference of .*; the first layer that differs is "
                                       "bn "):
        export_onnx(checkpoint_of(symbol, random_parameters), tmp_path / "net.onnx", (3, 8, 8))
    assert os.listdir(tmp_path) == []


def test_operators_the_exporter_does_not_know_are_all_named(random_parameters, tmp_path):
    net = mx.sym.Correlation(DATA, conv(DATA, "conv", num_filter=3, pad=(1, 1)), name="c")
    net = mx.sym.contrib.AdaptiveAvgPooling2D(net, output_size=1)
    with pytest.raises(InputError, match="network cannot be exported: expected operators MXNet's ONNX exporter knows, "
                                         "received .*Correlation"):
        export_onnx(Checkpoint(net, {}, {}), tmp_path / "net.onnx", (3, 8, 8))


def test_a_package_that_is_missing_is_named(random_parameters, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InputError, match="expected the package onnxruntime, which is not installed"):
        export_onnx(checkpoint_of(NETWORKS["PReLU on maps"], random_parameters), tmp_path / "net.onnx", (3, 8, 8))


def test_a_face_network_in_training_is_told_from_a_classifier(make_face_checkpoint, random_parameters):
    assert not is_training_network(checkpoint_of(NETWORKS["a softmax that reads labels"], random_parameters))
    assert not is_training_network(make_face_checkpoint())
    assert is_training_network(make_face_checkpoint(num_classes=5))
    margin = mx.sym.Group([mx.sym.one_hot(mx.sym.Variable("label"), depth=5)
                           + mx.sym.FullyConnected(DATA, num_hidden=5, name="fc7")])
    parameters = {"fc7_weight": mx.nd.zeros((5, 192)), "fc7_bias": mx.nd.zeros((5,))}
    assert is_training_network(Checkpoint(margin, parameters, {}))
