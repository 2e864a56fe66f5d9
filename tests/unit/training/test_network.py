"""From a checkpoint to the network that is trained: new head, or the checkpoint's own."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import Checkpoint
from mxft.surgery import Dense
from mxft.training.network import with_kept_head, with_new_head, without_parameters

IMAGE = (3, 8, 8)


def test_a_new_head_is_told_with_what_it_replaces(make_checkpoint):
    network = with_new_head(make_checkpoint(num_classes=10), 4, IMAGE)
    assert network.describe().splitlines()[:2] == [
        "new head: fc1 with 4 classes on flatten0 in place of fc1",
        "transfer: 6 loaded, 2 new, 0 dropped, 0 mismatched"]
    assert network.head_parameters == ("fc1_weight", "fc1_bias") and not set(network.head_parameters) & set(
        network.arg_params)


def test_hidden_layers_are_told_and_are_the_heads(make_checkpoint):
    network = with_new_head(make_checkpoint(), 4, IMAGE, hidden=[Dense(128, dropout=0.25), Dense(64, activation=None)])
    assert network.describe().splitlines()[:2] == [
        "new head: fc1 with 4 classes on flatten0 through 128 relu dropout 0.25, 64 in place of fc1",
        "transfer: 6 loaded, 6 new, 0 dropped, 0 mismatched"]
    assert network.head_parameters == tuple(f"{layer}_{part}" for layer in ("fc1_hidden0", "fc1_hidden1", "fc1")
                                            for part in ("weight", "bias"))
    assert [row.symbol_shape for row in network.report.named("new")] == [(128, 6), (128,), (64, 128), (64,), (4, 64),
                                                                         (4,)]


def test_without_parameters_nothing_is_loaded_and_everything_is_new(make_checkpoint):
    network = with_new_head(make_checkpoint(), 4, IMAGE)
    bare = without_parameters(network, IMAGE)
    assert bare.arg_params == {} == bare.aux_params and bare.symbol is network.symbol
    assert len(bare.report.named("new")) == 8 and bare.head_parameters == network.head_parameters
    assert network.arg_params


def test_discarded_layers_are_warned_of(make_checkpoint):
    old = make_checkpoint()
    lines = with_new_head(old, 4, IMAGE, layer="conv0").describe().splitlines()
    assert lines[1] == "  warning: trained layers after conv0 are discarded: bn0"


def test_an_incomplete_backbone_is_refused(make_checkpoint):
    old = make_checkpoint()
    del old.arg_params["conv0_bias"]
    with pytest.raises(InputError, match=r"but the new head's \(fc1_weight, fc1_bias\), received none for conv0_bias"):
        with_new_head(old, 4, IMAGE)


def test_a_kept_head_keeps_every_number_and_computes_the_same(make_checkpoint):
    old = make_checkpoint(num_classes=5)
    network = with_kept_head(old, 5, IMAGE)
    assert network.head_parameters == ("fc1_weight", "fc1_bias")
    assert network.describe().startswith("kept head: fc1 with 5 classes on flatten0")
    assert all(network.arg_params[name] is value for name, value in old.arg_params.items())
    image, outputs = mx.nd.array(np.random.RandomState(0).normal(size=(2, *IMAGE))), []
    for symbol in (old.symbol, network.symbol):
        executor = symbol.simple_bind(mx.cpu(), data=(2, *IMAGE), softmax_label=(2,), grad_req="null")
        executor.copy_params_from(old.arg_params, old.aux_params)
        outputs.append(executor.forward(is_train=False, data=image)[0].asnumpy())
    np.testing.assert_array_equal(*outputs)


DATA = mx.sym.Variable("data")
FC = mx.sym.FullyConnected(DATA, num_hidden=4, name="fc1")
POINTWISE = mx.sym.Convolution(mx.sym.Pooling(DATA, global_pool=True, kernel=(1, 1), pool_type="avg"), kernel=(1, 1),
                               num_filter=4, name="cls")
PRODUCT = mx.sym.broadcast_add(mx.sym.dot(mx.sym.Flatten(DATA), mx.sym.Variable("w", shape=(192, 4))),
                               mx.sym.Variable("b", shape=(1, 4)))
KEPT = {
    "a temperature": (mx.sym.softmax(FC, temperature=4.0), ("fc1_weight", "fc1_bias")),
    "a temperature written out": (mx.sym.softmax(FC / 4), ("fc1_weight", "fc1_bias")),
    "logarithms at a temperature": (mx.sym.log_softmax(FC, temperature=0.5), ("fc1_weight", "fc1_bias")),
    "a softmax of channels": (mx.sym.softmax(POINTWISE, axis=1), ("cls_weight", "cls_bias")),
    "a softmax of the last of three axes": (mx.sym.softmax(mx.sym.Reshape(FC, shape=(0, 1, 4))),
                                            ("fc1_weight", "fc1_bias")),
    "a layer written out": (mx.sym.softmax(PRODUCT), ("w", "b")),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_kept_head_gives_the_probabilities_it_gave(case, random_parameters):
    symbol, head = KEPT[case]
    old = Checkpoint(symbol, *random_parameters(symbol, IMAGE))
    network = with_kept_head(old, 4, IMAGE)
    assert network.head_parameters == head
    image, found = mx.nd.array(np.random.RandomState(0).normal(size=(2, *IMAGE))), []
    for each in (symbol, network.symbol):
        executor = each.simple_bind(mx.cpu(), data=(2, *IMAGE), grad_req="write")
        executor.copy_params_from(old.arg_params, old.aux_params)
        found.append(executor.forward(is_train=False, data=image)[0].asnumpy().reshape(2, -1))
    expected = old.anatomy.output().shown(found[0])
    np.testing.assert_allclose(found[1], expected, rtol=1e-5)
    assert executor.outputs[0].shape == (2, 4)  # what labels (N,) go with


def test_a_kept_head_of_another_size_is_refused(make_checkpoint):
    with pytest.raises(InputError, match="require_head: expected a head of 4 classes, received fc1 with 5 in "
                                         ".unnamed.; leave require_head out to get a new head"):
        with_kept_head(make_checkpoint(num_classes=5), 4, IMAGE)


def test_an_embedding_has_no_head_to_keep(make_checkpoint):
    old = make_checkpoint()
    net = mx.sym.BatchNorm(old.symbol.get_internals()["fc1_output"], name="bn_embedding")
    with pytest.raises(InputError, match="expected a classifier in .*, received a network that ends in the embedding "
                                         "'bn_embedding'"):
        with_kept_head(Checkpoint(net, old.arg_params, old.aux_params), 3, IMAGE)


def test_a_convolution_head_can_be_kept():
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=4, name="conv10")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool10")
    net = mx.sym.SoftmaxOutput(mx.sym.Flatten(net), name="softmax")
    args = {"conv10_weight": mx.nd.ones((4, 3, 1, 1)), "conv10_bias": mx.nd.zeros((4,))}
    network = with_kept_head(Checkpoint(net, args, {}), 4, IMAGE)
    assert network.head_parameters == ("conv10_weight", "conv10_bias") and network.num_classes == 4


def test_a_new_head_stands_where_the_anatomy_says():
    """A FullyConnected that the manifest calls an embedding is the feature, for `layers` and for training alike."""
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data"), name="flat"), num_hidden=4, name="embedding")
    values = {"embedding_weight": mx.nd.ones((4, 12)), "embedding_bias": mx.nd.ones((4,))}
    for manifest, feature, old in (({"embedding": "embedding"}, "embedding", None), ({}, "flat", "embedding")):
        checkpoint = Checkpoint(net, dict(values), {}, manifest)
        assert checkpoint.anatomy.feature.name == feature
        found = with_new_head(checkpoint, 3, (3, 2, 2)).feature
        assert (found.name, found.classifier) == (feature, old)
