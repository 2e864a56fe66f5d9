"""ONNX operators as MXNet symbols: those image classifiers are made of, opset 7 to 23 (onnx.ai/onnx/operators).

MXNet 1.9.1 has an importer of its own (mxnet/contrib/onnx/onnx2mx), for models of 2018: it fails on a Clip since opset
11, on BatchNorms that share an array and on anything PyTorch 2 exports, and a Gemm is no FullyConnected behind it.
"""
import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, last_line
from mxft.importing.onnx_folding import SHAPE_OPERATORS, fold

_PLAIN = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softrelu"}
_LOWEST = -3.4e38
# what Python says of an attribute or constant that is missing, or of another type, shape or number than it should be
_UNLIKE_ONNX = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Refused(InputError):
    """An operator in a form that is not understood."""


class Translation:
    """An ONNX graph on the way to a symbol.

    Parameters
    ----------
    values : dict of str to numpy.ndarray
        The graph's constants.
    shapes : dict of str to tuple
        Of tensors, as far as shape inference tells; 0 for an axis it does not.
    data : str
        The graph's input.

    Attributes
    ----------
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Filled by `add`; called after their node, ``<node>_weight``, as MXNet's optimizers and initializers expect.
    """

    def __init__(self, values, shapes, data):
        self.values, self.shapes = dict(values), shapes
        self.arg_params, self.aux_params = {}, {}
        self._symbols, self._names = {data: mx.sym.var("data")}, {"data"}

    def add(self, node):
        """Translate one node, whose inputs have been."""
        from onnx import helper

        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.name = self._free_name(node)
        try:
            constant = fold(node, attributes, [self.values[name] if self.is_constant(name) else None
                                               for name in node.input], self.shapes.get(node.input[0]))
            if constant is not None:
                self.values[node.output[0]] = constant
                return
            found = OPERATORS[node.op_type](self, node, attributes)
        except InputError:
            raise
        except _UNLIKE_ONNX as error:
            raise Refused(f"{node.op_type} {self.name}: expected inputs and attributes as ONNX has them, received "
                          f"{_received(node, attributes)} ({type(error).__name__}: {last_line(error)})") from None
        for output, symbol in zip(node.output, found if isinstance(found, tuple) else (found,)):
            self._symbols[output] = symbol

    def symbol(self, name):
        """Return what was made of a tensor; a constant becomes a parameter."""
        if name not in self._symbols:
            self._symbols[name] = self.parameter("constant", self.values[name])
        return self._symbols[name]

    def is_constant(self, name):
        """Whether a tensor is a constant of the file."""
        return name in self.values and name not in self._symbols

    def parameter(self, kind, value, auxiliary=False):
        """Return a variable ``<node>_<kind>`` of this value."""
        name, number = f"{self.name}_{kind}", 2
        while name in self._names:
            name, number = f"{self.name}_{kind}{number}", number + 1
        self._names.add(name)
        value = np.asarray(value, np.float32)
        if not value.size or not np.isfinite(value).all():
            raise Refused(f"expected finite numbers in {name}, received {'NaN or infinity' if value.size else 'none'}")
        (self.aux_params if auxiliary else self.arg_params)[name] = mx.nd.array(value)
        return mx.sym.var(name, shape=value.shape)

    def constant(self, node, position, default=None):
        """Return a node's constant input, `default` where it has none; refuse one that is computed."""
        name = node.input[position] if position < len(node.input) else ""
        if not name:
            return default
        if not self.is_constant(name):
            raise Refused(f"{node.op_type} {self.name}: expected a constant as input {position}, received a computed "
                          "one")
        return self.values[name]

    def _free_name(self, node):
        """Return ``layer1.0.conv1`` for ``/layer1/layer1.0/conv1/Conv``: the scope PyTorch wrote, or a number."""
        parts = [part for part in (node.name or node.output[0]).split("/") if part] or ["node"]
        base = parts[-2] if len(parts) > 1 else parts[-1]
        name, number = base.replace("::", "_"), 2
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
        return name


def _received(node, attributes):
    told = [f"{len(node.input)} inputs", *(f"{name}={value!r:.40}" for name, value in attributes.items())]
    return ", ".join(told[:8])


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _padding(t, node, attributes, axes):
    """Return (before, after) of rows and columns."""
    if _text(attributes.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise Refused(f"{node.op_type} {t.name}: expected explicit pads, received auto_pad; convert the model with "
                      "explicit padding")
    pads = tuple(attributes.get("pads", (0,) * 2 * axes))
    return pads[:axes], pads[axes:]


def _padded(t, data, before, after, value=0.0):
    """Return (data, pad) with what MXNet's convolutions and poolings cannot pad, being uneven, padded before."""
    if before == after:
        return data, before
    border = (0, 0, 0, 0, *(size for pair in zip(before, after) for size in pair))
    return mx.sym.pad(data, mode="constant", constant_value=value, pad_width=border, name=t.name + "_pad"), (0, 0)


def _conv(t, node, attributes):
    weight = t.constant(node, 1)
    if weight.ndim != 4:
        raise Refused(f"Conv {t.name}: expected two dimensions, received {weight.ndim - 2}")
    data, pad = _padded(t, t.symbol(node.input[0]), *_padding(t, node, attributes, 2))
    bias = t.constant(node, 2)
    rest = [] if bias is None else [t.parameter("bias", bias)]
    return mx.sym.Convolution(data, t.parameter("weight", weight), *rest, kernel=weight.shape[2:], pad=pad,
                              stride=tuple(attributes.get("strides", (1, 1))), num_filter=weight.shape[0],
                              dilate=tuple(attributes.get("dilations", (1, 1))), no_bias=bias is None,
                              num_group=attributes.get("group", 1), name=t.name)


def _batch_norm(t, node, attributes):
    gamma, beta, mean, variance = (t.constant(node, position) for position in range(1, 5))
    # of an embedding insightface keeps it at 1, in MXNet and in PyTorch; a scale that was trained is none
    kept_at_1 = len(t.shapes.get(node.input[0], ())) == 2 and bool((gamma == 1).all())
    return mx.sym.BatchNorm(t.symbol(node.input[0]), t.parameter("gamma", gamma), t.parameter("beta", beta),
                            t.parameter("moving_mean", mean, True), t.parameter("moving_var", variance, True),
                            eps=attributes.get("epsilon", 1e-5), momentum=attributes.get("momentum", 0.9),
                            fix_gamma=kept_at_1, name=t.name)


def _dense(t, data, weight, bias):
    """A FullyConnected of weight ``(O, I)``."""
    rest = [] if bias is None else [t.parameter("bias", np.ravel(bias))]
    return mx.sym.FullyConnected(data, t.parameter("weight", weight), *rest, num_hidden=len(weight), flatten=False,
                                 no_bias=bias is None, name=t.name)


def _gemm(t, node, attributes):
    if attributes.get("transA", 0):
        raise Refused(f"Gemm {t.name}: expected its first matrix as it is, received transA=1")
    weight = t.constant(node, 1) if attributes.get("transB", 0) else t.constant(node, 1).T
    bias = t.constant(node, 2)
    if bias is not None:
        bias = np.broadcast_to(np.ravel(bias), (len(weight),)) * attributes.get("beta", 1.0)
    return _dense(t, t.symbol(node.input[0]), weight * attributes.get("alpha", 1.0), bias)


def _matmul(t, node, _):
    return _dense(t, t.symbol(node.input[0]), t.constant(node, 1).T, None)


def _arithmetic(scalar, reverse, elementwise, broadcast):
    """Return the translation of a sum, difference, product or quotient."""
    def translate(t, node, _):
        one, other = node.input
        for constant, tensor, by_scalar in ((other, one, scalar), (one, other, reverse)):
            if t.is_constant(constant) and t.values[constant].size == 1:
                return getattr(mx.sym._internal, by_scalar)(t.symbol(tensor), scalar=float(t.values[constant].item()),
                                                  name=t.name)
        if t.is_constant(one) and scalar == reverse:  # the data comes first: by that it is found in a graph
            one, other = other, one
        shapes = t.shapes.get(one), t.shapes.get(other)
        same = shapes[0] is not None and shapes[0] == shapes[1] and not any(map(t.is_constant, node.input))
        return getattr(mx.sym, elementwise if same else broadcast)(t.symbol(one), t.symbol(other), name=t.name)
    return translate


def _activation(t, node, _):
    return mx.sym.Activation(t.symbol(node.input[0]), act_type=_PLAIN[node.op_type], name=t.name)


def _clip(t, node, attributes):
    low = t.constant(node, 1, attributes.get("min", _LOWEST))
    high = t.constant(node, 2, attributes.get("max", -_LOWEST))
    return mx.sym.clip(t.symbol(node.input[0]), a_min=float(low), a_max=float(high), name=t.name)


def _leaky(t, node, attributes):
    return mx.sym.LeakyReLU(t.symbol(node.input[0]), act_type="leaky", slope=attributes.get("alpha", 0.01), name=t.name)


def _prelu(t, node, _):
    slope = t.parameter("gamma", np.ravel(t.constant(node, 1)))
    return mx.sym.LeakyReLU(t.symbol(node.input[0]), slope, act_type="prelu", name=t.name)


def _hard_sigmoid(t, node, attributes):
    return mx.sym.hard_sigmoid(t.symbol(node.input[0]), alpha=attributes.get("alpha", 0.2),
                               beta=attributes.get("beta", 0.5), name=t.name)


def _hard_swish(t, node, _):
    data = t.symbol(node.input[0])
    return mx.sym.elemwise_mul(data, mx.sym.hard_sigmoid(data, alpha=1 / 6, beta=0.5, name=t.name + "_gate"),
                               name=t.name)


def _pool(kind):
    def translate(t, node, attributes):
        before, after = _padding(t, node, attributes, 2)
        count_pad = bool(attributes.get("count_include_pad", 0))
        if kind == "avg" and before != after and not count_pad:
            raise Refused(f"AveragePool {t.name}: expected even pads or count_include_pad=1, received "
                          f"{before + after}")
        data, pad = _padded(t, t.symbol(node.input[0]), before, after, _LOWEST if kind == "max" else 0.0)
        return mx.sym.Pooling(data, pool_type=kind, kernel=tuple(attributes["kernel_shape"]), pad=pad,
                              stride=tuple(attributes.get("strides", (1, 1))), count_include_pad=count_pad,
                              pooling_convention="full" if attributes.get("ceil_mode", 0) else "valid", name=t.name)
    return translate


def _global_pool(kind):
    def translate(t, node, _):
        return mx.sym.Pooling(t.symbol(node.input[0]), pool_type=kind, global_pool=True, kernel=(1, 1), name=t.name)
    return translate


def _reduce_mean(t, node, attributes):
    axes = tuple(int(axis) for axis in t.constant(node, 1, attributes.get("axes", ())))
    rank = len(t.shapes.get(node.input[0], ()))
    if rank == 4 and sorted(axis % 4 for axis in axes) == [2, 3]:
        mean = mx.sym.Pooling(t.symbol(node.input[0]), pool_type="avg", global_pool=True, kernel=(1, 1),
                              name=t.name + "_pool" * (not attributes.get("keepdims", 1)))
        return mean if attributes.get("keepdims", 1) else mx.sym.Flatten(mean, name=t.name)
    return mx.sym.mean(t.symbol(node.input[0]), axis=axes, keepdims=bool(attributes.get("keepdims", 1)), name=t.name)


def _flatten(t, node, attributes):
    if attributes.get("axis", 1) != 1:
        raise Refused(f"Flatten {t.name}: expected axis 1, received {attributes['axis']}")
    return mx.sym.Flatten(t.symbol(node.input[0]), name=t.name)


def _reshape(t, node, _):
    shape = [int(size) for size in t.constant(node, 1)]
    had = t.shapes.get(node.input[0], ())
    of_batch = had and (shape[0] in (had[0], -1, 0) or (shape[0] == 1 and not had[0]))  # 1: as PyTorch saw it
    if of_batch and (shape[0] != -1 or -1 not in shape[1:]):
        rest = int(np.prod(had[1:]))
        if len(shape) == 2 and shape[1] in (-1, rest):
            return mx.sym.Flatten(t.symbol(node.input[0]), name=t.name)
        if shape[0] != -1 or int(np.prod(shape[1:])) == rest:
            shape[0] = 0  # whatever the batch is
    return mx.sym.Reshape(t.symbol(node.input[0]), shape=tuple(shape), name=t.name)


def _squeeze(t, node, attributes):
    axes = tuple(int(axis) for axis in t.constant(node, 1, attributes.get("axes", ())))
    return mx.sym.squeeze(t.symbol(node.input[0]), axis=axes or None, name=t.name)


def _unsqueeze(t, node, attributes):
    data = t.symbol(node.input[0])
    for axis in sorted(int(axis) for axis in t.constant(node, 1, attributes.get("axes", ()))):
        data = mx.sym.expand_dims(data, axis=axis, name=f"{t.name}_{axis}")
    return data


def _concat(t, node, attributes):
    return mx.sym.Concat(*map(t.symbol, node.input), dim=attributes["axis"], name=t.name)


def _split(t, node, attributes):
    sizes, count = t.constant(node, 1, attributes.get("split")), len(node.output)
    axis, whole = attributes.get("axis", 0), t.shapes.get(node.input[0])
    if sizes is None:
        if not whole or not whole[axis]:
            raise Refused(f"Split {t.name}: expected its sizes, received none")
        sizes = [-(-whole[axis] // count)] * (count - 1)
    ends = [int(end) for end in np.cumsum(sizes)][:count - 1]
    return tuple(mx.sym.slice_axis(t.symbol(node.input[0]), axis=axis, begin=begin, end=end, name=f"{t.name}_{i}")
                 for i, (begin, end) in enumerate(zip([0, *ends], [*ends, None])))


def _transpose(t, node, attributes):
    return mx.sym.transpose(t.symbol(node.input[0]), axes=tuple(attributes["perm"]), name=t.name)


def _softmax(kind):
    def translate(t, node, attributes):
        return getattr(mx.sym, kind)(t.symbol(node.input[0]), axis=attributes.get("axis", -1), name=t.name)
    return translate


def _of_each(kind):
    """Return the translation of a function of each number."""
    def translate(t, node, _):
        return getattr(mx.sym, kind)(t.symbol(node.input[0]), name=t.name)
    return translate


def _power(t, node, _):
    exponent = t.constant(node, 1)
    if exponent.size != 1:
        raise Refused(f"Pow {t.name}: expected one number as exponent, received {exponent.size}")
    return mx.sym._internal._power_scalar(t.symbol(node.input[0]), scalar=float(exponent.item()), name=t.name)


def _reduce(kind):
    """Return the translation of a sum, maximum or length over axes that the node names."""
    def translate(t, node, attributes):
        axes = tuple(int(axis) for axis in t.constant(node, 1, attributes.get("axes", ())))
        if not axes:
            raise Refused(f"{node.op_type} {t.name}: expected its axes, received none")
        data = t.symbol(node.input[0])
        keep = bool(attributes.get("keepdims", 1))
        if kind == "norm":
            total = mx.sym.sum(mx.sym.square(data), axis=axes, keepdims=keep)
            return mx.sym.sqrt(total, name=t.name)
        return getattr(mx.sym, kind)(data, axis=axes, keepdims=keep, name=t.name)
    return translate


def _elu(t, node, attributes):
    return mx.sym.LeakyReLU(t.symbol(node.input[0]), act_type="elu", slope=attributes.get("alpha", 1.0), name=t.name)


def _selu(t, node, _):
    return mx.sym.LeakyReLU(t.symbol(node.input[0]), act_type="selu", name=t.name)


def _of_length_one(t, node, attributes):
    axis, order = attributes.get("axis", -1), attributes.get("p", 2)
    if order != 2:
        raise Refused(f"LpNormalization {t.name}: expected p=2, received p={order}")
    data = t.symbol(node.input[0])
    length = mx.sym.sqrt(mx.sym.sum(mx.sym.square(data), axis=axis, keepdims=True))
    return mx.sym.broadcast_div(data, length, name=t.name)


def _conv_transpose(t, node, attributes):
    weight = t.constant(node, 1)
    before, after = _padding(t, node, attributes, 2)
    if weight.ndim != 4 or before != after or "output_shape" in attributes:
        raise Refused(f"ConvTranspose {t.name}: expected two dimensions and even pads, received {weight.ndim - 2} and "
                      f"{before + after}")
    bias, groups = t.constant(node, 2), attributes.get("group", 1)
    rest = [] if bias is None else [t.parameter("bias", bias)]
    return mx.sym.Deconvolution(t.symbol(node.input[0]), t.parameter("weight", weight), *rest, kernel=weight.shape[2:],
                                stride=tuple(attributes.get("strides", (1, 1))), pad=before,
                                dilate=tuple(attributes.get("dilations", (1, 1))),
                                adj=tuple(attributes.get("output_padding", (0, 0))), num_group=groups,
                                num_filter=weight.shape[1] * groups, no_bias=bias is None, name=t.name)


def _pad(t, node, attributes):
    pads = [int(size) for size in t.constant(node, 1, attributes.get("pads"))]
    if _text(attributes.get("mode", "constant")) != "constant" or len(pads) != 8 or any(pads[:2] + pads[4:6]):
        raise Refused(f"Pad {t.name}: expected constant padding of rows and columns, received pads={pads}")
    value = float(t.constant(node, 2, attributes.get("value", 0.0)))
    border = (0, 0, 0, 0, pads[2], pads[6], pads[3], pads[7])
    return mx.sym.pad(t.symbol(node.input[0]), mode="constant", constant_value=value, pad_width=border, name=t.name)


def _same(t, node, _):
    return t.symbol(node.input[0])


def _sum(t, node, _):
    return mx.sym.add_n(*map(t.symbol, node.input), name=t.name)


OPERATORS = {
    "Conv": _conv, "BatchNormalization": _batch_norm, "Gemm": _gemm, "MatMul": _matmul,
    "Add": _arithmetic("_plus_scalar", "_plus_scalar", "elemwise_add", "broadcast_add"),
    "Sub": _arithmetic("_minus_scalar", "_rminus_scalar", "elemwise_sub", "broadcast_sub"),
    "Mul": _arithmetic("_mul_scalar", "_mul_scalar", "elemwise_mul", "broadcast_mul"),
    "Div": _arithmetic("_div_scalar", "_rdiv_scalar", "elemwise_div", "broadcast_div"),
    **dict.fromkeys(_PLAIN, _activation), "Clip": _clip, "LeakyRelu": _leaky, "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid, "HardSwish": _hard_swish, "MaxPool": _pool("max"), "AveragePool": _pool("avg"),
    "GlobalAveragePool": _global_pool("avg"), "GlobalMaxPool": _global_pool("max"), "ReduceMean": _reduce_mean,
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Concat": _concat,
    "Split": _split, "Transpose": _transpose, "Softmax": _softmax("softmax"), "LogSoftmax": _softmax("log_softmax"),
    "Pad": _pad, "Dropout": _same, "Identity": _same, "Sum": _sum, "Pow": _power, "Elu": _elu, "Selu": _selu,
    "LpNormalization": _of_length_one, "ConvTranspose": _conv_transpose,
    "ReduceSum": _reduce("sum"), "ReduceMax": _reduce("max"), "ReduceL2": _reduce("norm"),
    **{name: _of_each(name.lower()) for name in ("Sqrt", "Exp", "Log", "Abs", "Erf", "Softsign")},
    "Neg": _of_each("negative"), "Reciprocal": _of_each("reciprocal"), **dict.fromkeys(SHAPE_OPERATORS, _same),
}
