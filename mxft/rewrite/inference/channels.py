"""Channel counts filled up with zeros to what oneDNN's fast convolutions take."""
import numpy as np

from mxft.rewrite.channels import BLOCK, joined, known_channels
from mxft.rewrite.editing import Edit, is_map_convolution

_SAME_CHANNELS = {"Activation", "clip", "relu", "Dropout", "Pooling", "elemwise_add", "_Plus", "_plus",
                  "broadcast_add", "BlockGrad"}


def fill_channel_blocks(symbol, arg_params, aux_params):
    """Give maps of more than 16 channels the next multiple of 16, the new channels read with weights of zero.

    For 1x1 convolutions of any other count, as the 24 channels of MobileNetV2's second stage, the oneDNN of MXNet
    1.9.1 falls back from its AVX-512 kernels to AVX2's, with a memory layout of their own, and reorders the map before
    and after.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Returns
    -------
    symbol, arg_params, aux_params
        The same objects where there is nothing to change; changed parameters are new ones, ``<weight>_filled``.

    Notes
    -----
    Maps that are joined by sums or by depthwise convolutions are filled together. Left alone: whatever anything else
    than an ordinary convolution finally reads. Works best after `fold_batch_norms`: a BatchNorm is such a thing.
    """
    edit = Edit(symbol, arg_params, aux_params)
    channels = known_channels(edit.graph)
    groups = _joined_maps(edit, channels)
    wider = {}
    for index, group in groups.items():
        count = channels[index]
        if group is not None and count and count > BLOCK and count % BLOCK:
            wider[index] = -(-count // BLOCK) * BLOCK - count
    for node in edit.graph.operators() if wider else ():
        if is_map_convolution(node):
            _widen(edit, node, wider.get(node.inputs[0][0], 0), wider.get(node.index, 0))
    return edit.result()


def _widen(edit, node, more_in, more_out):
    """Let a convolution read and give that many channels more."""
    if not more_in and not more_out:
        return
    weight = edit.array(node, 1)
    columns = 0 if int(node.attrs.get("num_group", 1)) > 1 else more_in
    edit.replace(node, 1, np.pad(weight, [(0, more_out), (0, columns), (0, 0), (0, 0)]), "filled")
    if more_out:
        node.attrs["num_filter"] = str(weight.shape[0] + more_out)
        if not node.flag("no_bias"):
            edit.replace(node, 2, np.pad(edit.array(node, 2), (0, more_out)), "filled")
        if int(node.attrs.get("num_group", 1)) > 1:
            node.attrs["num_group"] = node.attrs["num_filter"]


def _joined_maps(edit, channels):
    """Return {node index: number of the group its channels belong to, None where they must stay as they are}."""
    fixed, pairs = {i for i, _ in edit.graph.heads}, []
    for node in edit.graph.nodes:
        sources = [i for i, _ in node.inputs]
        if is_map_convolution(node) and _has_values(edit, node):
            grouped = int(node.attrs.get("num_group", 1)) > 1
            if grouped and _is_depthwise(node, channels):
                pairs.append((node.index, sources[0]))
            elif grouped:
                fixed.update((node.index, sources[0]))
        elif node.op in _SAME_CHANNELS and all(channels[i] and channels[i] == channels[node.index] for i in sources):
            pairs += [(source, node.index) for source in sources]
        else:
            fixed.update((node.index, *sources))
    group = joined(len(edit.graph.nodes), pairs)
    kept = {group[i] for i in fixed}
    return {i: None if g in kept else g for i, g in enumerate(group)}


def _has_values(edit, node):
    return edit.array(node, 1) is not None and (node.flag("no_bias") or edit.array(node, 2) is not None)


def _is_depthwise(node, channels):
    return node.attrs["num_group"] == node.attrs["num_filter"] == str(channels[node.inputs[0][0]])
