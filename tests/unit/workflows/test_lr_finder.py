"""The learning-rate finder: what its curve says, and that nothing of the caller's changes."""
import collections
import dataclasses
import math
import os
import random

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.datasets import Records
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError, MissingFileError, RunError
from mxft.files.whole import sha256
from mxft.network.input_spec import InputSpec
from mxft.report.lr_plot import draw_learning_rates
from mxft.training.fit import FitOptions
from mxft.training.lr_curve import LearningRates, running_mean, smooth, suggest
from mxft.training.recipe import Recipe
from mxft.workflows import lr_finder
from mxft.workflows.lr_finder import ExponentialRise, find_learning_rate

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
HEAD = Recipe(plan="head", batch_size=8, augment=0, fit=FitOptions(momentum=0.9))
RATES = np.geomspace(1e-6, 10, 100)


@pytest.fixture
def model(make_checkpoint, tmp_path):
    return make_checkpoint(num_classes=10).save(str(tmp_path / "old" / "net"), 4)


@pytest.fixture
def data(coloured_records):
    return coloured_records(20)


def curve(middle=1e-2, fall=3.0, rise=0.5, noise=0.0, level=5.0):
    """A loss that falls by `fall` around `middle` (steepest there) and shoots up at `rise`."""
    x = np.log10(RATES)
    falling = level - fall / (1 + np.exp(-4 * (x - math.log10(middle))))
    return falling + np.exp(8 * (x - math.log10(rise))) + noise * np.random.RandomState(1).randn(len(x))


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 3e-2])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_the_suggestion_is_where_a_known_curve_is_steepest(middle, noise):
    found = suggest(RATES, curve(middle, noise=noise))
    assert found in RATES
    assert abs(math.log10(found / middle)) < (0.15 if noise == 0 else 0.45)  # of 7 decades


def test_a_rise_to_fifty_nats_does_not_bend_the_curve_before_it():
    calm, wild = curve(rise=100.0), curve(rise=0.5)
    assert wild.max() > 1e4
    assert suggest(RATES, wild) == pytest.approx(suggest(RATES, calm), rel=0.2)
    assert smooth(wild).max() <= wild[:10].max()


def test_the_fall_after_a_blow_up_is_not_suggested():
    """As measured: MobileNet at rate 1 is blown up, and falls to the loss of 256 equal probabilities at rate 10."""
    losses = np.minimum(curve(fall=1.5, level=7.5), 9.0)
    losses[-12:] = np.linspace(9, 2, 12)
    assert smooth(losses)[-12:].min() < smooth(losses)[:-12].min()
    assert suggest(RATES, losses) == suggest(RATES, np.minimum(curve(fall=1.5, level=7.5), 9.0))


@pytest.mark.parametrize("losses", [5 + 0.3 * np.random.RandomState(0).randn(100), np.full(100, 5.0),
                                    np.linspace(3, 9, 100), [], [1.0, 0.5]])
def test_where_nothing_falls_there_is_no_suggestion(losses):
    assert suggest(RATES[:len(losses)], losses) is None


def test_smoothing_is_centred_and_leaves_a_line_alone():
    line = np.linspace(5, 1, 100)
    np.testing.assert_allclose(smooth(line)[25:-25], line[25:-25], atol=1e-6)
    step = np.r_[np.full(50, 4.0), np.full(50, 2.0)]
    assert smooth(step)[[49, 50]].mean() == pytest.approx(3.0)
    with pytest.raises(AssertionError):  # what a one-sided mean does
        assert running_mean(step)[[49, 50]].mean() == pytest.approx(3.0, abs=.5)


def test_the_running_mean_is_unbiased_from_its_first_value():
    assert running_mean([4.0]).tolist() == pytest.approx([4.0])
    assert running_mean([4.0, 2.0])[1] == pytest.approx((0.09 * 4 + 0.1 * 2) / 0.19)


def test_the_rise_is_exponential_and_ends_where_it_should():
    rise = ExponentialRise(1e-6, 10, 100)
    np.testing.assert_allclose([rise(update) for update in range(1, 101)], RATES, rtol=1e-12)


def test_the_table_marks_the_suggestion():
    losses = curve(noise=0.05)
    found = LearningRates(tuple(RATES), tuple(losses), suggest(RATES, losses), tuple(smooth(losses)))
    lines = found.table().splitlines()
    assert len(lines) in (16, 17)
    marked = [line for line in lines if line.endswith("<- suggestion")]
    assert len(marked) == 1 and float(marked[0].split()[0]) == pytest.approx(found.suggestion, rel=5e-3)
    assert "<-" not in dataclasses.replace(found, suggestion=None).table()


@pytest.mark.parametrize("suggestion", [RATES[60], None])
def test_the_picture(tmp_path, suggestion):
    losses = curve(noise=0.1)
    draw_learning_rates(LearningRates(tuple(RATES), tuple(losses), suggestion, tuple(smooth(losses))),
                        str(tmp_path / "lr.png"), "title")
    image = cv2.imread(str(tmp_path / "lr.png"))
    orange = (np.abs(image.astype(int) - (0x52, 0x84, 0xdd)).max(axis=2) < 20).sum()  # BGR of the mark
    assert image.shape == (504, 840, 3) and (orange > 50) == (suggestion is not None)
    assert [path.name for path in tmp_path.iterdir()] == ["lr.png"]


def ranged(model, data, recipe=HEAD, start=1e-4, end=1.0, batches=20, **more):
    """Run the child's part in this process; return (result, messages)."""
    messages = []
    result = lr_finder._range_test(model, data, recipe, SPEC, "", more.get("cpus", 1), 1, start, end, batches,
                                   lambda **message: messages.append(message))
    return result, messages


def test_every_batch_is_told_with_the_rate_of_its_update(model, data):
    result, messages = ranged(model, data)
    assert result == {"stage": "head", "diverged": False}
    np.testing.assert_allclose([message["rate"] for message in messages], np.geomspace(1e-4, 1, 20))
    assert messages[-1]["loss"] < messages[0]["loss"]  # it learnt, over records gone through 7 times


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_losses_are_those_of_a_training_by_hand(model, data, make_checkpoint, accumulate):
    """SGD on the head in NumPy, on the features and in the order the iterator gives them."""
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.checkpoint import load_checkpoint
    from mxft.surgery import cut_at
    from mxft.training.fit import seed_everything

    recipe = dataclasses.replace(HEAD, fit=FitOptions(initializer="zero", accumulate=accumulate))
    _, messages = ranged(model, data, recipe, end=10.0)
    checkpoint = load_checkpoint(model)
    seed_everything(0)
    records = RecordIterator(data.train, SPEC, 8, 20, shuffle=True, seed=0, threads=1)
    backbone = InferenceExecutor(cut_at(checkpoint.symbol, "flatten0"), checkpoint.arg_params, checkpoint.aux_params,
                                 SPEC.shape, 8)
    weight, bias = np.zeros((3, 6)), np.zeros(3)
    for number, message in enumerate(messages):
        seen = []
        for batch_number in range(number * accumulate, (number + 1) * accumulate):
            if batch_number % 3 == 0:
                records.reset()
            batch = records.next()
            seen.append((backbone.forward(batch.data[0]), batch.label[0].asnumpy().astype(int)))
        x, label = map(np.concatenate, zip(*seen))
        z = x @ weight.T + bias
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(x)), label]).mean()
        assert message["loss"] == pytest.approx(loss, rel=1e-4, abs=1e-5)
        g = (p - np.eye(3)[label]) * message["rate"] / len(x)
        weight, bias = weight - g.T @ x, bias - g.sum(axis=0)


def test_divergence_ends_it(model, data):
    full = dataclasses.replace(HEAD, plan="full")
    result, messages = ranged(model, data, full, end=1e8, batches=40)
    assert result["diverged"] and 5 < len(messages) < 40
    result, messages = ranged(model, data, full, start=1e20, end=1e30)  # not even a number after the first update
    assert result["diverged"] and 0 < len(messages) < 20


def test_stages_and_soft_targets_and_two_devices(model, data):
    recipe = dataclasses.replace(HEAD, plan="two-stage", class_weight=(1.0,) * 3, oversample=True,
                                 fit=FitOptions(label_smoothing=0.1))
    result, messages = ranged(model, data, recipe, cpus=2)
    assert result == {"stage": "head", "diverged": False} and len(messages) == 20


@pytest.mark.long
def test_nothing_of_the_callers_changes(model, data, make_checkpoint, tmp_path):
    """Weights, momentum, three random generators and files, bit for bit, around a finder that trains everything."""
    training = mx.mod.Module(make_checkpoint().symbol)
    batches = mx.io.NDArrayIter(np.random.rand(8, 3, 8, 8), np.arange(8) % 3, 4, label_name="softmax_label")
    training.fit(batches, num_epoch=1, optimizer_params={"momentum": 0.9})

    def state(folder="before"):
        path = str(tmp_path / "states")
        training.save_optimizer_states(path)
        args, auxs = training.get_params()
        hashes = {str(f): sha256(f) for f in sorted(tmp_path.rglob("*")) if f.is_file()}
        return ({name: value.asnumpy().tobytes() for name, value in {**args, **auxs}.items()}, hashes,
                random.getstate(), [part.tolist() if isinstance(part, np.ndarray) else part
                                    for part in np.random.get_state()], dict(os.environ))

    def draw():
        return mx.nd.random.uniform(shape=4).asnumpy().tolist()

    mx.random.seed(11)
    expected = draw(), draw()
    mx.random.seed(11)
    assert draw() == expected[0]
    before = state()
    seen = []
    found = find_learning_rate(model, data, dataclasses.replace(HEAD, plan="full"), SPEC, threads=1, start=1e-4,
                               end=1.0, batches=30, progress=lambda *facts: seen.append(facts))
    assert draw() == expected[1]
    assert state() == before
    assert [facts[0] for facts in seen] == list(range(1, 31)) and seen[-1][1:] == (found.rates[-1], found.losses[-1])
    assert found.suggestion in found.rates and (found.stage, found.diverged) == ("full", False)
    assert found.losses[0] == ranged(model, data, dataclasses.replace(HEAD, plan="full"))[1][0]["loss"]


@pytest.mark.parametrize("recipe, message", [
    (Recipe(layer="flaten0"), "nearest: flatten0"), (Recipe(schedule="step", lr_steps=(99,)), "received lr_steps="),
])
def test_recipes_that_are_refused(model, data, recipe, message):
    with pytest.raises(InputError, match=message):
        ranged(model, data, recipe)


@pytest.mark.parametrize("range_, message", [
    ({"start": 1.0, "end": 0.1}, "0 < start-lr < end-lr, received start-lr=1 and end-lr=0.1"),
    ({"start": 0.0}, "received start-lr=0"), ({"end": float("inf")}, "end-lr=inf"), ({"end": float("nan")}, "nan"),
    ({"batches": 19}, "at least 20 batches, received batches=19"),
    ({"recipe": Recipe(plan="head", solver="ridge")}, "received solver='ridge'; .* --solver ridge.*--require-head"),
])
def test_ranges_that_are_refused(range_, message):
    with pytest.raises(InputError, match=message):
        find_learning_rate("nowhere,0", None, **range_)


@pytest.mark.parametrize("child, kind, message", [
    ("import sys; sys.exit(3)", RunError, "received exit status 3"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", RunError, "received exit status -9"),
    ("""print('{"rate": 1, "loss": 2}')""", RunError, "received exit status 0"),
    ("""print('{"error": "RunError", "text": "reading x.rec stopped"}')""", RunError, "reading x.rec stopped"),
    ("""print('{"error": "MissingFileError", "text": "no x.rec"}')""", MissingFileError, "no x.rec"),
])
def test_a_child_that_ends_without_a_result(monkeypatch, child, kind, message):
    monkeypatch.setattr(lr_finder, "_CHILD", child)
    with pytest.raises(kind, match=message):
        find_learning_rate("net,0", Records("x.rec"), Recipe())


def test_the_child_ends_with_the_caller(monkeypatch):
    """Ctrl-C arrives in the caller; the child, in a session of its own, is ended by it."""
    monkeypatch.setattr(lr_finder, "_CHILD", "import os, time\nprint('{\"rate\": %d, \"loss\": 1}' % os.getpid(), "
                                             "flush=True)\ntime.sleep(60)")
    pids = collections.deque()

    def interrupt(done, rate, loss):
        pids.append(rate)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_learning_rate("net,0", Records("x.rec"), Recipe(), progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
