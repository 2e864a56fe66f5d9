"""Rewrites compute the same from the same parameters, and cure what they are there to cure."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.graph import Graph
from mxft.inference import InferenceExecutor
from mxft.rewrite import flatten_before_fully_connected, for_inference


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
    assert for_inference(net) is net


def test_what_died_at_the_second_forward_lives(parameters):
    """Formerly `Check failed: !IsMKLDNNData(): We can't generate TBlob for MKLDNN data`."""
    executor = InferenceExecutor(face_style(), parameters, {}, (3, 6, 6), 2)
    for seed in range(3):
        image = np.random.RandomState(seed).normal(size=(2, 3, 6, 6)).astype(np.float32)
        np.testing.assert_allclose(executor.forward(image), forward(face_style(), parameters, image), atol=1e-4)


@pytest.mark.data
def test_the_published_face_network_that_died_at_the_second_forward_lives(testdata):
    from mxft.checkpoint import load_checkpoint
    face = load_checkpoint(str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0")
    executor = InferenceExecutor(face.symbol, face.arg_params, face.aux_params, (3, 112, 112), 2)
    image = np.random.RandomState(0).uniform(0, 255, (2, 3, 112, 112)).astype(np.float32)
    first, second, third = executor.forward(image), executor.forward(image[::-1].copy()), executor.forward(image)
    assert first.shape == (2, 128)
    np.testing.assert_allclose(second[::-1], first, atol=1e-4)
    np.testing.assert_array_equal(third, first)
