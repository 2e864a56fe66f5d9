"""What MXNet computes of a network, operator by operator: its inference otherwise runs fused operators."""
import os

import numpy as np

from mxft.compat import mx

_SWITCH = "MXNET_SUBGRAPH_BACKEND"


def bound(checkpoint, inputs, grad_req="null"):
    """Return an executor with a checkpoint's arrays and these inputs, numpy arrays by name, whose type it computes in.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "NONE"
    try:
        executor = checkpoint.symbol.simple_bind(
            mx.cpu(), grad_req={name: "null" if name in inputs else grad_req
                                for name in checkpoint.symbol.list_arguments()},
            type_dict={name: value.dtype for name, value in inputs.items()},
            **{name: value.shape for name, value in inputs.items()})
    finally:
        os.environ.pop(_SWITCH) if before is None else os.environ.update({_SWITCH: before})
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    for name, value in inputs.items():
        executor.arg_dict[name][:] = value
    return executor


def outputs_of(checkpoint, inputs):
    """Return what a checkpoint gives at inference, a list of numpy arrays."""
    return [output.asnumpy() for output in bound(checkpoint, inputs).forward(is_train=False)]


def gradients_of(checkpoint, inputs):
    """Return (outputs, {parameter: gradient}, {auxiliary state: value}) of one step of training."""
    executor = bound(checkpoint, inputs, "write")
    outputs = [output.asnumpy() for output in executor.forward(is_train=True)]
    executor.backward()
    return (outputs, {name: value.asnumpy() for name, value in executor.grad_dict.items() if value is not None},
            {name: value.asnumpy() for name, value in executor.aux_dict.items()})


def difference(found, expected):
    """Return the largest difference, in parts of the largest number that was expected."""
    assert found.shape == expected.shape and np.isfinite(expected).all()
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
