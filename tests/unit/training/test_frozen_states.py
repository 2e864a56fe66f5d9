"""Frozen is frozen bit for bit, parameters and states, whatever operator keeps the states; or it is refused."""
import dataclasses

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.freeze import FreezeOptions, freeze_plan
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.surgery import stateful_layers
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.stages import HeadStage
from mxft.workflows.finetune import finetune

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
NORMS = {"BatchNorm": mx.sym.BatchNorm, "BatchNorm_v1": mx.sym.BatchNorm_v1,
         "SyncBatchNorm": lambda *inputs, **own: mx.sym.contrib.SyncBatchNorm(*inputs, ndev=1, key="k", **own),
         "BatchNormWithReLU": mx.sym.contrib.BatchNormWithReLU}
PLANS = {"head": {}, "full": {"freezing": {"through": "bn0"}},
         "discriminative": {"freezing": {"backbone_lr_mult": 0.0}},
         "two-stage": {"freezing": {"patterns": ("conv0_*", "bn0_*")}, "head_stage": HeadStage(epochs=1)},
         "gradual": {"freezing": {"patterns": ("conv0_*", "bn0_*")}, "head_stage": HeadStage(epochs=1)}}


def network(norm, fix_gamma=False):
    """conv0 → bn0 → relu0 → conv1 → bn1 → pool0 → fc1 → softmax, its BatchNorms of any kind."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), pad=(1, 1), num_filter=4, name="conv0")
    net = mx.sym.Activation(norm(net, fix_gamma=fix_gamma, name="bn0"), act_type="relu", name="relu0")
    net = mx.sym.Convolution(net, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=4, name="conv1")
    net = norm(net, fix_gamma=fix_gamma, name="bn1")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten0"), num_hidden=3, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")


@pytest.fixture
def trained(tmp_path, coloured_records, random_parameters, monkeypatch):
    """A function ``(symbol, recipe) -> (parameters before, after)`` that fine-tunes a checkpoint of that symbol."""
    monkeypatch.setattr("mxft.workflows.finetune.draw_curves", lambda *_: None)  # takes longer than the training

    def train(symbol, recipe):
        checkpoint = Checkpoint(symbol, *random_parameters(symbol, SPEC.shape))
        before = {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}
        result = finetune(checkpoint, coloured_records(12), str(tmp_path / "run"), recipe, SPEC, threads=1)
        after = load_checkpoint(result.fit.last)
        return before, {name: value.asnumpy() for name, value in {**after.arg_params, **after.aux_params}.items()}
    return train


def recipe_of(plan, method, batch_norm=None, frozen_backbone=False):
    options = dict(PLANS[plan])
    freezing = FreezeOptions(method=method, **options.pop("freezing", {}))
    fit = FitOptions(epochs=2, momentum=0.9, wd=0.01)
    return Recipe(plan=plan, batch_norm=batch_norm, freezing=freezing, batch_size=4, learning_rate=0.1, fit=fit,
                  frozen_backbone=frozen_backbone, **options)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("method", ["fixed", "lr_mult"])
@pytest.mark.parametrize("kind", NORMS)
def test_every_plan_leaves_the_frozen_parameters_and_their_states_bit_for_bit(trained, kind, method, plan):
    before, after = trained(network(NORMS[kind]), recipe_of(plan, method))
    still = {"conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta", "bn0_moving_mean", "bn0_moving_var"}
    moving = {"fc1_weight", "fc1_bias"}
    if plan in ("head", "discriminative"):
        still |= {name.replace("0", "1") for name in still}
    else:
        moving |= {"conv1_weight", "bn1_moving_var"}
    assert {name for name in still if not np.array_equal(before[name], after[name])} == set()
    assert {name for name in moving if before[name].shape == after[name].shape
            and np.array_equal(before[name], after[name])} == set()


@pytest.mark.parametrize("method", ["fixed", "lr_mult"])
def test_a_gamma_that_mxnet_reads_as_1_is_1_from_the_start_and_stays(trained, method):
    """``fix_gamma``: MXNet writes the 1 into the array, which would be a frozen parameter that moved."""
    before, after = trained(network(mx.sym.BatchNorm, fix_gamma=True), recipe_of("head", method))
    assert not np.array_equal(before["bn0_gamma"], np.ones(4)) and np.array_equal(after["bn0_gamma"], np.ones(4))
    assert np.array_equal(before["bn0_beta"], after["bn0_beta"])


@pytest.mark.parametrize("kind", NORMS)
def test_in_eval_mode_no_state_moves_though_all_parameters_train(trained, kind):
    recipe = dataclasses.replace(recipe_of("full", "fixed", "eval", True), freezing=FreezeOptions())
    before, after = trained(network(NORMS[kind]), recipe)
    assert all(np.array_equal(before[name], after[name]) for name in before if "moving" in name)
    assert not np.array_equal(before["conv0_weight"], after["conv0_weight"])


def test_the_cases_can_fail_in_train_mode_states_move(trained):
    before, after = trained(network(NORMS["SyncBatchNorm"]),
                            dataclasses.replace(recipe_of("full", "fixed", "train", True), freezing=FreezeOptions()))
    assert not np.array_equal(before["bn0_moving_var"], after["bn0_moving_var"])


def with_sparseness():
    """A network with the one other operator of MXNet's that tracks a state."""
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data"), name="flatten0"), num_hidden=4, name="fc0")
    net = mx.sym.IdentityAttachKLSparseReg(mx.sym.sigmoid(net), name="sparse0")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=3, name="fc1"), name="softmax")


@pytest.mark.parametrize("options", [{"plan": "head"}, {"plan": "full", "batch_norm": "eval"}])
def test_states_that_cannot_be_kept_are_refused_by_layer(trained, options):
    with pytest.raises(InputError, match="states cannot be frozen: expected layers that can keep their statistics, as "
                                         "BatchNorm can, received IdentityAttachKLSparseReg 'sparse0', which moves "
                                         "sparse0_moving_avg"):
        trained(with_sparseness(), Recipe(batch_size=4, fit=FitOptions(epochs=1), **options))


def test_where_the_user_says_train_such_states_move_and_are_not_called_frozen(trained):
    plan = freeze_plan("head", with_sparseness(), ["fc1_weight", "fc1_bias"], "train")
    assert plan.fixed_statistics(with_sparseness()) == ((), ("sparse0_moving_avg",))
    assert stateful_layers(with_sparseness()) == {"sparse0": ("sparse0_moving_avg",)}
