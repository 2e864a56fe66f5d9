"""Parameters checked against their layers by the number of axes alone, before anything looks at one of them.

What is wrong in size is told later, with the image, by `mxft.network.transfer.match_parameters`.
"""
_WEIGHTS = {"FullyConnected": 2, "Embedding": 2}
_CONVOLUTIONS = ("Convolution", "Convolution_v1", "Deconvolution")
_NORMALISATIONS = ("BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm", "_contrib_SyncBatchNorm", "SyncBatchNorm",
                   "_contrib_BatchNormWithReLU", "InstanceNorm", "LayerNorm", "GroupNorm")


def check_ranks(graph, values):
    """Refuse (ValueError) a parameter that has not as many axes as its layer reads.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
        As `mxft.network.graph_file.read_graph` gives it.
    values : dict of str to mx.nd.NDArray

    Examples
    --------
    >>> from mxft.compat import mx
    >>> from mxft.network.graph import Graph
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    >>> check_ranks(Graph(net), {"conv0_weight": mx.nd.zeros((4,))})
    Traceback (most recent call last):
    ValueError: expected 4 axes of conv0_weight, which Convolution 'conv0' reads, received shape (4,)
    """
    for node in graph.operators():
        for rank, (index, _) in zip(_ranks(node), node.inputs):
            source = graph.nodes[index]
            value = values.get(source.name) if source.is_variable else None
            if rank is not None and value is not None and len(value.shape) != rank:
                raise ValueError(f"expected {rank} ax{'i' if rank == 1 else 'e'}s of {source.name}, which {node.op} "
                                 f"{node.name!r} reads, received shape {value.shape}")


def _ranks(node):
    """Return the number of axes of each input, None where it may be any."""
    if node.op in _CONVOLUTIONS:
        return None, 2 + len(node.numbers("kernel")), 1
    if node.op in _NORMALISATIONS:
        return (None,) + (1,) * 4
    if node.op in _WEIGHTS:
        return None, _WEIGHTS[node.op], 1
    return ()
