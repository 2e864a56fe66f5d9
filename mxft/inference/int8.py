"""The graph oneDNN computes in int8: convolutions and fully connected layers on whole numbers, scales by channel.

Follows ``quantize_graph`` and ``calib_graph`` of MXNet 1.9.1 (python/mxnet/contrib/quantization.py), whose passes are
called here: fused subgraphs first, then weights in int8 with a scale for each filter, and maps in int8 or uint8 with
one scale each, which the ranges of a calibration give.
"""
import dataclasses
import json

from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference.int8_faults import repair_types, wrong_operators
from mxft.machine.processor import cpu_flags
from mxft.machine.quiet import quiet_native
from mxft.network.graph import with_unique_names

_BACKEND = "MKLDNN_QUANTIZE"
_NEEDED = "avx512_vnni"  # before it, oneDNN adds products of int8 in 16 bits, which may saturate
_WEIGHTED = ("Convolution", "FullyConnected")
_OUTPUT = "_output"


@dataclasses.dataclass(frozen=True)
class FusedGraph:
    """A rewritten network in the subgraphs that are computed as one, which int8 is decided for.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        As it is bound, no BatchNorm left where one could be folded: see `mxft.rewrite.inference.passes`.

    Attributes
    ----------
    layers : dict of str to tuple of str
        For each operator of the fused graph that has weights and can be in int8, its name there: the names of
        `symbol`'s nodes in it.
    """

    symbol: object
    fused: object
    layers: dict
    _nodes: list
    _last: dict
    _wrong: list

    @classmethod
    def of(cls, symbol):
        """Return the FusedGraph of a symbol; its own `symbol` has a name for each node, by which it is calibrated."""
        symbol = with_unique_names(symbol)
        with quiet_native():
            fused = symbol.get_backend_symbol(_BACKEND)
        nodes = json.loads(fused.tojson())["nodes"]
        layers, last, wrong = {}, {}, wrong_operators(nodes)
        for node in nodes:
            if "subgraphs" in node:
                inside = node["subgraphs"][0]
                last[node["name"]] = inside["nodes"][inside["heads"][0][0]]["name"]
                layers[node["name"]] = tuple(inner["name"] for inner in inside["nodes"] if inner["op"] != "null")
            elif node["op"] in _WEIGHTED:
                layers[node["name"]] = (node["name"],)
        layers = {name: inner for name, inner in layers.items() if name not in wrong}
        return cls(symbol, fused, layers, nodes, last, wrong)

    def quantized(self, in_float=(), data_name="data"):
        """Return (graph in int8 without ranges, the tensors that need one: {name there: name in `symbol`}).

        Parameters
        ----------
        in_float : collection of str
            Nodes of `symbol`, or of the fused graph, to leave in float32.
        data_name : str
            The input of the network.
        """
        from mxnet.contrib.quantization import _quantize_symbol

        kept = [name for name, inner in self.layers.items() if not set(in_float).isdisjoint(inner)]
        kept += [name for name in (*in_float, *self._wrong) if name not in kept]
        kept += self._behind_the_last(kept)
        parameters = [name for name in self.fused.list_inputs() if name != data_name]
        with quiet_native():
            network, tensors = _quantize_symbol(
                self.fused, mx.cpu(), excluded_symbols=kept, offline_params=parameters, quantized_dtype="auto",
                quantize_mode="smart", quantize_granularity="channel-wise")
        return network, {tensor: self._own_name(tensor) for tensor in tensors}

    def first_layers(self, in_float):
        """Return the layers that read the image and are read by layers in float32 alone, by their names in `symbol`.

        int8 gains little on three channels, and nothing where what it gives has to be float32 again.
        """
        nodes, readers = self._nodes, {}
        for node in nodes:
            for source, *_ in node["inputs"]:
                readers.setdefault(source, []).append(node["name"])
        kept = {name for name, inner in self.layers.items() if not set(in_float).isdisjoint(inner)}
        behind, found = set(), []  # a layer with weights
        for index, node in enumerate(nodes):
            if node["name"] in self.layers:
                first = not any(source in behind for source, *_ in node["inputs"])
                if first and readers.get(index) and kept.issuperset(readers[index]):
                    found.append(self.layers[node["name"]][0])
            if node["name"] in self.layers or any(source in behind for source, *_ in node["inputs"]):
                behind.add(index)
        return tuple(layer for layer in found if layer not in in_float)

    def _behind_the_last(self, kept):
        """Return the operators without weights that no layer in int8 reads: the average over a map would be rounded to
        8 bits, and differ from that of the network cut there."""
        nodes = self._nodes
        ends = {index for index, node in enumerate(nodes) if node["name"] in self.layers and node["name"] not in kept}
        for index in reversed(range(len(nodes))):
            if index in ends:
                ends.update(source for source, *_ in nodes[index]["inputs"])
        return [node["name"] for index, node in enumerate(nodes) if node["op"] != "null" and index not in ends]

    def maps(self, data_name="data"):
        """Return the names in `symbol` of everything that is computed from the input, the input first: a choice of
        layers for int8 may need the range of any of them."""
        nodes, computed = self._nodes, set()
        for index, node in enumerate(nodes):
            if node["name"] == data_name or any(source in computed for source, *_ in node["inputs"]):
                computed.add(index)
        found = [self._own_name(nodes[index]["name"] + _OUTPUT) for index in sorted(computed)]
        return [data_name, *(name for name in found if name != data_name + _OUTPUT)]

    def _own_name(self, tensor):
        """Return what a tensor of the fused graph is called in `symbol`."""
        node = tensor[:-len(_OUTPUT)] if tensor.endswith(_OUTPUT) else tensor
        return self._last[node] + _OUTPUT if node in self._last else tensor


def int8_network(symbol, arg_params, aux_params, ranges, in_float=(), data_name="data"):
    """Return a network to bind that computes in int8 what it can.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Rewritten for inference.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Float32.
    ranges : dict of str to (float, float)
        Smallest and largest value of each tensor, by its name among ``symbol.get_internals().list_outputs()``; what
        lies outside is clipped.
    in_float : collection of str
        Nodes of `symbol` that stay in float32; so do layers without a range.
    data_name : str
        The input of the network.

    Returns
    -------
    symbol, arg_params, aux_params

    Raises
    ------
    InputError
        A range is missing: the calibration is of another network.

    Notes
    -----
    Weights stay float32 in what is returned, but for some fully connected layers; oneDNN makes int8 of them at the
    first forward pass.

    References
    ----------
    Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
    arXiv:1712.05877.
    """
    graph = FusedGraph.of(symbol)
    kept = [*in_float, *(name for name, inner in graph.layers.items() if inner[-1] + _OUTPUT not in ranges)]
    while True:
        network, arguments = _calibrated(graph, kept, ranges, arg_params, data_name)
        network, wrong = repair_types(network, data_name)
        if not wrong:
            return network, arguments, aux_params
        kept += wrong


def _calibrated(graph, kept, ranges, arg_params, data_name):
    """Return a FusedGraph in int8, but for the operators that are kept in float32, with its ranges; its parameters."""
    from mxnet.contrib.quantization import _calibrate_quantized_sym, _quantize_params

    network, tensors = graph.quantized(kept, data_name)
    missing = [name for name in tensors.values() if name not in ranges]
    if missing:
        raise InputError(f"int8: expected the range of every map, received a calibration without {missing[0]}"
                         f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; quantize the network again")
    found = {tensor: tuple(map(float, ranges[own])) for tensor, own in tensors.items()}
    arguments = _quantize_params(network, arg_params, found)
    with quiet_native():
        return _calibrate_quantized_sym(network, found).get_backend_symbol(_BACKEND), arguments


def gains_from_int8():
    """Whether this CPU multiplies int8 faster than float32, and exactly (AVX-512 VNNI)."""
    return _NEEDED in cpu_flags()
