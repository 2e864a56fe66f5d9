"""Bounds on the attributes of a network's operators: what MXNet would divide by, or allocate terabytes for, is refused.

MXNet's own parsers check an attribute's type and few of its values: ``num_group=0`` is divided by, ``depth=1e9`` is
allocated. The bounds go by the attribute's name, which means the same in every operator that has it.
"""
import math
import re

LONGEST = 4096            # characters of a value
MOST_NUMBERS = 256        # in one value: anchors' sizes, a slice's ends
MOST_DIMENSIONS = 16
MOST_ELEMENTS = 1 << 28   # that an operator without inputs may make: 1 GB of float32
_WHOLE = 1 << 31
_SIDE = 1 << 12           # pixels of a kernel, stride, padding
_CHANNELS = 1 << 20
# attribute: (least, most) of each number in it
_BOUNDS = {
    **dict.fromkeys(("kernel", "stride", "dilate", "pooled_size", "nsize", "kernel_size", "stride1", "stride2",
                     "group_size", "block_size"), (1, _SIDE)),
    **dict.fromkeys(("pad", "adj", "pad_width", "pad_size", "max_displacement", "target_shape", "output_size",
                     "height", "width", "h_w", "part_size", "sample_per_part", "p_value"), (0, 1 << 16)),
    **dict.fromkeys(("num_filter", "num_group", "num_deformable_group", "num_groups", "heads",
                     "ndev", "num_layers", "state_size", "projection_size"), (1, _CHANNELS)),
    **dict.fromkeys(("scale", "repeats", "reps"), (1, 1 << 16)),
    "num_args": (1, 1 << 14), "num_outputs": (1, 1 << 12), "sections": (0, 1 << 12),
    **dict.fromkeys(("axis", "dim", "dim1", "dim2", "axes", "lhs_axes", "rhs_axes", "offset", "batch_axis",
                     "seq_axis", "ndim"), (-64, 64)),
    "num_hidden": (1, 1 << 27), "output_dim": (1, 1 << 24), "input_dim": (1, 1 << 31), "depth": (1, 1 << 24),
    "workspace": (0, 1 << 20), "size": (0, 1 << 20), "N": (0, 1 << 14), "M": (0, 1 << 14), "num": (0, 1 << 24),
    "rpn_pre_nms_top_n": (-1, 1 << 20), "rpn_post_nms_top_n": (-1, 1 << 20), "topk": (-1, 1 << 24),
    "k": (-(1 << 16), 1 << 24), "spatial_scale": (0, 1e6), "p": (0, 1), "shape": (-4, _WHOLE - 1),
}
# the same name with another meaning in these operators
_OF_OPERATOR = {("UpSampling", "num_filter"): (0, _CHANNELS), ("Pooling", "kernel"): (0, 1 << 16),
                ("Pooling_v1", "kernel"): (0, 1 << 16), ("LeakyReLU", "lower_bound"): (-1e6, 1e6),
                ("_contrib_quadratic", "a"): (-1e30, 1e30), ("SpatialTransformer", "target_shape"): (1, _SIDE),
                ("GridGenerator", "target_shape"): (0, _SIDE), ("RNN", "projection_size"): (1, _CHANNELS),
                ("InstanceNorm", "axis"): (-64, 64), ("_contrib_MultiBoxPrior", "steps"): (-1e6, 1e6)}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\b(?:nan|inf|infinity)\b", re.IGNORECASE)
_MAKERS = ("_zeros", "_ones", "_full")
_NOT_ZERO = (("slice", "step"), ("slice_axis", "step"))
_UNBOUNDED = ("scalar", "value", "a_min", "a_max", "on_value", "off_value")  # where infinity has a meaning
_REAL_WITH_BOUNDS = ("p", "scale", "spatial_scale")
# lengths that MXNet takes from another input, and follows to outside of the array
_LENGTHS = ("use_length", "use_sequence_length", "use_data_lengths", "use_label_lengths")


def check_attributes(operator, attributes):
    """Refuse attributes no network has.

    Parameters
    ----------
    operator : mxft.network.operators.Operator
    attributes : dict of str to str
        Of one node, without those that begin with two underscores.

    Raises
    ------
    ValueError
        What was expected of which attribute, and what it was.

    Notes
    -----
    What an attribute's type is, and which are missing, is MXNet's to say: see
    `mxft.network.operators.signature_of`.

    Examples
    --------
    >>> from mxft.network.operators import find_operator
    >>> check_attributes(find_operator("Convolution"), {"kernel": "(3, 3)", "num_filter": "8", "num_group": "0"})
    Traceback (most recent call last):
    ...
    ValueError: expected num_group from 1 to 1048576, received num_group='0'
    """
    for name, text in attributes.items():
        if len(text) > LONGEST:
            raise ValueError(f"expected at most {LONGEST} characters as {name}, received {len(text)}")
        if name in _LENGTHS and text not in ("False", "false", "0"):
            raise ValueError(f"expected {name}=False, received {name}={text[:60]!r}: MXNet reads outside of an array "
                             "where a length is wrong")
        kind = operator.attributes.get(name, "")
        if "int" in kind or "long" in kind or "Shape" in kind or "float" in kind or "double" in kind:
            _check_numbers(operator.name, name, text, kind)
    if operator.name in _MAKERS:
        shape = attributes.get("shape", "()")
        if math.prod(map(int, re.findall(r"\d+", shape))) > MOST_ELEMENTS:
            raise ValueError(f"expected at most {MOST_ELEMENTS:,} numbers, received shape={shape[:60]!r}")
    elif operator.name == "_arange":
        _check_range(attributes)


def _check_numbers(operator, name, text, kind):
    numbers = [float(word) for word in _NUMBER.findall(text.replace("L", ""))]
    most = MOST_DIMENSIONS if "Shape" in kind else MOST_NUMBERS
    if len(numbers) > most:
        raise ValueError(f"expected at most {most} numbers as {name}, received {len(numbers)}")
    low, high = _bounds(operator, name, kind)
    if not all(low <= number <= high for number in numbers):  # NaN is in no range
        raise ValueError(f"expected {name} from {low:.10g} to {high:.10g}, received {name}={text[:60]!r}")
    if (operator, name) in _NOT_ZERO and 0 in numbers:
        raise ValueError(f"expected a {name} other than 0, received {name}={text[:60]!r}")


def _bounds(operator, name, kind):
    """Return the least and the highest number an attribute may hold."""
    if (operator, name) in _OF_OPERATOR:
        return _OF_OPERATOR[operator, name]
    if "float" in kind or "double" in kind:
        default = (-math.inf, math.inf) if name in _UNBOUNDED else (-3.5e38, 3.5e38)
        return _BOUNDS[name] if name in _REAL_WITH_BOUNDS else default
    return _BOUNDS.get(name, (-_WHOLE, _WHOLE - 1))


def _check_range(attributes):
    """Hold the numbers that ``_arange`` makes against `MOST_ELEMENTS`."""
    try:
        start, stop, step = (float(attributes.get(key, default)) for key, default in
                             (("start", 0), ("stop", "nan"), ("step", 1)))
        repeat = int(attributes.get("repeat", 1))
    except ValueError:
        start, stop, step, repeat = float(attributes.get("start", 0)), math.nan, 1, 1
    if step == 0:
        raise ValueError("expected a step other than 0, received step=0")
    if math.isnan(stop):  # with one number it is the end, from 0
        start, stop = 0.0, start
    if abs(stop - start) / abs(step) * max(repeat, 1) > MOST_ELEMENTS:
        raise ValueError(f"expected at most {MOST_ELEMENTS:,} numbers, received a range from {start:g} to {stop:g} in "
                         f"steps of {step:g}")
