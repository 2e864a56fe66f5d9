"""What picks elements by their place, and arrays that are made of nothing (src/operator/tensor/indexing_op.h)."""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.shapes import DTYPES
from mxft.torch.operators.table import operator


@operator("pick")
def pick(x, index, *, axis=-1, keepdims=False, mode="clip"):
    """Return one element of each row, by its place; a place beyond the ends is held at them."""
    if axis is None:
        raise InputError("torch: pick: expected an axis, received axis=None")
    place, size = index.long(), x.shape[axis]
    place = place % size if mode == "wrap" else place.clamp(0, size - 1)
    if place.dim() != x.dim():
        place = place.unsqueeze(axis)
    found = x.gather(axis, place)
    return found if keepdims else found.squeeze(axis)


@operator("take")
def take(x, index, *, axis=0, mode="clip"):
    """Return slices by their place; a place beyond the ends is held at them."""
    place, size = index.long(), x.shape[axis]
    place = place % size if mode == "wrap" else place.clamp(0, size - 1)
    axis = axis % x.dim()
    return x.index_select(axis, place.flatten()).reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1:])


@operator("one_hot")
def one_hot(index, *, depth, on_value=1.0, off_value=0.0, dtype="float32"):
    """Return rows with one element on; none, where the place is beyond the ends."""
    place = index.long()
    inside = (place >= 0) & (place < depth)
    rows = tf.one_hot(torch.where(inside, place, torch.zeros_like(place)), depth) * inside.unsqueeze(-1)
    return (rows.to(DTYPES[dtype]) * (on_value - off_value) + off_value).to(DTYPES[dtype])


@operator("batch_take")
def batch_take(x, index):
    """Return one element of each row, by its place; a place beyond the ends is held at them."""
    return pick(x, index)


@operator("gather_nd")
def gather_nd(x, index):
    """Return slices by their places along the first axes; a negative place counts from the end."""
    return x[tuple((place.long() + size) % size for place, size in zip(index, x.shape))]


def _ordered(x, axis, descending):
    """Return the elements in order and their places; of equal ones the first comes first."""
    x, axis = (x.flatten(), 0) if axis is None else (x, axis)
    return x.sort(dim=axis, descending=descending, stable=True)


@operator("topk")
def topk(x, *, axis=-1, k=1, ret_typ="indices", is_ascend=False, dtype="float32"):
    """Return the largest `k` elements, their places, or both."""
    if ret_typ not in ("value", "indices", "both"):
        raise InputError(f"torch: topk: expected value, indices or both, received ret_typ={ret_typ}")
    axis, x = (0, x.flatten()) if axis is None else (axis, x)
    values, places = (found.narrow(axis, 0, k if k > 0 else x.shape[axis])
                      for found in _ordered(x, axis, not is_ascend))
    places = places.to(DTYPES[dtype])
    return {"value": values, "indices": places, "both": (values, places)}[ret_typ]


@operator("sort")
def sort(x, *, axis=-1, is_ascend=True):
    """Put elements in order along an axis."""
    return _ordered(x, axis, not is_ascend).values


@operator("argsort")
def argsort(x, *, axis=-1, is_ascend=True, dtype="float32"):
    """Return the places of the elements in order."""
    return _ordered(x, axis, not is_ascend).indices.to(DTYPES[dtype])


@operator("ones_like")
def ones_like(x):
    """Return ones."""
    return torch.ones_like(x)


@operator("zeros_like")
def zeros_like(x):
    """Return zeros."""
    return torch.zeros_like(x)


def _made(shape, value, dtype):
    shape = shape if isinstance(shape, tuple) else (shape,)
    if not shape or 0 in shape:
        raise InputError(f"torch: expected every size of an array that is made, received shape={shape}")
    return torch.full(shape, value, dtype=DTYPES[dtype])


@operator("_ones")
def ones(*, shape=(), ctx="", dtype="float32"):
    """Return ones."""
    return _made(shape, 1, dtype)


@operator("_zeros")
def zeros(*, shape=(), ctx="", dtype="float32"):
    """Return zeros."""
    return _made(shape, 0, dtype)


@operator("_full")
def full(*, value, shape=(), ctx="", dtype="float32"):
    """Return a number many times."""
    return _made(shape, value, dtype)


@operator("_arange")
def arange(*, start, stop=None, step=1.0, repeat=1, infer_range=False, ctx="", dtype="float32"):
    """Return numbers at equal distances."""
    first, last = (0, start) if stop is None else (start, stop)
    return torch.arange(first, last, step, dtype=DTYPES[dtype]).repeat_interleave(repeat)


@operator("_linspace")
def linspace(*, start, stop=None, num=50, endpoint=True, step=1.0, repeat=1, infer_range=False, ctx="",
             dtype="float32"):
    """Return `num` numbers from one to another at equal distances."""
    step = (stop - start) / max(num - endpoint, 1)
    return start + step * torch.arange(num, dtype=DTYPES[dtype])


@operator("_eye")
def eye(*, N, M=0, k=0, ctx="", dtype="float32"):  # noqa: N803 - MXNet's names
    """Return a matrix of zeros with ones along a diagonal."""
    rows, columns = torch.arange(N).unsqueeze(1), torch.arange(M or N)
    return (columns - rows == k).to(DTYPES[dtype])


@operator("_contrib_arange_like")
def arange_like(x, *, start=0.0, step=1.0, repeat=1, ctx="", axis=None):
    """Return numbers at equal distances, as many as an array or one of its axes has."""
    count = x.numel() if axis is None else x.shape[axis]
    numbers = start + step * torch.div(torch.arange(count, dtype=x.dtype, device=x.device), repeat,
                                       rounding_mode="floor")
    return numbers.reshape(x.shape) if axis is None else numbers


def _by_step(x, axis):
    """Return the numbers of the steps along an axis, 0 or 1, to compare with a length for each sequence."""
    return torch.arange(x.shape[axis], device=x.device).unsqueeze(1 - axis)


@operator("SequenceMask")
def sequence_mask(x, lengths=None, *, use_sequence_length=False, value=0.0, axis=0):
    """Overwrite what lies behind the end of each sequence."""
    if not use_sequence_length:
        return x
    inside = _by_step(x, axis) < lengths.unsqueeze(axis)
    return torch.where(inside.view(*inside.shape, *[1] * (x.dim() - 2)), x, torch.full_like(x, value))


@operator("SequenceLast")
def sequence_last(x, lengths=None, *, use_sequence_length=False, axis=0):
    """Return the last step of each sequence."""
    if not use_sequence_length:
        return x.select(axis, -1)
    last = (_by_step(x, axis) == lengths.unsqueeze(axis) - 1).to(x.dtype)
    return (x * last.view(*last.shape, *[1] * (x.dim() - 2))).sum(axis)


@operator("SequenceReverse")
def sequence_reverse(x, lengths=None, *, use_sequence_length=False, axis=0):
    """Put the steps of each sequence, along the first axis, into the reverse order; those behind its end stay."""
    if not use_sequence_length:
        return x.flip(0)
    steps, length = _by_step(x, 0), lengths.long().unsqueeze(0)
    source = torch.where(steps < length, length - 1 - steps, steps)
    return x[source, torch.arange(x.shape[1], device=x.device)]
