"""Settings that cannot go well are said before a run begins: for finetune, its recipes and face runs alike."""
import pytest

from mxft.command.flags import as_flags
from mxft.training.sanity import Steps, doubts


def said(**settings):
    return [as_flags(line) for line in doubts(Steps(**{"images": 960, "batch": 32, "epochs": 8, **settings}))]


@pytest.mark.parametrize("settings, line", [
    ({"images": 96, "batch": 128, "epochs": 30},
     "an epoch is one update: 96 images for training, --batch-size 128; --batch-size 8 makes 12 updates"),
    ({"images": 960, "batch": 128, "batches": 8, "epochs": 30},  # 8 workers
     "an epoch is one update: 960 images for training, --batch-size 128; --batch-size 4 makes 30 updates"),
    ({"images": 96, "batch": 32, "epochs": 4},
     "too few updates for a new head: 12 in all, 3 an epoch, where 20 is little; more --epochs, or a smaller "
     "--batch-size"),
    ({"images": 12, "batch": 8, "epochs": 8},
     "too few updates for a new head: 16 in all, 2 an epoch, where 20 is little; more --epochs"),
    ({"images": 341, "batch": 32, "epochs": 1, "updates": 10},  # a face run leaves out what is no whole batch
     "too few updates for a new head: 10 in all, 10 an epoch, where 20 is little; more --epochs, or a smaller "
     "--batch-size"),
    ({"rate": 0.1, "momentum": 0.9, "images": 200},
     "learning rate too high for pretrained weights: 0.1 with momentum 0.9 undoes what they know at 7 updates an "
     "epoch; --lr 0.01"),
    ({"rate": 0.01, "optimizer": "adam"},
     "learning rate too high for pretrained weights: 0.01 undoes what they know at 30 updates an epoch; "
     "--lr 0.001"),
    ({"falls": (200, 300)}, "the learning rate falls after the end: at update 300 of 240; --lr-step-epochs 150,210"),
    ({"images": 200, "epochs": 100_000},
     "too many epochs: 100,000 of 7 updates, 700,000 in all, and nothing ends the run before; say --epochs, or press "
     "Ctrl-C, which saves what was learnt"),
])
def test_what_cannot_go_well_is_one_line(settings, line):
    assert said(**settings) == [line]


@pytest.mark.parametrize("settings", [
    {}, {"rate": 0.01, "momentum": 0.9}, {"rate": 0.1}, {"rate": 0.001, "optimizer": "adam"},
    {"images": 15360, "batch": 128, "rate": 0.1, "momentum": 0.9},  # enough updates an epoch
    {"images": 8, "batch": 8, "epochs": 20},  # 8 images are one batch at best
    {"epochs": 100_000, "stops": True}, {"epochs": 100_000, "most": 2000}, {"falls": (100, 200)},
    {"images": 96, "batch": 32, "epochs": 4, "new_head": False},
])
def test_what_can_go_well_is_not_doubted(settings):
    assert said(**settings) == []
