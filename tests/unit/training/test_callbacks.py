"""Meters against slow loops, patience against scripted series, and progress off the terminal."""
import io
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import RunError
from mxft.training.callbacks import Patience, Progress, TrainingMeter


def batch(n, seed):
    rng = np.random.RandomState(seed)
    return rng.randint(0, 5, n), rng.dirichlet(np.ones(5), n).astype(np.float32)


def test_the_meter_equals_a_loop_over_batches_and_devices():
    meter, losses, hits = TrainingMeter(), [], []
    for seed, sizes in enumerate([(4, 4), (3, 5), (8,)]):
        parts = [batch(n, 10 * seed + n) for n in sizes]
        meter.update([mx.nd.array(labels) for labels, _ in parts], [mx.nd.array(p) for _, p in parts])
        for labels, probabilities in parts:
            for label, row in zip(labels, probabilities):
                losses.append(-math.log(row[label]))
                hits.append(max(range(5), key=lambda c, row=row: row[c]) == label)
    assert meter.loss == pytest.approx(np.mean(losses), rel=1e-5) and meter.top1 == np.mean(hits)
    assert meter.get() == meter.get_global() == (["top1", "cross-entropy"], [meter.top1, meter.loss])


def test_the_meter_adds_up_in_float64():
    meter, (labels, probabilities) = TrainingMeter(), batch(9, 1)
    row_losses = -np.log(probabilities[np.arange(9), labels])
    meter.loss_sum = 2.0 ** 30  # beside it a float32 steps by 64
    for _ in range(4):
        meter.update([mx.nd.array(labels)], [mx.nd.array(probabilities)])
    assert meter.loss_sum - 2.0 ** 30 == pytest.approx(4 * row_losses.sum(dtype=np.float64), rel=1e-6)


def test_an_epoch_begins_with_nothing_and_a_log_line_forgets_nothing():
    meter = TrainingMeter()
    meter.update([mx.nd.array([0])], [mx.nd.array([[1.0, 0.0]])])
    meter.reset_local()
    assert (meter.images, meter.top1, meter.loss) == (1, 1.0, 0.0)
    meter.reset()
    assert (meter.images, meter.top1, meter.loss) == (0, 0.0, 0.0)


def test_a_certain_mistake_is_a_large_loss_and_not_infinity():
    meter = TrainingMeter()
    meter.update([mx.nd.array([1])], [mx.nd.array([[1.0, 0.0]])])
    assert meter.loss == pytest.approx(-math.log(1e-30), rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_loss_that_is_not_finite_stops_the_run(value):
    meter = TrainingMeter()
    meter.update([mx.nd.array([0])], [mx.nd.array([[0.5, 0.5]])])
    with pytest.raises(RunError, match="training stopped: expected a finite loss, received NaN in batch 1"):
        meter.update([mx.nd.array([0])], [mx.nd.array([[0.5, value]])])


def first_exhausted(patience, series):
    """Return the position at which patience ends, or None."""
    for position, value in enumerate(series):
        patience.saw(value)
        if patience.exhausted:
            return position
    return None


@pytest.mark.parametrize("epochs, min_delta, series, stops", [
    (2, 0, [.1, .2, .3, .4], None), (2, 0, [.5, .4, .3, .2], 2), (1, 0, [.5, .5, .9], 1),
    (3, 0, [.5, .4, .4, .6, .1], None),
    (0, 0, [.5, .1, .1, .1, .1], None), (2, .1, [.5, .55, .59, .9], 2), (2, .1, [.5, .55, .65, .7], None),
])
def test_patience_ends_at_the_exact_epoch(epochs, min_delta, series, stops):
    assert first_exhausted(Patience(epochs, min_delta), series) == stops
    falling = Patience(epochs, min_delta, higher_is_better=False)
    assert first_exhausted(falling, [-value for value in series]) == stops


def run_progress(monkeypatch, terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress(epochs=2, batches=6, batch_size=4, every=2)
    for epoch in range(2):
        for number in range(6):
            progress(SimpleNamespace(epoch=epoch, nbatch=number, eval_metric=SimpleNamespace(
                metrics=lambda: {"loss": 1.5, "top1": .25})))
    progress.close()
    return stream.getvalue()


def test_off_the_terminal_there_is_a_line_now_and_then(monkeypatch):
    lines = run_progress(monkeypatch, terminal=False).splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2 batch 2/6", "epoch 1/2 batch 4/6",
                                                      "epoch 2/2 batch 2/6", "epoch 2/2 batch 4/6"]
    assert all(line.endswith("images/s, loss 1.5000, top-1 0.2500") and "\r" not in line for line in lines)


def test_on_a_terminal_there_is_a_bar_an_epoch(monkeypatch):
    text = run_progress(monkeypatch, terminal=True)
    assert "epoch 1/2: 100%" in text and "epoch 2/2: 100%" in text and "24/24" in text
    assert "loss 1.5000 top-1 0.2500" in text
