"""Small ONNX face networks of insightface's kind, and what they compute in plain NumPy; importing this needs onnx."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.RandomState(0)
WEIGHTS = {name: (RNG.randn(*shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
           for name, shape in (("w", (8, 3, 16, 16)), ("k", (64, 392)))}
WEIGHTS.update(a=RNG.uniform(-0.2, 0.5, (8, 1, 1)).astype(np.float32), c=RNG.randn(64).astype(np.float32),
               g=RNG.uniform(0.5, 1.5, 64).astype(np.float32), m=RNG.randn(64).astype(np.float32))


def node(op, inputs, output, name=None, **attributes):
    return helper.make_node(op, inputs, [output], name=name or f"{op}_{output}", **attributes)


def save(path, side=112, first=(), flat=("Flatten",), outputs=1, inputs=1, batch=1, end=64, constants=None,
         bias=False):
    """Write a network of insightface's kind: Conv, PRelu with (C, 1, 1) slopes, Gemm, BatchNormalization."""
    values = {**WEIGHTS, **(constants or {}), **({"b": np.zeros(8, np.float32)} if bias else {})}
    values["k"] = np.resize(values["k"], (end, 8 * (side // 16) ** 2))
    values.update({name: values[name][:end] for name in "cgm"})
    start = first[-1].output[0] if first else "data"
    nodes = [*first, node("Conv", [start, "w", *["b"] * bias], "x", strides=[16, 16]), node("PRelu", ["x", "a"], "r")]
    if flat == ("Flatten",):
        nodes.append(node("Flatten", ["r"], "f"))
    else:
        values["shape"] = np.array(flat, np.int64)
        nodes.append(node("Reshape", ["r", "shape"], "f"))
    nodes += [node("Gemm", ["f", "k", "c"], "e", transB=1), node("BatchNormalization", ["e", "g", "c", "m", "g"], "y0")]
    nodes += [node("Identity", ["y0"], f"y{number}") for number in range(1, outputs)]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, side, side])
                       for name in ("data", "target")[:inputs]],
        [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, None) for number in range(outputs)],
        [numpy_helper.from_array(value, name) for name, value in values.items()])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 11)])
    onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
    return str(path)


def formula(inputs):
    """The embeddings of ``(N, 3, 112, 112)`` inputs, float64."""
    views = inputs.astype(np.float64).reshape(len(inputs), 3, 7, 16, 7, 16)
    x = np.einsum("nciajb,ocab->noij", views, WEIGHTS["w"].astype(np.float64))
    x = np.where(x > 0, x, WEIGHTS["a"] * x).reshape(len(inputs), -1) @ WEIGHTS["k"].T + WEIGHTS["c"]
    return WEIGHTS["g"] * (x - WEIGHTS["m"]) / np.sqrt(WEIGHTS["g"] + 1e-5) + WEIGHTS["c"]
