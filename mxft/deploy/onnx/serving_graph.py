"""A network as it serves, for MXNet's ONNX exporter: every output an image alone gives, no loss, no label.

What a loss computes for inference stands in its place: a softmax, a sigmoid, or the scores themselves. Operators the
exporter reads otherwise than MXNet does are spelled out in ones on which both agree.
"""
import contextlib
import io

from mxft.compat import mx
from mxft.deploy.onnx.spelling import Shapes, spell
from mxft.errors import InputError
from mxft.machine.quiet import quiet_native
from mxft.network.graph import Graph, inner_edges

# what hands its first input on when a network serves
_IDENTITIES = frozenset((
    "LinearRegressionOutput", "MAERegressionOutput", "SVMOutput", "MakeLoss", "make_loss", "BlockGrad", "_copy",
    "_identity_with_attr_like_rhs", "IdentityAttachKLSparseReg", "Dropout", "_contrib_gradientmultiplier"))
OWN = "own_"  # begins a name that was changed
_SOFTMAXES = ("SoftmaxOutput", "SoftmaxActivation", "softmax", "softmin", "log_softmax")


def serving_graph(symbol, anatomy, image_shape):
    """Return a network up to the outputs that serve, in operators the exporter reads as MXNet does.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    anatomy : mxft.network.anatomy.Anatomy
        Of that symbol.
    image_shape : tuple of int
        ``(C, H, W)``.

    Returns
    -------
    mx.sym.Symbol
        One output for each of ``anatomy.served``, in their order, each under its own name.

    Raises
    ------
    InputError
        A Dropout that is random when it serves, a softmax over part of a row, one that MXNet itself computes in two
        ways, or an output that is the input or a parameter itself.
    """
    graph = Graph(symbol)
    shapes = _shapes(symbol, anatomy.image.name, image_shape)
    names = [output.name for output in anatomy.served]
    graph.heads = [graph.heads[output.position] for output in anatomy.served]
    for node in graph.operators():
        _rewrite(graph, node, shapes)
        spell(graph, node, shapes)
    for name, (index, _) in zip(names, graph.heads):
        if graph.nodes[index].is_variable:
            raise InputError(f"network cannot be exported: expected outputs that layers compute, received {name}, "
                             f"which is {graph.nodes[index].name} itself")
    names = _name_heads(graph, names)
    graph.sort()
    _give_own_names(graph, names)
    return graph.to_symbol()


def _shapes(symbol, name, image_shape):
    """Return the Shapes of a symbol, as far as MXNet can tell."""
    found = []
    for batch in (2, 3):
        with contextlib.redirect_stdout(io.StringIO()), quiet_native():
            try:
                found.append(symbol.get_internals().infer_shape_partial(**{name: (batch, *image_shape)})[1] or [])
            except mx.base.MXNetError:
                found.append([])
    return Shapes(inner_edges(symbol), *found)


def _rewrite(graph, node, shapes):
    """Write one node as the exporter reads it."""
    if node.op in _IDENTITIES:
        if node.op == "Dropout" and node.attrs.get("mode", "training") == "always":
            raise InputError(f"network cannot be exported: expected layers that compute the same each time, received "
                             f"{node.name}, a Dropout in mode 'always'")
        _bypass(graph, node)
    elif node.op in _SOFTMAXES:
        _write_softmax(graph, node, len(shapes.of(node.inputs[0]) or ()) or None)
    elif node.op == "LogisticRegressionOutput":
        node.op, node.attrs, node.inputs = "sigmoid", {}, node.inputs[:1]
    elif node.op == "L2Normalization":
        _write_l2_normalization(graph, node, len(shapes.of(node.inputs[0]) or ()) or None)
    elif node.op == "FullyConnected" and len(shapes.of(node.inputs[0]) or ()) == 2:
        node.attrs["flatten"] = "True"  # of rows it says nothing, but the exporter writes Shape, Slice and Concat


def _bypass(graph, node):
    """Let what reads a node read what it reads; a head goes on reading the node, which is then a plain copy."""
    heads = graph.heads
    graph.redirect((node.index, 0), node.inputs[0], [other for other in graph.nodes if other is not node])
    graph.heads = heads
    node.op, node.attrs, node.inputs = "_copy", {}, node.inputs[:1]


def _write_softmax(graph, node, dimensions):
    """Write a softmax of any kind as ``softmax`` or ``log_softmax`` of the numbers divided by its temperature."""
    if node.flag("use_length"):
        raise InputError(f"network cannot be exported: expected a softmax over whole rows, received {node.name} with "
                         "use_length")
    axis = _softmax_axis(node, dimensions)
    temperature = node.attrs.get("temperature", "None")
    edge = node.inputs[0]
    if temperature not in ("None", "") and float(temperature) != 1:
        edge = graph.add("_div_scalar", f"{node.name}_over_temperature", {"scalar": temperature}, [edge]).index, 0
    if node.op == "softmin":
        edge = graph.add("negative", f"{node.name}_negative", {}, [edge]).index, 0
    node.op = "log_softmax" if node.op == "log_softmax" else "softmax"
    node.attrs, node.inputs = {"axis": str(axis)}, [edge]


def _softmax_axis(node, dimensions):
    """Return the axis a softmax runs over, -1 for the last."""
    if node.op == "SoftmaxOutput" and not node.flag("multi_output"):
        if not node.flag("preserve_shape") and dimensions != 2:
            raise InputError("network cannot be exported: expected a SoftmaxOutput of rows (N, K), or with "
                             f"multi_output or preserve_shape, received {node.name} of {dimensions or 'unknown'} "
                             "dimensions: MXNet takes the softmax over the last one on a CPU and over all of them on a "
                             "GPU")
        axis = -1
    elif node.op == "SoftmaxActivation":
        axis = 1 if node.attrs.get("mode") == "channel" else -1
    else:
        axis = int(node.attrs.get("axis", -1)) if node.op in ("softmax", "softmin", "log_softmax") else 1
    return -1 if dimensions is not None and axis % dimensions == dimensions - 1 else axis


def _write_l2_normalization(graph, node, dimensions):
    """Write an L2Normalization as what it computes, ``x / sqrt(sum(x^2) + eps)``: ONNX's own has no eps."""
    mode = node.attrs.get("mode", "instance")
    axes = {"channel": "(1,)", "spatial": "(2,3)", "instance": str(tuple(range(1, dimensions or 2)))}[mode]
    edge = node.inputs[0]
    steps = (("square", "square", {}), ("sum", "sum", {"axis": axes, "keepdims": "True"}),
             ("_plus_scalar", "plus_eps", {"scalar": node.attrs.get("eps", "1e-10")}), ("sqrt", "length", {}))
    for op, name, attrs in steps:
        edge = graph.add(op, f"{node.name}_{name}", attrs, [edge]).index, 0
    node.op, node.attrs, node.inputs = "broadcast_div", {}, [node.inputs[0], edge]


def _name_heads(graph, names):
    """Put a copy behind each output that has not its name, or that is another output too; return the names given."""
    seen, given = set(), []
    for position, (edge, name) in enumerate(zip(list(graph.heads), names)):
        while name in given:
            name += "_"
        node = graph.nodes[edge[0]]
        if edge in seen or edge[1] or node.name != name or node.op == "SliceChannel" or node.is_variable:
            graph.heads[position] = graph.add("_copy", name, {}, [edge]).index, 0
        seen.add(edge)
        given.append(name)
    return given


def _give_own_names(graph, names):
    """Give each operator a name of its own, the outputs theirs: old files have two under one, ONNX cannot.

    A name that another operator's begins with is left to the exporter, which calls its helpers so:
    ``fc1_data_flattened``.
    """
    heads = {index for index, _ in graph.heads}
    seen = {*names, *(node.name for node in graph.nodes if node.is_variable)}
    operators = {node.name for node in graph.operators()}
    for node in graph.operators():
        if node.index in heads:
            continue
        if any(node.name[:end] in operators for end, sign in enumerate(node.name) if sign == "_"):
            node.name = f"{OWN}{node.name}"
        while node.name in seen:
            node.name += "_"
        seen.add(node.name)
