"""The passes for training, by name, and the graph they leave to bind."""
from mxft.rewrite.prelu import prelu_for_training

PASSES = {"prelu": prelu_for_training}  # name: symbol -> symbol, the symbol itself where there is nothing to change


def rewrite_for_training(symbol, device_type="cpu", rewrite=True):
    """Return the graph to bind for training, and the names of the passes that changed it.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    device_type : str
        Of the context it will be bound to: a GPU has fast operators of its own.
    rewrite : bool
        False leaves the graph as it is.

    Returns
    -------
    symbol : mx.sym.Symbol
        With the same parameters; their names, and what is saved, stay the user's.
    applied : tuple of str
    """
    applied = []
    for name, rewritten in PASSES.items() if rewrite and device_type == "cpu" else ():
        before, symbol = symbol, rewritten(symbol)
        if symbol is not before:
            applied.append(name)
    return symbol, tuple(applied)


def for_training(symbol, device_type="cpu"):
    """Return the graph of `rewrite_for_training`.

    Examples
    --------
    >>> module = mx.mod.Module(for_training(symbol))     # doctest: +SKIP
    >>> mx.model.save_checkpoint(prefix, epoch, symbol, *module.get_params())     # doctest: +SKIP
    """
    return rewrite_for_training(symbol, device_type)[0]
