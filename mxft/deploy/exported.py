"""What every export has: the file that was written, and the checkpoint's own outputs it was compared with."""
import dataclasses

import numpy as np

from mxft.compat import mx
from mxft.wording import BriefRepr

TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, repr=False)
class ExportedFile(BriefRepr):
    """What was written in another format.

    Parameters
    ----------
    path : str
    error : float
        Largest difference from the checkpoint's output on the probe, as a part of its largest value.
    any_batch : bool
        Whether batches of any size go through; else the one it was exported with.
    input : str
        Its name in the file.
    outputs : dict of str to tuple of int
        For each output its name in the file and its shape for one image.
    """

    path: str
    error: float
    any_batch: bool
    input: str
    outputs: dict

    @property
    def output(self):
        """The name of the first output."""
        return next(iter(self.outputs))

    @property
    def output_shape(self):
        """The shape of the first output for one image."""
        return self.outputs[self.output]

    def describe(self):
        """Return how near it is, in words."""
        return f"largest difference {self.error:.1e} of the largest value"


def noise(spec, count=2):
    """Return random pixels as a network of this InputSpec takes them: float32 ``(count, C, H, W)``."""
    pixels = np.random.RandomState(0).uniform(0, 255, (count, *spec.shape))
    channels = spec.shape[0]
    mean, scale = (np.reshape(values[:channels], (channels, 1, 1)) for values in (spec.mean, spec.scale))
    return ((pixels - mean) * scale).astype(np.float32)


def is_training_network(checkpoint):
    """Whether a face network is as it was trained: of two outputs, or with a margin, which reads the labels.

    What serves then is its embedding.
    """
    return checkpoint.anatomy.is_face_training


def served_symbol(checkpoint):
    """Return a checkpoint's own outputs that an image alone gives, losses and all."""
    return mx.sym.Group([checkpoint.symbol[output.position] for output in checkpoint.anatomy.served])


def own_outputs(symbol, checkpoint, images, any_batch):
    """Return the outputs of a symbol with a checkpoint's parameters, as MXNet computes them, a list of arrays.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    checkpoint : mxft.network.checkpoint.Checkpoint
    images : numpy.ndarray
        Float32 ``(N, C, H, W)``.
    any_batch : bool
        Whether they go through at once, or one after another.

    Notes
    -----
    Bound as for training: the fused graph of inference has no outputs in its middle, and dies of being asked for them.
    """
    name = checkpoint.anatomy.image.name
    batches = [images] if any_batch else [images[i:i + 1] for i in range(len(images))]
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", **{name: batches[0].shape})
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params, allow_extra_params=True)
    found = [[output.asnumpy() for output in executor.forward(is_train=False, **{name: mx.nd.array(batch)})]
             for batch in batches]
    return [np.concatenate(parts) for parts in zip(*found)]


def apart(received, expected):
    """Return the largest difference of two arrays, as a part of the largest value expected; inf of other shapes."""
    if received.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    return float(abs(received - expected).max() / max(abs(expected).max(), 1e-30))
