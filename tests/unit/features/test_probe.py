"""Linear probes find the layer whose features carry on."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.features.probe import Probe, Similarity, measure_similarity
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from tests.support.images import coloured

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)


@pytest.fixture
def colours(make_records):
    def picture(number, label):
        return coloured(np.random.RandomState(number), label, (8, 8))

    return make_records("colours.rec", [i % 3 for i in range(36)], picture)


def network(last):
    """Stages of 8 and 4 pixels: the first copies the channels, the second multiplies them by `last`."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=3, no_bias=True, name="conv0")
    net = mx.sym.Convolution(net, kernel=(1, 1), stride=(2, 2), num_filter=3, no_bias=True, name="conv1")
    net = mx.sym.Convolution(net, kernel=(1, 1), stride=(2, 2), num_filter=3, no_bias=True, name="conv2")
    net = mx.sym.Flatten(mx.sym.Pooling(net, global_pool=True, pool_type="avg", kernel=(1, 1)), name="flatten0")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=2, name="fc1"), name="softmax")
    same = mx.nd.array(np.eye(3).reshape(3, 3, 1, 1))
    return Checkpoint(net, {"conv0_weight": same, "conv1_weight": same, "conv2_weight": same * last,
                            "fc1_weight": mx.nd.zeros((2, 3)), "fc1_bias": mx.nd.zeros((2,))}, {})


def test_a_last_layer_that_tells_nothing_is_not_similar(colours):
    found = measure_similarity(network(last=0), SPEC, colours, 36, threads=1)
    assert [probe.layer for probe in found.probes] == ["conv0", "conv1", "flatten0"]
    assert found.probes[0].top1 == 1.0 and found.probes[-1].top1 < 0.6
    assert not found.similar and found.best_layer == "conv0" and found.chance == pytest.approx(1 / 3)


def test_a_last_layer_as_good_as_any_is_similar(colours):
    found = measure_similarity(network(last=1), SPEC, colours, 36, threads=1)
    assert found.similar and found.probes[-1].features == 3
    assert "flatten0" in found.table() and "1.000" in found.table()


def test_a_hair_is_not_a_difference():
    def judged(earlier, last):
        return Similarity([Probe("a", 4, earlier), Probe("b", 4, last)], 9, 0.5, 1.0).similar

    assert judged(0.70, 0.695) and not judged(0.70, 0.68)


def test_too_few_images_are_refused(make_records):
    with pytest.raises(InputError, match="similarity: expected at least 3 images of every class, received 4 of 3"):
        measure_similarity(network(1), SPEC, make_records("few.rec", [0, 1, 2, 0]), 4, threads=1)
