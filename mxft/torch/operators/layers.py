"""Convolutions, fully connected layers, activations and embeddings (src/operator/nn of MXNet 1.9.1)."""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.table import operator

_CHANNELS_FIRST = (None, "None", "NCW", "NCHW", "NCDHW")
_CONVOLUTIONS = {1: (tf.conv1d, tf.conv_transpose1d), 2: (tf.conv2d, tf.conv_transpose2d),
                 3: (tf.conv3d, tf.conv_transpose3d)}


def require_channels_first(layout):
    """Refuse a layout that MXNet itself computes on no CPU."""
    if layout not in _CHANNELS_FIRST:
        raise InputError(f"torch: expected a layout with the channels before the pixels, received layout={layout}")


def spatial(values, kernel, default):
    """Return one number for each axis of a kernel: MXNet leaves the tuple empty for `default`."""
    return tuple(values) or (default,) * len(kernel)


@operator("Convolution", "Convolution_v1")
def convolution(x, weight, bias=None, *, kernel, num_filter, stride=(), dilate=(), pad=(), num_group=1, layout=None):
    """Cross-correlate maps with filters."""
    require_channels_first(layout)
    kernel = kernel if isinstance(kernel, tuple) else (kernel,)
    return _CONVOLUTIONS[len(kernel)][0](x, weight, bias, spatial(stride, kernel, 1), spatial(pad, kernel, 0),
                                         spatial(dilate, kernel, 1), num_group)


@operator("Deconvolution")
def deconvolution(x, weight, bias=None, *, kernel, num_filter, stride=(), dilate=(), pad=(), adj=(), target_shape=(),
                  num_group=1, layout=None):
    """Transpose a convolution; `target_shape` decides the padding where it is given, as in MXNet."""
    require_channels_first(layout)
    kernel = kernel if isinstance(kernel, tuple) else (kernel,)
    stride, dilate = spatial(stride, kernel, 1), spatial(dilate, kernel, 1)
    pad, adj = spatial(pad, kernel, 0), spatial(adj, kernel, 0)
    if any(target_shape):
        total = [s * (n - 1) + d * (k - 1) + 1 - t
                 for s, n, d, k, t in zip(stride, x.shape[2:], dilate, kernel, target_shape)]
        adj = tuple(excess % 2 for excess in total)
        pad = tuple((excess + 1) // 2 for excess in total)
    return _CONVOLUTIONS[len(kernel)][1](x, weight, bias, stride, pad, adj, num_group, dilate)


@operator("FullyConnected")
def fully_connected(x, weight, bias=None, *, num_hidden, flatten=True):
    """Multiply rows with a matrix; `flatten` makes one row of all but the first axis."""
    return tf.linear(x.flatten(1) if flatten and x.dim() != 2 else x, weight, bias)


@operator("Embedding")
def embedding(index, weight, *, input_dim, output_dim, dtype="float32", sparse_grad=False):
    """Look rows up; an index beyond the ends takes the row at the end."""
    return tf.embedding(index.long().clamp(0, input_dim - 1), weight)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softrelu": tf.softplus,
                "softsign": tf.softsign}


@operator("Activation")
def activation(x, *, act_type):
    """Apply one of five functions to every element."""
    if act_type not in _ACTIVATIONS:
        raise InputError(f"torch: Activation: expected one of {', '.join(_ACTIVATIONS)}, received act_type={act_type}")
    return _ACTIVATIONS[act_type](x)


class _Selu(torch.autograd.Function):
    """SELU; below 0 MXNet's gradient has the slope ``scale (alpha + output)`` in place of ``scale alpha + output``."""

    @staticmethod
    def forward(ctx, x):
        output = tf.selu(x)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx, above):
        output, = ctx.saved_tensors
        return above * _SELU_SCALE * torch.where(output > 0, torch.ones_like(output), _SELU_ALPHA + output)


@operator("LeakyReLU")
def leaky_relu(x, gamma=None, *, act_type="leaky", slope=0.25, lower_bound=0.125, upper_bound=0.334, training=False):
    """Apply a rectifier with a slope below 0, of a number, of parameters or of chance; ELU, SELU or GELU.

    Notes
    -----
    In a graph MXNet lets the gradient of a PReLU's input overwrite what comes from above, and computes the slopes'
    gradient from that: it is multiplied with the slope. Here, as of MXNet's operator alone, it is not.
    """
    if act_type == "prelu":
        if gamma.dim() == 1 and x.dim() > 1 and gamma.numel() in (1, x.shape[1]):
            return tf.prelu(x, gamma)
        return torch.where(x > 0, x, gamma * x)
    if act_type == "leaky":
        return tf.leaky_relu(x, slope)
    if act_type == "elu":
        return tf.elu(x, slope)
    if act_type == "selu":
        return _Selu.apply(x)
    if act_type == "gelu":
        return tf.gelu(x)
    if act_type == "rrelu":
        return tf.rrelu(x, lower_bound, upper_bound, training)
    raise InputError(f"torch: LeakyReLU: expected leaky, prelu, elu, selu, gelu or rrelu, received act_type={act_type}")


@operator("Dropout")
def dropout(x, *, p=0.5, mode="training", axes=(), training=False):
    """Drop elements with probability `p`, or whole slices: along `axes` they share their fate."""
    if not (training or mode == "always") or p == 0:
        return x
    if not axes:
        return tf.dropout(x, p, True)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return x * tf.dropout(x.new_ones(shape), p, True)


@operator("UpSampling")
def up_sampling(x, *others, scale, sample_type, num_filter=0, multi_input_mode="concat"):
    """Repeat every pixel `scale` times, of further maps as often as makes them as large.

    Bilinear is a transposed convolution, its filters a parameter.
    """
    if sample_type == "nearest":
        maps = [_repeated(each, x.shape[2] * scale // each.shape[2]) for each in (x, *others)]
        return sum(maps[1:], maps[0]) if multi_input_mode == "sum" else torch.cat(maps, 1)
    if len(others) != 1 or sample_type != "bilinear":
        raise InputError(f"torch: UpSampling: expected nearest or bilinear, received sample_type={sample_type}")
    return tf.conv_transpose2d(x, others[0], stride=scale, padding=scale // 2, groups=x.shape[1])


def _repeated(x, scale):
    return x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


_RESIZED = {
    "odd_scale": lambda side, scale: int((side - side % 2) * scale) + side % 2,
    "to_even_down": lambda side, _: side - side % 2, "to_even_up": lambda side, _: side + side % 2,
    "to_odd_down": lambda side, _: side - (side + 1) % 2, "to_odd_up": lambda side, _: side + (side + 1) % 2,
}


@operator("_contrib_BilinearResize2D")
def bilinear_resize(x, like=None, *, height=1, width=1, scale_height=None, scale_width=None, mode="size",
                    align_corners=True):
    """Resize maps by bilinear interpolation, to a size or by a factor."""
    if mode == "size" and like is None and scale_height is None:
        size = (height, width)
    elif mode == "size" and like is None:
        size = tuple(int(side * scale) for side, scale in zip(x.shape[2:], (scale_height, scale_width)))
    elif mode == "like" and like is not None:
        size = tuple(like.shape[2:])
    elif mode in _RESIZED:
        size = tuple(_RESIZED[mode](side, scale) for side, scale in zip(x.shape[2:], (scale_height, scale_width)))
    else:
        raise InputError(f"torch: BilinearResize2D: expected size, like, {', '.join(_RESIZED)}, received mode={mode}")
    return tf.interpolate(x, size, mode="bilinear", align_corners=align_corners)


@operator("_contrib_AdaptiveAvgPooling2D")
def adaptive_average(x, *, output_size=()):
    """Average maps to a size, 1 x 1 by default."""
    size = output_size or (1,)
    return tf.adaptive_avg_pool2d(x, tuple(size) * (2 if len(size) == 1 else 1))
