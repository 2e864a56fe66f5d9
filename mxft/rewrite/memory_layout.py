"""Which blocked memory layouts oneDNN gives the maps of a network: known from the channels of its convolutions.

oneDNN keeps a map in blocks of 16 channels (a register of AVX-512) or of 8 (AVX2), as the convolutions beside it ask.
"""
from mxft.rewrite.channels import FUSED_BATCH_NORM, joined, known_channels

_CONVOLUTIONS = ("Convolution", "Deconvolution")
_HANDED_THROUGH = ("BatchNorm", FUSED_BATCH_NORM, "Activation", "relu", "clip", "elemwise_add")


def channel_blocks(graph):
    """Return, for each node, the block sizes of the convolutions its output comes from or goes to.

    Parameters
    ----------
    graph : mxft.network.graph.Graph

    Returns
    -------
    list of frozenset of int
        16, 8 or, for other channel counts, 1. Whatever lies between two convolutions hands layouts through, forward or
        backward: its nodes have the same set. One element in it: the map and its gradient have one layout. Operators
        with a mind of their own, such as pooling, count as 1 (the gradient that a global pooling passes on is laid out
        as its size suggests, and kills the fused BatchNorm before it).

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.network.graph import Graph
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=32, name="conv0")
    >>> net = mx.sym.Convolution(mx.sym.relu(net, name="relu0"), kernel=(1, 1), num_filter=24, name="conv1")
    >>> graph = Graph(net)
    >>> {node.name: sorted(blocks) for node, blocks in zip(graph.nodes, channel_blocks(graph)) if not node.is_variable}
    {'conv0': [8, 16], 'relu0': [8, 16], 'conv1': [8]}
    """
    pairs = [(source, node.index) for node in graph.operators() if node.op not in _CONVOLUTIONS
             for source, _ in node.inputs if not graph.nodes[source].is_variable]
    group, channels, blocks = joined(len(graph.nodes), pairs), known_channels(graph), {}
    for node in graph.operators():
        if node.op in _CONVOLUTIONS:
            size = _block_of(graph, node, channels)
            for index in (node.index, node.inputs[0][0]):
                blocks.setdefault(group[index], set()).add(size)
        elif node.op not in _HANDED_THROUGH:
            blocks.setdefault(group[node.index], set()).add(1)
    return [frozenset(blocks.get(g, ())) for g in group]


def _block_of(graph, node, channels):
    """Return the block a convolution's input and output are in."""
    given, read, groups = channels[node.index], channels[node.inputs[0][0]], int(node.attrs.get("num_group", 1))
    if node.op != "Convolution" or given is None:
        return 1
    if read is None:  # a network's first convolution reads pixels as they are; of another one too little is known
        first = not any(graph.nodes[i].op in _CONVOLUTIONS for i in graph.ancestors(node.inputs[0][0]))
        return _block(given) if first and groups == 1 else 1
    if groups == read == given:
        return _block(groups)
    return min(_block(read // groups), _block(given // groups))


def _block(channels):
    return next(size for size in (16, 8, 1) if channels % size == 0)
