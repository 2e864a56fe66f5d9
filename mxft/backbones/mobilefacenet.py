"""MobileFaceNet, ``y1`` and the deeper ``y2`` (arXiv:1804.07573, table 1).

Follows insightface's ``fmobilefacenet.py``; the paper's 7x7 global depthwise convolution is ``--version-output GDC``.
"""
from mxft.backbones.embedding_output import activation, normalize_input
from mxft.compat import mx

BLOCKS = {1: (1, 4, 6, 2), 2: (2, 8, 16, 4)}


def _linear(data, num_filter, kernel, stride, name, versions, num_group=1):
    pad = (kernel - 1) // 2
    body = mx.sym.Convolution(data, num_filter=num_filter, kernel=(kernel, kernel), num_group=num_group,
                              stride=(stride, stride), pad=(pad, pad), no_bias=True, name=name + "_conv2d")
    return mx.sym.BatchNorm(body, fix_gamma=False, momentum=versions.bn_mom, name=name + "_batchnorm")


def _convolution(data, num_filter, kernel, stride, name, versions, num_group=1):
    return activation(_linear(data, num_filter, kernel, stride, name, versions, num_group), versions.act,
                      name + "_relu")


def _bottleneck(data, num_filter, stride, expanded, name, versions):
    """Inverted residual (arXiv:1801.04381): widen, convolve each channel by itself, project without activation."""
    body = _convolution(data, expanded, 1, 1, name + "_conv_sep", versions)
    body = _convolution(body, expanded, 3, stride, name + "_conv_dw", versions, num_group=expanded)
    return _linear(body, num_filter, 1, 1, name + "_conv_proj", versions)


def _residuals(data, count, num_filter, expanded, name, versions):
    for number in range(count):
        data = _bottleneck(data, num_filter, 1, expanded, f"{name}_block{number}", versions) + data
    return data


def mobilefacenet(number, versions):
    """Return the last map of a MobileFaceNet.

    Parameters
    ----------
    number : {1, 2}
    versions : mxft.backbones.versions.Versions
        Of which ``act`` and ``bn_mom`` are read.

    Returns
    -------
    mx.sym.Symbol
        ``(N, 512, H/16, W/16)``.
    """
    blocks = BLOCKS[number]
    body = _convolution(normalize_input(mx.sym.Variable("data")), 64, 3, 2, "conv_1", versions)
    if blocks[0] == 1:
        body = _convolution(body, 64, 3, 1, "conv_2_dw", versions, num_group=64)
    else:
        body = _residuals(body, blocks[0], 64, 64, "res_2", versions)
    for stage, width, strided, expanded in ((3, 64, 128, 128), (4, 128, 256, 256), (5, 128, 512, 256)):
        body = _bottleneck(body, width, 2, strided, f"dconv_{stage - 1}{stage}", versions)
        body = _residuals(body, blocks[stage - 2], width, expanded, f"res_{stage}", versions)
    return _convolution(body, 512, 1, 1, "conv_6sep", versions)
