"""How many channels a node's output has, where the graph tells."""

_SHAPE_KEEPING = {"BatchNorm", "Activation", "LeakyReLU", "Dropout", "Pooling", "elemwise_add", "_Plus", "_plus",
                  "broadcast_mul", "broadcast_add", "relu", "sigmoid", "tanh", "clip", "identity", "_copy", "BlockGrad",
                  "_plus_scalar", "_minus_scalar", "_mul_scalar", "_div_scalar", "L2Normalization", "InstanceNorm"}


def map_channels(graph, node, known):
    """Return C where the graph tells that a node's first output is ``(N, C, H, W)``, else None."""
    if node.op in ("Convolution", "Deconvolution"):
        is_map = len(node.numbers("kernel")) == 2 and node.attrs.get("layout", "None") in ("None", "NCHW")
        return int(node.attrs["num_filter"]) if is_map else None
    if node.op in _SHAPE_KEEPING:
        return next((known[i] for i, _ in node.inputs if known[i]), None)
    return None
