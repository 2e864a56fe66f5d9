"""Slim a face checkpoint: keep the network up to its embedding, drop the head; insightface's deploy/model_slim.py.

Upstream cuts at the name ``fc1_output`` and drops every parameter whose name begins with ``fc7``. Here the graph
decides: what the embedding does not depend on goes, whatever it is called.
"""
import contextlib
import dataclasses
import os

import numpy as np

from mxft.errors import InputError, RunError
from mxft.files.locks import Lock
from mxft.files.whole import require_folder
from mxft.inference.executor import InferenceExecutor
from mxft.network.anatomy import FeatureLayer
from mxft.network.checkpoint import (
    Checkpoint,
    load_checkpoint,
    params_path,
    parent_entry,
    parse_model,
    require_free_prefix,
)
from mxft.network.graph import Graph, internal_output
from mxft.network.quantization import ENTRY
from mxft.surgery import feature_layer_named

PROBE_IMAGES = 2


@dataclasses.dataclass(frozen=True)
class SlimResult:
    """What `slim` cut, or that there was nothing to cut.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network up to the embedding.
    feature : FeatureLayer
        The embedding layer.
    dropped : dict of str to tuple of int
        Parameters that went, with their shapes.
    layers : tuple of str
        Operators that went.
    """

    checkpoint: Checkpoint
    feature: FeatureLayer
    dropped: dict
    layers: tuple

    @property
    def was_slim(self):
        """Whether there was nothing behind the embedding."""
        return not self.dropped and not self.layers


def slim(checkpoint, layer=None):
    """Cut a checkpoint at its embedding.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a face network: the two-output training symbol, one ending in the softmax, or a slim one.
    layer : str, optional
        The layer to keep as the output; found by graph when None (see `mxft.network.anatomy.features.find_embedding`).

    Returns
    -------
    SlimResult
        Its checkpoint shares the arrays it keeps with the one that was given, which is not changed.

    Raises
    ------
    InputError
        No such layer, or no embedding is found: the layers to choose from are named.

    Examples
    --------
    >>> slim(load_checkpoint("model-r100,287")).feature.name     # doctest: +SKIP
    'fc1'
    """
    try:
        feature = (feature_layer_named(checkpoint.symbol, layer) if layer else
                   checkpoint.anatomy.require_embedding())
    except InputError as error:
        raise InputError(error.message.replace("feature layer is not found", "embedding is not found")) from None
    graph = Graph(checkpoint.symbol)
    network = internal_output(checkpoint.symbol, feature.index)
    kept, kept_aux = set(network.list_arguments()), set(network.list_auxiliary_states())
    arg_params = {name: value for name, value in checkpoint.arg_params.items() if name in kept}
    aux_params = {name: value for name, value in checkpoint.aux_params.items() if name in kept_aux}
    dropped = {name: tuple(value.shape) for name, value in (*checkpoint.arg_params.items(),
                                                            *checkpoint.aux_params.items())
               if name not in arg_params and name not in aux_params}
    ancestors = graph.ancestors(feature.index)
    layers = tuple(node.name for node in graph.operators() if node.index not in ancestors)
    manifest = {key: value for key, value in checkpoint.manifest.items() if key in ("format", "input", "network",
                                                                                    "versions", ENTRY)}
    manifest["embedding"] = feature.name
    if checkpoint.manifest:
        manifest.update(parent=parent_entry(checkpoint), trained_with=checkpoint.manifest.get("head"))
    return SlimResult(Checkpoint(network, arg_params, aux_params, manifest, f"{checkpoint.name}, slim"),
                      feature, dropped, layers)


def slim_prefix(prefix):
    """Return where upstream's script writes: the prefix with an ``s`` behind it."""
    return prefix + "s"


def save_slim(result, original, prefix, image_shape=(3, 112, 112), force=False):
    """Save a slim checkpoint as epoch 0 of `prefix` and prove on a probe that its embedding is the original's.

    Parameters
    ----------
    result : SlimResult
    original : Checkpoint
        What was cut.
    prefix : str
        Path without ``-symbol.json``.
    image_shape : tuple of int
        ``(C, H, W)`` of the probe: raw 0–255 noise.
    force : bool
        Replace a checkpoint of that name.

    Returns
    -------
    model : str
        ``"prefix,0"``.
    difference : float
        Largest difference of an embedding value between the original network and the files read back.

    Raises
    ------
    InputError
        There is a checkpoint under that name and `force` is not given, or it would replace the original.
    RunError
        The embedding is another one, or the disk is full; what was written is removed.
    """
    require_new_prefix(prefix, original, force)
    folder, name = os.path.split(os.path.abspath(prefix))
    with Lock(os.path.join(require_folder(folder), f".{name}.lock"), f"checkpoint {prefix}"):
        return _save_and_prove(result, original, prefix, image_shape)


def _save_and_prove(result, original, prefix, image_shape):
    before = probe(internal_output(original.symbol, result.feature.index), original, image_shape)
    files = (prefix + "-symbol.json", params_path(prefix, 0), prefix + "-manifest.json")
    new = [path for path in files if not os.path.lexists(path)]
    try:
        model = result.checkpoint.save(prefix, 0)
    except BaseException:
        _remove(new)
        raise
    written = load_checkpoint(model)
    difference = float(np.abs(probe(written.symbol, written, image_shape) - before).max())
    if not difference <= 1e-6 * max(1.0, float(np.abs(before).max())):
        _remove(files)
        raise RunError(f"slim checkpoint is not kept: expected the embedding of {original.name}, received one that "
                       f"differs by {difference:g}")
    return model, difference


def _remove(paths):
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def require_new_prefix(prefix, original, force):
    """Refuse (InputError) a prefix that has files already, unless forced, and always a folder or the original's own."""
    if original.on_disk and os.path.realpath(parse_model(original.name)[0]) == os.path.realpath(prefix):
        raise InputError(f"output name: expected another prefix than the original's, received {prefix!r}; the head "
                         "would be lost")
    require_free_prefix(prefix, 0, force, "output")


def probe(network, checkpoint, image_shape):
    """Return the outputs, float32 ``(2, D)``, of a network with a checkpoint's parameters on two images of noise."""
    images = np.random.RandomState(0).uniform(0, 255, (PROBE_IMAGES, *image_shape)).astype(np.float32)
    executor = InferenceExecutor(network, checkpoint.arg_params, checkpoint.aux_params, image_shape, PROBE_IMAGES)
    return executor.forward(images)

