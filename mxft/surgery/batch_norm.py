"""BatchNorm layers that keep their moving statistics, as an attribute of the graph."""
from mxft.network.graph import Graph


def batch_norms_to_eval(symbol, names=None):
    """Return a copy of the graph whose BatchNorm layers use, and keep, their moving statistics also in training.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    names : container of str, optional
        BatchNorm layers to change; all when None.
    """
    graph = Graph(symbol)
    for node in graph.operators():
        if node.op == "BatchNorm" and (names is None or node.name in names):
            graph.set_attr(node, "use_global_stats", "True")
    return graph.to_symbol()
