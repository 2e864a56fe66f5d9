"""A recipe's plan becomes stages: which parameters, for how long, how fast."""
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.features.store import CacheOptions
from mxft.freeze import FreezeOptions
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.stages import HeadStage, training_stages

HEAD = ("out_weight", "out_bias")


@pytest.fixture
def symbol():
    """Three resolutions, 16, 8 and 4 pixels, of one convolution and BatchNorm each, and a dense head."""
    net = mx.sym.Variable("data")
    for number in range(3):
        net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), stride=(1 + (number > 0),) * 2, num_filter=4,
                                 no_bias=True, name=f"conv{number}")
        net = mx.sym.BatchNorm(net, name=f"bn{number}")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="out"), name="softmax")


def stages(symbol, **recipe):
    epochs = recipe.pop("epochs", 8)
    return training_stages(Recipe(fit=FitOptions(epochs=epochs, momentum=0.9), **recipe), symbol, HEAD, (3, 16, 16))


def test_most_plans_are_one_stage(symbol):
    for plan in ("full", "head", "discriminative", "scratch"):
        stage, = stages(symbol, plan=plan, learning_rate=0.3, batch_size=7)
        assert (stage.plan.name, stage.learning_rate, stage.batch_size, stage.fit.epochs) == (plan, 0.3, 7, 8)


def test_two_stages_have_an_optimizer_rate_and_batch_each(symbol):
    first, second = stages(symbol, plan="two-stage", learning_rate=1e-4, batch_size=64,
                           head_stage=HeadStage(3, 1e-3, "adam", 256))
    assert (first.plan.name, first.fit.epochs, first.learning_rate, first.batch_size) == ("head", 3, 1e-3, 256)
    assert (first.fit.optimizer, first.fit.momentum, first.from_best) == ("adam", None, False)
    assert (second.plan.name, second.fit.epochs, second.learning_rate, second.batch_size) == ("full", 8, 1e-4, 64)
    assert (second.fit.optimizer, second.fit.momentum, second.from_best) == ("sgd", 0.9, True)
    assert second.plan.frozen == ()


def test_a_solved_head_needs_no_first_stage(symbol):
    assert [stage.name for stage in stages(symbol, plan="two-stage", solver="ridge")] == ["everything"]
    assert stages(symbol, plan="head", solver="ridge") == []


def test_gradual_unfreezing_opens_the_backbone_from_the_output_down(symbol):
    found = stages(symbol, plan="gradual", epochs=5, unfreeze_epochs=1)
    assert [stage.name for stage in found] == ["head", "last 1 of 3 stages", "last 2 of 3 stages", "last 3 of 3 stages"]
    assert [stage.fit.epochs for stage in found] == [2, 1, 1, 3]
    assert [[name for name in stage.plan.trainable if name.endswith("weight")] for stage in found] == [
        ["out_weight"], ["conv2_weight", "out_weight"], ["conv1_weight", "conv2_weight", "out_weight"],
        ["conv0_weight", "conv1_weight", "conv2_weight", "out_weight"]]
    assert found[1].plan.fixed_layers(symbol) == {"bn0", "bn1"} and not found[3].plan.fixed_layers(symbol)


def test_gradual_unfreezing_keeps_what_was_asked_to_stay(symbol):
    found = stages(symbol, plan="gradual", epochs=3, freezing=FreezeOptions(through="bn0"))
    assert all({"conv0_weight", "bn0_gamma"} <= set(stage.plan.frozen) for stage in found)


@pytest.mark.parametrize("recipe, message", [
    ({"plan": "gradual", "epochs": 2}, "plan gradual: expected 3 epochs or more, 1 for each of the 3 stages of the "
                                       "backbone but the last, received epochs=2"),
    ({"plan": "gradual", "epochs": 6, "unfreeze_epochs": 3}, "plan gradual: expected 7 epochs or more, 3 for each"),
    ({"plan": "full", "freezing": FreezeOptions(method="lr_mult")}, "freezing.method: expected something to freeze, "
                                                                    "received freezing.method='lr_mult' with plan="),
    ({"plan": "full", "cache": CacheOptions("memory")}, "cache.mode: expected a plan that freezes everything below"),
    ({"plan": "scratch", "freezing": FreezeOptions(through="bn0")}, "plan scratch: expected nothing to freeze"),
])
def test_stages_that_cannot_be_are_refused(symbol, recipe, message):
    with pytest.raises(InputError, match=message):
        stages(symbol, **recipe)
