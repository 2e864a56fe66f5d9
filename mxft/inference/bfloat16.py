"""The graph oneDNN computes in bfloat16: convolutions and fully connected layers on 8 bits of mantissa.

Follows ``convert_symbol`` of MXNet's automatic mixed precision (python/mxnet/contrib/amp), whose pass is called here.
bfloat16 has the range of float32: nothing needs to be calibrated or scaled.
"""
import numpy as np

from mxft.compat import mx
from mxft.machine.processor import cpu_flags
from mxft.machine.quiet import quiet_native
from mxft.network.graph import Graph

_WEIGHTED = ("Convolution", "FullyConnected", "Deconvolution")
_NEEDED = "avx512_bf16"
_TYPE = np.dtype([("bfloat16", np.uint16)])  # as MXNet calls it


def bfloat16_network(symbol, data_name):
    """Return a network that computes in bfloat16 what it can, its last layers in float32.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Rewritten for inference.
    data_name : str
        Its input.

    Returns
    -------
    mx.sym.Symbol
        Parameters that are read in bfloat16 alone are of that type, input and outputs float32. The layers behind which
        no other has weights stay in float32: 8 bits are too few to tell many classes apart.

    References
    ----------
    Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, arXiv:1905.12322.
    """
    from mxnet.contrib import amp

    with quiet_native():
        network = amp.convert_symbol(symbol, target_dtype="bfloat16", data_names=[data_name],
                                     excluded_sym_names=_last_layers(symbol), cast_optional_params=True)
        outputs = [mx.sym.amp_cast(output, dtype="float32") for output in network]
        network = outputs[0] if len(outputs) == 1 else mx.sym.Group(outputs)
        return network.get_backend_symbol("MKLDNN")


def set_parameters(executor, arg_params, aux_params):
    """Copy parameters into a bound network, each in the type it is read in."""
    for bound, values in ((executor.arg_dict, arg_params), (executor.aux_dict, aux_params)):
        for name, value in values.items():
            if name in bound:
                halved = bound[name].dtype == _TYPE and value.dtype != _TYPE
                bound[name][:] = rounded(value.asnumpy()) if halved else value.as_in_context(bound[name].context)


def rounded(values):
    """Return float32 numbers as MXNet's bfloat16 has them, rounded to the nearest, ties to even.

    Parameters
    ----------
    values : numpy.ndarray
        Float32, finite.

    Returns
    -------
    numpy.ndarray
        Of the same shape, of one field ``bfloat16`` of 16 bits: the upper half of a float32.

    Notes
    -----
    ``mx.nd.amp_cast`` to bfloat16 asks NumPy for a type of that name, which only other packages bring.

    Examples
    --------
    >>> hex(int(rounded(np.array([1.01], np.float32))["bfloat16"][0]))
    '0x3f81'
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16).view(_TYPE)


def gains_from_bfloat16():
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return _NEEDED in cpu_flags()


def _last_layers(symbol):
    """Return the names of the layers with weights behind which no other one has any."""
    graph = Graph(symbol)
    before = set()
    weighted = [node for node in graph.operators() if node.op in _WEIGHTED]
    for node in weighted:
        before |= graph.ancestors(node.index) - {node.index}
    return [node.name for node in weighted if node.op == "FullyConnected" and node.index not in before]
