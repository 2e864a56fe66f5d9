"""What MXNet 1.9.1 computes wrongly in int8, found before it is bound: left in float32, or its range widened.

Each fault was found by comparing small networks with float32, see tests/unit/inference/test_int8.py.
"""
import json

import numpy as np

from mxft.network.graph import symbol_of

_QUANTIZED = "quantized_"  # begins the name of an operator in int8
_ACTIVATION = "_contrib_quantized_act"
_WIDER = 255 / 127


def wrong_operators(nodes):
    """Return the names of operators that are wrong in int8 whatever they read.

    Parameters
    ----------
    nodes : list of dict
        Of the JSON of a fused graph.

    Returns
    -------
    list of str
        Grouped convolutions, but for those of one filter a group: their weights are scaled group by group, by the
        scales of the first filters (mask 1 of goihw, ``ConvertWeightBias2MKLDNN``). Products, which are refused. Sums
        and norms in a window, which end the process; and averages over windows that reach over the border
        (``pooling_convention="full"``), which are divided by the size of a whole window.
    """
    return [node["name"] for node in nodes if node["op"] == "elemwise_mul" or _is_wrong_pooling(node)
            or any(_is_grouped(inner) for inner in (node, *_inside(node)))]


def repair_types(network, data_name):
    """Return a network in int8 with the ranges corrected that are wrong for its types, and the operators to leave out.

    Parameters
    ----------
    network : mx.sym.Symbol
        Calibrated, as it is bound.
    data_name : str
        The input of the network.

    Returns
    -------
    mx.sym.Symbol
    list of str
        Operators of the graph before int8 that have to stay in float32: an activation of its own that reads uint8, as
        it writes int8; a layer with an activation that is negative in part but writes uint8 (a fully connected one
        with a leaky ReLU); a convolution that writes int8 and adds uint8.

    Notes
    -----
    A convolution adds a map in place, and writes the type of what was there. Where it writes uint8 and what it adds is
    int8, as in a ResNet's blocks with a convolution in both branches, what is above 127 would be clipped, which is half
    of its range: its range is widened to twice, for seven bits instead of eight.
    """
    content = json.loads(network.tojson())
    nodes, left_out = content["nodes"], []
    types = _types(network, nodes, data_name)
    for node in [node for node in nodes if node["name"].startswith(_QUANTIZED) and node["op"] != "null"]:
        written = types[node["name"]]
        read = [types[nodes[source]["name"]] for source, *_ in node["inputs"]]
        added = _added(node)
        if added and (read[added], written) == ("int8", "uint8"):
            node["attrs"]["max_calib_range"] = repr(float(node["attrs"]["max_calib_range"]) * _WIDER)
        elif ((added and read[added] != written) or (node["op"] == _ACTIVATION and read[0] == "uint8")
                or (written == "uint8" and float(node.get("attrs", {}).get("min_calib_range", 0)) < 0)):
            left_out.append(node["name"][len(_QUANTIZED):])
    return symbol_of(content), left_out


def _types(network, nodes, data_name):
    """Return {node: type of its first output} of a graph, as text."""
    inside = network.get_internals()
    found = dict(zip(inside.list_outputs(), inside.infer_type(**{data_name: "float32"})[1]))
    named = {node["name"]: [found[name] for name in (node["name"], f"{node['name']}_output", f"{node['name']}_output0")
                            if name in found] for node in nodes}
    return {name: np.dtype(types[0]).name for name, types in named.items() if types}


def _inside(node):
    """Return the nodes a fused one was made of."""
    return node["subgraphs"][0]["nodes"] if "subgraphs" in node else []


def _is_grouped(node):
    """Whether a convolution has groups, and not as many as filters."""
    attrs = node.get("attrs", {})
    return node["op"] == "Convolution" and int(attrs.get("num_group", 1)) not in (1, int(attrs["num_filter"]))


def _is_wrong_pooling(node):
    attrs = node.get("attrs", {})
    return node["op"] == "Pooling" and (
        attrs.get("pool_type", "max") not in ("max", "avg")
        or (attrs.get("pool_type") == "avg" and attrs.get("pooling_convention", "valid") != "valid"))


def _added(node):
    """Return the place among its inputs of the map a fused convolution adds, or None."""
    attrs = node.get("attrs", {})
    if attrs.get("with_sum", "false") != "true":
        return None
    convolution = next(inner for inner in _inside(node) if inner["op"] == "Convolution")
    has_bias = convolution["attrs"].get("no_bias", "False").lower() not in ("true", "1")
    return 2 + has_bias + 4 * (attrs.get("with_bn", "false") == "true")
