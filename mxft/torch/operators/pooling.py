"""Pooling with MXNet's two conventions for windows at the border (src/operator/nn/pool.h)."""
import math

import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.elements import cube_root
from mxft.torch.operators.layers import require_channels_first, spatial
from mxft.torch.operators.table import operator

_LOWEST = -3.4028234663852886e38  # what MXNet's maximum over an empty window is
_POWERS = {1: lambda x: x, 2: torch.sqrt, 3: cube_root}  # roots; without the absolute value, of odd powers


@operator("Pooling")
def pooling(x, *, kernel=(), pool_type="max", global_pool=False, stride=(), pad=(), pooling_convention="valid",
            count_include_pad=True, p_value=None, layout=None):
    """Take the maximum, average, sum or p-norm over windows.

    Notes
    -----
    Of an average over windows that reach beyond the padding (`pooling_convention` full), the gradient is the one MXNet
    has on a GPU; oneDNN's, on the CPU, divides by the whole window.
    """
    require_channels_first(layout)
    if pool_type not in ("max", "avg", "sum", "lp"):
        raise InputError(f"torch: Pooling: expected max, avg, sum or lp, received pool_type={pool_type}")
    if pool_type == "lp" and p_value not in _POWERS:
        raise InputError(f"torch: Pooling: expected 1, 2 or 3, received p_value={p_value}")
    if global_pool:
        return _global(x, pool_type, p_value)
    if pooling_convention not in ("valid", "full"):
        raise InputError("torch: Pooling: expected the convention valid or full, received "
                         f"pooling_convention={pooling_convention}")
    stride, pad = spatial(stride, kernel, 1), spatial(pad, kernel, 0)
    beyond = [_beyond(*sides) if pooling_convention == "full" else 0
              for sides in zip(x.shape[2:], kernel, stride, pad)]
    if pool_type == "max":
        return _maximum(x, kernel, stride, pad, beyond)
    if pool_type == "lp":
        return _POWERS[p_value](_sum(x ** p_value, kernel, stride, pad, beyond))
    total = _sum(x, kernel, stride, pad, beyond)
    if pool_type == "sum":
        return total
    if count_include_pad and not any(beyond):
        return total / math.prod(kernel)
    ones = x.new_ones(1, 1, *x.shape[2:])
    if count_include_pad:  # the padding counts, what lies beyond it does not
        ones, pad = tf.pad(ones, [side for width in reversed(pad) for side in (width, width)], value=1), (0,) * len(pad)
    return total / _sum(ones, kernel, stride, pad, beyond).clamp_min(1)  # a window may lie wholly in the padding


def _beyond(size, kernel, stride, pad):
    """Return how many pixels the last window of the convention ``full`` reaches beyond the padding."""
    windows = math.ceil((size + 2 * pad - kernel) / stride) + 1
    return (windows - 1) * stride + kernel - size - 2 * pad


def _padding(pad, beyond):
    return [side for before, more in zip(reversed(pad), reversed(beyond)) for side in (before, before + more)]


def _maximum(x, kernel, stride, pad, beyond):
    maximum = (tf.max_pool1d, tf.max_pool2d, tf.max_pool3d)[len(kernel) - 1]
    if any(beyond) or any(2 * side > length for side, length in zip(pad, kernel)):
        return maximum(tf.pad(x, _padding(pad, beyond), value=_LOWEST), kernel, stride)
    return maximum(x, kernel, stride, pad)


def _sum(x, kernel, stride, pad, beyond):
    """Return the sum over each window; zeros around the map."""
    if any(pad) or any(beyond):
        x = tf.pad(x, _padding(pad, beyond))
    if len(kernel) == 1:
        return tf.avg_pool1d(x, kernel, stride) * kernel[0]
    return (tf.avg_pool2d if len(kernel) == 2 else tf.avg_pool3d)(x, kernel, stride, divisor_override=1)


def _global(x, pool_type, p_value):
    axes = tuple(range(2, x.dim()))
    if pool_type == "max":
        return x.amax(axes, keepdim=True)
    if pool_type == "avg":
        return x.mean(axes, keepdim=True)
    if pool_type == "sum":
        return x.sum(axes, keepdim=True)
    return _POWERS[p_value]((x ** p_value).sum(axes, keepdim=True))
