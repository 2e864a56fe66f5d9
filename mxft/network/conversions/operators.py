"""Operators of old releases as today's: BatchNorm_v1, SyncBatchNorm, CuDNNBatchNorm, Convolution_v1, Pooling_v1."""
import dataclasses

import numpy as np

from mxft.compat import mx

_KEEPING_SIGN = ("Pooling", "Pooling_v1", "Concat", "elemwise_add", "Dropout")
_NON_NEGATIVE = ("relu", "sigmoid", "exp", "abs", "square", "sqrt", "softmax")


def renew_operators(opened):
    """Replace operators of old releases by today's where these compute the same; return notes.

    Parameters
    ----------
    opened : mxft.network.conversions.Opened

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        A CuDNNBatchNorm whose ``moving_inv_var`` is no inverse of a standard deviation.

    Notes
    -----
    ``Pooling_v1`` divides, and pads maxima with zeros, in ways ``Pooling`` does not have where windows reach over the
    edge (``pooling_convention="full"``): it stays then, and MXNet runs it.
    """
    counts, work = {}, _Work(_non_negative(opened.graph))
    for node in list(opened.graph.operators()):
        renew = _RENEWALS.get(node.op)
        became = renew(opened, node, work) if renew else None
        if became:
            counts[became] = counts.get(became, 0) + 1
    if work.rectified:
        opened.graph.redirect_all(dict(work.rectified))
    for edge, (relu, _) in work.rectified.items():
        opened.graph.nodes[relu].inputs = [edge]
    return [f"{what} ({count})" for what, count in counts.items()] + work.notes


@dataclasses.dataclass
class _Work:
    """What renewals of single nodes know of the whole graph, and leave to be done in the end."""

    non_negative: frozenset  # nodes of the file that give no number below 0
    rectified: dict = dataclasses.field(default_factory=dict)  # edge of a BatchNorm -> edge of its ReLU
    notes: list = dataclasses.field(default_factory=list)


def _batch_norm_v1(opened, node, work):
    _rename(node, "BatchNorm")
    return "BatchNorm_v1 as BatchNorm"


def _sync_batch_norm(opened, node, work):
    for key in ("ndev", "key"):
        node.attrs.pop(key, None)
    _rename(node, "BatchNorm")
    return "SyncBatchNorm as BatchNorm (each device with the statistics of its own share)"


def _batch_norm_with_relu(opened, node, work):
    graph = opened.graph
    _rename(node, "BatchNorm")
    relu = graph.add("Activation", node.name + "_relu", {"act_type": "relu"}, [(node.index, 0)])
    work.rectified[node.index, 0] = (relu.index, 0)
    return "BatchNormWithReLU as BatchNorm and ReLU"


def _cudnn_batch_norm(opened, node, work):
    """CuDNNBatchNorm of cuDNN 4 kept the mean of ``1/sqrt(variance + eps)``; its first release never fixed gamma."""
    graph = opened.graph
    node.attrs.setdefault("fix_gamma", "False")
    node.op = "BatchNorm"
    eps = float(node.attrs.get("eps", 1e-3))
    for position, state in ((3, "moving_mean"), (4, "moving_var")):
        if position >= len(node.inputs):
            node.inputs.append((graph.add("null", f"{node.name}_{state}").index, 0))
    variable = graph.nodes[node.inputs[4][0]]
    inverse = f"{node.name}_moving_inv_var"
    if inverse in opened.values:
        value = opened.values.pop(inverse).asnumpy().astype(np.float64)
        with np.errstate(divide="ignore"):
            variance = 1 / np.square(value) - eps
        if not (np.isfinite(variance).all() and (variance > -eps / 2).all()):
            raise ValueError(f"CuDNNBatchNorm {node.name!r}: expected {inverse} as cuDNN 4 wrote it, 1 / sqrt(variance "
                             f"+ {eps:g}), received values from {value.min():.3g} to {value.max():.3g}")
        variable.name = f"{node.name}_moving_var"
        opened.values[variable.name] = mx.nd.array(np.maximum(variance, 0), dtype="float32")
        return "CuDNNBatchNorm as BatchNorm, its moving_inv_var as 1 / sqrt(variance + eps)"
    return "CuDNNBatchNorm as BatchNorm"


def _convolution_v1(opened, node, work):
    _rename(node, "Convolution")
    return "Convolution_v1 as Convolution"


def _pooling_v1(opened, node, work):
    if node.flag("global_pool"):
        _rename(node, "Pooling")
        return "Pooling_v1 as Pooling"
    pads = any(node.numbers("pad", (0, 0)))
    kind, full = node.attrs.get("pool_type", "max"), node.attrs.get("pooling_convention", "valid") == "full"
    if full and kind != "sum":
        work.notes.append(f"Pooling_v1 {node.name} stays as it is: today's Pooling treats windows over the edge "
                          "otherwise")
        return None
    if kind == "max" and pads and node.inputs[0][0] not in work.non_negative:
        _pad_with_zeros(opened.graph, node)
    _rename(node, "Pooling")
    return "Pooling_v1 as Pooling"


def _pad_with_zeros(graph, node):
    """Pad in front of a pooling with an operator of its own: today's Pooling pads maxima with minus infinity."""
    rows, columns = node.numbers("pad")
    pad = graph.add("Pad", node.name + "_pad", {"mode": "constant", "constant_value": "0", "pad_width": str(
        (0, 0, 0, 0, rows, rows, columns, columns))}, [node.inputs[0]])
    node.inputs[0] = (pad.index, 0)
    del node.attrs["pad"]


def _non_negative(graph):
    """Return the indices of the nodes that give no number below 0, as far as their operators tell."""
    found = set()
    for node in graph.nodes:  # in topological order
        if node.op == "Activation":
            holds = node.attrs.get("act_type") in ("relu", "sigmoid", "softrelu")
        elif node.op in _KEEPING_SIGN:
            holds = all(source in found for source, _ in node.inputs)
        else:
            holds = node.op in _NON_NEGATIVE or (node.op == "clip" and float(node.attrs.get("a_min", -1)) >= 0)
        if holds:
            found.add(node.index)
    return frozenset(found)


def _rename(node, op):
    node.op = op


_RENEWALS = {"BatchNorm_v1": _batch_norm_v1, "_contrib_SyncBatchNorm": _sync_batch_norm,
             "_contrib_BatchNormWithReLU": _batch_norm_with_relu, "CuDNNBatchNorm": _cudnn_batch_norm,
             "Convolution_v1": _convolution_v1, "Pooling_v1": _pooling_v1}
