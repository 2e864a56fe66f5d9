"""Narrow maps filled up with zero channels where a 1x1 convolution reads or gives them, for training."""
from mxft.machine.processor import cpu_flags
from mxft.rewrite.channels import BLOCK, CHANNELS, known_channels
from mxft.rewrite.editing import Edit, is_map_convolution


def fill_channels_for_training(symbol):
    """Let 1x1 convolutions between a narrow map of uneven channels and a wide one run on a multiple of 16 channels.

    For 24 channels, as in MobileNetV2's second stage, the oneDNN of MXNet 1.9.1 takes AVX2's kernels and has the wide
    map, of 144 channels, in blocks of 8 where its depthwise neighbour has blocks of 16: each BatchNorm and ReLU between
    them works across two layouts. Here the convolution gives 32 channels of which 24 are taken, or reads 32 of which 8
    are zeros, its weight filled up with zeros within the graph.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments and auxiliary states; the symbol itself where there is nothing to change, and on a CPU
        without AVX-512.

    Notes
    -----
    Narrow is: more than 16 channels and at most half of the wide map's, whose count is a multiple of 16. Convolutions
    with a bias, of other kernels or in groups, and computed weights, are left alone.
    """
    edit = Edit(symbol, {}, {})
    channels, filled = known_channels(edit.graph), {}
    for node in edit.graph.operators() if "avx512f" in cpu_flags() else ():
        if not _is_plain_1x1(edit, node):
            continue
        read, given = channels[node.inputs[0][0]], channels[node.index]
        if read and _is_narrow(read, given):
            _fill_weight(edit, node, (given, read), axis=1)
            _fill_input(edit, node, read, filled)
        elif read and _is_narrow(given, read):
            _fill_weight(edit, node, (given, read), axis=0)
            _cut_output(edit, node, given)
    return edit.result()[0]


def _is_plain_1x1(edit, node):
    return (is_map_convolution(node) and node.numbers("kernel") == (1, 1) and node.attrs.get("num_group", "1") == "1"
            and node.flag("no_bias") and edit.source(node, 1).is_variable)


def _is_narrow(channels, wide):
    return BLOCK < channels <= wide // 2 and channels % BLOCK != 0 and wide % BLOCK == 0


def _fill_weight(edit, node, shape, axis):
    """Let a convolution read its weight (O, I, 1, 1) with zeros behind it along an axis."""
    edit.source(node, 1).attrs.setdefault("__shape__", str((*shape, 1, 1)))
    more = list(shape)
    more[axis] = -shape[axis] % BLOCK
    zeros = edit.add("_zeros", node.name + "_weight_zeros", {"shape": str((*more, 1, 1))}, [])
    weight = edit.add("Concat", node.name + "_weight_filled", {"dim": str(axis), "num_args": "2"},
                      [node.inputs[1], (zeros.index, 0)])
    edit.read(node, (weight.index, 0), 1)


def _fill_input(edit, node, count, filled):
    """Let a convolution read its input with channels of zeros behind it; one such map for all that read the same.

    In five dimensions, because the backward pass of a Concat of maps dies in oneDNN where the first one's channels do
    not end with a block ("could not construct a sub-memory").
    """
    source = node.inputs[0]
    if source not in filled:
        name, more = node.name + "_input", -count % BLOCK
        outer = edit.add("expand_dims", name + "_outer", {"axis": "0"}, [source])
        part = edit.add("slice_axis", name + "_part", {"axis": "2", "begin": "0", "end": str(more)}, [(outer.index, 0)])
        zeros = edit.add("zeros_like", name + "_zeros", {}, [(part.index, 0)])
        both = edit.add("Concat", name + "_both", {"dim": "2", "num_args": "2"}, [(outer.index, 0), (zeros.index, 0)])
        filled[source] = edit.add("Reshape", name + "_filled", {"shape": "(-3, 0, 0, 0)", CHANNELS: str(count + more)},
                                  [(both.index, 0)])
    edit.read(node, (filled[source].index, 0))


def _cut_output(edit, node, count):
    """Let a convolution give channels of zeros behind its own, and everything that reads it its own alone."""
    wider = {**node.attrs, "num_filter": str(count + -count % BLOCK)}
    conv = edit.add("Convolution", node.name + "_filled", wider, list(node.inputs))
    node.op, node.attrs = "slice_axis", {"axis": "1", "begin": "0", "end": str(count), CHANNELS: str(count)}
    del node.inputs[1:]
    edit.read(node, (conv.index, 0))
