"""A layer that several read, kept from being fused with one of them."""
from mxft.network.graph import Graph

# what oneDNN's subgraphs of MXNet 1.9.1 append to a layer (src/operator/subgraph/mkldnn/mkldnn_{fc,conv}_property.h)
_APPENDED = {"FullyConnected": ("Activation", "LeakyReLU", "clip", "square", "sqrt", "exp", "abs"),
             **dict.fromkeys(("Convolution", "BatchNorm", "elemwise_add"), ("Activation", "LeakyReLU", "clip"))}


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

    Notes
    -----
    A convolution, alone or with its BatchNorm or sum, loses what follows it where it is an output or a sum reads it
    too, as in a pre-activation ResNet; MXNet leaves it unfused where another operator does, as of a PReLU that is
    written out. A BatchNorm over another axis than the channels' is fused as if it were over them: never, here.
    """
    graph = Graph(symbol)
    readers, heads, changed = graph.consumers(), {index for index, _ in graph.heads}, False
    for node in [node for node in graph.operators() if node.op in _APPENDED]:
        for reader in readers[node.index]:
            if _is_lost(node, reader, readers[node.index], node.index in heads):
                between = graph.add("BlockGrad", f"{node.name}_for_{reader.name}", {}, [(node.index, 0)])
                graph.redirect((node.index, 0), (between.index, 0), [reader])
                changed = True
    if not changed:
        return symbol
    graph.sort()
    return graph.to_symbol()


def _is_lost(node, reader, readers, is_output):
    """Whether MXNet would fuse a reader into a layer that it must not be fused into."""
    if node.op == "Convolution" and reader.op == "BatchNorm" and int(reader.attrs.get("axis", 1)) != 1:
        return True
    if node.op == "FullyConnected":
        return (is_output or len(readers) > 1) and reader.op in _APPENDED[node.op]
    sums = sum(edge[0] == node.index for each in readers if each.op == "elemwise_add" for edge in each.inputs)
    if reader.op == "elemwise_add":
        return is_output or sums > 1
    fused = (*_APPENDED[node.op], "BatchNorm") if node.op == "Convolution" else _APPENDED[node.op]
    return (is_output or sums > 0) and reader.op in fused
