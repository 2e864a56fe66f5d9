"""bfloat16 against float32: eight bits of mantissa in every layer but the last, the same for any batch size."""
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.inference.bfloat16 import bfloat16_network
from mxft.inference.executor import InferenceExecutor
from mxft.inference.precision import Precision
from tests.support.int8 import SHAPE, convolution, dense, error, images, needs_bfloat16, parameters

# half a unit in 2^-8 is 0.2 % of a number at most; of three layers' maps and weights some 0.4 % of the spread
BOUND = 0.02

DATA = mx.sym.Variable("data")
FIRST = convolution(DATA, 32, "conv0")
NORMED = mx.sym.BatchNorm(convolution(DATA, 32, "conv0", relu=False), fix_gamma=False, name="bn0")
NETWORKS = {
    "batch norm and relu": mx.sym.Activation(NORMED, act_type="relu"),
    "relu6": mx.sym.clip(NORMED, a_min=0, a_max=6),
    "prelu": mx.sym.LeakyReLU(NORMED, act_type="prelu", name="prelu0"),
    "depthwise": convolution(FIRST, 32, "conv1", num_group=32),
    "grouped": convolution(FIRST, 32, "conv1", num_group=4),
    "sum": mx.sym.Activation(convolution(FIRST, 32, "conv1", relu=False) + FIRST, act_type="relu"),
    "concat": mx.sym.Concat(FIRST, convolution(DATA, 16, "other")),
    "average": mx.sym.Pooling(FIRST, kernel=(3, 3), pad=(1, 1), pool_type="avg"),
    "gate": mx.sym.broadcast_mul(FIRST, mx.sym.Activation(convolution(mx.sym.contrib.AdaptiveAvgPooling2D(
        FIRST, output_size=1), 32, "gate", 1, relu=False), act_type="sigmoid")),
}


def scores(symbol, size, precision=None):
    executor = InferenceExecutor(symbol, *parameters(symbol), SHAPE, size, precision=precision)
    return np.concatenate([executor.forward(images()[i:i + size]) for i in range(0, 16, size)])


@needs_bfloat16
@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_is_computed_as_in_float32(name):
    symbol = dense(convolution(NETWORKS[name], 32, "behind"), 24, "last")
    found, expected = scores(symbol, 16, Precision("bf16")), scores(symbol, 16)
    assert found.dtype == np.float32
    assert 0 < error(found, expected) < BOUND


@needs_bfloat16
def test_any_batch_size_gives_the_same_numbers():
    """But for float32's rounding in the last layer, whose kernel depends on the batch: that of bfloat16 is 4e-3."""
    symbol = dense(NETWORKS["sum"], 24, "last")
    np.testing.assert_allclose(scores(symbol, 16, Precision("bf16")), scores(symbol, 3, Precision("bf16")), atol=2e-5)


@needs_bfloat16
def test_new_parameters_take_effect():
    symbol = dense(FIRST, 24, "last")
    executor = InferenceExecutor(symbol, *parameters(symbol), SHAPE, 16, precision=Precision("bf16"))
    executor.set_params(*parameters(symbol, seed=5))
    expected = InferenceExecutor(symbol, *parameters(symbol, seed=5), SHAPE, 16, precision=Precision("bf16"))
    np.testing.assert_array_equal(executor.forward(images()), expected.forward(images()))


def test_the_last_layer_stays_in_float32():
    """Eight bits are too few to keep many classes apart."""
    network = bfloat16_network(dense(FIRST, 24, "last"), "data")
    types = dict(zip(network.list_arguments(), network.infer_type(data="float32")[0]))
    assert types["last_weight"] == np.float32 and types["conv0_weight"] != np.float32
    assert json.loads(network.tojson())["nodes"][-1]["name"].startswith("amp_cast")


@needs_bfloat16
def test_several_outputs_are_float32():
    both = mx.sym.Group([dense(FIRST, 24, "last"), FIRST])
    found = bfloat16_network(both, "data")
    assert [np.dtype(kind) for kind in found.infer_type(data="float32")[1]] == [np.float32] * 2
