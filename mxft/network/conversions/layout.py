"""NHWC networks computed as NCHW: MXNet 1.9.1's convolutions on a CPU know no other layout."""

_TO_FIRST, _TO_LAST = "(0, 3, 1, 2)", "(0, 2, 3, 1)"
# operators that treat every number of a map alike: their layout is that of their inputs
_ALIKE = frozenset((
    "Activation", "Cast", "Dropout", "clip", "relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "abs",
    "negative", "hard_sigmoid", "softsign", "BlockGrad", "_copy", "_plus_scalar", "_minus_scalar", "_rminus_scalar",
    "_mul_scalar", "_div_scalar", "_rdiv_scalar", "_maximum_scalar", "_minimum_scalar", "_power_scalar",
    "elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div", "add_n"))


def to_channels_first(opened):
    """Compute in NCHW what a graph computes in NHWC; return notes.

    Convolutions and poolings are given NCHW maps and weights; what lies between them (BatchNorm, activations, sums,
    concatenation) goes along; where anything else reads a map, it is transposed back for it. An image that comes in
    as NHWC comes in as NCHW from then on.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        An NHWC Deconvolution or a layout of one or three dimensions, by name.
    """
    graph = opened.graph
    layers = [node for node in graph.operators() if node.attrs.get("layout") in ("NHWC", "NWC", "NDHWC")]
    if not layers:
        return []
    for node in layers:
        if node.attrs["layout"] != "NHWC" or node.op not in ("Convolution", "Pooling"):
            raise ValueError(f"{node.op} {node.name!r}: expected Convolution or Pooling in the layout NCHW or NHWC, "
                             f"received layout={node.attrs['layout']}")
    maps = _Maps(opened)
    maps.find_image(layers[0])
    for node in list(graph.operators()):
        maps.visit(node)
    maps.finish()
    image = ", the image too" if maps.image else ""
    return [f"NHWC as NCHW ({len(layers)} layers{image})"]


class _Maps:
    """Which edges are NHWC maps in the file, and the NCHW edge that has taken the place of each."""

    def __init__(self, opened):
        self._graph, self._values = opened.graph, opened.values
        self._first = {}    # NHWC edge -> NCHW edge
        self._moved = set()  # nodes whose output is NCHW now where it was NHWC
        self._same = {}     # edge of a transpose that is needed no more -> the edge it turned back
        self._back, self._turned = {}, set()
        self.image = False

    def find_image(self, layer):
        """Follow the map an NHWC layer reads back to the image, if that comes in as NHWC."""
        edge = layer.inputs[0]
        node = self._graph.nodes[edge[0]]
        while node.op in _ALIKE or (node.op == "BatchNorm" and int(node.attrs.get("axis", 1)) in (3, -1)):
            edge = node.inputs[0]
            node = self._graph.nodes[edge[0]]
        if node.is_variable and node.name not in self._values:
            self.image = True
            _turn_shape(node)
            self._first[edge] = edge
            self._moved.add(node.index)

    def visit(self, node):
        node.inputs = [self._same.get(edge, edge) for edge in node.inputs]
        if node.attrs.get("layout") == "NHWC":
            node.attrs["layout"] = "NCHW"
            node.inputs[0] = self._as_first(node.inputs[0])
            if node.op == "Convolution":
                self._turn_weight(node)
        elif node.op == "transpose" and node.attrs.get("axes", "").replace(" ", "") == _TO_LAST.replace(" ", ""):
            self._first[node.index, 0] = node.inputs[0]  # an NCHW map was turned for NHWC layers
            return
        elif node.op == "transpose" and node.inputs[0] in self._first and node.attrs.get("axes", "").replace(
                " ", "") == _TO_FIRST.replace(" ", ""):
            self._same[node.index, 0] = self._first[node.inputs[0]]
            return
        elif self._goes_along(node):
            node.inputs = [self._first.get(edge, edge) for edge in node.inputs]
        else:
            node.inputs = [self._as_last(edge) for edge in node.inputs]
            return
        self._first[node.index, 0] = (node.index, 0)
        self._moved.add(node.index)

    def _goes_along(self, node):
        """Whether an operator can compute on NCHW maps what it did on NHWC ones; its axis is turned if so."""
        maps = [edge in self._first for edge in node.inputs]
        if not any(maps):
            return False
        if node.op in _ALIKE:
            return all(maps)
        if node.op == "BatchNorm" and int(node.attrs.get("axis", 1)) in (3, -1):
            node.attrs["axis"] = "1"
            return True
        if node.op == "Concat" and all(maps) and int(node.attrs.get("dim", 1)) in (3, -1):
            node.attrs["dim"] = "1"
            return True
        return False

    def _as_first(self, edge):
        """Return the NCHW edge of an NHWC map."""
        if edge not in self._first:
            name = self._graph.nodes[edge[0]].name
            turned = self._graph.add("transpose", name + "_nchw", {"axes": _TO_FIRST}, [edge])
            self._first[edge] = (turned.index, 0)
        return self._first[edge]

    def _as_last(self, edge):
        """Return the edge that gives what an operator of neither kind expects: NHWC where it was so."""
        if edge not in self._first or edge[0] not in self._moved:
            return edge
        if edge not in self._back:
            node = self._graph.nodes[edge[0]]
            turned = self._graph.add("transpose", node.name + "_nhwc", {"axes": _TO_LAST}, [edge])
            self._back[edge] = (turned.index, 0)
        return self._back[edge]

    def finish(self):
        """Give outputs that are maps in the layout they had."""
        self._graph.heads = [self._as_last(self._same.get(edge, edge)) for edge in self._graph.heads]

    def _turn_weight(self, node):
        variable = self._graph.nodes[node.inputs[1][0]]
        if not variable.is_variable:
            raise ValueError(f"Convolution {node.name!r}: expected a parameter as the weight of an NHWC layer, "
                             f"received the output of {variable.op} {variable.name!r}")
        if variable.name in self._turned:  # two layers share it
            return
        self._turned.add(variable.name)
        _turn_shape(variable)
        if variable.name in self._values:
            self._values[variable.name] = self._values[variable.name].transpose((0, 3, 1, 2))


def _turn_shape(variable):
    shape = variable.numbers("__shape__")
    if len(shape) == 4:
        variable.attrs["__shape__"] = str((shape[0], shape[3], shape[1], shape[2]))
    if "__layout__" in variable.attrs:
        variable.attrs["__layout__"] = "NCHW"
