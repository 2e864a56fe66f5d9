"""Multiply-adds of a network: what the papers count."""
import pytest

from mxft.compat import mx
from mxft.surgery.cost import multiply_adds


def test_each_kind_of_layer_counts_its_weights_at_every_place():
    net = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=8, kernel=(3, 3), stride=(2, 2), num_group=2, name="c")
    net = mx.sym.Deconvolution(net, num_filter=6, kernel=(2, 2), stride=(2, 2), name="d")
    net = mx.sym.FullyConnected(mx.sym.Activation(net, act_type="relu"), num_hidden=5, name="f")
    convolution = 8 * (4 // 2) * 9 * 4 * 4      # maps of 4x4 from 9x9
    deconvolution = 8 * 6 * 4 * 4 * 4           # every place of its input
    assert multiply_adds(net, (4, 9, 9)) == convolution + deconvolution + 6 * 8 * 8 * 5


def test_a_published_network_has_the_published_number(testdata):
    """MobileNetV2 1.0 at 224: 300 million (Sandler et al., arXiv:1801.04381, table 4)."""
    symbol = mx.sym.load(str(testdata / "models" / "mobilenet-v2-1.0-symbol.json"))
    assert multiply_adds(symbol, (3, 224, 224)) == pytest.approx(300e6, rel=0.01)
