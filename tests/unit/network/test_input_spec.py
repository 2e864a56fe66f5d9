"""An InputSpec says once what a network expects, and survives the manifest."""
import json

import pytest

from mxft.errors import InputError
from mxft.network.input_spec import InputSpec


def test_the_default_is_the_tutorials_raw_rgb_at_224():
    assert InputSpec().iterator_arguments() == {"data_shape": (3, 224, 224)}
    assert InputSpec().describe() == "224x224 RGB, raw 0-255"


def test_mean_and_scale_become_the_iterators_mean_and_std():
    spec = InputSpec((3, 112, 96), (1.0, 2.0, 3.0), (0.5, 0.25, 1.0), 128)
    assert spec.iterator_arguments() == {"data_shape": (3, 112, 96), "mean_r": 1.0, "mean_g": 2.0, "mean_b": 3.0,
                                         "std_r": 2.0, "std_g": 4.0, "std_b": 1.0, "resize": 128}
    assert spec.describe() == "96x112 RGB, (pixel - [1, 2, 3]) x [0.5, 0.25, 1], short side resized to 128"


@pytest.mark.parametrize("spec", [InputSpec(), InputSpec((3, 112, 96), (1.0, 2.0, 3.0), (0.5, 1 / 3, 1.0), 128),
                                  InputSpec((1, 28, 28))])
def test_a_spec_survives_the_manifest(spec):
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_one_number_stands_for_all():
    assert InputSpec.from_dict({"size": 128, "mean": 127.5, "scale": 0.0078125, "resize": 140}) == InputSpec(
        (3, 128, 128), (127.5,) * 3, (0.0078125,) * 3, 140)


@pytest.mark.parametrize("entry", [{}, {"size": "big"}, {"size": [1, 2, 3]}, {"size": 8, "mean": [1, 2]},
                                   {"size": 8, "scale": "x"}, {"size": None}])
def test_an_entry_that_cannot_be_read_is_refused(entry):
    with pytest.raises(InputError, match="manifest input: expected size, mean, scale and channel_order, received inp"):
        InputSpec.from_dict(entry)


@pytest.mark.parametrize("shape", [(224, 224), (4, 224, 224), (3, 0, 224)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(InputError, match="image shape: expected C,H,W with C 1 or 3 and at most 8192 pixels a side, "):
        InputSpec(shape)


@pytest.mark.parametrize("entry, message", [
    ({"size": 10**9}, "at most 8192 pixels a side"), ({"size": [16.5, 16]}, "image shape: expected C,H,W"),
    ({"size": 16, "resize": "20"}, "short side: expected a number of pixels up to 8192, received resize='20'"),
    ({"size": 16, "resize": 2**31}, "short side: expected"), ({"size": 16, "mean": float("nan")}, "finite numbers"),
    ({"size": 16, "scale": float("inf")}, "mean and scale: expected finite numbers"),
    ({"size": 16, "mean": 10**400}, "manifest input: expected size, mean, scale"),
])
def test_a_manifest_that_asks_for_the_impossible_is_refused(entry, message):
    with pytest.raises(InputError, match=message):
        InputSpec.from_dict(entry)


def test_blue_first_and_a_scale_of_zero_are_refused():
    with pytest.raises(InputError, match="channel order: expected 'RGB', .* received channel_order='BGR'; swap"):
        InputSpec.from_dict({"size": 8, "channel_order": "BGR"})
    with pytest.raises(InputError, match="scale: expected numbers other than 0"):
        InputSpec(scale=(1.0, 0.0, 1.0))
