"""Symbol files nobody would save: every operator with attributes at their limits, and graphs that are none."""

import json
import re

from mxft.compat import mx
from mxft.network.operators import ALLOWED, find_operator

FORBIDDEN = (
    "_Native",
    "_NDArray",
    "Custom",
    "_CustomFunction",
    "_sg_mkldnn_conv",
    "_sg_mkldnn_fully_connected",
    "_sg_onednn_conv",
    "_foreach",
    "_while_loop",
    "_cond",
    "_cvimread",
    "_cvimdecode",
    "_cvimresize",
    "_contrib_dgl_adjacency",
    "_TensorRT",
    "_CachedOp",
    "CuDNNBatchNorm",
    "CuDNNBatchNorm",
    "scatter_nd",
    "_contrib_index_copy",
    "_contrib_ROIAlign",
    "_contrib_PSROIPooling",
    "_contrib_box_encode",
    "_npi_zeros",
    "sgd_update",
    "_NoGradient",
    "_CrossDeviceCopy",
    "_set_value",
    "_imdecode",
    "load",
    "",
    "null",
    "Convolution\0",
    "conv\x1b[2J",
    "\ud800",
    "x" * 600,
)
WHOLE = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "-2147483648",
    "2147483647",
    "2147483648",
    "4294967296",
    "1048577",
    "65536",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "1e9",
    "nan",
    "inf",
    "-inf",
    "None",
    "",
    "abc",
    "True",
    "0x10",
    "1.5",
    " 2",
    "2L",
    "(1)",
    "[2]",
)
TUPLES = (
    "()",
    "(0,)",
    "(0, 0)",
    "(-1, -1)",
    "(1,)",
    "(2, 2)",
    "(1, 1, 1)",
    "(65536, 65536)",
    "(4097, 1)",
    "(2147483647, 2147483647)",
    "(9223372036854775807, 2)",
    "(nan, 1)",
    "(1, None)",
    "[2, 2]",
    "(2 2)",
    "((1, 2), 3)",
    "(" * 2000,
    "(1" + ", 1" * 300 + ")",
    "(1" + ", 1" * 20 + ")",
    "",
    "abc",
    "(-5, 3)",
    "(1e3, 1)",
    "(,)",
    "(0, 1, -2, -3, -4)",
)
REAL = (
    "0",
    "-1",
    "1",
    "0.5",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "1e38",
    "1e39",
    "-1e300",
    "1e999",
    "abc",
    "",
    "None",
    "0,5",
)
SANE = {
    "kernel": ("(3, 3)", "(1, 1)", "(2, 2)"),
    "stride": ("(1, 1)", "(2, 2)"),
    "pad": ("(0, 0)", "(1, 1)"),
    "dilate": ("(1, 1)",),
    "num_filter": ("4",),
    "num_group": ("1",),
    "num_hidden": ("3", "8"),
    "axis": ("1", "0", "-1"),
    "dim": ("1",),
    "shape": ("(1, 3, 16, 16)", "(-1, 768)", "(0, -1)"),
    "axes": ("(0, 1, 2, 3)", "(0, 2, 3, 1)", "(1, 0)"),
    "output_size": ("(2, 2)", "4"),
    "num_outputs": ("1", "3"),
    "num_args": ("1", "2"),
    "depth": ("4",),
    "scale": ("2",),
    "pooled_size": ("(2, 2)",),
    "target_shape": ("(4, 4)",),
    "state_size": ("4",),
    "num_layers": ("1",),
    "begin": ("0", "(0, 0)"),
    "end": ("2", "(1, 2)", "None"),
    "pad_width": ("(0, 0, 0, 0, 1, 1, 1, 1)",),
    "reps": ("(1, 1)", "(1, 1, 2, 2)"),
    "input_dim": ("256", "10"),
    "output_dim": ("4",),
    "dtype": ("float32", "int32"),
    "repeats": ("2",),
    "k": ("1", "2"),
    "block_size": ("2",),
    "height": ("8",),
    "width": ("8",),
    "sizes": ("(0.5, 1.0)",),
    "indices": ("(1, 2)",),
    "output_dim ": ("2",),
    "group_size": ("1",),
    "spatial_scale": ("1.0",),
    "heads": ("1",),
    "p": ("0.5",),
}
HIDDEN = (
    ("__lr_mult__", "abc"),
    ("__wd_mult__", "nan"),
    ("__dtype__", "99"),
    ("__dtype__", "-5"),
    ("__dtype__", "2"),
    ("__dtype__", "7"),
    ("__shape__", "(1000000000000, 3)"),
    ("__shape__", "(2147483647, 2147483647)"),
    ("__shape__", "(-3, 4)"),
    ("__shape__", "abc"),
    ("__shape__", "1" * 80 + "x"),
    ("__shape__", "(1 3 16 16)"),
    ("__shape__", "1-2-3"),
    ("__lr_mult__", "1e999"),
    ("__lr_mult__", "9" * 4000 + "x"),
    ("weight_lr_mult", "abc"),
    ("__shape__", "(0, 0, 0, 0)"),
    ("__shape__", "(1, 7, 5)"),
    ("__init__", '["load", {"param": "/etc/passwd"}]'),
    ("__init__", "x"),
    ("__init__", '["mixed", {}]'),
    ("__storage_type__", "1"),
    ("__storage_type__", "99"),
    ("__ctx_group__", "dev1"),
    ("__profiler_scope__", "x"),
    ("__subgraph_name__", "x"),
    ("__layout__", "NHWC"),
    ("__force_mirroring__", "maybe"),
)


def symbol(rng, _):
    """Return (name, bytes) of a symbol: three of four are one operator with attributes, one a broken structure."""
    if rng.randint(4):
        name, graph = _of_operator(rng)
    else:
        name = sorted(STRUCTURES)[rng.randint(len(STRUCTURES))]
        graph = STRUCTURES[name](_network(*_node_of(rng, "Activation", 0.9)), rng)
    data = graph if isinstance(graph, bytes) else json.dumps(graph).encode("utf-8", "surrogatepass")
    return name, data


def _choose(rng, values):
    return values[rng.randint(len(values))]


def _of_operator(rng):
    draw = rng.randint(20)
    names = ALLOWED if draw < 14 else mx.operator.get_all_registered_operators() if draw < 17 else FORBIDDEN
    op = _choose(rng, sorted(names))
    attrs, inputs = _node_of(rng, op, (0.97, 0.85, 0.6)[rng.randint(3)])
    return f"{op[:30]!a} {' '.join(f'{key}={value}' for key, value in attrs.items())[:100]!a}", _network(
        attrs, inputs, op, *_place(rng)
    )


def _place(rng):
    return (
        bool(rng.randint(3) == 0),
        bool(rng.randint(3) == 0),
        int(_choose(rng, (10901,) * 9 + (800, 900, 1000, 10300, 20000))),
    )


def _node_of(rng, op, sane):
    """Return (attributes, number of inputs) for an operator; of each attribute `sane` is how likely it is usual."""
    operator = None if "\0" in op else find_operator(op)
    if operator is None:
        return {"info": "94738", "op_type": "x"}, int(rng.randint(3))
    attrs = {}
    for name, kind in operator.attributes.items():
        if "required" in kind or rng.rand() < 0.3:
            attrs[name] = _usual(rng, name, kind) if rng.rand() < sane else _limit(rng, kind)
    count = len(operator.inputs)
    if operator.takes_any_number:
        count = int(_choose(rng, (1, 2, 2, 3, 0, 17)))
        if "num_args" in operator.attributes:
            attrs["num_args"] = str(count if rng.rand() < sane else _choose(rng, WHOLE))
    if rng.rand() > sane:
        attrs[_choose(rng, ("strange", "ctx_group", "name", "__x__"))] = _choose(rng, WHOLE)
    return attrs, count if rng.rand() < sane else int(rng.randint(6))


def _usual(rng, name, kind):
    words = re.findall(r"'([^']+)'", kind.split("}")[0]) if kind.startswith("{") else ()
    if words:
        return _choose(rng, words)
    if name in SANE:
        return _choose(rng, SANE[name])
    if "bool" in kind:
        return _choose(rng, ("True", "False", "0", "1"))
    if "Shape" in kind or "tuple" in kind:
        return _choose(rng, ("(1, 1)", "(2, 2)", "(0, 1)", "(1,)"))
    return _choose(rng, ("1", "2", "0.5") if "float" in kind or "double" in kind else ("1", "2", "0"))


def _limit(rng, kind):
    if kind.startswith("{"):
        return _choose(rng, ("no such word", "", "None", "0", "999"))
    values = TUPLES if "Shape" in kind or "tuple" in kind else REAL if "float" in kind or "double" in kind else WHOLE
    return _choose(rng, values) if rng.randint(8) else _choose(rng, TUPLES + WHOLE + REAL)


def _network(attrs, inputs, op="Activation", flat=False, twice=False, version=10901):
    """Return a graph: the image, perhaps flat, through the operator, once or twice, and a classifier of 3."""
    nodes = [{"op": "null", "name": "data", "inputs": []}]

    def add(op, name, attrs, sources):
        nodes.append({"op": op, "name": name, "attrs": attrs, "inputs": [[source, 0, 0] for source in sources]})
        return len(nodes) - 1

    last = add("Flatten", "flat0", {}, [0]) if flat else 0
    for number in range(1 + twice):
        sources = [last] + [add("null", f"op{number}_input{i}", {}, []) for i in range(1, inputs)]
        last = add(op, f"op{number}", attrs, sources[:inputs])
    last = add("Flatten", "flatten0", {}, [last])
    weight, bias = (add("null", f"fc7_{word}", {}, []) for word in ("weight", "bias"))
    last = add("FullyConnected", "fc7", {"num_hidden": "3"}, [last, weight, bias])
    last = add("SoftmaxOutput", "softmax", {}, [last, add("null", "softmax_label", {}, [])])
    return {
        "nodes": nodes,
        "arg_nodes": [i for i, node in enumerate(nodes) if node["op"] == "null"],
        "heads": [[last, 0, 0]],
        "attrs": {"mxnet_version": ["int", version]},
    }


def _with(change):
    def apply(graph, rng):
        node = graph["nodes"][rng.randint(len(graph["nodes"]))]
        change(graph, node, rng)
        return graph

    return apply


def _set(**values):
    return _with(lambda graph, node, _: node.update(values))


def _chain(count, op="Activation", attrs=None, wide=0):
    """`count` layers one after the other, or `wide` edges into one."""

    def make(graph, _):
        nodes = [{"op": "null", "name": "data", "inputs": []}]
        for i in range(count):
            nodes.append({"op": op, "name": f"n{i}", "attrs": attrs or {"act_type": "relu"}, "inputs": [[i, 0, 0]]})
        if wide:
            nodes.append(
                {
                    "op": "Concat",
                    "name": "wide",
                    "attrs": {"num_args": str(wide), "dim": "1"},
                    "inputs": [[len(nodes) - 1, 0, 0]] * wide,
                }
            )
        return {**graph, "nodes": nodes, "arg_nodes": [0], "heads": [[len(nodes) - 1, 0, 0]]}

    return make


def _doubling(count):
    """Each layer reads the one before it twice: 2**count paths, and as many channels."""

    def make(graph, _):
        nodes = [{"op": "null", "name": "data", "inputs": []}]
        for i in range(count):
            nodes.append(
                {"op": "Concat", "name": f"c{i}", "attrs": {"num_args": "2", "dim": "1"}, "inputs": [[i, 0, 0]] * 2}
            )
        return {**graph, "nodes": nodes, "arg_nodes": [0], "heads": [[count, 0, 0]]}

    return make


def _nested(depth):
    def make(graph, _):
        inner = {"nodes": [{"op": "null", "name": "x", "inputs": []}], "arg_nodes": [0], "heads": [[0, 0, 0]]}
        for _ in range(depth):
            inner = {
                "nodes": [{"op": "_foreach", "name": "f", "inputs": [], "subgraphs": [inner]}],
                "arg_nodes": [],
                "heads": [[0, 0, 0]],
            }
        graph["nodes"][1]["subgraphs"] = [inner]
        return graph

    return make


def _doubled_sums(graph, _):
    """Sums of a layer with itself in front of an old pooling, which asks whether anything is below 0."""
    nodes = [{"op": "null", "name": "data", "inputs": []},
             {"op": "Activation", "name": "relu0", "attrs": {"act_type": "relu"}, "inputs": [[0, 0, 0]]}]
    for i in range(1, 41):
        nodes.append({"op": "elemwise_add", "name": f"s{i}", "inputs": [[i, 0, 0]] * 2})
    attrs = {"kernel": "(2, 2)", "pad": "(1, 1)", "pool_type": "max"}
    nodes.append({"op": "Pooling_v1", "name": "pool", "attrs": attrs, "inputs": [[41, 0, 0]]})
    return {**graph, "nodes": nodes, "arg_nodes": [0], "heads": [[42, 0, 0]]}


def _many_inputs(graph, _):
    nodes = [{"op": "null", "name": "data", "inputs": []}]
    for i in range(1, 1500):
        nodes.append({"op": "null", "name": f"v{i}", "inputs": []})
        last = len(nodes) - 1
        nodes.append({"op": "elemwise_add", "name": f"s{i}", "inputs": [[last - 1, 0, 0], [last, 0, 0]]})
    return {**graph, "nodes": nodes, "arg_nodes": [0], "heads": [[len(nodes) - 1, 0, 0]]}


def _all_heads(graph):
    return {**graph, "heads": [[i, 0, 0] for i in range(1, len(graph["nodes"]))]}


# an operator that looks up what another input says; how many numbers of the image it reads as places
LOOKING_UP = {
    "gather_nd": {}, "take": {"mode": "raise"}, "batch_take": {}, "pick": {}, "scatter_nd": {"shape": "(10,)"},
    "SequenceLast": {"use_sequence_length": "True"}, "SequenceMask": {"use_sequence_length": "True"},
    "SequenceReverse": {"use_sequence_length": "True"}, "softmax": {"use_length": "True"}, "CTCLoss": {},
    "softmax_cross_entropy": {}, "SoftmaxOutput": {}, "SVMOutput": {}, "Embedding": {}, "one_hot": {"depth": "4"},
    "ROIPooling": {"pooled_size": "(2, 2)", "spatial_scale": "1"},
}


def _looked_up(graph, rng):
    """Places in memory computed from the image: far above, far below, not a number."""
    op = _choose(rng, sorted(LOOKING_UP))
    number = _choose(rng, ("1e5", "-1000", "1e9", "-1e9", "nan", "inf", "1e30"))
    nodes = [{"op": "null", "name": "data", "inputs": []}]

    def add(op, inputs, **attrs):
        nodes.append({"op": op, "name": f"n{len(nodes)}", "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]})
        return len(nodes) - 1

    rows = (4, 5) if op == "ROIPooling" else (1, 4) if op == "gather_nd" else (4,)
    few = add("slice_axis", [add("Reshape", [0], shape="(-1,)")], axis="0", begin="0", end=str(rows[-1] * 4))
    few = add("Reshape", [few], shape="(4, -1)") if op == "ROIPooling" else add(
        "Reshape", [add("slice_axis", [few], axis="0", begin="0", end="4")], shape=str(rows))
    places = add("_plus_scalar", [few], scalar=number)
    data = 0 if op == "ROIPooling" else add("Reshape", [0], shape="(12, 4, 16)" if op.startswith(
        ("Sequence", "CTC")) else "(-1,)" if op in ("take", "gather_nd") else "(4, 192)")
    inputs = [places, add("Reshape", [data], shape="(-1, 4)")] if op == "Embedding" else [data, places]
    inputs = [places] if op == "one_hot" else [places, places] if op == "scatter_nd" else inputs
    last = add(op, inputs, **LOOKING_UP[op], **({"input_dim": "192", "output_dim": "4"} if op == "Embedding" else {}))
    return {**graph, "nodes": nodes, "arg_nodes": [0], "heads": [[last, 0, 0]]}


def _heads(*heads):
    return lambda graph, _: {**graph, "heads": list(heads)}


def _hidden(graph, node, rng):
    key, value = _choose(rng, HIDDEN)
    node.setdefault("attrs", {})[key] = value


def _cycle(graph, node, rng):
    index = graph["nodes"].index(node)
    node["inputs"] = [[int(rng.randint(index, len(graph["nodes"]))), 0, 0]]


def _drop(graph, node, _):
    graph["nodes"].remove(node)


def _move(graph, node, rng):
    graph["nodes"].remove(node)
    graph["nodes"].insert(int(rng.randint(len(graph["nodes"]))), node)


def _every_edge(value):
    def change(graph, node, rng):
        for other in graph["nodes"]:
            other["inputs"] = [value] * len(other["inputs"])

    return _with(change)


STRUCTURES = {
    "cycle": _with(_cycle),
    "missing node": _with(_drop),
    "moved node": _with(_move),
    "hidden attribute": _with(_hidden),
    "hidden attributes": lambda graph, rng: _with(_hidden)(_with(_hidden)(_with(_hidden)(graph, rng), rng), rng),
    "output 999": _every_edge([0, 999, 0]),
    "edge -1": _every_edge([-1, 0, 0]),
    "edge 2**40": _every_edge([2**40, 0, 0]),
    "edge of text": _every_edge(["0", 0]),
    "edge of 1": _every_edge([0]),
    "edge of floats": _every_edge([0.0, 0.5, 0]),
    "no edge": _every_edge(None),
    "no inputs": _set(inputs=[]),
    "inputs are a text": _set(inputs="x"),
    "no name": _set(name=None),
    "same names": lambda graph, _: {**graph, "nodes": [{**node, "name": "x"} for node in graph["nodes"]]},
    "empty names": lambda graph, _: {**graph, "nodes": [{**node, "name": ""} for node in graph["nodes"]]},
    "escape codes": _set(name="\x1b[2J\x07"),
    "zero in a name": _set(name="a\0b"),
    "long name": _set(name="n" * 100_000),
    "attributes are a list": _set(attrs=["x"]),
    "attribute of numbers": _set(attrs={"kernel": [3, 3]}),
    "many attributes": _set(attrs={f"a{i}": "1" for i in range(20_000)}),
    "long attribute": _set(attrs={"kernel": "1" * 100_000}),
    "param beside attrs": _set(param={"num_group": "0", "kernel": "(0, 0)"}),
    "variable with inputs": _set(op="null", inputs=[[0, 0, 0]]),
    "subgraphs": _nested(1),
    "subgraphs, deep": _nested(40),
    "old, no inputs": lambda graph, rng: _set(inputs=[])({**graph, "attrs": {"mxnet_version": ["int", 800]}}, rng),
    "doubling sums": _doubled_sums,
    "many inputs": _many_inputs,
    "all layers are heads": lambda graph, rng: _all_heads(_chain(900)(graph, rng)),
    "200,000 heads": _heads(*[[1, 0, 0]] * 200_000),
    "split in a million": _chain(1, "SliceChannel", {"num_outputs": "1048576"}),
    "split in 2e9": _chain(1, "_split_v2", {"indices": "()", "sections": "2000000000"}),
    "splits": _chain(2000, "SliceChannel", {"num_outputs": "1000"}),
    "casts": _chain(3000, "amp_cast", {"dtype": "float16"}),
    "copies": _chain(2000, "_copy", {}),
    "scalars": _chain(2000, "_mul_scalar", {"scalar": "1.0000001"}),
    "indices of the image": _looked_up,
    "17 MB of objects": lambda graph, _: b'{"nodes":[' + b'{"":{}},' * 2_200_000 + b"1]}",
    "empty heads": _heads(),
    "head 999": _heads([999, 0, 0]),
    "head -1": _heads([-1, 0, 0]),
    "head of output 999": _heads([1, 999, 0]),
    "head is the image": _heads([0, 0, 0]),
    "heads twice": _heads([1, 0, 0], [1, 0, 0]),
    "10,000 heads": _heads(*[[1, 0, 0]] * 10_000),
    "heads are none": _heads(None),
    "arg_nodes": lambda graph, _: {**graph, "arg_nodes": [999, -1]},
    "node_row_ptr": lambda graph, _: {**graph, "node_row_ptr": [2**40]},
    "1,000 layers": _chain(1000),
    "30,000 layers": _chain(30_000),
    "100,001 layers": _chain(100_000),
    "1,000 wide": _chain(1, wide=1000),
    "100,000 wide": _chain(1, wide=100_000),
    "doubling 12": _doubling(12),
    "doubling 40": _doubling(40),
    "doubling 80": _doubling(80),
    "upsampling": _chain(12, "UpSampling", {"scale": "4", "sample_type": "nearest"}),
    "tile": _chain(20, "tile", {"reps": "(1, 1, 4, 4)"}),
    "repeat": _chain(9, "repeat", {"repeats": "1000", "axis": "3"}),
    "expand_dims": _chain(40, "expand_dims", {"axis": "0"}),
    "convolutions": _chain(3, "Convolution", {"kernel": "(1, 1)", "num_filter": "1000000", "no_bias": "True"}),
    "dense": _chain(1, "FullyConnected", {"num_hidden": "100000000", "no_bias": "True"}),
    "pads": _chain(4, "Pad", {"mode": "constant", "pad_width": "(0,0,0,0,9000,9000,9000,9000)"}),
    "version -1": lambda graph, _: {**graph, "attrs": {"mxnet_version": ["int", -1]}},
    "version 2**70": lambda graph, _: {**graph, "attrs": {"mxnet_version": ["int", 2**70]}},
    "version in words": lambda graph, _: {**graph, "attrs": {"mxnet_version": "new"}},
    "nodes are none": lambda graph, _: {**graph, "nodes": []},
    "nodes are numbers": lambda graph, _: {**graph, "nodes": [1, 2, 3]},
    "deep": lambda graph, _: b"[" * 200_000,
    "deep object": lambda graph, _: b'{"nodes":' * 50_000,
    "half": lambda graph, _: json.dumps(graph).encode()[:-20],
    "a list": lambda graph, _: b"[]",
    "nothing": lambda graph, _: b"",
    "not UTF-8": lambda graph, _: json.dumps(graph).encode() + b"\xff\xfe",
    "UTF-16": lambda graph, _: json.dumps(graph).encode("utf-16"),
}
