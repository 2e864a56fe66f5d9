"""Forward and backward passes by PyTorch over the arrays of an MXNet Module: parameters, gradients, moving statistics.

On a CPU both engines read and write the same memory. Whatever MXNet does with these arrays (its optimizers, kvstore,
initializers, what is saved and resumed) goes on as it is.
"""
import ctypes

import numpy as np
import torch

from mxft.compat import mx
from mxft.network.graph import Graph
from mxft.torch.module import MXNetModule


class TrainedNetwork:
    """A network in training on a device of PyTorch's.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        With its losses, each output of which has its own gradient (`mxft.torch.operators.losses`).
    arrays, gradients : dict of str to mx.nd.NDArray
        Float32 on MXNet's CPU, the values a Module updates; a parameter without a gradient is fixed.
    states : dict of str to mx.nd.NDArray
        Moving mean and variance, which a step moves.
    device : mxft.torch.device.TorchDevice
    adds : bool
        Whether gradients are added to what is there (``grad_req="add"``), or written.

    Notes
    -----
    On another device than the CPU parameters go there before a step and gradients and statistics come back behind it:
    MXNet's optimizer updates them on the host. In 16 bits (autocast) the parameters, their gradients, BatchNorm and the
    losses stay in float32.
    """

    def __init__(self, symbol, arrays, gradients, states, device, adds=False):
        self._own = {name: shared_tensor(array) for name, array in {**arrays, **states}.items()}
        self._gradients = {name: shared_tensor(array) for name, array in gradients.items()}
        self._device, self._adds = torch.device(device.name), adds
        self._autocast = device.autocast
        zeros = ({name: np.zeros(array.shape, np.float32) for name, array in values.items()}
                 for values in (arrays, states))
        module = MXNetModule(Graph(symbol), *zeros).train()
        self._values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._states, self.inputs = tuple(states), module.inputs
        for name, value in self._values.items():
            value.data = self._own[name] if self._on_host else self._own[name].to(self._device)
            value.requires_grad_(name in gradients)
            if name in gradients:
                value.grad = self._gradients[name] if self._on_host else torch.zeros_like(value)
        self._module = torch.compile(module) if device.compiled else module

    @property
    def _on_host(self):
        return self._device.type == "cpu"

    def step(self, inputs):
        """Compute outputs, gradients and moving statistics of a batch.

        Parameters
        ----------
        inputs : dict of str to mx.nd.NDArray
            Images, float32 ``(N, C, H, W)``, and labels.

        Returns
        -------
        list of mx.nd.NDArray
            The outputs.
        """
        outputs = self._computed(inputs)
        for name in self._gradients:  # behind the update, which reads them
            if not (self._adds and self._on_host):
                self._values[name].grad.zero_()
        learning = [output for output in outputs if output.requires_grad]
        torch.autograd.backward(learning, [torch.ones_like(output) for output in learning])
        self._hand_back()
        return _in_mxnet(outputs)

    def outputs(self, inputs):
        """Return the outputs of a batch in evaluation mode; nothing is learnt."""
        self._module.eval()
        try:
            with torch.no_grad():
                return _in_mxnet(self._computed(inputs))
        finally:
            self._module.train()

    def _computed(self, inputs):
        """Return the outputs, a tuple of tensors, with the parameters as MXNet left them."""
        mx.nd.waitall()  # the update before, which MXNet carries out behind us
        given = {name: self._sent(array) for name, array in inputs.items()}
        self._fetch()
        with self._autocast():
            outputs = self._module(**given)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def _sent(self, array):
        """Return an input on the device; of images the channels lie last, which the maps behind them take over."""
        value = torch.from_numpy(array.asnumpy()).to(self._device)
        return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value

    def _fetch(self):
        if not self._on_host:
            with torch.no_grad():
                for name, value in self._values.items():
                    value.copy_(self._own[name], non_blocking=True)

    def _hand_back(self):
        if self._on_host:
            return
        with torch.no_grad():
            for name, own in self._gradients.items():
                gradient = self._values[name].grad.cpu()
                own.copy_(own + gradient if self._adds else gradient)
            for name in self._states:
                self._own[name].copy_(self._values[name])


def _in_mxnet(outputs):
    return [mx.nd.array(output.detach().float().cpu().numpy()) for output in outputs]


def shared_tensor(array):
    """Return a tensor over the memory of an MXNet array on a CPU.

    Parameters
    ----------
    array : mx.nd.NDArray
        Float32; it has to live as long as the tensor.

    Examples
    --------
    >>> array = mx.nd.zeros((2,))
    >>> shared_tensor(array)[1] = 5
    >>> array.asnumpy().tolist()
    [0.0, 5.0]
    """
    array.wait_to_read()
    pointer = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)))
    memory = (ctypes.c_float * array.size).from_address(pointer.value)
    return torch.from_numpy(np.frombuffer(memory, np.float32).reshape(array.shape))
