"""The face ResNets ``r18 … r269``: a 3x3 first convolution at full size, and residual units of three versions.

Follows insightface's ``fresnet.py``: unit 3 is the "IR" unit of the ArcFace paper (arXiv:1801.07698, section 3.2),
unit 1 He et al.'s first (arXiv:1512.03385), unit 2 the pre-activated one (arXiv:1603.05027).
"""
from mxft.backbones.embedding_output import activation, batch_norm, normalize_input
from mxft.compat import mx

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 49: (3, 4, 14, 3), 50: (3, 4, 14, 3), 74: (3, 6, 24, 3),
          90: (3, 8, 30, 3), 98: (3, 4, 38, 3), 99: (3, 8, 35, 3), 100: (3, 13, 30, 3), 101: (3, 4, 23, 3),
          124: (3, 13, 40, 5), 134: (3, 10, 50, 3), 136: (3, 13, 48, 3), 140: (3, 15, 48, 3), 152: (3, 8, 36, 3),
          160: (3, 24, 49, 3), 200: (3, 24, 36, 3), 269: (3, 30, 48, 8)}
# train_softmax.py's own tree builds 101 and deeper with bottlenecks; the depths only its successor knew, without.
_BOTTLENECK = {101, 124, 152, 200, 269}
UNITS = (1, 2, 3)
_WIDTHS = (64, 128, 256, 512)


def _convolution(data, num_filter, kernel, stride, name, bias=False):
    pad = (kernel - 1) // 2
    return mx.sym.Convolution(data, num_filter=num_filter, kernel=(kernel, kernel), stride=(stride, stride),
                              pad=(pad, pad), workspace=256, name=name, **({} if bias else {"no_bias": True}))


def _squeeze_excite(body, width, name, versions):
    """Scale every channel by a gate learned from all (arXiv:1709.01507), reduction 16; nothing at ``se=0``."""
    if not versions.se:
        return body
    gate = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name=name + "_se_pool1")
    gate = _convolution(gate, width // 16, 1, 1, name + "_se_conv1", bias=True)
    gate = activation(gate, versions.act, name + "_se_relu1")
    gate = _convolution(gate, width, 1, 1, name + "_se_conv2", bias=True)
    return mx.sym.broadcast_mul(body, mx.sym.Activation(gate, act_type="sigmoid", name=name + "_se_sigmoid"))


def _projection(data, width, stride, name, versions):
    """The shortcut of a stage's first unit, where size and channels change."""
    shortcut = _convolution(data, width, 1, stride, name + "_conv1sc")
    return batch_norm(shortcut, name + "_sc", versions.bn_mom)


def _branch(width, stride, bottleneck, versions):
    """Return (filters, kernel, stride) of a unit's convolutions; which of them strides is the version's matter."""
    plan = [(width // 4, 1), (width // 4, 3), (width, 1)] if bottleneck else [(width, 3), (width, 3)]
    if versions.unit == 2:
        striding = 1 if bottleneck else 0
    else:
        striding = 0 if versions.unit == 1 and versions.input == 0 else len(plan) - 1
    return [(filters, kernel, stride if i == striding else 1) for i, (filters, kernel) in enumerate(plan)]


def _unit1(data, width, stride, first, name, bottleneck, versions):
    body, plan = data, _branch(width, stride, bottleneck, versions)
    for i, (filters, kernel, step) in enumerate(plan, 1):
        body = _convolution(body, filters, kernel, step, f"{name}_conv{i}")
        body = batch_norm(body, f"{name}_bn{i}", versions.bn_mom)
        if i < len(plan):
            body = activation(body, versions.act, f"{name}_relu{i}")
    body = _squeeze_excite(body, width, name, versions)
    shortcut = _projection(data, width, stride, name, versions) if first else data
    return activation(body + shortcut, versions.act, name + "_relu3")


def _unit2(data, width, stride, first, name, bottleneck, versions):
    body, shortcut = data, data
    for i, (filters, kernel, step) in enumerate(_branch(width, stride, bottleneck, versions), 1):
        body = activation(batch_norm(body, f"{name}_bn{i}", versions.bn_mom), versions.act, f"{name}_relu{i}")
        if first and i == 1:
            shortcut = _convolution(body, width, 1, stride, name + "_sc")
        body = _convolution(body, filters, kernel, step, f"{name}_conv{i}")
    return _squeeze_excite(body, width, name, versions) + shortcut


def _unit3(data, width, stride, first, name, bottleneck, versions):
    body, plan = batch_norm(data, name + "_bn1", versions.bn_mom), _branch(width, stride, bottleneck, versions)
    for i, (filters, kernel, step) in enumerate(plan, 1):
        body = _convolution(body, filters, kernel, step, f"{name}_conv{i}")
        body = batch_norm(body, f"{name}_bn{i + 1}", versions.bn_mom)
        if i < len(plan):
            body = activation(body, versions.act, f"{name}_relu{i}")
    body = _squeeze_excite(body, width, name, versions)
    shortcut = _projection(data, width, stride, name, versions) if first else data
    return body + shortcut


def _stem(versions):
    """Input 0 strides by a 7x7 convolution at once; input 2 lets a BatchNorm find the pixels' mean and scale."""
    data = mx.sym.Variable("data")
    if versions.input == 2:
        data = batch_norm(data, "bn_data", versions.bn_mom, fix_gamma=True)
    else:
        data = normalize_input(mx.sym.identity(data, name="id"))
    kernel, stride = (7, 2) if versions.input == 0 else (3, 1)
    body = _convolution(data, 64, kernel, stride, "conv0")
    return activation(batch_norm(body, "bn0", versions.bn_mom), versions.act, "relu0")


def face_resnet(depth, versions):
    """Return the last map of a face ResNet.

    Parameters
    ----------
    depth : int
        A key of ``STAGES``.
    versions : mxft.backbones.versions.Versions

    Returns
    -------
    mx.sym.Symbol
        ``(N, 512, H/16, W/16)``; 2048 channels with bottlenecks, half the size at input version 0.
    """
    return residual_network(STAGES[depth], depth in _BOTTLENECK, versions)


def residual_network(counts, bottleneck, versions):
    """Return the last map of a face ResNet of any depth.

    Parameters
    ----------
    counts : tuple of int
        Residual units of each of the four stages.
    bottleneck : bool
        Units of 1x1, 3x3, 1x1 convolutions and four times the channels; of two 3x3 ones otherwise.
    versions : mxft.backbones.versions.Versions

    Returns
    -------
    mx.sym.Symbol
        See `face_resnet`.
    """
    body = _stem(versions)
    unit = {1: _unit1, 2: _unit2, 3: _unit3}[versions.unit]
    for stage, (count, width) in enumerate(zip(counts, _WIDTHS), 1):
        width *= 4 if bottleneck else 1
        for number in range(1, count + 1):
            first = number == 1
            body = unit(body, width, 2 if first else 1, first, f"stage{stage}_unit{number}", bottleneck, versions)
    return body
