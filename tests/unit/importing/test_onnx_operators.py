"""ONNX operators, one small network each, against ONNX Runtime: `import_onnx` compares before it returns."""
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from mxft.errors import InputError, RunError  # noqa: E402
from mxft.importing import onnx_operators  # noqa: E402
from mxft.importing.onnx import import_onnx  # noqa: E402

RNG = np.random.RandomState(0)


def weights(*shape):
    return (RNG.randn(*shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)


def whole(*values):
    return np.array(values, np.int64)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output] if isinstance(output, str) else output, name=f"/net/{output}/{op}",
                            **attributes)


@pytest.fixture
def save(tmp_path):
    """A function that writes a model of the nodes and constants and returns its path; the last output is its own."""
    def write(nodes, constants=None, opset=17, shape=(1, 3, 8, 8)):
        ends = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
        tensors = [numpy_helper.from_array(value, key) for key, value in (constants or {}).items()]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        model = helper.make_model(helper.make_graph(nodes, "net", [image], ends, tensors), ir_version=8,
                                  opset_imports=[helper.make_opsetid("", opset)])
        onnx.save(onnx.shape_inference.infer_shapes(model), str(tmp_path / "net.onnx"))
        return str(tmp_path / "net.onnx")
    return write


CONV = [node("Conv", ["image", "w", "b"], "conv", pads=[1, 1, 1, 1])]
W = {"w": weights(4, 3, 3, 3), "b": weights(4)}
CASES = {
    "Conv, strides, dilations, uneven pads": ([node("Conv", ["image", "w"], "y", pads=[0, 1, 2, 1], strides=[2, 1],
                                                    dilations=[1, 2])], {"w": weights(4, 3, 3, 3)}),
    "Conv in groups": ([*CONV, node("Conv", ["conv", "g"], "y", group=4)], {**W, "g": weights(4, 1, 3, 3)}),
    "BatchNormalization": ([node("BatchNormalization", ["image", "s", "t", "m", "v"], "y", epsilon=1e-3)],
                           {"s": weights(3), "t": weights(3), "m": weights(3), "v": np.abs(weights(3)) + 0.1}),
    "two BatchNormalizations of one array": ([node("BatchNormalization", ["image", "s", "s", "s", "s"], "x"),
                                              node("BatchNormalization", ["x", "s", "s", "s", "s"], "y")],
                                             {"s": np.abs(weights(3)) + 0.1}),
    "Gemm": ([node("Flatten", ["image"], "x"), node("Gemm", ["x", "w", "b"], "y", transB=1, alpha=0.5, beta=2.0)],
             {"w": weights(5, 192), "b": weights(5)}),
    "Gemm, not transposed, one bias": ([node("Flatten", ["image"], "x"), node("Gemm", ["x", "w", "b"], "y")],
                                       {"w": weights(192, 5), "b": weights(1)}),
    "MatMul and Add": ([node("Flatten", ["image"], "x"), node("MatMul", ["x", "w"], "z"), node("Add", ["b", "z"], "y")],
                       {"w": weights(192, 5), "b": weights(5)}),
    "activations": ([*CONV, node("Relu", ["conv"], "r"), node("Sigmoid", ["conv"], "s"), node("Tanh", ["conv"], "t"),
                     node("LeakyRelu", ["conv"], "l", alpha=0.2), node("HardSigmoid", ["conv"], "h"),
                     node("HardSwish", ["conv"], "w2"), node("Softplus", ["conv"], "p"),
                     node("PRelu", ["conv", "a"], "q"), node("Sum", ["r", "s", "t", "l", "h", "w2", "p", "q"], "y")],
                    {**W, "a": weights(4, 1, 1)}),
    "Clip of opset 11": ([node("Clip", ["image", "low", "high"], "y")], {"low": np.float32(0), "high": np.float32(.5)}),
    "Clip of one limit": ([node("Clip", ["image", "", "high"], "y")], {"high": np.float32(.5)}),
    "sums and products of maps": ([*CONV, node("Add", ["conv", "conv"], "a"), node("Mul", ["a", "conv"], "m"),
                                   node("Sub", ["m", "conv"], "s"), node("Div", ["s", "two"], "y")],
                                  {**W, "two": np.float32(2)}),
    "scalars on either side": ([node("Sub", ["one", "image"], "a"), node("Div", ["a", "four"], "b2"),
                                node("Mul", ["four", "b2"], "m"), node("Div", ["one", "m"], "y")],
                               {"one": np.float32(100), "four": np.array([4], np.float32)}),
    "a product with one number a channel": ([node("GlobalAveragePool", ["image"], "g"),
                                             node("Mul", ["image", "g"], "x"), node("Add", ["x", "c"], "y")],
                                            {"c": weights(3, 1, 1)}),
    "MaxPool, ceil_mode, uneven pads": ([node("MaxPool", ["image"], "m", kernel_shape=[3, 3], strides=[2, 2],
                                              ceil_mode=1),
                                         node("MaxPool", ["m"], "y", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}),
    "AveragePool with and without the border": ([
        node("AveragePool", ["image"], "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("AveragePool", ["a"], "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)], {}),
    "ReduceMean of rows and columns": ([node("ReduceMean", ["image"], "y", axes=[2, 3], keepdims=0)], {}),
    "GlobalMaxPool, Squeeze, Unsqueeze": ([node("GlobalMaxPool", ["image"], "g"), node("Squeeze", ["g", "two"], "s"),
                                           node("Unsqueeze", ["s", "two"], "y")], {"two": whole(2)}),
    "Reshape to two axes": ([node("Reshape", ["image", "s"], "y")], {"s": whole(1, -1)}),
    "Reshape of an open batch": ([node("Shape", ["image"], "a"), node("Gather", ["a", "zero"], "b", axis=0),
                                  node("Unsqueeze", ["b", "zeros"], "c"), node("Concat", ["c", "rest"], "d", axis=0),
                                  node("Reshape", ["image", "d"], "y")],
                                 {"zero": np.int64(0), "zeros": whole(0), "rest": whole(-1)}, 17, ("N", 3, 8, 8)),
    "constants that are not folded": ([*CONV, node("Unsqueeze", ["a", "axes"], "s"), node("PRelu", ["conv", "s"], "r"),
                                       node("Flatten", ["r"], "f"), node("Transpose", ["w2"], "t", perm=[1, 0]),
                                       node("MatMul", ["f", "t"], "y")],
                                      {**W, "a": weights(4), "axes": whole(1, 2), "w2": weights(5, 256)}),
    "a channel shuffle": ([*CONV, node("Reshape", ["conv", "five"], "a"), node("Transpose", ["a"], "t",
                                                                               perm=[0, 2, 1, 3, 4]),
                           node("Reshape", ["t", "four"], "y")],
                          {**W, "five": whole(1, 2, 2, 8, 8), "four": whole(1, 4, 8, 8)}),
    "Split, Concat": ([*CONV, node("Split", ["conv", "sizes"], ["p", "q"], axis=1),
                       node("Concat", ["q", "p", "q"], "y", axis=1)], {**W, "sizes": whole(1, 3)}),
    "Split in equal parts": ([*CONV, node("Split", ["conv"], ["p", "q"], axis=1), node("Add", ["p", "q"], "y")], W),
    "Pad of an old opset": ([node("Pad", ["image"], "y", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5)], {}, 9),
    "Pad": ([node("Pad", ["image", "p", "v"], "y")], {"p": whole(0, 0, 1, 2, 0, 0, 0, 1), "v": np.float32(0.5)}),
    "Softmax, Dropout, Identity": ([node("Flatten", ["image"], "f"), node("Dropout", ["f"], "d"),
                                    node("Identity", ["d"], "i"), node("Softmax", ["i"], "y", axis=-1)], {}),
    "LogSoftmax": ([node("Flatten", ["image"], "f"), node("LogSoftmax", ["f"], "y", axis=1)], {}),
    "functions of each number": ([*CONV, node("Abs", ["conv"], "a"), node("Sqrt", ["a"], "q"), node("Exp", ["q"], "x"),
                                  node("Log", ["x"], "l"), node("Erf", ["l"], "e"), node("Softsign", ["e"], "s"),
                                  node("Neg", ["s"], "n"), node("Sub", ["n", "two"], "m"),
                                  node("Reciprocal", ["m"], "y")], {**W, "two": np.float32(2)}),
    "Elu, Selu": ([*CONV, node("Elu", ["conv"], "e", alpha=0.5), node("Selu", ["e"], "y")], W),
    "lengths": ([*CONV, node("Pow", ["conv", "two"], "p"), node("ReduceSum", ["p", "axes"], "s", keepdims=1),
                 node("ReduceL2", ["conv"], "l", axes=[1, 2, 3], keepdims=1), node("Mul", ["s", "l"], "m"),
                 node("ReduceMax", ["m"], "x", axes=[2], keepdims=0), node("LpNormalization", ["x"], "y", axis=1, p=2)],
                {**W, "two": np.float32(2), "axes": whole(1)}),
    "ConvTranspose": ([node("ConvTranspose", ["image", "w", "b"], "t", strides=[2, 2], pads=[1, 1, 1, 1],
                            output_padding=[1, 1]),
                       node("ConvTranspose", ["t", "g"], "y", group=4)],
                      {"w": weights(3, 4, 3, 3), "b": weights(4), "g": weights(4, 1, 3, 3)}),
    "constants by node and shared by Identity": ([
        helper.make_node("Constant", [], ["b0"], value=numpy_helper.from_array(weights(4))),
        node("Identity", ["b0"], "b1"), node("Conv", ["image", "w", "b1"], "x"),
        node("Conv", ["x", "w2", "b0"], "y")], {"w": weights(4, 3, 3, 3), "w2": weights(4, 4, 1, 1)}),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_computes_what_onnx_runtime_does(case, save):
    nodes, constants, *opset = CASES[case]
    checkpoint = import_onnx(save(nodes, constants, *opset))
    assert checkpoint.symbol.list_arguments().count("data") == 1


def test_every_operator_that_is_known_is_tried():
    tried = {entry.op_type for nodes, *_ in CASES.values() for entry in nodes}
    assert set(onnx_operators.OPERATORS) <= tried


def test_parameters_are_called_after_their_nodes_and_a_manifest_is_there(save):
    path = save([*CONV, node("GlobalAveragePool", ["conv"], "pool"), node("Flatten", ["pool"], "flat"),
                 node("Gemm", ["flat", "k", "c"], "fc", transB=1)], {**W, "k": weights(2, 4), "c": weights(2)})
    checkpoint = import_onnx(path, ["cat", "dog"])
    assert sorted(checkpoint.arg_params) == ["conv_bias", "conv_weight", "fc_bias", "fc_weight"]
    assert checkpoint.classes == ["cat", "dog"] and checkpoint.input_spec.shape == (3, 8, 8)
    with pytest.raises(InputError, match="expected the names of 2 classes, received 1"):
        import_onnx(path, ["cat"])


def test_a_wrong_translation_is_not_believed(save, monkeypatch):
    monkeypatch.setitem(onnx_operators.OPERATORS, "Relu", onnx_operators.OPERATORS["Tanh"])
    monkeypatch.setitem(onnx_operators._PLAIN, "Relu", "tanh")
    with pytest.raises(RunError, match="was not imported: expected the scores of ONNX Runtime to 0.0001, received"):
        import_onnx(save([node("Relu", ["image"], "y")]))


@pytest.mark.parametrize("nodes, constants, message", [
    ([node("Mish", ["image"], "e"), node("Gelu", ["e"], "y")], {},
     "net.onnx: expected operators of image classifiers, received Gelu, Mish; "),
    ([node("Pow", ["image", "w"], "y")], {"w": weights(3, 1, 1)}, "Pow y: expected one number as exponent, received 3"),
    ([node("ReduceMax", ["image"], "y")], {}, "ReduceMax y: expected its axes, received none"),
    ([node("LpNormalization", ["image"], "y", p=1)], {}, "LpNormalization y: expected p=2, received p=1"),
    ([node("ConvTranspose", ["image", "w"], "y", output_shape=[20, 20])], {"w": weights(3, 4, 3, 3)},
     "ConvTranspose y: expected two dimensions and even pads"),
    ([node("Conv", ["image", "image"], "y")], {}, "Conv y: expected a constant as input 1, received a computed one"),
    ([node("Conv", ["image", "w"], "y", auto_pad="SAME_UPPER")], {"w": weights(4, 3, 3, 3)},
     "expected explicit pads, received auto_pad"),
    ([node("Flatten", ["image"], "y", axis=2)], {}, "Flatten y: expected axis 1, received 2"),
    ([node("Pad", ["image", "p"], "y")], {"p": whole(0, 1, 0, 0, 0, 0, 0, 0)}, "expected constant padding of rows"),
    ([node("AveragePool", ["image"], "y", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}, "expected even pads or count"),
])
def test_what_is_not_understood_is_refused(save, nodes, constants, message):
    with pytest.raises(InputError, match=message):
        import_onnx(save(nodes, constants, 17))


def test_files_that_are_no_classifiers_are_refused(save, tmp_path):
    message = r"expected an input \(N, C, H, W\), C 1 or 3, of at most 8192 pixels, received \(1, 5\)"
    with pytest.raises(InputError, match=message):
        import_onnx(save([node("Relu", ["image"], "y")], shape=(1, 5)))
    (tmp_path / "a.onnx").write_bytes(b"<html>")
    with pytest.raises(InputError, match="weights cannot be read: expected an ONNX model, received .*a.onnx"):
        import_onnx(tmp_path / "a.onnx")


def test_gray_images_of_uneven_sides_and_several_outputs_come_in(save, tmp_path):
    path = save([node("Conv", ["image", "w"], "conv"), node("Flatten", ["conv"], "flat"),
                 node("Gemm", ["flat", "k"], "fc", transB=1), node("Sigmoid", ["fc"], "tags")],
                {"w": weights(4, 1, 3, 3), "k": weights(5, 4 * 6 * 4)}, shape=(1, 1, 8, 6))
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("conv", TensorProto.FLOAT, (1, 4, 6, 4)))
    onnx.save(model, path)
    checkpoint = import_onnx(path)
    assert checkpoint.input_spec.shape == (1, 8, 6) and checkpoint.input_spec.is_raw
    assert [output.kind for output in checkpoint.anatomy.outputs] == ["independent probabilities", "map"]


def test_what_export_wrote_comes_back(tmp_path):
    """Embedding, temperature and tags: the same numbers, the same kinds of outputs, and a place for a new head."""
    from mxft.compat import mx
    from mxft.deploy.onnx import export_onnx
    from mxft.network.checkpoint import Checkpoint
    from mxft.rewrite.inference.readers import separate_readers
    from tests.support.small_networks import DATA, backbone, forward, parameters_of

    dense = mx.sym.FullyConnected(backbone(), num_hidden=4, name="fc1")
    for net in (mx.sym.softmax(dense, temperature=3.0, name="prob"), mx.sym.L2Normalization(dense, name="l2"),
                mx.sym.BatchNorm(dense, fix_gamma=True, name="embedding"),
                mx.sym.LogisticRegressionOutput(dense, name="tags"),
                mx.sym.Group([mx.sym.log_softmax(dense, name="logs"), mx.sym.sigmoid(dense, name="tags")])):
        checkpoint = Checkpoint(net, *parameters_of(net))
        export_onnx(checkpoint, tmp_path / "net.onnx", DATA[1:])
        again = import_onnx(tmp_path / "net.onnx")
        for one, other in zip(forward(separate_readers(net), checkpoint.arg_params, checkpoint.aux_params),
                              forward(separate_readers(again.symbol), again.arg_params, again.aux_params)):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        kinds = [[output.kind for output in each.anatomy.outputs] for each in (checkpoint, again)]
        assert kinds[0] == kinds[1] and again.anatomy.require_feature()
