"""BatchNorm's ``fix_gamma``: MXNet reads every such gamma as 1, whatever the file holds, and training writes the 1."""
import numpy as np

from mxft.compat import mx

DECAYED = 0.01  # from 1 and no more: what weight decay makes of it between two passes, which goes without saying


def set_fixed_gammas(opened):
    """Set gammas that MXNet reads as 1 to 1; return notes.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Notes
    -----
    ``fix_gamma`` is BatchNorm's default. Whoever reads the file without MXNet would otherwise see another network, and
    a frozen parameter would move in the first batch.
    """
    told = 0
    for name in _fixed_gammas(opened.graph):
        if name in opened.values:
            told += bool((np.abs(opened.values[name].asnumpy() - 1) > DECAYED).any())
            opened.values[name] = mx.nd.ones_like(opened.values[name])
    return [f"gamma of {told} BatchNorm layers as the 1 that fix_gamma reads"] if told else []


def _fixed_gammas(graph):
    """Return the names of the gammas that every BatchNorm reading them reads as 1."""
    read = {}
    for node in graph.operators():
        if node.op == "BatchNorm" and len(node.inputs) > 1:
            fixed = node.attrs.get("fix_gamma", "True").lower() in ("true", "1")
            name = graph.nodes[node.inputs[1][0]].name
            read[name] = read.get(name, True) and fixed
    return [name for name, fixed in read.items() if fixed]
