"""Zero padding in front of a convolution, taken into the convolution while its weight is being trained."""
from mxft.rewrite.channels import known_channels
from mxft.rewrite.editing import Edit, is_map_convolution
from mxft.rewrite.pad import zero_padding


def pad_for_training(symbol):
    """Let every Convolution that reads a zero ``Pad`` do the padding itself, with a kernel padded within the graph.

    As `mxft.rewrite.pad.fold_pads` does for inference: zeros of `a` before and `b` after a map are padding of
    ``max(a, b)`` on both sides with a kernel that is ``|b − a|`` larger. Here the larger kernel is computed from the
    user's weight, so that gradients flow back into it.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments; the symbol itself where there is nothing to change.

    Notes
    -----
    Left alone: other modes and values, dilated convolutions, a weight that is computed, and a convolution the graph
    does not tell the channels of, such as a network's first (MXNet's ``Pad`` has to be told the weight's shape).
    """
    edit = Edit(symbol, {}, {})
    channels = known_channels(edit.graph)
    for node in edit.graph.operators():
        if is_map_convolution(node) and node.numbers("dilate", (1, 1)) == (1, 1) and edit.source(node, 1).is_variable:
            pad = edit.source(node)
            sides = zero_padding(pad)
            if sides and channels[pad.inputs[0][0]]:
                _take_in(edit, node, sides, channels[pad.inputs[0][0]] // int(node.attrs.get("num_group", 1)))
    return edit.result()[0]


def _take_in(edit, node, sides, depth):
    """Let `node` do the padding of the Pad it reads; `depth` is its weight's second axis."""
    kernel = node.numbers("kernel")
    more = [after - before for before, after in sides]
    if any(more):
        edit.source(node, 1).attrs.setdefault("__shape__", str((int(node.attrs["num_filter"]), depth, *kernel)))
        width = [0, 0, 0, 0] + [n for m in more for n in (max(m, 0), max(-m, 0))]
        larger = edit.add("Pad", node.name + "_weight_padded", {"mode": "constant", "pad_width": str(tuple(width))},
                          [node.inputs[1]])
        edit.read(node, (larger.index, 0), 1)
        node.attrs["kernel"] = str(tuple(k + abs(m) for k, m in zip(kernel, more)))
    node.attrs["pad"] = str(tuple(own + max(side) for own, side in zip(node.numbers("pad", (0, 0)), sides)))
    edit.read(node, edit.source(node).inputs[0])
