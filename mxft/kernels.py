"""Which kernels oneDNN computes a network with: those of one memory layout, where MXNet can be brought to ask for them.

For inference the oneDNN 2.4 of MXNet 1.9.1 takes, where it thinks them faster, the ``brgconv`` kernels of AVX-512,
which read and write NHWC, and for the other convolutions those in blocks of 16 channels: the maps of a ResNet-50 change
their layout 28 times on their way. For training it takes the latter alone. MXNet's fused convolution asks for its
kernel once, at its first forward pass, and keeps it (``SgMKLDNNConvOperator``, ``initialized_``): the first pass
decides.
"""
from mxft.graph import Graph, has_random_layers
from mxft.processor import cpu_flags


def first_pass_may_train(network):
    """Whether a bound network gives the same in training mode, so that its first forward pass may choose the kernels.

    Parameters
    ----------
    network : mx.sym.Symbol
        As it is bound, on a CPU and without gradients.

    Returns
    -------
    bool
        False for CPUs without AVX-512, where nothing is to be gained; for networks with a BatchNorm that is not folded
        into a convolution, or with random layers; and for grouped convolutions, whose blocked weights MXNet cannot read
        back after a pass in training mode (``could not create a primitive descriptor for a reorder primitive``).

    Examples
    --------
    >>> from mxft.compat import mx
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=16, name="conv0")
    >>> first_pass_may_train(mx.sym.Dropout(net, p=0.5))
    False
    """
    nodes = Graph(network).operators()
    return ("avx512f" in cpu_flags() and not has_random_layers(network)
            and not any("BatchNorm" in node.op or int(node.attrs.get("num_group", 1)) > 1 for node in nodes))
