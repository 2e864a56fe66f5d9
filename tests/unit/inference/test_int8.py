"""int8 of small networks against float32: every operator that MXNet puts into int8, and those it computes wrongly."""
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference.executor import InferenceExecutor
from mxft.inference.int8 import FusedGraph, int8_network
from mxft.inference.precision import Precision
from mxft.network.quantization import Quantization
from tests.support.int8 import SHAPE, convolution, dense, error, images, needs_int8, parameters, sampled

# A rounding to 8 bits of a range of r costs r / 255 / sqrt(12) = 0.11 % of r, or 1.1 % of the standard deviation where
# r is 10 of them, as here; signed maps and sums in seven bits cost twice that. Four in a row and the weights add up to
# some 4 %. The faults this has to find were 25 % to 140 %.
BOUND = 0.09

DATA = mx.sym.Variable("data")


def last(data):
    return convolution(data, 24, "last", kernel=1, relu=False)


def squeeze_and_excite(data):
    squeezed = mx.sym.contrib.AdaptiveAvgPooling2D(data, output_size=1)
    gate = convolution(convolution(squeezed, 8, "squeeze", 1), 32, "excite", 1, relu=False)
    return mx.sym.broadcast_mul(data, mx.sym.Activation(gate, act_type="sigmoid"))


def relu(data):
    return mx.sym.Activation(data, act_type="relu")


def pool(data, kind="max", **attrs):
    return mx.sym.Pooling(data, kernel=(3, 3), pool_type=kind, **{"pad": (1, 1), **attrs})


FIRST, LINEAR = convolution(DATA, 32, "conv0"), convolution(DATA, 32, "conv0", relu=False)
OTHER = convolution(DATA, 32, "other", relu=False)
HIDDEN = dense(DATA, 64, "fc0")
NETWORKS = {
    "batch norm and relu": relu(mx.sym.BatchNorm(LINEAR, fix_gamma=False, name="bn0")),
    "batch norm behind pooling": relu(mx.sym.BatchNorm(pool(FIRST), fix_gamma=False, name="bn0")),
    "relu6": mx.sym.clip(LINEAR, a_min=0, a_max=6),
    "prelu": mx.sym.LeakyReLU(LINEAR, act_type="prelu", name="prelu0"),
    "leaky": mx.sym.LeakyReLU(LINEAR, act_type="leaky", slope=0.3),
    "elu": mx.sym.LeakyReLU(LINEAR, act_type="elu", slope=0.3),
    "sigmoid": mx.sym.Activation(LINEAR, act_type="sigmoid"),
    "tanh": mx.sym.Activation(LINEAR, act_type="tanh"),
    "depthwise": convolution(FIRST, 32, "conv1", num_group=32),
    "two filters a group": convolution(FIRST, 64, "conv1", num_group=32),
    "groups of two": convolution(FIRST, 32, "conv1", num_group=16),
    "two groups": convolution(FIRST, 32, "conv1", num_group=2),
    "dilated": convolution(FIRST, 32, "conv1", dilate=(2, 2)),
    "dead filters": convolution(FIRST, 32, "dead"),
    "sum of int8 and int8": OTHER + convolution(LINEAR, 32, "conv1", relu=False),
    "sum of two branches, relu": relu(LINEAR + OTHER),
    "sum onto uint8": convolution(FIRST, 32, "conv1", relu=False) + FIRST,
    "sum onto uint8, relu": relu(convolution(FIRST, 32, "conv1", relu=False) + FIRST),
    "sum of uint8 and uint8": FIRST + pool(FIRST),
    "sum of uint8 and uint8, relu": relu(FIRST + pool(FIRST)),
    "sum of int8 and uint8": pool(FIRST) + pool(OTHER),
    "concat": mx.sym.Concat(FIRST, OTHER),
    "concat, relu": relu(mx.sym.Concat(FIRST, pool(FIRST))),
    "concat with the image": mx.sym.Concat(FIRST, DATA),
    "average": pool(FIRST, "avg"),
    "average without the border": pool(FIRST, "avg", count_include_pad=False),
    "average over the border": pool(FIRST, "avg", pad=(0, 0), stride=(2, 2), pooling_convention="full"),
    "maximum over the border": pool(FIRST, "max", pad=(0, 0), stride=(2, 2), pooling_convention="full"),
    "sum in a window": pool(FIRST, "sum"),
    "squeeze and excite": squeeze_and_excite(FIRST),
    "squeeze and excite, sum, relu": relu(FIRST + squeeze_and_excite(convolution(FIRST, 32, "conv1"))),
    "product": mx.sym.elemwise_mul(LINEAR, pool(OTHER)),
    "swish": LINEAR * mx.sym.sigmoid(LINEAR),
    "deconvolution": mx.sym.Deconvolution(FIRST, num_filter=16, kernel=(4, 4), stride=(2, 2), name="up"),
    "slices": mx.sym.Concat(*mx.sym.SliceChannel(FIRST, num_outputs=2)),
}
FLAT_NETWORKS = {
    "linear": HIDDEN,
    "fc relu": relu(HIDDEN),
    "fc leaky": mx.sym.LeakyReLU(HIDDEN, act_type="leaky", slope=0.3),
    "fc elu": mx.sym.LeakyReLU(HIDDEN, act_type="elu"),
    "fc relu6": mx.sym.clip(HIDDEN, a_min=0, a_max=6),
    "fc sigmoid": mx.sym.Activation(HIDDEN, act_type="sigmoid"),
    "fc of dead units": dense(DATA, 64, "dead"),
    "fc of maps": dense(FIRST, 64, "fc0"),
}


@needs_int8
@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_is_computed_as_in_float32(name):
    network = sampled(last(convolution(NETWORKS[name], 32, "behind")))
    assert error(network.scores(network.ranges("naive")), network.scores()) < BOUND


@needs_int8
@pytest.mark.parametrize("name", FLAT_NETWORKS)
def test_every_operator_of_rows_is_computed_as_in_float32(name):
    network = sampled(dense(FLAT_NETWORKS[name], 24, "last"))
    assert error(network.scores(network.ranges("naive")), network.scores()) < BOUND


@needs_int8
@pytest.mark.parametrize("name", ["relu6", "sum of two branches, relu", "depthwise", "squeeze and excite"])
def test_any_batch_size_gives_the_same_numbers(name):
    symbol = last(convolution(NETWORKS[name], 32, "behind"))
    network, args = sampled(symbol), parameters(symbol)
    precision = Precision("int8", network.quantization(network.ranges("naive"), (), "naive"))
    found = []
    for size in (1, 3, 16):
        executor = InferenceExecutor(symbol, *args, SHAPE, size, precision=precision)
        found.append(np.concatenate([executor.forward(images()[i:i + size]) for i in range(0, 16, size)]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def ops_of(symbol, ranges, args, auxs, in_float=()):
    network, _, _ = int8_network(symbol, args, auxs, ranges, in_float)
    return {node["name"]: node["op"] for node in json.loads(network.tojson())["nodes"] if node["op"] != "null"}


def count_int8(ops):
    return sum(name.startswith("quantized_") for name in ops)


@needs_int8
def test_layers_are_in_int8_but_for_those_named():
    symbol = last(convolution(FIRST, 32, "conv1"))
    network, args = sampled(symbol), parameters(symbol)
    ranges = network.ranges("naive")
    assert network.layers == ("conv0", "conv1", "last")
    everything = ops_of(symbol, ranges, *args)
    assert count_int8(everything) == 3
    assert count_int8(ops_of(symbol, ranges, *args, in_float=["conv1"])) == 2


@needs_int8
def test_layers_int8_is_wrong_for_are_none_to_choose_from():
    network = sampled(last(convolution(FIRST, 32, "grouped", num_group=4)))
    assert network.layers == ("conv0", "last")


@needs_int8
def test_the_layers_behind_the_last_stay_in_float32():
    """The average over int8's last map, rounded to 8 bits, would be another than that of the network cut there."""
    symbol = mx.sym.Flatten(mx.sym.Pooling(convolution(FIRST, 32, "conv1"), global_pool=True, kernel=(1, 1),
                                           pool_type="avg", name="pool1"))
    assert ops_of(symbol, sampled(symbol).ranges("naive"), *parameters(symbol))["pool1"] == "Pooling"


@needs_int8
def test_a_layer_without_a_range_stays_in_float32_and_a_map_without_one_is_refused():
    symbol = last(FIRST)
    network, args = sampled(symbol), parameters(symbol)
    ranges = network.ranges("naive")
    own = {name: pair for name, pair in ranges.items() if name != "last_output"}
    assert count_int8(ops_of(symbol, own, *args)) == count_int8(ops_of(symbol, ranges, *args)) - 1
    own = {name: pair for name, pair in ranges.items() if name != "data"}
    with pytest.raises(InputError, match="int8: expected the range of every map, received a calibration without data; "
                                         "quantize the network again"):
        int8_network(symbol, *args, own)


@needs_int8
def test_what_is_outside_a_range_is_clipped():
    network = sampled(last(FIRST))
    ranges = network.ranges("naive")
    low, high = ranges["last_output"]
    narrow = network.scores({**ranges, "last_output": (low / 2, high / 2)})
    assert np.abs(narrow).max() <= high / 2 * 1.01 < np.abs(network.scores(ranges)).max()


@needs_int8
def test_layers_of_one_name_have_a_range_each():
    """GluonCV's Xception calls a ReLU several times, each time under the same name."""
    low = mx.sym.Activation(convolution(DATA, 32, "conv0", relu=False), act_type="relu", name="again")
    high = mx.sym.Activation(convolution(low * 50, 32, "conv1", relu=False), act_type="relu", name="again")
    network = sampled(last(high))
    ranges = network.ranges("naive")
    assert 10 * ranges["again_output"][1] < ranges["again_2_output"][1]
    assert error(network.scores(ranges), network.scores()) < BOUND


def test_the_fused_graph_has_the_names_of_the_networks_own():
    symbol = last(relu(mx.sym.BatchNorm(LINEAR, fix_gamma=False, name="bn0")))
    graph = FusedGraph.of(symbol)
    assert list(graph.layers.values()) == [("conv0", "bn0", symbol.get_internals().list_outputs()[-4][:-7]), ("last",)]
    assert graph.maps()[0] == "data" and graph.maps()[-1] == "last_output"


def test_int8_on_the_networks_own_graph_is_refused(make_checkpoint):
    checkpoint = make_checkpoint()
    precision = Precision("int8", Quantization({"data": (-1, 1)}, (), {}, "naive", 1))
    with pytest.raises(InputError, match="rewrite: expected precision='fp32' beside it, received "
                                         "precision='int8', which is computed on the rewritten graph"):
        InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, 8, 8), 2,
                          rewrite=False, precision=precision)


def test_first_layers_are_those_that_read_the_image_and_float32_alone_reads():
    first = convolution(mx.sym.Variable("data"), 16, "conv0")
    graph = FusedGraph.of(convolution(convolution(first, 16, "conv1"), 16, "conv2"))
    assert graph.first_layers(["conv1"]) == ("conv0",) and graph.first_layers(["conv2"]) == ()
    two = FusedGraph.of(convolution(first, 16, "conv1") + convolution(first, 16, "conv2"))
    assert two.first_layers(["conv1"]) == () and two.first_layers(["conv1", "conv2"]) == ("conv0",)
