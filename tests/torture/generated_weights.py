"""ONNX, safetensors and Keras files nobody would save: operators, arrays and links at their limits."""

import gzip
import io
import json
import pathlib
import struct

import h5py
import numpy as np
from onnx import TensorProto, defs, helper, numpy_helper
from safetensors.numpy import save

from mxft.importing.onnx_operators import OPERATORS
from tests.torture.damage import damage

RECORDED = pathlib.Path(__file__).parents[1] / "reference" / "import_names.json.gz"
NUMBERS = (0, 1, -1, 2, 3, 7, 4096, 4097, 65536, 2**20, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, 1.0, -1.0, 0.5, float("nan"), float("inf"), -float("inf"), 1e38, 1e-45)
# attribute: usual values
ATTRIBUTES = {
    "kernel_shape": ([3, 3], [1, 1]),
    "strides": ([1, 1], [2, 2]),
    "pads": ([1, 1, 1, 1], [0, 0, 0, 0]),
    "dilations": ([1, 1],),
    "group": (1, 3),
    "axis": (1, 0, -1),
    "axes": ([2, 3], [1]),
    "perm": ([0, 2, 3, 1],),
    "alpha": (0.5, 1.0),
    "beta": (0.5, 1.0),
    "transA": (0,),
    "transB": (1, 0),
    "epsilon": (1e-5,),
    "momentum": (0.9,),
    "keepdims": (1, 0),
    "ceil_mode": (0, 1),
    "count_include_pad": (0, 1),
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER"),
    "mode": ("constant", "reflect"),
    "value": (0.0,),
    "min": (0.0,),
    "max": (6.0,),
    "split": ([1, 2],),
    "storage_order": (0,),
    "spatial": (1,),
    "training_mode": (0,),
    "noop_with_empty_axes": (0, 1),
    "allowzero": (0, 1),
    "num_outputs": (2,),
}
OF_OPERATOR = {
    "Conv": ("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad"),
    "MaxPool": ("kernel_shape", "strides", "pads", "ceil_mode", "auto_pad", "dilations", "storage_order"),
    "AveragePool": ("kernel_shape", "strides", "pads", "count_include_pad", "ceil_mode"),
    "BatchNormalization": ("epsilon", "momentum", "training_mode"),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "Pad": ("mode",),
    "Transpose": ("perm",),
    "Concat": ("axis",),
    "Split": ("axis", "num_outputs"),
    "Flatten": ("axis",),
    "Softmax": ("axis",),
    "ReduceMean": ("keepdims", "noop_with_empty_axes"),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Reshape": ("allowzero",),
}
CONSTANTS = {
    "Conv": ((4, 3, 3, 3), (4,)),
    "BatchNormalization": ((3,),) * 4,
    "Gemm": ((7, 768), (7,)),
    "MatMul": ((768, 5),),
    "PRelu": ((3, 1, 1),),
    "Add": ((3, 1, 1),),
    "Sub": ((1,),),
    "Mul": ((),),
    "Div": ((3, 1, 1),),
}
WHOLE = {
    "Reshape": [1, -1],
    "Squeeze": [0],
    "Unsqueeze": [0],
    "Pad": [0, 0, 1, 1, 0, 0, 1, 1],
    "ReduceMean": [2, 3],
    "Split": [1, 2],
    "Expand": [1, 3, 16, 16],
    "Tile": [1, 1, 2, 2],
    "ConstantOfShape": [1, 3],
}
FLAT = ("Gemm", "MatMul", "Softmax")


def _choose(rng, values):
    return values[rng.randint(len(values))]


def small_onnx():
    """Return the bytes of a classifier of 3 classes for images of 16 pixels."""
    rng = np.random.RandomState(0)
    return _model(
        [
            _node("Conv", ["image", "w"], "conv", pads=[1, 1, 1, 1]),
            _node("Relu", ["conv"], "relu"),
            _node("GlobalAveragePool", ["relu"], "pool"),
            _node("Flatten", ["pool"], "flat"),
            _node("Gemm", ["flat", "k", "b"], "y", transB=1),
        ],
        {"w": rng.randn(4, 3, 3, 3), "k": rng.randn(3, 4), "b": rng.randn(3)},
    )


def _node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def _model(
    nodes, constants=(), opset=17, shape=(1, 3, 16, 16), output="y", tensors=(), kind=TensorProto.FLOAT, **fields
):
    arrays = [
        numpy_helper.from_array(
            np.asarray(value) if np.asarray(value).dtype == np.int64 else np.asarray(value, np.float32), name
        )
        for name, value in dict(constants).items()
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [*arrays, *tensors],
    )
    graph.output[0].type.tensor_type.shape.SetInParent()
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    for name, value in fields.items():
        setattr(model, name, value)
    return model.SerializeToString()


def onnx_file(rng, data):
    """Return (name, bytes): an operator with attributes, a broken structure or array, or damaged bytes."""
    draw = rng.randint(10)
    if draw < 6:
        return _onnx_operator(rng)
    if draw < 9:
        name = sorted(ONNX)[rng.randint(len(ONNX))]
        return name, ONNX[name](rng)
    return damage(rng, data)


def _onnx_operator(rng):
    known = rng.randint(4)
    op = _choose(rng, sorted(OPERATORS) if known else sorted({schema.name for schema in defs.get_all_schemas()}))
    sane = (0.97, 0.8, 0.5)[rng.randint(3)]
    attributes = {name: _attribute(rng, name, sane) for name in OF_OPERATOR.get(op, ()) if rng.rand() < 0.6}
    if op in ("MaxPool", "AveragePool", "Concat", "Transpose"):
        name = {"Concat": "axis", "Transpose": "perm"}.get(op, "kernel_shape")
        attributes.setdefault(name, _attribute(rng, name, sane))
    if rng.rand() > sane:
        name = _choose(rng, sorted(ATTRIBUTES))
        attributes[name] = _attribute(rng, name, 0.5)
    shapes = CONSTANTS.get(op, ())
    if rng.rand() > sane:
        shapes = tuple(tuple(int(size) for size in rng.randint(0, 6, rng.randint(0, 6))) for _ in range(rng.randint(4)))
    constants = {f"c{i}": np.abs(rng.standard_normal(shape)) + 0.1 for i, shape in enumerate(shapes)}
    if op in WHOLE:
        constants["whole"] = np.array(
            [_choose(rng, NUMBERS) if rng.rand() > sane else value for value in WHOLE[op]], np.int64
        )
    first = "flat" if op in FLAT else "image"
    inputs = [first, *constants] + [first] * (op in ("Concat", "Sum") or (op in ("Add", "Mul") and rng.randint(2)))
    if rng.rand() > sane:
        inputs = [_choose(rng, [first, "", "nowhere", "y", *constants]) for _ in range(rng.randint(5))]
    nodes = [
        _node("Flatten", ["image"], "flat"),
        helper.make_node(op, inputs, ["y"] if op != "Split" else ["y", "z"], name="op", **attributes),
    ]
    opset = int(_choose(rng, (7, 9, 11, 13, 17, 17, 17, 21, 23, 0, 6, 99)))
    return f"{op} {attributes} opset {opset}"[:100], _model(
        nodes if first == "flat" or rng.randint(2) else nodes[1:], constants, opset
    )


def _attribute(rng, name, sane):
    usual = _choose(rng, ATTRIBUTES[name])
    if rng.rand() < sane:
        return usual
    if isinstance(usual, list):
        return [int(_choose(rng, NUMBERS)) for _ in range(_choose(rng, (len(usual), len(usual), 0, 1, 5, 100)))] or [0]
    if isinstance(usual, float):
        return float(_choose(rng, FLOATS))
    return int(_choose(rng, NUMBERS)) if isinstance(usual, int) else _choose(rng, ("", "x", "\u202e", "SAME_LOWER"))


def _relus(count):
    return lambda _: _model(
        [_node("Relu", ["image" if not i else f"t{i}"], f"t{i + 1}") for i in range(count)], output=f"t{count}"
    )


def _doubled(count, op="Concat", **attributes):
    return lambda _: _model(
        [_node(op, ["image" if not i else f"t{i}"] * 2, f"t{i + 1}", **attributes) for i in range(count)],
        output=f"t{count}",
    )


def _tensor(dims=(2, 2), kind=TensorProto.FLOAT, raw=bytes(16), name="c", external=None, **lists):
    tensor = TensorProto(name=name, data_type=kind, dims=dims)
    if raw is not None:
        tensor.raw_data = raw
    for field, values in lists.items():
        getattr(tensor, field).extend(values)
    if external:
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", external
    return tensor


def _of_tensor(**fields):
    return lambda _: _model([_node("Mul", ["image", "c"], "y")], tensors=[_tensor(**fields)])


def _any_tensor(rng):
    dims = [int(_choose(rng, NUMBERS)) for _ in range(rng.randint(5))]
    kinds = sorted(TensorProto.DataType.values())
    tensor = _tensor(
        dims,
        int(_choose(rng, kinds)),
        _choose(rng, (None, b"", bytes(4), bytes(16), bytes(7))),
        _choose(rng, ("c", "", "image", "\x1b[2J", "n" * 3000)),
    )
    return _model([_node("Mul", ["image", "c"], "y")], tensors=[tensor] * (1 + (rng.randint(4) == 0)))


def _nested(depth):
    def make(_):
        graph = helper.make_graph(
            [_node("Relu", ["image"], "z")], "g", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
        )
        for _ in range(depth):
            node = helper.make_node("If", ["image"], ["z"], then_branch=graph, else_branch=graph)
            graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
        return _model([helper.make_node("If", ["image"], ["y"], then_branch=graph, else_branch=graph)])

    return make


def _inputs(shape, kind=TensorProto.FLOAT):
    return lambda _: _model([_node("Relu", ["image"], "y")], shape=shape, kind=kind)


ONNX = {
    "cycle": lambda _: _model([_node("Relu", ["b"], "a"), _node("Relu", ["a"], "b")], output="b"),
    "itself": lambda _: _model([_node("Relu", ["y"], "y")]),
    "missing": lambda _: _model([_node("Relu", ["nowhere"], "y")]),
    "no output": lambda _: _model([_node("Relu", ["image"], "z")]),
    "twice": lambda _: _model([_node("Relu", ["image"], "y")] * 2),
    "no nodes": lambda _: _model([]),
    "image": lambda _: _model([], output="image"),
    "1,000 layers": _relus(1000),
    "20,000 layers": _relus(20_000),
    "60,000 layers": _relus(60_000),
    "doubled 10": _doubled(10, axis=1),
    "doubled 40": _doubled(40, axis=1),
    "doubled 70": _doubled(70, axis=2),
    "added 60": _doubled(60, "Add"),
    "wide": lambda _: _model([_node("Concat", ["image"] * 50_000, "y", axis=1)]),
    "sum": lambda _: _model([_node("Sum", ["image"] * 20_000, "y")]),
    "tensor": _any_tensor,
    "tensor, again": _any_tensor,
    "tensor, once more": _any_tensor,
    "external": _of_tensor(external="../../etc/passwd", raw=None),
    "external, absolute": _of_tensor(external="/dev/zero", raw=None, dims=(2**30,)),
    "promises": _of_tensor(dims=(2**40, 2)),
    "overflows": _of_tensor(dims=(2**32, 2**32)),
    "typed": _of_tensor(raw=None, float_data=[1.0] * 3),
    "both": _of_tensor(float_data=[1.0] * 4),
    "strings": _of_tensor(kind=TensorProto.STRING, raw=None, string_data=[b"x"] * 4),
    "nested": _nested(1),
    "nested, deep": _nested(6),
    "Loop": lambda _: _model([helper.make_node("Loop", ["image"], ["y"], body=helper.make_graph([], "g", [], []))]),
    "Scan": lambda _: _model([_node("Scan", ["image"], "y", num_scan_inputs=2**40)]),
    "functions": lambda _: _model([_node("F", ["image"], "y", domain="own")]),
    "ConstantOfShape": lambda _: _model(
        [_node("ConstantOfShape", ["s"], "c"), _node("Mul", ["image", "c"], "y")], {"s": np.array([2**40, 2**20])}
    ),
    "Expand": lambda _: _model([_node("Expand", ["image", "s"], "y")], {"s": np.array([2**20, 3, 2**20, 16])}),
    "Tile": lambda _: _model([_node("Tile", ["image", "s"], "y")], {"s": np.array([2**30] * 4)}),
    "Range": lambda _: _model(
        [_node("Range", ["a", "b", "c"], "d"), _node("Relu", ["image"], "y")],
        {"a": np.array(0), "b": np.array(2**60), "c": np.array(1)},
    ),
    "Resize": lambda _: _model([_node("Resize", ["image", "", "s"], "y")], {"s": np.array([1, 1, 1e6, 1e6])}),
    "outer product": lambda _: _model(
        [_node("Reshape", ["image", "s"], "c"), _node("MatMul", ["c", "r"], "y")],
        {"s": np.array([768, 1]), "r": np.ones((1, 500_000))},
    ),
    "outer sum": lambda _: _model(
        [_node("Add", ["m", "n"], "o"), _node("Add", ["image", "o"], "y")],
        {"m": np.ones((60_000, 1)), "n": np.ones((1, 60_000))},
    ),
    "pads": lambda _: _model(
        [_node("Pad", ["image", "p"], "y")], {"p": np.array([0, 0, 60_000, 60_000, 0, 0, 60_000, 60_000])}
    ),
    "input of 2**40": _inputs((1, 3, 2**40, 2**40)),
    "input of 8192": _inputs((1, 3, 8192, 8192)),
    "negative input": _inputs((1, 3, -5, -5)),
    "input of no rank": _inputs(None),
    "input of text": _inputs((1, 3, 16, 16), TensorProto.STRING),
    "half input": _inputs((1, 3, 16, 16), TensorProto.FLOAT16),
    "batch of 2**31": _inputs((2**31, 3, 16, 16)),
    "open input": _inputs(("n", "c", "h", "w")),
    "ir 999": lambda _: _model([_node("Relu", ["image"], "y")], ir_version=999),
    "opset -1": lambda _: _model([_node("Relu", ["image"], "y")], opset=-1),
    "opset 2**60": lambda _: _model([_node("Relu", ["image"], "y")], opset=2**60),
    "escape codes": lambda _: _model([_node("Relu", ["image"], "\x1b[2J")], output="\x1b[2J"),
    "slash": lambda _: _model([helper.make_node("Relu", ["image"], ["y"], name="/")]),
    "nothing": lambda _: b"",
    "deep bytes": lambda _: b"\x3a\x02" * 50_000,
    "deep groups": lambda _: b"\x3b" * 100_000,
    "text": lambda _: b"{}",
    "length": lambda _: b"\x3a" + b"\xff" * 9 + b"\x01",
}


def recorded(source, arch):
    """Return {name: float16 array} of a network as its source saves it, 7 classes, small random numbers."""
    rng, names = np.random.RandomState(0), json.loads(gzip.decompress(RECORDED.read_bytes()))
    return {name: rng.uniform(0.01, 0.05, shape).astype(np.float16) for name, shape in names[f"{source} {arch}"]}


def good_safetensors():
    """Return the bytes of torchvision's MobileNetV2."""
    return save(recorded("torchvision", "mobilenet_v2"))


DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I16",
    "I8",
    "U8",
    "U16",
    "U32",
    "U64",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "F6_E2M3",
    "F6_E3M2",
    "C64",
    "F128",
    "",
    "f32",
    5,
    None,
)
BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "U16": 2,
    "U32": 4,
    "U64": 8,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "C64": 8,
}


def safetensors_file(rng, data):
    """Return (name, bytes): the good file with a header changed, or a small one whose header is at its limits."""
    (length,) = struct.unpack("<Q", data[:8])
    if rng.randint(4) == 0:
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        told = [_changed_entry(rng, header) for _ in range(rng.randint(1, 4))]
        return "; ".join(told)[:100], _safetensors(header, body)
    if rng.randint(8) == 0:
        name, text = _choose(
            rng,
            (
                ("no JSON", b"x" * 40),
                ("deep", b'{"a":' * 20_000),
                ("list", b"[]"),
                ("number", b"1"),
                ("nothing", b""),
                (
                    "twice",
                    b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                ),
                ("spaces", b" " * 200_000),
                ("not UTF-8", b'{"\xff":1}'),
            ),
        )
        return name, _choose(
            rng, (struct.pack("<Q", len(text)), struct.pack("<Q", 2**63), struct.pack("<Q", 100_000_001))
        ) + text + bytes(4)
    header, at = {}, 0
    for number in range(rng.randint(1, 5)):
        kind = _choose(rng, DTYPES)
        shape = (
            [int(size) for size in rng.randint(0, 5, rng.randint(0, 5))]
            if rng.randint(4)
            else [int(_choose(rng, NUMBERS)) for _ in range(rng.randint(1, 40))]
        )
        size = int(np.prod([float(max(s, 0)) for s in shape]) * BYTES.get(kind, 1))
        size = size if size < 4096 else 16
        begin, end = (at, at + size) if rng.randint(4) else (int(_choose(rng, NUMBERS)), int(_choose(rng, NUMBERS)))
        name = _choose(
            rng,
            ("classifier.1.bias", "features.0.0.weight", "", "\x1b[2J", "n" * 9000, "\u202e", "a", "b", "__metadata__"),
        )
        header[name + str(number) * int(rng.randint(2))], at = (
            {"dtype": kind, "shape": shape, "data_offsets": [begin, end]},
            at + size,
        )
    return f"{header}"[:100].replace("\n", " "), _safetensors(header, bytes(at) + bytes(rng.randint(3)))


def _safetensors(header, body):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _changed_entry(rng, header):
    name = _choose(rng, sorted(header))
    entry = header[name] if isinstance(header[name], dict) else {}
    way = _choose(rng, ("dtype", "shape", "offsets", "gone", "name", "bias", "overlap"))
    if way == "dtype":
        entry["dtype"] = _choose(rng, DTYPES)
    elif way == "shape":
        entry["shape"] = _choose(
            rng, ([], [0], entry.get("shape", [])[::-1], [-1], [2**62, 4], [1, *entry.get("shape", [])], "x", [1.5])
        )
    elif way == "offsets":
        entry["data_offsets"] = _choose(rng, ([0, 2**62], [8, 0], [0], [-1, 5], "x", [0, 0]))
    elif way == "overlap":
        entry["data_offsets"] = list(_choose(rng, sorted(header.values(), key=str)).get("data_offsets", []))
    elif way == "bias":
        header["classifier.1.bias"] = {
            **header.get("classifier.1.bias", {}),
            "shape": _choose(rng, ([], [7, 1], [1, 7], [0])),
        }
    else:
        header.pop(name)
        if way == "name":
            header[_choose(rng, ("\x1b[2J", "", name + ".x", "module." + name))] = entry
    return f"{way} {name}"


def good_keras():
    """Return the bytes of Keras' MobileNetV2."""
    return _keras(recorded("keras", "mobilenetv2"))


def keras_file(rng, data):
    """Return (name, bytes): a file whose arrays, links or names are at their limits, or damaged bytes."""
    draw = rng.randint(10)
    if draw < 3:
        small = _keras(
            {"predictions/bias": np.zeros(3, np.float16), "Conv1/kernel": np.zeros((3, 3, 3, 2), np.float16)}
        )
        return damage(rng, small)
    name = sorted(KERAS)[rng.randint(len(KERAS))]
    if draw < 5:  # among the arrays of a whole network
        entries = recorded("keras", "mobilenetv2")
        changed = _choose(rng, sorted(entries))
        return f"{name} as {changed}", _keras(entries, {changed: KERAS[name]})
    return name, _keras(
        {"predictions/bias": np.zeros(3, np.float16), "Conv1/kernel": np.zeros((3, 3, 3, 2), np.float16)},
        {_choose(rng, ("predictions/bias", "Conv1/kernel")): KERAS[name]},
    )


def _keras(entries, changed=()):
    out, layers = io.BytesIO(), {}
    for name in entries:
        layer, _, kind = name.rpartition("/")
        layers.setdefault(layer, []).append(kind)
    with h5py.File(out, "w") as f:
        f.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, kinds in layers.items():
            group = f.require_group(layer)
            group.attrs["weight_names"] = [f"{kind}:0".encode() for kind in kinds]
            for kind in kinds:
                if f"{layer}/{kind}" in dict(changed):
                    dict(changed)[f"{layer}/{kind}"](group, f"{kind}:0")
                else:
                    group[f"{kind}:0"] = entries[f"{layer}/{kind}"]
    return out.getvalue()


def _virtual(group, name):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (2,))
    group.create_virtual_dataset(name, layout)


def _names(value, key="layer_names"):
    def change(group, name):
        holder = group.file if key == "layer_names" else group
        holder.attrs[key] = value
        group[name] = np.zeros(3, np.float16)

    return change


def _set(value):
    return lambda group, name: group.__setitem__(name, value)


def _dataset(shape=None, dtype="f4", **options):
    return lambda group, name: group.create_dataset(name, shape, dtype, **options)


KERAS = {
    "external link": _set(h5py.ExternalLink("/etc/passwd", "/x")),
    "external link, device": _set(h5py.ExternalLink("/dev/zero", "/")),
    "soft link": _set(h5py.SoftLink("/predictions")),
    "link to itself": lambda group, name: group.__setitem__(name, h5py.SoftLink(f"{group.name}/{name}")),
    "group in itself": lambda group, name: group.__setitem__(name, group),
    "group": lambda group, name: group.create_group(name),
    "external storage": _dataset((3,), "u1", external=[("/etc/passwd", 0, 3)]),
    "external storage, device": _dataset((2**34,), "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]),
    "virtual": _virtual,
    "never stored": _dataset((2**20, 2**20), chunks=(64, 64)),
    "never stored, flat": _dataset((2**40,)),
    "zip bomb": _dataset(data=np.zeros(2**24, np.float32), dtype="f4", compression="gzip"),
    "gzip": _dataset(data=np.zeros(3, "f4"), compression="gzip"),
    "lzf": _dataset(data=np.zeros(3, "f4"), compression="lzf"),
    "checksum": _dataset(data=np.zeros(3, "f4"), fletcher32=True),
    "scale-offset": _dataset(data=np.arange(3), dtype="i4", scaleoffset=0),
    "text": _dataset(data=["x"], dtype=h5py.string_dtype()),
    "bytes": _set(np.array([b"abc"])),
    "lists": _dataset((3,), h5py.vlen_dtype(np.float32)),
    "references": _dataset((3,), h5py.ref_dtype),
    "compound": _set(np.zeros(3, [("a", "f4"), ("b", "i4")])),
    "complex": _set(np.zeros(3, "c8")),
    "enum": _dataset((3,), h5py.enum_dtype({"a": 1}, basetype="i4")),
    "opaque": _set(np.zeros(3, "V4")),
    "empty": _set(h5py.Empty("f4")),
    "datatype": _set(np.dtype("f4")),
    "scalar": _set(np.float32(1)),
    "no numbers": _set(np.zeros((0, 3), "f4")),
    "NaN": _set(np.full(3, np.nan)),
    "infinite": _set(np.full((3, 3, 3, 2), np.inf)),
    "rank 32": _set(np.zeros((1,) * 32, "f4")),
    "long double": _set(np.zeros(3, "g")),
    "booleans": _set(np.zeros(3, "?")),
    "int64": _set(np.full(3, 2**62)),
    "big-endian": _set(np.zeros(3, ">f4")),
    "bias of 2 axes": _set(np.zeros((3, 1), "f4")),
    "a million classes": _set(np.zeros(1_000_000, "f2")),
    "gone": lambda group, name: None,
    "layers are a number": _names(5),
    "layers are a text": _names("Conv1"),
    "layers are numbers": _names(np.arange(4)),
    "layers in 2 axes": _names(np.array([[b"a", b"b"]])),
    "layer of another name": _names([b"other"]),
    "layers twice": _names([b"Conv1", b"Conv1"]),
    "no layers": _names(np.array([], "S1")),
    "root as layer": _names([b"/"]),
    "escape codes": _names([b"\x1b[2J"]),
    "not UTF-8": _names(np.array([b"\xff\xfe"])),
    "layers are references": _names(np.array([h5py.Reference()], h5py.ref_dtype)),
    "weights are a number": _names(5, "weight_names"),
    "weights are empty": _names(h5py.Empty("S1"), "weight_names"),
    "weights up": _names([b"../Conv1/kernel:0"], "weight_names"),
    "weights from root": _names([b"/Conv1/kernel:0"], "weight_names"),
    "a layer's attribute is gone": lambda group, name: group.attrs.__delitem__("weight_names"),
}
