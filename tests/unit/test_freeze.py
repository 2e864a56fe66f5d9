"""Plans name what moves and what stays, and how fast."""
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.freeze import FreezeOptions, check_plan, describe_rates, freeze_plan
from mxft.network.graph import Graph

HEAD = ("fc1_weight", "fc1_bias")
BACKBONE = ("conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta")


@pytest.fixture
def symbol(make_checkpoint):
    return make_checkpoint().symbol


@pytest.mark.parametrize("name, batch_norm, trainable, frozen, mode", [
    ("full", None, BACKBONE + HEAD, (), "train"), ("full", "eval", BACKBONE + HEAD, (), "eval"),
    ("head", None, HEAD, BACKBONE, "eval"), ("head", "train", HEAD, BACKBONE, "train"),
])
def test_a_plan_names_every_parameter_once(symbol, name, batch_norm, trainable, frozen, mode):
    plan = freeze_plan(name, symbol, HEAD, batch_norm)
    assert (plan.trainable, plan.frozen, plan.batch_norm) == (trainable, frozen, mode)
    assert sorted(plan.trainable + plan.frozen) == sorted(set(symbol.list_arguments()) - {"data", "softmax_label"})


def test_the_training_graph_has_batch_norm_in_the_plans_mode(symbol):
    def modes(plan):
        return [node.flag("use_global_stats") for node in Graph(plan.training_symbol(symbol)).operators()
                if node.op == "BatchNorm"]

    before = symbol.tojson()
    assert modes(freeze_plan("head", symbol, HEAD)) == [True]
    assert modes(freeze_plan("head", symbol, HEAD, "train")) == modes(freeze_plan("full", symbol, HEAD)) == [False]
    assert symbol.tojson() == before


def test_a_network_without_batch_norm_is_trained_as_it_is(make_checkpoint):
    symbol = make_checkpoint(batch_norm=False).symbol
    assert freeze_plan("head", symbol, HEAD).training_symbol(symbol) is symbol


def test_counts_are_told_on_both_sides(symbol):
    shapes = {"conv0_weight": (1000, 3), "conv0_bias": (6,), "bn0_gamma": (6,), "bn0_beta": (6,), "fc1_weight": (3, 6),
              "fc1_bias": (3,)}
    assert freeze_plan("head", symbol, HEAD).describe(shapes) == (
        "plan head: 2 tensors train (21 parameters), 4 are frozen (3,018) and get no gradient; BatchNorm "
        "statistics: fixed (eval mode)")
    assert "each batch's own in training (train mode), the moving ones stay" in freeze_plan(
        "head", symbol, HEAD, "train").describe(shapes)
    assert "0 are frozen (0); BatchNorm statistics: moving (train mode)" in freeze_plan("full", symbol, HEAD).describe(
        shapes)


def test_unknown_words_are_refused(symbol):
    with pytest.raises(InputError, match="plan: expected one of full, head, discriminative, gradual, two-stage, "
                                         "scratch, received plan='haed'; nearest: head"):
        freeze_plan("haed", symbol, HEAD)
    with pytest.raises(InputError, match="BatchNorm mode: expected train or eval, received batch_norm='frozen'"):
        freeze_plan("head", symbol, HEAD, "frozen")
    with pytest.raises(InputError, match="plan head: expected a head parameter of the network, received 'fc7_weight'; "
                                         "nearest: "):
        freeze_plan("head", symbol, ["fc7_weight"])


def test_a_layer_freezes_what_it_stands_on_with_its_statistics(symbol):
    plan = freeze_plan("full", symbol, HEAD, options=FreezeOptions(through="bn0"))
    assert plan.frozen == BACKBONE and plan.trainable == HEAD and plan.batch_norm == "frozen"
    assert plan.fixed_statistics(symbol) == (("bn0_moving_mean", "bn0_moving_var"), ())
    half = freeze_plan("full", symbol, HEAD, options=FreezeOptions(through="conv0"))
    assert half.frozen == BACKBONE[:2] and half.fixed_statistics(symbol)[0] == ()


def test_patterns_freeze_what_they_match_beside_any_plan(symbol):
    plan = freeze_plan("full", symbol, HEAD, options=FreezeOptions(patterns=("bn0_*", "fc1_bias")))
    assert plan.frozen == ("bn0_gamma", "bn0_beta", "fc1_bias")
    with pytest.raises(InputError, match="freeze: expected a pattern that matches a parameter, received "
                                         "freezing.patterns='bn1_.'; known: "):
        freeze_plan("full", symbol, HEAD, options=FreezeOptions(patterns=("bn1_*",)))
    with pytest.raises(InputError, match=r"freeze: expected something left to train, received "
                                         r"freezing.patterns=\('\*',\), which matches all 6 parameters"):
        freeze_plan("full", symbol, HEAD, options=FreezeOptions(patterns=("*",)))
    with pytest.raises(InputError, match="layer is not in the network: .* received layer='bn1'; nearest: bn0"):
        freeze_plan("full", symbol, HEAD, options=FreezeOptions(through="bn1"))


def test_discriminative_rates_fall_from_layer_to_layer(symbol):
    plan = freeze_plan("discriminative", symbol, HEAD, options=FreezeOptions(backbone_lr_mult=0.5, head_lr_mult=2.0))
    assert plan.multipliers == {**dict.fromkeys(BACKBONE, 0.5), **dict.fromkeys(HEAD, 2.0)}
    assert plan.rates(0.1, symbol) == {0.2: 2, 0.05: 4}
    attributes = plan.training_symbol(symbol).attr_dict()
    assert attributes["conv0_weight"]["__lr_mult__"] == "0.5" and attributes["fc1_bias"]["__lr_mult__"] == "2.0"
    assert "__lr_mult__" not in str(symbol.attr_dict())


def test_a_multiplier_of_its_own_counts_too():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), mx.sym.Variable("w", lr_mult=10), no_bias=True, num_hidden=2,
                                name="fc1")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    plan = freeze_plan("discriminative", net, (), options=FreezeOptions(backbone_lr_mult=0.5))
    assert plan.rates(0.1, net) == {0.5: 1}
    assert plan.training_symbol(net).attr_dict()["w"]["__lr_mult__"] == "5.0"


def test_layer_decay_counts_weighted_layers():
    net = mx.sym.Variable("data")
    for number in range(3):
        net = mx.sym.BatchNorm(mx.sym.FullyConnected(net, num_hidden=4, name=f"fc{number}"), name=f"bn{number}")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="out"), name="softmax")
    plan = freeze_plan("discriminative", net, ("out_weight", "out_bias"),
                       options=FreezeOptions(backbone_lr_mult=0.8, layer_decay=0.5))
    assert [plan.multipliers[name] for name in ("fc0_weight", "bn0_beta", "fc1_bias", "fc2_weight", "bn2_gamma")] == [
        0.2, 0.2, 0.4, 0.8, 0.8]


def test_a_multiplier_of_0_freezes(symbol):
    plan = freeze_plan("discriminative", symbol, HEAD, options=FreezeOptions(backbone_lr_mult=0))
    assert plan.frozen == BACKBONE and plan.multipliers == {}


def test_freezing_by_rate_leaves_nothing_fixed(symbol):
    plan = freeze_plan("head", symbol, HEAD, options=FreezeOptions(method="lr_mult"))
    attributes = plan.training_symbol(symbol).attr_dict()
    assert plan.fixed == () and attributes["conv0_weight"]["__lr_mult__"] == "0.0"
    assert attributes["bn0_gamma"]["__wd_mult__"] == "0.0" and "__lr_mult__" not in attributes.get("fc1_weight", {})
    assert freeze_plan("head", symbol, HEAD).fixed == BACKBONE


@pytest.mark.parametrize("options, message", [
    ({"method": "hope"}, "freezing.method: expected one of fixed, lr_mult, received freezing.method='hope'"),
    ({"backbone_lr_mult": -1},
     "freezing.backbone_lr_mult: expected a number of at least 0, received .*backbone_lr_mult=-1"),
    ({"layer_decay": 0}, "freezing.layer_decay: expected a number above 0 and of at most 1, received .*layer_decay=0"),
])
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        FreezeOptions(**options)


def test_optimizers_that_do_not_heed_a_rate_are_refused_where_rates_freeze():
    with pytest.raises(InputError, match="plan head by learning rates: expected an optimizer that uses them, received "
                                         "optimizer='AdaDelta'; sgd, "):
        check_plan("head", None, FreezeOptions(method="lr_mult"), "AdaDelta")
    check_plan("head", None, FreezeOptions(), "adadelta")


def test_rates_are_told_by_group():
    assert describe_rates({0.1: 2, 0.01: 4, 0.0: 3}) == "learning rate (tensors): 0.1 (2), 0.01 (4), frozen (3)"
    many = {**{1.0 / (1 + n): 2 for n in range(9)}, 0.0: 1}
    assert describe_rates(many) == "learning rate (tensors): 9 rates from 1 to 0.111 (18), frozen (1)"
