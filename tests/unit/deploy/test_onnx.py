"""Export to ONNX: what MXNet's exporter writes wrongly by itself, the check, and what it refuses."""
import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from mxft.compat import mx  # noqa: E402
from mxft.deploy.exported import is_training_network  # noqa: E402
from mxft.deploy.onnx import export_onnx, exporter  # noqa: E402
from mxft.errors import DependencyError, InputError, RunError  # noqa: E402
from mxft.network.checkpoint import Checkpoint  # noqa: E402

DATA = mx.sym.Variable("data")


def conv(data, name, **options):
    return mx.sym.Convolution(data, **{"kernel": (3, 3), "num_filter": 4, "name": name, **options})


def checkpoint_of(symbol, random_parameters, shape=(3, 8, 8)):
    return Checkpoint(symbol, *random_parameters(symbol, shape), name="net")


def run(path, images):
    """Return what ONNX Runtime computes from a file, one array an output."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})


def predicted(checkpoint, images):
    """Return what MXNet's own Module.predict gives for the symbol as it is, one array an output.

    Bound as for training: for inference MXNet fuses a BatchNorm of any axis into a convolution, and dies of it.
    """
    module = mx.mod.Module(checkpoint.symbol, data_names=["data"], label_names=None)
    module.bind([("data", images.shape)], for_training=True)
    module.set_params(checkpoint.arg_params, checkpoint.aux_params, allow_missing=True, allow_extra=True)
    outputs = module.predict(mx.io.NDArrayIter(images, batch_size=len(images)), always_output_list=True)
    return [output.asnumpy() for output in outputs]


def dense(data=None, name="fc1", hidden=5):
    return mx.sym.FullyConnected(DATA if data is None else data, num_hidden=hidden, name=name)


NETWORKS = {
    "fixed gamma, which is not 1 in the file": mx.sym.BatchNorm(conv(DATA, "conv"), fix_gamma=True, name="bn"),
    "gamma fixed by default": mx.sym.BatchNorm(conv(DATA, "conv"), name="bn"),
    "PReLU on maps": mx.sym.LeakyReLU(conv(DATA, "conv"), act_type="prelu", name="relu"),
    "a Dense layer on maps": mx.sym.FullyConnected(conv(DATA, "conv"), num_hidden=5, name="fc1"),
    "PReLU and BatchNorm behind a Dense layer": mx.sym.BatchNorm(mx.sym.LeakyReLU(mx.sym.FullyConnected(
        conv(DATA, "conv"), num_hidden=5, name="fc1"), act_type="prelu", name="relu"), fix_gamma=True, name="bn"),
    "ReLU6 and uneven padding": conv(mx.sym.clip(conv(mx.sym.pad(
        DATA, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 0, 1)), "a"), 0, 6), "b", stride=(2, 2)),
    "a softmax that reads labels": mx.sym.SoftmaxOutput(dense(), name="softmax"),
    "a softmax of Gluon's": mx.sym.softmax(dense(), name="softmax"),
    "a softmax of old networks": mx.sym.SoftmaxActivation(dense(), name="softmax"),
    "a softmax over channels": mx.sym.SoftmaxActivation(conv(DATA, "conv"), mode="channel", name="softmax"),
    "a softmax of old networks over rows of a map": mx.sym.SoftmaxActivation(conv(DATA, "conv"), name="softmax"),
    "a softmax at each place": mx.sym.SoftmaxOutput(conv(DATA, "conv"), multi_output=True, name="softmax"),
    "a softmax over the last axis": mx.sym.SoftmaxOutput(conv(DATA, "conv"), preserve_shape=True, name="softmax"),
    "a temperature": mx.sym.softmax(dense(), temperature=3.0, name="softmax"),
    "logarithms at a temperature": mx.sym.log_softmax(dense(), axis=1, temperature=0.5, name="logs"),
    "a softmax behind which only shapes follow": mx.sym.Cast(mx.sym.Reshape(mx.sym.softmax(dense()), shape=(0, 5, 1)),
                                                             dtype="float32", name="out"),
    "a sigmoid that reads labels": mx.sym.LogisticRegressionOutput(dense(), name="tags"),
    "a sigmoid": mx.sym.Activation(dense(), act_type="sigmoid", name="tags"),
    "values": mx.sym.LinearRegressionOutput(dense(), name="values"),
    "values with absolute error": mx.sym.MAERegressionOutput(dense(), name="values"),
    "class scores of a support vector machine": mx.sym.SVMOutput(dense(), name="svm"),
    "Dropout at the end": mx.sym.Dropout(dense(), p=0.5, name="drop"),
    "a Dense layer with bias, flatten named nowhere": dense(mx.sym.Activation(dense(), act_type="relu"), "fc2", 3),
    "a Dense layer of rows": mx.sym.FullyConnected(dense(), num_hidden=3, flatten=False, name="fc2"),
    "a Dense layer at each place": mx.sym.FullyConnected(conv(DATA, "conv"), num_hidden=3, flatten=False, name="fc2"),
    "rows of length 1": mx.sym.L2Normalization(dense(), name="l2"),
    "maps of length 1": mx.sym.L2Normalization(conv(DATA, "conv"), mode="channel", name="l2"),
    "all of a map of length 1": mx.sym.L2Normalization(conv(DATA, "conv"), name="l2"),
    "places of length 1": mx.sym.L2Normalization(conv(DATA, "conv"), mode="spatial", name="l2"),
    "means over axes": mx.sym.mean(conv(DATA, "conv"), axis=(2, 3), name="mean"),
    "the largest over axes": mx.sym.max(conv(DATA, "conv"), axis=(2, 3), keepdims=True, name="largest"),
    "several outputs, one with labels": mx.sym.Group([
        mx.sym.SoftmaxOutput(dense(), name="kind"), mx.sym.sigmoid(dense(name="fc2", hidden=2), name="tags"),
        conv(DATA, "map")]),
    "one output twice": (lambda net: mx.sym.Group([net, mx.sym.BlockGrad(net, name="again"), net]))(dense()),
    "parts of one layer": mx.sym.Group(list(mx.sym.SliceChannel(conv(DATA, "conv"), num_outputs=2, name="halves"))),
    "outputs in another order than the layers": mx.sym.Group(list(reversed([
        conv(DATA, "first"), mx.sym.relu(conv(DATA, "second"), name="third")]))),
    "the smallest first": mx.sym.softmin(dense(), temperature=2.0, name="small"),
    "a BatchNorm of the last of two axes": mx.sym.BatchNorm(dense(), axis=-1, fix_gamma=False, name="bn"),
    "a BatchNorm of rows": mx.sym.BatchNorm(conv(DATA, "conv"), axis=2, fix_gamma=False, name="bn"),
    "a BatchNorm of maps with channels last": dense(mx.sym.BatchNorm(mx.sym.transpose(
        conv(DATA, "conv"), axes=(0, 2, 3, 1)), axis=3, fix_gamma=False, name="bn")),
    "shuffled channels": conv(mx.sym.Reshape(mx.sym.SwapAxis(mx.sym.Reshape(
        conv(DATA, "conv", num_filter=4), shape=(0, -4, 2, -1, -2)), dim1=1, dim2=2), shape=(0, -3, -2)), "after"),
    "shapes read from the end": mx.sym.Reshape(conv(DATA, "conv"), shape=(-1, 144), reverse=True),
    "a response normalisation": mx.sym.LRN(conv(DATA, "conv"), nsize=3, alpha=0.1, name="lrn"),
    "the middle of a picture": conv(mx.sym.Crop(DATA, h_w=(5, 5), center_crop=True, num_args=1), "conv"),
    "two nodes of one name": conv(conv(DATA, "fc7"), "fc7_b"),
}


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_the_file_computes_what_the_unaltered_checkpoint_does(case, random_parameters, tmp_path):
    symbol = NETWORKS[case]
    if case == "two nodes of one name":
        symbol = mx.sym.load_json(symbol.tojson().replace('"fc7_b"', '"fc7"'))
    checkpoint = checkpoint_of(symbol, random_parameters)
    result = export_onnx(checkpoint, tmp_path / "net.onnx", (3, 8, 8))
    images = np.random.RandomState(1).randn(3, 3, 8, 8).astype(np.float32)
    expected, received = predicted(checkpoint, images), run(result.path, images)
    assert result.any_batch and result.error < 1e-4
    assert list(result.outputs.values()) == [each.shape[1:] for each in expected] and len(received) == len(expected)
    for one, other in zip(received, expected):
        np.testing.assert_allclose(one, other, atol=1e-5 * abs(other).max())


def test_flags_written_as_numbers_are_read(random_parameters, tmp_path):
    """Files of before 0.9 have 1 and 0; the exporter compares with True, and pooled 1x1 places instead of all."""
    symbol = mx.sym.Pooling(conv(DATA, "conv"), kernel=(1, 1), global_pool=True, pool_type="avg", name="pool")
    symbol = mx.sym.load_json(dense(symbol).tojson().replace('"True"', '"1"'))
    checkpoint = checkpoint_of(symbol, random_parameters)
    images = np.random.RandomState(1).randn(2, 3, 8, 8).astype(np.float32)
    received = run(export_onnx(checkpoint, tmp_path / "net.onnx", (3, 8, 8)).path, images)
    np.testing.assert_allclose(received[0], predicted(checkpoint, images)[0], rtol=1e-4, atol=1e-5)


def test_what_reads_labels_is_left_out_and_the_others_keep_their_names(random_parameters, tmp_path):
    label = mx.sym.Variable("label")
    loss = mx.sym.MakeLoss(-mx.sym.sum(mx.sym.log_softmax(dense()) * mx.sym.one_hot(label, depth=5), axis=1), name="ce")
    symbol = mx.sym.Group([mx.sym.softmax(dense(name="fc2", hidden=3), name="kind"), loss])
    checkpoint = Checkpoint(symbol, {"fc1_weight": mx.nd.ones((5, 192)), "fc1_bias": mx.nd.ones((5,)),
                                     "fc2_weight": mx.nd.ones((3, 192)), "fc2_bias": mx.nd.ones((3,))}, {})
    assert export_onnx(checkpoint, tmp_path / "net.onnx", (3, 8, 8)).outputs == {"kind": (3,)}


def test_opencv_reads_it_and_its_rows_are_rows(random_parameters, tmp_path):
    """OpenCV took a Dense layer's Shape, Slice and Concat for a softmax over the batch: 1.0 for everything."""
    import cv2

    body = mx.sym.Pooling(conv(DATA, "conv"), global_pool=True, pool_type="avg", kernel=(1, 1), name="pool")
    checkpoint = checkpoint_of(mx.sym.SoftmaxOutput(dense(mx.sym.Flatten(body)), name="softmax"), random_parameters)
    path = export_onnx(checkpoint, tmp_path / "net.onnx", (3, 8, 8)).path
    images = np.random.RandomState(1).randn(2, 3, 8, 8).astype(np.float32)
    network = cv2.dnn.readNetFromONNX(path)
    network.setInput(images)
    np.testing.assert_allclose(network.forward(), predicted(checkpoint, images)[0], atol=1e-5)
    model = onnx.load(path)
    assert not {"Shape", "Slice", "Concat"} & {node.op_type for node in model.graph.node}
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read


@pytest.mark.parametrize("net, message", [
    (mx.sym.MakeLoss(dense(), name="loss"), "expected an output that reads no labels, received loss [(]loss[)]"),
    (mx.sym.SoftmaxOutput(conv(DATA, "conv"), name="softmax"), "received softmax of 4 dimensions: MXNet takes "),
    (mx.sym.Dropout(dense(), mode="always", name="drop"), "received drop, a Dropout in mode 'always'"),
    (dense(mx.sym.Concat(mx.sym.Flatten(DATA), mx.sym.Variable("age"))), "expected one input, received 2: "),
    (mx.sym.Group([dense(), DATA]), "expected outputs that layers compute, received data, which is data itself"),
])
def test_what_no_file_can_say_is_refused(net, message, tmp_path):
    with pytest.raises(InputError, match=message):
        export_onnx(Checkpoint(net, {"fc1_weight": mx.nd.zeros((5, 192)), "fc1_bias": mx.nd.zeros((5,))}, {}),
                    tmp_path / "net.onnx", (3, 8, 8))


def test_the_model_is_valid_and_its_constants_are_no_inputs(random_parameters, tmp_path):
    export_onnx(checkpoint_of(NETWORKS["PReLU on maps"], random_parameters), tmp_path / "net.onnx", (3, 8, 8))
    model = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["data"]
    assert model.opset_import[0].version == 13 and os.listdir(tmp_path) == ["net.onnx"]
    assert not hasattr(onnx, "mapping") or onnx.mapping.__name__ == "onnx.mapping"


def test_a_difference_leaves_no_file_and_names_the_first_layer(random_parameters, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "as_read", lambda symbol, parameters: parameters)
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
    with pytest.raises(DependencyError, match="expected the package onnxruntime, which is not installed"):
        export_onnx(checkpoint_of(NETWORKS["PReLU on maps"], random_parameters), tmp_path / "net.onnx", (3, 8, 8))


def test_a_face_network_in_training_is_told_from_a_classifier(make_face_checkpoint, random_parameters):
    assert not is_training_network(checkpoint_of(NETWORKS["a softmax that reads labels"], random_parameters))
    assert not is_training_network(make_face_checkpoint())
    assert is_training_network(make_face_checkpoint(num_classes=5))
    margin = mx.sym.Group([mx.sym.one_hot(mx.sym.Variable("label"), depth=5)
                           + mx.sym.FullyConnected(DATA, num_hidden=5, name="fc7")])
    parameters = {"fc7_weight": mx.nd.zeros((5, 192)), "fc7_bias": mx.nd.zeros((5,))}
    assert is_training_network(Checkpoint(margin, parameters, {}))
