"""An ONNX file checked against what a classifier is made of, before ONNX's checker or ONNX Runtime see it.

ONNX's own checker (onnx/checker.cc) follows external data, runs through nested graphs and believes every number; ONNX
Runtime computes constants while it loads. What passes here is one flat graph in topological order whose tensors hold
the bytes their shapes promise. Operators' attributes are bounded where they become MXNet's: see
`mxft.network.graph_file.graph_of`.
"""
import math
import os

from mxft.errors import InputError, nearest
from mxft.machine.packages import require_package, require_packages
from mxft.wording import is_plain

OLDEST_OPSET = 7
MOST_BYTES = (2 << 30) - 1       # protobuf's own limit
MOST_NODES = 20_000
LONGEST_NAME = 512
_MOST_DIMENSIONS = 16
# bytes of a number, and the field it stands in where it is not written as raw bytes
_TYPES = {"FLOAT": (4, "float_data"), "DOUBLE": (8, "double_data"), "FLOAT16": (2, "int32_data"),
          "INT64": (8, "int64_data"), "INT32": (4, "int32_data"), "INT16": (2, "int32_data"), "INT8": (1, "int32_data"),
          "UINT8": (1, "int32_data"), "BOOL": (1, "int32_data")}
_CONSTANTS = ("value", "value_float", "value_floats", "value_int", "value_ints")
_INFINITE = ("Clip", "Pad", "Constant")  # operators for which infinity has a meaning


def read_onnx(path, operators):
    """Return the model in an ONNX file, whose shapes ONNX has inferred.

    Parameters
    ----------
    path : str
    operators : collection of str
        Names of the operators a node may have, beside ``Constant``.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    InputError
        It is no ONNX model, a damaged one, or one that holds what no image classifier does; the message names it.

    Examples
    --------
    >>> read_onnx("resnet18.onnx", {"Conv", "Relu"}).opset_import[0].version    # doctest: +SKIP
    17
    """
    require_packages("onnx", "onnxruntime", what="importing ONNX")
    onnx = require_package("onnx", "importing ONNX")
    model = parse_onnx(path)
    try:
        _require_text(model)
        _check_model(onnx, model)
        _check_graph(onnx, model.graph, operators)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    try:
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # the checker's own kinds
        raise _not_onnx(path, error) from None


def parse_onnx(path):
    """Return the onnx.ModelProto of a file as it is, nothing in it checked; InputError where it is none."""
    onnx = require_package("onnx", "importing ONNX")
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise InputError(f"{path}: expected at most 2 GB, which is ONNX's limit, received {size:,} bytes")
    try:
        with open(path, "rb") as f:
            return onnx.ModelProto.FromString(f.read())
    except Exception as error:  # protobuf's own kinds
        raise _not_onnx(path, error) from None


def _not_onnx(path, error):
    return InputError(f"weights cannot be read: expected an ONNX model, received {path} "
                      f"({' '.join(str(error).split())[:200]})")


def _require_text(model):
    """Refuse names that are no UTF-8: protobuf gives them as bytes."""
    todo = [model]
    while todo:
        for field, value in todo.pop().ListFields():
            if field.type == field.TYPE_STRING:
                for text in (value,) if isinstance(value, (str, bytes)) else value:
                    if not isinstance(text, str):
                        raise ValueError(f"expected text as {field.name}, received {text[:40]!r}")
            elif field.type == field.TYPE_MESSAGE:
                todo += (value,) if hasattr(value, "ListFields") else value


def _check_model(onnx, model):
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not opsets or not all(OLDEST_OPSET <= version <= newest for version in opsets):
        raise ValueError(f"expected an ONNX model of opset {OLDEST_OPSET} to {newest}, received opset={opsets}; "
                         "convert it with onnx.version_converter.convert_version")
    if model.functions or model.training_info:
        raise ValueError(f"expected one flat graph, received {len(model.functions)} functions and "
                         f"{len(model.training_info)} training graphs; export the network for inference")


def _check_graph(onnx, graph, operators):
    if len(graph.node) > MOST_NODES:
        raise ValueError(f"expected at most {MOST_NODES:,} nodes, received {len(graph.node):,}")
    if graph.sparse_initializer:
        raise ValueError("expected dense arrays, received sparse ones")
    tensors = _distinct([tensor.name for tensor in graph.initializer], "an initializer")
    for tensor in graph.initializer:
        _check_tensor(onnx, tensor)
    _distinct([entry.name for entry in graph.input], "an input")
    known = tensors | {entry.name for entry in graph.input}
    _refuse_operators(graph, operators)
    for node in graph.node:
        _check_node(onnx, node)
        missing = next((name for name in node.input if name and name not in known), None)
        if missing is not None:
            raise ValueError(f"expected nodes after what they read, received {_called(node)} of {missing!r}, which no "
                             "node before it gives: a cycle, or an input that is missing")
        for name in node.output:
            if name in known:
                raise ValueError(f"expected a name of its own for each tensor, received {name!r} of {_called(node)} "
                                 "twice")
            _check_name(name, "a tensor")
        known.update(filter(None, node.output))
    for entry in graph.output:
        if entry.name not in known:
            raise ValueError(f"expected outputs that a node gives, received {entry.name!r}, which none does")


def _refuse_operators(graph, operators):
    unknown = sorted({f"{node.domain}.{node.op_type}".lstrip(".") for node in graph.node
                      if node.domain not in ("", "ai.onnx") or node.op_type not in {*operators, "Constant"}})
    if unknown:
        raise ValueError(f"expected operators of image classifiers, received {', '.join(map(_shown, unknown[:8]))}"
                         f"{' …' if len(unknown) > 8 else ''}; {nearest(unknown[0], operators)}")


def _check_node(onnx, node):
    _check_name(node.name, "a node")
    if not node.output or not node.output[0] or (not node.input and node.op_type != "Constant"):
        raise ValueError(f"expected inputs and outputs of each node, received {_called(node)} with {len(node.input)} "
                         f"and {len(node.output)}")
    kinds = onnx.AttributeProto
    for attribute in node.attribute:
        if attribute.type in (kinds.GRAPH, kinds.GRAPHS) or attribute.HasField("g") or attribute.graphs:
            raise ValueError(f"expected one flat graph, received {_called(node)} with a graph inside it")
        if attribute.type not in (kinds.INT, kinds.INTS, kinds.FLOAT, kinds.FLOATS, kinds.STRING, kinds.TENSOR):
            raise ValueError(f"expected numbers, text or an array as attribute {_short(attribute.name)} of "
                             f"{_called(node)}, received type {attribute.type}")
        if attribute.ref_attr_name:
            raise ValueError(f"expected one flat graph, received {_called(node)} with an attribute of a function")
        if len(attribute.ints) > 64 and node.op_type != "Constant":
            raise ValueError(f"expected at most 64 numbers as {_short(attribute.name)} of {_called(node)}, received "
                             f"{len(attribute.ints)}")
        finite = all(map(math.isfinite, (attribute.f, *attribute.floats)))
        if not finite and node.op_type not in _INFINITE:
            raise ValueError(f"expected finite numbers as {_short(attribute.name)} of {_called(node)}, received "
                             f"{attribute.f}")
        if attribute.type == kinds.TENSOR:
            _check_tensor(onnx, attribute.t, _called(node))
    if node.op_type == "Constant" and [a.name in _CONSTANTS for a in node.attribute] != [True]:
        raise ValueError(f"expected one value in numbers of {_called(node)}, received "
                         f"{', '.join(_short(a.name) for a in node.attribute) or 'none'}")


def _check_tensor(onnx, tensor, where=None):
    """Refuse a tensor that lies elsewhere, or does not hold what its shape promises."""
    name = where or f"initializer {_short(tensor.name)}"
    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise ValueError(f"expected one file that holds its weights, received {name} in another file; "
                         "python -c \"import onnx; onnx.save(onnx.load('net.onnx'), 'whole.onnx')\" writes one where "
                         "both are yours")
    kind = {number: text for text, number in onnx.TensorProto.DataType.items()}.get(tensor.data_type, tensor.data_type)
    if kind not in _TYPES:
        raise ValueError(f"expected arrays of {', '.join(_TYPES)}, received {name} of type {kind}")
    shape = tuple(tensor.dims)
    if len(shape) > _MOST_DIMENSIONS or not all(length >= 0 for length in shape):
        raise ValueError(f"expected a shape of at most {_MOST_DIMENSIONS} sizes, received {name} of shape {shape[:20]}")
    size, field = _TYPES[kind]
    held = len(tensor.raw_data) / size if tensor.HasField("raw_data") else len(getattr(tensor, field))
    if held != math.prod(shape) or tensor.HasField("segment"):
        raise ValueError(f"expected {math.prod(shape):,} numbers in {name} of shape {shape}, received {held:,.10g}")


def _distinct(names, what):
    seen = set()
    for name in names:
        _check_name(name, what)
        if not name or name in seen:
            raise ValueError(f"expected a name of its own for {what}, received {name!r}{' twice' if name else ''}")
        seen.add(name)
    return seen


def _check_name(name, what):
    if len(name) > LONGEST_NAME or not is_plain(name):
        raise ValueError(f"expected a name of at most {LONGEST_NAME} characters, none of them a control "
                         f"character, for {what}, received {_short(name)}")


def _called(node):
    return f"{_shown(node.op_type)} {_shown(node.name or ''.join(node.output[:1]))}"


def _short(text, most=80):
    return repr(text if len(text) <= most else text[:most] + " …")


def _shown(text):
    return _short(text)[1:-1]
