"""Gluon layers whose parameters are called as PyTorch calls them, with its padding or TensorFlow's.

So a state_dict of PyTorch fits a network made of them name by name.
"""
import math

from mxft.compat import mx


def same_padding(size, kernel, stride):
    """Return TensorFlow's ``same`` padding of one axis: pixels before and after.

    Examples
    --------
    >>> same_padding(224, 3, 2), same_padding(75, 5, 2)
    ((0, 1), (2, 2))
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Convolution(mx.gluon.HybridBlock):
    """A convolution that pads by half its kernel as PyTorch networks do, or ``same``.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel, stride, groups : int
    size : int, optional
        Height and width of the map that static ``same`` padding is computed for; None: ``(kernel − 1) / 2`` on all
        sides.
    bias : bool
    **scope
        Gluon's ``prefix`` and ``params``.
    """

    def __init__(self, inputs, outputs, kernel, size=None, stride=1, groups=1, bias=False, **scope):
        super().__init__(**scope)
        before, after = ((kernel - 1) // 2,) * 2 if size is None else same_padding(size, kernel, stride)
        self._border = (0, 0, 0, 0, before, after, before, after) if before != after else None
        self._options = {"kernel": (kernel, kernel), "stride": (stride, stride), "num_filter": outputs,
                         "num_group": groups, "no_bias": not bias, "pad": (before, before) if before == after else
                         (0, 0)}
        self.weight = self.params.get("weight", shape=(outputs, inputs // groups, kernel, kernel))
        if bias:
            self.bias = self.params.get("bias", shape=(outputs,), init="zeros")

    def hybrid_forward(self, F, x, weight, bias=None):
        if self._border:
            x = F.pad(x, mode="constant", constant_value=0, pad_width=self._border, name="pad")
        return F.Convolution(x, weight, *([] if bias is None else [bias]), name="fwd", **self._options)


class BatchNorm(mx.gluon.HybridBlock):
    """BatchNorm with PyTorch's names: ``weight`` is gamma, ``bias`` beta; `momentum` is MXNet's, 1 less PyTorch's."""

    def __init__(self, channels, epsilon=1e-5, momentum=0.9, **scope):
        super().__init__(**scope)
        self._options = {"eps": epsilon, "momentum": momentum, "fix_gamma": False}
        self.weight = self.params.get("weight", shape=(channels,), init="ones")
        self.bias = self.params.get("bias", shape=(channels,), init="zeros")
        self.running_mean = self.params.get("running_mean", shape=(channels,), init="zeros", differentiable=False)
        self.running_var = self.params.get("running_var", shape=(channels,), init="ones", differentiable=False)

    def hybrid_forward(self, F, x, weight, bias, running_mean, running_var):
        return F.BatchNorm(x, weight, bias, running_mean, running_var, name="fwd", **self._options)


class Linear(mx.gluon.HybridBlock):
    """A fully connected layer with a bias."""

    def __init__(self, inputs, outputs, **scope):
        super().__init__(**scope)
        self._outputs = outputs
        self.weight = self.params.get("weight", shape=(outputs, inputs))
        self.bias = self.params.get("bias", shape=(outputs,), init="zeros")

    def hybrid_forward(self, F, x, weight, bias):
        return F.FullyConnected(x, weight, bias, num_hidden=self._outputs, name="fwd")
