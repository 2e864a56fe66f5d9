"""Opened as what MXNet meant: the network that is opened gives what MXNet gives of the files as they are."""
import json
import time

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint, load_symbol
from mxft.network.graph import Graph

DATA = mx.sym.Variable("data")


def conv(data=DATA, name="conv0", **options):
    return mx.sym.Convolution(data, **{"kernel": (3, 3), "num_filter": 4, "name": name, **options})


def values_of(symbol, shape=(1, 3, 9, 9), seed=0):
    """Return random {name: array} of parameters and states, gammas and variances above 0."""
    random = np.random.RandomState(seed)
    args, _, auxs = symbol.infer_shape(data=shape)
    named = [*zip(symbol.list_arguments(), args), *zip(symbol.list_auxiliary_states(), auxs)]
    return {name: mx.nd.array(random.uniform(0.5, 1.5, size) if name.endswith(("gamma", "var"))
                              else random.normal(size=size))
            for name, size in named if name != "data" and not name.endswith("label")}


def save(symbol, values, prefix="net"):
    """Write files as MXNet does."""
    states = set(symbol.list_auxiliary_states())
    symbol.save(f"{prefix}-symbol.json", remove_amp_cast=False)
    mx.nd.save(f"{prefix}-0000.params", {("aux:" if name in states else "arg:") + name: value
                                         for name, value in values.items()})


def forward(symbol, values, image):
    """Return the first output, bound as for training: nothing is fused."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", data=image.shape)
    states = set(symbol.list_auxiliary_states())
    executor.copy_params_from({name: value for name, value in values.items() if name not in states},
                              {name: value for name, value in values.items() if name in states},
                              allow_extra_params=True)
    return executor.forward(is_train=False, data=mx.nd.array(image))[0].asnumpy()


def opened_and_itself(symbol, image_shape=(2, 3, 9, 9)):
    """Return (checkpoint, its output, the output of the files as they are) on random images."""
    values = values_of(symbol, (1, *image_shape[1:]))
    save(symbol, values)
    checkpoint = load_checkpoint("net,0")
    image = np.random.RandomState(1).normal(size=image_shape)
    opened = forward(checkpoint.symbol, {**checkpoint.arg_params, **checkpoint.aux_params}, image)
    return checkpoint, opened, forward(symbol, values, image)


OLD = {
    "BatchNorm_v1": lambda: mx.sym.BatchNorm_v1(conv(), fix_gamma=False, eps=0.02, name="bn"),
    "BatchNorm_v1 with a fixed gamma": lambda: mx.sym.BatchNorm_v1(conv(), name="bn"),
    "SyncBatchNorm": lambda: mx.sym.contrib.SyncBatchNorm(conv(), fix_gamma=False, ndev=1, key="k", name="bn"),
    "BatchNormWithReLU": lambda: mx.sym.contrib.BatchNormWithReLU(conv(), fix_gamma=False, name="bn"),
    "Convolution_v1": lambda: mx.sym.Convolution_v1(DATA, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=4,
                                                    num_group=1, name="conv0"),
}


@pytest.mark.parametrize("case", OLD)
def test_an_operator_of_old_is_todays(case, here):
    checkpoint, opened, itself = opened_and_itself(OLD[case]())
    np.testing.assert_allclose(opened, itself, atol=1e-5)
    names = {node.op for node in Graph(checkpoint.symbol).operators()}
    assert names <= {"BatchNorm", "Convolution", "Activation"} and case.split(" ")[0] in checkpoint.notes[0]


@pytest.mark.parametrize("kind", ["max", "avg", "sum"])
@pytest.mark.parametrize("options", [
    {"kernel": (2, 2), "stride": (2, 2)}, {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)},
    {"kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)}, {"kernel": (2, 2), "global_pool": True},
    {"kernel": (2, 2), "stride": (2, 2), "pooling_convention": "full"},
    {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1), "pooling_convention": "full"},
], ids=str)
def test_poolings_of_old_pad_and_divide_as_they_did(kind, options, here):
    """All numbers are below 0 in places: a maximum that pads with zeros is not one that pads with minus infinity."""
    symbol = mx.sym.Pooling_v1(conv() - 3, pool_type=kind, name="pool", **options)
    _, opened, itself = opened_and_itself(symbol)
    np.testing.assert_allclose(opened, itself, atol=1e-4)


def doubled(node, **attrs):
    """Thirty sums of a layer with itself, and an old pooling: 2**30 ways back."""
    for number in range(30):
        node = mx.sym.elemwise_add(node, node, name=f"sum{number}")
    return mx.sym.Pooling_v1(node, kernel=(2, 2), pad=(1, 1), pool_type="max")


def casts(node):
    for _ in range(2000):
        node = mx.sym.amp_cast(node, dtype="float16")
    return node


def rectified(node):
    for number in range(1000):
        node = mx.sym.contrib.BatchNormWithReLU(node, name=f"bn{number}")
    return node


def turned(node):
    for _ in range(1500):
        node = mx.sym.transpose(mx.sym.transpose(node, axes=(0, 2, 3, 1)), axes=(0, 3, 1, 2))
    return mx.sym.Convolution(mx.sym.transpose(node, axes=(0, 2, 3, 1)), kernel=(1, 1), num_filter=2, layout="NHWC",
                              no_bias=True)


@pytest.mark.parametrize("make", [doubled, casts, rectified, turned])
def test_the_time_of_opening_goes_by_the_number_of_layers(make, here):
    make(mx.sym.Activation(DATA, act_type="relu")).save("net-symbol.json")
    began = time.process_time()
    assert load_symbol("net-symbol.json").list_outputs()
    assert time.process_time() - began < 5


def test_cudnn_batch_norm_keeps_the_inverse_of_a_deviation(here):
    """MXNet has no such operator any more: checked against the formula of cuDNN 4's wrapper, in plain NumPy."""
    symbol = mx.sym.BatchNorm(conv(), fix_gamma=False, eps=0.001, name="bn")
    values = values_of(symbol)
    text = symbol.tojson().replace('"BatchNorm"', '"CuDNNBatchNorm"').replace("bn_moving_var", "bn_moving_inv_var")
    inverse = mx.nd.array(np.random.RandomState(2).uniform(0.5, 2, 4))
    itself = {**values, "bn_moving_inv_var": inverse}
    del itself["bn_moving_var"]
    with open("net-symbol.json", "w", encoding="utf-8") as f:
        f.write(text)
    mx.nd.save("net-0000.params", {("aux:" if "moving" in name else "arg:") + name: value
                                   for name, value in itself.items()})
    checkpoint = load_checkpoint("net,0")
    image = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    maps = forward(conv(), values, image)
    gamma, beta, mean, factor = (itself[f"bn_{name}"].asnumpy().reshape(1, 4, 1, 1)
                                 for name in ("gamma", "beta", "moving_mean", "moving_inv_var"))
    expected = (maps - mean) * factor * gamma + beta
    opened = forward(checkpoint.symbol, {**checkpoint.arg_params, **checkpoint.aux_params}, image)
    np.testing.assert_allclose(opened, expected, rtol=1e-4, atol=1e-4)
    mx.nd.save("net-0000.params", {**{"arg:" + name: value for name, value in itself.items() if "moving" not in name},
                                   "aux:bn_moving_mean": itself["bn_moving_mean"],
                                   "aux:bn_moving_inv_var": mx.nd.array([1, -2, 0, 1e4])})
    with pytest.raises(InputError, match="CuDNNBatchNorm 'bn': expected bn_moving_inv_var as cuDNN 4 wrote it, 1 / "):
        load_checkpoint("net,0")


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_precisions_are_float32_and_so_are_their_casts(kind, here):
    net = mx.sym.Cast(mx.sym.FullyConnected(mx.sym.Cast(DATA, dtype=kind), num_hidden=3, name="fc1"), dtype="float32")
    plain = mx.sym.FullyConnected(DATA, num_hidden=3, name="fc1")
    values = {name: value.astype(kind) for name, value in values_of(plain).items()}
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    image = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    opened = forward(checkpoint.symbol, checkpoint.arg_params, image)
    expected = image.reshape(2, -1) @ values["fc1_weight"].asnumpy().astype(np.float64).T + values[
        "fc1_bias"].asnumpy()
    np.testing.assert_allclose(opened, expected, rtol=1e-4, atol=1e-4)
    assert {value.dtype for value in checkpoint.arg_params.values()} == {np.float32}
    assert f"2 {kind} parameters as float32" in checkpoint.notes


def test_casts_of_automatic_mixed_precision_are_taken_out(here):
    cast = mx.sym.amp_cast(conv(), dtype="float16")
    both = mx.sym.amp_multicast(cast, mx.sym.amp_cast(conv(name="conv1"), dtype="float32"), num_outputs=2)
    save(mx.sym.amp_cast(both[0] + both[1], dtype="float32"), values_of(conv() + conv(name="conv1")))
    checkpoint = load_checkpoint("net,0")
    assert {node.op for node in Graph(checkpoint.symbol).operators()} == {"Convolution", "elemwise_add"}


@pytest.mark.parametrize("image_too", [False, True])
def test_nhwc_is_computed_as_nchw(image_too, here):
    """MXNet has no NHWC convolution on a CPU: checked against the same network written in NCHW."""
    def net(layout, data):
        axis = 3 if layout == "NHWC" else 1
        maps = mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), layout=layout, name="conv0")
        maps = mx.sym.Activation(mx.sym.BatchNorm(maps, axis=axis, fix_gamma=False, name="bn"), act_type="relu")
        maps = mx.sym.Concat(maps, mx.sym.Pooling(maps, kernel=(3, 3), pad=(1, 1), pool_type="max", layout=layout),
                             dim=axis)
        maps = mx.sym.Convolution(maps, num_filter=5, kernel=(2, 2), stride=(2, 2), layout=layout, name="conv1")
        if layout == "NCHW":
            maps = mx.sym.transpose(maps, axes=(0, 2, 3, 1))  # a Flatten of NHWC reads rows, columns, channels
        return mx.sym.FullyConnected(mx.sym.Flatten(maps), num_hidden=3, name="fc1")

    first = net("NCHW", DATA)
    values = values_of(first)
    last = net("NHWC", DATA if image_too else mx.sym.transpose(DATA, axes=(0, 2, 3, 1)))
    with open("net-symbol.json", "w", encoding="utf-8") as f:
        f.write(last.tojson())
    mx.nd.save("net-0000.params", {("aux:" if "moving" in name else "arg:") + name:
                                   value.transpose((0, 2, 3, 1)) if value.ndim == 4 else value
                                   for name, value in values.items()})
    checkpoint = load_checkpoint("net,0")
    image = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    np.testing.assert_allclose(forward(checkpoint.symbol, {**checkpoint.arg_params, **checkpoint.aux_params}, image),
                               forward(first, values, image), rtol=1e-4, atol=1e-4)
    assert checkpoint.notes == (f"NHWC as NCHW (3 layers{', the image too' if image_too else ''})",)


def test_a_layout_that_cannot_be_opened_is_refused_by_name(here):
    net = mx.sym.Deconvolution(DATA, num_filter=4, kernel=(3, 3), layout="NHWC", no_bias=True, name="up")
    save(net, {"up_weight": mx.nd.ones((3, 3, 3, 4))})
    with pytest.raises(InputError, match="Deconvolution 'up': expected Convolution or Pooling in the layout NCHW or "
                                         "NHWC, received layout=NHWC"):
        load_checkpoint("net,0")


@pytest.mark.parametrize("shape", [(1, -1), (1, 4 * 7 * 7), (1, 0, -1)])
def test_a_batch_size_that_was_written_into_a_reshape_is_free(shape, here):
    net = mx.sym.FullyConnected(mx.sym.Reshape(conv(), shape=shape), num_hidden=3, name="fc1")
    values = values_of(net)
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    images = np.random.RandomState(1).normal(size=(3, 3, 9, 9))
    opened = forward(checkpoint.symbol, checkpoint.arg_params, images)
    for image, row in zip(images, opened):
        np.testing.assert_allclose(row[np.newaxis], forward(net, values, image[np.newaxis]), rtol=1e-4, atol=1e-4)


def test_a_batch_that_is_folded_and_unfolded_is_left_alone(here):
    """Channels of four images together and apart again: the 1 is no batch size of an export."""
    net = mx.sym.Reshape(mx.sym.Reshape(conv(), shape=(1, -1, 7, 7)), shape=(-1, 4, 7, 7))
    _, opened, itself = opened_and_itself(net)
    np.testing.assert_array_equal(opened, itself)


def test_the_batch_size_of_an_attention_block_is_free(here):
    shared = conv()
    rows = mx.sym.Reshape(shared, shape=(1, 4, -1))
    mixed = mx.sym.batch_dot(rows, mx.sym.softmax(mx.sym.batch_dot(rows, rows, transpose_a=True)))
    net = mx.sym.FullyConnected(shared + mx.sym.Reshape(mixed, shape=(1, 4, 7, 7)), num_hidden=3, name="fc1")
    values = values_of(net)
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    images = np.random.RandomState(1).normal(size=(3, 3, 9, 9))
    opened = forward(checkpoint.symbol, checkpoint.arg_params, images)
    for image, row in zip(images, opened):
        np.testing.assert_allclose(row[np.newaxis], forward(net, values, image[np.newaxis]), rtol=1e-4, atol=1e-4)


def pooled(data=None):
    return mx.sym.Pooling(conv() if data is None else data, kernel=(1, 1), global_pool=True, pool_type="avg")


@pytest.mark.parametrize("behind", [lambda net: net, lambda net: mx.sym.relu(conv(net, "conv1", kernel=(1, 1)))])
def test_a_squeeze_keeps_the_batch_of_one(behind, here):
    net = mx.sym.FullyConnected(mx.sym.squeeze(behind(pooled()), name="rows"), num_hidden=3, name="fc1")
    values = values_of(net, (2, 3, 9, 9))
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    assert checkpoint.notes == ("rows keeps the batch, be it of one",)
    images = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    expected = forward(net, values, images)
    for image, row in zip(images, expected):
        found = forward(checkpoint.symbol, checkpoint.arg_params, image[np.newaxis])
        np.testing.assert_allclose(found, row[np.newaxis], rtol=1e-5, atol=1e-6)


def test_a_squeeze_of_larger_maps_is_left_alone(here):
    save(mx.sym.squeeze(conv()), values_of(conv()))
    assert load_checkpoint("net,0").notes == ()


def test_a_softmax_of_one_place_is_the_one_it_was_trained_with(here):
    """oneDNN's takes the last axis, of length 1, where MXNet does not train: every class has probability 1."""
    net = mx.sym.SoftmaxOutput(conv(pooled(), "cls", kernel=(1, 1)), name="softmax")
    values = values_of(net)
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    image = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    executor = net.simple_bind(mx.cpu(), grad_req="write", data=image.shape)
    executor.copy_params_from(values, {})
    trained_with = executor.forward(is_train=True, data=mx.nd.array(image))[0].asnumpy().reshape(2, -1)
    np.testing.assert_allclose(forward(checkpoint.symbol, checkpoint.arg_params, image), trained_with, rtol=1e-5)


@pytest.mark.parametrize("kind", ["int32", "uint8", "int64"])
def test_whole_numbers_are_float32_as_mxnet_binds_them(kind, here):
    net = mx.sym.FullyConnected(conv(), num_hidden=3, name="fc1")
    values = {name: (value * 4 + 8).astype(kind) for name, value in values_of(net).items()}
    save(net, values)
    checkpoint = load_checkpoint("net,0")
    assert checkpoint.notes == (f"4 {kind} parameters as float32",)
    assert {value.dtype for value in checkpoint.arg_params.values()} == {np.float32}
    image = np.random.RandomState(1).normal(size=(2, 3, 9, 9))
    np.testing.assert_allclose(forward(checkpoint.symbol, checkpoint.arg_params, image), forward(net, values, image))


@pytest.mark.parametrize("loss", [
    lambda logits: mx.sym.SoftmaxOutput(logits, name="softmax"),
    lambda logits: mx.sym.MakeLoss(mx.sym.log_softmax(logits) * mx.sym.one_hot(mx.sym.Variable("softmax_label"), 3))])
def test_a_label_that_was_saved_is_no_constant(loss, here):
    net = mx.sym.FullyConnected(DATA, num_hidden=3, name="fc1")
    save(loss(net), {**values_of(net), "softmax_label": mx.nd.zeros((1,)), "data": mx.nd.zeros((1, 3, 9, 9))})
    checkpoint = load_checkpoint("net,0")
    assert checkpoint.notes == ("values of data, softmax_label left out, which are inputs of the network",)
    assert set(checkpoint.arg_params) == {"fc1_weight", "fc1_bias"}
    labels = [node for node in Graph(checkpoint.symbol).nodes if node.name == "softmax_label"]
    assert "__shape__" not in labels[0].attrs


def test_states_saved_among_the_arguments_are_states(here):
    net = mx.sym.BatchNorm(conv(), fix_gamma=False, name="bn")
    values = values_of(net)
    net.save("net-symbol.json")
    mx.nd.save("net-0000.params", {"arg:" + name: value for name, value in values.items()})
    checkpoint = load_checkpoint("net,0")
    assert sorted(checkpoint.aux_params) == ["bn_moving_mean", "bn_moving_var"]
    assert checkpoint.notes == ("2 arrays saved under the other of arg: and aux:",)


def test_a_fixed_gamma_is_1_and_one_that_was_not_is_said(here):
    checkpoint, opened, itself = opened_and_itself(mx.sym.BatchNorm(conv(), name="bn"))
    np.testing.assert_array_equal(checkpoint.arg_params["bn_gamma"].asnumpy(), np.ones(4))
    np.testing.assert_allclose(opened, itself, atol=1e-6)
    assert checkpoint.notes == ("gamma of 1 BatchNorm layers as the 1 that fix_gamma reads",)


def test_a_network_of_today_is_opened_as_it_is(here):
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.BatchNorm(conv(), fix_gamma=False, name="bn"),
                                                     num_hidden=3, name="fc1"), name="softmax")
    checkpoint, opened, itself = opened_and_itself(net)
    assert checkpoint.notes == () and Graph(checkpoint.symbol).nodes == Graph(net).nodes
    np.testing.assert_array_equal(opened, itself)
    assert json.loads(checkpoint.symbol.tojson())["heads"] == json.loads(net.tojson())["heads"]
