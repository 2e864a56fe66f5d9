"""A layer that several read, kept from being fused with one of them."""
from mxft.network.graph import Graph

# what oneDNN's subgraphs of MXNet 1.9.1 append to a layer (src/operator/subgraph/mkldnn/mkldnn_{fc,conv}_property.h)
_APPENDED = {"FullyConnected": ("Activation", "LeakyReLU", "clip", "square", "sqrt", "exp", "abs"),
             **dict.fromkeys(("Convolution", "BatchNorm", "elemwise_add"), ("Activation", "LeakyReLU", "clip"))}
_GOES_ON = ("BatchNorm", "elemwise_add")  # what a subgraph goes on with: it cannot be bound if its layer is an output


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
    A convolution, alone or with its BatchNorm or sum, loses its activation where it is an output or a sum reads it too;
    MXNet leaves it unfused where another operator does, as of a PReLU that is written out.
    """
    graph = Graph(symbol)
    readers, heads, changed = graph.consumers(), {index for index, _ in graph.heads}, False
    for node in [node for node in graph.operators() if node.op in _APPENDED]:
        found, is_output = readers[node.index], node.index in heads
        lost = len(found) > 1 if node.op == "FullyConnected" else any(reader.op == "elemwise_add" for reader in found)
        for reader in found if is_output or lost else ():
            if reader.op in _APPENDED[node.op] or (is_output and reader.op in _GOES_ON):
                between = graph.add("BlockGrad", f"{node.name}_for_{reader.name}", {}, [(node.index, 0)])
                graph.redirect((node.index, 0), (between.index, 0), [reader])
                changed = True
    if not changed:
        return symbol
    graph.sort()
    return graph.to_symbol()
