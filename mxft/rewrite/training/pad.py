"""Zero padding in front of a convolution whose weight is being trained, without MXNet's ``Pad``."""
from mxft.rewrite.channels import known_channels
from mxft.rewrite.editing import Edit, is_map_convolution, zero_padding


def pad_for_training(symbol):
    """Let Convolutions that read a zero ``Pad`` do the padding themselves, or a depthwise convolution do it for them.

    The same padding on both sides becomes the Convolution's own. Where it differs, `a` before and `b` after, the Pad
    becomes a depthwise convolution with padding of ``max(a, b)`` on both sides and a fixed kernel of ``|b − a| + 1``
    rows or columns, zeros and a single 1, which gives the padded map to the bit. It works in oneDNN's memory layout,
    where MXNet 1.9.1's Pad knows the plain one alone. (A larger kernel with zeros of its own, as
    `mxft.rewrite.inference.pad.fold_pads` makes it for inference, does without a second map, but oneDNN 2.4 has no
    fast gradient for the weights of depthwise kernels beyond 3x3: the layer is 3 to 7 times as slow.)

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments; the symbol itself where there is nothing to change.

    Notes
    -----
    Left alone: other modes and values, a Pad no Convolution reads, and uneven padding of a map whose channels the
    graph does not tell, such as the image.
    """
    edit = Edit(symbol, {}, {})
    channels = known_channels(edit.graph)
    for node in edit.graph.operators():
        if is_map_convolution(node):
            pad = edit.source(node)
            sides = zero_padding(pad)
            if sides and all(before == after for before, after in sides):
                node.attrs["pad"] = str(tuple(own + side for own, (side, _) in zip(node.numbers("pad", (0, 0)), sides)))
                edit.read(node, pad.inputs[0])
            elif sides and channels[pad.index]:
                _as_convolution(edit, pad, sides, channels[pad.index])
    return edit.result()[0]


def _as_convolution(edit, pad, sides, channels):
    """Make a Pad the depthwise convolution that pads."""
    both = [max(side) for side in sides]
    rows, columns = (abs(after - before) + 1 for before, after in sides)
    row, column = (most - before for most, (before, _) in zip(both, sides))  # where the 1 stands
    place = {"shape": str((channels,)), "value": str(row * columns + column)}
    place = edit.add("_full", pad.name + "_place", place, [])
    flat = edit.add("one_hot", pad.name + "_flat", {"depth": str(rows * columns)}, [(place.index, 0)])
    kernel = edit.add("Reshape", pad.name + "_kernel", {"shape": str((channels, 1, rows, columns))}, [(flat.index, 0)])
    pad.op = "Convolution"
    pad.attrs = {"kernel": str((rows, columns)), "pad": str(tuple(both)), "num_filter": str(channels),
                 "num_group": str(channels), "no_bias": "True"}
    pad.inputs.append((kernel.index, 0))
