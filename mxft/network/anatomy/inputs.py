"""What a network reads: its image, other inputs, labels; told from parameters by where operators read them."""
import dataclasses
from typing import Optional

from mxft.network.operators import find_operator

# names MXNet's operators give to inputs that are learned, or tracked; whatever reads them there is no image
PARAMETER_SLOTS = frozenset((
    "weight", "bias", "gamma", "beta", "moving_mean", "moving_var", "moving_avg", "parameters", "quantized_weight",
    "parameters_size"))
_LABEL_SLOT = "label"
_LABEL_LOSSES = frozenset((
    "SoftmaxOutput", "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput", "SVMOutput",
    "softmax_cross_entropy", "CTCLoss"))
_SPATIAL = frozenset((
    "Convolution", "Deconvolution", "Pooling", "Pooling_v1", "Pad", "BatchNorm", "Convolution_v1"))


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a network.

    Parameters
    ----------
    name : str
    is_image : bool
        Whether convolutions read it, as far as the graph tells.
    channels : int or None
        Of an image; None where neither weights nor the graph tell.
    size : tuple of int or None
        ``(H, W)`` in pixels, as the manifest or the variable's own shape says.
    layout : str
        ``"NCHW"``.
    dtype : str
    normalisation : str
        What the graph itself does to it first, ``"(x - 127.5) * 0.0078125"``; empty where nothing.
    is_index : bool
        Whether an Embedding looks its numbers up: words or categories, no pixels.
    """

    name: str
    is_image: bool
    channels: Optional[int]
    size: Optional[tuple]
    layout: str = "NCHW"
    dtype: str = "float32"
    normalisation: str = ""
    is_index: bool = False


def find_inputs(graph, shapes, spec=None):
    """Return a network's inputs, image first, and its labels.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    shapes : dict of str to tuple of int
        Of the parameters and states a checkpoint has; empty where they are not known.
    spec : mxft.network.input_spec.InputSpec, optional
        The manifest's.

    Returns
    -------
    inputs : tuple of Input
    labels : tuple of str
        What only losses read.

    Notes
    -----
    An input is a variable without a value in the checkpoint that no operator reads as a weight, bias or statistic.
    Where every variable has a value (some files hold ``data`` too), the one called ``data`` is it, or else the first.
    """
    slots = slots_of(graph)
    labels = [name for name, found in slots.items() if found and found <= {_LABEL_SLOT}]
    free = [name for name, found in slots.items()
            if name not in shapes and name not in labels and not found & PARAMETER_SLOTS]
    if not free:
        names = [name for name, found in slots.items() if not found & PARAMETER_SLOTS and name not in labels]
        free = [name for name in names if name == "data"] or names[:1]
    by_name = [name for name, found in slots.items() if name not in labels and not found & PARAMETER_SLOTS
               and (name == "label" or name.endswith("_label"))]
    if not set(free) <= set(by_name):
        free, labels = [name for name in free if name not in by_name], labels + by_name
    readers, variables = graph.consumers(), {node.name: node for node in graph.nodes if node.is_variable}
    to_maps = _reaching_maps(graph, readers)
    found = [_input(graph, variables[name], shapes, spec if len(free) == 1 else None, readers, to_maps)
             for name in free]
    found.sort(key=lambda one: not one.is_image)
    if not shapes and len(found) > 1:  # without a checkpoint others may be parameters: an image, or data, is meant
        found = [one for one in found if one.is_image][:1] or [one for one in found if one.name == "data"] or found
    if len(found) > 1 and spec and found[0].is_image:
        found[0] = dataclasses.replace(found[0], size=tuple(spec.shape[1:]))
    return tuple(found), tuple(labels)


def slots_of(graph):
    """Return, for each variable, the names of the inputs it is read as: ``{"weight"}``, ``{"data"}``, ``{"lhs"}``.

    Parameters
    ----------
    graph : mxft.network.graph.Graph

    Returns
    -------
    dict of str to set of str
    """
    slots = {node.name: set() for node in graph.nodes if node.is_variable}
    for node in graph.operators():
        names = slot_names(node)
        for position, (index, _) in enumerate(node.inputs):
            if graph.nodes[index].is_variable:
                slots[graph.nodes[index].name].add(names[position] if position < len(names) else "arg")
    return slots


def slot_names(node):
    """Return the names of what a node reads, in order: ``("data", "weight", "bias")``; statistics last."""
    operator = find_operator(node.op)
    if operator is None or operator.takes_any_number:
        return ("arg",) * len(node.inputs)
    names = operator.inputs
    if node.op == "LeakyReLU":
        names = ("data", "gamma")
    if len(names) < len(node.inputs):  # statistics of operators of old, which their description does not name
        names += ("moving_mean", "moving_var")[:len(node.inputs) - len(names)]
    if node.op in _LABEL_LOSSES:
        return names
    return tuple("arg" if name == _LABEL_SLOT else name for name in names)


def _input(graph, node, shapes, spec, readers, to_maps):
    reader, words = _first_layer(graph, node, readers)
    own = node.numbers("__shape__")
    channels, size = (own[1] or None, own[2:]) if len(own) == 4 else (None, None)
    if reader is not None and reader.op in _SPATIAL:
        channels = channels or _channels(graph, reader, shapes)
    if spec is not None:
        size = tuple(spec.shape[1:])
    size = tuple(size) if size and all(size) else None
    is_image = len(own) == 4 or (reader is not None and (reader.op in _SPATIAL or node.index in to_maps))
    is_index = reader is not None and reader.op in ("Embedding", "one_hot")
    return Input(node.name, is_image, channels, size, normalisation=words, is_index=is_index)


def _first_layer(graph, node, readers):
    """Return the first operator behind an input that does more than shift and scale it, and what those before it do."""
    words, index = "x", node.index
    while True:
        found = [reader for reader in readers[index] if graph.nodes[index].is_variable or reader.inputs[0][0] == index]
        reader = found[0] if found else None
        if reader is None or len(found) > 1:
            return reader, "" if words == "x" else words
        step = _step(reader, words)
        if step is None:
            is_norm = reader.op == "BatchNorm" and graph.nodes[index].is_variable
            return (readers[reader.index] or [reader])[0] if is_norm else reader, \
                "BatchNorm" if is_norm else ("" if words == "x" else words)
        words, index = step, reader.index


def _step(node, words):
    """Return in words what a scalar operator makes of ``words``; None where it is none."""
    signs = {"_minus_scalar": "-", "_plus_scalar": "+", "_mul_scalar": "*", "_div_scalar": "/"}
    if node.op in ("_copy", "Cast", "BlockGrad", "transpose"):
        return words
    if node.op not in signs:
        return None
    inner = f"({words})" if " " in words and signs[node.op] in "*/" and not words.startswith("(") else words
    return f"{inner} {signs[node.op]} {float(node.attrs.get('scalar', 0)):.8g}"


def _channels(graph, reader, shapes):
    """Return how many channels the maps a layer reads have, as its parameters tell."""
    if reader.op in ("Pad", "Pooling", "Pooling_v1"):
        following = [node for node in graph.operators() if node.inputs and node.inputs[0][0] == reader.index]
        return _channels(graph, following[0], shapes) if following else None
    names = [graph.nodes[index].name for index, _ in reader.inputs]
    shape = shapes.get(names[1]) if len(names) > 1 else None
    if not shape or reader.op not in ("Convolution", "Convolution_v1", "Deconvolution", "BatchNorm"):
        return None
    if reader.op == "BatchNorm":
        return int(shape[0])
    groups = int(reader.attrs.get("num_group", 1))
    return int(shape[0] if reader.op == "Deconvolution" else shape[1] * groups)


def _reaching_maps(graph, readers):
    """Return the nodes after which a spatial layer comes before anything flattens what they give."""
    found = set()
    for node in reversed(graph.nodes):  # what reads a node stands behind it
        for reader in readers[node.index]:
            spatial = reader.op in _SPATIAL - {"BatchNorm"} and reader.inputs[0][0] == node.index
            if reader.op not in ("Flatten", "FullyConnected") and (spatial or reader.index in found):
                found.add(node.index)
    return found


def needs_of(graph, edge, names):
    """Return which of the variables `names` the value of an edge depends on, labels of losses apart.

    Parameters
    ----------
    graph : Graph
    edge : (node index, output index)
    names : container of str

    Returns
    -------
    set of str
    """
    needed, seen, todo = set(), set(), [edge[0]]
    while todo:
        node = graph.nodes[todo.pop()]
        if node.index in seen:
            continue
        seen.add(node.index)
        if node.is_variable and node.name in names:
            needed.add(node.name)
        skipped = 1 if node.op in _LABEL_LOSSES - {"softmax_cross_entropy", "CTCLoss"} else None
        todo.extend(index for position, (index, _) in enumerate(node.inputs) if position != skipped)
    return needed
