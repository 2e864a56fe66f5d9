"""Cut a network: at a layer, or just before its loss."""
from mxft.network.graph import Graph, internal_output
from mxft.surgery.layers import LOSSES, feature_layer_named


def cut_at(symbol, layer):
    """Return the network up to and including `layer`; its output is that layer's.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.
    """
    return internal_output(symbol, feature_layer_named(symbol, layer).index)


def cut_loss(symbol):
    """Return the network without its loss: the class scores that enter it, and whether a softmax was removed.

    Returns
    -------
    scores : mx.sym.Symbol
        Shape ``(N, classes)``; the symbol itself where it has no loss.
    """
    graph = Graph(symbol)
    for index, _ in graph.heads:
        if graph.nodes[index].op in LOSSES:
            return internal_output(symbol, graph.nodes[index].inputs[0][0])
    return symbol
