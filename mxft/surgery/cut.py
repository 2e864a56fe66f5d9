"""Cut a network: at a layer, or just before its loss."""
from typing import Any

from mxft.network.anatomy import anatomy_of
from mxft.network.graph import internal_output
from mxft.surgery.layers import feature_layer_named


def cut_at(symbol: Any, layer: str) -> Any:
    """Return the network up to and including `layer`; its output is that layer's.

    Raises
    ------
    InputError
        There is no such layer; the nearest names are given.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.Flatten(mx.sym.Variable("data"), name="flatten0")
    >>> cut_at(mx.sym.FullyConnected(net, num_hidden=10, name="fc1"), "flatten0").list_outputs()
    ['flatten0_output']
    """
    return internal_output(symbol, feature_layer_named(symbol, layer).index)


def cut_loss(symbol):
    """Return the network without its loss: what its first output is computed from, class scores before a softmax.

    Returns
    -------
    scores : mx.sym.Symbol
        Shape ``(N, classes)``; the symbol itself where it has no loss.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=10, name="fc1")
    >>> cut_loss(mx.sym.SoftmaxOutput(net, name="softmax")).list_outputs()
    ['fc1_output']
    """
    return internal_output(symbol, *anatomy_of(symbol).output().scores)
