"""MobileNet for faces, ``m1`` (arXiv:1704.04861, table 1), with a first convolution that keeps the size.

Follows insightface's ``fmobilenet.py``.
"""
from mxft.backbones.embedding_output import activation, normalize_input
from mxft.compat import mx

# Of each depthwise-separable block: its stride, and its output channels in units of the first convolution's.
_BLOCKS = ((1, 2), (2, 4), (1, 4), (2, 8), (1, 8), (2, 16), (1, 16), (1, 16), (1, 16), (1, 16), (1, 16), (2, 32),
           (1, 32))


def _convolution(data, num_filter, kernel, stride, name, versions, num_group=1):
    pad = (kernel - 1) // 2
    body = mx.sym.Convolution(data, num_filter=num_filter, kernel=(kernel, kernel), num_group=num_group,
                              stride=(stride, stride), pad=(pad, pad), no_bias=True, name=name + "_conv2d")
    body = mx.sym.BatchNorm(body, fix_gamma=True, name=name + "_batchnorm")
    return activation(body, versions.act, name + "_relu")


def face_mobilenet(versions):
    """Return the last map of a MobileNet.

    Parameters
    ----------
    versions : mxft.backbones.versions.Versions
        ``input`` 0 strides in the first convolution, as the paper; 1 does not. ``multiplier`` scales every width.

    Returns
    -------
    mx.sym.Symbol
        ``(N, 1024·multiplier, H/16, W/16)``; half the size at input version 0.
    """
    base = int(32 * versions.multiplier)
    body = _convolution(normalize_input(mx.sym.Variable("data")), base, 3, 2 if versions.input == 0 else 1, "conv_1",
                        versions)
    width = base
    for number, (stride, times) in enumerate(_BLOCKS, 2):
        body = _convolution(body, width, 3, stride, f"conv_{number}_dw", versions, num_group=width)
        width = base * times
        body = _convolution(body, width, 1, 1, f"conv_{number}", versions)
    return body
