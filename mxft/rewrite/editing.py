"""A graph together with its parameters, for the passes that change both."""
import numpy as np

from mxft.compat import mx
from mxft.network.graph import Graph


class Edit:
    """A network's graph with the values of its parameters; what it was made from stays untouched.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Examples
    --------
    >>> import numpy as np
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=1, no_bias=True, name="fc1")
    >>> edit = Edit(net, {"fc1_weight": mx.nd.ones((1, 2))}, {})
    >>> node = edit.graph.operators()[0]
    >>> edit.replace(node, 1, 3 * edit.array(node, 1), "scaled")
    >>> edit.result()[1]["fc1_weight_scaled"].asnumpy().tolist()
    [[3.0, 3.0]]
    """

    def __init__(self, symbol, arg_params, aux_params):
        self.graph = Graph(symbol)
        self._given = symbol, arg_params, aux_params
        self._values = {**arg_params, **aux_params}
        self._names = {node.name for node in self.graph.nodes} | set(self._values)
        self._edges = None
        self._changed = False

    def source(self, node, position=0):
        """Return the node that gives `node` its input at `position`."""
        return self.graph.nodes[node.inputs[position][0]]

    def array(self, node, position):
        """Return the float32 parameter `node` reads at `position` as NumPy, or None where there is no such value."""
        if position >= len(node.inputs) or not self.source(node, position).is_variable:
            return None
        value = self._values.get(self.source(node, position).name)
        return value.asnumpy() if value is not None and value.dtype == np.float32 else None

    def is_only_reader(self, node, position=0):
        """Whether nothing but `node` reads what it has at `position`, and it is no output of the network."""
        if self._edges is None:
            edges = [i for other in self.graph.nodes for i, _ in other.inputs] + [i for i, _ in self.graph.heads]
            self._edges = np.bincount(edges, minlength=len(self.graph.nodes))
        index, output = node.inputs[position]
        return output == 0 and self._edges[index] == 1

    def replace(self, node, position, value, tag):
        """Give `node` at `position` a variable of its own with this value, named after what it had and `tag`."""
        base = self.source(node, position).name if position < len(node.inputs) else f"{node.name}_bias"
        name = f"{base}_{tag}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        self._values[name] = mx.nd.array(value, dtype="float32")
        new = self.add("null", name, {}, [])
        node.inputs[position:position + 1] = [(new.index, 0)]
        self._touch()

    def add(self, op, name, attrs, inputs):
        """Add a node; `inputs` are (node index, output index)."""
        self._touch()
        return self.graph.add(op, name, attrs, inputs)

    def set_attr(self, node, key, value):
        """Set an attribute of an operator."""
        self.graph.set_attr(node, key, value)
        self._touch()

    def read(self, node, edge, position=0):
        """Let `node` read `edge` at `position` instead of what it reads now."""
        node.inputs[position] = edge
        self._touch()

    def bypass(self, node):
        """Let everything that reads `node` read its first input instead."""
        self.graph.redirect((node.index, 0), node.inputs[0])
        self._touch()

    def result(self):
        """Return (symbol, arg_params, aux_params); those given at the start where nothing was changed."""
        if not self._changed:
            return self._given
        self.graph.sort()
        symbol = self.graph.to_symbol()
        wanted = (symbol.list_arguments(), symbol.list_auxiliary_states())
        return (symbol, *({name: self._values[name] for name in names if name in self._values} for names in wanted))

    def _touch(self):
        self._changed, self._edges = True, None


def is_map_convolution(node):
    """Whether a node is a 2-D Convolution in the layout (N, C, H, W)."""
    return (node.op == "Convolution" and len(node.numbers("kernel")) == 2
            and node.attrs.get("layout", "None") in ("None", "NCHW"))


def scale_and_shift(edit, node, factor, shift, tag):
    """Let a Convolution or FullyConnected give ``factor·y + shift``, each of shape ``(C,)``, where it gave ``y``.

    Returns False, and changes nothing, where its weights have no value.
    """
    weight = edit.array(node, 1)
    bias = 0. if node.flag("no_bias") else edit.array(node, 2)
    if weight is None or bias is None:
        return False
    edit.replace(node, 1, weight * factor.reshape((-1,) + (1,) * (weight.ndim - 1)), tag)
    edit.replace(node, 2, bias * factor + shift, tag)
    node.attrs["no_bias"] = "False"
    return True


def zero_padding(node):
    """Return ((top, bottom), (left, right)) of a Pad that puts zeros around a map, else None."""
    if node.op not in ("Pad", "pad") or node.attrs.get("mode") != "constant":
        return None
    widths = node.numbers("pad_width")
    if float(node.attrs.get("constant_value", 0)) or len(widths) != 8 or any(widths[:4]) or min(widths) < 0:
        return None
    return widths[4:6], widths[6:]
