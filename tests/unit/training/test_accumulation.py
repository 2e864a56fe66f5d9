"""N batches whose gradients are added make the update of one batch that holds them all."""
import dataclasses
import itertools

import numpy as np
import pytest

from mxft.compat import mx
from mxft.distributed.workers import Workers
from mxft.errors import InputError
from mxft.faces.training.options import FaceOptions
from mxft.freeze import FreezePlan
from mxft.training.accumulation import divide_batch, updates_of
from mxft.training.fit import FitOptions, fit
from mxft.training.module import TrainingModule
from mxft.training.recipe import Recipe
from mxft.training.run import RunFolder
from mxft.training.schedule import learning_rate_schedule
from mxft.workflows.finetune import _division

IMAGES, CLASSES = 24, 3
MULTIPLIERS = {"conv0_weight": 0.3, "fc1_weight": 2.0}


def pictures():
    rng = np.random.RandomState(0)
    labels = np.arange(IMAGES) % CLASSES
    images = rng.normal(0, 0.5, (IMAGES, 3, 6, 6))
    images[np.arange(IMAGES), labels] += 1
    return images.astype(np.float32), labels.astype(np.float32)


class Batches(mx.io.NDArrayIter):
    """The same images in the same order, in batches of any size, `count` of them an epoch."""

    def __init__(self, size, count=None):
        self.batches = count or IMAGES // size
        images, labels = (array[:self.batches * size] for array in pictures())
        super().__init__(images, labels, size, label_name="softmax_label")


def network():
    """Convolution, ReLU, two fully connected layers; no BatchNorm, no dropout."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    net = mx.sym.Activation(net, act_type="relu")
    net = mx.sym.Activation(mx.sym.FullyConnected(net, num_hidden=5, name="fc0"), act_type="relu")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=CLASSES, name="fc1"), name="softmax")


@pytest.fixture
def train(tmp_path, random_parameters):
    """A function (batches, frozen=(), contexts=1, schedule=None, epochs=3, **options) -> ({name: array}, rates)."""
    runs = itertools.count()

    def run(batches, frozen=(), method="fixed", contexts=1, schedule=None, epochs=3, symbol=None, **options):
        symbol = network() if symbol is None else symbol
        values, _ = random_parameters(symbol, (3, 6, 6))
        names = [name for name in symbol.list_arguments() if name not in ("data", "softmax_label")]
        plan = FreezePlan("full", tuple(name for name in names if name not in frozen), tuple(frozen), "train",
                          {name: factor for name, factor in MULTIPLIERS.items() if name in names}, method)
        options = FitOptions(**{"epochs": epochs, "momentum": 0.9, "wd": 0.01, **options})
        schedule = schedule or learning_rate_schedule("step", 0.05, epochs, updates_of(batches.batches,
                                                                                     options.accumulate), [1.5])
        result = fit(symbol, values, {}, plan, batches, RunFolder(str(tmp_path / f"run{next(runs)}"), symbol, {}),
                     schedule, options, [mx.cpu(i) for i in range(contexts)], quiet=True)
        before = {name: value.asnumpy() for name, value in values.items()}
        return {name: value.asnumpy() for name, value in result.parameters[0].items()}, before, result.history
    return run


def assert_equal(found, expected, tolerance=1e-6):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("contexts, kvstore", [(1, "device"), (2, "device"), (2, "local")])
@pytest.mark.parametrize("frozen, method", [((), "fixed"), (("conv0_weight", "conv0_bias"), "fixed"),
                                            (("conv0_weight", "fc0_bias"), "lr_mult")])
def test_three_batches_of_4_are_one_of_12(frozen, method, contexts, kvstore, train):
    """Six updates with momentum, weight decay, multipliers and a falling rate."""
    one, before, history = train(Batches(12), frozen, method)
    found, _, rates = train(Batches(4), frozen, method, contexts, accumulate=3, kvstore=kvstore)
    assert_equal(found, one)
    assert [row["lr"] for row in rates] == [row["lr"] for row in history] and rates[0]["lr"] > rates[-1]["lr"]
    for name, value in before.items():
        assert np.array_equal(found[name], value) == (name in frozen), name


@pytest.mark.parametrize("rewrite", [True, False])
def test_soft_targets_are_accumulated_too(rewrite, train):
    one, _, _ = train(Batches(12), label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5), rewrite=rewrite)
    assert_equal(train(Batches(4), label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5), rewrite=rewrite,
                       accumulate=3)[0], one)


def regression(values, groups, rates):
    """Return weight and bias of a linear classifier after SGD with momentum 0.9, in float64.

    ``groups`` are the rows of each update; weight decay 0.01 is the weight's alone, whose rate is twice the bias'.
    """
    images, labels = pictures()
    weight, bias = (values[name].astype(float) for name in ("fc1_weight", "fc1_bias"))
    moving = [np.zeros_like(weight), np.zeros_like(bias)]
    for rows, rate in zip(groups, rates):
        x = images[rows].reshape(len(rows), -1).astype(float)
        scores = x @ weight.T + bias
        error = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        error[np.arange(len(rows)), labels[rows].astype(int)] -= 1
        moving[0] = 0.9 * moving[0] - 2 * rate * (error.T @ x / len(rows) + 0.01 * weight)
        moving[1] = 0.9 * moving[1] - rate * error.mean(axis=0)
        weight, bias = weight + moving[0], bias + moving[1]
    return {"fc1_weight": weight, "fc1_bias": bias}


@pytest.mark.parametrize("contexts, kvstore", [(1, "device"), (2, "device"), (2, "local")])
def test_an_incomplete_group_is_an_update_of_the_images_it_has(contexts, kvstore, train):
    """5 batches of 4 in groups of 3: updates of 12 and of 8 images, each divided by its own number."""
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=CLASSES, name="fc1"),
                               name="softmax")
    found, before, history = train(Batches(4, 5), symbol=net, contexts=contexts, kvstore=kvstore, accumulate=3)
    groups = [np.arange(12), np.arange(12, 20)] * 3
    assert_equal(found, regression(before, groups, [0.05] * 3 + [0.005] * 3), 1e-5)
    assert [round(row["lr"], 6) for row in history] == [0.05, 0.005, 0.005]


def test_a_group_larger_than_the_epoch_is_the_epoch(train):
    assert_equal(train(Batches(4), accumulate=100)[0], train(Batches(IMAGES))[0])


def test_the_schedule_counts_updates(train):
    """A cosine of 2 updates an epoch ends at 0; a warm-up of an epoch is 2 updates."""
    def cosine(updates):
        return learning_rate_schedule("cosine", 0.1, 4, updates, warmup_epochs=1)

    _, _, history = train(Batches(4, 5), schedule=cosine(updates_of(5, 3)), epochs=4, accumulate=3)
    assert [round(row["lr"], 4) for row in history] == [0.1, 0.075, 0.025, 0.0]


def test_one_batch_an_update_is_bit_for_bit_what_module_does(train, random_parameters):
    found, before, _ = train(Batches(4), epochs=1, schedule=learning_rate_schedule("constant", 0.05, 1, 6))
    module = mx.mod.Module(dataclasses.replace(PLAIN, multipliers=MULTIPLIERS).training_symbol(network()))
    module.fit(Batches(4), num_epoch=1, arg_params={name: mx.nd.array(value) for name, value in before.items()},
               optimizer="sgd", optimizer_params={"learning_rate": 0.05, "momentum": 0.9, "wd": 0.01})
    for name, value in module.get_params()[0].items():
        assert np.array_equal(found[name], value.asnumpy()), name


PLAIN = FreezePlan("full", (), (), "train")


def test_a_kvstore_that_leaves_the_update_to_the_module_is_right_too(train, monkeypatch):
    """As for large arrays under `local`: the sum over the devices is written into the gradients."""
    one, _, _ = train(Batches(12))
    monkeypatch.setenv("MXNET_UPDATE_ON_KVSTORE", "0")
    for kvstore in ("local", "device"):
        assert_equal(train(Batches(4), contexts=2, accumulate=3, kvstore=kvstore)[0], one)


@pytest.mark.parametrize("kvstore, count, accumulate, said", [
    ("device", 1, 4, "gradients of 4 batches are added: 4 x 32 = 128 images an update"),
    ("dist_sync", 2, 1, "rank 0 of 2 workers, dist_sync: each reads its share of the records, 2 x 32 = 64 images an "
                        "update; losses are those of rank 0's share"),
    ("dist_sync", 2, 4, "2 x 4 x 32 = 256 images an update"),
    ("dist_async", 2, 4, "an update after every worker's 128 images, without waiting for the others")])
def test_what_an_update_is_made_of_is_told(kvstore, count, accumulate, said):
    workers = Workers(kvstore)
    workers.count = count
    assert said in _division(workers, Recipe(batch_size=32, fit=FitOptions(accumulate=accumulate)))


@pytest.mark.parametrize("accumulate", [0, -1, 2.5])
def test_what_is_no_number_of_batches_is_refused(accumulate):
    with pytest.raises(InputError, match="accumulate: expected a whole number of at least 1, received "
                                         f"accumulate={accumulate}"):
        FaceOptions(accumulate=accumulate)


@pytest.mark.parametrize("images, largest, divided", [
    (128, 50, (32, 4)), (127, 50, (43, 3)), (128, 127, (64, 2)), (128, 128, (128, 1)), (101, 100, (51, 2)),
    (7, 1, (1, 7))])
def test_a_batch_is_divided_into_few_that_fit(images, largest, divided):
    assert divide_batch(images, largest) == divided
    batch, count = divided
    assert batch <= largest and images <= batch * count < images + count


@pytest.mark.parametrize("count", [1, 2])
def test_no_state_is_taken_while_other_workers_hold_gradients(count):
    """They would not be in it: rank 0 writes its own alone."""
    workers = Workers("dist_sync")
    workers.count = count
    module = TrainingModule(network(), 2, 6, workers=workers)
    batches = Batches(4)
    module.bind(batches.provide_data, batches.provide_label)
    module.init_params()
    module.init_optimizer(kvstore=None)
    kept = []
    for batch in batches:
        module.forward_backward(batch)
        module.update()
        kept.append(module.can_be_kept)
    assert kept == ([True] * 6 if count == 1 else [False, True] * 3)
