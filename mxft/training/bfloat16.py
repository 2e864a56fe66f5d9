"""Training in bfloat16 on CPUs that multiply it faster: convolutions and what lies between them, the rest in float32.

Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training" (arXiv:1905.12322). bfloat16 has the range of float32:
no loss scale, and no update is skipped. Parameters, BatchNorm's scale, shift and statistics, heads and losses are
float32; each weight is cast within the graph, and its gradient comes back through the cast. MXNet's own pass for this
(``mxnet.contrib.amp``) chooses by operators alone: here each layer is chosen by the kernels oneDNN 2.4 has for it.
"""
import math

from mxft.inference.bfloat16 import gains_from_bfloat16
from mxft.network.graph import Graph, first_outputs
from mxft.rewrite.channels import BLOCK, FUSED_BATCH_NORM
from mxft.rewrite.editing import is_map_convolution

LEAST_SHARE = 0.8  # of a network's multiplications that `auto` wants in bfloat16: casts cost what the others gain
_FLOAT32 = "0"  # as MXNet numbers types
_WEIGHTED = ("Convolution", "FullyConnected", "Deconvolution")
_BATCH_NORMS = ("BatchNorm", FUSED_BATCH_NORM)
_SUMS = ("elemwise_add", "_Plus", "_plus")


def bfloat16_for_training(symbol, options, device_type, data, fixed=()):
    """Return the graph to bind for training in the precision that is asked for, and the names of what changed it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Rewritten for training.
    options : mxft.training.fit.FitOptions or mxft.faces.training.options.FaceOptions
        `precision` and `accumulate` are read.
    device_type : str
        Of the contexts.
    data : list of mx.io.DataDesc
        The network's inputs.
    fixed : sequence of str
        The variables that get no gradient.

    Returns
    -------
    symbol : mx.sym.Symbol
    applied : tuple of str
        ``("bfloat16",)``, or empty where the graph is as it was: ``fp32``, or ``auto`` where it would not gain.
    """
    if device_type != "cpu" or options.precision not in ("bf16", "auto") or not gains_from_bfloat16():
        return symbol, ()
    shapes = {desc.name: desc.shape for desc in data}
    if options.precision == "auto" and share_in_bfloat16(symbol, shapes) < LEAST_SHARE:
        return symbol, ()
    changed = bfloat16_layers(symbol, shapes, options.accumulate > 1, fixed)
    return changed, () if changed is symbol else ("bfloat16",)


def bfloat16_layers(symbol, shapes, adds=False, fixed=()):
    """Let the layers of a network that are faster in bfloat16 compute in it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    shapes : dict of str to tuple of int
        Of its inputs, such as ``{"data": (N, C, H, W)}``.
    adds : bool
        Gradients are added to what is there (``grad_req="add"``).
    fixed : sequence of str
        The variables that get no gradient.

    Returns
    -------
    mx.sym.Symbol
        The same arguments, states and outputs, all float32; the symbol itself where no layer would gain.

    Notes
    -----
    In bfloat16 are the convolutions oneDNN has kernels of its own for, which want blocks of 16 channels, and the
    BatchNorm, ReLU, leaky ReLU, sum, pooling and concatenation whose inputs all come from there. In float32 stay
    fully connected layers (casting their weights costs what they gain), a layer behind which no other has weights, and
    all else. A first convolution of 3 channels is given a fourth of zeros: with an odd number MXNet falls back to a
    kernel that leaves the map in the plain layout, where the BatchNorm behind it takes 30 times as long. Also left in
    float32: larger kernels beside a bias, whose gradient takes ten times as long, and global pooling, whose gradient
    comes in a layout no fast kernel takes.
    """
    layers = _Layers(symbol, shapes)
    if not layers.chosen:
        return symbol
    layers.fill_odd_inputs()
    layers.cast(adds, set(fixed))
    return layers.symbol()


def share_in_bfloat16(symbol, shapes):
    """Return the part of a network's multiplications that `bfloat16_layers` computes in bfloat16, 0 to 1."""
    layers = _Layers(symbol, shapes)
    counts = {node.index: layers.multiplications(node) for node in layers.graph.operators() if node.op in _WEIGHTED}
    return sum(counts[index] for index in counts if index in layers.chosen) / max(1, sum(counts.values()))


class _Layers:
    """The graph of a network, and which of its nodes are to compute in bfloat16."""

    def __init__(self, symbol, shapes):
        self.graph, internals = Graph(symbol), symbol.get_internals()
        found = internals.infer_shape_partial(**shapes)[1]
        self._shapes = [found[position] or () for position in first_outputs(symbol)]
        self._weights_before = self._count_weights()
        self.chosen = set()
        for node in self.graph.operators():
            if self._is_fast(node) or self._follows(node):
                self.chosen.add(node.index)

    def symbol(self):
        """Return the network as it now is."""
        self.graph.sort()
        return self.graph.to_symbol()

    def multiplications(self, node):
        """Return how many multiplications a weighted layer does."""
        weight, given = self._shapes[node.inputs[1][0]], self._shapes[node.index]
        return math.prod(weight) * math.prod(given[2:]) * (given[0] if given else 0)

    def _count_weights(self):
        """Note what lies before some layer with weights; return the indices of the nodes that have some before them."""
        self._before_weights, behind = set(), set()
        for node in self.graph.operators():
            if node.op in _WEIGHTED:
                self._before_weights |= self.graph.ancestors(node.inputs[0][0])
            if any(i in behind or self.graph.nodes[i].op in _WEIGHTED for i, _ in node.inputs):
                behind.add(node.index)
        return behind

    def _is_fast(self, node):
        """Whether oneDNN has a kernel of its own for a convolution in bfloat16, forward and backward."""
        if not is_map_convolution(node) or node.index not in self._before_weights:
            return False
        weight, read = self._shapes[node.inputs[1][0]], self._shapes[node.inputs[0][0]]
        if len(weight) != 4 or len(read) != 4:
            return False
        if len(node.inputs) == 3 and node.numbers("kernel") != (1, 1):
            return False
        given, groups = weight[0], int(node.attrs.get("num_group", 1))
        if groups == read[1] == given:
            return groups % BLOCK == 0
        if groups == 1 and read[1] < BLOCK:
            return given % BLOCK == 0 and node.index not in self._weights_before
        return read[1] % groups == 0 and (read[1] // groups) % BLOCK == 0 and (given // groups) % BLOCK == 0

    def _follows(self, node):
        """Whether a node computes in bfloat16 because what it reads does."""
        if not all(i in self.chosen and self._is_blocked(i) for i, _ in self._maps(node)):
            return False
        kind = node.attrs.get("act_type")
        return (node.op in _SUMS
                or node.op in _BATCH_NORMS and node.attrs.get("axis", "1") == "1" and not node.flag("output_mean_var")
                or node.op == "Activation" and kind == "relu"
                or node.op == "LeakyReLU" and kind == "leaky"
                or node.op == "Pooling" and not node.flag("global_pool")
                and node.attrs.get("pool_type", "max") in ("max", "avg")
                or node.op == "Concat" and node.attrs.get("dim", "1") == "1")

    def _is_blocked(self, index):
        return len(self._shapes[index]) == 4 and self._shapes[index][1] % BLOCK == 0

    def _maps(self, node):
        """Return the inputs that are of the type the node computes in: BatchNorm's parameters are float32."""
        return node.inputs[:1] if node.op in _BATCH_NORMS else node.inputs

    def fill_odd_inputs(self):
        """Give first convolutions with an odd number of input channels one of zeros more."""
        for node in list(self.graph.operators()):
            if node.index in self.chosen and is_map_convolution(node) and node.attrs.get("num_group", "1") == "1":
                weight = self._shapes[node.inputs[1][0]]
                if weight[1] % 2:
                    self._fill(node, weight)

    def _fill(self, node, weight):
        add, source = self.graph.add, self.graph.nodes[node.inputs[1][0]]
        if source.is_variable:  # nothing but the convolution told its shape
            source.attrs["__shape__"] = str(weight)
        part = add("slice_axis", node.name + "_part", {"axis": "1", "begin": "0", "end": "1"}, node.inputs[:1])
        zeros = {0: add("zeros_like", node.name + "_zeros", {}, [(part.index, 0)]),
                 1: add("_zeros", node.name + "_weight_zeros", {"shape": str((weight[0], 1, *weight[2:]))})}
        for position, more in zeros.items():
            both = add("Concat", f"{node.name}_even_{position}", {"dim": "1", "num_args": "2"},
                       [node.inputs[position], (more.index, 0)])
            node.inputs[position] = (both.index, 0)

    def cast(self, adds, fixed):
        """Put a cast between what computes in bfloat16 and what does not."""
        casts = {}
        for node in self.graph.nodes:
            if node.is_variable:
                node.attrs.setdefault("__dtype__", _FLOAT32)  # or nothing tells what a cast of a parameter reads

        def read(edge, in_bfloat16):
            if (edge[0] in self.chosen) == in_bfloat16:
                return edge
            if edge not in casts:
                casts[edge] = self._add_cast(edge, "bfloat16" if in_bfloat16 else "float32", adds, fixed), 0
            return casts[edge]

        for node in self.graph.operators():
            maps = len(self._maps(node)) if node.index in self.chosen else 0
            node.inputs = [read(edge, position < maps) for position, edge in enumerate(node.inputs)]
        self.graph.heads = [read(edge, False) for edge in self.graph.heads]

    def _add_cast(self, edge, kind, adds, fixed):
        """Add the cast of an edge; return its index."""
        source, name = self.graph.nodes[edge[0]], f"{self.graph.nodes[edge[0]].name}_{edge[1]}_{kind}"
        if adds and source.is_variable and source.name not in fixed:
            edge = self.graph.add("_copy", name + "_own", {}, [edge]).index, 0  # MXNet's cast does not add a gradient
        return self.graph.add("amp_cast", name, {"dtype": kind}, [edge]).index
