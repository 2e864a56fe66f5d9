"""BatchNorm with fixed statistics, taken into the convolution or fully connected layer beside it."""
import numpy as np

from mxft.rewrite.editing import Edit, is_map_convolution, scale_and_shift

_TRANSPARENT = {"Flatten", "flatten", "Dropout"}


def fold_batch_norms(symbol, arg_params, aux_params):
    """Take every BatchNorm into the layer before it, or into the one after it where that is exact.

    In evaluation a BatchNorm is ``s·x + t`` by channel, s = γ/√(var + ε), t = β − s·mean, γ being 1 where
    ``fix_gamma`` says so (its default) whatever the parameter holds (arXiv:1502.03167, equations of algorithm 2).

    - Before it: a Convolution or FullyConnected that nothing else reads.
    - After it: a FullyConnected, through Flatten and Dropout, or a Convolution that does not pad.

    oneDNN's fusion does the first for convolutions by itself, but not for FullyConnected (the face networks'
    ``pre_fc1`` and ``fc1``), and never the second.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Returns
    -------
    symbol, arg_params, aux_params
        The same objects where there is nothing to change; changed parameters are new ones, ``<weight>_folded``.

    Notes
    -----
    For a network bound for inference only: statistics of a batch are not what the weights now hold.
    """
    edit = Edit(symbol, arg_params, aux_params)
    for node in edit.graph.operators():
        affine = _affine(edit, node)
        if affine is not None and (_fold_back(edit, node, *affine) or _fold_forward(edit, node, *affine)):
            edit.bypass(node)
    return edit.result()


def _affine(edit, node):
    """Return s and t, float32 ``(C,)``, of a BatchNorm of the second axis, else None."""
    if node.op != "BatchNorm" or node.attrs.get("axis", "1") != "1" or node.flag("output_mean_var"):
        return None
    gamma, beta, mean, var = (edit.array(node, position) for position in range(1, 5))
    if any(value is None for value in (gamma, beta, mean, var)):
        return None
    gamma = np.ones_like(gamma) if node.attrs.get("fix_gamma", "True").lower() in ("true", "1") else gamma
    scale = gamma / np.sqrt(var.astype(np.float64) + float(node.attrs.get("eps", 1e-3)))
    return scale, beta - mean * scale


def _fold_back(edit, node, scale, shift):
    """Fold into the layer before; return whether it was done."""
    before = edit.source(node)
    if not edit.is_only_reader(node) or not (is_map_convolution(before) or _gives_columns(before)):
        return False
    return scale_and_shift(edit, before, scale, shift, "folded")


def _gives_columns(node):
    return node.op == "FullyConnected" and node.attrs.get("flatten", "True").lower() not in ("false", "0")


def _fold_forward(edit, node, scale, shift):
    """Fold into the one layer that reads it; return whether it was done."""
    after = _only_reader(edit, node)
    while after is not None and after.op in _TRANSPARENT and after.attrs.get("mode", "training") == "training":
        after = _only_reader(edit, after)
    if after is None or not (_gives_columns(after) or (is_map_convolution(after)
                                                      and not any(after.numbers("pad", (0, 0))))):
        return False
    weight, bias = edit.array(after, 1), 0. if after.flag("no_bias") else edit.array(after, 2)
    if weight is None or bias is None:
        return False
    groups = int(after.attrs.get("num_group", 1)) if after.op == "Convolution" else 1
    # (group, filter of the group, channel of the group, pixel): a flattened map is channel by channel too.
    split = weight.astype(np.float64).reshape(groups, weight.shape[0] // groups, len(scale) // groups, -1)
    scale, shift = (value.reshape(groups, 1, -1, 1) for value in (scale, shift))
    edit.replace(after, 1, (split * scale).reshape(weight.shape), "folded")
    edit.replace(after, 2, bias + (split * shift).sum(axis=(2, 3)).reshape(-1), "folded")
    after.attrs["no_bias"] = "False"
    return True


def _only_reader(edit, node):
    """Return the node that alone reads `node`'s first output as its data, else None."""
    readers = [other for other in edit.graph.nodes if any(i == node.index for i, _ in other.inputs)]
    if len(readers) == 1 and readers[0].inputs[0] == (node.index, 0) and edit.is_only_reader(readers[0]):
        return readers[0]
    return None
