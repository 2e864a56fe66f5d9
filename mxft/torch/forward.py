"""Forward passes by PyTorch, started and waited for as `mxft.inference.streams.Streams` does it for MXNet."""
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from mxft.network.graph import Graph
from mxft.torch.module import MXNetModule


class TorchForward:
    """A network on a device of PyTorch's.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
    device : mxft.torch.device.TorchDevice

    Notes
    -----
    Maps and filters lie with their channels last, which is what cuDNN's and oneDNN's fastest kernels take. Images are
    copied to a card from pinned memory while it computes the batch before.
    """

    def __init__(self, symbol, arg_params, aux_params, device):
        arrays = ({name: value.asnumpy() for name, value in values.items()} for values in (arg_params, aux_params))
        self._device = torch.device(device.name)
        self._autocast = device.autocast
        module = MXNetModule(Graph(symbol), *arrays).eval().to(self._device, memory_format=torch.channels_last)
        self._module = torch.compile(module) if device.compiled else module
        self._pool = ThreadPoolExecutor(1)

    def start(self, images):
        """Start a forward pass.

        Parameters
        ----------
        images : mx.nd.NDArray or numpy.ndarray
            Float32 ``(n, C, H, W)``.

        Returns
        -------
        outputs : callable
            Waits for the outputs and returns them, float32 ``(n, …)`` each.
        taken : callable
            Waits until the images were copied.
        """
        taken = threading.Event()
        result = self._pool.submit(self._compute, images, taken)
        return result.result, taken.wait

    def warm_up(self, shape):
        """Compute images of zeros ``(n, C, H, W)``; return the shapes of the outputs, ``(n, …)`` each."""
        outputs, _ = self.start(np.zeros(shape, np.float32))
        shapes = [found.shape for found in outputs()]
        self._shapes = [found[1:] for found in shapes]
        return shapes

    def output_shapes(self):
        """Return the shape of each output for one image, as `warm_up` found it."""
        return self._shapes

    def _compute(self, images, taken):
        try:
            pixels = torch.from_numpy(np.array(images if isinstance(images, np.ndarray) else images.asnumpy(),
                                               np.float32))
        finally:
            taken.set()
        if self._device.type == "cuda":
            pixels = pixels.pin_memory()
        pixels = pixels.to(self._device, non_blocking=True)
        if pixels.dim() == 4:  # features have no pixels
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), self._autocast():
            found = self._module(pixels)
        return [output.float().cpu().numpy() for output in (found if isinstance(found, tuple) else (found,))]
