"""Plans name what moves and what stays."""
import pytest

from mxft.errors import InputError
from mxft.freeze import freeze_plan
from mxft.graph import Graph

HEAD = ("fc1_weight", "fc1_bias")
TRUNK = ("conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta")


@pytest.fixture
def symbol(make_checkpoint):
    return make_checkpoint().symbol


@pytest.mark.parametrize("name, batch_norm, trainable, frozen, mode", [
    ("full", None, TRUNK + HEAD, (), "train"), ("full", "eval", TRUNK + HEAD, (), "eval"),
    ("head", None, HEAD, TRUNK, "eval"), ("head", "train", HEAD, TRUNK, "train"),
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
        "plan head: 2 tensors train (21 numbers), 4 are frozen (3,018); BatchNorm statistics: fixed (eval mode)")
    assert "each batch's own in training (train mode), the moving ones stay" in freeze_plan(
        "head", symbol, HEAD, "train").describe(shapes)
    assert "0 are frozen (0); BatchNorm statistics: moving (train mode)" in freeze_plan("full", symbol, HEAD).describe(
        shapes)


def test_unknown_words_are_refused(symbol):
    with pytest.raises(InputError, match="plan: expected one of full, head, received plan='haed'; nearest: head"):
        freeze_plan("haed", symbol, HEAD)
    with pytest.raises(InputError, match="BatchNorm mode: expected train or eval, received bn='frozen'"):
        freeze_plan("head", symbol, HEAD, "frozen")
    with pytest.raises(InputError, match="plan head: expected a head parameter of the network, received 'fc7_weight'; "
                                         "nearest: "):
        freeze_plan("head", symbol, ["fc7_weight"])
