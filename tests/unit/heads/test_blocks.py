"""The Gluon blocks give what the symbols give, hybridized or not, and train."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.heads import HeadBlock, HeadOptions, make_head, softmax_output

OPTIONS = HeadOptions(margin_b=0.2, margin_s=16.0, beta=50.0)


def batch(seed=0, N=5, C=7, E=6):
    rng = np.random.RandomState(seed)
    return [mx.nd.array(a) for a in (rng.normal(size=(N, E)), rng.normal(size=(C, E)), rng.randint(0, C, N))]


def through_symbol(loss_type, embedding, weight, label, annealing):
    target = mx.sym.Variable("softmax_label")
    out = make_head(loss_type, 7, 6, OPTIONS).attach(mx.sym.Variable("embedding"), target)
    losses = [softmax_output(out.logits, target)] + ([] if out.extra_loss is None else [out.extra_loss])
    symbol = mx.sym.Group([mx.sym.BlockGrad(out.logits), *losses])
    values = {"embedding": embedding, "fc7_weight": weight, "softmax_label": label, "fc7_bias": mx.nd.zeros(7),
              "fc7_lambda": mx.nd.array([annealing])}
    args = {name: values[name] for name in symbol.list_arguments()}
    grads = {name: mx.nd.zeros(args[name].shape) for name in ("embedding", "fc7_weight")}
    executor = symbol.bind(mx.cpu(), args, grads)
    executor.forward(is_train=True)
    executor.backward()
    return [array.asnumpy() for array in (executor.outputs[0], grads["embedding"], grads["fc7_weight"])]


@pytest.mark.filterwarnings("ignore:The 1-th input to HybridBlock is not used")  # plain softmax reads no label
@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("loss_type", [0, 1, 2, 4, 5, 6, 7])
def test_block_is_the_symbol(loss_type, hybridize):
    embedding, weight, label = batch()
    block = HeadBlock(loss_type, 7, 6, OPTIONS)
    block.initialize()
    block.fc7_weight.set_data(weight)
    block.set_step(3)
    if hybridize:
        block.hybridize()
    embedding.attach_grad()
    with mx.autograd.record():
        scores = block(embedding, label)
        logits, extra = scores if loss_type in (6, 7) else (scores, 0)
        loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, label) + extra
    loss.backward()
    expected = through_symbol(loss_type, embedding, weight, label, annealing=50 / 1.36)  # 50·(1 + 0.12·3)^-1
    for ours, theirs in zip((logits, embedding.grad / 5, block.fc7_weight.grad() / 5), expected):
        np.testing.assert_allclose(ours.asnumpy(), theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("loss_type, names", [(0, ["fc7_weight", "fc7_bias"]), (1, ["fc7_weight", "fc7_lambda"]),
                                              (4, ["fc7_weight"])])
def test_parameters_have_the_symbols_names_and_multipliers(loss_type, names):
    block = HeadBlock(loss_type, 7, 6, HeadOptions(fc7_lr_mult=3.0, fc7_wd_mult=0.5), prefix="head_")
    parameters = block.collect_params()
    assert list(parameters) == [f"head_{name}" for name in names]
    assert (block.fc7_weight.lr_mult, block.fc7_weight.wd_mult) == (3.0, 0.5)
    if loss_type == 1:
        assert parameters["head_fc7_lambda"].grad_req == "null"


def test_a_block_learns_what_it_is_shown():
    mx.random.seed(0)
    np.random.seed(0)  # the initializer's source
    embedding, label = mx.nd.array(np.eye(6)), mx.nd.arange(6)
    block = HeadBlock("arcface", 7, 6, HeadOptions(margin_s=8.0))
    block.initialize()
    block.hybridize()
    trainer = mx.gluon.Trainer(block.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9})
    for _ in range(100):
        with mx.autograd.record():
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(block(embedding, label), label)
        loss.backward()
        trainer.step(6)
    assert (block(embedding, label).argmax(axis=1) == label).asnumpy().all()
