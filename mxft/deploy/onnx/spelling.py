"""Operators MXNet's ONNX exporter does not know in every form of theirs, spelled in a form that it does."""
from mxft.network.operators import find_operator

# what MXNet takes where the file says nothing, and the exporter otherwise
_DEFAULTS = {"LRN": {"knorm": "2"}, "_split_v2": {"axis": "1"}, "_contrib_box_nms": {"force_suppress": "False"},
             "_contrib_ROIAlign": {"sample_ratio": "-1"}}
_SPELLED = {"1": "True", "true": "True", "0": "False", "false": "False"}


def spell(graph, node, shapes):
    """Write one node of any operator as the exporter reads it.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
        It is changed.
    node : mxft.network.graph.Node
    shapes : Shapes
    """
    if node.op == "Reshape":
        _write_reshape(node, shapes)
    elif node.op == "BatchNorm":
        _write_batch_norm(graph, node, shapes)
    elif node.op == "Crop" and node.flag("center_crop"):
        _write_crop(graph, node, shapes)
    for key, value in _DEFAULTS.get(node.op, {}).items():
        node.attrs.setdefault(key, value)
    for key, kind in find_operator(node.op).attributes.items():
        if kind.startswith("boolean"):
            if kind.endswith("default=1"):
                node.attrs.setdefault(key, "True")  # the exporter takes what is not written for False
            if key in node.attrs:
                node.attrs[key] = _SPELLED.get(node.attrs[key], node.attrs[key])


def _write_reshape(node, shapes):
    """Write MXNet's own codes (-2, -3, -4, reverse) as the numbers they come to; what goes with the batch is -1."""
    codes, found = node.numbers("shape"), shapes.by_batch(node.index)
    if found is None or not (node.flag("reverse") or min(codes, default=0) < -1):
        return
    if sum(length < 0 for length in found) < 2:
        node.attrs = {"shape": str(found)}


def _write_batch_norm(graph, node, shapes):
    """Bring the channels of a BatchNorm to the second axis, if they are on another, and back behind it."""
    shape = shapes.of(node.inputs[0])
    axis = int(node.attrs.get("axis", 1))
    if shape is None or axis == 1:
        return
    axis, node.attrs["axis"] = axis % len(shape), "1"
    if axis == 1:
        return
    order = [0, axis, *(other for other in range(1, len(shape)) if other != axis)]
    back = [order.index(place) for place in range(len(shape))]
    turned = graph.add("transpose", f"{node.name}_turned", {"axes": str(tuple(order))}, [node.inputs[0]])
    node.inputs[0] = (turned.index, 0)
    again = graph.add("transpose", f"{node.name}_back", {"axes": str(tuple(back))}, [(node.index, 0)])
    graph.redirect((node.index, 0), (again.index, 0))
    again.inputs = [(node.index, 0)]


def _write_crop(graph, node, shapes):
    """Write a Crop of the middle as slices."""
    source, found = shapes.of(node.inputs[0]), shapes.of((node.index, 0))
    if source is None or found is None:
        return
    edge = node.inputs[0]
    for axis in (2, 3):
        begin = (source[axis] - found[axis]) // 2
        attrs = {"axis": str(axis), "begin": str(begin), "end": str(begin + found[axis])}
        if axis == 2:
            edge = graph.add("slice_axis", f"{node.name}_rows", attrs, [edge]).index, 0
    node.op, node.attrs, node.inputs = "slice_axis", attrs, [edge]


class Shapes:
    """What each edge of a symbol's graph has for shape, for batches of two and of three images.

    Parameters
    ----------
    edges : list of (node index, output index)
    two, three : list of tuple of int
        The shape of each; empty where it is not known.
    """

    def __init__(self, edges, two, three):
        self._two, self._three = dict(zip(edges, two)), dict(zip(edges, three))

    def of(self, edge):
        """Return the shape of an edge for two images; None where it, or a length of it, is not known."""
        found = self._two.get(edge)
        return found if found and all(found) else None

    def by_batch(self, index):
        """Return the shape of a node's first output, -1 for what goes with the batch; None where it is not known."""
        two, three = self.of((index, 0)), self._three.get((index, 0))
        if two is None or not three or len(two) != len(three):
            return None
        return tuple(length if length == other else -1 for length, other in zip(two, three))
