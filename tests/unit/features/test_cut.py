"""backbone_cut finds by graph where nothing below moves; backbone and head together compute what the network does."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.features.cut import backbone_cut
from mxft.freeze import freeze_matching, freeze_plan

IMAGE = (3, 8, 8)
var = mx.sym.Variable


def conv(data, name, filters=4, **attrs):
    return mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=filters, name=name, **attrs)


def norm(data, name):
    return mx.sym.BatchNorm(data, fix_gamma=False, name=name)


def classifier(data, classes=3):
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(data, num_hidden=classes, name="fc1"), name="softmax")


def residual_network():
    """stem → block1 (residual) → block2 (residual) → pool → flatten0 → dropout0 → fc1."""
    net = mx.sym.Activation(norm(conv(var("data"), "stem"), "stem_bn"), act_type="relu", name="stem_relu")
    for block in ("block1", "block2"):
        inner = norm(conv(net, block + "_conv"), block + "_bn")
        inner = mx.sym.Activation(inner, act_type="relu", name=block + "_relu")
        net = mx.sym.elemwise_add(net, inner, name=block + "_sum")
    net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0")
    net = mx.sym.Dropout(mx.sym.Flatten(net, name="flatten0"), p=0.5, name="dropout0")
    return classifier(net)


def head_plan(symbol, **options):
    return freeze_plan("head", symbol, ["fc1_weight", "fc1_bias"], **options)


def outputs(symbol, arrays):
    known = {**arrays}
    executor = symbol.bind(mx.cpu(), {name: known[name] for name in symbol.list_arguments()},
                           aux_states={name: known[name] for name in symbol.list_auxiliary_states()})
    return [output.asnumpy() for output in executor.forward(is_train=False)]


def require_equal(symbol, cut, random_parameters):
    """The pieces, one after the other, give the network's outputs and between them have its parameters."""
    arg_params, aux_params = random_parameters(symbol, IMAGE)
    image = mx.nd.array(np.random.RandomState(3).normal(size=(2, *IMAGE)))
    arrays = {**arg_params, **aux_params, "softmax_label": mx.nd.zeros((2,)), "data": image}
    features = outputs(cut.backbone, arrays)
    assert len(features) == 1
    for whole, joined in zip(outputs(symbol, arrays), outputs(cut.head, {**arrays, "data": mx.nd.array(features[0])})):
        np.testing.assert_allclose(joined, whole, rtol=1e-5, atol=1e-6)
    assert {*cut.backbone.list_arguments(), *cut.head_parameters} - {"data"} == set(arg_params)
    assert {*cut.backbone.list_auxiliary_states(), *cut.head.list_auxiliary_states()} == set(aux_params)
    return features[0].shape


@pytest.mark.parametrize("frozen, layer, shape", [
    (["stem*"], "stem_relu", (2, 4, 8, 8)),
    (["stem*", "block1_*"], "block1_sum", (2, 4, 8, 8)),
    (["stem*", "block1_conv*"], "stem_relu", (2, 4, 8, 8)),       # block1's BatchNorm moves
    (["stem*", "block2_*"], "stem_relu", (2, 4, 8, 8)),           # frozen above what moves is head
    (["stem*", "block*"], "flatten0", (2, 4)),                    # not the Dropout behind it
])
def test_the_cut_is_the_last_output_below_which_nothing_moves(frozen, layer, shape, random_parameters):
    net = residual_network()
    before = net.tojson()
    cut = backbone_cut(net, freeze_matching(frozen, net))
    assert cut.layer == layer and cut.backbone.list_outputs() == [layer + "_output"]
    assert cut.head.list_arguments()[0] == "data" and "fc1_weight" in cut.head_parameters
    assert not {"data", "softmax_label"} & set(cut.head_parameters)
    assert require_equal(net, cut, random_parameters) == shape and net.tojson() == before


@pytest.mark.parametrize("batch_norm, layer", [("eval", "flatten0"), ("train", "stem")])
def test_a_batch_norm_in_train_mode_is_not_in_the_backbone(batch_norm, layer, random_parameters):
    net = residual_network()
    cut = backbone_cut(net, head_plan(net, batch_norm=batch_norm))
    assert cut.layer == layer
    require_equal(net, cut, random_parameters)


def test_a_checkpoints_own_fixed_batch_norm_is_in_the_backbone():
    net = mx.sym.BatchNorm(conv(var("data"), "stem"), use_global_stats=True, name="bn")
    net = classifier(conv(net, "conv1"))
    assert backbone_cut(net, freeze_plan("full", net, [])) is None
    assert backbone_cut(net, freeze_matching(["stem*"], net)) .layer == "stem"    # gamma and beta still train
    assert backbone_cut(net, freeze_matching(["stem*", "bn_*"], net)).layer == "bn"


@pytest.mark.parametrize("make, still", [
    (lambda x: mx.sym.Dropout(x, p=0.3, name="r"), False), (lambda x: mx.sym.Dropout(x, p=0.0, name="r"), True),
    (lambda x: mx.sym.LeakyReLU(x, act_type="rrelu", name="r")[0], False),
    (lambda x: mx.sym.LeakyReLU(x, act_type="leaky", name="r"), True),
    (lambda x: mx.sym.broadcast_add(x, mx.sym.random.normal(shape=(1, 1, 1, 1)), name="r"), False),
])
def test_nothing_random_lies_in_the_backbone(make, still):
    net = classifier(conv(make(conv(var("data"), "conv0")), "conv1"))
    cut = backbone_cut(net, freeze_matching(["conv0*"], net))
    assert cut.layer == ("r" if still else "conv0")


def test_where_nothing_is_frozen_there_is_no_backbone():
    net = classifier(conv(var("data") * 0.01, "conv0"))
    assert backbone_cut(net, freeze_plan("full", net, [])) is None
    assert backbone_cut(net, freeze_matching(["fc1*"], net)) is None
    assert backbone_cut(net, freeze_matching(["conv0_weight"], net)) is None  # its bias moves


def test_an_image_that_is_read_again_further_up_leaves_no_backbone():
    for image, again in ((var("image"), None), (var("data"), var("data"))):  # one node, or two of the same name
        again = image if again is None else again
        net = conv(conv(image, "conv0", filters=3), "conv1", filters=3)
        net = classifier(mx.sym.elemwise_add(net, again))
        assert backbone_cut(net, freeze_matching(["conv0*"], net)) is None


def test_every_output_that_is_read_must_be_the_cuts():
    halves = mx.sym.SliceChannel(conv(var("data"), "conv0"), num_outputs=2, name="halves")
    both = classifier(conv(halves[0], "conv1") + conv(halves[1], "conv2"))
    first = classifier(conv(halves[0], "conv1"))
    second = classifier(conv(halves[1], "conv1"))
    assert [backbone_cut(net, freeze_matching(["conv0*"], net)).layer for net in (both, first, second)] == [
        "conv0", "halves", "conv0"]


def test_a_training_symbols_second_output_stays_an_output(random_parameters):
    maps = conv(var("data"), "conv0")
    embedding = mx.sym.FullyConnected(maps, num_hidden=4, name="embedding")
    net = mx.sym.Group([mx.sym.BlockGrad(embedding, name="blocked"), classifier(embedding)])
    cut = backbone_cut(net, head_plan(net))
    assert cut.layer == "embedding" and len(cut.head.list_outputs()) == 2
    require_equal(net, cut, random_parameters)
    within = mx.sym.Group([maps, classifier(embedding)])
    assert backbone_cut(within, head_plan(within)) is None


def test_a_parameter_that_both_pieces_read_belongs_to_both(random_parameters):
    shared = var("shared_weight")
    net = conv(var("data"), "conv0", filters=3, weight=shared, no_bias=True)
    net = conv(conv(net, "conv1", filters=3, no_bias=True), "conv2", filters=3, weight=shared, no_bias=True)
    net = classifier(net)
    cut = backbone_cut(net, freeze_matching(["shared_weight"], net))
    assert cut.layer == "conv0" and cut.head_parameters == ("conv1_weight", "shared_weight", "fc1_weight", "fc1_bias")
    require_equal(net, cut, random_parameters)


def test_what_is_computed_from_parameters_alone_is_no_backbone():
    net = classifier(conv(var("image"), "conv0", weight=mx.sym.relu(var("conv0_weight"), name="positive")))
    assert backbone_cut(net, freeze_matching(["conv0_weight"], net)) is None


@pytest.mark.data
@pytest.mark.parametrize("name", ["mobilenet-v1-0.25", "mobilenet-v2-1.0"])
def test_published_networks_are_cut_below_their_head(name, testdata):
    from mxft.network.checkpoint import load_checkpoint
    from mxft.training.network import with_new_head

    network = with_new_head(load_checkpoint(f"{testdata}/models/{name},0"), 7, (3, 64, 64))
    cut = backbone_cut(network.symbol, freeze_plan("head", network.symbol, network.head_parameters))
    assert set(cut.head_parameters) == set(network.head_parameters)
    assert cut.backbone.infer_shape(data=(2, 3, 64, 64))[1] == [(2, {"mobilenet-v1-0.25": 256}.get(name, 1280))]
