"""How much arithmetic one image is: the multiply-adds of a network's convolutions and fully connected layers."""
import math

from mxft.network.graph import Graph
from mxft.surgery.layers import node_shapes

_WEIGHTED = {"Convolution", "Deconvolution", "FullyConnected"}


def multiply_adds(symbol, image_shape):
    """Return the multiply-adds of a forward pass of one image, of the layers that have weights.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    image_shape : tuple of int
        ``(C, H, W)``.

    Returns
    -------
    int
        A training step does about three times as many: forward, and backward to features and to weights.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=8, kernel=(3, 3), pad=(1, 1), name="conv0")
    >>> multiply_adds(net, (3, 10, 10)) == 8 * 3 * 3 * 3 * 10 * 10
    True
    """
    graph, shapes, total = Graph(symbol), node_shapes(symbol, image_shape), 0
    for node in graph.nodes:
        if node.op in _WEIGHTED:
            source, weight = (shapes[number] for number, *_ in node.inputs[:2])
            maps = source if node.op == "Deconvolution" else shapes[node.index]
            total += math.prod(weight or ()) * (1 if node.op == "FullyConnected" else math.prod((maps or ())[2:]))
    return total
