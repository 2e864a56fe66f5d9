"""Small networks for int8 and bfloat16: their parameters, their images, and how far numbers are apart."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.inference.bfloat16 import gains_from_bfloat16
from mxft.inference.int8 import gains_from_int8
from mxft.quantization.network import SampledNetwork

needs_int8 = pytest.mark.skipif(not gains_from_int8(), reason="this CPU has no avx512_vnni")
needs_bfloat16 = pytest.mark.skipif(not gains_from_bfloat16(), reason="this CPU has no avx512_bf16")
SHAPE = (3, 12, 12)


def convolution(data, filters, name, kernel=3, relu=True, **attrs):
    """A convolution that keeps the size, with a ReLU."""
    made = mx.sym.Convolution(data, num_filter=filters, kernel=(kernel, kernel), pad=(kernel // 2, kernel // 2),
                              name=name, **attrs)
    return mx.sym.Activation(made, act_type="relu", name=f"{name}_relu") if relu else made


def dense(data, units, name):
    """A fully connected layer."""
    return mx.sym.FullyConnected(mx.sym.Flatten(data), num_hidden=units, name=name)


def parameters(symbol, seed=0):
    """Return parameters of a symbol, filters of unlike sizes, and states of BatchNorm; a third of ``dead`` ones 0."""
    random = np.random.RandomState(seed)
    shapes, _, states = symbol.infer_shape(data=(1, *SHAPE))
    args = {}
    for name, shape in zip(symbol.list_arguments(), shapes):
        if name == "data":
            continue
        values = random.normal(0, 0.3, shape)
        if len(shape) > 1:
            values *= np.exp(random.normal(0, 0.5, (shape[0], *[1] * (len(shape) - 1)))) / 0.3
            values /= np.sqrt(np.prod(shape[1:]))
        if name.endswith("gamma"):
            values = random.uniform(0.5, 1.5, shape)
        if "dead" in name and name.endswith("weight"):
            values[::3] = 0
        args[name] = mx.nd.array(values)
    auxs = {name: mx.nd.array(random.uniform(0.5, 2, shape) if name.endswith("var") else random.normal(0, 0.3, shape))
            for name, shape in zip(symbol.list_auxiliary_states(), states)}
    return args, auxs


def images(count=16, seed=1):
    """Return float32 images."""
    return np.random.RandomState(seed).normal(0, 3, (count, *SHAPE)).astype(np.float32)


def sampled(symbol, seed=0):
    """Return a SampledNetwork of a symbol."""
    return SampledNetwork(symbol, *parameters(symbol, seed), images())


def error(received, expected):
    """Return the error as a part of what differs from the channels' means."""
    axes = (0, *range(2, expected.ndim))
    return np.linalg.norm(received - expected) / np.linalg.norm(expected - expected.mean(axes, keepdims=True))
