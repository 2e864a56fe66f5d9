"""How many channels the maps of a network have, where the graph tells, and which maps belong together."""

BLOCK = 16  # float32 numbers in an AVX-512 register: the channels of a block in oneDNN's fast layout
FUSED_BATCH_NORM = "_contrib_BatchNormWithReLU"
CHANNELS = "__channels__"  # an attribute that passes give to nodes whose operators do not tell
_SHAPE_KEEPING = {"BatchNorm", "Activation", "LeakyReLU", "Dropout", "Pooling", "elemwise_add", "_Plus", "_plus",
                  "broadcast_mul", "broadcast_add", "relu", "sigmoid", "tanh", "clip", "identity", "_copy", "BlockGrad",
                  "_plus_scalar", "_minus_scalar", "_mul_scalar", "_div_scalar", "L2Normalization", "InstanceNorm"}
_OF_FIRST_INPUT = (FUSED_BATCH_NORM, "Pad", "pad")  # MXNet's Pad knows no other than rows and columns


def known_channels(graph):
    """Return {node index: C, or None where the graph does not tell that the node's output is ``(N, C, H, W)``}."""
    channels = {}
    for node in graph.nodes:
        channels[node.index] = _channels_of(node, channels)
    return channels


def _channels_of(node, known):
    if CHANNELS in node.attrs:
        return int(node.attrs[CHANNELS])
    if node.op in _OF_FIRST_INPUT:
        return known[node.inputs[0][0]]
    if node.op in ("Convolution", "Deconvolution"):
        is_map = len(node.numbers("kernel")) == 2 and node.attrs.get("layout", "None") in ("None", "NCHW")
        return int(node.attrs["num_filter"]) if is_map else None
    if node.op in _SHAPE_KEEPING:
        return next((known[i] for i, _ in node.inputs if known[i]), None)
    return None


def joined(count, pairs):
    """Return, for each of ``count`` nodes, the number of its group: the nodes of a pair are in one."""
    parent = list(range(count))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for one, other in pairs:
        parent[root(one)] = root(other)
    return [root(i) for i in range(count)]
