"""Zero padding in front of a convolution, taken into the convolution."""
import numpy as np

from mxft.rewrite.editing import Edit, is_map_convolution, zero_padding


def fold_pads(symbol, arg_params, aux_params):
    """Let every Convolution that reads a zero ``Pad`` do the padding itself.

    A Convolution of MXNet pads both sides alike. Padding of `a` before and `b` after, as TensorFlow's "same" has it in
    front of a stride of 2 (0 and 1), is padding of ``max(a, b)`` on both sides with a kernel that is ``|b − a|`` rows
    or columns larger, the new ones zero and on the side that was padded less. MXNet 1.9.1's ``Pad`` is slow on a CPU
    and knows the plain memory layout alone: without its five the shared MobileNetV2 runs about twice as fast.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Returns
    -------
    symbol, arg_params, aux_params
        The same objects where there is nothing to change; a larger kernel is a parameter of its own,
        ``<weight>_padded``.

    Notes
    -----
    Left alone: other modes and values, layouts other than (N, C, H, W), a difference of the two sides that is no
    multiple of the dilation, and a Pad that something else than a Convolution reads (for that reader).
    """
    edit = Edit(symbol, arg_params, aux_params)
    for node in edit.graph.operators():
        if is_map_convolution(node):
            _fold_into(edit, node)
    return edit.result()


def _fold_into(edit, node):
    pad = edit.source(node)
    sides = zero_padding(pad)
    dilate = node.numbers("dilate", (1, 1))
    if sides is None or any((after - before) % step for (before, after), step in zip(sides, dilate)):
        return
    more = [(after - before) // step for (before, after), step in zip(sides, dilate)]
    if any(more):
        weight = edit.array(node, 1)
        if weight is None:
            return
        zeros = [(max(n, 0), max(-n, 0)) for n in more]
        edit.replace(node, 1, np.pad(weight, [(0, 0), (0, 0), *zeros]), "padded")
    edit.read(node, pad.inputs[0])
    node.attrs["kernel"] = str(tuple(k + abs(n) for k, n in zip(node.numbers("kernel"), more)))
    node.attrs["pad"] = str(tuple(own + max(side) for own, side in zip(node.numbers("pad", (0, 0)), sides)))
