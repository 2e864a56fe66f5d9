"""Learning rates, update by update, against plain formulas."""
import math

import pytest

from mxft.errors import InputError
from mxft.training.schedule import learning_rate_schedule

EPOCHS, BATCHES, RATE = 4, 5, 0.2


def rates(name, **arguments):
    """Return the rate of every update, counted from 1 as MXNet does."""
    schedule = learning_rate_schedule(name, RATE, EPOCHS, BATCHES, **arguments)
    return [schedule(update) for update in range(1, EPOCHS * BATCHES + 1)]


def expected(name, steps=(), factor=0.1, warmup_epochs=0.0):
    """The same, slowly."""
    result, warmup = [], round(warmup_epochs * BATCHES)
    for update in range(1, EPOCHS * BATCHES + 1):
        if update < warmup:
            result.append(RATE * update / warmup)
        elif name == "cosine":
            done = (update - warmup) / (EPOCHS * BATCHES - warmup)
            result.append(RATE * (1 + math.cos(math.pi * done)) / 2)
        else:
            epoch = (update - 1) / BATCHES  # of the batch this update belongs to
            result.append(RATE * factor ** sum(epoch >= step - 1e-9 for step in steps))
    return result


@pytest.mark.parametrize("arguments", [
    {"name": "constant"}, {"name": "constant", "warmup_epochs": 1.4}, {"name": "cosine"},
    {"name": "cosine", "warmup_epochs": 1}, {"name": "step", "steps": [2]}, {"name": "step", "steps": [1, 2.6, 3]},
    {"name": "step", "steps": [1, 3], "factor": 0.5, "warmup_epochs": 0.6}, {"name": "step", "steps": [3], "factor": 1},
])
def test_every_updates_rate_is_the_formulas(arguments):
    assert rates(**arguments) == pytest.approx(expected(**arguments), rel=1e-6, abs=1e-12)


def test_a_step_takes_effect_with_the_first_batch_of_its_epoch():
    assert rates("step", steps=[2])[9:11] == pytest.approx([0.2, 0.02])


def test_a_cosine_ends_at_zero():
    assert rates("cosine")[-1] == pytest.approx(0, abs=1e-12)
    assert rates("cosine", warmup_epochs=2)[-1] == pytest.approx(0, abs=1e-12)


def test_a_rate_of_zero_stays_zero():
    schedule = learning_rate_schedule("constant", 0, 2, 3)
    assert [schedule(update) for update in range(1, 7)] == [0] * 6


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
@pytest.mark.parametrize("batches", [1, 2, 10])
def test_a_warm_up_of_nearly_all_epochs_leaves_one_update_at_the_full_rate_or_less(name, batches):
    schedule = learning_rate_schedule(name, RATE, 1, batches, steps=[0.99], warmup_epochs=0.99)
    assert all(0 <= schedule(update) <= RATE for update in range(1, batches + 1))


@pytest.mark.parametrize("arguments, message", [
    ({"name": "cosin"}, "schedule: expected one of constant, step, cosine, received schedule='cosin'; nearest: cos"),
    ({"name": "step"}, r"step schedule: expected growing epochs between 0 and 4, an update or more apart, received "
                       r"lr_steps=\(\)"),
    ({"name": "step", "steps": [3, 2]}, r"received lr_steps=\(3, 2\)"),
    ({"name": "step", "steps": [2, 2]}, r"received lr_steps=\(2, 2\)"),
    ({"name": "step", "steps": [1, 1.01]}, r"an update or more apart, received lr_steps=\(1, 1.01\)"),
    ({"name": "step", "steps": [0, 2]}, r"received lr_steps=\(0, 2\)"),
    ({"name": "step", "steps": [2, 4]}, r"received lr_steps=\(2, 4\)"),
    ({"name": "step", "steps": [2], "factor": 2}, "expected a factor above 0 and of at most 1, received lr_factor=2"),
    ({"name": "step", "steps": [2], "factor": 0}, "received lr_factor=0"),
    ({"name": "step", "steps": [2], "factor": float("nan")}, "received lr_factor=nan"),
    ({"name": "constant", "warmup_epochs": 4}, "warm-up: expected at least 0 and fewer than 4 epochs, received "
                                               "warmup_epochs=4"),
    ({"name": "cosine", "warmup_epochs": -1}, "received warmup_epochs=-1"),
])
def test_what_makes_no_schedule_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        rates(**arguments)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(rate):
    with pytest.raises(InputError, match=f"expected a finite number of at least 0, received learning_rate={rate}"):
        learning_rate_schedule("constant", rate, 1, 1)
