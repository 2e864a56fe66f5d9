"""A checkpoint as an int8 ONNX file: what is in it, what it computes, and what it is refused for."""
import dataclasses
import sys

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.quantization import ENTRY, Quantization
from mxft.quantization.network import SampledNetwork
from tests.support.int8 import convolution, dense, images, parameters

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SPEC = InputSpec((3, 12, 12))


@pytest.fixture
def checkpoint():
    """conv0 with a BatchNorm and a ReLU, conv1 added to it, an average, and ten classes."""
    net = mx.sym.BatchNorm(convolution(mx.sym.Variable("data"), 16, "conv0", relu=False), fix_gamma=False, name="bn0")
    net = mx.sym.Activation(net, act_type="relu", name="relu0")
    net = mx.sym.Activation(net + convolution(net, 16, "conv1", relu=False), act_type="relu", name="relu1")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool1")
    net = mx.sym.SoftmaxOutput(dense(net, 10, "fc1"), name="softmax")
    args, auxs = parameters(net)
    return Checkpoint(net, {name: value for name, value in args.items() if name != "softmax_label"}, auxs)


def export(checkpoint, path, **more):
    from mxft.deploy.onnx.int8 import export_int8

    return export_int8(checkpoint, path, images(), SPEC, **more)


def quantized(checkpoint, in_float=()):
    network = SampledNetwork(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, images())
    made = network.quantization(network.ranges("naive"), in_float, "naive")
    return dataclasses.replace(checkpoint, manifest={ENTRY: made.to_dict()}), made


def nodes_of(path):
    return {node.name: node for node in onnx.load(path).graph.node}


def scale_of(path, tensor):
    """Return the scale the tensor is quantized with."""
    model = onnx.load(path)
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    return next(float(values[node.input[1]]) for node in model.graph.node
                if node.op_type == "QuantizeLinear" and node.input[0] == tensor)


def test_its_scores_are_the_checkpoints_for_any_batch(checkpoint, tmp_path):
    result = export(checkpoint, tmp_path / "net.onnx")
    assert result.cosine > 0.999 and result.same_class >= 0.9 and result.any_batch and result.images == 16
    assert result.calibration == "measured on 16 images (percentile)"
    assert "between the scores and those of float32" in result.describe()
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    whole = session.run(None, {"data": images()})[0]
    np.testing.assert_allclose(np.concatenate([session.run(None, {"data": image[None]})[0] for image in images()]),
                               whole, atol=1e-6)


def test_layers_are_in_int8_with_a_scale_for_each_filter(checkpoint, tmp_path):
    path = export(checkpoint, tmp_path / "net.onnx").path
    weights = {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}
    int8 = [value for value in weights.values() if value.dtype == np.int8 and value.ndim > 1]
    assert sorted(value.shape[0] for value in int8) == [10, 16, 16]
    assert [value.shape for name, value in weights.items()
            if "conv0_weight" in name and name.endswith("_scale")] == [(16,)]
    assert not any(node.op_type == "BatchNormalization" for node in nodes_of(path).values())


def test_the_ranges_and_the_layers_in_float32_are_the_checkpoints(checkpoint, tmp_path):
    made, quantization = quantized(checkpoint, ["conv1"])
    result = export(made, tmp_path / "net.onnx")
    assert result.calibration == ("those of the checkpoint, int8, calibrated on 16 images (naive), 1 left in float32")
    assert scale_of(result.path, "data") == pytest.approx(2 * quantization.ranges["data"][1] / 255, rel=1e-3)
    assert scale_of(result.path, "relu0") == pytest.approx(quantization.ranges["relu0_output"][1] / 255, rel=1e-3)
    weights = {entry.name: entry.data_type for entry in onnx.load(result.path).graph.initializer}
    assert weights["conv1_weight"] == onnx.TensorProto.FLOAT and "conv0_weight" not in weights


def test_its_facts_are_those_of_the_float32_file(checkpoint, tmp_path):
    from mxft.deploy.onnx import export_onnx

    export_onnx(checkpoint, tmp_path / "float32.onnx", SPEC.shape, images()[:2], spec=SPEC)
    export(checkpoint, tmp_path / "int8.onnx")
    exact, int8 = ({entry.key: entry.value for entry in onnx.load(tmp_path / name).metadata_props}
                   for name in ("float32.onnx", "int8.onnx"))
    assert exact == int8 and "mxft" in int8


def test_scores_that_are_less_alike_leave_no_file(checkpoint, tmp_path):
    made, quantization = quantized(checkpoint)
    narrow = dataclasses.replace(quantization, ranges={**quantization.ranges, "relu0_output": (0, 1e-3)})
    with pytest.raises(RunError, match="no ONNX file was written: expected a cosine of 0.99 between the scores of ONNX "
                                       "Runtime in int8 and of the checkpoint in float32, received .*; more images to "
                                       "calibrate on, or mxft quantize first"):
        export(dataclasses.replace(made, manifest={ENTRY: narrow.to_dict()}), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_parameters_that_were_changed_since_are_refused(checkpoint, tmp_path):
    made, _ = quantized(checkpoint)
    made.arg_params["fc1_weight"] = made.arg_params["fc1_weight"] * 2
    with pytest.raises(InputError, match="quantization: expected the parameters it was calibrated with"):
        export(made, tmp_path / "net.onnx")


def test_an_onnx_runtime_without_its_quantizer_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(InputError, match="int8: expected an ONNX Runtime with its quantizer, received .*; pip install "
                                         "--upgrade onnxruntime"):
        export(checkpoint, tmp_path / "net.onnx")


def test_a_quantization_of_another_network_is_not_used_blindly(checkpoint, tmp_path):
    """Maps it has no range of are measured on the images."""
    entry = Quantization({"elsewhere": (0, 1)}, (), {}, "naive", 1).to_dict()
    made = dataclasses.replace(checkpoint, manifest={ENTRY: entry})
    assert export(made, tmp_path / "net.onnx").cosine > 0.99
