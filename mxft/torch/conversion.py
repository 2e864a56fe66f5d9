"""A checkpoint as a PyTorch module, and a trained module's arrays back in the checkpoint."""
import dataclasses

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.checkpoint import parent_entry
from mxft.network.graph import Graph
from mxft.torch.module import MXNetModule

_WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel's, torch.compile's
_OF_THE_OLD_WEIGHTS = ("metrics", "quantization", "precision", "data", "versions")  # in a manifest


def to_torch(checkpoint):
    """Return a checkpoint as a PyTorch module that computes the same.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Cut it first (`mxft.surgery`) for a layer's features, or for logits in place of a loss.

    Returns
    -------
    MXNetModule
        On the CPU, float32, in evaluation mode. ``state_dict`` has the checkpoint's names. It takes what the checkpoint
        takes: pixels less the manifest's mean, times its scale.

    Raises
    ------
    InputError
        An operator without a PyTorch function, or one whose attributes it does not know.

    Notes
    -----
    The module is no layer of PyTorch's own: BatchNorm's moving variance, `fix_gamma`, pooling at the border and the
    gradients of losses are as in MXNet 1.9.1.

    Examples
    --------
    >>> from mxft.network.checkpoint import Checkpoint
    >>> net = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc1")
    >>> checkpoint = Checkpoint(net, {"fc1_weight": mx.nd.ones((2, 3)), "fc1_bias": mx.nd.zeros(2)}, {})
    >>> import torch
    >>> to_torch(checkpoint)(torch.ones(1, 3)).tolist()
    [[3.0, 3.0]]
    """
    arrays = ({name: value.asnumpy() for name, value in values.items()}
              for values in (checkpoint.arg_params, checkpoint.aux_params))
    return MXNetModule(Graph(checkpoint.symbol), *arrays).eval()


def from_torch(values, checkpoint):
    """Return a checkpoint with a module's arrays in place of its own.

    Parameters
    ----------
    values : torch.nn.Module or dict of str to (torch.Tensor or numpy.ndarray)
        A module that `to_torch` made, wrapped by ``torch.compile`` or DistributedDataParallel or not, or its
        ``state_dict()``.
    checkpoint : mxft.network.checkpoint.Checkpoint
        Where it came from: its graph, shapes and manifest are kept.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        Float32, whatever type the module computes in. Its manifest names the checkpoint as its parent, and has lost
        what was measured with other weights: metrics, temperature, ranges of int8.

    Raises
    ------
    InputError
        An array is missing or of another shape, or there is one more than the checkpoint has.

    Examples
    --------
    >>> from mxft.network.checkpoint import Checkpoint
    >>> net = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, no_bias=True, name="fc1")
    >>> checkpoint = Checkpoint(net, {"fc1_weight": mx.nd.ones((2, 3))}, {})
    >>> module = to_torch(checkpoint)
    >>> module.fc1_weight.data *= 2
    >>> from_torch(module, checkpoint).arg_params["fc1_weight"].asnumpy().tolist()
    [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """
    found = {_unwrapped(name): value for name, value in
             (values.state_dict() if hasattr(values, "state_dict") else values).items()}
    own = {**checkpoint.arg_params, **checkpoint.aux_params}
    missing, unknown = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    if missing:
        raise InputError(f"torch: expected every array of the checkpoint, received none called {_first(missing)}; "
                         "a network that was cut at a layer lacks those behind it")
    if unknown:
        raise InputError(f"torch: expected no other arrays than the checkpoint's, received {_first(unknown)}")
    arrays = {name: _array(value) for name, value in found.items()}
    for name, value in arrays.items():
        if value.shape != own[name].shape:
            raise InputError(f"torch: expected {name} of shape {own[name].shape}, received {value.shape}")
    kept = {name: value for name, value in checkpoint.manifest.items() if name not in _OF_THE_OLD_WEIGHTS}
    return dataclasses.replace(
        checkpoint, manifest={**kept, "parent": parent_entry(checkpoint)}, name=f"{checkpoint.name}, from PyTorch",
        on_disk=False, precision=None,
        arg_params={name: mx.nd.array(arrays[name]) for name in checkpoint.arg_params},
        aux_params={name: mx.nd.array(arrays[name]) for name in checkpoint.aux_params})


def _first(names):
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def _unwrapped(name):
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _array(value):
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value, np.float32)
