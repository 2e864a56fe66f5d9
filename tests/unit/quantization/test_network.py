"""A network with a sample of images: the ranges of its maps are those a plain forward pass has."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.network.quantization import digest
from mxft.quantization.network import SampledNetwork
from tests.support.int8 import convolution, dense, images, needs_int8, parameters, sampled

SYMBOL = dense(convolution(mx.sym.Variable("data"), 32, "conv0"), 24, "last")


def maps(count=16):
    """Return {output: its values} of the symbol as it is."""
    inside = SYMBOL.get_internals()
    args, _ = parameters(SYMBOL)
    executor = inside.simple_bind(mx.cpu(1), grad_req="null", data=(count, *images().shape[1:]))
    executor.copy_params_from(args)
    return dict(zip(inside.list_outputs(), [output.asnumpy() for output in executor.forward(
        is_train=False, data=mx.nd.array(images(count)))]))


@pytest.mark.parametrize("count", [16, 11])
def test_ranges_are_the_maps_own_also_where_the_last_batch_is_short(count):
    """The rest of a short batch is left over from the one before, and must not be counted."""
    network = SampledNetwork(SYMBOL, *parameters(SYMBOL), images(count))
    ranges, expected = network.ranges("naive"), maps(count)
    assert ranges["conv0_relu_output"] == pytest.approx((0, expected["conv0_relu_output"].max()), rel=1e-5)
    most = abs(expected["last_output"]).max()
    assert ranges["last_output"] == pytest.approx((-most, most), rel=1e-5)
    assert "data" in ranges


def test_progress_is_told_in_images():
    told = []
    SampledNetwork(SYMBOL, *parameters(SYMBOL), images(11)).ranges("naive", told.append)
    assert told == [8, 3]


def test_a_network_without_layers_is_refused():
    with pytest.raises(InputError, match="int8: expected a network with convolutions or fully connected layers, "
                                         "received one without"):
        SampledNetwork(mx.sym.Flatten(mx.sym.Variable("data")), {}, {}, images())


def test_a_network_that_gives_nan_is_refused():
    args, auxs = parameters(SYMBOL)
    args["last_weight"][:] = np.nan
    with pytest.raises(RunError, match="calibration: expected finite numbers"):
        SampledNetwork(SYMBOL, args, auxs, images()).ranges("naive")


def test_the_quantization_keeps_a_hash_of_what_the_ranges_depend_on():
    network = sampled(SYMBOL)
    made = network.quantization(network.ranges("naive"), ["conv0"], "naive", {"top1": 0.5})
    args, _ = parameters(SYMBOL)
    assert made.in_float == ("conv0",) and made.images == 16 and made.figures == {"top1": 0.5}
    assert made.parameters == {name: digest(value) for name, value in args.items()}


@needs_int8
def test_noise_is_that_of_the_layers_in_int8():
    network = sampled(SYMBOL)
    ranges = network.ranges("naive")
    assert network.noise(ranges, network.layers) == pytest.approx(0, abs=1e-10)
    assert 0 < network.noise(ranges, ["conv0"]) < network.noise(ranges) < 0.01
