"""Flags that contradict each other, and upstream's learning-rate steps."""
import pytest

from mxft.errors import InputError
from mxft.faces.training.options import FaceOptions, learning_rate_steps


@pytest.mark.parametrize("loss_type, batch, expected", [
    (0, 512, [40000, 60000, 80000]), (4, 512, [100000, 140000, 160000]), (2, 128, [400000, 560000, 640000]),
    (0, 1024, [20000, 30000, 40000])])
def test_the_default_steps_are_upstreams_scaled_to_the_batch(loss_type, batch, expected):
    assert learning_rate_steps(FaceOptions(), loss_type, batch) == expected


def test_steps_that_are_given_are_not_scaled():
    assert learning_rate_steps(FaceOptions(lr_steps=(10, 20)), 0, 64) == [10, 20]


@pytest.mark.parametrize("wrong, message", [
    ({"lr_steps": (20, 10)}, r"lr_steps: expected growing numbers of updates, received lr_steps=\(20, 10\)"),
    ({"lr_steps": (0, 10)}, "lr_steps: expected a tuple, each a whole number of at least 1"),
    ({"fc7_init": "imprinted"}, "fc7_init: expected one of keep, normal, imprint, received fc7_init='imprinted'"),
    ({"freeze_epochs": 3, "end_epoch": 3}, "freeze_epochs: expected fewer than the 3 epochs there are"),
    ({"fc7_init": "imprint", "reinit_embedding": True}, "fc7_init: expected a pretrained embedding to imprint from"),
    ({"lr": -1}, "lr: expected a number of at least 0, received lr=-1"), ({"kvstore": "devcie"}, "nearest: device")])
def test_contradictions_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        FaceOptions(**wrong)
