"""``mbf``, the MobileFaceNet of insightface's PyTorch years, with y1's layers under y1's names.

Follows ``recognition/arcface_torch/backbones/mobilefacenet.py`` (2021–2026). From y1 (arXiv:1804.07573, table 1) it
differs in the width between the blocks, twice (mbf) or four times (mbf_large) y1's while the blocks widen to y1's own
channels; in a second convolution of 64 groups and not of a channel each; in BatchNorm's epsilon; and in an embedding
layer without bias whose last BatchNorm has a scale that learns.
"""
from mxft.backbones.embedding_output import normalize_input
from mxft.compat import mx

_EPS = 1e-5
_GROUPS = 64      # of the second convolution
_LAST = 512       # channels of the last map


def mbf(blocks, multiplier, emb_size):
    """Return the network with its embedding.

    Parameters
    ----------
    blocks : tuple of int
        Residual blocks of its four stages, 1, 4, 6, 2 of mbf and 2, 8, 12, 4 of mbf_large; a first stage of one is a
        single convolution.
    multiplier : int
        Width between the blocks, in units of y1's.
    emb_size : int
        D of the embedding.

    Returns
    -------
    mx.sym.Symbol
        Input ``data``, float32 ``(N, 3, 112, 112)``, RGB, raw 0–255; one output, ``fc1_output``, ``(N, D)``.

    Examples
    --------
    >>> mbf((1, 4, 6, 2), 2, 512).infer_shape(data=(1, 3, 112, 112))[1]
    [(1, 512)]
    """
    with mx.name.NameManager():
        body = _convolution(normalize_input(mx.sym.Variable("data")), 64 * multiplier, 3, 2, "conv_1")
        if blocks[0] == 1:
            body = _convolution(body, 64 * multiplier, 3, 1, "conv_2_dw", _GROUPS)
        else:
            body = _residuals(body, blocks[0], 64 * multiplier, 128, "res_2")
        for stage, width, strided, expanded in ((3, 64, 128, 128), (4, 128, 256, 256), (5, 128, 512, 256)):
            body = _bottleneck(body, width * multiplier, 2, strided, f"dconv_{stage - 1}{stage}")
            body = _residuals(body, blocks[stage - 2], width * multiplier, expanded, f"res_{stage}")
        body = _linear(_convolution(body, _LAST, 1, 1, "conv_6sep"), _LAST, 7, 1, "conv_6dw7_7", _LAST, pad=0)
        return _norm(mx.sym.FullyConnected(body, num_hidden=emb_size, no_bias=True, name="pre_fc1"), "fc1")


def _norm(data, name):
    return mx.sym.BatchNorm(data, fix_gamma=False, eps=_EPS, name=name)


def _linear(data, num_filter, kernel, stride, name, num_group=1, pad=None):
    pad = (kernel - 1) // 2 if pad is None else pad
    body = mx.sym.Convolution(data, num_filter=num_filter, kernel=(kernel, kernel), num_group=num_group,
                              stride=(stride, stride), pad=(pad, pad), no_bias=True, name=name + "_conv2d")
    return _norm(body, name + "_batchnorm")


def _convolution(data, num_filter, kernel, stride, name, num_group=1):
    return mx.sym.LeakyReLU(_linear(data, num_filter, kernel, stride, name, num_group), act_type="prelu",
                            name=name + "_relu")


def _bottleneck(data, num_filter, stride, expanded, name):
    body = _convolution(data, expanded, 1, 1, name + "_conv_sep")
    body = _convolution(body, expanded, 3, stride, name + "_conv_dw", expanded)
    return _linear(body, num_filter, 1, 1, name + "_conv_proj")


def _residuals(data, count, num_filter, expanded, name):
    for number in range(count):
        data = _bottleneck(data, num_filter, 1, expanded, f"{name}_block{number}") + data
    return data
