"""A layer that several read, kept from being fused with one of them."""
from mxft.network.graph import Graph

_FUSED_INTO = frozenset(("FullyConnected", "Convolution", "BatchNorm"))
# what oneDNN's subgraphs of MXNet 1.9.1 append to them (src/operator/subgraph/mkldnn/mkldnn_{fc,conv}_property.h)
_APPENDED = frozenset(("Activation", "LeakyReLU", "clip", "relu", "sigmoid", "tanh", "square", "sqrt", "exp", "abs"))


def separate_readers(symbol):
    """Keep a layer and its activation apart where something else reads the layer too.

    Bound for inference with oneDNN's fused backend, MXNet 1.9.1 computes an activation into the convolution or
    FullyConnected before it, also where others read that layer, or it is an output: the activation is then lost.
    Of the outputs ``fc1`` and ``sigmoid(fc1)`` the second is the first once more. A BlockGrad, which hands its numbers
    on, ends the subgraph; a ``_copy`` does not.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same symbol where there is nothing to change.
    """
    graph = Graph(symbol)
    readers, heads, changed = graph.consumers(), {index for index, _ in graph.heads}, False
    for node in [node for node in graph.operators() if node.op in _FUSED_INTO]:
        found = readers[node.index]
        if len(found) + (node.index in heads) < 2:
            continue
        appended = [reader for reader in found if reader.op in _APPENDED]
        for reader in appended:
            between = graph.add("BlockGrad", f"{node.name}_for_{reader.name}", {}, [(node.index, 0)])
            graph.redirect((node.index, 0), (between.index, 0), [reader])
            changed = True
    if not changed:
        return symbol
    graph.sort()
    return graph.to_symbol()
