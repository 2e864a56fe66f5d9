"""The layers face backbones share, and the output heads that turn their last map into the embedding ``fc1``.

Follows insightface's ``symbol_utils.get_fc1`` (2018–2020): node names, ``eps``, ``momentum`` and ``fix_gamma`` are its.
"""
from mxft.compat import mx
from mxft.errors import InputError

ACTIVATIONS = ("prelu", "relu", "sigmoid", "softrelu", "softsign", "tanh")
_EPS = 2e-5
_GDC_CHANNELS = 512
_OTHER_ENDS = {"A": "ends in the pooled map", "B": "ends in pre_fc1", "D": "ends in fc1_relu",
               "Z": "ends in a dropped-out map"}


def normalize_input(data):
    """Return raw pixels 0–255 as ``(x − 127.5)/128``, by the two scalar nodes every face network begins with."""
    return (data - 127.5) * 0.0078125


def activation(data, act, name):
    """Return the activation `act` (one of ``ACTIVATIONS``) of `data`; PReLU's slope is ``<name>_gamma``."""
    if act == "prelu":
        return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
    return mx.sym.Activation(data, act_type=act, name=name)


def batch_norm(data, name, bn_mom, fix_gamma=False):
    """Return a BatchNorm with the face ResNets' epsilon, 2e-5."""
    return mx.sym.BatchNorm(data, fix_gamma=fix_gamma, eps=_EPS, momentum=bn_mom, name=name)


def _fully_connected(data, emb_size, bn_mom):
    fc1 = mx.sym.FullyConnected(data, num_hidden=emb_size, name="pre_fc1")
    return batch_norm(fc1, "fc1", bn_mom, fix_gamma=True)


def _flat(batch_norm_before, dropout, batch_norm_after):
    """Return an output head that is one FullyConnected over the whole map: E, F, G, H, I, J."""
    def head(body, emb_size, versions):
        if batch_norm_before:
            body = batch_norm(body, "bn1", versions.bn_mom)
        if dropout:
            body = mx.sym.Dropout(body, p=0.4)
        if batch_norm_after:
            return _fully_connected(body, emb_size, versions.bn_mom)
        return mx.sym.FullyConnected(body, num_hidden=emb_size, name="fc1")
    return head


def _pooled(act=None):
    """Return an output head that averages the activated map: GAP, and C, whose activation is always PReLU."""
    def head(body, emb_size, versions):
        body = activation(batch_norm(body, "bn1", versions.bn_mom), act or versions.act, "relu1")
        body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
        return _fully_connected(mx.sym.Flatten(body), emb_size, versions.bn_mom)
    return head


def _depthwise(body, emb_size, versions):
    """Global depthwise convolution, the head of MobileFaceNet (arXiv:1804.07573)."""
    body = mx.sym.Convolution(body, num_filter=_GDC_CHANNELS, num_group=_GDC_CHANNELS, kernel=(7, 7), stride=(1, 1),
                              pad=(0, 0), no_bias=True, name="conv_6dw7_7_conv2d")
    body = mx.sym.BatchNorm(body, fix_gamma=False, momentum=versions.bn_mom, name="conv_6dw7_7_batchnorm")
    return _fully_connected(body, emb_size, versions.bn_mom)


def _norm_aware(body, emb_size, versions):
    """Global norm-aware pooling: every position is brought to the batch's mean norm, then averaged.

    The mean runs over the whole batch, as upstream's does: an embedding depends a little on its neighbours.
    """
    channels, momentum = 512, 0.9
    if emb_size > channels:
        body = mx.sym.Convolution(body, num_filter=emb_size, kernel=(1, 1), stride=(1, 1), pad=(0, 0), no_bias=True,
                                  name="convx")
        body = activation(batch_norm(body, "convx_bn", momentum), versions.act, "convx_relu")
        channels = emb_size
    body = mx.sym.BatchNorm(body, fix_gamma=True, eps=_EPS, momentum=momentum, name="bn6f")
    norm = mx.sym.sqrt(mx.sym.sum(body * body, axis=1, keepdims=True))
    body = body * mx.sym.tile(mx.sym.broadcast_div(mx.sym.mean(norm), norm), reps=(1, channels, 1, 1))
    body = mx.sym.Pooling(body, kernel=(7, 7), global_pool=True, pool_type="avg")
    if emb_size < channels:
        body = mx.sym.BatchNorm(body, fix_gamma=True, eps=_EPS, momentum=momentum, name="bn6w")
        return _fully_connected(body, emb_size, momentum)
    return batch_norm(mx.sym.Flatten(body), "fc1", momentum, fix_gamma=True)


_HEADS = {
    "E": _flat(batch_norm_before=True, dropout=True, batch_norm_after=True),
    "F": _flat(batch_norm_before=True, dropout=True, batch_norm_after=False),
    "G": _flat(batch_norm_before=True, dropout=False, batch_norm_after=False),
    "H": _flat(batch_norm_before=False, dropout=False, batch_norm_after=False),
    "I": _flat(batch_norm_before=True, dropout=False, batch_norm_after=True),
    "J": _flat(batch_norm_before=False, dropout=False, batch_norm_after=True),
    "GAP": _pooled(), "C": _pooled("prelu"), "GNAP": _norm_aware, "GDC": _depthwise,
}
OUTPUTS = tuple(_HEADS)


def embedding_output(body, emb_size, versions):
    """Attach an output head.

    Parameters
    ----------
    body : mx.sym.Symbol
        The backbone's last map, ``(N, C, H, W)``.
    emb_size : int
        D of the embedding ``(N, D)``.
    versions : mxft.backbones.versions.Versions
        Of which ``output``, ``act`` and ``bn_mom`` are read.

    Returns
    -------
    mx.sym.Symbol
        Its one output is ``fc1_output``.

    Raises
    ------
    InputError
        An output that is not built.
    """
    if versions.output not in _HEADS:
        why = _OTHER_ENDS.get(versions.output)
        raise InputError(f"embedding output is not built: expected one of {', '.join(OUTPUTS)}, received "
                         f"version-output={versions.output}" + (f", which {why} and not in fc1" if why else ""))
    return _HEADS[versions.output](body, emb_size, versions)
