"""BatchNorm and the ReLU or ReLU6 behind it in operators that keep oneDNN's blocked memory layout, for training."""
import functools
import os

import numpy as np

from mxft.compat import mx
from mxft.machine.processor import cpu_flags
from mxft.rewrite.channels import BLOCK, FUSED_BATCH_NORM, known_channels
from mxft.rewrite.editing import Edit
from mxft.rewrite.memory_layout import channel_blocks

_EPS = 2.0 ** -10  # and a variance of 1 − 2^-10: their sum is exactly 1
_ALMOST_ZERO = "1e-12"  # far below float32's rounding of a map of normalised values


def relu6_for_training(symbol):
    """Compute ``clip(b, 0, A)`` of a BatchNorm's output b as ``relu(A − relu(A − b))``, each ReLU inside a BatchNorm.

    MXNet 1.9.1's ``clip`` knows the plain layout alone: forward and backward, maps and gradients are copied out of
    oneDNN's blocks and back, half of a training step of MobileNetV2. Here the BatchNorm itself gives A − b, from −γ and
    A − β, with its ReLU fused; a second one, of fixed statistics (mean 0, variance 1, γ = −1, β = A), does the rest.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments and auxiliary states; the symbol itself where there is nothing to change.

    Notes
    -----
    Equal to float32's rounding of A. The two A are the next float32 above it and the one after that, so that b = 0 and
    b = A exactly pass the gradient on as they do in clip: a channel whose γ and β are 0 is such a case. Each rewritten
    clip keeps two more maps for the backward pass.

    Left alone: a clip that does not begin at 0 or follow a BatchNorm that nothing else reads; ``fix_gamma`` (MXNet
    writes 1 into what it reads); maps whose convolutions have channels that are no multiple of 16, for between layouts
    the fused operator does not run; all of them where it does not run at all (see `fused_batch_norm_runs`).
    """
    return _fuse(symbol, _is_relu6_of, _make_relu6)


def batch_norm_relu_for_training(symbol):
    """Compute a ReLU of a BatchNorm's output inside the BatchNorm.

    It spares a pass over the map forward and two backward.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same arguments and auxiliary states; the symbol itself where there is nothing to change. Left alone in the
        same cases as by `relu6_for_training`, but for ``fix_gamma``.
    """
    return _fuse(symbol, lambda node, batch_norm: _is_relu(node), _make_relu)


def relu_between_layouts(symbol):
    """Compute a BatchNorm's ReLU in the plain memory layout where convolutions on its two sides use different blocks.

    There the gradient would reach the BatchNorm in blocks of 8 channels where its map is in blocks of 16 (or the other
    way round), and oneDNN falls back to a reference implementation many times slower: three such layers, beside the 24
    channels of MobileNetV2's second stage, take most of a training step. MXNet puts a plain gradient into the right
    blocks by itself. It is a clip from `_ALMOST_ZERO`, since clip, unlike ReLU, would pass on the gradient at 0.

    Parameters
    ----------
    symbol : mx.sym.Symbol

    Returns
    -------
    mx.sym.Symbol
        The same numbers; the symbol itself where there is nothing to change, and on a CPU without AVX-512, which has
        blocks of 8 alone.
    """
    if "avx512f" not in cpu_flags():
        return symbol
    edit = Edit(symbol, {}, {})
    blocks = channel_blocks(edit.graph)
    for node in edit.graph.operators():
        if (node.op == "Activation" and _is_relu(node) and edit.source(node).op == "BatchNorm"
                and {8, 16} <= blocks[node.index]):
            node.op, node.attrs = "clip", {"a_min": _ALMOST_ZERO, "a_max": str(np.finfo(np.float32).max)}
            edit.read(node, node.inputs[0])
    return edit.result()[0]


def _fuse(symbol, is_wanted, make):
    """Return the symbol with ``make(edit, node, batch_norm, channels)`` done to every wanted node behind one."""
    edit = Edit(symbol, {}, {})
    channels, blocks = known_channels(edit.graph), channel_blocks(edit.graph)
    for node in edit.graph.operators():
        batch_norm = edit.source(node) if node.inputs else node
        if (batch_norm.op == "BatchNorm" and is_wanted(node, batch_norm) and edit.is_only_reader(node)
                and batch_norm.attrs.get("axis", "1") == "1" and not batch_norm.flag("output_mean_var")
                and channels[batch_norm.index] and channels[batch_norm.index] % BLOCK == 0
                and blocks[batch_norm.index] == {BLOCK} and fused_batch_norm_runs()):
            make(edit, node, batch_norm, channels[batch_norm.index])
    return edit.result()[0]


def _is_relu(node):
    return node.op == "relu" or node.op == "Activation" and node.attrs["act_type"] == "relu"


def _is_relu6_of(node, batch_norm):
    return (node.op == "clip" and float(node.attrs["a_min"]) == 0 and 0 < float(node.attrs["a_max"]) < np.inf
            and batch_norm.attrs.get("fix_gamma", "True").lower() in ("false", "0"))


def _make_relu(edit, node, batch_norm, _):
    node.op, node.attrs, node.inputs = FUSED_BATCH_NORM, dict(batch_norm.attrs), list(batch_norm.inputs)
    edit.read(node, node.inputs[0])


def _make_relu6(edit, node, batch_norm, channels):
    first = np.nextafter(np.float32(node.attrs["a_max"]), np.float32(np.inf))
    second = np.nextafter(first, np.float32(np.inf))
    gamma = edit.add("negative", batch_norm.name + "_minus_gamma", {}, [batch_norm.inputs[1]])
    beta = edit.add("_rminus_scalar", batch_norm.name + "_ceiling_less_beta", {"scalar": repr(float(first))},
                    [batch_norm.inputs[2]])
    batch_norm.op = FUSED_BATCH_NORM
    edit.read(batch_norm, (gamma.index, 0), 1)
    edit.read(batch_norm, (beta.index, 0), 2)
    node.op = FUSED_BATCH_NORM
    node.attrs = {"eps": repr(_EPS), "fix_gamma": "False", "use_global_stats": "True"}
    for what, value in {"gamma": "-1", "beta": repr(float(second)), "mean": "0", "var": repr(1 - _EPS)}.items():
        constant = edit.add("_full", f"{node.name}_{what}", {"shape": f"({channels},)", "value": value}, [])
        node.inputs.append((constant.index, 0))


@functools.cache
def fused_batch_norm_runs():
    """Whether MXNet's BatchNorm with a fused ReLU runs on this machine, and right: tried once, on a tiny network.

    It has no implementation but oneDNN's (with that switched off MXNet dies of it), which is fast with AVX2 or better.

    Returns
    -------
    bool
    """
    if os.environ.get("MXNET_MKLDNN_ENABLED", "1").lower() in ("0", "false") or "avx2" not in cpu_flags() \
            or not mx.runtime.Features().is_enabled("MKLDNN"):
        return False
    net = mx.sym.Variable("data")
    for stage, groups in enumerate((1, 16, 1)):
        net = mx.sym.Convolution(net, kernel=(1, 1), num_filter=16, num_group=groups, no_bias=True)
        if stage < 2:
            net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name=f"bn{stage}"), act_type="relu")
    fused = Edit(net, {}, {})
    for node in fused.graph.operators():
        if node.op == "Activation":
            _make_relu(fused, node, fused.source(node), 16)
    try:
        expected, got = _outputs_and_gradients(net), _outputs_and_gradients(fused.result()[0])
    except mx.base.MXNetError:
        return False
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(expected, got))


def _outputs_and_gradients(symbol):
    """Return the output and all gradients of one step on fixed random numbers."""
    rng = np.random.RandomState(0)
    executor = symbol.simple_bind(mx.cpu(), data=(2, 16, 6, 6))
    for name in symbol.list_arguments():
        executor.arg_dict[name][:] = rng.normal(size=executor.arg_dict[name].shape)
    executor.forward(is_train=True)
    executor.backward(mx.nd.array(rng.normal(size=(2, 16, 6, 6))))
    return [array.asnumpy() for array in executor.outputs + executor.grad_arrays]
