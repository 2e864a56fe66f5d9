"""Parameters with another number of axes than their layer reads are refused when a checkpoint is opened."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.network.graph import Graph
from mxft.network.parameter_ranks import check_ranks


def network():
    data = mx.sym.Variable("data")
    up = mx.sym.Deconvolution(mx.sym.Convolution(data, kernel=(3, 3), num_filter=4, name="conv"), kernel=(2, 2),
                              num_filter=4, no_bias=True, name="up")
    normal = mx.sym.BatchNorm(mx.sym.LeakyReLU(up, act_type="prelu", name="prelu"), name="bn")
    return mx.sym.FullyConnected(mx.sym.Embedding(normal, input_dim=4, output_dim=2, name="words"), num_hidden=3,
                                 name="fc")


def parameters():
    symbol = network()
    args, _, auxs = symbol.infer_shape(data=(1, 3, 8, 8))
    rng = np.random.RandomState(0)
    return ({name: mx.nd.array(rng.rand(*shape)) for name, shape in zip(symbol.list_arguments(), args)
             if name != "data"},
            {name: mx.nd.ones(shape) for name, shape in zip(symbol.list_auxiliary_states(), auxs)})


def test_parameters_of_every_layer_pass():
    args, auxs = parameters()
    check_ranks(Graph(network()), {**args, **auxs})
    check_ranks(Graph(network()), {})


@pytest.mark.parametrize("name, shape, message", [
    ("conv_weight", (4,), r"expected 4 axes of conv_weight, which Convolution 'conv' reads, received shape \(4,\)"),
    ("conv_bias", (4, 1), r"expected 1 axis of conv_bias, which Convolution 'conv' reads, received shape \(4, 1\)"),
    ("up_weight", (4, 4), "expected 4 axes of up_weight, which Deconvolution 'up'"),
    ("bn_gamma", (1, 4, 1, 1), "expected 1 axis of bn_gamma, which BatchNorm 'bn'"),
    ("bn_moving_var", (4, 4), "expected 1 axis of bn_moving_var, which BatchNorm 'bn'"),
    ("fc_weight", (3, 4, 1, 1), "expected 2 axes of fc_weight, which FullyConnected 'fc'"),
    ("words_weight", (4,), "expected 2 axes of words_weight, which Embedding 'words'"),
])
def test_another_number_of_axes_is_refused(tmp_path, name, shape, message):
    args, auxs = parameters()
    (args if name in args else auxs)[name] = mx.nd.ones(shape)
    model = Checkpoint(network(), args, auxs).save(str(tmp_path / "net"), 0)
    with pytest.raises(InputError, match=f"parameters do not fit the network: {message}.*net-0000.params"):
        load_checkpoint(model)
