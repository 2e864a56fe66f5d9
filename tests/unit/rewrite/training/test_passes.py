"""What is bound for training computes what the user's graph does, outputs and gradients, from the same parameters."""
import numpy as np
import pytest

from mxft.backbones.efficientnet import efficientnet_checkpoint
from mxft.backbones.faces import face_network
from mxft.compat import mx
from mxft.machine.processor import cpu_flags
from mxft.machine.quiet import quiet_native
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.rewrite import prelu_for_training, rewrite_for_training
from mxft.rewrite.memory_layout import channel_blocks
from mxft.rewrite.training import batch_norm_relu
from mxft.rewrite.training import channels as filled_channels
from mxft.rewrite.training.batch_norm_relu import (
    batch_norm_relu_for_training,
    fused_batch_norm_runs,
    relu6_for_training,
    relu_between_layouts,
)
from mxft.rewrite.training.channels import fill_channels_for_training
from mxft.rewrite.training.pad import pad_for_training
from mxft.rewrite.training.passes import PASSES

needs_fused = pytest.mark.skipif(not fused_batch_norm_runs(), reason="no fused BatchNorm on this CPU")
needs_avx512 = pytest.mark.skipif("avx512f" not in cpu_flags(), reason="no AVX-512")
BEFORE_STRIDE = (0, 0, 0, 0, 0, 1, 0, 1)


def relu6(net, name):
    return mx.sym.clip(net, a_min=0, a_max=6, name=name)


def relu(net, name):
    return mx.sym.Activation(net, act_type="relu", name=name)


def conv_bn(net, name, filters, kernel=1, stride=1, groups=1, pad=None, act=None):
    """Convolution and BatchNorm, as the shared MobileNets have them; `pad` goes before, ``kernel // 2`` without."""
    if pad:
        net = mx.sym.Pad(net, mode="constant", pad_width=pad, name=name + "_pad")
    side = 0 if pad else kernel // 2
    net = mx.sym.Convolution(net, kernel=(kernel, kernel), stride=(stride, stride), pad=(side, side), no_bias=True,
                             num_filter=filters, num_group=groups, name=name)
    net = mx.sym.BatchNorm(net, fix_gamma=False, eps=1e-3, name=name + "_bn")
    return act(net, name + "_act") if act else net


def small_mobilenet(act, narrow=24):
    """Two bottlenecks, the second with its sum; the first has a stride behind an asymmetric Pad."""
    net = conv_bn(mx.sym.Variable("data"), "conv0", 48, 3, 2, pad=BEFORE_STRIDE, act=act)
    net = conv_bn(net, "conv1", 48, 3, 2, groups=48, pad=BEFORE_STRIDE, act=act)
    net = conv_bn(net, "conv2", narrow)
    wide = conv_bn(conv_bn(net, "conv3", 96, act=act), "conv4", 96, 3, groups=96, act=act)
    net = mx.sym.elemwise_add(net, conv_bn(wide, "conv5", narrow), name="sum")
    net = conv_bn(net, "conv6", 48, act=act)
    net = mx.sym.Flatten(mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg"))
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=5, name="fc"), name="softmax")


def random_values(symbol, shape, seed=0):
    rng, values = np.random.RandomState(seed), {}
    inputs, _, states = symbol.infer_shape(data=shape)
    for name, size in zip(symbol.list_arguments() + symbol.list_auxiliary_states(), inputs + states):
        if name.endswith("label"):
            values[name] = np.arange(np.prod(size)).reshape(size) % 5
        elif name.endswith(("gamma", "var")):
            values[name] = rng.uniform(.5, 1.5, size)
        else:
            values[name] = rng.normal(0, np.sqrt(2 / np.prod(size[1:])) if len(size) > 1 else .5, size)
    values["data"] = rng.normal(size=shape)
    return values


def step(symbol, values, dtype="float32", is_train=True):
    """Return (outputs, {name: gradient}, {name: statistics}) of one step, in float64."""
    arguments = symbol.list_arguments()
    executor = symbol.simple_bind(mx.cpu(), data=values["data"].shape, type_dict=dict.fromkeys(arguments, dtype),
                                  grad_req={name: "null" if name.endswith("label") else "write" for name in arguments})
    for name, array in [*executor.arg_dict.items(), *executor.aux_dict.items()]:
        array[:] = mx.nd.array(values[name], dtype=dtype)
    outputs = executor.forward(is_train=is_train)
    if is_train:
        rng = np.random.RandomState(7)
        executor.backward([mx.nd.array(rng.normal(size=o.shape), dtype=dtype) for o in outputs])
    mx.nd.waitall()  # BatchNorm writes its statistics late
    gradients = {n: a.asnumpy().astype(float) for n, a in executor.grad_dict.items() if a is not None}
    return outputs[0].asnumpy(), gradients, {n: a.asnumpy() for n, a in executor.aux_dict.items()}


def assert_same_step(new, old, values, tolerance=1e-5):
    """Outputs, statistics and every gradient within a part of the tensor's scale of what `old` gives in float64.

    A BatchNorm takes the mean away, so that a bias or β before it has gradient 0 and rounding alone: its scale is γ's.
    """
    assert new.list_arguments() == old.list_arguments() and new.list_outputs() == old.list_outputs()
    assert new.list_auxiliary_states() == old.list_auxiliary_states()
    out, gradients, states = step(new, values)
    expected_out, expected, expected_states = step(old, values, "float64")
    np.testing.assert_allclose(out, expected_out, atol=tolerance * np.abs(expected_out).max(), rtol=0)
    for name, value in expected_states.items():
        np.testing.assert_allclose(states[name], value, atol=tolerance * np.abs(value).max(), rtol=0, err_msg=name)
    assert gradients.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(np.abs(value).max(), np.abs(expected.get(name.replace("_beta", "_gamma"), 0)).max())
        np.testing.assert_allclose(gradients[name], value, atol=tolerance * scale, rtol=0, err_msg=name)


def operators(symbol):
    return [node.op for node in Graph(symbol).operators()]


@needs_avx512
@needs_fused
@pytest.mark.parametrize("act, applied", [(relu6, ("pad", "filled-channels", "relu6")),
                                          (relu, ("pad", "filled-channels", "batch-norm-relu"))])
@pytest.mark.parametrize("size", [16, 19])
def test_a_small_mobilenet_trains_the_same(act, applied, size):
    old = small_mobilenet(act)
    before = old.tojson()
    new, names = rewrite_for_training(old)
    assert names == applied and old.tojson() == before
    left = [node.name for node in Graph(new).operators() if node.op in ("clip", "Activation")]
    assert left == ["conv6_act"]  # pooling is behind it
    assert operators(new).count("_contrib_BatchNormWithReLU") == (8 if act is relu6 else 4)
    assert_same_step(new, old, random_values(old, (6, 3, size, size)))


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("act", [relu6, relu])
def test_every_pass_alone_changes_no_number(name, act):
    old = small_mobilenet(act)
    assert_same_step(PASSES[name](old), old, random_values(old, (6, 3, 16, 16), seed=1))


@pytest.mark.parametrize("act", [relu6, relu])
def test_the_training_graph_evaluates_the_same_too(act):
    """`Module.score` runs the graph that is bound for training."""
    old = small_mobilenet(act)
    values = random_values(old, (4, 3, 16, 16))
    new_out, _, states = step(rewrite_for_training(old)[0], values, is_train=False)
    np.testing.assert_allclose(new_out, step(old, values, is_train=False)[0], atol=1e-5)
    for name, state in states.items():
        np.testing.assert_array_equal(state, values[name].astype(np.float32))


@needs_fused
@pytest.mark.parametrize("ceiling", [6, 2.5])
def test_a_relu6_of_a_batch_norm_is_the_formula(ceiling):
    """min(max(γx + β, 0), A), and its gradients: passed on where 0 < γx + β < A."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=16, no_bias=True, name="conv0")
    net = mx.sym.BatchNorm(net, fix_gamma=False, use_global_stats=True, eps=1e-5, name="bn0")
    new = relu6_for_training(mx.sym.clip(net, a_min=0, a_max=ceiling, name="relu6"))
    assert "clip" not in operators(new)
    rng = np.random.RandomState(0)
    values = {"data": rng.normal(0, 3, (2, 3, 4, 4)), "conv0_weight": rng.normal(size=(16, 3, 1, 1)),
              "bn0_gamma": rng.normal(1, 1, 16), "bn0_beta": rng.normal(1, 1, 16), "bn0_moving_mean": np.zeros(16),
              "bn0_moving_var": np.full(16, 1 - 1e-5)}
    out, gradients, _ = step(new, values)
    x = np.einsum("nihw,oi->nohw", values["data"], values["conv0_weight"][:, :, 0, 0])
    b = x * values["bn0_gamma"][:, None, None] + values["bn0_beta"][:, None, None]
    assert (b < 0).mean() > .1 and (b > ceiling).mean() > .1
    np.testing.assert_allclose(out, b.clip(0, ceiling), atol=1e-5)
    passed = np.random.RandomState(7).normal(size=out.shape) * ((b > 0) & (b < ceiling))
    np.testing.assert_allclose(gradients["bn0_beta"], passed.sum((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(gradients["bn0_gamma"], (passed * x).sum((0, 2, 3)), atol=2e-4)
    back = passed * values["bn0_gamma"][:, None, None]
    np.testing.assert_allclose(gradients["data"], np.einsum("nohw,oi->nihw", back, values["conv0_weight"][:, :, 0, 0]),
                               atol=1e-4)


@needs_fused
@pytest.mark.parametrize("act", [relu6, relu])
@pytest.mark.parametrize("narrow", [16, 24])
def test_a_channel_of_zeros_gets_the_gradient_it_got(act, narrow):
    """γ = β = 0: the activation's input is exactly 0, where clip passes the gradient on and ReLU does not."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=32, no_bias=True, name="conv0")
    net = act(mx.sym.BatchNorm(net, fix_gamma=False, name="bn0"), "act")
    old = mx.sym.Convolution(net, kernel=(1, 1), num_filter=narrow, no_bias=True, name="conv1")
    new = rewrite_for_training(old)[0]
    values = random_values(old, (3, 3, 6, 6))
    values["bn0_gamma"][:8] = values["bn0_beta"][:8] = 0
    assert_same_step(new, old, values)
    assert (np.abs(step(new, values)[1]["bn0_beta"][:8]) > 0.1).any() == (act is relu6)


def one_conv(filters=16):
    return mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=filters, no_bias=True, name="conv0")


def bn(net=None, **attrs):
    return mx.sym.BatchNorm(one_conv() if net is None else net, **{"fix_gamma": False, "name": "bn0", **attrs})


def read_twice(act):
    shared = bn()
    return act(shared, "act") + shared


LEFT_ALONE = {
    "a gamma MXNet writes": lambda: relu6(bn(fix_gamma=True), "act"),
    "a floor": lambda: mx.sym.clip(bn(), a_min=-1, a_max=1),
    "no ceiling": lambda: mx.sym.clip(bn(), a_min=0, a_max=float("inf")),
    "no BatchNorm": lambda: relu6(one_conv(), "act"),
    "another activation": lambda: mx.sym.Activation(bn(), act_type="tanh"),
    "24 channels": lambda: relu6(bn(one_conv(24)), "act"),
    "24 channels behind": lambda: conv_bn(relu(bn(), "act"), "conv1", 24, 3),
    "channels not known": lambda: relu(bn(mx.sym.Variable("data")), "act"),
    "another axis": lambda: relu(bn(axis=3), "act"),
    "its statistics read": lambda: relu(bn(output_mean_var=True)[0], "act"),
    "relu6 read twice": lambda: read_twice(relu6),
    "relu read twice": lambda: read_twice(relu),
}


@pytest.mark.parametrize("make", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_other_activations_are_left_alone(make):
    net = make()
    assert relu6_for_training(net) is net and batch_norm_relu_for_training(net) is net


def test_a_batch_norm_that_is_an_output_too_is_left_alone():
    shared = bn()
    net = mx.sym.Group([relu(shared, "act"), shared])
    assert batch_norm_relu_for_training(net) is net


def test_on_a_gpu_and_without_rewriting_the_graph_is_the_users():
    net = small_mobilenet(relu6)
    assert rewrite_for_training(net, "gpu") == (net, ()) and rewrite_for_training(net, "cpu", False) == (net, ())


@pytest.mark.parametrize("flags", [set(), {"avx2"}])
def test_a_cpu_without_avx512_gets_what_runs_there(monkeypatch, flags):
    for module in (batch_norm_relu, filled_channels):
        monkeypatch.setattr(module, "cpu_flags", lambda: flags)
    monkeypatch.setattr(batch_norm_relu, "fused_batch_norm_runs", fused_batch_norm_runs.__wrapped__)
    for act in (relu6, relu):
        net = pad_for_training(small_mobilenet(act))
        assert fill_channels_for_training(net) is net and relu_between_layouts(net) is net
        fused = batch_norm_relu_for_training(relu6_for_training(net))
        assert ("_contrib_BatchNormWithReLU" in operators(fused)) == (flags == {"avx2"} and fused_batch_norm_runs())


@pytest.mark.parametrize("setting", ["0", "false"])
def test_without_onednn_nothing_is_fused(monkeypatch, setting):
    """MXNet dies of a segmentation fault when it looks for the fused operator's backward pass there."""
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", setting)
    assert fused_batch_norm_runs.__wrapped__() is False


def test_a_fused_batch_norm_that_fails_is_not_used(monkeypatch):
    def fail(_):
        raise mx.base.MXNetError("could not create a primitive descriptor iterator")
    monkeypatch.setattr(batch_norm_relu, "_outputs_and_gradients", fail)
    assert fused_batch_norm_runs.__wrapped__() is False


@needs_avx512
def test_a_relu_between_blocks_of_8_and_16_goes_through_the_plain_layout():
    narrow = mx.sym.Convolution(relu(bn(), "act"), kernel=(1, 1), num_filter=24, name="conv1")
    even = mx.sym.Convolution(relu(bn(), "act"), kernel=(1, 1), num_filter=32, name="conv1")
    assert operators(relu_between_layouts(narrow)) == ["Convolution", "BatchNorm", "clip", "Convolution"]
    assert relu_between_layouts(even) is even
    assert_same_step(relu_between_layouts(narrow), narrow, random_values(narrow, (3, 3, 8, 8)))


def test_the_blocks_of_convolutions_meet_in_what_lies_between():
    graph = Graph(pad_for_training(small_mobilenet(relu)))
    blocks = {node.name: set(b) for node, b in zip(graph.nodes, channel_blocks(graph))}
    assert blocks["conv0_act"] == {16} and blocks["conv1_act"] == blocks["conv3_act"] == blocks["conv4_act"] == {8, 16}
    assert blocks["sum"] == {8} and blocks["conv6_act"] == {8, 1}  # 24 to 48, and pooling


@pytest.mark.parametrize("attrs, own", [({}, "(1, 2)"), ({"pad": (1, 0), "num_group": 2}, "(2, 2)"),
                                        ({"dilate": (2, 1)}, "(1, 2)")])
def test_even_padding_becomes_the_convolutions_own(attrs, own):
    padded = mx.sym.Pad(one_conv(8), mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 2, 2))
    old = mx.sym.Convolution(padded, kernel=(3, 3), stride=(2, 1), num_filter=4, name="conv1", **attrs)
    new = pad_for_training(old)
    assert operators(new) == ["Convolution", "Convolution"] and Graph(new).nodes[-1].attrs["pad"] == own
    assert_same_step(new, old, random_values(old, (2, 3, 9, 10)))


@pytest.mark.parametrize("width", [(0, 1, 0, 1), (1, 0, 2, 1), (1, 1, 0, 1), (0, 2, 3, 0)])
@pytest.mark.parametrize("attrs", [{}, {"num_group": 8}, {"pad": (1, 0)}, {"dilate": (2, 2)}])
def test_uneven_padding_is_a_convolution_to_the_bit(width, attrs):
    padded = mx.sym.Pad(one_conv(8), mode="constant", pad_width=(0, 0, 0, 0, *width), name="pad0")
    old = mx.sym.Convolution(padded, kernel=(3, 3), stride=(2, 1), num_filter=8, name="conv1", **attrs)
    new = pad_for_training(mx.sym.Group([old, padded]))
    assert not {"Pad", "pad"} & set(operators(new))
    values = random_values(old, (2, 3, 9, 10))
    np.testing.assert_array_equal(step(new[1], values)[0], step(padded, values)[0])
    assert_same_step(new, mx.sym.Group([old, padded]), values)


@pytest.mark.parametrize("pad", [{"mode": "edge"}, {"mode": "constant", "constant_value": 1}])
def test_another_pad_is_left_alone(pad):
    padded = mx.sym.Pad(one_conv(8), pad_width=BEFORE_STRIDE, **pad)
    net = mx.sym.Convolution(padded, kernel=(3, 3), num_filter=4, name="conv1")
    assert pad_for_training(net) is net


def test_a_pad_no_convolution_reads_is_left_alone():
    padded = mx.sym.Pad(one_conv(8), mode="constant", pad_width=BEFORE_STRIDE)
    net = mx.sym.Pooling(padded, kernel=(2, 2), name="pool0")
    assert pad_for_training(net) is net


def test_a_pad_before_the_first_convolution_is_left_alone():
    net = conv_bn(mx.sym.Variable("data"), "conv0", 8, 3, 2, pad=BEFORE_STRIDE)
    assert pad_for_training(net) is net


@needs_avx512
@pytest.mark.parametrize("narrow, wide, count", [(24, 96, 3), (40, 80, 3), (32, 96, 0), (8, 96, 0), (24, 40, 0)])
def test_narrow_maps_are_filled_to_a_multiple_of_16(narrow, wide, count):
    net = mx.sym.Convolution(one_conv(wide), kernel=(1, 1), num_filter=narrow, no_bias=True, name="conv1")
    ends = [mx.sym.Convolution(net, kernel=(1, 1), num_filter=wide, no_bias=True, name=f"conv{i}") for i in (2, 3)]
    old = mx.sym.Group([net, mx.sym.elemwise_add(*ends)])
    new = fill_channels_for_training(old)
    filters = [int(n.attrs["num_filter"]) for n in Graph(new).operators() if n.op == "Convolution"]
    assert filters == ([wide, -(-narrow // 16) * 16, wide, wide] if count else [wide, narrow, wide, wide])
    assert (new is old) == (not count) and operators(new).count("zeros_like") == (1 if count else 0)  # shared
    assert_same_step(new, old, random_values(old, (2, 3, 6, 6)))


GRAPHS = [("models/mobilenet-v1-0.25", 96, 4), pytest.param("models/mobilenet-v2-1.0", 96, 6, marks=pytest.mark.long),
          ("symbols/mobilenet-v2-convhead", 64, 4), ("symbols/resnet-18", 64, 1),
          ("models/mobilefacenet-y1/model", 112, 1), ("models/gender-age/model", 112, 1),
          pytest.param("symbols/resnet-50", 64, 1, marks=pytest.mark.long),
          pytest.param("symbols/inception-bn", 224, 1, marks=pytest.mark.long)]


@pytest.mark.data
@pytest.mark.parametrize("graph, size, tries", GRAPHS)
def test_a_published_graph_trains_as_near_to_float64_as_before(testdata, graph, size, tries):
    symbol, loaded = _graph(testdata, graph)
    applied = assert_as_near_to_float64(symbol, loaded, size, tries)
    assert applied or not fused_batch_norm_runs() or "mobilefacenet" in graph


@pytest.mark.parametrize("network, size", [("y1", 112), *(pytest.param(name, 64, marks=pytest.mark.long) for name in (
    "m1", "r18", "efficientnet-b0", "r50"))])
def test_a_backbone_trains_as_near_to_float64_as_before(network, size):
    if network.startswith("efficientnet"):
        symbol = efficientnet_checkpoint(network, dropout=0.0, drop_connect=0.0).symbol
    else:
        symbol = prelu_for_training(face_network(network, 64, (size, size)))
    graph = Graph(symbol)
    for node in graph.nodes:
        if node.op == "Dropout":  # drawn anew in every step
            graph.set_attr(node, "p", "0")
        node.attrs.pop("__dtype__", None)  # Gluon's float32, which would stay in a float64 step
    assert_as_near_to_float64(graph.to_symbol(), {}, size, tries=2)


def assert_as_near_to_float64(symbol, loaded, size, tries):
    """Check a rewritten graph in float32 against the user's in float64, on several batches, the best of which counts.

    A ReLU whose input rounding alone takes over 0 moves every gradient below it, in the user's own graph as well (its
    errors are 1e-6 on one batch and 1e-3 on the next); what is wrong in a graph is wrong on every batch.
    """
    new, applied = rewrite_for_training(symbol)
    assert new.list_arguments() == symbol.list_arguments()
    errors = []
    for seed in range(tries):
        values = {**random_values(symbol, (3, 3, size, size), seed), **loaded}
        if loaded:
            values["data"] = np.random.RandomState(seed).uniform(0, 255, values["data"].shape)
        truth = step(symbol, values, "float64")
        errors.append([_errors(step(net, values), truth) for net in (symbol, new)])
    (out, gradient), (new_out, new_gradient) = np.min(errors, axis=0)
    assert new_out <= 2 * out + 1e-5
    assert new_gradient <= 2 * gradient + 1e-5
    return applied


def _graph(testdata, name):
    """Return a graph with its PReLUs in the formula's operators (MXNet's own slope gradient is wrong in places)."""
    if name.startswith("models"):
        net = load_checkpoint(str(testdata / name) + ",0")
        loaded = {n: value.asnumpy() for n, value in [*net.arg_params.items(), *net.aux_params.items()]}
        return prelu_for_training(net.symbol), loaded
    with quiet_native():
        return mx.sym.load(str(testdata / name) + "-symbol.json"), {}


def _errors(found, truth):
    """Return the relative errors of the output and of the gradient of all parameters in one vector."""
    names = [name for name in truth[1] if name != "data"]
    difference = sum(((found[1][name] - truth[1][name]) ** 2).sum() for name in names)
    size = sum((truth[1][name] ** 2).sum() for name in names)
    return np.abs(found[0] - truth[0]).max() / np.abs(truth[0]).max(), np.sqrt(difference / size)
