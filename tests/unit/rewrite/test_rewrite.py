"""Rewrites compute the same from the same parameters, and cure what they are there to cure."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.rewrite import (
    flatten_before_fully_connected,
    prelu_for_inference,
    prelu_for_training,
    rewrite_for_inference,
    rewrite_for_training,
)


def forward(symbol, parameters, image):
    executor = symbol.simple_bind(mx.cpu(), data=image.shape, grad_req="null")
    executor.copy_params_from(parameters)
    return executor.forward(is_train=False, data=mx.nd.array(image))[0].asnumpy()


def face_style():
    """A FullyConnected that flattens a 4-D convolution output by itself, as the face networks' pre_fc1."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    net = mx.sym.FullyConnected(net, num_hidden=6, name="pre_fc1")
    return mx.sym.FullyConnected(mx.sym.Activation(net, act_type="relu", name="relu"), num_hidden=3, name="fc2")


@pytest.fixture
def parameters():
    rng = np.random.RandomState(0)
    shapes = {"conv0_weight": (4, 3, 3, 3), "conv0_bias": (4,), "pre_fc1_weight": (6, 4 * 16), "pre_fc1_bias": (6,),
              "fc2_weight": (3, 6), "fc2_bias": (3,)}
    return {name: mx.nd.array(rng.normal(size=shape)) for name, shape in shapes.items()}


def test_a_flatten_before_fully_connected_changes_no_number(parameters):
    old = face_style()
    before, new = old.tojson(), flatten_before_fully_connected(old)
    image = np.random.RandomState(1).normal(size=(2, 3, 6, 6))
    assert [node.op for node in Graph(new).operators()] == ["Convolution", "Flatten", "FullyConnected", "Activation",
                                                           "Flatten", "FullyConnected"]
    assert new.list_arguments() == old.list_arguments() and new.list_outputs() == old.list_outputs()
    assert old.tojson() == before
    np.testing.assert_array_equal(forward(new, parameters, image), forward(old, parameters, image))


def test_where_there_is_nothing_to_change_the_symbol_is_the_same():
    net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=4)
    net = mx.sym.FullyConnected(net, num_hidden=3)
    assert flatten_before_fully_connected(net) is net
    assert flatten_before_fully_connected(flatten_before_fully_connected(face_style())).tojson() == \
        flatten_before_fully_connected(face_style()).tojson()


def test_a_fully_connected_that_keeps_its_axes_is_left_alone():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, flatten=False)
    assert rewrite_for_inference(net, {}, {})[0] is net


def test_what_died_at_the_second_forward_lives(parameters):
    """Formerly `Check failed: !IsMKLDNNData(): We can't generate TBlob for MKLDNN data`."""
    executor = InferenceExecutor(face_style(), parameters, {}, (3, 6, 6), 2)
    for seed in range(3):
        image = np.random.RandomState(seed).normal(size=(2, 3, 6, 6)).astype(np.float32)
        np.testing.assert_allclose(executor.forward(image), forward(face_style(), parameters, image), atol=1e-4)


@pytest.mark.data
def test_the_published_face_network_that_died_at_the_second_forward_lives(testdata):
    from mxft.network.checkpoint import load_checkpoint
    face = load_checkpoint(str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0")
    executor = InferenceExecutor(face.symbol, face.arg_params, face.aux_params, (3, 112, 112), 2)
    image = np.random.RandomState(0).uniform(0, 255, (2, 3, 112, 112)).astype(np.float32)
    first, second, third = executor.forward(image), executor.forward(image[::-1].copy()), executor.forward(image)
    assert first.shape == (2, 128)
    np.testing.assert_allclose(second[::-1], first, atol=1e-4)
    np.testing.assert_array_equal(third, first)


def stock_prelu(data, slope, name):
    return mx.sym.LeakyReLU(data, slope, act_type="prelu", name=name)


def slow_prelu(data, slope, name):
    """The formula in plain operators; MXNet 1.9.1's own slope gradient is not to be compared with (see below)."""
    slope = mx.sym.reshape(slope, shape=(1, -1, 1, 1))
    return mx.sym.broadcast_add(mx.sym.broadcast_maximum(data, mx.sym.zeros(1)),
                                mx.sym.broadcast_mul(mx.sym.broadcast_minimum(data, mx.sym.zeros(1)), slope), name=name)


def with_prelus(prelu=stock_prelu):
    """PReLUs of maps, two of which share a slope, the first with multipliers of its own, and one of a flat input."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=5, name="conv0")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    slope = mx.init.Constant(.25)
    net = prelu(net, mx.sym.Variable("relu0_gamma", shape=(5,), init=slope, lr_mult=3, wd_mult=0), "relu0")
    shared = mx.sym.Variable("shared_gamma", shape=(4,), init=slope)
    body = mx.sym.Convolution(net, kernel=(3, 3), num_filter=4, stride=(2, 2), name="conv1")
    body = prelu(body, shared, "relu1")
    body = mx.sym.Convolution(body, kernel=(1, 1), num_filter=4, name="conv2") + body
    body = prelu(mx.sym.Dropout(body, p=0), shared, "relu2")
    net = mx.sym.FullyConnected(mx.sym.Flatten(body), num_hidden=6, name="fc1")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="flat_relu")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=3, name="fc2"), name="softmax")


def random_values(symbol, shape, seed=0):
    rng, values = np.random.RandomState(seed), {}
    for name, size in zip(symbol.list_arguments(), symbol.infer_shape(data=shape)[0]):
        values[name] = rng.normal(0, .5, size) if name != "softmax_label" else rng.randint(0, 3, size)
    return values


def outputs_and_gradients(symbol, values, grad_req="write"):
    executor = symbol.simple_bind(mx.cpu(), data=values["data"].shape, grad_req=grad_req)
    for name, value in values.items():
        executor.arg_dict[name][:] = value
    executor.forward(is_train=True)
    executor.backward()
    return executor.outputs[0].asnumpy(), {name: array.asnumpy() for name, array in executor.grad_dict.items()
                                           if array is not None}


def test_a_prelu_for_training_changes_neither_outputs_nor_gradients():
    old, new = with_prelus(slow_prelu), prelu_for_training(with_prelus())
    values = random_values(old, (4, 3, 10, 10))
    assert [n.name for n in Graph(new).operators() if n.attrs.get("act_type") == "prelu"] == ["flat_relu"]
    (out, gradients), (expected, expected_gradients) = (outputs_and_gradients(net, values) for net in (new, old))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    assert list(gradients) == list(expected_gradients)
    for name, gradient in expected_gradients.items():
        assert gradients[name].shape == gradient.shape
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-4, atol=2e-5, err_msg=name)
    assert min(np.abs(expected_gradients[name]).max() for name in ("relu0_gamma", "shared_gamma")) > 1e-2


@pytest.mark.parametrize("slope", [0., 1., -2., .25, 7.5])
def test_a_rewritten_prelu_is_the_formula(slope):
    """f(x) = x for x > 0, else a·x; its gradients 1 or a, and the sum of the negative x (arXiv:1502.01852, eq. 1, 3).

    MXNet 1.9.1's own operator gives the last one times `a` here: it overwrites the gradient it still has to read.
    """
    conv = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=1, no_bias=True, name="conv0")
    net = prelu_for_training(mx.sym.LeakyReLU(conv, act_type="prelu", name="relu0"))
    x = np.array([-1e6, -3.5, -1e-6, 0, 1e-6, 2.25, 1e6], np.float32).reshape(1, 1, 1, 7)
    executor = net.simple_bind(mx.cpu(), data=x.shape)
    for name, value in {"data": x, "conv0_weight": 1, "relu0_gamma": slope}.items():
        executor.arg_dict[name][:] = value
    np.testing.assert_allclose(executor.forward(is_train=True)[0].asnumpy(), np.where(x > 0, x, slope * x), rtol=1e-6)
    executor.backward(mx.nd.ones(x.shape))
    np.testing.assert_allclose(executor.grad_dict["data"].asnumpy(), np.where(x > 0, 1, slope), rtol=1e-6)
    np.testing.assert_allclose(executor.grad_dict["relu0_gamma"].asnumpy(), [np.minimum(x, 0).sum()], rtol=1e-6)


def test_a_rewritten_prelu_keeps_names_shapes_and_attributes():
    old = with_prelus()
    before, new = old.tojson(), prelu_for_training(old)
    assert old.tojson() == before
    assert new.list_arguments() == old.list_arguments() and new.list_outputs() == old.list_outputs()
    assert new.list_auxiliary_states() == old.list_auxiliary_states()
    assert new.infer_shape(data=(2, 3, 10, 10)) == old.infer_shape(data=(2, 3, 10, 10))
    assert {n.name for n in Graph(old).nodes} <= {n.name for n in Graph(new).nodes}
    for name in old.list_arguments():
        assert new.attr_dict().get(name) == old.attr_dict().get(name), name
    assert new.attr_dict()["relu0_gamma"]["__lr_mult__"] == "3"


def prelu_of(net, **slope):
    return mx.sym.LeakyReLU(net, mx.sym.Variable("slope", **slope), act_type="prelu", name="relu0")


@pytest.mark.parametrize("symbol", [
    lambda conv: prelu_of(mx.sym.Flatten(conv)), lambda conv: prelu_of(mx.sym.Variable("data")),
    lambda conv: prelu_of(conv, shape=(1,)), lambda conv: prelu_of(mx.sym.Cast(conv, dtype="float16")),
    lambda conv: mx.sym.LeakyReLU(conv, mx.sym.Variable("slope") * 2, act_type="prelu"),
    lambda conv: mx.sym.LeakyReLU(conv, act_type="leaky"),
    lambda conv: prelu_of(mx.sym.Convolution(mx.sym.Variable("sound"), kernel=(3,), num_filter=4, name="conv1d"))])
def test_a_prelu_that_cannot_be_told_to_be_of_a_map_is_left_alone(symbol):
    conv = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv0")
    net = symbol(conv)
    assert prelu_for_training(net) is net
    assert prelu_for_training(prelu_of(conv, shape=(4,))) is not prelu_of(conv, shape=(4,))
    assert "prelu" not in prelu_for_training(prelu_of(conv, shape=(4,))).tojson()


def test_multipliers_by_name_move_the_slopes_as_before():
    """Three steps of Module with weight decay, momentum and lr_mult: the same parameters under the same names."""
    results = []
    for net in (with_prelus(slow_prelu), rewrite_for_training(with_prelus())[0]):
        module = mx.mod.Module(net)
        module.bind([("data", (4, 3, 10, 10))], [("softmax_label", (4,))])
        np.random.seed(0)
        mx.random.seed(0)
        module.init_params(mx.init.Xavier())
        assert module.get_params()[0]["relu0_gamma"].asnumpy().tolist() == [.25] * 5
        module.init_optimizer(optimizer_params={"learning_rate": .1, "momentum": .9, "wd": .01})
        rng = np.random.RandomState(0)
        for _ in range(3):
            data, label = mx.nd.array(rng.normal(size=(4, 3, 10, 10))), mx.nd.array(rng.randint(0, 3, 4))
            module.forward_backward(mx.io.DataBatch([data], [label]))
            module.update()
        results.append({name: array.asnumpy() for name, array in module.get_params()[0].items()})
    assert list(results[0]) == list(results[1])
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(results[0]["relu0_gamma"] - .25).max() > 1e-2


def test_another_device_trains_the_graph_as_it_is(make_face_checkpoint):
    symbol = make_face_checkpoint().symbol
    assert rewrite_for_training(symbol, "gpu") == (symbol, ()) and rewrite_for_training(symbol)[0] is not symbol


def test_a_prelu_for_inference_changes_no_output_of_the_fused_backend():
    """Bound without gradients, as InferenceExecutor binds: the fused backend must compute the same."""
    symbol = with_prelus()
    rewritten = prelu_for_inference(symbol)
    assert rewritten.list_arguments() == symbol.list_arguments() and rewritten is not symbol
    parameters = {name: mx.nd.array(value) for name, value in random_values(symbol, (2, 3, 8, 8)).items()}
    statistics = {"bn0_moving_mean": mx.nd.ones(5), "bn0_moving_var": mx.nd.full(5, 0.5)}
    outputs = []
    for net in (symbol, rewritten):
        executor = net.simple_bind(mx.cpu(), data=(2, 3, 8, 8), grad_req="null")
        executor.copy_params_from(parameters, statistics)
        outputs.append([executor.forward(is_train=False)[0].asnumpy() for _ in range(2)])
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-5, atol=1e-6)
    assert np.ptp(outputs[0][0]) > 0.1  # not all the same


@pytest.mark.data
def test_the_published_face_network_embeds_the_same_with_the_rewrite_and_without(testdata):
    net = load_checkpoint(f"{testdata}/models/mobilefacenet-y1/model,0")
    images = np.random.RandomState(0).uniform(0, 255, (4, 3, 112, 112)).astype(np.float32)
    plain = mx.mod.Module(net.symbol, ["data"], [])
    plain.bind([("data", images.shape)], for_training=True)  # bound for training: neither fused nor rewritten
    plain.set_params(net.arg_params, net.aux_params)
    plain.forward(mx.io.DataBatch([mx.nd.array(images)]), is_train=False)
    assert rewrite_for_inference(net.symbol, {}, {})[0] is not net.symbol
    executor = InferenceExecutor(net.symbol, net.arg_params, net.aux_params, (3, 112, 112), 4)
    np.testing.assert_allclose(executor.forward(images), plain.get_outputs()[0].asnumpy(), rtol=1e-4, atol=2e-5)
