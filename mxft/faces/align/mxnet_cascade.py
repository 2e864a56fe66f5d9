"""insightface's own detector, three MXNet checkpoints ``det1`` to ``det3``, computed by the inference executor."""
import functools
import os
import threading

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, MissingFileError
from mxft.faces.align.cascade import Cascade, Networks
from mxft.files.whole import sha256
from mxft.inference.executor import InferenceExecutor
from mxft.inference.finite import NotFinite
from mxft.network.checkpoint import load_checkpoint

EPOCH = 1                        # of the files upstream hands out
LARGEST_BATCH = 128
SHAPES_KEPT = 256                # bound proposal networks, one a size of scaled picture
_GIVES = ((4, 2), (4, 2), (10, 4, 2))  # numbers a place or box: landmarks, offsets, scores


def prefix_of(name):
    """Return the prefix of the three checkpoints: of a folder they are called ``det``."""
    return os.path.join(name, "det") if os.path.isdir(name) else name


def mxnet_cascade(name, min_size=None, confidence=0.9):
    """Return the detector; see `mxft.faces.align.detection.make_detector`.

    Parameters
    ----------
    name : str
        A folder, or the prefix ``folder/det``, of ``det1-symbol.json``, ``det1-0001.params`` and so on.
    min_size, confidence
        See `make_detector`.

    Raises
    ------
    MissingFileError
        A file is not there.
    InputError
        Other networks than the three of the cascade.

    Notes
    -----
    ``det4``, which moves the landmarks by whole pixels once more, is not used; insightface's own programs do not.
    """
    prefix = prefix_of(name)
    paths = [f"{prefix}{number}-{EPOCH:04d}.params" for number in (1, 2, 3)]
    for path in paths:
        if not os.path.isfile(path):
            raise MissingFileError(f"detector is not whole: expected det1 to det3 of insightface's MTCNN, received "
                                   f"detector={name!r} without {os.path.basename(path)}")
    try:
        networks = _as_networks(*(_Network(load_checkpoint(f"{prefix}{number},{EPOCH}"), gives)
                                  for number, gives in zip((1, 2, 3), _GIVES)))
        _check(networks, name)
    except mx.base.MXNetError as error:
        raise InputError(f"detector cannot be used: expected det1 to det3 of insightface's MTCNN, received "
                         f"detector={name!r}, which MXNet cannot run as they are "
                         f"({' '.join(str(error).split())[:120]})") from None
    version = "mtcnn (MXNet) " + " ".join(sha256(path)[:12] for path in paths)
    return Cascade(networks, "mtcnn (MXNet)", version, min_size, confidence)


def _as_networks(first, second, third):
    def propose(planes):
        offsets, scores = first.run(planes)
        return scores[0, 1], offsets[0]

    def refine(planes):
        offsets, scores = second.in_batches(planes)
        return scores[:, 1], offsets

    def output(planes):
        landmarks, offsets, scores = third.in_batches(planes)
        return scores[:, 1], offsets, landmarks

    return Networks(propose, refine, output)


def _check(networks, name):
    """Refuse networks that give other shapes than the cascade's, or no numbers, for one small input each."""
    inputs = [(networks.propose, (14, 20), ((2, 5), (4, 2, 5))), (networks.refine, (24, 24), ((1,), (1, 4))),
              (networks.output, (48, 48), ((1,), (1, 4), (1, 10)))]
    for number, (run, size, shapes) in enumerate(inputs, 1):
        try:
            arrays = run(np.zeros((1, 3, *size), np.float32))
        except NotFinite:
            raise InputError(f"detector cannot be used: expected finite numbers from det{number}, received NaN or "
                             f"infinity in detector={name!r}; damaged parameters?") from None
        received = tuple(array.shape for array in arrays)
        if received != shapes:
            raise InputError(f"detector cannot be used: expected outputs of {shapes} from det{number} of insightface's "
                             f"MTCNN, received {received} in detector={name!r}")


class _Network:
    """One of the three, bound for each shape it is asked for; one thread computes at a time."""

    def __init__(self, checkpoint, gives):
        self._checkpoint, self._lock = checkpoint, threading.Lock()
        outputs = {output.size or _channels(checkpoint, output): output for output in checkpoint.anatomy.outputs}
        if sorted(outputs) != sorted(gives):
            raise InputError(f"detector cannot be used: expected outputs of {', '.join(map(str, gives))} numbers, as "
                             f"insightface's MTCNN has them, received {checkpoint.name} with {sorted(outputs)}")
        self._outputs = [outputs[size] for size in gives]
        self._bound = functools.lru_cache(maxsize=SHAPES_KEPT)(self._bind)

    def _bind(self, rows, height, width):
        return InferenceExecutor(self._checkpoint.symbol, self._checkpoint.arg_params, self._checkpoint.aux_params,
                                 (3, height, width), rows, outputs=self._outputs)

    def run(self, planes, rows=None):
        """Return the outputs, in the order of what the network gives, for float32 (N, 3, H, W)."""
        with self._lock:
            found = self._bound(rows or len(planes), *planes.shape[2:]).forward_all(planes)
        return [_linked(output.link, scores) for output, scores in zip(self._outputs, found)]

    def in_batches(self, planes):
        """Do the same a batch at a time, of few different sizes."""
        parts = []
        for start in range(0, len(planes), LARGEST_BATCH):
            part = planes[start:start + LARGEST_BATCH]
            parts.append(self.run(part, min(LARGEST_BATCH, 1 << (len(part) - 1).bit_length())))
        return [np.concatenate(arrays) for arrays in zip(*parts)]


def _channels(checkpoint, output):
    """Return the channels of a map: the proposal network gives one score a place."""
    shapes = checkpoint.symbol.infer_shape(data=(1, 3, 12, 12))[1]
    return shapes[output.position][1]


def _linked(link, scores):
    """Return an output's own numbers; a softmax goes along the channels."""
    return np.moveaxis(link(np.moveaxis(scores, 1, -1)), -1, 1)
