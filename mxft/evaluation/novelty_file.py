"""The file beside a checkpoint by which images are told that are far from its training images: plain arrays.

MXNet's own format, which holds numbers only; lengths are followed before MXNet reads it, see
`mxft.network.params_file`. It names the parameters it belongs to by their hash.
"""
import os

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, last_line
from mxft.evaluation.novelty import NoveltyReference
from mxft.files.whole import sha256
from mxft.network.checkpoint import save_arrays
from mxft.network.locating import params_path, parse_model
from mxft.network.params_file import read_arrays

MOST_BYTES = 64 << 20
_ENDING = "-novelty.nd"
_FEATURES, _THRESHOLD, _HASH = "features:", "threshold", "sha256"


def novelty_path(prefix, epoch):
    """Return where the reference of a checkpoint lies: ``prefix-best-novelty.nd``."""
    return params_path(prefix, epoch)[:-len(".params")] + _ENDING


def save_reference(reference, model):
    """Write a reference beside the checkpoint ``"prefix,epoch"``; return its path."""
    path = novelty_path(*parse_model(model))
    digest = np.frombuffer(bytes.fromhex(sha256(params_path(*parse_model(model)))), np.uint8)
    save_arrays(path, {_FEATURES + reference.layer: mx.nd.array(reference.features, dtype="float16"),
                       _THRESHOLD: mx.nd.array([reference.threshold], dtype="float64"),
                       _HASH: mx.nd.array(digest, dtype="uint8")})
    return path


def load_reference(checkpoint):
    """Read the reference beside a checkpoint.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint

    Returns
    -------
    NoveltyReference or None
        None where there is none, as of every checkpoint of before.

    Raises
    ------
    InputError
        The file is damaged, of another checkpoint, or no reference.
    """
    if not checkpoint.on_disk:
        return None
    path = novelty_path(*parse_model(checkpoint.name))
    if not os.path.isfile(path):
        return None
    try:
        reference = _read(path)
    except (ValueError, OSError) as error:
        raise InputError(f"novelty file cannot be read: expected what mxft finetune writes, received {path} ({error}); "
                         "move it away to go without") from None
    received = sha256(params_path(*parse_model(checkpoint.name)))
    if reference.params != received:
        raise InputError(f"novelty file is of another checkpoint: expected sha256 {received[:12]} of the parameters in "
                         f"it, received {reference.params[:12]} in {path}; move it away to go without")
    return reference


def _read(path):
    """Return the NoveltyReference in a file; ValueError where it is none."""
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MB")
    try:
        arrays = read_arrays(path)
    except mx.base.MXNetError as error:
        raise ValueError(last_line(error)) from None
    named = [name for name in arrays if name.startswith(_FEATURES)] if isinstance(arrays, dict) else []
    if len(named) != 1 or set(arrays) != {named[0], _THRESHOLD, _HASH}:
        raise ValueError(f"other arrays than {_FEATURES}LAYER, {_THRESHOLD} and {_HASH}")
    features, threshold, digest = (arrays[name].asnumpy() for name in (named[0], _THRESHOLD, _HASH))
    features = features.astype(np.float32)
    if features.ndim != 2 or not np.isfinite(features).all() or abs(np.square(features).sum(axis=1) - 1).max() > 0.02:
        raise ValueError("features are no rows of length 1")
    if threshold.shape != (1,) or not 0 <= threshold[0] <= 2 or digest.shape != (32,) or digest.dtype != np.uint8:
        raise ValueError("threshold or hash are none")
    return NoveltyReference(named[0][len(_FEATURES):], features, float(threshold[0]), digest.tobytes().hex())
