"""What moves elements and computes nothing (src/operator/tensor/matrix_op*)."""
import torch
from torch.nn import functional as tf

from mxft.errors import InputError
from mxft.torch.operators.table import operator

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16,
          "uint8": torch.uint8, "int8": torch.int8, "int32": torch.int32, "int64": torch.int64, "bool": torch.bool}


@operator("Flatten")
def flatten(x):
    """Make one row of all but the first axis."""
    return x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)


@operator("Reshape")
def reshape(x, *, shape=(), target_shape=(), keep_highest=False, reverse=False):
    """Give another shape, in MXNet's codes: 0 keeps, -1 infers, -2 the rest, -3 joins two, -4 splits one."""
    if not shape:
        shape = tuple(size or -1 for size in target_shape)
        shape = (x.shape[0], *shape[1:]) if keep_highest else shape
    if reverse:
        reversed_shape = _decoded(tuple(reversed(x.shape)), tuple(reversed(shape)))
        return x.reshape(tuple(reversed(reversed_shape)))
    return x.reshape(_decoded(tuple(x.shape), shape))


def _decoded(given, codes):
    """Return the sizes that MXNet's codes for a reshape mean, at most one of them -1."""
    sizes, place, codes = [], 0, list(codes)
    while codes:
        code = codes.pop(0)
        if code == 0:
            sizes.append(given[place])
            place += 1
        elif code == -2:
            sizes.extend(given[place:])
            place = len(given)
        elif code == -3:
            sizes.append(given[place] * given[place + 1])
            place += 2
        elif code == -4:
            first, second = codes.pop(0), codes.pop(0)
            sizes.extend((given[place] // second if first == -1 else first,
                          given[place] // first if second == -1 else second))
            place += 1
        else:
            sizes.append(code)
            place += 1
    return sizes


@operator("reshape_like")
def reshape_like(x, like, *, lhs_begin=None, lhs_end=None, rhs_begin=None, rhs_end=None):
    """Give the shape of another array, or some of its axes."""
    own, other = list(x.shape), list(like.shape)
    begin, end = _range(lhs_begin, lhs_end, len(own))
    first, last = _range(rhs_begin, rhs_end, len(other))
    return x.reshape(own[:begin] + other[first:last] + own[end:])


def _range(begin, end, length):
    begin = begin or 0
    end = length if end is None else end
    return begin + length * (begin < 0), end + length * (end < 0)


@operator("transpose")
def transpose(x, *, axes=()):
    """Put the axes into another order, by default the reverse one."""
    return x.permute(axes or tuple(reversed(range(x.dim()))))


@operator("SwapAxis")
def swap_axes(x, *, dim1=0, dim2=0):
    """Exchange two axes."""
    return x.transpose(dim1, dim2)


@operator("expand_dims")
def expand_dims(x, *, axis):
    """Put an axis of length 1 in."""
    return x.unsqueeze(axis)


@operator("squeeze")
def squeeze(x, *, axis=None):
    """Take axes of length 1 out, all of them by default."""
    if axis is None:
        axis = tuple(place for place, size in enumerate(x.shape) if size == 1)
    for place in sorted((a % x.dim() for a in (axis if isinstance(axis, tuple) else (axis,))), reverse=True):
        x = x.squeeze(place)
    return x.reshape(1) if x.dim() == 0 else x  # MXNet has no array without axes


@operator("Concat")
def concat(*inputs, dim=1):
    """Put arrays behind one another along an axis."""
    return torch.cat(inputs, dim)


@operator("stack")
def stack(*inputs, axis=0):
    """Put arrays behind one another along an axis of its own."""
    return torch.stack(inputs, axis)


@operator("SliceChannel")
def slice_channel(x, *, num_outputs, axis=1, squeeze_axis=False):
    """Cut into equal parts along an axis."""
    parts = x.chunk(num_outputs, axis)
    parts = tuple(part.squeeze(axis) for part in parts) if squeeze_axis else tuple(parts)
    return parts if num_outputs > 1 else parts[0]


@operator("_split_v2")
def split(x, *, indices, axis=1, squeeze_axis=False, sections=0):
    """Cut into equal parts, or at the places named."""
    cuts = [*indices, x.shape[axis]] if not sections else []
    parts = x.chunk(sections, axis) if sections else tuple(
        x.narrow(axis, begin, end - begin) for begin, end in zip(cuts, cuts[1:]))
    parts = tuple(part.squeeze(axis) for part in parts) if squeeze_axis else tuple(parts)
    return parts if len(parts) > 1 else parts[0]


@operator("slice")
def slice_(x, *, begin, end, step=()):
    """Cut a part out: one begin, end and step for each of the first axes."""
    begin, end = (value if isinstance(value, tuple) else (value,) for value in (begin, end))
    for axis, (first, last) in enumerate(zip(begin, end)):
        stride = step[axis] if axis < len(step) and step[axis] is not None else 1
        x = _sliced(x, axis, slice(first, last, stride))
    return x


def _sliced(x, axis, part):
    begin, end, step = part.indices(x.shape[axis])
    if step < 0:
        return x.index_select(axis, torch.arange(begin, end, step, device=x.device))
    return x[(slice(None),) * axis + (slice(begin, end, step),)]


@operator("slice_axis")
def slice_axis(x, *, axis, begin, end):
    """Cut a part out along one axis."""
    axis = axis % x.dim()
    return _sliced(x, axis, slice(begin, end, 1))


@operator("slice_like")
def slice_like(x, like, *, axes=()):
    """Cut to the size of another array, along all axes or some."""
    for axis in axes or range(x.dim()):
        x = x.narrow(axis, 0, like.shape[axis % x.dim()])
    return x


@operator("Crop")
def crop(x, like=None, *, offset=(0, 0), h_w=(0, 0), center_crop=False):
    """Cut a window out of maps, as large as another map or as `h_w`."""
    height, width = like.shape[2:] if like is not None else h_w
    top, left = offset if not center_crop else ((x.shape[2] - height) // 2, (x.shape[3] - width) // 2)
    return x[:, :, top:top + height, left:left + width]


@operator("Pad")
def pad(x, *, mode, pad_width, constant_value=0.0):
    """Put a border around, of a number, of the edge or of the mirrored map."""
    if mode not in ("constant", "edge", "reflect"):
        raise InputError(f"torch: Pad: expected constant, edge or reflect, received mode={mode}")
    if any(pad_width[:4]):
        raise InputError(f"torch: Pad: expected no border along the first two axes, received pad_width={pad_width}")
    widths = [side for axis in reversed(range(2, x.dim())) for side in pad_width[2 * axis:2 * axis + 2]]
    if mode == "constant":
        return tf.pad(x, widths, value=constant_value)
    return tf.pad(x, widths, mode={"edge": "replicate"}.get(mode, mode))


@operator("Cast", "amp_cast")
def cast(x, *, dtype):
    """Give another type."""
    if dtype not in DTYPES:
        raise InputError(f"torch: Cast: expected one of {', '.join(DTYPES)}, received dtype={dtype}")
    return x.to(DTYPES[dtype])


@operator("amp_multicast")
def multicast(*inputs, num_outputs, cast_narrow=False):
    """Give all inputs one type, the widest, or the narrowest with `cast_narrow`."""
    choose = min if cast_narrow else max
    kind = choose((x.dtype for x in inputs), key=lambda dtype: dtype.itemsize)
    return tuple(x.to(kind) for x in inputs)


@operator("shape_array")
def shape_array(x):
    """Return the sizes of an array's axes."""
    return torch.tensor(tuple(x.shape), dtype=torch.int64, device=x.device)


@operator("size_array")
def size_array(x):
    """Return how many elements an array has."""
    return torch.tensor((x.numel(),), dtype=torch.int64, device=x.device)


@operator("diag")
def diagonal(x, *, k=0, axis1=0, axis2=1):
    """Return a diagonal, or of a row the matrix that has it as its diagonal."""
    return torch.diag(x, k) if x.dim() == 1 else torch.diagonal(x, k, axis1, axis2)


@operator("broadcast_to")
def broadcast_to(x, *, shape=()):
    """Repeat axes of length 1; 0 keeps an axis."""
    return x.expand([own if size == 0 else size for own, size in zip(x.shape, shape)])


@operator("broadcast_like")
def broadcast_like(x, like, *, lhs_axes=None, rhs_axes=None):
    """Repeat axes of length 1 to the lengths of another array's."""
    if lhs_axes is None:
        return x.expand(like.shape)
    sizes = list(x.shape)
    for own, other in zip(lhs_axes, rhs_axes):
        sizes[own] = like.shape[other]
    return x.expand(sizes)


@operator("broadcast_axis")
def broadcast_axis(x, *, axis=(), size=()):
    """Repeat axes of length 1."""
    sizes = list(x.shape)
    for place, length in zip(axis, size):
        sizes[place] = length
    return x.expand(sizes)


@operator("tile")
def tile(x, *, reps):
    """Repeat the whole array."""
    return x.tile(reps if isinstance(reps, tuple) else (reps,))


@operator("repeat")
def repeat(x, *, repeats, axis=None):
    """Repeat every element along an axis."""
    return x.flatten().repeat_interleave(repeats) if axis is None else x.repeat_interleave(repeats, axis)


@operator("reverse")
def reverse(x, *, axis):
    """Put elements into the reverse order along axes."""
    return x.flip(axis if isinstance(axis, tuple) else (axis,))


@operator("depth_to_space")
def depth_to_space(x, *, block_size):
    """Lay channels out as pixels, blocks first."""
    n, c, h, w = x.shape
    x = x.reshape(n, block_size, block_size, c // block_size ** 2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block_size ** 2, h * block_size, w * block_size)


@operator("space_to_depth")
def space_to_depth(x, *, block_size):
    """Lay pixels out as channels, blocks first."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block_size, block_size, w // block_size, block_size).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block_size ** 2, h // block_size, w // block_size)
