"""An explicit Flatten where a FullyConnected flattens by itself."""
from mxft.network.graph import Graph

_ALREADY_FLAT = {"Flatten", "flatten", "FullyConnected"}


def flatten_before_fully_connected(symbol):
    """Put an explicit Flatten before every FullyConnected that flattens by itself.

    Bound for inference with oneDNN's fused backend, MXNet 1.9.1 dies at the second forward of a FullyConnected that
    is fed by a 4-D convolution output (`Check failed: !IsMKLDNNData(): We can't generate TBlob for MKLDNN data`):
    the face networks' ``pre_fc1``. With the Flatten it does not, and the fusion stays.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same symbol where there is nothing to change.
    """
    graph = Graph(symbol)
    changed = False
    for node in graph.operators():
        if node.op != "FullyConnected" or node.attrs.get("flatten", "True").lower() in ("false", "0"):
            continue
        if graph.nodes[node.inputs[0][0]].op not in _ALREADY_FLAT:
            graph.insert_on_edge(node, 0, "Flatten", node.name + "_flatten_input")
            changed = True
    return graph.to_symbol() if changed else symbol
