"""Each pass for inference computes the same, from parameters of its own, does what it is for, and knows its limits."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.network.graph import Graph
from mxft.rewrite.inference.batch_norm import fold_batch_norms
from mxft.rewrite.inference.channels import fill_channel_blocks
from mxft.rewrite.inference.pad import fold_pads
from mxft.rewrite.inference.passes import PASSES, rewrite_for_inference
from mxft.rewrite.inference.prelu_readers import prelu_into_depthwise
from mxft.rewrite.inference.scalar import fold_scalars

IMAGE = (3, 11, 14)


def parameters(symbol, image=IMAGE, seed=0):
    """Random numbers; gamma and the statistics far from 1 and 0, so that no rule about them goes unnoticed."""
    rng, shapes = np.random.RandomState(seed), symbol.infer_shape(data=(2, *image))

    def draw(name, shape):
        if name.endswith(("gamma", "var")):
            return mx.nd.array(rng.uniform(.3, 3, shape))
        return mx.nd.array(rng.normal(0, 1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:])), shape))

    args = {n: draw(n, s) for n, s in zip(symbol.list_arguments(), shapes[0]) if n != "data"}
    return args, {n: draw(n, s) for n, s in zip(symbol.list_auxiliary_states(), shapes[2])}


def forward(symbol, args, auxs, image=IMAGE):
    """Twice through the fused backend, as InferenceExecutor binds."""
    executor = symbol.simple_bind(mx.cpu(), data=(2, *image), grad_req="null")
    executor.copy_params_from(args, auxs)
    data = mx.nd.array(np.random.RandomState(1).uniform(0, 255, (2, *image)))
    return [[out.asnumpy() for out in executor.forward(is_train=False, data=data)] for _ in range(2)][1]


def same_after(rewritten, symbol, image=IMAGE, given=None):
    """Check that the pass changes the graph and no number; return the new graph's operators and parameters."""
    args, auxs = given or parameters(symbol, image)
    before = symbol.tojson(), {name: value.asnumpy() for name, value in {**args, **auxs}.items()}
    new = rewritten(symbol, args, auxs)[:3]
    assert new[0] is not symbol and symbol.tojson() == before[0]
    for name, value in {**args, **auxs}.items():
        np.testing.assert_array_equal(value.asnumpy(), before[1][name], err_msg=name)
    assert set(new[0].list_arguments()) - {"data"} == set(new[1])
    assert set(new[0].list_auxiliary_states()) == set(new[2])
    assert len(new[0].list_outputs()) == len(symbol.list_outputs())
    for got, expected in zip(forward(*new, image), forward(symbol, args, auxs, image)):
        assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
        assert expected.std() > 1e-3 * np.abs(expected).max()  # not one number everywhere
    return Graph(new[0]).operators(), {**new[1], **new[2]}


def left_alone(rewritten, symbol, image=IMAGE, given=None):
    args, auxs = given or parameters(symbol, image)
    return rewritten(symbol, args, auxs)[:3] == (symbol, args, auxs)


def conv(data, name="conv0", kernel=(3, 3), num_filter=4, **options):
    return mx.sym.Convolution(data, kernel=kernel, num_filter=num_filter, name=name, **options)


def pad(data, top, bottom, left, right, **options):
    options = {"mode": "constant", "constant_value": 0, **options}
    return mx.sym.Pad(data, pad_width=(0, 0, 0, 0, top, bottom, left, right), **options)


DATA = mx.sym.Variable("data")


@pytest.mark.parametrize("sides, kernel, expected, own", [
    ((0, 1, 0, 1), (3, 3), (4, 4), (1, 1)), ((1, 1, 2, 2), (3, 3), (3, 3), (1, 2)),
    ((1, 0, 0, 2), (3, 3), (4, 5), (1, 2)), ((2, 3, 2, 3), (7, 7), (8, 8), (3, 3)),
    ((0, 0, 3, 1), (1, 2), (1, 4), (0, 3))])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_pad_becomes_the_convolutions_own(sides, kernel, expected, own, stride):
    net = conv(pad(DATA, *sides), kernel=kernel, stride=(stride, stride))
    (node,), values = same_after(fold_pads, net)
    assert node.numbers("kernel") == expected and node.numbers("pad") == own
    assert values[Graph(fold_pads(net, *parameters(net))[0]).variables_of(node)[1]].shape == (4, 3, *expected)


@pytest.mark.parametrize("options", [{"num_group": 3, "num_filter": 3}, {"pad": (2, 1)}, {"no_bias": True},
                                     {"dilate": (2, 1), "kernel": (2, 3)}])
def test_a_pad_folds_into_any_convolution(options):
    (node,), _ = same_after(fold_pads, conv(pad(DATA, 0, 2, 1, 0), stride=(2, 2), **options))
    assert node.op == "Convolution"


def test_one_pad_read_by_two_convolutions_and_a_pooling():
    padded = pad(DATA, 0, 1, 0, 1)
    weight = mx.sym.Variable("shared_weight")  # the two must not share what one of them alone needs larger
    net = mx.sym.Group([conv(padded, weight=weight), conv(DATA, "conv1", weight=weight, pad=(1, 1)),
                        mx.sym.Pooling(padded, kernel=(2, 2), pool_type="max")])
    operators, values = same_after(fold_pads, net)
    assert [node.op for node in operators] == ["Convolution", "Convolution", "Pad", "Pooling"]
    assert {"shared_weight", "shared_weight_padded"} <= set(values)


@pytest.mark.parametrize("net", [
    conv(pad(DATA, 0, 1, 0, 1, constant_value=1)), conv(pad(DATA, 1, 1, 1, 1, mode="edge")),
    conv(pad(DATA, 1, 1, 1, 1, mode="reflect")), conv(pad(DATA, 0, 1, 0, 0), dilate=(2, 2)),
    mx.sym.Pooling(pad(DATA, 1, 1, 1, 1), kernel=(2, 2), pool_type="max")])
def test_a_pad_that_is_no_zeros_of_a_convolution_is_left_alone(net):
    assert left_alone(fold_pads, net)


def normalised(data=DATA):
    return (data - 127.5) * 0.0078125


@pytest.mark.parametrize("chain", [normalised(), DATA / 255 - 0.5, 3 - DATA * 0.1, DATA - 127.5])
@pytest.mark.parametrize("no_bias", [True, False])
def test_scalars_go_into_an_unpadded_convolution(chain, no_bias):
    (node,), _ = same_after(fold_scalars, conv(chain, no_bias=no_bias))
    assert node.op == "Convolution"


@pytest.mark.parametrize("chain, left", [(normalised(), [127.5]), (DATA / 255 - 0.5, [127.5]), (3 - DATA * 0.1, [30]),
                                         (DATA * 0.01, [])])
def test_in_front_of_padding_the_subtraction_stays(chain, left):
    """The border of the padded map is zero after the subtraction: a bias cannot know how much of a window is border."""
    *rest, node = same_after(fold_scalars, conv(chain, pad=(1, 1)))[0]
    assert node.op == "Convolution" and [float(n.attrs["scalar"]) for n in rest] == pytest.approx(left)


def test_a_subtraction_alone_in_front_of_padding_is_left_alone():
    assert left_alone(fold_scalars, conv(DATA - 127.5, pad=(1, 1)))


def test_scalars_that_something_else_reads_are_left_alone():
    chain = normalised()
    assert left_alone(fold_scalars, mx.sym.Group([conv(chain), chain]))
    assert left_alone(fold_scalars, mx.sym.Group([conv(chain), conv(chain, "conv1")]))
    assert left_alone(fold_scalars, conv(DATA * 0))


def batch_norm(data, name="bn0", **options):
    return mx.sym.BatchNorm(data, name=name, **options)


def dense(data, name="fc1", **options):
    return mx.sym.FullyConnected(data, num_hidden=5, name=name, **options)


@pytest.mark.parametrize("options", [{}, {"fix_gamma": False}, {"fix_gamma": True, "eps": 2e-5},
                                     {"fix_gamma": False, "eps": 1.}, {"use_global_stats": True, "momentum": .5}])
@pytest.mark.parametrize("net", [
    lambda bn: bn(conv(DATA)), lambda bn: bn(conv(DATA, no_bias=True, num_group=3, num_filter=6)),
    lambda bn: bn(dense(DATA)), lambda bn: bn(dense(DATA, no_bias=True)),
    lambda bn: conv(bn(DATA), no_bias=True), lambda bn: conv(bn(DATA), num_group=3, num_filter=6),
    lambda bn: dense(mx.sym.Flatten(mx.sym.Dropout(bn(DATA)))), lambda bn: dense(bn(DATA), no_bias=True)])
def test_a_batch_norm_goes_into_the_layer_beside_it(net, options):
    operators, values = same_after(fold_batch_norms, net(lambda data: batch_norm(data, **options)))
    assert "BatchNorm" not in [node.op for node in operators] and not any("gamma" in name for name in values)


def test_batch_norms_one_after_another_all_fold():
    net = batch_norm(dense(mx.sym.Flatten(batch_norm(conv(batch_norm(DATA, "bn0")), "bn1"))), "bn2", fix_gamma=False)
    assert [node.op for node in same_after(fold_batch_norms, net)[0]] == ["Convolution", "Flatten", "FullyConnected"]


@pytest.mark.parametrize("net", [
    conv(batch_norm(DATA), pad=(1, 1)), conv(mx.sym.Activation(batch_norm(DATA), act_type="relu")),
    batch_norm(conv(DATA)).get_internals(), mx.sym.Group([batch_norm(DATA), conv(DATA)]),
    batch_norm(mx.sym.Activation(conv(DATA), act_type="relu")), batch_norm(conv(DATA), axis=2),
    dense(mx.sym.Dropout(batch_norm(DATA), mode="always")), batch_norm(dense(DATA, flatten=False)),
    dense(batch_norm(DATA), flatten=False), mx.sym.Deconvolution(batch_norm(DATA), kernel=(2, 2), num_filter=3)])
def test_a_batch_norm_that_cannot_go_exactly_is_left_alone(net):
    assert left_alone(fold_batch_norms, net)


def test_a_batch_norm_without_values_is_left_alone():
    net = batch_norm(conv(DATA))
    args, auxs = parameters(net)
    assert left_alone(fold_batch_norms, net, given=(args, {}))
    args.pop("conv0_weight")
    assert left_alone(fold_batch_norms, net, given=(args, auxs))


def relu6(data):
    return mx.sym.clip(data, a_min=0, a_max=6)


def residual_of_24(last):
    """MobileNetV2's second stage: a map of 24 channels, a block with a depthwise convolution, and their sum."""
    first = conv(relu6(conv(DATA)), "first", (1, 1), 24, no_bias=True)
    body = relu6(conv(relu6(conv(first, "grow", (1, 1), 40)), "deep", (3, 3), 40, num_group=40, pad=(1, 1)))
    return last(conv(body, "shrink", (1, 1), 24) + first)


def test_channels_are_filled_to_blocks_together():
    operators, _ = same_after(fill_channel_blocks, residual_of_24(lambda net: conv(net, "last", num_filter=7)))
    assert {node.name: node.attrs["num_filter"] for node in operators if node.op == "Convolution"} == {
        "conv0": "4", "first": "32", "grow": "48", "deep": "48", "shrink": "32", "last": "7"}
    assert next(node for node in operators if node.name == "deep").attrs["num_group"] == "48"


@pytest.mark.parametrize("last", [
    lambda net: net, mx.sym.Flatten, lambda net: conv(net, num_group=2, name="last"), batch_norm,
    lambda net: conv(mx.sym.Concat(net, net), "last"),
    lambda net: conv(mx.sym.LeakyReLU(net, act_type="prelu"), "last")])
def test_channels_something_else_than_a_convolution_reads_stay(last):
    operators, _ = same_after(fill_channel_blocks, residual_of_24(last))
    filters = {node.name: node.attrs["num_filter"] for node in operators if node.op == "Convolution"}
    assert filters["first"] == filters["shrink"] == "24" and filters["deep"] == "48"


@pytest.mark.parametrize("member", ["first_output", "deep_output"])
def test_one_map_of_a_sum_or_a_depthwise_convolution_that_must_stay_keeps_the_others(member):
    net = residual_of_24(lambda top: conv(top, "last", num_filter=7))
    operators, _ = same_after(fill_channel_blocks, mx.sym.Group([net, net.get_internals()[member]]))
    filters = {node.name: node.attrs["num_filter"] for node in operators if node.op == "Convolution"}
    kept = {"first", "shrink"} if member == "first_output" else {"grow", "deep"}
    assert {name for name, number in filters.items() if number in ("24", "40")} == kept


def test_whole_blocks_and_few_channels_are_left_alone():
    net = conv(conv(conv(DATA, num_filter=32), "conv1", num_filter=12), "conv2", num_filter=24)
    assert left_alone(fill_channel_blocks, net)


def relu(data):
    return mx.sym.Activation(data, act_type="relu")


def bottleneck(data, name, stride, shortcut):
    """A block of the ResNet of the paper: the stride in the first 1x1 convolution."""
    body = relu(conv(relu(conv(data, name + "_in", (1, 1), 2, stride=stride)), name + "_mid", num_filter=2, pad=(1, 1)))
    return relu(conv(body, name + "_out", (1, 1)) + shortcut(data))


def two_stages(stride=(2, 2)):
    """Two blocks at one size, one at the next."""
    net = relu(conv(DATA, "stem", pad=(1, 1)))
    for name in ("one", "two"):
        net = bottleneck(net, name, (1, 1), lambda data: data)
    return bottleneck(net, "down", stride, lambda data: conv(data, "down_short", (1, 1), stride=stride))


def strides(operators):
    return {node.name: node.numbers("stride") for node in operators
            if node.op in ("Convolution", "Pooling") and node.numbers("stride") not in ((), (1, 1))}


@pytest.mark.parametrize("stride", [(2, 2), (3, 1)])
@pytest.mark.parametrize("rows_and_columns", [(11, 14), (12, 13)])
def test_a_stride_moves_to_the_block_before_it(stride, rows_and_columns):
    operators, _ = same_after(PASSES["strides"], two_stages(stride), image=(3, *rows_and_columns))
    shortcut, = (node.name for node in operators if node.op == "Pooling")
    assert strides(operators) == {"two_mid": stride, shortcut: stride}


def test_strides_one_after_another_multiply():
    net = relu(conv(relu(conv(DATA, "wide")), "half", (1, 1), stride=(2, 2)))
    operators, _ = same_after(PASSES["strides"], conv(net, "quarter", (1, 1), stride=(2, 2)))
    assert strides(operators) == {"wide": (4, 4)}


POINTS = {"kernel": (1, 1), "stride": (2, 2)}


@pytest.mark.parametrize("last", [
    lambda net: mx.sym.Group([net, conv(net, "last", **POINTS)]),  # an output of the network
    lambda net: conv(net, "last", **POINTS) + conv(net, "whole", (3, 3), stride=(2, 2), pad=(1, 1)),
    lambda net: mx.sym.Group([conv(net, "last", **POINTS), conv(net, "other", (1, 1), stride=(3, 3))]),
    lambda net: conv(net, "last", pad=(1, 1), **POINTS), lambda net: conv(net, "last", (3, 3), stride=(2, 2)),
    lambda net: conv(batch_norm(net), "last", **POINTS),  # in training it needs the whole map
    lambda net: conv(mx.sym.Pooling(net, kernel=(2, 2), pool_type="max"), "last", **POINTS)],
    ids=["output", "read whole", "two strides", "padded", "3x3", "BatchNorm", "Pooling"])
def test_a_stride_stays_where_the_whole_map_is_wanted(last):
    assert left_alone(PASSES["strides"], last(relu(conv(DATA, "wide", pad=(1, 1)))))


def test_a_stride_stays_where_no_convolution_would_do_less():
    assert left_alone(PASSES["strides"], conv(relu(DATA + DATA), "last", **POINTS))


def everything():
    """Each pass has something to do: Pad, scalars, BatchNorm, stride, 24 channels, PReLUs, a Dense of maps, a sum."""
    stem = batch_norm(conv(pad(normalised(), 0, 1, 0, 1), "stem", stride=(2, 2), no_bias=True), "stem_bn")
    first = batch_norm(conv(relu6(stem), "first", (1, 1), 24), "bn1", fix_gamma=False)
    net = conv(relu6(conv(first, "grow", (1, 1), 40)), "shrink", (1, 1), 24) + first
    net = conv(conv(net, "last"), "point", (1, 1), stride=(2, 2))
    net = mx.sym.LeakyReLU(batch_norm(net, "bn2"), act_type="prelu", name="prelu")
    net = mx.sym.LeakyReLU(conv(net, "depthwise", pad=(1, 1), num_group=4), act_type="prelu", name="prelu2")
    scores = batch_norm(dense(net), "fc1_bn")
    return mx.sym.Activation(scores, act_type="sigmoid") + scores


def prelu(data, name="prelu"):
    return mx.sym.LeakyReLU(data, act_type="prelu", name=name)


@pytest.mark.parametrize("options", [{"pad": (1, 1)}, {"stride": (2, 2), "no_bias": True}, {"dilate": (2, 2)}])
def test_a_prelu_goes_into_the_depthwise_convolution_behind_it(options):
    net = conv(prelu(conv(mx.sym.Variable("data"))), "depthwise", num_group=4, **options)
    operators, _ = same_after(prelu_into_depthwise, net)
    assert [node.op for node in operators] == ["Convolution", "Activation", *["Convolution"] * 2, "elemwise_add"]
    assert operators[-1].name == "depthwise"


@pytest.mark.parametrize("build", [
    lambda net: conv(net, "full", num_filter=4), lambda net: conv(net, "grouped", num_group=2),
    lambda net: conv(net, "depthwise", num_group=4) + mx.sym.slice(net, begin=(0, 0, 1, 1), end=(2, 4, 8, 11)),
    lambda net: mx.sym.Group([conv(net, "depthwise", num_group=4), net]), lambda net: net],
    ids=["full", "grouped", "another reader", "an output too", "no reader"])
def test_a_prelu_that_others_read_stays(build):
    assert left_alone(prelu_into_depthwise, build(prelu(conv(mx.sym.Variable("data")))))


def test_a_prelu_with_two_depthwise_readers_goes_into_both():
    net = prelu(conv(mx.sym.Variable("data")))
    net = conv(net, "one", num_group=4) * conv(net, "two", num_group=4)
    operators, _ = same_after(prelu_into_depthwise, net)
    assert not [node for node in operators if node.op == "LeakyReLU"]


def test_all_passes_together_and_their_names():
    net = everything()
    args, auxs = parameters(net)
    assert rewrite_for_inference(net, args, auxs)[3] == tuple(PASSES) == (
        "pad", "scalar", "batch_norm", "strides", "channel_blocks", "prelu_depthwise", "prelu", "flatten", "readers")
    operators, _ = same_after(rewrite_for_inference, net)
    assert not {"Pad", "BatchNorm", "_mul_scalar"} & {node.op for node in operators}


@pytest.mark.parametrize("options", [{"rewrite": False}, {"device_type": "gpu"}])
def test_without_rewrites_only_the_cures_remain(options):
    net = everything()
    args, auxs = parameters(net)
    new, new_args, new_auxs, applied = rewrite_for_inference(net, args, auxs, **options)
    assert applied == ("flatten", "readers") and (new_args, new_auxs) == (args, auxs)
    assert [n.op for n in Graph(new).operators() if n.op not in ("Flatten", "BlockGrad")] == [
        n.op for n in Graph(net).operators()]


def test_without_parameters_no_value_is_assumed():
    net = everything()
    assert rewrite_for_inference(net, {}, {})[0].list_arguments() == net.list_arguments()
    assert rewrite_for_inference(net, {}, {})[3] == ("strides", "prelu", "flatten", "readers")
    assert rewrite_for_inference(DATA * 2, {}, {})[3] == ()


def test_half_precision_parameters_are_left_alone():
    net = conv(pad(normalised(), 0, 1, 0, 1))
    args = {name: value.astype("float16") for name, value in parameters(net)[0].items()}
    assert rewrite_for_inference(net, args, {})[1:] == (args, {}, ())
