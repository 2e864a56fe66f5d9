"""The passes for inference, and the graph they leave to bind."""
from mxft.rewrite.flatten import flatten_before_fully_connected
from mxft.rewrite.prelu import prelu_for_inference


def for_inference(symbol, device_type="cpu"):
    """Return the graph to bind for inference on a device of this type; the parameters stay the same.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    device_type : str
        Of the context it will be bound to: a GPU has a fast PReLU of its own.
    """
    symbol = prelu_for_inference(symbol) if device_type == "cpu" else symbol
    return flatten_before_fully_connected(symbol)
