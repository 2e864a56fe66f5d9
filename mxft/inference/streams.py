"""Streams: executors of one network, a few images and a few threads each, that share out the images of a batch.

The throughput streams of OpenVINO, made of MXNet's own parts. In one executor oneDNN splits every layer evenly over the
threads, and at every layer the slowest core holds up the others. A stream takes the next images when it is free.
"""
import ctypes
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mxft.compat import mx
from mxft.inference.engine import push
from mxft.machine.threads import computing_threads

IMAGES = 4  # a stream computes at a time, at least
IMAGES_OF_LARGE = 16  # at most, of a network that reads so many parameters that they leave the caches in between
LARGE = 32 << 20  # bytes of parameters
MOST = 16  # streams
MEMORY = 2 << 30  # bytes of parameters, which a stream holds three times: as they are, fused, and laid out for oneDNN
_FIRST_DEVICE = 64  # the engine has workers of their own for every CPU number; training and iterators use low ones


def stream_contexts(context, batch_size, parameter_bytes):
    """Return the contexts a batch is shared out to: `context` alone, or a CPU's streams.

    Parameters
    ----------
    context : mx.Context
    batch_size, parameter_bytes : int
        Of the network.

    Returns
    -------
    list of mx.Context
        Several where `context` is a CPU, ``OMP_NUM_THREADS`` says more than one thread, the batch is large enough for
        all of them and their parameters stay within `MEMORY`; the threads are divided between them then.
    """
    threads = computing_threads()
    count = min(threads, batch_size // IMAGES, MOST, MEMORY // (3 * parameter_bytes + 1))
    if context.device_type != "cpu" or count < 2:
        return [context]
    contexts = [mx.cpu(_FIRST_DEVICE + number) for number in range(count)]
    for number, stream in enumerate(contexts):
        _set_threads(stream, threads // count + (number < threads % count))
    return contexts


def stream_images(streams, batch_size, parameter_bytes):
    """Return how many images of a batch a stream computes at a time.

    Parameters
    ----------
    streams, batch_size, parameter_bytes : int

    Returns
    -------
    int
        All of them in a stream that is alone; few where the maps between the layers count, which stay in the caches
        then; more of a network with many parameters, which it reads from memory for every few images.

    Notes
    -----
    On two cores 16 images at a time were 0.94 times as fast as 4 for a MobileNetV2, and no slower for a ResNet-50.
    """
    if streams == 1:
        return batch_size
    return max(IMAGES, min(IMAGES_OF_LARGE, batch_size // streams)) if parameter_bytes > LARGE else IMAGES


def fused(network, context):
    """Return `network` with convolution, BatchNorm and activation fused, where binding it on `context` would not do so.

    MXNet fuses by itself on ``cpu(0)`` alone (``Context::CPU()`` in src/executor/graph_executor.cc).
    """
    return network.get_backend_symbol("MKLDNN") if context.device_type == "cpu" and context.device_id else network


def _set_threads(context, threads):
    """Set how many threads the engine's worker for `context` computes with; OpenMP keeps that number by thread."""
    push(lambda: mx.base._LIB.MXSetNumOMPThreads(ctypes.c_int(threads)), context).wait()


class Streams:
    """Bound executors of one network, each on a context of its own, that take turns at the images of a batch.

    Parameters
    ----------
    executors : list of mx.executor.Executor
        All bound alike.
    data_name : str
        Their input.
    """

    def __init__(self, executors, data_name):
        self.executors = executors
        self._data_name, self._rows = data_name, len(executors[0].arg_dict[data_name])
        self._free = queue.SimpleQueue()
        for executor in executors:
            self._free.put(executor)
        self._pool = ThreadPoolExecutor(len(executors)) if len(executors) > 1 else None

    def output_shapes(self):
        """Return the shape of each output for one image."""
        return [output.shape[1:] for output in self.executors[0].outputs]

    def start(self, images):
        """Start a forward pass of up to as many images as the executors' batches hold.

        Parameters
        ----------
        images : mx.nd.NDArray or numpy.ndarray
            Float32 ``(n, C, H, W)``.

        Returns
        -------
        outputs : callable
            Waits for the outputs and returns them, float32 ``(n, …)`` each; to be called before the next but one start.
        taken : callable
            Waits until the last of the images has come to a stream: an iterator may fill their array again then.
        """
        if self._pool is None:
            outputs = [output.copy() for output in self._push(self.executors[0], images)]  # the next writes over them
            return lambda: [output.asnumpy()[:len(images)] for output in outputs], lambda: None
        pieces = [images[first:first + self._rows] for first in range(0, len(images), self._rows)]
        taken = [threading.Event() for _ in pieces]
        parts = [self._pool.submit(self._compute, *of_piece) for of_piece in zip(pieces, taken)]
        return (lambda: [np.concatenate(pieces) for pieces in zip(*(part.result() for part in parts))],
                lambda: [event.wait() for event in taken])

    def _compute(self, images, taken):
        """Compute a few images on whichever stream is free."""
        executor = self._free.get()
        try:
            try:
                outputs = self._push(executor, images)
            finally:
                taken.set()
            return [output.asnumpy()[:len(images)] for output in outputs]
        finally:
            self._free.put(executor)

    def _push(self, executor, images):
        """Start one executor's forward pass, which MXNet's engine carries out behind us; return its outputs."""
        whole = executor.arg_dict[self._data_name]
        (whole if len(images) == len(whole) else whole[:len(images)])[:] = images  # straight to where the network reads
        executor.forward(is_train=False)
        return executor.outputs
