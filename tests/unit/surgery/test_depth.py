"""Depth by resolution, by weighted layers and by name."""
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.surgery.depth import layers_above, parameters_of, parameters_through, resolution_stages


@pytest.fixture
def residual():
    """BatchNorm on the data, a stem, a block of another resolution with a shortcut of its own, two dense layers."""
    net = mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn_data")
    net = mx.sym.Convolution(net, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name="stem")
    short = mx.sym.Convolution(net, kernel=(1, 1), stride=(2, 2), num_filter=8, no_bias=True, name="short")
    net = mx.sym.Convolution(net, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=8, no_bias=True, name="conv1")
    net = mx.sym.BatchNorm(net, name="bn1") + short
    net = mx.sym.FullyConnected(mx.sym.Flatten(net), num_hidden=5, name="fc")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="out"), name="softmax")


def test_a_stage_has_maps_of_one_size(residual):
    stages = resolution_stages(residual, (3, 8, 8), without={"out_weight", "out_bias"})
    assert [sorted(stage) for stage in stages] == [
        ["bn_data_beta", "bn_data_gamma", "stem_weight"],
        ["bn1_beta", "bn1_gamma", "conv1_weight", "short_weight"], ["fc_bias", "fc_weight"]]


def test_layers_above_count_to_the_output(residual):
    above = layers_above(residual)
    assert above["out_bias"] == 0 and above["fc_weight"] == 1
    assert above["stem_weight"] == above["bn_data_gamma"] == 4
    assert above["bn1_gamma"] <= above["conv1_weight"] <= 3
    assert set(above) == set(parameters_of(residual))


def test_what_a_layer_stands_on(residual):
    assert parameters_through(residual, "bn1") == ["bn_data_gamma", "bn_data_beta", "stem_weight", "conv1_weight",
                                                   "bn1_gamma", "bn1_beta"]
    with pytest.raises(InputError, match="received layer='conv2'"):
        parameters_through(residual, "conv2")


@pytest.mark.data
def test_published_networks_have_the_stages_of_their_papers(testdata):
    symbol = mx.sym.load(str(testdata / "symbols" / "resnet-50-symbol.json"))
    stages = resolution_stages(symbol, (3, 224, 224), without={"fc1_weight", "fc1_bias"})
    # He et al., arXiv:1603.05027: stem, then 3, 4, 6 and 3 bottleneck blocks of 3 convolutions, one shortcut each
    assert [sum(name.endswith("_weight") for name in stage) for stage in stages] == [1, 10, 13, 19, 10]
    mobilenet = mx.sym.load(str(testdata / "models" / "mobilenet-v2-1.0-symbol.json"))
    assert len(resolution_stages(mobilenet, (3, 224, 224), without={"fc1_weight", "fc1_bias"})) == 5
