"""A layer that several read: MXNet's fused inference loses its activation, the cure keeps it."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.inference.executor import InferenceExecutor
from mxft.network.anatomy import anatomy_of
from mxft.network.graph import Graph
from mxft.rewrite.inference.readers import separate_readers
from tests.support.small_networks import DATA, backbone, conv, fc, forward, parameters_of


def dense():
    return fc(backbone(), num_hidden=4)


def maps():
    return conv(mx.sym.Variable("data"), "conv0")


def activation(net, kind="sigmoid"):
    return mx.sym.Activation(net, act_type=kind, name="act")


NETWORKS = {
    "scores and their sigmoid": lambda net: mx.sym.Group([net, activation(net)]),
    "sigmoid first": lambda net: mx.sym.Group([activation(net), net]),
    "two functions": lambda net: mx.sym.Group([mx.sym.exp(net * 0.01), activation(net, "tanh")]),
    "the activation added to what it reads": lambda net: activation(net, "relu") + net,
    "a swish": lambda net: net * activation(net),
    "two activations": lambda net: mx.sym.Group([activation(net, "relu"), mx.sym.tanh(net)]),
    "clipped beside a softmax": lambda net: mx.sym.Group([mx.sym.softmax(net), mx.sym.clip(net, 0, 6)]),
    "an output whose BatchNorm goes on": lambda net: mx.sym.Group([net, activation(mx.sym.BatchNorm(net, name="bn"))]),
    "an output whose sum goes on": lambda net: mx.sym.Group([net, activation(net + net, "relu")]),
    "a leaky one added to what it reads": lambda net: mx.sym.LeakyReLU(net, act_type="leaky") + net,
    "a BatchNorm added to what it reads, as before activations in a ResNet": lambda net: activation(
        mx.sym.BatchNorm(net, fix_gamma=False, name="bn"), "relu") + net,
    "added to itself": lambda net: mx.sym.relu(net + net),
    "two sums of one": lambda net: (activation(net, "softrelu") + net) + net,
    "squared beside itself": lambda net: mx.sym.Group([mx.sym.relu(net), mx.sym.square(net)]),
    "behind a BatchNorm that is folded": lambda net: (lambda norm: mx.sym.Group([activation(norm), norm]))(
        mx.sym.BatchNorm(net, fix_gamma=False, name="bn")),
}


def in_plain_numbers(net, args, auxs):
    """What the network gives bound for training, where MXNet fuses nothing."""
    executor = net.simple_bind(mx.cpu(), data=DATA, grad_req="write")
    executor.copy_params_from(args, auxs)
    image = np.random.RandomState(9).normal(size=DATA)
    return [output.asnumpy() for output in executor.forward(is_train=False, data=mx.nd.array(image))], image


@pytest.mark.parametrize("rewrite", [True, False])
@pytest.mark.parametrize("layer", [dense, maps])
@pytest.mark.parametrize("case", NETWORKS)
def test_every_output_is_what_an_unfused_network_gives(case, layer, rewrite):
    net = NETWORKS[case](layer())
    args, auxs = parameters_of(net)
    expected, image = in_plain_numbers(net, args, auxs)
    outputs = anatomy_of(net, args, auxs).served
    executor = InferenceExecutor(net, args, auxs, DATA[1:], 2, rewrite=rewrite, outputs=outputs)
    for output, scores, wanted in zip(outputs, executor.forward_all(image), expected):
        np.testing.assert_allclose(output.link(scores), wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())


@pytest.mark.parametrize("axis", [2, -1])
def test_a_batch_norm_over_another_axis_is_not_fused_as_one_over_channels(axis):
    net = mx.sym.BatchNorm(conv(mx.sym.Variable("data"), "conv0", num_filter=6), axis=axis, fix_gamma=False, name="bn")
    args, auxs = parameters_of(net)
    expected, image = in_plain_numbers(net, args, auxs)
    executor = InferenceExecutor(net, args, auxs, DATA[1:], 2, outputs=anatomy_of(net, args, auxs).served)
    np.testing.assert_allclose(executor.forward_all(image)[0], expected[0], rtol=1e-4, atol=1e-4)


def test_mxnet_itself_loses_the_activation_without_it():
    """What the cure is for: should this fail, MXNet is mended and the pass can go."""
    net = NETWORKS["scores and their sigmoid"](dense())
    scores, tags = forward(net.get_backend_symbol("MKLDNN"), *parameters_of(net))
    np.testing.assert_array_equal(tags, scores)
    scores, tags = forward(separate_readers(net).get_backend_symbol("MKLDNN"), *parameters_of(net))
    assert tags.min() >= 0 and tags.max() <= 1


def test_a_layer_of_one_reader_and_a_prelu_written_out_stay_fused():
    for net in (activation(dense()), mx.sym.Group([activation(dense()), mx.sym.softmax(fc(backbone(), "fc2"))])):
        assert separate_readers(net) is net
    slopes = conv(maps(), "slopes", kernel=(1, 1), num_group=4, no_bias=True)
    prelu = slopes + conv(activation(maps(), "relu"), "rest", kernel=(1, 1), num_group=4, no_bias=True)
    assert separate_readers(prelu) is prelu
    assert "BlockGrad" in {node.op for node in Graph(separate_readers(NETWORKS["sigmoid first"](maps()))).operators()}
