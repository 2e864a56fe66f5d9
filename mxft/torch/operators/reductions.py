"""Sums, means and extremes along axes, and products of matrices (src/operator/tensor/broadcast_reduce_op*, dot)."""
import torch

from mxft.errors import InputError
from mxft.torch.operators.shapes import DTYPES
from mxft.torch.operators.table import operator


def axes_of(x, axis, exclude=False):
    """Return the axes that a reduction goes over, from MXNet's ``axis`` and ``exclude``: all by default."""
    if axis is None or axis == ():
        named = set() if exclude and axis == () else set(range(x.dim()))
        return tuple(sorted(named))
    named = {place % x.dim() for place in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(sorted(set(range(x.dim())) - named if exclude else named))


def _shaped(result, keepdim):
    """Return the result; MXNet has no array without axes: one of all elements is of shape (1,)."""
    return result.reshape(1) if result.dim() == 0 and not keepdim else result


@operator("sum")
def sum_(x, *, axis=None, keepdims=False, exclude=False):
    """Add along axes."""
    return _shaped(x.sum(axes_of(x, axis, exclude), keepdim=keepdims), keepdims)


@operator("mean")
def mean(x, *, axis=None, keepdims=False, exclude=False):
    """Average along axes."""
    return _shaped(x.mean(axes_of(x, axis, exclude), keepdim=keepdims), keepdims)


@operator("nansum")
def nansum(x, *, axis=None, keepdims=False, exclude=False):
    """Add along axes what is a number."""
    return _shaped(x.nansum(axes_of(x, axis, exclude), keepdim=keepdims), keepdims)


@operator("nanprod")
def nanprod(x, *, axis=None, keepdims=False, exclude=False):
    """Multiply along axes what is a number."""
    return prod(torch.where(x.isnan(), torch.ones_like(x), x), axis=axis, keepdims=keepdims, exclude=exclude)


@operator("prod")
def prod(x, *, axis=None, keepdims=False, exclude=False):
    """Multiply along axes."""
    for place in reversed(axes_of(x, axis, exclude)):
        x = x.prod(place, keepdim=keepdims)
    return _shaped(x, keepdims)


class _Extreme(torch.autograd.Function):
    """The largest elements; each of several that are equal gets the whole gradient, as in MXNet."""

    @staticmethod
    def forward(ctx, x, axes):
        found = x.amax(axes, keepdim=True)
        ctx.save_for_backward(x, found)
        return found

    @staticmethod
    def backward(ctx, above):
        x, found = ctx.saved_tensors
        return (x == found).to(x.dtype) * above, None


@operator("max")
def max_(x, *, axis=None, keepdims=False, exclude=False):
    """Return the largest elements along axes."""
    axes = axes_of(x, axis, exclude)
    found = _Extreme.apply(x, axes)
    return found if keepdims else _shaped(_without(found, axes), keepdims)


@operator("min")
def min_(x, *, axis=None, keepdims=False, exclude=False):
    """Return the smallest elements along axes."""
    return -max_(-x, axis=axis, keepdims=keepdims, exclude=exclude)


def _without(x, axes):
    return x.reshape([size for place, size in enumerate(x.shape) if place not in axes])


@operator("norm")
def norm(x, *, ord=2, axis=None, keepdims=False, out_dtype=None):
    """Return the L1 or L2 norm along axes."""
    if ord not in (1, 2):
        raise InputError(f"torch: norm: expected 1 or 2, received ord={ord}")
    if out_dtype is not None:  # MXNet itself fails
        raise InputError(f"torch: norm: expected no type of its own, received out_dtype={out_dtype}")
    axes = axes_of(x, axis)
    return _shaped(x.abs().sum(axes, keepdim=keepdims) if ord == 1 else
                   (x * x).sum(axes, keepdim=keepdims).sqrt(), keepdims)


@operator("moments")
def moments(x, *, axes=None, keepdims=False):
    """Return mean and variance along axes."""
    along = axes_of(x, axes)
    average = x.mean(along, keepdim=True)
    variance = ((x - average) ** 2).mean(along, keepdim=keepdims)
    return _shaped(x.mean(along, keepdim=keepdims), keepdims), _shaped(variance, keepdims)


@operator("argmax")
def argmax(x, *, axis=None, keepdims=False):
    """Return the place of the largest element, as a float."""
    return _shaped(x.argmax(axis, keepdim=keepdims).to(x.dtype), keepdims)


@operator("argmin")
def argmin(x, *, axis=None, keepdims=False):
    """Return the place of the smallest element, as a float."""
    return _shaped(x.argmin(axis, keepdim=keepdims).to(x.dtype), keepdims)


@operator("argmax_channel")
def argmax_channel(x):
    """Return the place of the largest element of each row, as a float."""
    return x.argmax(1).to(x.dtype)


@operator("_np_cumsum")
def cumulative_sum(x, *, axis=None, dtype=None):
    """Return the sums of all elements up to each one, of the flat array by default."""
    total = x.flatten().cumsum(0) if axis is None else x.cumsum(axis)
    return total if dtype is None else total.to(DTYPES[dtype])


@operator("dot")
def dot(a, b, *, transpose_a=False, transpose_b=False, forward_stype=None):
    """Multiply along the last axis of one array and the first of the other."""
    a = a.permute(*range(1, a.dim()), 0) if transpose_a else a
    b = b.permute(-1, *range(b.dim() - 1)) if transpose_b else b
    return _shaped(torch.tensordot(a, b, 1), False)


@operator("batch_dot")
def batch_dot(a, b, *, transpose_a=False, transpose_b=False, forward_stype=None):
    """Multiply matrix by matrix, in pairs."""
    return torch.matmul(a.transpose(-1, -2) if transpose_a else a, b.transpose(-1, -2) if transpose_b else b)


@operator("_linalg_gemm2")
def gemm2(a, b, *, transpose_a=False, transpose_b=False, alpha=1.0, axis=-2):
    """Multiply matrices, scaled."""
    if axis != -2:
        raise InputError(f"torch: _linalg_gemm2: expected the last two axes, received axis={axis}")
    return alpha * batch_dot(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


@operator("_linalg_gemm")
def gemm(a, b, c, *, transpose_a=False, transpose_b=False, alpha=1.0, beta=1.0, axis=-2):
    """Multiply matrices, scaled, and add a third."""
    return gemm2(a, b, transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha, axis=axis) + beta * c
