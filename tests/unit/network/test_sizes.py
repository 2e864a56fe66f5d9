"""What a network's layers give for one image, checked against any network's, before anything is allocated."""
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.sizes import check_sizes

IMAGE = {"data": (1, 3, 16, 16)}


def test_networks_for_images_pass():
    check_sizes(mx.sym.Convolution(mx.sym.var("data"), kernel=(3, 3), num_filter=64), {"data": (1, 3, 1024, 1024)})


@pytest.mark.parametrize("network, message", [
    (lambda x: mx.sym.FullyConnected(x, num_hidden=100_000_000, name="wide"),
     r"at most 268,435,456 numbers from a layer and [\d,]+ from all for one image, received parameter 'wide_weight' "
     r"with 76,800,000,000, [\d,]+ in all, for inputs of \(1, 3, 16, 16\)"),
    (lambda x: mx.sym.tile(x, reps=(1, 1, 4000, 4000), name="tiles"), "received tile 'tiles' with 12,288,000,000"),
    (lambda x: mx.sym.Pad(x, mode="constant", pad_width=(0,) * 4 + (9000,) * 4, name="edge"), "received Pad 'edge'"),
])
def test_a_layer_that_is_too_large_is_named(network, message):
    with pytest.raises(InputError, match="network does not fit into memory: .*" + message):
        check_sizes(network(mx.sym.var("data")), IMAGE)


def test_many_axes_are_refused():
    network = mx.sym.var("data")
    for number in range(13):
        network = mx.sym.expand_dims(network, axis=1, name=f"axis{number}")
        if number < 12:
            check_sizes(network, IMAGE)
    with pytest.raises(InputError, match="expected at most 16 dimensions, received expand_dims 'axis12' with 17"):
        check_sizes(network, IMAGE)


def large(data, name):
    """A layer of 64 million numbers."""
    return mx.sym.tile(data, reps=(1, 1, 300, 280), name=name)


def test_layers_one_after_the_other_share_memory_and_layers_side_by_side_do_not():
    """Five of 64 million numbers are 2**28 and more only where all are still to be read."""
    data = mx.sym.var("data")
    chain = large(data, "chain0")
    for number in range(1, 8):
        chain = mx.sym.Activation(chain, act_type="relu", name=f"chain{number}")
    check_sizes(chain, IMAGE)
    beside = [large(data, f"beside{number}") for number in range(5)]
    with pytest.raises(InputError, match="expected at most 268,435,456 numbers in layers that are still to be read, "
                                         r"received 322,560,000 at tile 'beside4' for one image"):
        check_sizes(mx.sym.add_n(*beside), IMAGE)
    with pytest.raises(InputError, match="still to be read"):
        check_sizes(mx.sym.Group(beside), IMAGE)
