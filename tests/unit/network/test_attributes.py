"""Bounds on attributes: of each kind the least and the most that passes, and what is just outside."""

import pytest

from mxft.network.attributes import LONGEST, check_attributes
from mxft.network.operators import ALLOWED, find_operator


def check(op, **attributes):
    check_attributes(find_operator(op), attributes)


@pytest.mark.parametrize(
    "op, name, good, bad, expected",
    [
        (
            "Convolution",
            "num_group",
            ("1", "32", "1048576"),
            ("0", "-1", "1048577", "1e99", "nan"),
            "from 1 to 1048576",
        ),
        (
            "Convolution",
            "kernel",
            ("(1, 1)", "[7, 7]", "(4096, 1)", "(3L, 3L)", "()"),
            ("(0, 3)", "(3, 4097)", "(-1, -1)"),
            "from 1 to 4096",
        ),
        ("Convolution", "stride", ("(2, 2)",), ("(0, 0)", "(2, -2)"), "from 1 to 4096"),
        ("Convolution", "dilate", ("(2, 2)",), ("(0, 0)", "(1, 2147483647)"), "from 1 to 4096"),
        ("Convolution", "pad", ("(0, 0)", "(65536, 0)"), ("(-1, 0)", "(65537, 0)"), "from 0 to 65536"),
        ("Convolution", "num_filter", ("64",), ("0", "2147483648"), "from 1 to 1048576"),
        ("Deconvolution", "num_group", ("1",), ("0",), "from 1"),
        ("Pooling", "kernel", ("(0, 0)", "(7, 7)"), ("(-1, 1)",), "from 0"),
        ("Pooling", "stride", ("(1, 1)",), ("(0, 1)",), "from 1 to 4096"),
        ("FullyConnected", "num_hidden", ("1", "85742"), ("0", "-3", "134217729"), "from 1 to 134217728"),
        ("UpSampling", "scale", ("2",), ("0", "65537"), "from 1"),
        ("tile", "reps", ("(1, 2)",), ("(0, 2)", "(1, 65537)"), "from 1"),
        ("repeat", "repeats", ("2",), ("-1", "1e9"), "from 1"),
        ("one_hot", "depth", ("1000",), ("0", "1e9"), "from 1"),
        ("Concat", "dim", ("1", "-1"), ("99", "-99"), "from -64 to 64"),
        ("transpose", "axes", ("(0, 2, 3, 1)",), ("(0, 1000)",), "axes"),
        ("SliceChannel", "num_outputs", ("2",), ("0",), "from 1"),
        ("L2Normalization", "eps", ("1e-10",), ("nan", "inf"), "eps"),
        ("BatchNorm", "momentum", ("0.9",), ("nan", "-inf"), "momentum"),
        ("Dropout", "p", ("0.5", "0"), ("1.5", "-0.1", "nan"), "from 0 to 1"),
        ("clip", "a_max", ("6", "inf"), ("nan",), "a_max"),
        ("_plus_scalar", "scalar", ("1e30", "-inf"), ("nan",), "scalar"),
        ("Reshape", "shape", ("(0, -1)", "(-4, 2, -1, 0)"), ("(-5, 1)", "(2147483648,)"), "from -4 to"),
        ("ROIPooling", "pooled_size", ("(7, 7)",), ("(0, 0)", "(5000, 1)"), "from 1 to 4096"),
        ("_contrib_DeformableConvolution", "num_deformable_group", ("1",), ("0",), "from 1"),
        ("GroupNorm", "num_groups", ("1",), ("0",), "from 1"),
        ("LRN", "nsize", ("5",), ("0",), "from 1"),
        ("depth_to_space", "block_size", ("2",), ("0",), "from 1"),
        ("RNN", "state_size", ("8",), ("0", "4294967296"), "from 1"),
        ("Pad", "pad_width", ("(0, 0, 0, 0, 1, 1, 1, 1)",), ("(0, 0, 0, 0, -1, 1, 1, 1)",), "from 0"),
        ("Correlation", "kernel_size", ("1",), ("0",), "from 1"),
        ("Correlation", "stride1", ("1",), ("0",), "from 1"),
        ("slice", "step", ("(1, -1)",), ("(0, 1)",), "a step other than 0"),
        (
            "_zeros",
            "shape",
            ("(268435456,)",),
            ("(268435457,)", "(65536, 65536)", "(2147483647, 2147483647)"),
            "at most 268,435,456 numbers",
        ),
        ("_eye", "N", ("16",), ("16385", "-1"), "from 0"),
    ],
)
def test_the_least_and_the_most_pass_and_what_is_outside_is_refused(op, name, good, bad, expected):
    for value in good:
        check(op, **{name: value})
    for value in bad:
        with pytest.raises(ValueError, match=expected):
            check(op, **{name: value})


@pytest.mark.parametrize(
    "attributes, refused",
    [
        ({"start": "0", "stop": "10"}, False),
        ({"start": "10"}, False),
        ({"start": "1e12"}, True),
        ({"start": "0", "stop": "1", "step": "1e-12"}, True),
        ({"start": "0", "stop": "10", "repeat": "1000000000"}, True),
        ({"start": "0", "stop": "10", "step": "0"}, True),
        ({"start": "0", "stop": "nan"}, True),
        ({"start": "0", "stop": "inf"}, True),
        ({"start": "0", "stop": "None"}, False),
    ],
)
def test_a_range_is_bounded_by_what_it_makes(attributes, refused):
    if refused:
        with pytest.raises(ValueError, match="expected (at most 268,435,456 numbers|a step other than 0|.* from )"):
            check("_arange", **attributes)
    else:
        check("_arange", **attributes)


def test_long_values_and_lists_are_refused():
    with pytest.raises(ValueError, match=f"expected at most {LONGEST} characters as kernel, received 4097"):
        check("Convolution", kernel="1" * 4097)
    with pytest.raises(ValueError, match="expected at most 16 numbers as kernel, received 17"):
        check("Convolution", kernel=f"({', '.join('1' * 17)})")


def test_no_number_of_any_operator_may_be_beyond_32_bits_or_nan():
    """Siblings: whatever the attribute is called, whichever operator has it."""
    for name in ALLOWED:
        operator = find_operator(name)
        for attribute, kind in operator.attributes.items():
            numeric = any(word in kind for word in ("int", "long", "Shape", "float", "double"))
            if numeric and not kind.startswith("{"):
                for text in ("nan",) if "float" in kind or "double" in kind else ("nan", "99999999999", "-99999999999"):
                    with pytest.raises(ValueError, match="expected"):
                        check_attributes(operator, {attribute: text})
