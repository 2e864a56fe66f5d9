"""Which kernels oneDNN computes a network with: for a long job those of one memory layout, which MXNet is brought to.

For inference the oneDNN 2.4 of MXNet 1.9.1 takes, where it thinks them faster, the ``brgconv`` kernels of AVX-512,
which read and write NHWC, and for the other convolutions those in blocks of 16 channels: the maps of a ResNet-50 change
their layout 28 times on their way. For training it takes the latter alone. MXNet's fused convolution asks for its
kernel once, at its first forward pass, and keeps it (``initialized_`` in src/operator/subgraph/mkldnn/mkldnn_conv.cc):
one pass in training mode decides.

It takes care. At the end of that pass the operator has the engine bring the weights it keeps back to MXNet's layout,
and in the first pass for inference once more into the kernel's; they belong to ``cpu(0)``, so for a network on another
CPU number that work is done by another worker, beside the convolution that still reads them: outputs are wrong and
memory is overwritten. Here ``cpu(0)`` is held up until each of these two passes is over, and nothing is moved after.
"""
import contextlib
import os
import threading

from mxft.compat import mx
from mxft.errors import RunError
from mxft.inference.engine import push
from mxft.machine.processor import cpu_flags
from mxft.network.graph import Graph, has_random_layers

PASSES = 100  # of all streams, of a job at least: two more are paid back after 30, at 7 % saved
_SECONDS = 600  # a pass takes at most


def worth_choosing(network, images, images_at_a_time):
    """Whether `choose_kernels` would make a job faster, and can.

    Parameters
    ----------
    network : mx.sym.Symbol
        As it is bound, on a CPU and without gradients.
    images, images_at_a_time : int
        Of the job, and of all streams in one pass.

    Returns
    -------
    bool
        False for short jobs; for CPUs without AVX-512, where nothing is to be gained; for networks with a BatchNorm
        that is not folded into a convolution, or with random layers, which compute something else in training mode; for
        grouped convolutions, whose blocked weights MXNet cannot read back (``could not create a primitive descriptor
        for a reorder primitive``); and where ``MXNET_ENGINE_TYPE`` or ``MXNET_CPU_WORKER_NTHREADS`` is set, as what
        is done here needs the engine as it is.

    Examples
    --------
    >>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=16, name="conv0")
    >>> worth_choosing(mx.sym.Dropout(net, p=0.5), 10000, 32), worth_choosing(net, 100, 32)
    (False, False)
    """
    return (images >= PASSES * images_at_a_time and "avx512f" in cpu_flags() and not has_random_layers(network)
            and not any("BatchNorm" in node.op or int(node.attrs.get("num_group", 1)) > 1
                        for node in Graph(network).operators())
            and not {"MXNET_ENGINE_TYPE", "MXNET_CPU_WORKER_NTHREADS"} & set(os.environ))


def choose_kernels(executors):
    """Make the two passes, over whatever is in the executors' inputs; outputs are to be read after the next pass.

    Parameters
    ----------
    executors : list of mx.executor.Executor
        Fused, of a network that is `worth_choosing`, before their first pass; all on ``cpu(0)``, or none.

    Raises
    ------
    RunError
        A pass did not end.
    """
    contexts = [executor.arg_arrays[0].context for executor in executors]
    for training in (True, False):
        mx.nd.waitall()
        with _held_up(mx.cpu(0)) if contexts[0].device_id else contextlib.nullcontext():
            for executor in executors:
                executor.forward(is_train=training)
            passed = [push(lambda: None, context, executor.outputs) for context, executor in zip(contexts, executors)]
            if not all(one.wait(_SECONDS) for one in passed):
                raise RunError(f"a forward pass did not end: expected it within {_SECONDS} s")
    mx.nd.waitall()


@contextlib.contextmanager
def _held_up(context):
    """Keep the engine's worker for `context` from taking anything from its queue."""
    over = threading.Event()
    push(over.wait, context)
    try:
        yield
    finally:
        over.set()
