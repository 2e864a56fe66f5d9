"""A symbol's graph as plain Python values, to look at it and to write an altered copy.

MXNet's Symbol can be composed but not walked; its JSON can. Nodes stand in topological order and are told apart by
their index: names need not be unique (an ONNX or Caffe conversion may name a Convolution and its Flatten alike).
"""
import dataclasses
import json

from mxft.compat import mx
from mxft.machine.quiet import quiet_native

_RANDOM_OPS = ("Dropout", "RNN", "Custom")
_RANDOM_PREFIXES = ("_random", "_sample", "random_", "sample_")


@dataclasses.dataclass
class Node:
    """One operator or variable.

    Parameters
    ----------
    index : int
        Position in topological order.
    op : str
        Operator name; ``"null"`` for a variable.
    name : str
    attrs : dict of str to str
    inputs : list of (node index, output index)
    """

    index: int
    op: str
    name: str
    attrs: dict
    inputs: list

    @property
    def is_variable(self):
        return self.op == "null"

    def flag(self, key):
        """Whether a boolean attribute is set, in any of the spellings MXNet has saved."""
        return self.attrs.get(key, "False").lower() in ("true", "1")

    def numbers(self, key, default=()):
        """Return a tuple attribute such as ``kernel`` as ints."""
        text = self.attrs.get(key, "").strip("()[] ")
        return tuple(int(v) for v in text.replace("L", "").split(",") if v.strip()) or default


class Graph:
    """The nodes of a symbol.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Examples
    --------
    >>> from mxft.compat import mx
    >>> graph = Graph(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1"))
    >>> [node.name for node in graph.nodes]
    ['data', 'fc1_weight', 'fc1_bias', 'fc1']
    """

    def __init__(self, symbol):
        content = json.loads(symbol.tojson(remove_amp_cast=False))
        self.nodes = [Node(i, n["op"], n["name"], n.setdefault("attrs", n.pop("attr", n.pop("param", {}))),
                           [tuple(edge[:2]) for edge in n["inputs"]]) for i, n in enumerate(content["nodes"])]
        self.heads = [tuple(head[:2]) for head in content["heads"]]
        self.version = content["attrs"]["mxnet_version"][1]

    @classmethod
    def from_nodes(cls, nodes, heads, version):
        """Return a graph of nodes that come from elsewhere than a symbol.

        Parameters
        ----------
        nodes : list of Node
            In topological order.
        heads : list of (node index, output index)
        version : int
            Of the MXNet that wrote them, ``10901`` for 1.9.1: MXNet brings older ones up to date when it reads them.
        """
        graph = cls.__new__(cls)
        graph.nodes, graph.heads, graph.version = list(nodes), list(heads), version
        return graph

    def operators(self):
        """Return the nodes that are not variables, in order."""
        return [node for node in self.nodes if not node.is_variable]

    def consumers(self):
        """Return {node index: [nodes that read it]}."""
        readers = {node.index: [] for node in self.nodes}
        for node in self.nodes:
            for source in {i for i, _ in node.inputs}:
                readers[source].append(node)
        return readers

    def ancestors(self, index):
        """Return the set of node indices that `index` depends on, itself included."""
        seen, todo = set(), [index]
        while todo:
            i = todo.pop()
            if i not in seen:
                seen.add(i)
                todo.extend(source for source, _ in self.nodes[i].inputs)
        return seen

    def variables_of(self, node, named_in=None):
        """Return the names of the variables a node reads, kept to those in `named_in` where given."""
        names = [self.nodes[i].name for i, _ in node.inputs if self.nodes[i].is_variable]
        return [name for name in names if named_in is None or name in named_in]

    def set_attr(self, node, key, value):
        """Set an attribute on this copy of the graph (the symbol it came from is untouched)."""
        node.attrs[key] = value

    def insert_on_edge(self, node, position, op, name, attrs=None):
        """Put a one-input operator between `node` and its input at `position`."""
        new = Node(node.index, op, name, dict(attrs or {}), [node.inputs[position]])
        shift = {i: i + (i >= new.index) for i in range(len(self.nodes))}
        for other in self.nodes:
            other.index = shift[other.index]
            other.inputs = [(shift[i], o) for i, o in other.inputs]
        self.heads = [(shift[i], o) for i, o in self.heads]
        self.nodes.insert(new.index, new)
        node.inputs[position] = (new.index, 0)
        return new

    def add(self, op, name, attrs=None, inputs=()):
        """Add a node at the end; `sort` brings it where it belongs.

        Returns
        -------
        Node
        """
        node = Node(len(self.nodes), op, name, dict(attrs or {}), list(inputs))
        self.nodes.append(node)
        return node

    def redirect(self, old, new, readers=None):
        """Let what reads the edge `old` read the edge `new`: all nodes and outputs, or the nodes `readers` alone."""
        for node in self.nodes if readers is None else readers:
            node.inputs = [new if edge == old else edge for edge in node.inputs]
        if readers is None:
            self.heads = [new if edge == old else edge for edge in self.heads]

    def redirect_all(self, edges):
        """Do what `redirect` does for many edges in one pass.

        Parameters
        ----------
        edges : dict of edge to edge
            What is read instead of each; that may be redirected itself, in the end to an edge that is not.
        """
        def found(edge):
            while edge in edges:
                edge = edges[edge]
            return edge

        for old in list(edges):  # later ones lead to earlier ones: each way is one step long then
            edges[old] = found(edges[old])
        for node in self.nodes:
            node.inputs = [found(edge) for edge in node.inputs]
        self.heads = [found(edge) for edge in self.heads]

    def sort(self):
        """Bring the nodes the outputs need into topological order, as a symbol's JSON has them; drop the others."""
        order, entered = {}, set()
        todo = [i for i, _ in reversed(self.heads)]
        while todo:
            i = todo[-1]
            waiting = [] if i in entered else [source for source, _ in self.nodes[i].inputs if source not in order]
            entered.add(i)
            if waiting:
                todo.extend(reversed(waiting))
            else:
                order.setdefault(todo.pop(), len(order))
        for node in self.nodes:
            node.inputs = [(order.get(i), o) for i, o in node.inputs]
        self.nodes = [self.nodes[i] for i in order]
        for index, node in enumerate(self.nodes):
            node.index = index
        self.heads = [(order[i], o) for i, o in self.heads]

    def to_symbol(self):
        """Build a new symbol from the nodes as they now are."""
        nodes = [{"op": n.op, "name": n.name, "attrs": n.attrs, "inputs": [[i, o, 0] for i, o in n.inputs]}
                 for n in self.nodes]
        graph = {"nodes": nodes, "arg_nodes": [n.index for n in self.nodes if n.is_variable],
                 "heads": [[i, o, 0] for i, o in self.heads], "attrs": {"mxnet_version": ["int", self.version]}}
        with quiet_native():
            return mx.sym.load_json(json.dumps(graph))


def symbol_of(content):
    """Return the symbol of a graph in JSON that MXNet itself wrote, subgraphs of a backend included.

    Parameters
    ----------
    content : dict
        Of ``symbol.tojson()``, altered; never of a file, which `mxft.network.graph_file` reads.
    """
    with quiet_native():
        return mx.sym.load_json(json.dumps(content))


def inner_edges(symbol):
    """Return the (node, output) of ``Graph(symbol)`` that each output of ``symbol.get_internals()`` is, in order."""
    inside = json.loads(symbol.get_internals().tojson(remove_amp_cast=False))
    return [(index, output) for index, output, *_ in inside["heads"]]  # by index: names, of outputs too, may repeat


def first_outputs(symbol):
    """Return, for each node of ``Graph(symbol)``, the position of its first output in ``symbol.get_internals()``."""
    return [position for position, (_, output) in enumerate(inner_edges(symbol)) if output == 0]


def internal_output(symbol, index, output=0):
    """Return an output of node `index` of ``Graph(symbol)``, the first by default, as a symbol of its own."""
    return symbol.get_internals()[first_outputs(symbol)[index] + output]


def with_unique_names(symbol):
    """Return a symbol whose nodes each have a name of their own: of several with one, all but the first get a number.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same symbol where there is nothing to change. Variables keep their names.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.relu(mx.sym.relu(mx.sym.Variable("data"), name="relu0"), name="relu0")
    >>> with_unique_names(net).get_internals().list_outputs()
    ['data', 'relu0_output', 'relu0_2_output']
    """
    graph = Graph(symbol)
    seen, changed = {node.name for node in graph.nodes if node.is_variable}, False
    for node in graph.operators():
        own, number = node.name, 1
        while node.name in seen:
            number += 1
            node.name, changed = f"{own}_{number}", True
        seen.add(node.name)
    return graph.to_symbol() if changed else symbol


def has_random_layers(symbol):
    """Whether a network draws random numbers as it trains."""
    return any(node.op in _RANDOM_OPS or (node.op or "").startswith(_RANDOM_PREFIXES)
               or node.attrs.get("act_type") == "rrelu" for node in Graph(symbol).operators())
