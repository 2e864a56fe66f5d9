"""What a manifest says of int8: read as it was written; anything of another form, or of other parameters, refused."""
import json

import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.quantization import ENTRY, Quantization, digest

GOOD = Quantization({"data": (-1.0, 1.0), "conv0_output": (0.0, 3.25)}, ("fc1",), {"conv0_weight": "0" * 16},
                    "percentile", 256, {"top1": 0.5})


def test_it_is_read_from_a_manifest_as_it_was_written():
    assert Quantization.of(json.loads(json.dumps({ENTRY: GOOD.to_dict()}))) == GOOD
    assert Quantization.of({}) is None


def test_ranges_are_kept_to_six_digits_from_the_beginning():
    made = Quantization({"data": (-1.23456789, 1.23456789)}, (), {}, "naive", 1)
    assert made.ranges["data"] == (-1.23457, 1.23457)
    assert Quantization.of({ENTRY: made.to_dict()}).ranges == made.ranges


@pytest.mark.parametrize("entry", [[], "int8", 1, {}, {"format": 2}, {"format": None}])
def test_another_format_is_refused(entry):
    with pytest.raises(InputError, match="quantization: expected format 1 in the manifest, received .*; quantize the "
                                         "network again, or compute with precision='fp32'"):
        Quantization.of({ENTRY: entry})


@pytest.mark.parametrize("change, expected", [
    ({"ranges": {}}, "two numbers"), ({"ranges": None}, "two numbers"), ({"ranges": []}, "two numbers"),
    ({"ranges": {"data": [1, -1]}}, "two numbers"), ({"ranges": {"data": [0, float("inf")]}}, "two numbers"),
    ({"ranges": {"data": [0, float("nan")]}}, "two numbers"), ({"ranges": {"data": "01"}}, "two numbers"),
    ({"ranges": {"data": [0, "1"]}}, "two numbers"), ({"ranges": {"data": [0, 1, 2]}}, "two numbers"),
    ({"ranges": {str(n): [0, 1] for n in range(100_001)}}, "two numbers"),
    ({"in_float": "fc1"}, "names of layers"), ({"in_float": [1]}, "names of layers"),
    ({"in_float": None}, "names of layers"), ({"parameters": []}, "a hash of each parameter"),
    ({"parameters": {"a": 1}}, "a hash of each parameter"), ({"method": "best"}, "one of entropy, percentile, naive"),
    ({"method": ["naive"]}, "one of entropy, percentile, naive"), ({"images": "256"}, "one of entropy"),
    ({"images": True}, "one of entropy"), ({"figures": [1]}, "one of entropy")])
def test_an_entry_of_another_form_is_refused(change, expected):
    with pytest.raises(InputError, match=f"quantization: expected {expected}.*; quantize the network again"):
        Quantization.of({ENTRY: {**GOOD.to_dict(), **change}})


def test_other_parameters_are_refused_and_missing_ones_are_not():
    weight = mx.nd.ones((2, 3))
    made = Quantization({"data": (0, 1)}, (), {"w": digest(weight), "gone": "0" * 16}, "naive", 1)
    made.refuse_other({"w": weight, "new_weight": weight}, {})
    with pytest.raises(InputError, match="quantization: expected the parameters it was calibrated with, received "
                                         "another w; quantize the network again, or compute with precision='fp32'"):
        made.refuse_other({"w": weight * 2}, {})


def test_layers_are_left_out():
    left = GOOD.without({"conv0", "conv0_weight", "fc1"})
    assert (left.ranges, left.in_float, left.parameters) == ({"data": (-1.0, 1.0)}, (), {})
    assert left.method == GOOD.method and GOOD.in_float == ("fc1",)


def test_the_hash_is_of_numbers_and_not_of_their_type():
    assert digest(mx.nd.ones((2, 3))) == digest(mx.nd.ones((2, 3)).astype("float64"))


def test_it_is_described_in_a_line():
    assert GOOD.describe() == "int8, calibrated on 256 images (percentile), 1 left in float32"
