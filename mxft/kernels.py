"""Which kernels oneDNN computes a bound network with: those of one memory layout, where MXNet can be brought to it.

For inference the oneDNN 2.4 of MXNet 1.9.1 takes, where it thinks them faster, the ``brgconv`` kernels of AVX-512,
which read and write NHWC, and for the other convolutions those in blocks of 16 channels: the maps of a ResNet-50 change
their layout 28 times on their way. For training it takes the latter alone. MXNet's fused convolution asks for its
kernel once, at its first forward pass, and keeps it (``SgMKLDNNConvOperator``, ``initialized_``): the first pass
decides.
"""
from mxft.compat import mx
from mxft.graph import Graph, has_random_layers
from mxft.processor import cpu_flags


def take_blocked_kernels(executor, network, aux_params):
    """Have a bound executor compute every convolution in blocks of 16 channels, if that is possible.

    Parameters
    ----------
    executor : mx.executor.Executor
        Bound to a CPU without gradients, its parameters in it, not run yet.
    network : mx.sym.Symbol
        What it was bound from.
    aux_params : dict of str to mx.nd.NDArray
        Put back after the pass in training mode.

    Notes
    -----
    Left alone are CPUs without AVX-512, networks with grouped convolutions, whose blocked weights MXNet cannot read
    back after a pass in training mode (``could not create a primitive descriptor for a reorder primitive``), and
    networks that would draw random numbers in it.
    """
    if "avx512f" not in cpu_flags() or has_random_layers(network) or _has_groups(network):
        return
    executor.forward(is_train=True)
    mx.nd.waitall()
    executor.copy_params_from({}, aux_params)


def _has_groups(network):
    return any(int(node.attrs.get("num_group", 1)) > 1 for node in Graph(network).operators())
