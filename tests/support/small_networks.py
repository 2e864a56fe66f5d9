"""Small networks to cut and put heads on, with parameters, and what they compute."""
import numpy as np

from mxft.compat import mx
from mxft.network.checkpoint import Checkpoint

DATA = (2, 3, 8, 8)


def conv(net, name, **arguments):
    return mx.sym.Convolution(net, **{"kernel": (3, 3), "num_filter": 4, "name": name, **arguments})


def backbone():
    """conv0 → relu0 → flatten0"""
    return mx.sym.Flatten(mx.sym.Activation(conv(mx.sym.Variable("data"), "conv0"), act_type="relu", name="relu0"),
                          name="flatten0")


def fc(net, name="fc1", num_hidden=10):
    return mx.sym.FullyConnected(net, num_hidden=num_hidden, name=name)


def softmax(net):
    return mx.sym.SoftmaxOutput(net, name="softmax")


def plain():
    return softmax(fc(backbone()))


def parameters_of(symbol, seed=0):
    """Random (arg_params, aux_params)."""
    rng = np.random.RandomState(seed)
    args, _, auxs = symbol.infer_shape(data=DATA)
    values = {name: mx.nd.array(rng.normal(size=shape)) for name, shape in zip(symbol.list_arguments(), args)
              if name not in ("data", "softmax_label")}
    return values, {name: mx.nd.array(rng.uniform(.5, 1.5, shape))
                    for name, shape in zip(symbol.list_auxiliary_states(), auxs)}


def forward(symbol, args, auxs=()):
    label = {"softmax_label": (2,)} if "softmax_label" in symbol.list_arguments() else {}
    executor = symbol.simple_bind(mx.cpu(), data=DATA, grad_req="null", **label)
    executor.copy_params_from(args, dict(auxs), allow_extra_params=True)
    image = mx.nd.array(np.random.RandomState(9).normal(size=DATA))
    return [output.asnumpy() for output in executor.forward(is_train=False, data=image)]


def small_faces(seed=0):
    """Return the Checkpoint of a face network of two layers: 16 numbers of a 112x112 face."""
    body = mx.sym.Convolution((mx.sym.Variable("data") - 127.5) * 0.0078125, kernel=(8, 8), stride=(8, 8), num_filter=4,
                              name="conv0")
    symbol = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Activation(body, act_type="relu")), num_hidden=16, name="fc1")
    rng = np.random.default_rng(seed)
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 112, 112))[0]))
    parameters = {name: mx.nd.array(rng.normal(0, 0.1, shape)) for name, shape in shapes.items() if name != "data"}
    return Checkpoint(symbol, parameters, {}, {"embedding": "fc1"})
