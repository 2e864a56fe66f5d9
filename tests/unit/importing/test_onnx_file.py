"""ONNX files that hold more, or less, than an image classifier: refused before ONNX Runtime sees them."""
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from mxft.errors import InputError  # noqa: E402
from mxft.importing import onnx_file  # noqa: E402
from mxft.importing.onnx import import_onnx  # noqa: E402

WEIGHT = np.ones((2, 3, 3, 3), np.float32)


def model(nodes=None, tensors=None, opset=17, shape=(1, 3, 8, 8), output="y", kind=TensorProto.FLOAT):
    nodes = [helper.make_node("Conv", ["image", "w"], ["y"], name="conv")] if nodes is None else nodes
    tensors = [numpy_helper.from_array(WEIGHT, "w")] if tensors is None else tensors
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("image", kind, shape)],
                              [helper.make_tensor_value_info(output, TensorProto.FLOAT, list("NCHW"))], tensors)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def conv(**attributes):
    return [helper.make_node("Conv", ["image", "w"], ["y"], name="conv", **attributes)]


def tensor(**fields):
    made = numpy_helper.from_array(WEIGHT, "w")
    for name, value in fields.items():
        if name == "dims":
            del made.dims[:]
            made.dims.extend(value)
        else:
            setattr(made, name, value)
    return [made]


def external():
    made, = tensor()
    made.data_location = TensorProto.EXTERNAL
    entry = made.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return [made]


def graph_inside():
    inner = helper.make_graph([helper.make_node("Relu", ["image"], ["z"])], "inner", [],
                              [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    return [helper.make_node("Relu", ["image"], ["y"], name="relu", body=inner)]


def relu(read, gives="y", **fields):
    return helper.make_node("Relu", [read], [gives], name=gives, **fields)


def with_function():
    made = model([relu("image")], [])
    made.functions.append(helper.make_function("own", "F", ["a"], ["b"], [relu("a", "b")],
                                               [helper.make_opsetid("", 17)]))
    return made


CASES = {
    "group 0": (model(conv(group=0)), "expected num_group from 1 to 1048576, received num_group='0'"),
    "group": (model(conv(group=5)), "conv_weight of shape|expected a network MXNet can build"),
    "stride 0": (model(conv(strides=[0, 1])), r"expected stride from 1 to 4096, received stride='\(0, 1\)'"),
    "giant pads": (model(conv(pads=[2**40] * 4)), "expected pad from 0 to 65536"),
    "negative pads": (model(conv(pads=[-5] * 4)), "expected pad from 0 to 65536"),
    "giant dilations": (model(conv(dilations=[2**31, 1])), "expected dilate from 1 to 4096"),
    "kernel 0": (model([helper.make_node("MaxPool", ["image"], ["y"], kernel_shape=[0, 0])], []),
                 r"expected kernel .* received|expected an ONNX model|expected a network"),
    "no kernel": (model([helper.make_node("MaxPool", ["image"], ["y"], name="p")], []), "kernel_shape"),
    "large maps": (model(conv(pads=[9000] * 4)), "network does not fit into memory: expected at most"),
    "concat doubles": (model([helper.make_node("Concat", ["image" if not i else f"t{i}"] * 2, [f"t{i + 1}"], axis=1)
                              for i in range(30)], [], output="t30"), "network does not fit into memory"),
    "outer product": (model([helper.make_node("Reshape", ["image", "s"], ["c"]), helper.make_node("MatMul", ["c", "r"],
                                                                                                  ["y"])],
                            [numpy_helper.from_array(np.array([192, 1]), "s"),
                             numpy_helper.from_array(np.ones((1, 1_500_000), np.float32), "r")]),
                      "network does not fit into memory"),
    "constants alone": (model([helper.make_node("MatMul", ["m", "n"], ["y"])],
                              [numpy_helper.from_array(np.ones((2, 2), np.float32), name) for name in "mn"]),
                        "expected an output computed from the input 'image', received one of constants alone"),
    "NaN": (model(conv(), [numpy_helper.from_array(WEIGHT * np.nan, "w")]), "finite numbers in conv_weight"),
    "infinite attribute": (model([helper.make_node("LeakyRelu", ["image"], ["y"], name="l", alpha=float("inf"))], []),
                           "expected finite numbers as 'alpha' of LeakyRelu l, received inf"),
    "external data": (model(tensors=external()), "expected one file that holds its weights, received initializer 'w' "
                                                 r"in another file; python -c \"import onnx; onnx.save\("),
    "promises": (model(tensors=tensor(dims=(2**40, 3, 3, 3))), "expected 29,686,813,949,952 numbers in initializer 'w' "
                                                                r"of shape \(1099511627776, 3, 3, 3\), received 54"),
    "negative shape": (model(tensors=tensor(dims=(-2, 3, 3, 3))), "expected a shape of at most 16 sizes"),
    "FLOAT8": (model(tensors=tensor(data_type=TensorProto.FLOAT8E4M3FN)), "initializer 'w' of type FLOAT8E4M3"),
    "type 99": (model(tensors=tensor(data_type=99)), "received initializer 'w' of type 99"),
    "text": (model(tensors=[helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])]), "'w' of type STRING"),
    "twice": (model(tensors=tensor() * 2), "expected a name of its own for an initializer, received 'w' twice"),
    "no name": (model(tensors=tensor(name="")), "expected a name of its own for an initializer, received ''"),
    "escape codes": (model([relu("image", "\x1b[2J")], [], output="\x1b[2J"),
                     r"none of them a control character, for a node, received '\\x1b\[2J'"),
    "missing input": (model([relu("nowhere")], []), "nodes after what they read, received Relu y of 'nowhere'"),
    "cycle": (model([relu("b", "a"), relu("a", "b")], [], output="b"),
              "received Relu a of 'b', which no node before it gives: a cycle, or an input that is missing"),
    "itself": (model([relu("y")], []), "received Relu y of 'y'"),
    "two of a name": (model([relu("image"), relu("image")], []), "a name of its own for each tensor, received 'y'"),
    "no output": (model([relu("image", "z")], []), "expected outputs that a node gives, received 'y', which none does"),
    "no inputs": (model([helper.make_node("Relu", [], ["y"])], []), "received Relu y with 0 and 1"),
    "graph inside": (model(graph_inside(), []), "expected one flat graph, received Relu relu with a graph inside it"),
    "If": (model([helper.make_node("If", ["image"], ["y"])], []), "operators of image classifiers, received If"),
    "Loop": (model([helper.make_node("Loop", ["image"], ["y"])], []), "classifiers, received Loop"),
    "Scan": (model([helper.make_node("Scan", ["image"], ["y"])], []), "classifiers, received Scan"),
    "ConstantOfShape": (model([helper.make_node("ConstantOfShape", ["w"], ["y"])]), "received ConstantOfShape"),
    "Expand, Tile": (model([helper.make_node("Expand", ["image", "w"], ["x"]),
                            helper.make_node("Tile", ["x", "w"], ["y"])]), "received Expand, Tile"),
    "other domain": (model([helper.make_node("Relu", ["image"], ["y"], domain="evil")], []), "received evil.Relu"),
    "function": (with_function(), "expected one flat graph, received 1 functions and 0 training graphs"),
    "opset 1": (model(opset=1), r"expected an ONNX model of opset 7 to \d+, received opset=\[1\]"),
    "opset 10**6": (model(opset=10**6), r"received opset=\[1000000\]; convert it"),
    "Constant": (model([helper.make_node("Constant", [], ["c"], value_string="x"), relu("image")], []),
                 "expected one value in numbers of Constant c, received 'value_string'"),
    "Constant of nothing": (model([helper.make_node("Constant", [], ["c"]), relu("image")], []),
                            "expected one value in numbers of Constant c, received none"),
    "sizes of Split": (model([helper.make_node("Split", ["image", "s"], ["y", "z"], name="split", axis=-9)],
                             [numpy_helper.from_array(np.array([1, 2]), "s")]), "axis|split"),
    "Reshape to -5": (model([helper.make_node("Reshape", ["image", "s"], ["y"])],
                            [numpy_helper.from_array(np.array([-5, 2]), "s")]), "shape from -4 to|expected an ONNX"),
    "float16 input": (model([relu("image")], [], kind=TensorProto.FLOAT16), "expected an input of float32 numbers"),
    "wide input": (model([relu("image")], [], shape=(1, 3, 2**40, 2**40)), "of at most 8192 pixels, received"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_no_classifier_holds_is_refused(tmp_path, case):
    made, message = CASES[case]
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=message):
        import_onnx(path)


def test_too_many_nodes_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MOST_NODES", 3)
    path = tmp_path / "net.onnx"
    path.write_bytes(model([relu("image", "a")] * 4, []).SerializeToString())
    monkeypatch.setattr(onnx.checker, "check_model", lambda _: pytest.fail("ONNX was asked to check it"))
    with pytest.raises(InputError, match="net.onnx: expected at most 3 nodes, received 4"):
        import_onnx(path)


def test_old_files_that_list_initializers_among_the_inputs_are_read(tmp_path):
    made = model(opset=9)
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, WEIGHT.shape))
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    assert list(import_onnx(path).arg_params) == ["conv_weight"]


@pytest.mark.parametrize("content", [b"", b"\x08", b"garbage", b"\x3a" * 3000, b"\x3a\xff\xff\xff\xff\x7f"])
def test_what_is_no_onnx_is_named(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected an ONNX model"):
        import_onnx(path)
